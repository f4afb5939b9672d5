/* pathclass.h: what kind of place a path is, by its words alone. Pure. */
#ifndef EXEAT_AGENT_PATHCLASS_H
#define EXEAT_AGENT_PATHCLASS_H

#include "wire/sender_who.h"

/* A set of enum sender_path_class; never empty for an absolute path, 0 for NULL. */
uint32_t pathclass_of(const char *path);

#endif
