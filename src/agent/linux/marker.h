/* marker.h: a small process that keeps one right (CAP_SYS_ADMIN) when the collector has given it up: it has the kernel tell of written files
 * on file systems that are mounted later, in containers too. All that it takes is the number of a process, whose mounts it looks at; all it
 * does is mark them. It cannot open a file for writing, make a socket, or run a program (confine.h). */
#ifndef EXEAT_AGENT_LINUX_MARKER_H
#define EXEAT_AGENT_LINUX_MARKER_H

#include <stdbool.h>
#include <stdint.h>

struct marker;

/* Before rights are given up. `fanotify_fd` is borrowed. NULL: it cannot be had. */
struct marker *marker_new(int fanotify_fd);
void marker_free(struct marker *m); /* NULL is fine */

/* Waits a bounded while. How many file systems that process sees are marked now; -1: the marker doesn't answer. One thread at a time. */
int marker_mark(struct marker *m, int64_t pid);

#endif
