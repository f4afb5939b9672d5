/* habit.c: see habit.h. Pure. */
#include "facts/habit.h"

#include "base/le.h"
#include "facts/volume.h"

#include <math.h>

enum {
    STEPS_A_POWER = 4,
    FLOWS_MOST = 4096,      /* that weigh: then all are halved */
    MEAN_FLOWS_MOST = 1024, /* the mean forgets at this pace */
    RATIO_UNITS = 1000000000,
};

/* Step n ends at 2^(n/4) - 1. */
static unsigned step_of(uint64_t bytes)
{
    double step = ceil(STEPS_A_POWER * log2((double)bytes + 1));
    return step >= HABIT_STEPS ? HABIT_STEPS - 1 : (unsigned)step;
}

static void halve(struct habit *h)
{
    h->flows = 0;
    for (int i = 0; i < HABIT_STEPS; i++)
        h->flows += h->steps[i] /= 2;
}

void habit_add(struct habit *h, uint64_t out, uint64_t in)
{
    double ratio = volume_ratio(out, in);
    if (isnan(ratio))
        return;
    if (h->flows >= FLOWS_MOST)
        halve(h);
    h->steps[step_of(out)]++;
    h->flows++;
    h->ratio_mean += (ratio - h->ratio_mean) / (h->flows < MEAN_FLOWS_MOST ? h->flows : MEAN_FLOWS_MOST);
}

bool habit_is_known(const struct habit *h)
{
    return h->flows >= HABIT_FLOWS_MIN;
}

uint64_t habit_p99_bytes(const struct habit *h)
{
    uint64_t below = 0;
    for (unsigned i = 0; i < HABIT_STEPS && h->flows > 0; i++) {
        below += h->steps[i];
        if (below * 100 >= (uint64_t)h->flows * 99)
            return (uint64_t)floor(exp2((double)i / STEPS_A_POWER) - 1 + 1e-6);
    }
    return 0;
}

int habit_encode(const struct habit *h, struct buf *out)
{
    int result = le_write(out, h->flows, 4);
    result |= le_write(out, (uint64_t)llround((h->ratio_mean + 1) * RATIO_UNITS), 8);
    for (int i = 0; i < HABIT_STEPS; i++)
        result |= le_write(out, h->steps[i], 2);
    return result;
}

enum parse habit_decode(struct span bytes, size_t *position, struct habit *ret)
{
    struct habit h = {0};
    uint64_t flows = 0, ratio = 0, step = 0;
    if (bytes.len < HABIT_ENCODED_BYTES || *position > bytes.len - HABIT_ENCODED_BYTES)
        return PARSE_BAD;
    le_read(bytes, position, 4, &flows);
    le_read(bytes, position, 8, &ratio);
    for (int i = 0; i < HABIT_STEPS && le_read(bytes, position, 2, &step); i++)
        h.flows += h.steps[i] = (uint16_t)step;
    if (flows != h.flows || ratio > 2 * (uint64_t)RATIO_UNITS)
        return PARSE_BAD;
    h.ratio_mean = (double)ratio / RATIO_UNITS - 1;
    *ret = h;
    return PARSE_OK;
}
