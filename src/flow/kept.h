/* kept.h: a table (flow/table.h) that store/ keeps across restarts: entries have a kind and a name, when they were made and used, how
 * often, and a state of their own that becomes bytes and comes back. Shared by all workers, bounded: what was used longest ago gives
 * way in memory, not on disk.
 *
 * flow/sightings.c, flow/pairs.c, flow/habits.c and flow/executions.c are made of it. Touches mutexes and store/'s queue. */
#ifndef EXEAT_FLOW_KEPT_H
#define EXEAT_FLOW_KEPT_H

#include "base/buf.h"
#include "flow/table.h"

struct kept;
struct store; /* store/store.h */

enum { KEPT_NAME_MAX_BYTES = 512 };

/* Each entry's struct begins with this. */
struct kept_entry {
    struct table_entry head;
    uint32_t first_s; /* seconds since 1970 */
    uint8_t kind;     /* as in the database; never 0 */
    uint64_t count;   /* of what, the user of the table says */
    char *name;       /* owned, with `name_len` bytes; NULL when nothing is kept */
    uint32_t name_len;
};

/* What the user of the table knows about its entries. */
struct kept_type {
    size_t entry_bytes, state_max_bytes;
    void (*write)(const struct kept_entry *e, struct buf *state);
    enum parse (*read)(struct span state, struct kept_entry *e); /* into an entry without a state */
    void (*clear)(struct kept_entry *e); /* gives back what the state owns, and leaves it empty */
};

/* Reads what `store` has of `kinds` (NULL: nothing is kept) and becomes its source: before store_start(). `type` is static. NULL
 * without memory. */
struct kept *kept_new(const struct kept_type *type, const unsigned *kinds, size_t kind_count,
                      struct store *store, size_t entries);
void kept_free(struct kept *take_k); /* after store_close() */

/* As in table.h: locked until kept_release(). Names are bytes, cut at KEPT_NAME_MAX_BYTES. */
struct kept_entry *kept_find(struct kept *k, unsigned kind, struct span name); /* NULL: never noted */
/* A new one has first_s and last_s now, and count 0. */
struct kept_entry *kept_make(struct kept *k, unsigned kind, struct span name, int64_t now_s);
void kept_release(struct kept *k, const struct kept_entry *e, bool changed);

/* Every entry, locked while it is looked at. */
typedef void kept_each_fn(void *owner, const struct kept_entry *e);
void kept_each(struct kept *k, kept_each_fn *each, void *owner);

/* Of any text, keyed: never 0, the same after a restart. */
uint64_t kept_hash(const struct kept *k, struct span text);

/* Days since 1970, as facts/distinct.h counts. */
static inline uint16_t kept_day(int64_t time_s)
{
    int64_t day = time_s < 0 ? 0 : time_s / 86400;
    return (uint16_t)(day > UINT16_MAX ? UINT16_MAX : day);
}

void kept_stats(const struct kept *k, struct table_stats *ret);

#endif
