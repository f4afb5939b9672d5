/* resolver.c: names to addresses: the hosts file, a cache that respects TTLs, and lookups (A and AAAA at once) that
 * everyone asking for the same name shares. Called by flow/ after the name itself has passed policy: a query is a word
 * said to the outside. Touches the network through dns_channel.c only.
 *
 * A lookup answers when both families have, or RESOLUTION_DELAY_MS after one has given addresses (RFC 8305, section 3; both
 * ways round, since the address guard and the dial want both), or at dns_timeout_ms. c-ares cannot cancel one query: a
 * lookup that nobody waits for any more ends by itself, fills the cache, and counts against LOOKUPS_MAX until then. */
#include "net/dns.h"
#include "net/lru.h"

#include "base/must.h"

#include <ares.h>
#include <stdlib.h>

enum {
    LOOKUPS_MAX = 2048,
    NAME_BYTES_MAX = 253,
    RESOLUTION_DELAY_MS = 50,
    FILES_LOOK_MS = 1000,
    NOT_FOUND_TTL_S = 5,
    FAILED_TTL_S = 1, /* RFC 9520, section 3.2: at least that */
    FAMILIES = 2,
};

static const struct {
    int type, address_bytes;
} families[FAMILIES] = {{28, 16}, {1, 4}};

struct cached {
    struct lru_entry entry;
    uint64_t expires_ms;
    enum net_dns status;
    unsigned count;
    struct ip *addresses; /* view into what follows the struct */
    char *host;           /* likewise */
};

struct waiter {
    struct waiter *next, *prev;
    struct waiter **list;              /* the lookup's, or the resolver's `answered` */
    struct net_resolution *resolution; /* borrowed until done or cancel */
    struct soon deliver;
};

struct family {
    struct dns_query query;
    struct lookup *lookup; /* borrowed: we are inside it */
    bool done;
    enum net_dns status;
    unsigned count;
    uint64_t ttl_s;
    struct ip addresses[DNS_ADDRESSES_MAX];
};

struct lookup {
    struct lru_entry entry;     /* in under_way, until it expires or ends */
    struct resolver *resolver;  /* borrowed: outlives it */
    struct lookup *next, *prev; /* the resolver's list of all */
    struct family family[FAMILIES];
    struct waiter *waiters; /* owned */
    struct net_deadline overall, delay;
    bool starting;   /* inside net_resolve(): it looks at the result itself */
    bool delay_over; /* what there is will do */
    bool expired;
    char host[NAME_BYTES_MAX + 1];
};

struct resolver {
    struct net *net;             /* borrowed: outlives it */
    struct dns_channel *channel; /* owned */
    struct lru cache, under_way;
    struct lookup *lookups;  /* owned */
    struct waiter *answered; /* owned: delivered this turn */
    unsigned lookups_count;
    struct hosts hosts;
    struct file_id hosts_id, resolv_conf_id;
    uint64_t looked_ms; /* at the files; 0 = never */
};

/* ---- the cache ---- */

static void cache_drop(struct resolver *r, struct cached *c)
{
    lru_remove(&r->cache, &c->entry);
    free(c);
}

static void cache_flush(struct resolver *r)
{
    while (r->cache.newest)
        cache_drop(r, (struct cached *)r->cache.newest);
}

static const struct cached *cache_find(struct resolver *r, const char *host)
{
    struct cached *c = (struct cached *)lru_find(&r->cache, host);
    if (c && c->expires_ms <= net_now_ms(r->net)) {
        cache_drop(r, c);
        return NULL;
    }
    return c;
}

