/* lru.h: a bounded map from a string to whatever the entry is embedded in, least recently used first to go. The DNS
 * cache, the lookups under way and the senders of an agent link are such maps. Keyed hash: the names come from clients.
 * Called by resolver.c and agent_link.c; touches malloc only. */
#ifndef EXEAT_NET_LRU_H
#define EXEAT_NET_LRU_H

#include <stdint.h>

struct lru_entry {
    struct lru_entry *chain;         /* borrowed while in the map: the bucket's list */
    struct lru_entry *newer, *older; /* borrowed while in the map */
    const char *key;                 /* view into what the entry is embedded in */
    uint64_t hash;
};

struct lru {
    struct lru_entry **buckets; /* owned */
    uint64_t mask, seed;
    struct lru_entry *newest, *oldest; /* borrowed: entries belong to who added them */
    unsigned count, limit;
};

/* Room for `limit` entries (0: nothing ever stays). 0, or -1 without memory. */
int lru_init(struct lru *l, unsigned limit, uint64_t seed);
void lru_free(struct lru *l); /* the entries must have been removed */

/* NULL when absent; a found entry becomes the newest. */
struct lru_entry *lru_find(struct lru *l, const char *key);
/* e->key is set and not in the map. */
void lru_add(struct lru *l, struct lru_entry *e);
void lru_remove(struct lru *l, struct lru_entry *e);
/* Removes and returns the oldest while there are more than the limit; NULL when there are not. */
struct lru_entry *lru_take_excess(struct lru *l);

#endif
