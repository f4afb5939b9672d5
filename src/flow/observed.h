/* observed.h: which facts could be observed of which host lately: for `exeat status coverage`, which says what the rules see and what they
 * don't. Shared by all workers under one lock; bounded: a host more than OBSERVED_HOSTS_MAX is not counted, and said to be. Forgotten at a
 * restart. flow/exchange.c notes each exchange as it ends, admin/ asks. */
#ifndef EXEAT_FLOW_OBSERVED_H
#define EXEAT_FLOW_OBSERVED_H

#include "facts/facts.h"

enum { OBSERVED_HOSTS_MAX = 4096, OBSERVED_PLATFORM_BYTES = 16, OBSERVED_WINDOW_S = 24 * 3600 };

struct observed;

struct observed *observed_new(void); /* NULL without memory */
void observed_free(struct observed *take_o);

/* An exchange of that host is over: what of its facts was looked for counts as observed, whether it was there or not. `platform`: its
 * agent's, as "linux"; "" without. */
void observed_note(struct observed *o, struct span host, const char *platform, const struct facts *facts,
                   int64_t now_s);

/* One host of the last 24 hours: `seen[FACT]` says that the fact was observed within them. Called under the lock: it must not wait. */
typedef void observed_fn(void *owner, const char *platform, const bool seen[FACT_COUNT]);
/* Returns how many hosts there was no room for. */
uint64_t observed_each(struct observed *o, int64_t now_s, observed_fn *each, void *owner);

#endif
