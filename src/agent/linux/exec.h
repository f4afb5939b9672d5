/* exec.h: which processes there are, were, and what they executed: exec.bpf.c's ring, and /proc for those that began before us.
 * All of it goes into a history (agent/history.h). observer.c calls in; the loop's thread. */
#ifndef EXEAT_AGENT_LINUX_EXEC_H
#define EXEAT_AGENT_LINUX_EXEC_H

#include "agent/history.h"
#include "agent/linux/exec_record.h"
#include "base/span.h"

enum { EXEC_WHY_BYTES = 160 };

/* A program that was just executed. Views for the call. */
struct executed {
    struct history_id id;
    const char *path;             /* "": too long to be told */
    struct span arguments;        /* each ends with a NUL; the first EXEC_ARGUMENTS_BYTES of them */
    uint64_t device, inode, size; /* device as file_key has it */
    int64_t ctime_ns;
    int64_t now_ms;
    struct exec_place place;
};

struct exec_watch;

/* Needs CAP_BPF and CAP_PERFMON once. NULL: `why` says why not. */
struct exec_watch *exec_watch_new(char why[EXEC_WHY_BYTES]);
void exec_watch_free(struct exec_watch *w); /* NULL is fine */

/* From here on the records go into `h`, and `each` (may be NULL) hears of executions after them. */
void exec_watch_begin(struct exec_watch *w, struct history *h,
                      void (*each)(void *context, const struct executed *e), void *context);

int exec_watch_fd(const struct exec_watch *w); /* readable when much is waiting */

/* At most `max` records. True: there may be more. */
bool exec_watch_turn(struct exec_watch *w, unsigned max);

/* About a file (device as in struct executed): whether its executions make the descriptor readable at once. */
void exec_watch_say(struct exec_watch *w, uint64_t device, uint64_t inode, enum exec_said said);

uint64_t exec_watch_lost(const struct exec_watch *w);

/* Tells the history of a process by what /proc says of it now; with all that there are. No BPF is needed. */
void exec_learn(struct history *h, int procfd, int64_t pid);
void exec_learn_all(struct history *h, int procfd);

/* What a process runs, by what /proc says of it now: for those of which there is no record. False: it is gone. */
bool exec_look(int procfd, int64_t pid, struct executed *ret, char path[EXEC_PATH_BYTES],
               char arguments[EXEC_ARGUMENTS_BYTES]);

/* One record into the history, for the ring and for tests: hostile sizes are refused. */
bool exec_record_take(struct history *h, int procfd, const void *data, size_t size,
                      struct executed *ret_executed, char path[EXEC_PATH_BYTES]);

int64_t exec_now_ms(void); /* the clock of the history: monotonic, as the kernel's records */

#endif
