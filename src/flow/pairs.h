/* pairs.h: what one sender does at one destination: how much went each way in the last hour, day and month, how regularly it comes
 * back, how many names it asks for below one domain. A pair is (host, user, stable sender, registrable domain), so that nothing is hidden by
 * splitting it over processes, connections or names. Shared by all workers, kept by store/.
 *
 * flow/remember.c calls in; touches mutexes and store/'s queue. */
#ifndef EXEAT_FLOW_PAIRS_H
#define EXEAT_FLOW_PAIRS_H

#include "facts/beacon.h"
#include "facts/volume.h"
#include "flow/table.h"

struct pairs;
struct store;

enum { PAIR_KIND = 20, PAIR_NAMES_DAYS = 30 };

/* As sightings_new(). A pair is about 1 KiB. When room is needed, those that sent much stay longer. */
struct pairs *pairs_new(struct store *store, size_t entries);
void pairs_free(struct pairs *take_p);
void pairs_stats(const struct pairs *p, struct table_stats *ret);

/* `pair` is "host\nuser\nsender\ndomain". Bytes that have moved since they were added last. */
void pairs_add(struct pairs *p, struct span pair, uint64_t out, uint64_t in, int64_t now_s);
/* A flow of theirs is over that was let out: when it began, what it sent in all, what it called the server. */
void pairs_end(struct pairs *p, struct span pair, int64_t start_ms, uint64_t out, struct span host,
               int64_t now_s);

struct pair_view {
    bool known; /* they have met before; else the rest is 0 */
    int64_t first_s, last_s;
    uint64_t count; /* flows that have ended */
    struct volume_sum sums[VOLUME_WINDOW_COUNT];
    unsigned flows; /* that the beacon score is about; at most BEACON_FLOWS */
    bool has_rhythm;
    struct beacon_score rhythm;
    unsigned names; /* different ones within PAIR_NAMES_DAYS: never too many */
};
/* `starting`: one more flow begins now, which counts as an interval. */
void pairs_look(struct pairs *p, struct span pair, bool starting, int64_t now_ms, struct pair_view *ret);

#endif
