/* observed.h: which facts could be observed of which host lately: for `exeat status coverage`, which says what the rules see and what they
 * don't. Shared by all workers under one lock; bounded: a host more than OBSERVED_HOSTS_MAX is not counted, and said to be. Kept in store/
 * across restarts, a row for each place in memory, so that the file is bounded, too; what is known already is written again only each
 * OBSERVED_KEEP_S, so that much may look older than it is. flow/exchange.c notes each exchange as it ends, admin/ asks. */
#ifndef EXEAT_FLOW_OBSERVED_H
#define EXEAT_FLOW_OBSERVED_H

#include "facts/facts.h"

struct store; /* store/store.h */

enum {
    OBSERVED_HOSTS_MAX = 4096,
    OBSERVED_PLATFORM_BYTES = 16,
    OBSERVED_WINDOW_S = 24 * 3600,
    OBSERVED_KEEP_S = 600,
    OBSERVED_KIND = 65, /* of its rows among the sightings in store/ */
};

struct observed;

/* Reads what `store` has (NULL: nothing is kept) and becomes its source: before store_start(). NULL without memory. */
struct observed *observed_new(struct store *store);
void observed_free(struct observed *take_o); /* after store_close() */

/* An exchange of that host is over: what of its facts was looked for counts as observed, whether it was there or not. `platform`: its
 * agent's, as "linux"; "" without. */
void observed_note(struct observed *o, struct span host, const char *platform, const struct facts *facts,
                   int64_t now_s);

/* One host of the last 24 hours: `seen[FACT]` says that the fact was observed within them. Called under the lock: it must not wait. */
typedef void observed_fn(void *owner, const char *platform, const bool seen[FACT_COUNT]);
/* Returns how many hosts there was no room for. */
uint64_t observed_each(struct observed *o, int64_t now_s, observed_fn *each, void *owner);

#endif
