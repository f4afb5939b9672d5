/* observer.h: everything on Linux that fills the history of what processes did: exec.c, files.c, libraries.c, behind one door.
 * platform_linux.c calls in; the loop's thread, but for observer_walk(). */
#ifndef EXEAT_AGENT_LINUX_OBSERVER_H
#define EXEAT_AGENT_LINUX_OBSERVER_H

#include "agent/platform.h"

enum { OBSERVER_SENTENCES_MAX = 6 };

struct observer;

/* Before rights are given up. What could not be had is told by observer_degraded(). NULL without memory. */
struct observer *observer_new(const struct history_options *options);
void observer_free(struct observer *o); /* NULL is fine */

/* After rights are given up: processes that are there are learned, and it begins to listen. */
void observer_begin(struct observer *o, int procfd);

int observer_fd(const struct observer *o); /* readable when there is something to do; -1: never */
void observer_turn(struct observer *o);    /* a bounded part of it; also every second */
void observer_walk(struct observer *o);    /* marks new folders; on any thread, one at a time */
bool observer_wants_walk(struct observer *o);

bool observer_scan_next(struct observer *o, struct history_scan *ret); /* as platform.h has them */
void observer_scan(const struct observer *o, struct history_scan *job);
void observer_scan_done(struct observer *o, const struct history_scan *job);

/* As platform_history(). */
bool observer_ask(struct observer *o, const struct sender *s, const struct attribution *a,
                  struct agent_history *ret);

void observer_losses(struct observer *o, struct agent_losses *ret); /* as platform_history_losses() */

/* As platform_keep(). */
enum agent_keep_outcome observer_keep(struct observer *o, const struct agent_keep *keep, int64_t peer_uid,
                                      struct agent_history *ret, int64_t *ret_until_ms);

bool observer_keep_is_full(const struct observer *o);

/* Kinds of history that will never be seen, a bit for each; after observer_begin(). */
unsigned observer_not_observable(const struct observer *o);
void observer_count(struct observer *o, const struct sender *s, uint64_t accepted_cookie,
                    int64_t peer_uid); /* as platform_count() */

size_t observer_degraded(const struct observer *o, const char *ret[OBSERVER_SENTENCES_MAX]);

#endif