static void cache_put(struct resolver *r, const char *host, enum net_dns status, const struct ip *addresses,
                      unsigned count, uint64_t ttl_s)
{
    uint64_t most = r->net->options.dns_ttl_max_s;
    struct cached *old = (struct cached *)lru_find(&r->cache, host);
    size_t host_bytes = strlen(host) + 1;
    struct cached *c = calloc(1, sizeof(*c) + count * sizeof(*addresses) + host_bytes);
    if (old)
        cache_drop(r, old);
    if (!c)
        return;
    ttl_s = ttl_s < most ? ttl_s : most;
    c->expires_ms = net_now_ms(r->net) + (ttl_s ? ttl_s : 1) * 1000;
    c->status = status;
    c->count = count;
    c->addresses = (struct ip *)(c + 1);
    c->host = (char *)(c->addresses + count);
    if (count)
        memcpy(c->addresses, addresses, count * sizeof(*addresses));
    memcpy(c->host, host, host_bytes);
    c->entry.key = c->host;
    lru_add(&r->cache, &c->entry);
    for (struct lru_entry *e; (e = lru_take_excess(&r->cache));)
        free(e);
}

/* ---- answers ---- */

static void answer(struct net_resolution *r, enum net_dns status, const struct ip *addresses, unsigned count)
{
    r->status = status;
    r->count = count;
    if (count)
        memcpy(r->addresses, addresses, count * sizeof(*addresses));
}

static void add_address(struct ip *addresses, unsigned *count, const struct ip *ip)
{
    for (unsigned i = 0; i < *count; i++) {
        if (ip_equal(&addresses[i], ip))
            return;
    }
    if (*count < DNS_ADDRESSES_MAX)
        addresses[(*count)++] = *ip;
}

/* What the families make together. Each keeps at least half of the room when both have more than that. */
static enum net_dns combine(const struct lookup *l, struct ip ret[DNS_ADDRESSES_MAX], unsigned *ret_count,
                            uint64_t *ret_ttl_s)
{
    enum net_dns worst = NET_DNS_NOT_FOUND;
    *ret_count = 0;
    *ret_ttl_s = UINT64_MAX;
    for (unsigned i = 0; i < FAMILIES; i++) {
        const struct family *f = &l->family[i], *other = &l->family[1 - i];
        unsigned others = other->count < DNS_ADDRESSES_MAX / 2 ? other->count : DNS_ADDRESSES_MAX / 2;
        unsigned mine = f->count < DNS_ADDRESSES_MAX - others ? f->count : DNS_ADDRESSES_MAX - others;
        for (unsigned j = 0; j < mine; j++)
            add_address(ret, ret_count, &f->addresses[j]);
        if (f->count && f->ttl_s < *ret_ttl_s)
            *ret_ttl_s = f->ttl_s;
        if (f->done && f->status > worst)
            worst = f->status;
    }
    if (*ret_count)
        return NET_DNS_OK;
    *ret_ttl_s = worst == NET_DNS_NOT_FOUND ? NOT_FOUND_TTL_S : FAILED_TTL_S;
    return worst;
}

static void waiter_unlink(struct waiter *w)
{
    *(w->prev ? &w->prev->next : w->list) = w->next;
    if (w->next)
        w->next->prev = w->prev;
}

static void waiter_link(struct waiter *w, struct waiter **list)
{
    w->list = list;
    w->prev = NULL;
    w->next = *list;
    if (w->next)
        w->next->prev = w;
    *list = w;
}

static void waiter_free(struct waiter *w)
{
    w->resolution->operation = NULL;
    waiter_unlink(w);
    net_soon_clear(&w->deliver);
    free(w);
}

static void on_deliver(struct soon *soon)
{
    struct waiter *w = (struct waiter *)((char *)soon - offsetof(struct waiter, deliver));
    struct net_resolution *r = w->resolution;
    waiter_free(w);
    r->done(r);
}

/* Everyone waiting is told, from the loop. */
static void lookup_answer(struct lookup *l, enum net_dns status, const struct ip *addresses, unsigned count)
{
    while (l->waiters) {
        struct waiter *w = l->waiters;
        answer(w->resolution, status, addresses, count);
        waiter_unlink(w);
        waiter_link(w, &l->resolver->answered);
        net_soon_set(l->resolver->net, &w->deliver);
    }
}

