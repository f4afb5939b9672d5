/* stream.c: one TCP connection (the agent's Unix socket too) as a descriptor of our own in the worker's epoll set (watch.c).
 *
 * Wants are collected and registered once, just before the poll: a flow that stops and starts reading within a turn costs
 * no system call. An error of the socket (RST) is readiness, and the next read or write says what happened. Called by flow/
 * through net.h and by the other files of net/. */
#include "net/internal.h"

#include "base/must.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

struct endpoint endpoint_from_sockaddr(const struct sockaddr_storage *address)
{
    struct endpoint e = {0};
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)address;
        e.ip = ip_from_bytes((const uint8_t *)&in->sin_addr, 4);
        e.port = ntohs(in->sin_port);
    } else if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
        e.ip = ip_from_bytes((const uint8_t *)&in6->sin6_addr, 16);
        e.port = ntohs(in6->sin6_port);
    }
    return e;
}

socklen_t endpoint_to_sockaddr(const struct endpoint *e, struct sockaddr_storage *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (e->ip.version == 4) {
        struct sockaddr_in *in = (struct sockaddr_in *)ret;
        in->sin_family = AF_INET;
        in->sin_port = htons(e->port);
        memcpy(&in->sin_addr, e->ip.bytes, 4);
        return sizeof(*in);
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(e->port);
    memcpy(&in6->sin6_addr, e->ip.bytes, 16);
    return sizeof(*in6);
}

void stream_tune(const struct net *net, int fd)
{
    int on = 1, idle = (int)net->options.tcp_keepalive_s, keepalive = idle > 0;
    int interval = idle / 4 > 1 ? idle / 4 : 1, probes = 4, timeout = (int)net->options.write_timeout_ms;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &keepalive, sizeof(keepalive));
    if (keepalive) {
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
    }
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
}

struct net_stream *stream_new(struct net *net, int take_fd, uint32_t events)
{
    struct net_stream *s = calloc(1, sizeof(*s));
    if (s) {
        s->net = net;
        s->fd = take_fd;
    }
    if (!s || watch_add(s, events) != 0) {
        int error = s ? errno : ENOMEM;
        free(s);
        close(take_fd);
        errno = error;
        return NULL;
    }
    net->stats.streams++;
    return s;
}

/* ---- readiness ---- */

static void dirty_add(struct net_stream *s)
{
    if (s->dirty || s->closing)
        return;
    s->dirty = true;
    s->dirty_prev = NULL;
    s->dirty_next = s->net->dirty;
    if (s->dirty_next)
        s->dirty_next->dirty_prev = s;
    s->net->dirty = s;
}

static void dirty_remove(struct net_stream *s)
{
    if (!s->dirty)
        return;
    s->dirty = false;
    *(s->dirty_prev ? &s->dirty_prev->dirty_next : &s->net->dirty) = s->dirty_next;
    if (s->dirty_next)
        s->dirty_next->dirty_prev = s->dirty_prev;
}

void stream_ready(struct net_stream *s, uint32_t events)
{
    unsigned ready = 0;
    if (s->armed == 0)
        return; /* it is over and was told: only its owner's close is awaited */
    if (events & (EPOLLERR | EPOLLHUP)) {
        ready = s->want;
        events = EPOLLRDHUP;
    }
    if (events & EPOLLIN) {
        ready |= s->want & NET_READABLE;
        s->noisy = !(s->want & NET_READABLE);
    }
    if (events & EPOLLOUT)
        ready |= s->want & NET_WRITABLE;
    if (events & EPOLLRDHUP) {
        if (s->want & NET_READABLE) {
            ready |= NET_READABLE;
        } else if (!s->hangup_told) {
            s->hangup_told = true;
            ready |= NET_HANGUP;
        }
    }
    dirty_add(s);
    if (ready && s->ready)
        s->ready(s->owner, s, ready);
}

/* Registering costs a system call, so reading that isn't wanted for a while (most of a flow's set-up) stays registered
 * until the peer does send something meanwhile: stream_ready() then sets `noisy`, and it is taken back. */
static void arm(struct net_stream *s)
{
    uint32_t events = 0;
    if (s->want & NET_READABLE)
        events |= EPOLLIN;
    else if (!s->hangup_told)
        events |= EPOLLRDHUP;
    if (s->want & NET_WRITABLE)
        events |= EPOLLOUT;
    bool spare_read = s->armed == EPOLLIN && events == EPOLLRDHUP && !s->noisy;
    if (events == s->armed || spare_read)
        return;
    s->noisy = false;
    watch_change(s, events);
}

void stream_arm_dirty(struct net *net)
{
    while (net->dirty) {
        struct net_stream *s = net->dirty;
        dirty_remove(s);
        arm(s);
    }
}

void net_stream_own(struct net_stream *s, void *owner, net_ready_fn *ready)
{
    s->owner = owner;
    s->ready = ready;
    dirty_add(s);
}

void net_stream_want(struct net_stream *s, unsigned ready)
{
    uint8_t want = ready & (NET_READABLE | NET_WRITABLE);
    if (s->want == want)
        return;
    s->want = want;
    dirty_add(s);
}

/* ---- bytes ---- */

void stream_fail(struct net_stream *s, int error)
{
    s->error = error;
}

void stream_read_eof(struct net_stream *s)
{
    s->hangup_told = true;
    dirty_add(s);
}

ssize_t net_stream_read(struct net_stream *s, void *ret_data, size_t size)
{
    must(size > 0);
    ssize_t n;
    do
        n = s->net->sys->recv(s->fd, ret_data, size, 0);
    while (n < 0 && errno == EINTR);
    if (n == 0)
        stream_read_eof(s);
    if (n >= 0)
        return n;
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return NET_AGAIN;
    stream_fail(s, errno);
    return NET_FAILED;
}

/* ENOBUFS and ENOMEM are the kernel's moment, not this connection's end, and a socket that is writable meanwhile
 * would be tried again at once: so they are failures. */
ssize_t net_stream_write(struct net_stream *s, const void *data, size_t len)
{
    ssize_t n;
    if (len == 0)
        return 0;
    do
        n = s->net->sys->send(s->fd, data, len, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return n;
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return NET_AGAIN;
    stream_fail(s, errno);
    return NET_FAILED;
}

int net_stream_errno(const struct net_stream *s)
{
    return s->error;
}

const struct endpoint *net_stream_peer(const struct net_stream *s)
{
    return &s->peer;
}

const struct endpoint *net_stream_local(const struct net_stream *s)
{
    return &s->local;
}

void net_stream_finish(struct net_stream *s)
{
    shutdown(s->fd, SHUT_WR);
}

/* ---- the end ---- */

void net_stream_close(struct net_stream *take_s, enum net_close how)
{
    struct net_stream *s = take_s;
    must(!s->closing);
    dirty_remove(s);
    s->closing = true;
    s->owner = NULL;
    s->ready = NULL;
    s->net->stats.streams--;
    if (how == NET_CLOSE_RST) {
        struct linger at_once = {.l_onoff = 1, .l_linger = 0};
        setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    }
    int fd = s->fd;
    watch_remove(s);
    close(fd);
}
