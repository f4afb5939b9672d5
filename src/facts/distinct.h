/* distinct.h: how many different ones were seen in the last days. Exact for up to 16; past that a fixed sketch that never says more than
 * it can vouch for: who asks whether something is rare may be told "rare" too often, not too seldom.
 *
 * The sketch is a linear counter (Whang, Vander-Zanden, Taylor 1990) of 256 cells, each with the day on which it was last hit,
 * so that old ones leave it by themselves. rarity's sets are made of these. Pure: malloc. */
#ifndef EXEAT_FACTS_DISTINCT_H
#define EXEAT_FACTS_DISTINCT_H

#include "base/buf.h"

enum {
    DISTINCT_EXACT_MAX = 16,
    DISTINCT_CELLS = 256,
    DISTINCT_WINDOW_MAX_DAYS = 120,
    DISTINCT_ENCODED_MAX_BYTES = 4 + DISTINCT_CELLS,
};

/* Zeroed is empty. */
struct distinct {
    void *data;       /* owned: items (exact) or cells (sketch); NULL while empty */
    uint8_t count;    /* items there are; exact only */
    uint8_t capacity; /* items there is room for; exact only */
    bool sketch;
    uint16_t day; /* the last one on which something was added */
};

/* `hash` is any good hash of what was seen, `day` counts from 1970 and doesn't go back (an earlier one is taken for the latest).
 * Without memory the newcomer isn't counted. */
void distinct_add(struct distinct *d, uint64_t hash, uint16_t day, unsigned window_days);

/* Of the `window_days` that end with `day`, both included. */
unsigned distinct_count(const struct distinct *d, uint16_t day, unsigned window_days);

/* Was it among them? Past DISTINCT_EXACT_MAX one that wasn't may be taken for one that was. */
bool distinct_has(const struct distinct *d, uint64_t hash, uint16_t day, unsigned window_days);

void distinct_free(struct distinct *d); /* leaves it empty */

/* At most DISTINCT_ENCODED_MAX_BYTES. 0, or -1 when `out` is full. */
int distinct_encode(const struct distinct *d, struct buf *out);
/* `ret` must be empty; *position moves behind what was read. PARSE_BAD leaves it empty. */
enum parse distinct_decode(struct span bytes, size_t *position, struct distinct *ret);

#endif
