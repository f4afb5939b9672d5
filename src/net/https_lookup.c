/* https_lookup.c: the HTTPS records of a name (net_https_ask() of net.h), by the resolver's channel, with a small cache. Seldom needed: for
 * hellos that hide their name. Called by flow/ after the name has passed policy. c-ares cannot cancel one query: what nobody waits for any
 * more ends by itself, and counts against LOOKUPS_MAX until then. */
#include "net/dns.h"
#include "net/lru.h"

#include "base/must.h"

#include <ares.h>
#include <stdlib.h>

enum { LOOKUPS_MAX = 256, CACHE_MAX = 128, FAILED_TTL_S = 5, NONE_TTL_S = 60, NAME_BYTES_MAX = 253 };

struct known {
    struct lru_entry entry;
    uint64_t expires_ms;
    bool answered;
    struct https_record record;
    char host[NAME_BYTES_MAX + 1];
};

struct https_room {
    struct lru cache;
    unsigned under_way;
};

struct lookup {
    struct dns_query query; /* first: c-ares' pointer is ours */
    struct net *net;        /* borrowed: outlives it */
    struct net_https *who;  /* borrowed; NULL: nobody waits any more */
    struct soon deliver;
    bool starting, ended;
    char host[NAME_BYTES_MAX + 1];
};

static struct https_room *room_of(struct net *net)
{
    if (net->https)
        return net->https;
    struct https_room *room = calloc(1, sizeof *room);
    if (room && lru_init(&room->cache, CACHE_MAX, net_random()) != 0) {
        free(room);
        room = NULL;
    }
    net->https = room;
    return room;
}

void https_room_free(struct net *net)
{
    struct https_room *room = net->https;
    if (!room)
        return;
    must(room->under_way == 0);
    for (struct lru_entry *e; (e = room->cache.newest);) {
        lru_remove(&room->cache, e);
        free(e);
    }
    lru_free(&room->cache);
    free(room);
    net->https = NULL;
}

static void keep(struct net *net, const char *host, const struct net_https *h)
{
    struct lru *cache = &net->https->cache;
    struct lru_entry *old = lru_find(cache, host);
    struct known *k = calloc(1, sizeof *k);
    if (old) {
        lru_remove(cache, old);
        free(old);
    }
    if (!k)
        return;
    uint64_t ttl_s = !h->answered                   ? FAILED_TTL_S
                     : h->record.ttl_s < NONE_TTL_S ? NONE_TTL_S
                                                    : h->record.ttl_s;
    if (ttl_s > net->options.dns_ttl_max_s && net->options.dns_ttl_max_s > 0)
        ttl_s = net->options.dns_ttl_max_s;
    k->expires_ms = net_now_ms(net) + ttl_s * 1000;
    k->answered = h->answered;
    k->record = h->record;
    memcpy(k->host, host, strlen(host) + 1);
    k->entry.key = k->host;
    lru_add(cache, &k->entry);
    for (struct lru_entry *e; (e = lru_take_excess(cache));)
        free(e);
}

static bool find(struct net *net, struct net_https *h, const char *host)
{
    const struct known *k = (struct known *)lru_find(&net->https->cache, host);
    if (!k || k->expires_ms <= net_now_ms(net))
        return false;
    h->answered = k->answered;
    h->record = k->record;
    return true;
}

static void lookup_free(struct lookup *take_l)
{
    net_soon_clear(&take_l->deliver);
    if (take_l->who)
        take_l->who->operation = NULL;
    free(take_l);
}

static void on_deliver(struct soon *soon)
{
    struct lookup *l = (struct lookup *)((char *)soon - offsetof(struct lookup, deliver));
    struct net_https *who = l->who;
    lookup_free(l);
    who->done(who);
}

static void on_answer(struct dns_query *q, int status, const uint8_t *answer, int len)
{
    struct lookup *l = (struct lookup *)q;
    struct net_https result = {0};
    bool none = status == ARES_ENODATA || status == ARES_ENOTFOUND;
    l->ended = true;
    l->net->https->under_way--;
    result.answered = none || (status == ARES_SUCCESS && answer && len > 0 &&
                               https_record_parse(span_of(answer, (size_t)len), &result.record) == PARSE_OK);
    if (status != ARES_EDESTRUCTION)
        keep(l->net, l->host, &result);
    if (l->who) {
        l->who->answered = result.answered;
        l->who->record = result.record;
    }
    if (l->starting)
        return;
    if (l->who && status != ARES_EDESTRUCTION)
        net_soon_set(l->net, &l->deliver);
    else
        lookup_free(l);
}

bool net_https_ask(struct net *net, struct net_https *h, const char *host)
{
    struct https_room *room = room_of(net);
    size_t len = strlen(host);
    h->operation = NULL;
    h->answered = false;
    h->record = (struct https_record){0};
    if (!room || len == 0 || len > NAME_BYTES_MAX || find(net, h, host))
        return true;
    struct dns_channel *channel = resolver_channel(net, host);
    struct lookup *l = channel && room->under_way < LOOKUPS_MAX ? calloc(1, sizeof *l) : NULL;
    if (!l)
        return true;
    room->under_way++;
    l->net = net;
    l->who = h;
    l->deliver.call = on_deliver;
    l->query.done = on_answer;
    memcpy(l->host, host, len + 1);
    l->starting = true;
    dns_channel_query(channel, &l->query, l->host, DNS_TYPE_HTTPS);
    l->starting = false;
    if (l->ended) {
        lookup_free(l);
        return true;
    }
    h->operation = l;
    return false;
}

void net_https_cancel(struct net *net, struct net_https *h)
{
    struct lookup *l = h->operation;
    (void)net;
    h->operation = NULL;
    if (!l)
        return;
    l->who = NULL;
    if (l->ended)
        lookup_free(l);
}
