/* table.c: see table.h. */
#include "flow/table.h"

#include "base/must.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { STRIPES = 64, BUCKETS_MIN = STRIPES };

struct table {
    pthread_mutex_t locks[STRIPES]; /* bucket i by lock i % STRIPES */
    uint8_t *entries;               /* owned: buckets of TABLE_BUCKET_ENTRIES */
    atomic_bool *dirty;             /* owned: of a bucket; lets a sweep pass by without its lock */
    size_t entry_bytes, mask;       /* number of buckets - 1 */
    table_drop_fn *drop;
    void *owner; /* borrowed */
    atomic_ullong used, evicted;
};

static struct table_entry *entry_at(const struct table *t, size_t bucket, size_t i)
{
    return (struct table_entry *)(void *)(t->entries + (bucket * TABLE_BUCKET_ENTRIES + i) * t->entry_bytes);
}

static size_t bucket_of(const struct table *t, const uint8_t id[TABLE_ID_BYTES])
{
    uint64_t word;
    memcpy(&word, id, sizeof word);
    return (size_t)word & t->mask;
}

struct table *table_new(size_t entry_bytes, size_t entries, table_drop_fn *drop, void *owner)
{
    struct table *t = calloc(1, sizeof *t);
    size_t buckets = BUCKETS_MIN;
    must(entry_bytes >= sizeof(struct table_entry) && entry_bytes % sizeof(uint64_t) == 0);
    while (buckets * TABLE_BUCKET_ENTRIES < entries)
        buckets *= 2;
    if (!t)
        return NULL;
    t->entries = calloc(buckets * TABLE_BUCKET_ENTRIES, entry_bytes);
    t->dirty = calloc(buckets, sizeof *t->dirty);
    if (!t->entries || !t->dirty) {
        free(t->entries);
        free(t->dirty);
        free(t);
        return NULL;
    }
    t->entry_bytes = entry_bytes;
    t->mask = buckets - 1;
    t->drop = drop;
    t->owner = owner;
    for (int i = 0; i < STRIPES; i++)
        pthread_mutex_init(&t->locks[i], NULL);
    return t;
}

void table_free(struct table *take_t)
{
    if (!take_t)
        return;
    for (size_t bucket = 0; bucket <= take_t->mask; bucket++)
        for (size_t i = 0; i < TABLE_BUCKET_ENTRIES; i++)
            if (entry_at(take_t, bucket, i)->used)
                take_t->drop(take_t->owner, entry_at(take_t, bucket, i));
    for (int i = 0; i < STRIPES; i++)
        pthread_mutex_destroy(&take_t->locks[i]);
    free(take_t->entries);
    free(take_t->dirty);
    free(take_t);
}

static struct table_entry *find(struct table *t, size_t bucket, const uint8_t id[TABLE_ID_BYTES])
{
    for (size_t i = 0; i < TABLE_BUCKET_ENTRIES; i++) {
        struct table_entry *e = entry_at(t, bucket, i);
        if (e->used && memcmp(e->id, id, TABLE_ID_BYTES) == 0)
            return e;
    }
    return NULL;
}

struct table_entry *table_find(struct table *t, const uint8_t id[TABLE_ID_BYTES])
{
    size_t bucket = bucket_of(t, id);
    pthread_mutex_lock(&t->locks[bucket % STRIPES]);
    struct table_entry *e = find(t, bucket, id);
    if (!e)
        pthread_mutex_unlock(&t->locks[bucket % STRIPES]);
    return e;
}

static uint64_t stays_until(const struct table_entry *e)
{
    return (uint64_t)e->last_s + e->worth_s;
}

/* A free place, or that of the entry which was used longest ago. */
static struct table_entry *make_room(struct table *t, size_t bucket)
{
    struct table_entry *oldest = entry_at(t, bucket, 0);
    for (size_t i = 0; i < TABLE_BUCKET_ENTRIES; i++) {
        struct table_entry *e = entry_at(t, bucket, i);
        if (!e->used) {
            atomic_fetch_add_explicit(&t->used, 1, memory_order_relaxed);
            return e;
        }
        if (stays_until(e) < stays_until(oldest))
            oldest = e;
    }
    atomic_fetch_add_explicit(&t->evicted, 1, memory_order_relaxed);
    t->drop(t->owner, oldest);
    return oldest;
}

struct table_entry *table_make(struct table *t, const uint8_t id[TABLE_ID_BYTES])
{
    size_t bucket = bucket_of(t, id);
    pthread_mutex_lock(&t->locks[bucket % STRIPES]);
    struct table_entry *e = find(t, bucket, id);
    if (e)
        return e;
    e = make_room(t, bucket);
    memset(e, 0, t->entry_bytes);
    memcpy(e->id, id, TABLE_ID_BYTES);
    e->used = true;
    return e;
}

void table_release(struct table *t, const struct table_entry *e, bool changed)
{
    size_t bucket = (size_t)((const uint8_t *)e - t->entries) / t->entry_bytes / TABLE_BUCKET_ENTRIES;
    if (changed) {
        entry_at(t, bucket, (size_t)((const uint8_t *)e - t->entries) / t->entry_bytes % TABLE_BUCKET_ENTRIES)
            ->dirty = true;
        atomic_store_explicit(&t->dirty[bucket], true, memory_order_release);
    }
    pthread_mutex_unlock(&t->locks[bucket % STRIPES]);
}

size_t table_buckets(const struct table *t)
{
    return t->mask + 1;
}

void table_sweep(struct table *t, size_t bucket, bool everything, table_visit_fn *visit, void *owner)
{
    if (!everything && !atomic_load_explicit(&t->dirty[bucket], memory_order_acquire))
        return;
    pthread_mutex_lock(&t->locks[bucket % STRIPES]);
    atomic_store_explicit(&t->dirty[bucket], false, memory_order_relaxed);
    for (size_t i = 0; i < TABLE_BUCKET_ENTRIES; i++) {
        struct table_entry *e = entry_at(t, bucket, i);
        if (e->used && (everything || e->dirty)) {
            e->dirty = false;
            visit(owner, e);
        }
    }
    pthread_mutex_unlock(&t->locks[bucket % STRIPES]);
}

void table_each(struct table *t, table_visit_fn *visit, void *owner)
{
    for (size_t bucket = 0; bucket <= t->mask; bucket++) {
        pthread_mutex_lock(&t->locks[bucket % STRIPES]);
        for (size_t i = 0; i < TABLE_BUCKET_ENTRIES; i++) {
            struct table_entry *e = entry_at(t, bucket, i);
            if (e->used)
                visit(owner, e);
        }
        pthread_mutex_unlock(&t->locks[bucket % STRIPES]);
    }
}

void table_stats(const struct table *t, struct table_stats *ret)
{
    *ret = (struct table_stats){.used = atomic_load_explicit(&t->used, memory_order_relaxed),
                                .evicted = atomic_load_explicit(&t->evicted, memory_order_relaxed),
                                .entries = (t->mask + 1) * TABLE_BUCKET_ENTRIES};
}
