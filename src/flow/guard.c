/* guard.c: addresses that are never dialled, whatever the baseline says: this proxy and this host themselves, and the
 * special-purpose ranges that configuration doesn't open. Called at DECIDE(address). Pure but for reading the flow. */
#include "flow/flow.h"

/* Our own listeners are never a destination, not even when their network is allowed: it would be a loop. */
static bool is_own_listener(const struct flow *f, const struct ip *ip, uint16_t port)
{
    const struct conf *c = flow_conf(f);
    const struct conf_endpoints *lists[] = {&c->listen.addresses, &c->listen.tls_addresses};
    static const struct ip any[] = {{.version = 4}, {.version = 6}};
    for (size_t l = 0; l < 2; l++)
        for (size_t i = 0; i < lists[l]->count; i++) {
            const struct endpoint *e = &lists[l]->items[i];
            bool wildcard = ip_equal(&e->ip, &any[0]) || ip_equal(&e->ip, &any[1]);
            bool ours = ip_equal(&e->ip, ip);
            for (size_t n = 0; wildcard && !ours && n < f->snapshot->own_count; n++)
                ours = ip_equal(&f->snapshot->own_addresses[n], ip);
            if (ours && e->port == port)
                return true;
        }
    return false;
}

const char *guard_refuses(const struct flow *f, const struct ip *ip, uint16_t port)
{
    if (is_own_listener(f, ip, port))
        return "the proxy itself";
    const char *range = ip_special_range(ip);
    for (size_t n = 0; !range && n < f->snapshot->own_count; n++)
        if (ip_equal(&f->snapshot->own_addresses[n], ip))
            range = "the proxy's own host";
    if (!range || conf_network_has(&flow_conf(f)->guard.allow_networks, ip))
        return NULL;
    return range;
}
