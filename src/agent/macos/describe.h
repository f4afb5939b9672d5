/* describe.h: what a macOS process is, as a sender. platform_macos.c calls in. */
#ifndef EXEAT_AGENT_MACOS_DESCRIBE_H
#define EXEAT_AGENT_MACOS_DESCRIBE_H

#include "agent/platform.h"

/* The number of one execution: a pid's next process, and its next program, has another. 0: gone, or denied. */
uint64_t describe_execution(int pid);

/* One reference; NULL: gone, denied, or no memory. */
struct process *describe_process(int pid, uint64_t serial);

/* TLS and cipher libraries that are mapped and are not the system's own, which lie in every process' shared cache. Rows are added; their
 * strings live in `arena` and in the program. */
void describe_libraries(int pid, struct arena *arena, struct agent_history *ret);

#endif
