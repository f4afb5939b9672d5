/* anomaly.h: the catalogue of oddities (anomalies.def) as a set, and what a hello alone shows of it. Called by flow/'s HELLO
 * step, `exeat inspect hello` and whoever writes records. Pure. */
#ifndef EXEAT_FACTS_ANOMALY_H
#define EXEAT_FACTS_ANOMALY_H

#include "wire/client_hello.h"

enum anomaly {
#define ANOMALY(id, name, severity, doc) ANOMALY_##id,
#include "facts/anomalies.def"
#undef ANOMALY
    ANOMALY_COUNT,
    ANOMALY_NONE = ANOMALY_COUNT
};

enum anomaly_severity { ANOMALY_LOW, ANOMALY_MEDIUM, ANOMALY_HIGH };

struct anomaly_row {
    const char *id, *name, *doc; /* live for ever */
    enum anomaly_severity severity;
};
extern const struct anomaly_row anomaly_table[ANOMALY_COUNT];

/* Zeroed is empty. A plain value. */
struct anomaly_set {
    uint64_t bits[(ANOMALY_COUNT + 63) / 64];
};

void anomaly_set_add(struct anomaly_set *set, enum anomaly anomaly);
void anomaly_set_merge(struct anomaly_set *set, const struct anomaly_set *other);
bool anomaly_set_has(const struct anomaly_set *set, enum anomaly anomaly);
bool anomaly_set_is_empty(const struct anomaly_set *set);
/* The first member at or after `from`, ANOMALY_NONE at the end: for (a = next(s, 0); a != NONE; a = next(s, a + 1)). */
enum anomaly anomaly_set_next(const struct anomaly_set *set, unsigned from);

/* What the tunnel was opened for. Without a context, or with a field that isn't known, the anomalies that need it are not
 * looked for. */
struct hello_context {
    const char
        *connect_host; /* canonical text, an IPv6 address without brackets; borrowed; NULL when not known */
    uint16_t connect_port; /* 0 when not known */
    bool connect_is_ip;
};

/* Each of these adds to `set`; `ctx` may be NULL.
 *
 * What the record layer and the first bytes show; call it when hello_reader_feed() has answered PARSE_OK or PARSE_BAD. */
void anomaly_from_reader(const struct hello_reader *r, const struct hello_context *ctx,
                         struct anomaly_set *set);
/* What a hello that could be parsed shows. H14: with an address as CONNECT host a name can't be compared, so only an address
 * as server name can differ; ECH excuses nothing. */
void anomaly_from_hello(const struct client_hello *h, const struct hello_context *ctx,
                        struct anomaly_set *set);
/* What an error of client_hello_parse() means. */
void anomaly_from_fault(enum hello_fault fault, struct anomaly_set *set);

#endif
