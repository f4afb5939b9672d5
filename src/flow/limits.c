/* limits.c: buckets of eight entries, found by a hash with a secret seed (a client can't choose whose bucket it fills), guarded
 * by striped locks. Who finds its bucket full is counted in the bucket's `shared`. See limits.h. */
#include "flow/limits.h"

#include "base/must.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

enum { BUCKET_ENTRIES = 8, STRIPES = 64, BUCKETS_MIN = 64, V6_PREFIX_BYTES = 8, MINUTE_MS = 60000 };

enum kind { CLIENT_FLOWS, CLIENT_REQUESTS, SENDER_EXCHANGES };

struct key {
    uint8_t kind, version;
    uint8_t bytes[16];
};

struct entry {
    struct key key;
    unsigned count;  /* 0: free */
    uint64_t minute; /* CLIENT_REQUESTS: in which `count` was counted; free once it is over */
};

struct bucket {
    struct entry entries[BUCKET_ENTRIES];
    unsigned shared;          /* connections and exchanges that found no entry */
    unsigned shared_requests; /* requests that found none, in shared_minute */
    uint64_t shared_minute;
};

struct limits {
    pthread_mutex_t locks[STRIPES]; /* bucket i by lock i % STRIPES */
    struct bucket *buckets;         /* owned */
    size_t mask;                    /* number of buckets - 1 */
    uint64_t seed[2];
    atomic_uint total;
    atomic_ullong minute; /* of the latest request: entries of earlier minutes are free */
};

/* At twice as many entries as connections, senders and clients together, a bucket is seldom full. */
static size_t bucket_count(unsigned flows_total)
{
    size_t count = BUCKETS_MIN;
    while (count * BUCKET_ENTRIES < (size_t)flows_total * 2)
        count *= 2;
    return count;
}

struct limits *limits_new(unsigned flows_total)
{
    struct limits *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    size_t count = bucket_count(flows_total);
    l->mask = count - 1;
    l->buckets = calloc(count, sizeof *l->buckets);
    if (!l->buckets || getrandom(l->seed, sizeof l->seed, 0) != (ssize_t)sizeof l->seed) {
        free(l->buckets);
        free(l);
        return NULL;
    }
    for (int i = 0; i < STRIPES; i++)
        pthread_mutex_init(&l->locks[i], NULL);
    return l;
}

void limits_free(struct limits *take_l)
{
    if (!take_l)
        return;
    for (int i = 0; i < STRIPES; i++)
        pthread_mutex_destroy(&take_l->locks[i]);
    free(take_l->buckets);
    free(take_l);
}

/* ---- the table ---- */

/* One IPv6 host has a whole /64 to choose from: it counts as one client. */
static struct key client_key(enum kind kind, const struct ip *client)
{
    struct key key = {.kind = (uint8_t)kind, .version = client->version};
    memcpy(key.bytes, client->bytes, client->version == 6 ? V6_PREFIX_BYTES : 4);
    return key;
}

static struct key sender_key(const uint8_t sender[LIMITS_SENDER_BYTES])
{
    struct key key = {.kind = SENDER_EXCHANGES};
    memcpy(key.bytes, sender, LIMITS_SENDER_BYTES);
    return key;
}

/* Multiply and fold, keyed. */
static size_t bucket_index(const struct limits *l, const struct key *key)
{
    uint64_t a[2];
    memcpy(a, key->bytes, sizeof a);
    uint64_t h = (a[0] ^ l->seed[0]) * 0x9e3779b97f4a7c15u;
    h ^= h >> 32;
    h = (h ^ a[1] ^ l->seed[1] ^ (uint64_t)key->version << 8 ^ key->kind) * 0xd6e8feb86659fd93u;
    h ^= h >> 32;
    return (size_t)h & l->mask;
}

static bool is_free(const struct entry *e, uint64_t minute)
{
    return e->count == 0 || (e->key.kind == CLIENT_REQUESTS && minute && e->minute != minute);
}

