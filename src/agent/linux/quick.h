/* quick.h: the answerer's own look at a connection, by the kernel's program (owner_look.bpf.h) whose descriptor the collector gave it: who
 * connected, if that is the usual case: he runs what he ran then, holds the socket where he opened it, alone, in our own
 * network namespace. It says the numbers only; what program that is was the collector's to find out. Needs no rights. */
#ifndef EXEAT_AGENT_LINUX_QUICK_H
#define EXEAT_AGENT_LINUX_QUICK_H

#include "agent/linux/owner_record.h"
#include "agent/platform.h"

/* False: not the usual case. `netns`: of the collector, as a known_caller says it. */
bool quick_look(int fd, const struct agent_ask *ask, uint32_t netns, struct known_caller *ret);

struct known_caller quick_caller(const struct owner_look *look);

#endif
