/* tally.h: what correlation rules have counted, for all workers of a snapshot together: a client that spreads its connections over them, which
 * the port it connects from decides, is counted as one. One lock, taken only when a rule that a correlation counts is true. Part of the
 * snapshot: what a new policy's correlations have in common with those of the one before goes on where it was. flow/judge.c calls in, from every worker. */
#ifndef EXEAT_FLOW_TALLY_H
#define EXEAT_FLOW_TALLY_H

#include "rules/correlate.h"
#include "rules/rulebook.h"

struct tally;

/* `b` is borrowed until tally_free(). NULL without memory. */
struct tally *tally_new(const struct rulebook *b);
void tally_free(struct tally *take_t); /* NULL is fine */

/* `t` is new: what is the same in the policy `before`, by the text of the rules, is counted on by both together. Before any other thread has
 * `t`; others may count in `before`. */
void tally_adopt(struct tally *t, struct tally *before);

/* Does a correlation count this rule? */
bool tally_counts(const struct tally *t, uint32_t rule);
/* Is all known that its correlations group by, or will it never be? `m` has the exchange's values. */
bool tally_is_ready(const struct tally *t, const struct match *m, uint32_t rule);

/* An exchange in which `rules` are true: each is given once an exchange. `process`: which process it is, of which rules about processes count
 * once; 0 unknown. Writes the correlations that are true with it, as rules of the set, at most `room`; how many. */
size_t tally_count(struct tally *t, const struct match *m, int64_t time_ms, const uint32_t *rules,
                   size_t count, uint64_t process, uint32_t *ret, size_t room);

#endif