/* The entry of `key`, else a free one, else NULL. `minute` 0: there was no request yet. */
static struct entry *find_entry(struct bucket *b, const struct key *key, uint64_t minute)
{
    struct entry *vacant = NULL;
    for (int i = 0; i < BUCKET_ENTRIES; i++) {
        struct entry *e = &b->entries[i];
        if (!is_free(e, minute) && memcmp(&e->key, key, sizeof *key) == 0)
            return e;
        if (is_free(e, minute) && !vacant)
            vacant = e;
    }
    if (vacant)
        *vacant = (struct entry){.key = *key, .minute = minute};
    return vacant;
}

static bool enter(struct limits *l, const struct key *key, unsigned most)
{
    size_t index = bucket_index(l, key);
    struct bucket *b = &l->buckets[index];
    pthread_mutex_lock(&l->locks[index % STRIPES]);
    struct entry *e = find_entry(b, key, atomic_load_explicit(&l->minute, memory_order_relaxed));
    unsigned *count = e ? &e->count : &b->shared;
    bool admitted = *count < most;
    *count += admitted;
    pthread_mutex_unlock(&l->locks[index % STRIPES]);
    return admitted;
}

static void leave(struct limits *l, const struct key *key)
{
    size_t index = bucket_index(l, key);
    struct bucket *b = &l->buckets[index];
    pthread_mutex_lock(&l->locks[index % STRIPES]);
    struct entry *e = find_entry(b, key, atomic_load_explicit(&l->minute, memory_order_relaxed));
    /* One that shared and later got an entry leaves the entry first: its sum stays right. */
    if (e && e->count > 0) {
        e->count--;
    } else {
        must(b->shared > 0);
        b->shared--;
    }
    pthread_mutex_unlock(&l->locks[index % STRIPES]);
}

/* ---- what is limited ---- */

enum limits_admission limits_client_enter(struct limits *l, const struct ip *client,
                                          unsigned flows_per_client, unsigned flows_total)
{
    struct key key = client_key(CLIENT_FLOWS, client);
    if (atomic_fetch_add_explicit(&l->total, 1, memory_order_relaxed) >= flows_total) {
        atomic_fetch_sub_explicit(&l->total, 1, memory_order_relaxed);
        return LIMITS_OVER_THE_TOTAL;
    }
    if (enter(l, &key, flows_per_client))
        return LIMITS_ADMITTED;
    atomic_fetch_sub_explicit(&l->total, 1, memory_order_relaxed);
    return LIMITS_OVER_ITS_OWN;
}

void limits_client_leave(struct limits *l, const struct ip *client)
{
    struct key key = client_key(CLIENT_FLOWS, client);
    leave(l, &key);
    atomic_fetch_sub_explicit(&l->total, 1, memory_order_relaxed);
}

bool limits_client_request(struct limits *l, const struct ip *client, unsigned per_minute, uint64_t now_ms)
{
    struct key key = client_key(CLIENT_REQUESTS, client);
    uint64_t minute = now_ms / MINUTE_MS + 1;
    atomic_store_explicit(&l->minute, minute, memory_order_relaxed);
    size_t index = bucket_index(l, &key);
    struct bucket *b = &l->buckets[index];
    pthread_mutex_lock(&l->locks[index % STRIPES]);
    struct entry *e = find_entry(b, &key, minute);
    if (!e && b->shared_minute != minute) {
        b->shared_minute = minute;
        b->shared_requests = 0;
    }
    unsigned *count = e ? &e->count : &b->shared_requests;
    bool admitted = *count < per_minute;
    *count += admitted;
    pthread_mutex_unlock(&l->locks[index % STRIPES]);
    return admitted;
}

bool limits_sender_enter(struct limits *l, const uint8_t sender[LIMITS_SENDER_BYTES], unsigned most)
{
    struct key key = sender_key(sender);
    return enter(l, &key, most);
}

void limits_sender_leave(struct limits *l, const uint8_t sender[LIMITS_SENDER_BYTES])
{
    struct key key = sender_key(sender);
    leave(l, &key);
}
