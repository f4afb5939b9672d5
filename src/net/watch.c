/* watch.c: which streams the kernel is asked about: one epoll set a worker, itself watched by one uv_poll_t.
 *
 * A uv_poll_t for each stream would cost several system calls more a connection (it registers to test, registers again with each
 * change, and needs a turn to close); here a stream is added once, changed where it must be, and removed with its end. Called by
 * stream.c and loop.c. Touches the epoll set and nothing else of a stream but what watch_...() say. */
#include "net/internal.h"

#include "base/must.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { EVENTS_PER_TURN = 256 };

static int control(const struct net_stream *s, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = (void *)(uintptr_t)s};
    return epoll_ctl(s->net->watch.fd, operation, s->fd, &event);
}

int watch_add(struct net_stream *s, uint32_t events)
{
    s->armed = events;
    return control(s, EPOLL_CTL_ADD, events);
}

/* Errors and hang-ups are always told: when nothing is asked for, only their edges, and stream_ready() drops those. */
void watch_change(struct net_stream *s, uint32_t events)
{
    s->armed = events;
    must(control(s, EPOLL_CTL_MOD, events ? events : EPOLLET) == 0);
}

/* Asked for explicitly: a child that was forked at this moment would keep a closed socket in the set. */
void watch_remove(struct net_stream *take_s)
{
    struct watch *w = &take_s->net->watch;
    must(control(take_s, EPOLL_CTL_DEL, 0) == 0);
    if (!w->telling) {
        free(take_s);
        return;
    }
    take_s->dirty_next = w->removed; /* what was told this turn may still name it */
    w->removed = take_s;
}

static void free_removed(struct watch *w)
{
    while (w->removed) {
        struct net_stream *s = w->removed;
        w->removed = s->dirty_next;
        free(s);
    }
}

/* What doesn't fit is told the next turn: the kernel takes turns among what is ready. */
static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct net *net = poll->data;
    struct epoll_event told[EVENTS_PER_TURN];
    (void)events;
    must(status == 0);
    int count = epoll_wait(net->watch.fd, told, EVENTS_PER_TURN, 0);
    net->watch.telling = true;
    for (int i = 0; i < count; i++) {
        struct net_stream *s = told[i].data.ptr;
        if (!s->closing)
            stream_ready(s, told[i].events);
    }
    net->watch.telling = false;
    free_removed(&net->watch);
}

int watch_start(struct net *net)
{
    struct watch *w = &net->watch;
    w->fd = epoll_create1(EPOLL_CLOEXEC);
    if (w->fd < 0)
        return -errno;
    int failed = uv_poll_init(&net->loop, &w->poll, w->fd);
    if (failed) {
        close(w->fd);
        w->fd = -1;
        return failed;
    }
    w->poll.data = net;
    must(uv_poll_start(&w->poll, UV_READABLE, on_ready) == 0);
    return 0;
}

void watch_stop(struct net *net)
{
    uv_close((uv_handle_t *)&net->watch.poll, NULL);
    close(net->watch.fd);
}
