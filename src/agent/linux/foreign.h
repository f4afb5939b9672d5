/* foreign.h: TLS libraries that a process loaded and that its program's package doesn't link: each load is asked about once for a program and a
 * library (linked.h), on the scanning thread; what came out is remembered for a while. observer.c calls in, on the loop's thread but for
 * foreign_judge(). What isn't known yet, or can't be, is told as not observable. */
#ifndef EXEAT_AGENT_LINUX_FOREIGN_H
#define EXEAT_AGENT_LINUX_FOREIGN_H

#include "agent/history.h"
#include "agent/platform.h"

struct foreign;

/* `dpkg` is borrowed until foreign_free(). NULL without memory. */
struct foreign *foreign_new(const char *dpkg);
void foreign_free(struct foreign *f); /* NULL is fine */

/* A TLS library was mapped. Views for the call; `family` must live as long as the history. */
struct foreign_load {
    struct history_id who;
    const char *executable; /* as it was executed; NULL: not known, the process is looked at */
    uint64_t device, inode; /* of that */
    const char *library, *family;
};
void foreign_take(struct foreign *f, struct history *h, int procfd, const struct foreign_load *load);

/* The process executes another program: what was mapped is not any more. */
void foreign_forget(struct foreign *f, int64_t pid);

/* The next question; false: none waits. Then foreign_judge() on any thread, foreign_done() with what came out. */
bool foreign_next(struct foreign *f, struct history *h, struct history_scan *ret);
void foreign_judge(struct foreign *f, struct history_scan *job);
void foreign_done(struct foreign *f, struct history *h, const struct history_scan *job);

/* What an answer about the process must say beside what its history does: what it loaded stays loaded, and what is not known.
 * `watched`: all that it loaded was seen. */
void foreign_ask(struct foreign *f, struct history *h, const struct history_id *id, bool watched,
                 struct agent_history *answer);

#endif
