/* dns_channel.c: a c-ares channel on the worker's loop: its sockets under uv_poll_t, its time from the wheel. When the
 * servers change a new channel takes over and the old one ends with its last query. Called by resolver.c.
 *
 * c-ares is only re-entered from its own callbacks by ares_query(), which it allows; it is destroyed from the loop. */
#include "net/dns.h"

#include "base/must.h"

#include <ares.h>
#include <stdlib.h>

enum {
    TICK_MS = 50, /* how late c-ares may notice that a server is silent */
    TRY_LEAST_MS = 100,
    TRIES = 2,               /* of each server; the second waits twice as long */
    UDP_ANSWER_BYTES = 1232, /* announced by EDNS: fits any path unfragmented (DNS flag day 2020) */
};

struct dns_socket {
    uv_poll_t poll;
    struct dns_channel *channel; /* borrowed: closes us before it goes */
    struct dns_socket *next, *prev;
    ares_socket_t fd; /* c-ares' own */
    int events;       /* wanted by c-ares */
    bool closing;
};

struct dns_channel {
    struct net *net;                 /* borrowed: outlives it */
    ares_channel ares;               /* owned */
    struct dns_channel *next, *prev; /* net's list */
    struct dns_socket *sockets;      /* owned */
    struct net_deadline tick;
    struct soon reap;
    unsigned queries; /* under way */
    bool retired;
};

/* ---- sockets ---- */

static void on_socket_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void socket_close(struct dns_socket *s)
{
    s->closing = true;
    *(s->prev ? &s->prev->next : &s->channel->sockets) = s->next;
    if (s->next)
        s->next->prev = s->prev;
    uv_close((uv_handle_t *)&s->poll, on_socket_closed);
}

static void on_socket_ready(uv_poll_t *poll, int status, int events);

static void socket_watch(struct dns_socket *s)
{
    must(uv_poll_start(&s->poll, s->events, on_socket_ready) == 0);
}

/* An error is shown to c-ares as readiness: its recv() then learns of it (ECONNREFUSED by ICMP, a TCP reset). */
static void on_socket_ready(uv_poll_t *poll, int status, int events)
{
    struct dns_socket *s = poll->data;
    if (status < 0)
        events = UV_READABLE | UV_WRITABLE;
    ares_process_fd(s->channel->ares, events & UV_READABLE ? s->fd : ARES_SOCKET_BAD,
                    events & UV_WRITABLE ? s->fd : ARES_SOCKET_BAD);
    if (status < 0 && !s->closing)
        socket_watch(s);
}

static struct dns_socket *socket_find(struct dns_channel *c, ares_socket_t fd)
{
    struct dns_socket *s = c->sockets;
    while (s && s->fd != fd)
        s = s->next;
    return s;
}

/* NULL: the query on this socket will time out. */
static struct dns_socket *socket_open(struct dns_channel *c, ares_socket_t fd)
{
    struct dns_socket *s = calloc(1, sizeof(*s));
    if (!s || uv_poll_init(&c->net->loop, &s->poll, fd) != 0) {
        free(s);
        return NULL;
    }
    s->poll.data = s;
    s->channel = c;
    s->fd = fd;
    s->next = c->sockets;
    if (s->next)
        s->next->prev = s;
    c->sockets = s;
    return s;
}

static void on_socket_state(void *data, ares_socket_t fd, int readable, int writable)
{
    struct dns_channel *c = data;
    struct dns_socket *s = socket_find(c, fd);
    int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);
    if (!events) {
        if (s)
            socket_close(s);
        return;
    }
    if (!s)
        s = socket_open(c, fd);
    if (!s || s->events == events)
        return;
    s->events = events;
    socket_watch(s);
}

/* ---- queries ---- */

