/* jobs.h: launchd's labels of running processes, as `launchctl list` tells them, kept for some seconds. describe.c calls in. */
#ifndef EXEAT_AGENT_MACOS_JOBS_H
#define EXEAT_AGENT_MACOS_JOBS_H

#include "base/arena.h"

/* "launchd/LABEL" of the system's jobs (asked by root), "user@UID/LABEL" of a user's, who names his jobs as he likes; in the arena. NULL: the
 * process is no job's first one. */
const char *jobs_of(int pid, struct arena *arena);

#endif
