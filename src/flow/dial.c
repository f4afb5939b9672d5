/* dial.c: the connection to the address that was checked, or to a parent proxy; and TLS with the server of an https://
 * request. Steps of the hub; touch net.h's dialling, the server's side and the facts. */
#include "flow/flow.h"

#include <errno.h>
#include <stdio.h>

static void on_dialled(struct net_dialing *d)
{
    struct flow *f = d->owner;
    f->setup->dialled = true;
    flow_wake(f);
}

static enum reason reason_of(int error)
{
    switch (error) {
    case ECONNREFUSED:
        return REASON_CONNECT_REFUSED;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EADDRNOTAVAIL:
        return REASON_CONNECT_UNREACHABLE;
    case ETIMEDOUT:
        return REASON_CONNECT_TIMEOUT;
    default:
        return REASON_CONNECT_FAILED;
    }
}

static void set_address_facts(struct flow *f, const struct ip *ip)
{
    struct exchange *x = f->x;
    x->server_ip = f->server_ip = *ip;
    fact_set_ip(&x->facts, FACT_server_ip, &x->server_ip);
    decide_set_place(f, &x->facts, ip, &x->place);
    facts_settle(&x->facts, FACT_ADDRESS, FACT_ABSENT);
}

/* The next parent is tried when one cannot be reached; what it answers is another matter (parent.c). */
static enum step fail(struct flow *f, struct flow_setup *s)
{
    char text[ENDPOINT_TEXT_BYTES];
    int error = s->dialing.error;
    if (s->parent && s->parent_index + 1 < s->parent->proxy_count) {
        s->parent_index++;
        return flow_goto(f, FLOW_RESOLVE);
    }
    endpoint_format(&s->dialing.failed, text);
    return flow_fail(f, reason_of(error), "%s%s: %s", s->parent ? "parent " : "", text, strerror(error));
}

enum step dial_opened(struct flow *f)
{
    return flow_goto(f, f->server_asked ? FLOW_DECIDE_HELLO : FLOW_ESTABLISHED);
}

static enum step connected(struct flow *f, struct flow_setup *s)
{
    struct exchange *x = f->x;
    side_take(&f->server, s->dialing.stream, f, flow_ready);
    s->dialing.stream = NULL;
    f->server_host = x->host;
    f->server_port = x->port;
    f->server_https = x->https;
    f->server_ip = x->server_ip = (struct ip){0};
    if (s->parent) {
        const struct conf_proxy *p = &s->parent->proxies[s->parent_index];
        size_t size = sizeof p->host.name + 8;
        char *name = arena_alloc(&x->arena, size);
        if (name)
            snprintf(name, size, "%s:%u", p->host.name, p->port);
        fact_set_text(&x->facts, FACT_parent, name);
        facts_settle(&x->facts, FACT_ADDRESS, FACT_UNOBSERVABLE); /* the parent resolves it */
        return flow_goto(f, FLOW_PARENT);
    }
    set_address_facts(f, &net_stream_peer(f->server.stream)->ip);
    if (judge(f, FACT_ADDRESS) == MOVE)
        return MOVE;
    if (x->connect)
        return dial_opened(f);
    return flow_goto(f, x->https ? FLOW_SERVER_TLS : FLOW_INSPECT);
}

enum step flow_dial(struct flow *f)
{
    struct flow_setup *s = flow_setup_get(f);
    if (!s)
        return flow_fail(f, REASON_NO_MEMORY, NULL);
    if (!s->dialling) {
        s->dialling = true;
        s->dialled = false;
        s->dialing = (struct net_dialing){.done = on_dialled, .owner = f};
        net_dial(f->env->net, &s->dialing, s->addresses, s->address_count);
    }
    if (!s->dialled)
        return WAIT;
    s->dialling = s->dialled = false;
    return s->dialing.stream ? connected(f, s) : fail(f, s);
}
