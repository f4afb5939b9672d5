/* who.h: what makes up a process' struct sender_who, gathered while describe.c describes it. */
#ifndef EXEAT_AGENT_LINUX_WHO_H
#define EXEAT_AGENT_LINUX_WHO_H

#include "agent/linux/describe.h"

/* What its plain arguments say; executable, package and parents are known. */
void who_describe_arguments(struct describer *d, struct process *p, const char *const *argv, size_t argc);

/* The rest, of a process that is there. */
void who_describe(struct describer *d, const struct entry *e, struct process *p);

/* Of one that is gone, or executes another program: what could not be looked at is said. */
void who_describe_gone(struct process *p);

#endif
