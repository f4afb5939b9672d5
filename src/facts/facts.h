/* facts.h: what is known about one exchange: a value for each row of facts.def, and for those without one, why not.
 * flow/ sets them, rules and records read them. Pure. */
#ifndef EXEAT_FACTS_FACTS_H
#define EXEAT_FACTS_FACTS_H

#include "base/arena.h"
#include "base/ip.h"

enum fact {
#define FACT(name, type, phase, moves, sigma, path, doc) FACT_##name,
#include "facts/facts.def"
#undef FACT
    FACT_COUNT
};

enum fact_type { FACT_BOOL, FACT_INT, FACT_REAL, FACT_STRING, FACT_STRINGS, FACT_IP, FACT_JSON };
enum fact_phase {
    FACT_ACCEPT,
    FACT_CONNECT,
    FACT_ADDRESS,
    FACT_HELLO,
    FACT_CHAIN,
    FACT_REQUEST,
    FACT_RESPONSE,
    FACT_RELAY,
    FACT_CLOSE
};
enum fact_moves { FACT_FINAL, FACT_RISING, FACT_RUNNING };

/* PENDING: its phase is still to come. UNOBSERVABLE: this flow's path will never show it. ABSENT: looked, not there. */
enum fact_state { FACT_PENDING, FACT_UNOBSERVABLE, FACT_ABSENT, FACT_KNOWN };

struct fact_row {
    const char *name, *sigma, *path, *doc;
    enum fact_type type;
    enum fact_phase phase;
    enum fact_moves moves;
};
extern const struct fact_row fact_table[FACT_COUNT];

struct fact_value {
    enum fact_state state;
    uint32_t count; /* STRINGS: items; STRING, JSON: bytes */
    union {
        int64_t integer; /* BOOL too */
        double real;
        const char *text;         /* view into the exchange's memory */
        const struct span *items; /* view into the exchange's memory */
        const struct ip *ip;      /* view into the flow */
    } as;
};

struct facts {
    struct fact_value values[FACT_COUNT];
};

void fact_set_int(struct facts *f, enum fact which, int64_t value);
/* A value that is no number (NaN, infinite) is ABSENT. */
void fact_set_real(struct facts *f, enum fact which, double value);
void fact_set_bool(struct facts *f, enum fact which, bool value);
/* NULL or empty text is ABSENT. Views: the text must live as long as the facts, or until facts_compact(). */
void fact_set_text(struct facts *f, enum fact which, const char *text);
void fact_set_span(struct facts *f, enum fact which, struct span text);
void fact_set_items(struct facts *f, enum fact which, const struct span *items, size_t count);
void fact_set_ip(struct facts *f, enum fact which, const struct ip *ip);

/* What belongs to `phase` and is still pending will not come any more. */
void facts_settle(struct facts *f, enum fact_phase phase, enum fact_state as);

/* Copies every text into one block, so that what it was a view into can go: returned for the caller to free() after the
 * facts; NULL without memory (nothing changed). IP and JSON values stay views. */
void *facts_compact(struct facts *f);

#endif