/* ---- lookups ---- */

static void lookup_free(struct lookup *l)
{
    struct resolver *r = l->resolver;
    must(!l->waiters);
    if (!l->expired)
        lru_remove(&r->under_way, &l->entry);
    *(l->prev ? &l->prev->next : &r->lookups) = l->next;
    if (l->next)
        l->next->prev = l->prev;
    net_deadline_clear(&l->overall);
    net_deadline_clear(&l->delay);
    r->lookups_count--;
    free(l);
}

/* Both families are done. */
static void lookup_end(struct lookup *l)
{
    struct ip addresses[DNS_ADDRESSES_MAX];
    unsigned count;
    uint64_t ttl_s;
    enum net_dns status = combine(l, addresses, &count, &ttl_s);
    lookup_answer(l, status, addresses, count);
    if (status != NET_DNS_TIMEOUT)
        cache_put(l->resolver, l->host, status, addresses, count, ttl_s);
    lookup_free(l);
}

static void on_delay_over(struct net_deadline *d)
{
    struct lookup *l = (struct lookup *)((char *)d - offsetof(struct lookup, delay));
    struct ip addresses[DNS_ADDRESSES_MAX];
    unsigned count;
    uint64_t ttl_s;
    l->delay_over = true;
    enum net_dns status = combine(l, addresses, &count, &ttl_s);
    lookup_answer(l, status, addresses, count);
}

static void on_overall(struct net_deadline *d)
{
    struct lookup *l = (struct lookup *)((char *)d - offsetof(struct lookup, overall));
    lru_remove(&l->resolver->under_way, &l->entry);
    l->expired = true;
    lookup_answer(l, NET_DNS_TIMEOUT, NULL, 0);
}

/* What went wrong, by c-ares' word. Everything else is FAILED. */
static enum net_dns status_from_ares(int status)
{
    static const struct {
        int ares;
        enum net_dns status;
    } rows[] = {
        {ARES_SUCCESS, NET_DNS_OK},          {ARES_ENODATA, NET_DNS_NOT_FOUND},
        {ARES_ENOTFOUND, NET_DNS_NOT_FOUND}, {ARES_EBADNAME, NET_DNS_NOT_FOUND},
        {ARES_ETIMEOUT, NET_DNS_TIMEOUT},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].ares == status)
            return rows[i].status;
    }
    return NET_DNS_FAILED;
}

static int parse_answer(struct family *f, int bytes, const uint8_t *data, int len)
{
    struct ares_addrttl v4[64];
    struct ares_addr6ttl v6[64];
    int n = 64, status = bytes == 4 ? ares_parse_a_reply(data, len, NULL, v4, &n)
                                    : ares_parse_aaaa_reply(data, len, NULL, v6, &n);
    if (status != ARES_SUCCESS)
        return status;
    f->ttl_s = UINT64_MAX;
    for (int i = 0; i < n; i++) {
        int ttl = bytes == 4 ? v4[i].ttl : v6[i].ttl;
        struct ip ip = ip_from_bytes(
            bytes == 4 ? (const uint8_t *)&v4[i].ipaddr : (const uint8_t *)&v6[i].ip6addr, (size_t)bytes);
        add_address(f->addresses, &f->count, &ip);
        if (ttl < 1)
            ttl = 1;
        if ((uint64_t)ttl < f->ttl_s)
            f->ttl_s = (uint64_t)ttl;
    }
    return n > 0 ? ARES_SUCCESS : ARES_ENODATA;
}

static void on_family_done(struct dns_query *q, int status, const uint8_t *data, int len)
{
    struct family *f = (struct family *)((char *)q - offsetof(struct family, query));
    struct lookup *l = f->lookup;
    unsigned i = (unsigned)(f - l->family);
    if (status == ARES_SUCCESS)
        status = parse_answer(f, families[i].address_bytes, data, len);
    f->done = true;
    f->status = status_from_ares(status);
    if (l->starting)
        return;
    if (l->family[1 - i].done)
        lookup_end(l);
    else if (f->count && !l->expired)
        net_deadline_set(l->resolver->net, &l->delay, RESOLUTION_DELAY_MS);
}

