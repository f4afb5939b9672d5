/* habit.h: how a sender's flows usually are: how much each sends, and how that compares with what it receives; so that one that
 * sends far more than usual stands out (T03, T04). A histogram of bytes sent, in steps of a quarter power of two, and a running
 * mean of the producer-consumer ratio; old flows weigh less as new ones come. Pure. */
#ifndef EXEAT_FACTS_HABIT_H
#define EXEAT_FACTS_HABIT_H

#include "base/buf.h"

enum {
    HABIT_STEPS = 160,    /* 2^40 bytes and more in the last */
    HABIT_FLOWS_MIN = 20, /* fewer are no habit */
    HABIT_ENCODED_BYTES = 4 + 8 + HABIT_STEPS * 2,
};

/* Zeroed is empty. */
struct habit {
    uint32_t flows; /* that weigh: the sum of the steps */
    double ratio_mean;
    uint16_t steps[HABIT_STEPS];
};

/* A flow that has ended. */
void habit_add(struct habit *h, uint64_t out, uint64_t in);

bool habit_is_known(const struct habit *h); /* HABIT_FLOWS_MIN flows or more */
/* What 99 of 100 flows sent at most: the upper end of its step, at most 19 % above the exact value. 0 without flows. */
uint64_t habit_p99_bytes(const struct habit *h);

int habit_encode(const struct habit *h, struct buf *out); /* exactly HABIT_ENCODED_BYTES */
enum parse habit_decode(struct span bytes, size_t *position, struct habit *ret);

#endif
