/* correlate.h: the state of correlation rules over a stream of events: counts, distinct values and sequences within a window of time, for
 * each group of events apart. Bounded: groups a correlation, marks a group, bytes in all; the groups that were quiet longest go
 * first. Not thread-safe. Pure: time is what the events say. */
#ifndef EXEAT_RULES_CORRELATE_H
#define EXEAT_RULES_CORRELATE_H

#include "rules/match.h"

enum { CORRELATE_GROUPS_MAX = 4096, CORRELATE_BYTES_DEFAULT = 64 * 1024 * 1024 };

struct correlate;

/* `s` is borrowed until correlate_free(). NULL without memory. */
struct correlate *correlate_new(const struct ruleset *s, size_t budget_bytes);
void correlate_free(struct correlate *c); /* NULL is fine */

/* `c` is new and `from` that of the set before: correlations that are the same in both go on counting where they are, together, for as long as
 * both live. From then on both, and whoever adopts from them, belong under one lock, to be freed as well. */
void correlate_adopt(struct correlate *c, struct correlate *from);

/* One event, of which `rules` are true and whose values are in `m`. The correlations that are true with it, in the order of the set's
 * correlations: rules of the set; a view that lasts until the next call. An event that lacks a field to group by is not
 * counted. */
const uint32_t *correlate_event(struct correlate *c, const struct match *m, int64_t time_ms,
                                const uint32_t *rules, size_t count, size_t *ret_count);

/* Groups that had to go before their time. */
uint64_t correlate_evicted(const struct correlate *c);

#endif