static struct lookup *lookup_new(struct resolver *r, const char *host)
{
    struct lookup *l = r->lookups_count < LOOKUPS_MAX ? calloc(1, sizeof(*l)) : NULL;
    if (!l)
        return NULL;
    l->resolver = r;
    l->overall.expired = on_overall;
    l->delay.expired = on_delay_over;
    snprintf(l->host, sizeof(l->host), "%s", host);
    l->entry.key = l->host;
    for (unsigned i = 0; i < FAMILIES; i++) {
        l->family[i].lookup = l;
        l->family[i].query.done = on_family_done;
    }
    lru_add(&r->under_way, &l->entry);
    l->next = r->lookups;
    if (l->next)
        l->next->prev = l;
    r->lookups = l;
    r->lookups_count++;
    return l;
}

static bool lookup_wait(struct lookup *l, struct net_resolution *resolution)
{
    struct waiter *w = calloc(1, sizeof(*w));
    if (!w)
        return false;
    w->resolution = resolution;
    w->deliver.call = on_deliver;
    waiter_link(w, &l->waiters);
    resolution->operation = w;
    return true;
}

/* Sends both queries. A query may end at once (no server can be reached): both ended, the lookup is over. */
static void lookup_start(struct lookup *l)
{
    struct resolver *r = l->resolver;
    l->starting = true;
    for (unsigned i = 0; i < FAMILIES; i++)
        dns_channel_query(r->channel, &l->family[i].query, l->host, families[i].type);
    l->starting = false;
    net_deadline_set(r->net, &l->overall, r->net->options.dns_timeout_ms);
}

/* ---- asking ---- */

/* At most once a second: have /etc/hosts or the servers changed? */
static void follow_files(struct resolver *r)
{
    uint64_t now = net_now_ms(r->net);
    const char *error;
    if (r->looked_ms && now - r->looked_ms < FILES_LOOK_MS)
        return;
    r->looked_ms = now ? now : 1;
    if (file_id_update(&r->hosts_id, r->net->hosts_file))
        hosts_load(&r->hosts, r->net->hosts_file);
    if (r->net->options.dns_servers || !file_id_update(&r->resolv_conf_id, r->net->resolv_conf))
        return;
    struct dns_channel *channel = dns_channel_new(r->net, &error);
    if (!channel)
        return;
    dns_channel_retire(r->channel);
    r->channel = channel;
    cache_flush(r); /* another network may have other answers */
}

/* RFC 6761, section 6.3: such names are never asked for. */
static bool is_localhost(const char *host)
{
    static const char suffix[] = ".localhost";
    size_t len = strlen(host), suffix_len = sizeof(suffix) - 1;
    return strcmp(host, suffix + 1) == 0 ||
           (len > suffix_len && strcmp(host + len - suffix_len, suffix) == 0);
}

static bool find_here(struct resolver *r, struct net_resolution *resolution, const char *host)
{
    static const struct ip loopback[2] = {{6, {[15] = 1}}, {4, {127, 0, 0, 1}}};
    struct ip found[DNS_ADDRESSES_MAX];
    unsigned count = hosts_find(&r->hosts, host, found);
    if (count)
        answer(resolution, NET_DNS_OK, found, count);
    else if (is_localhost(host))
        answer(resolution, NET_DNS_OK, loopback, 2);
    return resolution->count > 0;
}

static bool find_cached(struct resolver *r, struct net_resolution *resolution, const char *host)
{
    const struct cached *c = cache_find(r, host);
    if (!c)
        return false;
    answer(resolution, c->status, c->addresses, c->count);
    resolution->from_cache = true;
    r->net->stats.dns_cache_hits++;
    return true;
}

