/* channel.c: see channel.h. */
#include "agent/channel.h"

#include "base/log.h"
#include "base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PACKETS_A_TURN = 64 };

struct channel {
    uv_poll_t poll;
    int fd; /* owned */
    void (*take)(void *context, const struct packet *packet);
    void (*take_fds)(void *context, const int fds[CHANNEL_FDS]); /* NULL: descriptors are not received */
    void *context;
    bool closing, writable_wanted;
    struct buf packet;                /* the one that is being written */
    struct buf queue;                 /* lengths (4 bytes) and packets */
    uint8_t in[PACKET_BYTES_MAX + 1]; /* one more: too long shows */
};

static void on_event(uv_poll_t *poll, int status, int events);

static void listen_for(struct channel *c, bool room)
{
    c->writable_wanted = room;
    uv_poll_start(&c->poll, UV_READABLE | (room ? UV_WRITABLE : 0), on_event);
}

/* ---- out ---- */

/* 1 sent, 0 not now. A packet that cannot be sent at all is dropped. */
static int try_send(struct channel *c, struct span bytes)
{
    ssize_t n;
    do
        n = send(c->fd, bytes.data, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == ENOBUFS))
        return 0;
    if (n < 0)
        log_warning("agent", "the agent's other process cannot be told: error %d", errno);
    return 1;
}

static void drain(struct channel *c)
{
    struct span queued;
    uint32_t len;
    while ((queued = buf_span(&c->queue)).len > 0) {
        memcpy(&len, queued.data, sizeof len);
        must(queued.len >= sizeof len + len);
        if (!try_send(c, span_of(queued.data + sizeof len, len)))
            return;
        buf_consume(&c->queue, sizeof len + len);
    }
    listen_for(c, false);
}

int channel_send(struct channel *c, const struct packet *packet)
{
    buf_clear(&c->packet);
    must(packet_write(&c->packet, packet) == 0);
    struct span bytes = buf_span(&c->packet);
    uint32_t len = (uint32_t)bytes.len;
    if (buf_len(&c->queue) == 0 && try_send(c, bytes))
        return 0;
    if (buf_len(&c->queue) + sizeof len + len > CHANNEL_QUEUE_BYTES)
        return -1;
    must(buf_append(&c->queue, &len, sizeof len) == 0 && buf_append(&c->queue, bytes.data, len) == 0);
    if (!c->writable_wanted)
        listen_for(c, true);
    return 0;
}

int channel_send_fds(struct channel *c, const struct packet *packet, const int fds[CHANNEL_FDS])
{
    union {
        char bytes[CMSG_SPACE(CHANNEL_FDS * sizeof(int))];
        struct cmsghdr align;
    } control = {.bytes = {0}};
    buf_clear(&c->packet);
    must(packet_write(&c->packet, packet) == 0);
    struct span bytes = buf_span(&c->packet);
    struct iovec part = {.iov_base = (void *)(uintptr_t)bytes.data, .iov_len = bytes.len};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    size_t size = (fds[1] < 0 ? 1 : CHANNEL_FDS) * sizeof(int);
    if (fds[0] < 0 || buf_len(&c->queue) > 0)
        return -1;
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(size);
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_len = CMSG_LEN(size);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    memcpy(CMSG_DATA(head), fds, size);
    return sendmsg(c->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -1 : 0;
}

void channel_expect_fds(struct channel *c, void (*take_fds)(void *context, const int fds[CHANNEL_FDS]))
{
    c->take_fds = take_fds;
}

/* ---- in ---- */

/* Descriptors come only where they are expected: without room for them the kernel drops them. */
static ssize_t receive(struct channel *c)
{
    union {
        char bytes[CMSG_SPACE(CHANNEL_FDS * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec part = {.iov_base = c->in, .iov_len = sizeof c->in};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (!c->take_fds)
        return recv(c->fd, c->in, sizeof c->in, MSG_DONTWAIT);
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    ssize_t n = recvmsg(c->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    struct cmsghdr *head = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (head && head->cmsg_type == SCM_RIGHTS && head->cmsg_len >= CMSG_LEN(sizeof(int))) {
        int fds[CHANNEL_FDS] = {-1, -1};
        size_t size = head->cmsg_len - CMSG_LEN(0);
        memcpy(fds, CMSG_DATA(head), size < sizeof fds ? size : sizeof fds);
        c->take_fds(c->context, fds);
    }
    return n;
}

static void take_some(struct channel *c)
{
    static struct packet packet; /* large; the loop's thread only, and taken before the next one is read */
    for (int i = 0; i < PACKETS_A_TURN && !c->closing; i++) {
        ssize_t n = receive(c);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            uv_poll_stop(&c->poll); /* without a keeper: the other one is gone */
        if (n <= 0)
            return;
        if (packet_read(span_of(c->in, (size_t)n), &packet))
            c->take(c->context, &packet);
        else
            log_warning("agent", "the agent's other process sent what is no packet");
    }
}

static void on_event(uv_poll_t *poll, int status, int events)
{
    struct channel *c = poll->data;
    if (status != 0) {
        uv_poll_stop(poll);
        return;
    }
    if (events & UV_WRITABLE)
        drain(c);
    if (events & UV_READABLE)
        take_some(c);
}

/* ---- begin and end ---- */

struct channel *channel_new(uv_loop_t *loop, int take_fd,
                            void (*take)(void *context, const struct packet *packet), void *context)
{
    struct channel *c = calloc(1, sizeof *c);
    if (!c || uv_poll_init(loop, &c->poll, take_fd) != 0) {
        close(take_fd);
        free(c);
        return NULL;
    }
    c->fd = take_fd;
    c->take = take;
    c->context = context;
    c->poll.data = c;
    buf_init(&c->packet, PACKET_BYTES_MAX);
    buf_init(&c->queue, CHANNEL_QUEUE_BYTES);
    listen_for(c, false);
    return c;
}

static void on_closed(uv_handle_t *handle)
{
    struct channel *c = handle->data;
    close(c->fd);
    buf_free(&c->packet);
    buf_free(&c->queue);
    free(c);
}

void channel_close(struct channel *c)
{
    if (!c || c->closing)
        return;
    c->closing = true;
    uv_close((uv_handle_t *)&c->poll, on_closed);
}
