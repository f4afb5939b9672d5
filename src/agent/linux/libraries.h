/* libraries.h: which libraries of TLS and of ciphers processes load: the kernel's notes of executable mappings (perf events, one
 * ring a CPU; no BPF), /proc/PID/maps for those that began before us, and a look through executables that carry such code
 * inside. observer.c calls in. */
#ifndef EXEAT_AGENT_LINUX_LIBRARIES_H
#define EXEAT_AGENT_LINUX_LIBRARIES_H

#include "agent/history.h"
#include "agent/platform.h"
#include "base/span.h"

enum { LIBRARIES_WHY_BYTES = 160 };

struct library_watch;

/* Needs CAP_PERFMON once. NULL: `why` says why not. */
struct library_watch *library_watch_new(char why[LIBRARIES_WHY_BYTES]);
void library_watch_free(struct library_watch *w); /* NULL is fine */

size_t library_watch_fd_count(const struct library_watch *w);
int library_watch_fd(const struct library_watch *w, size_t i); /* readable when a ring is half full */

/* At most `max` notes. True: there may be more. */
bool library_watch_turn(struct library_watch *w, struct history *h, unsigned max);
uint64_t library_watch_lost(const struct library_watch *w);

/* One note of the kernel (struct perf_event_header and what follows it) into the history. Returns how many it says were lost. */
uint64_t library_note_take(struct history *h, struct span note);

/* A text like /proc/PID/maps. */
void library_maps_take(struct history *h, int64_t pid, struct span maps);

/* What is mapped now; bounded. */
void library_look(struct history *h, int procfd, int64_t pid);

void library_see(struct history *h, int64_t pid, const char *path); /* when the path is such a library's */

/* Looks through the executable that the job's process runs, or that lies at its path, if it still is that file. On any thread:
 * reads all of it. */
void library_scan(int procfd, struct history_scan *job);

#endif
