/* counters.h: one worker's counts, from one table. The worker adds, anybody reads (relaxed atomics: each count is right
 * by itself, a set of them is not a moment in time). Pure but for the atomics. */
#ifndef EXEAT_BASE_COUNTERS_H
#define EXEAT_BASE_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

enum counter {
#define COUNTER(name, doc) COUNTER_##name,
#include "base/counters.def"
#undef COUNTER
    COUNTER_COUNT
};

struct counters {
    _Atomic uint64_t values[COUNTER_COUNT];
};

struct counter_row {
    const char *name, *doc;
};
extern const struct counter_row counter_table[COUNTER_COUNT];

static inline void counter_add(struct counters *c, enum counter which, uint64_t n)
{
    /* one writer: no locked instruction needed */
    atomic_store_explicit(&c->values[which],
                          atomic_load_explicit(&c->values[which], memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static inline uint64_t counter_get(const struct counters *c, enum counter which)
{
    return atomic_load_explicit(&c->values[which], memory_order_relaxed);
}

#endif
