/* agent_history.h: what a sender's lineage did lately, as an answer's member `history` tells it (agent_protocol.h): written by
 * the agent, decoded by the proxy's link, read by flow/ and the records. A decoded one is never changed; its count is
 * atomic because it goes with the sender. Pure. */
#ifndef EXEAT_WIRE_AGENT_HISTORY_H
#define EXEAT_WIRE_AGENT_HISTORY_H

#include "base/arena.h"
#include "base/span.h"
#include "exeat/agent_protocol.h"

#include <stdatomic.h>

struct json;   /* base/json.h */
struct json_t; /* jansson.h */

enum agent_history_kind {
#define X(name, text, doc) AGENT_HISTORY_##name,
    AGENT_HISTORY_KINDS(X)
#undef X
        AGENT_HISTORY_KIND_COUNT
};

enum { AGENT_HISTORY_ARENA_BYTES = 256 * 1024 };

struct agent_history_row {
    enum agent_history_kind kind;
    const char
        *class_name; /* views, like the next two: into the writer's memory, or into `arena`; NULL: none */
    const char *name, *path;
    uint64_t count;
    bool at_least;           /* there may have been more */
    int64_t first_s, last_s; /* ago */
    int64_t pid, bytes;      /* of the latest; -1: none */
};

/* Times are Unix milliseconds. */
struct agent_usage {
    int64_t executions, executions_first_ms, executions_last_ms;
    int64_t connections, connections_first_ms, connections_last_ms;
    int64_t connected_executions;
    /* of the last days alone; 0 days: not told */
    int64_t recent_days, recent_executions, recent_connected;
};

/* What an agent missed or had to forget since it began. */
struct agent_losses {
    int64_t events, files, forgotten;
};

struct agent_history {
    atomic_uint refs;
    struct arena arena; /* of a decoded one */
    int64_t window_s;
    struct agent_history_row rows[AGENT_HISTORY_ROWS_MAX];
    size_t row_count;
    int64_t lost_events, lost_files, forgotten;
    unsigned not_observable; /* a bit for each kind */
    bool has_usage;
    struct agent_usage usage;
    const char *json; /* decoded ones: the same as one JSON object, for records */
    struct span
        sensitive[AGENT_HISTORY_ROWS_MAX]; /* decoded ones: classes of SENSITIVE_ACCESS; views into `arena` */
    size_t sensitive_count;
};

const char *agent_history_kind_name(enum agent_history_kind kind);

/* A list of names of kinds, from a bit for each; and back: names that are not known are ignored. */
void agent_history_write_kinds(unsigned kinds, struct json *j, const char *key);
unsigned agent_history_decode_kinds(const struct json_t *list); /* NULL: none */

void agent_history_write(const struct agent_history *h, struct json *j, const char *key);

/* One reference, or NULL: the object breaks the protocol. */
struct agent_history *agent_history_decode(const struct json_t *object);

/* Differs when other kinds or classes were seen; ages and counts do not matter. 0: nothing was. */
uint64_t agent_history_signature(const struct agent_history *h);

struct agent_history *agent_history_ref(struct agent_history *h); /* NULL gives NULL */
void agent_history_unref(struct agent_history *h);                /* NULL is fine */

#endif
