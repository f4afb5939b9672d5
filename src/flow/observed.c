/* observed.c: see observed.h. */
#include "flow/observed.h"

#include "base/siphash.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUCKETS = 1024, CLEAN_EVERY_S = 60 };

struct host {
    struct host *next; /* of the bucket */
    uint64_t name;     /* hash */
    int64_t last_s;    /* of its last exchange */
    char platform[OBSERVED_PLATFORM_BYTES];
    uint32_t seen_s[FACT_COUNT]; /* Unix time; 0: never */
};

struct observed {
    pthread_mutex_t lock;          /* guards the rest */
    struct host *buckets[BUCKETS]; /* owned */
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

struct observed *observed_new(void)
{
    struct observed *o = calloc(1, sizeof *o);
    if (o)
        pthread_mutex_init(&o->lock, NULL);
    return o;
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

/* NULL: there is no room, or no memory. */
static struct host *find_or_make(struct observed *o, uint64_t name, int64_t now_s)
{
    struct host **bucket = &o->buckets[name % BUCKETS], *h = *bucket;
    while (h && h->name != name)
        h = h->next;
    if (h)
        return h;
    if (o->count >= OBSERVED_HOSTS_MAX && now_s - o->cleaned_s >= CLEAN_EVERY_S) {
        o->cleaned_s = now_s;
        clean(o, now_s - OBSERVED_WINDOW_S);
    }
    h = o->count < OBSERVED_HOSTS_MAX ? calloc(1, sizeof *h) : NULL;
    if (!h) {
        o->left_out++;
        return NULL;
    }
    h->name = name;
    h->next = *bucket;
    *bucket = h;
    o->count++;
    return h;
}

void observed_note(struct observed *o, struct span host, const char *platform, const struct facts *facts,
                   int64_t now_s)
{
    uint64_t name = hash(host);
    pthread_mutex_lock(&o->lock);
    struct host *h = find_or_make(o, name, now_s);
    if (h) {
        h->last_s = now_s;
        if (platform[0])
            snprintf(h->platform, sizeof h->platform, "%s", platform);
        for (int i = 0; i < FACT_COUNT; i++)
            if (facts->values[i].state >= FACT_ABSENT)
                h->seen_s[i] = (uint32_t)now_s;
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
