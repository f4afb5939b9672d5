/* listener.c: accepts. A budget a turn keeps a storm of connections from starving the flows; running out of descriptors or
 * memory pauses the listener instead of dropping or spinning: clients wait in the backlog. Called by run/. */
#include "net/internal.h"

#include "base/log.h"
#include "base/must.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { ACCEPTS_PER_TURN = 64, PAUSE_MS = 100, PAUSE_LOG_MS = 10000 };

struct net_listener {
    uv_poll_t poll;
    struct net *net;                  /* borrowed: outlives it */
    struct net_listener *next, *prev; /* net's list */
    net_accept_fn *accepted;
    void *owner, *tag; /* borrowed until close */
    struct net_deadline pause;
    uint64_t logged_ms; /* when a pause was last said; 0 = never */
    int fd;
    bool closing;
};

int net_bind(const struct endpoint *e, const char **ret_error)
{
    struct sockaddr_storage address;
    socklen_t len = endpoint_to_sockaddr(e, &address);
    int on = 1, fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool fine = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
                setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0 &&
                (e->ip.version == 4 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0) &&
                bind(fd, (struct sockaddr *)&address, len) == 0;
    if (fine)
        return fd;
    *ret_error = strerrordesc_np(errno);
    if (fd >= 0)
        close(fd);
    return -1;
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void on_pause_over(struct net_deadline *d)
{
    struct net_listener *l = (struct net_listener *)((char *)d - offsetof(struct net_listener, pause));
    must(uv_poll_start(&l->poll, UV_READABLE, on_poll) == 0);
}

static void pause_accepting(struct net_listener *l, int error)
{
    uint64_t now = net_now_ms(l->net);
    l->net->stats.accept_paused++;
    if (l->logged_ms == 0 || now - l->logged_ms >= PAUSE_LOG_MS) {
        l->logged_ms = now;
        log_warning("net", "not accepting for %d ms: %s (%llu pauses so far)", PAUSE_MS,
                    strerrordesc_np(error), (unsigned long long)l->net->stats.accept_paused);
    }
    uv_poll_stop(&l->poll);
    net_deadline_set(l->net, &l->pause, PAUSE_MS);
}

/* True: the connection in question is gone or never was; the next one may be fine (accept(2), "Error handling"). */
static bool is_passing(int error)
{
    static const int passing[] = {EINTR,  ECONNABORTED, EPROTO,     ENETDOWN,    ENOPROTOOPT, EHOSTDOWN,
                                  ENONET, EHOSTUNREACH, EOPNOTSUPP, ENETUNREACH, EPERM,       ETIMEDOUT};
    for (size_t i = 0; i < ARRAY_LEN(passing); i++) {
        if (passing[i] == error)
            return true;
    }
    return false;
}

/* 0 and *ret, or an errno. */
static int accept_one(struct net_listener *l, struct net_stream **ret)
{
    struct sockaddr_storage peer, local;
    socklen_t peer_len = sizeof(peer), local_len = sizeof(local);
    int fd = l->net->sys->accept4(l->fd, (struct sockaddr *)&peer, &peer_len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return errno;
    if (getsockname(fd, (struct sockaddr *)&local, &local_len) != 0) {
        int error = errno;
        close(fd);
        return error;
    }
    struct net_stream *s = stream_new(l->net, fd, EPOLLIN);
    if (!s)
        return errno;
    s->peer = endpoint_from_sockaddr(&peer);
    s->local = endpoint_from_sockaddr(&local);
    *ret = s;
    return 0;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct net_listener *l = poll->data;
    (void)events;
    if (status < 0) /* libuv has stopped the handle */
        must(uv_poll_start(&l->poll, UV_READABLE, on_poll) == 0);
    for (int i = 0; i < ACCEPTS_PER_TURN && !l->closing; i++) {
        struct net_stream *s = NULL;
        int error = accept_one(l, &s);
        if (error == EAGAIN || error == EWOULDBLOCK)
            return;
        if (error && !is_passing(error)) {
            pause_accepting(l, error);
            return;
        }
        if (!error) {
            l->net->stats.accepted++;
            l->accepted(l->owner, s, l->tag);
        }
    }
}

struct net_listener *net_listen(struct net *net, int take_fd, int backlog, net_accept_fn *accepted,
                                void *owner, void *tag, const char **ret_error)
{
    struct net_listener *l = calloc(1, sizeof(*l));
    int failed = !l ? UV_ENOMEM : listen(take_fd, backlog) != 0 ? -errno : 0;
    if (!failed)
        failed = uv_poll_init(&net->loop, &l->poll, take_fd);
    if (failed) {
        *ret_error = strerrordesc_np(-failed);
        free(l);
        close(take_fd);
        return NULL;
    }
    l->poll.data = l;
    l->net = net;
    l->fd = take_fd;
    l->accepted = accepted;
    l->owner = owner;
    l->tag = tag;
    l->pause.expired = on_pause_over;
    l->next = net->listeners;
    if (l->next)
        l->next->prev = l;
    net->listeners = l;
    stream_tune(net, l->fd);
    must(uv_poll_start(&l->poll, UV_READABLE, on_poll) == 0);
    return l;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void net_listener_close(struct net_listener *take_l)
{
    struct net_listener *l = take_l;
    must(!l->closing);
    l->closing = true;
    *(l->prev ? &l->prev->next : &l->net->listeners) = l->next;
    if (l->next)
        l->next->prev = l->prev;
    net_deadline_clear(&l->pause);
    uv_close((uv_handle_t *)&l->poll, on_closed);
    close(l->fd);
}

/* Linux copies these options from a listener to what it accepts: six system calls a connection are saved. */
void listeners_tune(struct net *net)
{
    for (struct net_listener *l = net->listeners; l; l = l->next)
        stream_tune(net, l->fd);
}

void listeners_close(struct net *net)
{
    while (net->listeners)
        net_listener_close(net->listeners);
}
