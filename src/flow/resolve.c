/* resolve.c: the name becomes addresses: the destination's, or a parent proxy's. Judging them is the next step's business.
 * A step of the hub; touches net.h's resolution. */
#include "flow/flow.h"

static void on_resolved(struct net_resolution *r)
{
    struct flow *f = r->owner;
    f->setup->resolved = true;
    flow_wake(f);
}

static enum step start(struct flow *f, struct flow_setup *s, const char *name)
{
    s->resolution = (struct net_resolution){.done = on_resolved, .owner = f};
    s->resolving = true;
    s->resolved = net_resolve(f->env->net, &s->resolution, name);
    return WAIT;
}

/* A parent is configured by name or by address; it is not judged by the guard: whoever configured it meant it. */
static enum step go_to_parent(struct flow *f, struct flow_setup *s, const struct conf_proxy *proxy)
{
    s->address_count = 0;
    if (proxy->host.is_ip)
        s->addresses[s->address_count++] = (struct endpoint){proxy->host.ip, proxy->port};
    else
        for (unsigned i = 0; i < s->resolution.count && i < FLOW_ADDRESSES; i++)
            s->addresses[s->address_count++] = (struct endpoint){s->resolution.addresses[i], proxy->port};
    return flow_goto(f, FLOW_DIAL);
}

static enum step fail_by_status(struct flow *f, enum net_dns status)
{
    static const enum reason reasons[] = {
        [NET_DNS_OK] = REASON_DNS_NOT_FOUND, /* an answer without an address */
        [NET_DNS_NOT_FOUND] = REASON_DNS_NOT_FOUND,
        [NET_DNS_FAILED] = REASON_DNS_FAILED,
        [NET_DNS_TIMEOUT] = REASON_DNS_TIMEOUT,
    };
    return flow_fail(f, reasons[status], NULL);
}

enum step flow_resolve(struct flow *f)
{
    struct flow_setup *s = flow_setup_get(f);
    if (!s)
        return flow_fail(f, REASON_NO_MEMORY, NULL);
    const struct conf_proxy *proxy = s->parent ? &s->parent->proxies[s->parent_index] : NULL;
    if (proxy && proxy->host.is_ip)
        return go_to_parent(f, s, proxy);
    if (!s->resolving)
        start(f, s, proxy ? proxy->host.name : f->x->host.name);
    if (!s->resolved)
        return WAIT;
    s->resolving = s->resolved = false; /* the result is used now; a next parent is resolved anew */
    bool good = s->resolution.status == NET_DNS_OK && s->resolution.count > 0;
    if (!good && proxy && s->parent_index + 1 < s->parent->proxy_count) {
        s->parent_index++;
        return flow_goto(f, FLOW_RESOLVE);
    }
    if (!good)
        return fail_by_status(f, s->resolution.status);
    return proxy ? go_to_parent(f, s, proxy) : flow_goto(f, FLOW_DECIDE_ADDRESS);
}
