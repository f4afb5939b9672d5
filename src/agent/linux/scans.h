/* scans.h: which executables carry a TLS library inside: looked through once for each file, one at a time, on another thread. The
 * loop's thread asks and is told; scan_run() alone may run elsewhere. observer.c calls in. */
#ifndef EXEAT_AGENT_LINUX_SCANS_H
#define EXEAT_AGENT_LINUX_SCANS_H

#include "agent/linux/exec.h"
#include "agent/platform.h"

struct scans;

struct scans *scans_new(void);
void scans_free(struct scans *s); /* NULL is fine */

/* A program was executed: what is known of its file goes into the history, or a look is queued. */
void scans_ask(struct scans *s, struct history *h, const struct executed *e);

/* The next look; false: there is none, or one is under way. */
bool scans_next(struct scans *s, struct history *h, struct history_scan *ret);
void scans_done(struct scans *s, struct history *h, const struct history_scan *job);

#endif
