/* around.h: who is around a connection that lives: others that hold its socket, and others that connected to its owner from outside
 * his lineage, whom he may speak for. platform_linux.c calls in, for those that nobody waits for. */
#ifndef EXEAT_AGENT_LINUX_AROUND_H
#define EXEAT_AGENT_LINUX_AROUND_H

#include "agent/linux/holders.h"

/* Fills holders, connect.shared and peers, as far as known by now. `a` has a process, by connect(). */
void around_fill(struct holders *h, int procfd, struct attribution *a);

#endif
