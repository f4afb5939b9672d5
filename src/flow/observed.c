/* observed.c: see observed.h. A host's row in the store has its place in memory for an id: a version, the name's hash, the platform, and for each
 * fact that was observed a hash of the fact's name, which another version of the program knows too, and when. */
#include "flow/observed.h"

#include "base/buf.h"
#include "base/le.h"
#include "base/siphash.h"
#include "store/store.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    BUCKETS = 1024,
    CLEAN_EVERY_S = 60,
    STATE_VERSION = 1,
    NAME_BYTES = 8,
    FACT_BYTES = 4,
    TIME_BYTES = 4,
    STATE_MAX_BYTES = 1 + NAME_BYTES + OBSERVED_PLATFORM_BYTES + FACT_COUNT * (FACT_BYTES + TIME_BYTES),
};

struct host {
    struct host *next; /* of the bucket */
    uint64_t name;     /* hash */
    unsigned place;    /* in memory, and in the store */
    bool dirty;        /* the store should hear of it */
    int64_t last_s;    /* of its last exchange */
    int64_t kept_s;    /* as the store knows it */
    char platform[OBSERVED_PLATFORM_BYTES];
    uint32_t seen_s[FACT_COUNT]; /* Unix time; 0: never */
};

struct observed {
    pthread_mutex_t lock;           /* guards the rest */
    struct host *buckets[BUCKETS];  /* owned */
    bool taken[OBSERVED_HOSTS_MAX]; /* places in memory */
    unsigned count;
    uint64_t left_out;
    int64_t cleaned_s;
};

static uint64_t hash(struct span text)
{
    static const uint8_t
        key[SIPHASH_KEY_BYTES]; /* who picks names for collisions hides in his own host's row */
    uint8_t digest[SIPHASH_BYTES];
    uint64_t h;
    siphash(key, text, digest);
    memcpy(&h, digest, sizeof h);
    return h;
}

static void clean(struct observed *o, int64_t before_s)
{
    for (int i = 0; i < BUCKETS; i++)
        for (struct host **at = &o->buckets[i]; *at;) {
            struct host *h = *at;
            if (h->last_s >= before_s) {
                at = &h->next;
                continue;
            }
            *at = h->next;
            o->taken[h->place] = false;
            free(h);
            o->count--;
        }
}

void observed_free(struct observed *take_o)
{
    if (!take_o)
        return;
    clean(take_o, INT64_MAX);
    pthread_mutex_destroy(&take_o->lock);
    free(take_o);
}

static struct host *find(const struct observed *o, uint64_t name)
{
    struct host *h = o->buckets[name % BUCKETS];
    while (h && h->name != name)
        h = h->next;
    return h;
}

/* NULL: there is no room, or no memory. */
static struct host *make(struct observed *o, uint64_t name)
{
    struct host **bucket = &o->buckets[name % BUCKETS],
                *h = o->count < OBSERVED_HOSTS_MAX ? calloc(1, sizeof *h) : NULL;
    if (!h)
        return NULL;
    while (o->taken[h->place])
        h->place++;
    o->taken[h->place] = true;
    h->name = name;
    h->next = *bucket;
    *bucket = h;
    o->count++;
    return h;
}

/* NULL: there is no room, or no memory. */
static struct host *find_or_make(struct observed *o, uint64_t name, int64_t now_s)
{
    struct host *h = find(o, name);
    if (h)
        return h;
    if (o->count >= OBSERVED_HOSTS_MAX && now_s - o->cleaned_s >= CLEAN_EVERY_S) {
        o->cleaned_s = now_s;
        clean(o, now_s - OBSERVED_WINDOW_S);
    }
    h = make(o, name);
    if (!h)
        o->left_out++;
    return h;
}

/* ---- the store ---- */

static uint64_t hash_of_fact(int fact)
{
    return hash(span_str(fact_table[fact].name)) & UINT32_MAX;
}

/* Outside the lock it goes to the disk: workers don't wait for that. */
static void write_state(const struct host *h, struct buf *state)
{
    static const uint8_t version = STATE_VERSION;
    buf_append(state, &version, 1);
    le_write(state, h->name, NAME_BYTES);
    buf_append(state, h->platform, sizeof h->platform);
    for (int f = 0; f < FACT_COUNT; f++) {
        if (h->seen_s[f] == 0 || h->last_s - h->seen_s[f] >= OBSERVED_WINDOW_S)
            continue;
        le_write(state, hash_of_fact(f), FACT_BYTES);
        le_write(state, h->seen_s[f], TIME_BYTES);
    }
}