/* True when the lookup can answer now: it has ended while starting, or has been waited for long enough. */
static bool find_looked_up(struct lookup *l, struct net_resolution *resolution)
{
    struct ip addresses[DNS_ADDRESSES_MAX];
    unsigned count;
    uint64_t ttl_s;
    bool both = l->family[0].done && l->family[1].done;
    if (!both && !l->delay_over)
        return false;
    enum net_dns status = combine(l, addresses, &count, &ttl_s);
    answer(resolution, status, addresses, count);
    if (both)
        lookup_end(l);
    return true;
}

bool net_resolve(struct net *net, struct net_resolution *resolution, const char *host)
{
    struct resolver *r = net->resolver;
    size_t len = strlen(host);
    resolution->operation = NULL;
    resolution->from_cache = false;
    answer(resolution, NET_DNS_NOT_FOUND, NULL, 0);
    if (len == 0 || len > NAME_BYTES_MAX)
        return true;
    follow_files(r);
    if (find_here(r, resolution, host) || find_cached(r, resolution, host))
        return true;
    struct lookup *l = (struct lookup *)lru_find(&r->under_way, host);
    if (!l) {
        l = lookup_new(r, host);
        if (l)
            lookup_start(l);
    }
    if (l && find_looked_up(l, resolution))
        return true;
    if (l && lookup_wait(l, resolution))
        return false;
    answer(resolution, NET_DNS_FAILED, NULL, 0);
    return true;
}

struct dns_channel *resolver_channel(struct net *net, const char *host)
{
    struct net_resolution here = {0};
    follow_files(net->resolver);
    return find_here(net->resolver, &here, host) ? NULL : net->resolver->channel;
}

void net_resolve_cancel(struct net *net, struct net_resolution *resolution)
{
    (void)net;
    if (resolution->operation)
        waiter_free(resolution->operation);
}

/* ---- life ---- */

struct resolver *resolver_new(struct net *net, const char **ret_error)
{
    struct resolver *r = calloc(1, sizeof(*r));
    *ret_error = "out of memory";
    if (!r)
        return NULL;
    r->net = net;
    file_id_update(&r->resolv_conf_id, net->resolv_conf);
    if (lru_init(&r->cache, net->options.dns_cache_entries, net_random()) == 0 &&
        lru_init(&r->under_way, LOOKUPS_MAX, net_random()) == 0)
        r->channel = dns_channel_new(net, ret_error);
    if (r->channel)
        return r;
    free(r->cache.buckets);
    free(r->under_way.buckets);
    free(r);
    return NULL;
}

/* Servers and timeouts live in the channel. When the new servers make none, the old go on. */
void resolver_reconfigure(struct net *net)
{
    struct resolver *r = net->resolver;
    const char *error;
    struct dns_channel *channel = dns_channel_new(net, &error);
    if (!channel)
        return;
    dns_channel_retire(r->channel);
    r->channel = channel;
    r->looked_ms = 0;
    cache_flush(r);
    r->cache.limit = net->options.dns_cache_entries;
}

void resolver_free(struct resolver *take_r)
{
    struct resolver *r = take_r;
    for (struct lookup *l = r->lookups; l; l = l->next) {
        while (l->waiters)
            waiter_free(l->waiters); /* NOLINT(clang-analyzer-unix.Malloc): it leaves the list */
    }
    while (r->answered)
        waiter_free(r->answered); /* NOLINT(clang-analyzer-unix.Malloc): it leaves the list */
    while (r->net->channels)      /* their queries end; so do the lookups, for which nobody waits */
        dns_channel_free(r->net->channels);
    https_room_free(r->net);
    cache_flush(r);
    hosts_free(&r->hosts);
    must(r->lookups == NULL);
    lru_free(&r->cache);
    lru_free(&r->under_way);
    free(r);
}
