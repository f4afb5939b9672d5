/* table.h: the one kind of object that threads share and change: a fixed number of entries, found by id, in buckets of eight with
 * striped locks. Full buckets give up the entry that was used longest ago, so that memory never grows. What an entry is, the user of the
 * table says; its struct begins with a struct table_entry.
 *
 * flow/sightings.c and flow/pairs.c call in; touches mutexes only. */
#ifndef EXEAT_FLOW_TABLE_H
#define EXEAT_FLOW_TABLE_H

#include "base/span.h"

enum { TABLE_ID_BYTES = 16, TABLE_BUCKET_ENTRIES = 8 };

struct table_entry {
    uint8_t id[TABLE_ID_BYTES];
    uint32_t last_s;  /* when it was used last: seconds since 1970 */
    uint32_t worth_s; /* its user's: how much longer than others it stays when room is needed */
    bool used, dirty; /* dirty: changed since the last sweep */
};

/* Called when an entry gives way to another, and for all at the end: frees what it owns. Locked. */
typedef void table_drop_fn(void *owner, struct table_entry *e);

struct table;

/* For at least `entries`, `entry_bytes` each. NULL without memory. `owner` is borrowed for the table's life. */
struct table *table_new(size_t entry_bytes, size_t entries, table_drop_fn *drop, void *owner);
void table_free(struct table *take_t);

/* Ids must be well mixed (a keyed digest). Both lock the entry's stripe when they return one: table_release() must follow, soon.
 * Nothing else of this table may be called in between. */
struct table_entry *table_find(struct table *t, const uint8_t id[TABLE_ID_BYTES]); /* NULL: not there */
/* A new one is zeroed but for id and `used`. Never NULL. */
struct table_entry *table_make(struct table *t, const uint8_t id[TABLE_ID_BYTES]);
void table_release(struct table *t, const struct table_entry *e, bool changed);

/* Visits the entries of one bucket of table_buckets(), which are dirty unless `everything`; they are dirty no more. Locked. */
typedef void table_visit_fn(void *owner, struct table_entry *e);
size_t table_buckets(const struct table *t);
void table_sweep(struct table *t, size_t bucket, bool everything, table_visit_fn *visit, void *owner);

/* Visits all entries of all buckets, and leaves them as they are. Locked. */
void table_each(struct table *t, table_visit_fn *visit, void *owner);

struct table_stats {
    uint64_t used, evicted;
    size_t entries; /* there is room for */
};
void table_stats(const struct table *t, struct table_stats *ret);

#endif