static void write_host(struct store *s, const struct host *h)
{
    struct buf state;
    struct store_sighting row = {
        .kind = OBSERVED_KIND, .first_s = h->last_s, .last_s = h->last_s, .count = 1};
    memcpy(row.id, &h->place, sizeof h->place);
    buf_init(&state, STATE_MAX_BYTES);
    write_state(h, &state);
    row.state = buf_span(&state);
    if (!state.failed)
        store_write_sighting(s, &row);
    buf_free(&state);
}

/* A copy of the next one of the bucket that the store should hear of. */
static bool take_dirty(struct observed *o, int bucket, struct host *ret)
{
    bool found = false;
    pthread_mutex_lock(&o->lock);
    for (struct host *h = o->buckets[bucket]; h && !found; h = h->next) {
        if (!h->dirty)
            continue;
        found = true;
        h->dirty = false;
        h->kept_s = h->last_s;
        *ret = *h;
    }
    pthread_mutex_unlock(&o->lock);
    return found;
}

static void on_store(void *owner, struct store *s, bool everything)
{
    struct observed *o = owner;
    struct host copy;
    pthread_mutex_lock(&o->lock);
    for (int i = 0; everything && i < BUCKETS; i++)
        for (struct host *h = o->buckets[i]; h; h = h->next)
            h->dirty = true;
    pthread_mutex_unlock(&o->lock);
    for (int i = 0; i < BUCKETS; i++)
        while (take_dirty(o, i, &copy))
            write_host(s, &copy);
}

/* What this version knows of it. */
static void read_facts(struct host *h, struct span state, size_t at)
{
    uint64_t fact, seen_s;
    while (le_read(state, &at, FACT_BYTES, &fact) && le_read(state, &at, TIME_BYTES, &seen_s))
        for (int f = 0; f < FACT_COUNT; f++)
            if (hash_of_fact(f) == fact)
                h->seen_s[f] = (uint32_t)seen_s;
}

static void on_row(void *owner, const struct store_sighting *row)
{
    enum { PLATFORM_AT = 1 + NAME_BYTES, FACTS_AT = PLATFORM_AT + OBSERVED_PLATFORM_BYTES };
    struct observed *o = owner;
    size_t at = 1;
    uint64_t name;
    if (row->state.len < FACTS_AT || row->state.data[0] != STATE_VERSION ||
        !le_read(row->state, &at, NAME_BYTES, &name))
        return;
    struct host *h = find(o, name);
    if (h && h->last_s >= row->last_s) /* it had another place before */
        return;
    h = h ? h : make(o, name);
    if (!h)
        return;
    h->last_s = h->kept_s = row->last_s;
    memcpy(h->platform, row->state.data + PLATFORM_AT, sizeof h->platform - 1);
    read_facts(h, row->state, FACTS_AT);
}

struct observed *observed_new(struct store *store)
{
    struct observed *o = calloc(1, sizeof *o);
    if (!o)
        return NULL;
    pthread_mutex_init(&o->lock, NULL);
    if (store) {
        store_each_sighting(store, OBSERVED_KIND, on_row, o);
        store_add_source(store, on_store, o);
    }
    return o;
}

/* ---- noting, asking ---- */

void observed_note(struct observed *o, struct span host, const char *platform, const struct facts *facts,
                   int64_t now_s)
{
    uint64_t name = hash(host);
    pthread_mutex_lock(&o->lock);
    struct host *h = find_or_make(o, name, now_s);
    if (h) {
        h->last_s = now_s;
        if (now_s - h->kept_s >= OBSERVED_KEEP_S)
            h->dirty = true;
        if (platform[0])
            snprintf(h->platform, sizeof h->platform, "%s", platform);
        for (int i = 0; i < FACT_COUNT; i++) {
            if (facts->values[i].state < FACT_ABSENT)
                continue;
            if (now_s - h->seen_s[i] >= OBSERVED_WINDOW_S)
                h->dirty = true;
            h->seen_s[i] = (uint32_t)now_s;
        }
    }
    pthread_mutex_unlock(&o->lock);
}

uint64_t observed_each(struct observed *o, int64_t now_s, observed_fn *each, void *owner)
{
    bool seen[FACT_COUNT];
    uint64_t left_out = 0;
    for (int i = 0; i < BUCKETS; i++) {
        pthread_mutex_lock(&o->lock); /* for a few hosts at a time: workers wait for it */
        for (const struct host *h = o->buckets[i]; h; h = h->next) {
            if (now_s - h->last_s >= OBSERVED_WINDOW_S)
                continue;
            for (int f = 0; f < FACT_COUNT; f++)
                seen[f] = h->seen_s[f] != 0 && now_s - h->seen_s[f] < OBSERVED_WINDOW_S;
            each(owner, h->platform, seen);
        }
        left_out = o->left_out;
        pthread_mutex_unlock(&o->lock);
    }
    return left_out;
}