static void on_tick(struct net_deadline *d)
{
    struct dns_channel *c = (struct dns_channel *)((char *)d - offsetof(struct dns_channel, tick));
    ares_process_fd(c->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    if (c->queries)
        net_deadline_set(c->net, &c->tick, TICK_MS);
}

static void on_reap(struct soon *soon)
{
    dns_channel_free((struct dns_channel *)((char *)soon - offsetof(struct dns_channel, reap)));
}

static void reap_if_idle(struct dns_channel *c)
{
    if (c->retired && c->queries == 0)
        net_soon_set(c->net, &c->reap);
}

static void on_answer(void *arg, int status, int timeouts, unsigned char *answer, int len)
{
    struct dns_query *q = arg;
    (void)timeouts;
    q->channel->queries--;
    reap_if_idle(q->channel);
    q->done(q, status, answer, len);
}

void dns_channel_query(struct dns_channel *c, struct dns_query *q, const char *name, int type)
{
    q->channel = c;
    if (c->queries++ == 0)
        net_deadline_set(c->net, &c->tick, TICK_MS);
    c->net->stats.dns_queries++;
    ares_query(c->ares, name, 1 /* IN */, type, on_answer, q);
}

/* ---- life ---- */

static int channel_init(struct dns_channel *c, int try_ms)
{
    char lookups[] = "b";
    struct ares_options o = {
        .flags = ARES_FLAG_EDNS,
        .timeout = try_ms,
        .tries = TRIES,
        .ndots = 0,
        .udp_port = c->net->dns_port,
        .tcp_port = c->net->dns_port,
        .ndomains = 0,
        .lookups = lookups,
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = c,
        .ednspsz = UDP_ANSWER_BYTES,
        .resolvconf_path = (char *)(uintptr_t)c->net->resolv_conf,
    };
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS | ARES_OPT_DOMAINS |
               ARES_OPT_LOOKUPS | ARES_OPT_UDP_PORT | ARES_OPT_TCP_PORT | ARES_OPT_SOCK_STATE_CB |
               ARES_OPT_EDNSPSZ | ARES_OPT_RESOLVCONF;
    int status = ares_init_options(&c->ares, &o, mask);
    if (status != ARES_SUCCESS)
        return status;
    const char *servers = c->net->options.dns_servers;
    if (servers)
        status = ares_set_servers_ports_csv(c->ares, servers);
    if (status != ARES_SUCCESS)
        ares_destroy(c->ares);
    return status;
}

static unsigned servers_count(struct dns_channel *c)
{
    struct ares_addr_port_node *servers = NULL;
    unsigned count = 0;
    if (ares_get_servers_ports(c->ares, &servers) != ARES_SUCCESS)
        return 1;
    for (struct ares_addr_port_node *s = servers; s; s = s->next)
        count++;
    if (servers)
        ares_free_data(servers);
    return count ? count : 1;
}

/* All tries of all servers together take about dns_timeout_ms: what outlives its lookup does so briefly. */
static int try_ms(const struct net *net, unsigned servers)
{
    unsigned ms = net->options.dns_timeout_ms / (3 * servers);
    return ms > TRY_LEAST_MS ? (int)(ms < 60000 ? ms : 60000) : TRY_LEAST_MS;
}

struct dns_channel *dns_channel_new(struct net *net, const char **ret_error)
{
    struct dns_channel *c = calloc(1, sizeof(*c));
    int status = ARES_ENOMEM;
    if (c) {
        c->net = net;
        c->tick.expired = on_tick;
        c->reap.call = on_reap;
        status = channel_init(c, try_ms(net, 1));
    }
    unsigned servers = status == ARES_SUCCESS ? servers_count(c) : 1;
    if (servers > 1) { /* only an initialised channel knows how many there are */
        ares_destroy(c->ares);
        status = channel_init(c, try_ms(net, servers));
    }
    if (status == ARES_SUCCESS) {
        c->next = net->channels;
        if (c->next)
            c->next->prev = c;
        net->channels = c;
        return c;
    }
    *ret_error = ares_strerror(status);
    free(c);
    return NULL;
}

void dns_channel_retire(struct dns_channel *take_c)
{
    take_c->retired = true;
    reap_if_idle(take_c);
}

void dns_channel_free(struct dns_channel *take_c)
{
    struct dns_channel *c = take_c;
    ares_destroy(c->ares); /* ends queries and closes sockets through the callbacks above */
    while (c->sockets)
        socket_close(c->sockets);
    *(c->prev ? &c->prev->next : &c->net->channels) = c->next;
    if (c->next)
        c->next->prev = c->prev;
    net_deadline_clear(&c->tick);
    net_soon_clear(&c->reap);
    free(c);
}
