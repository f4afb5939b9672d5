/* habits.h: how much a sender's flows usually send and how that compares with what they receive (facts/habit.h), on each host and over all
 * of them. Shared by all workers, kept by store/.
 *
 * flow/remember.c calls in; touches mutexes and store/'s queue. */
#ifndef EXEAT_FLOW_HABITS_H
#define EXEAT_FLOW_HABITS_H

#include "facts/habit.h"
#include "flow/table.h"

struct habits;
struct store;

enum { HABIT_OWN_KIND = 21, HABIT_PEERS_KIND = 22 };

/* As sightings_new(). A habit is about 400 bytes. */
struct habits *habits_new(struct store *store, size_t entries);
void habits_free(struct habits *take_h);

/* A flow that was let out is over: it counts for the sender on this host ("host\nsender") and for all of the same stable name. */
void habits_add(struct habits *h, struct span own, struct span sender, uint64_t out, uint64_t in,
                int64_t now_s);

struct habit_view {
    bool known;    /* there is a habit; else the rest is 0 */
    bool of_peers; /* too few flows are its own: that of its peers */
    uint64_t p99_bytes;
    double ratio_mean;
};
void habits_look(struct habits *h, struct span own, struct span sender, struct habit_view *ret);

#endif
