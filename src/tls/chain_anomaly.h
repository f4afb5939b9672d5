/* chain_anomaly.h: the catalogue of chain_anomalies.def as a set. Called by verify.* and by whoever writes records. Pure. */
#ifndef EXEAT_TLS_CHAIN_ANOMALY_H
#define EXEAT_TLS_CHAIN_ANOMALY_H

#include <stdbool.h>
#include <stdint.h>

enum chain_anomaly {
#define CHAIN_ANOMALY(id, name, severity, doc) CHAIN_##id,
#include "tls/chain_anomalies.def"
#undef CHAIN_ANOMALY
    CHAIN_ANOMALY_COUNT,
    CHAIN_ANOMALY_NONE = CHAIN_ANOMALY_COUNT
};
_Static_assert(CHAIN_ANOMALY_COUNT <= 64, "struct chain_set is one word");

enum chain_severity { CHAIN_SEVERITY_LOW, CHAIN_SEVERITY_MEDIUM, CHAIN_SEVERITY_HIGH };

struct chain_anomaly_row {
    const char *id, *name, *doc; /* live for ever */
    enum chain_severity severity;
};
extern const struct chain_anomaly_row chain_anomaly_table[CHAIN_ANOMALY_COUNT];

/* Zeroed is empty. A plain value. */
struct chain_set {
    uint64_t bits;
};

static inline void chain_set_add(struct chain_set *set, enum chain_anomaly a)
{
    set->bits |= UINT64_C(1) << a;
}

static inline void chain_set_merge(struct chain_set *set, struct chain_set other)
{
    set->bits |= other.bits;
}

static inline bool chain_set_has(struct chain_set set, enum chain_anomaly a)
{
    return set.bits >> a & 1;
}

/* The first member at or after `from`, CHAIN_ANOMALY_NONE at the end. */
static inline enum chain_anomaly chain_set_next(struct chain_set set, unsigned from)
{
    while (from < CHAIN_ANOMALY_COUNT && !(set.bits >> from & 1))
        from++;
    return (enum chain_anomaly)from;
}

#endif
