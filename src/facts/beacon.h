/* beacon.h: does a sender come back to a destination like clockwork? The last 48 flows of a pair: when they began, how much they sent; and
 * how many there were in each of the last 24 hours. T06 of the catalogue. Pure. */
#ifndef EXEAT_FACTS_BEACON_H
#define EXEAT_FACTS_BEACON_H

#include "base/buf.h"

enum {
    BEACON_FLOWS = 48,
    BEACON_FLOWS_MIN = 8, /* fewer have no rhythm */
    BEACON_HOURS = 24,
    BEACON_ENCODED_BYTES = 1 + 4 + BEACON_FLOWS * 8 + BEACON_HOURS * 2,
};

/* Zeroed is empty. */
struct beacon {
    uint8_t count, at;                /* flows in the ring; where the next one goes */
    uint32_t hour;                    /* the latest of `hours`, since 1970 */
    uint32_t starts_ds[BEACON_FLOWS]; /* tenths of a second since 1970, modulo 2^32: differences are right */
    uint32_t sizes[BEACON_FLOWS];     /* bytes sent; at most 2^32 - 1 */
    uint16_t hours[BEACON_HOURS];     /* flows in hour n at n modulo 24 */
};

/* A flow that has ended. */
void beacon_add(struct beacon *b, int64_t start_ms, uint64_t bytes_out);

/* Each part is 0 (none) to 1. */
struct beacon_score {
    double score;      /* the mean of the four */
    double intervals;  /* regularity of the time between flows */
    double sizes;      /* regularity of what they send */
    double duration;   /* how much of a day they span: the flows, or the hours that had any */
    double histogram;  /* how even the hours before this one are; 0 under 4 */
    double interval_s; /* the median */
};
/* `now_ms`: when one more begins, which counts as an interval; 0: none. False: there are too few. Regularity is the mean of
 * 1 - |Bowley skewness| and (median - MAD) / median, not below 0. Quartiles by linear interpolation. */
bool beacon_judge(const struct beacon *b, int64_t now_ms, struct beacon_score *ret);

int beacon_encode(const struct beacon *b, struct buf *out); /* exactly BEACON_ENCODED_BYTES */
enum parse beacon_decode(struct span bytes, size_t *position, struct beacon *ret);

#endif
