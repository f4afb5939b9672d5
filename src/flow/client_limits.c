/* client_limits.c: see client_limits.h. Buckets of eight addresses, found by a hash with a secret seed (a client can't choose
 * whose bucket it fills), guarded by striped locks. A connection that finds its bucket full is counted in the bucket's `shared`. */
#include "flow/client_limits.h"

#include "base/must.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

enum { BUCKET_ENTRIES = 8, STRIPES = 64, BUCKETS_MIN = 64, V6_PREFIX_BYTES = 8 };

struct client_entry {
    uint8_t address[16], version;
    unsigned count; /* 0: free */
};

struct bucket {
    struct client_entry entries[BUCKET_ENTRIES];
    unsigned shared; /* connections of addresses that found no entry */
};

struct client_limits {
    pthread_mutex_t locks[STRIPES]; /* bucket i by lock i % STRIPES */
    struct bucket *buckets;         /* owned */
    size_t mask;                    /* number of buckets - 1 */
    uint64_t seed[2];
    atomic_uint total;
};

/* At twice as many entries as connections a bucket is seldom full. */
static size_t bucket_count(unsigned flows_total)
{
    size_t count = BUCKETS_MIN;
    while (count * BUCKET_ENTRIES < (size_t)flows_total * 2)
        count *= 2;
    return count;
}

struct client_limits *client_limits_new(unsigned flows_total)
{
    struct client_limits *l = calloc(1, sizeof *l);
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

void client_limits_free(struct client_limits *take_l)
{
    if (!take_l)
        return;
    for (int i = 0; i < STRIPES; i++)
        pthread_mutex_destroy(&take_l->locks[i]);
    free(take_l->buckets);
    free(take_l);
}

/* One IPv6 host has a whole /64 to choose from: it counts as one client. */
static struct client_entry key_of(const struct ip *client)
{
    struct client_entry key = {.version = client->version};
    memcpy(key.address, client->bytes, client->version == 6 ? V6_PREFIX_BYTES : 4);
    return key;
}

static bool same_client(const struct client_entry *a, const struct client_entry *b)
{
    return a->version == b->version && memcmp(a->address, b->address, sizeof a->address) == 0;
}

/* Multiply and fold, keyed; keys are at most nine bytes that count. */
static size_t bucket_index(const struct client_limits *l, const struct client_entry *key)
{
    uint64_t h, a;
    memcpy(&a, key->address, sizeof a);
    h = (a ^ l->seed[0]) * 0x9e3779b97f4a7c15u;
    h ^= h >> 32;
    h = (h ^ l->seed[1] ^ key->version) * 0xd6e8feb86659fd93u;
    h ^= h >> 32;
    return (size_t)h & l->mask;
}

/* The count that a new connection of `key` would join, or NULL when it has to share. */
static struct client_entry *find_entry(struct bucket *b, const struct client_entry *key)
{
    struct client_entry *vacant = NULL;
    for (int i = 0; i < BUCKET_ENTRIES; i++) {
        struct client_entry *e = &b->entries[i];
        if (e->count > 0 && same_client(e, key))
            return e;
        if (e->count == 0 && !vacant)
            vacant = e;
    }
    return vacant;
}

enum client_admission client_limits_enter(struct client_limits *l, const struct ip *client,
                                          unsigned flows_per_client, unsigned flows_total)
{
    if (atomic_fetch_add_explicit(&l->total, 1, memory_order_relaxed) >= flows_total) {
        atomic_fetch_sub_explicit(&l->total, 1, memory_order_relaxed);
        return CLIENT_OVER_THE_TOTAL;
    }
    struct client_entry key = key_of(client);
    size_t index = bucket_index(l, &key);
    struct bucket *b = &l->buckets[index];
    pthread_mutex_lock(&l->locks[index % STRIPES]);
    struct client_entry *e = find_entry(b, &key);
    unsigned *count = e ? &e->count : &b->shared;
    bool admitted = *count < flows_per_client;
    if (admitted && e) {
        key.count = e->count + 1;
        *e = key;
    } else if (admitted) {
        b->shared++;
    }
    pthread_mutex_unlock(&l->locks[index % STRIPES]);
    if (admitted)
        return CLIENT_ADMITTED;
    atomic_fetch_sub_explicit(&l->total, 1, memory_order_relaxed);
    return CLIENT_OVER_ITS_LIMIT;
}

void client_limits_leave(struct client_limits *l, const struct ip *client)
{
    struct client_entry key = key_of(client);
    size_t index = bucket_index(l, &key);
    struct bucket *b = &l->buckets[index];
    pthread_mutex_lock(&l->locks[index % STRIPES]);
    struct client_entry *e = find_entry(b, &key);
    /* A client that shared and later got an entry leaves the entry first: its sum stays right. */
    if (e && e->count > 0) {
        e->count--;
    } else {
        must(b->shared > 0);
        b->shared--;
    }
    pthread_mutex_unlock(&l->locks[index % STRIPES]);
    atomic_fetch_sub_explicit(&l->total, 1, memory_order_relaxed);
}
