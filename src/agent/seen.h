/* seen.h: since when this host knows something (a program, a user's program, a job's file): the first time, kept over restarts
 * in a file of the agent's state folder. Bounded: when it is full what was seen longest ago goes, and is new the next time.
 * Keys are digests; the file names nothing. The core owns it; the back ends note what they describe. One thread. */
#ifndef EXEAT_AGENT_SEEN_H
#define EXEAT_AGENT_SEEN_H

#include "base/err.h"
#include "base/span.h"

enum { SEEN_MAX = 32768 };

struct seen;

/* `folder` NULL: nothing is kept over the end. A file that cannot be read as one of ours is begun anew, and said in the log.
 * NULL fills reterr. */
struct seen *seen_open(const char *folder, struct err *reterr);
void seen_close(struct seen *s); /* writes it; NULL is fine */

/* Notes it now (Unix time) and tells the first time. `parts`: what makes up the key. */
int64_t seen_note(struct seen *s, const struct span *parts, size_t count, int64_t now_ms);

/* Writes the file when something new is there: now and then. */
void seen_keep(struct seen *s);

#endif
