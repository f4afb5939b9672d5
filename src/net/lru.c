/* lru.c: see lru.h. */
#include "net/lru.h"

#include "base/must.h"

#include <stdlib.h>
#include <string.h>

int lru_init(struct lru *l, unsigned limit, uint64_t seed)
{
    uint64_t buckets = 16;
    while (buckets < limit)
        buckets *= 2;
    *l = (struct lru){.mask = buckets - 1, .seed = seed, .limit = limit};
    l->buckets = calloc(buckets, sizeof(*l->buckets));
    return l->buckets ? 0 : -1;
}

void lru_free(struct lru *l)
{
    must(l->count == 0);
    free(l->buckets);
    l->buckets = NULL;
}

/* FNV-1a started from the seed, with a final mix so that the low bits depend on all of it. */
static uint64_t hash_of(const struct lru *l, const char *key)
{
    uint64_t h = l->seed ^ 0xcbf29ce484222325u;
    for (const unsigned char *p = (const unsigned char *)key; *p; p++)
        h = (h ^ *p) * 0x100000001b3u;
    h ^= h >> 32;
    h *= l->seed | 1;
    return h ^ (h >> 29);
}

static void order_unlink(struct lru *l, struct lru_entry *e)
{
    *(e->newer ? &e->newer->older : &l->newest) = e->older;
    *(e->older ? &e->older->newer : &l->oldest) = e->newer;
}

static void order_push(struct lru *l, struct lru_entry *e)
{
    e->newer = NULL;
    e->older = l->newest;
    *(l->newest ? &l->newest->newer : &l->oldest) = e;
    l->newest = e;
}

struct lru_entry *lru_find(struct lru *l, const char *key)
{
    uint64_t hash = hash_of(l, key);
    struct lru_entry *e = l->buckets[hash & l->mask];
    while (e && (e->hash != hash || strcmp(e->key, key) != 0))
        e = e->chain;
    if (e && e != l->newest) {
        order_unlink(l, e);
        order_push(l, e);
    }
    return e;
}

void lru_add(struct lru *l, struct lru_entry *e)
{
    e->hash = hash_of(l, e->key);
    struct lru_entry **bucket = &l->buckets[e->hash & l->mask];
    e->chain = *bucket;
    *bucket = e;
    order_push(l, e);
    l->count++;
}

void lru_remove(struct lru *l, struct lru_entry *e)
{
    struct lru_entry **at = &l->buckets[e->hash & l->mask];
    while (*at != e) {
        must(*at);
        at = &(*at)->chain;
    }
    *at = e->chain;
    order_unlink(l, e);
    l->count--;
}

struct lru_entry *lru_take_excess(struct lru *l)
{
    if (l->count <= l->limit)
        return NULL;
    struct lru_entry *e = l->oldest;
    lru_remove(l, e);
    return e;
}
