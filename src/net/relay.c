/* relay.c: moves bytes that nobody needs to read from one socket to another with splice(2), through a pipe that a lane
 * holds only while bytes are in it; and copies where splice does not suit. Called by flow/ for each readiness.
 *
 * What one lane can do to us is bounded: a pipe (whatever the pool has), or LANE_COPY_BYTES of remainder, never both; and
 * nothing is read while something waits to be written. Traps, all met for real:
 *  - An urgent byte stops splice with EAGAIN while poll goes on saying readable. With SO_OOBINLINE recv() takes it.
 *  - A full pipe and an empty socket are the same EAGAIN: so we only fill an empty pipe.
 *  - An unprivileged user has 16,384 pipe pages in all; beyond that new pipes hold a page or two. Such are given up.
 *  - splice to a socket whose peer is gone raises SIGPIPE (no MSG_NOSIGNAL for it): net_new() ignores that signal.
 *
 * Who wants to know whether a lane goes on being TLS gives it a record_watch. Where bytes are copied it sees them; before a splice
 * each record's header is peeked at where it lies in the socket's queue (SO_PEEK_OFF, Linux 6.9), and no more is spliced than was
 * looked at. Splicing doesn't rewind that offset, so it is set anew for every header; on older kernels such lanes copy. */
#include "net/internal.h"

#include "base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    /* The pool is a stack, so that the first pipes carry nearly everything: they are large (measured: 0.26 CPU s/GB with
     * 1 MiB, 0.39 with 256 KiB), the others leave room for more of them. A small one costs more than copying. */
    LARGE_PIPES = 8,
    PIPE_BYTES_LARGE = 1024 * 1024,
    PIPE_BYTES = 256 * 1024,
    PIPE_BYTES_LEAST = 64 * 1024,
    PIPE_RETRY_MS = 1000,
    SMALL_BYTES = 4 * 1024, /* two splices and a pipe are dearer than recv and send */
    LARGE_BYTES = 8 * 1024,
    SMALL_RECORD_BYTES = 2 * 1024, /* looking at each header of such costs more than copying them all */
    RECORDS_TO_COPY = 16,
    COPY_MOVES = 256,
    MOVES_TO_COPY = 8,
    MOVES_TO_SPLICE = 2, /* lanes begin copying: most tunnels carry a handshake and little more */
    SPLICE_FLAGS = SPLICE_F_MOVE | SPLICE_F_NONBLOCK,
};

/* ---- pipes ---- */

int pipe_pool_start(struct net *net)
{
    net->pipes.copy = malloc(LANE_COPY_BYTES);
    return net->pipes.copy ? 0 : -1;
}

static void pipe_destroy(struct net *net, struct net_pipe *p)
{
    if (p->read_fd >= 0) {
        close(p->read_fd);
        close(p->write_fd);
        net->pipes.count--;
    }
    free(p);
}

void pipe_pool_stop(struct net *net)
{
    while (net->pipes.free) {
        struct net_pipe *p = net->pipes.free;
        net->pipes.free = p->next;
        pipe_destroy(net, p);
    }
    free(net->pipes.copy);
}

/* False: the user has too many pipe pages in use (pipe(7), pipe-user-pages-soft). */
static bool pipe_size(const struct net *net, int fd)
{
    int bytes = net->pipes.count <= LARGE_PIPES ? PIPE_BYTES_LARGE : PIPE_BYTES;
    for (; bytes >= PIPE_BYTES_LEAST; bytes /= 4) {
        if (fcntl(fd, F_SETPIPE_SZ, bytes) >= 0)
            return true;
    }
    return false;
}

static struct net_pipe *pipe_create(struct net *net)
{
    int fds[2];
    struct net_pipe *p = calloc(1, sizeof(*p));
    if (!p || net->sys->pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0) {
        free(p);
        return NULL;
    }
    p->read_fd = fds[0];
    p->write_fd = fds[1];
    net->pipes.count++;
    if (!pipe_size(net, fds[0])) {
        pipe_destroy(net, p);
        return NULL;
    }
    return p;
}

static struct net_pipe *pipe_take(struct net *net)
{
    struct pipe_pool *pool = &net->pipes;
    struct net_pipe *p = pool->free;
    if (p) {
        pool->free = p->next;
        return p;
    }
    if (pool->count >= net->options.splice_pipes || net_now_ms(net) < pool->retry_ms)
        return NULL;
    p = pipe_create(net);
    if (!p)
        pool->retry_ms = net_now_ms(net) + PIPE_RETRY_MS;
    return p;
}

/* A pipe with bytes in it can't serve anybody else. */
static void pipe_give(struct net *net, struct net_pipe *p)
{
    if (p->read_fd < 0 || p->held_bytes > 0 || net->pipes.count > net->options.splice_pipes) {
        pipe_destroy(net, p);
        return;
    }
    p->next = net->pipes.free;
    net->pipes.free = p;
}

/* What a copy could not write; NULL without memory. */
static struct net_pipe *remainder_new(const uint8_t *data, size_t len)
{
    struct net_pipe *p = malloc(sizeof(*p) + len);
    if (!p)
        return NULL;
    *p = (struct net_pipe){.read_fd = -1, .write_fd = -1, .held_bytes = len};
    memcpy(p->bytes, data, len);
    return p;
}

void net_lane_drop(struct net *net, struct net_lane *lane)
{
    if (lane->pipe)
        pipe_give(net, lane->pipe);
    lane->pipe = NULL;
}

/* ---- moving ---- */

/* Counts moves of the size that would suit the other way better, and switches after several in a row. */
static void lane_learn(struct net_lane *lane, size_t bytes)
{
    bool other = lane->splice ? bytes < SMALL_BYTES : bytes >= LARGE_BYTES;
    lane->other_moves = other ? (uint8_t)(lane->other_moves + 1) : 0;
    if (lane->other_moves >= (lane->splice ? MOVES_TO_COPY : MOVES_TO_SPLICE)) {
        lane->other_moves = 0;
        lane->splice = !lane->splice;
    }
}

static ssize_t splice_retry(const struct net *net, int from, int to, size_t len)
{
    ssize_t n;
    do
        n = net->sys->splice(from, to, len, SPLICE_FLAGS);
    while (n < 0 && errno == EINTR);
    return n;
}

/* Writes some of what the lane holds: >0, NET_AGAIN or NET_FAILED. */
static ssize_t lane_write(struct net *net, struct net_pipe *p, struct net_stream *to)
{
    if (p->read_fd < 0)
        return net_stream_write(to, p->bytes + p->offset, p->held_bytes);
    ssize_t n = splice_retry(net, p->read_fd, to->fd, p->held_bytes);
    if (n > 0)
        return n;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return NET_AGAIN;
    stream_fail(to, n < 0 ? errno : EPIPE); /* 0 cannot be: the pipe has bytes */
    return NET_FAILED;
}

/* 1: nothing is held any more (an empty pipe may stay, for the next read); NET_AGAIN; NET_FAILED. */
static int lane_flush(struct net *net, struct net_lane *lane, struct net_stream *to)
{
    struct net_pipe *p = lane->pipe;
    while (p && p->held_bytes > 0) {
        ssize_t n = lane_write(net, p, to);
        if (n < 0)
            return (int)n;
        must((size_t)n <= p->held_bytes);
        p->held_bytes -= (size_t)n;
        p->offset += (size_t)n;
        lane->moved_bytes += (uint64_t)n;
    }
    if (p && p->read_fd < 0)
        net_lane_drop(net, lane);
    return 1;
}

/* ---- looking at record headers ---- */

static bool is_watched(const struct net_lane *lane)
{
    return lane->watch && lane->watch->fault == RECORD_FAULT_NONE;
}

static void show_copied(struct net_lane *lane, struct span bytes)
{
    size_t seen = lane->seen_bytes < bytes.len ? lane->seen_bytes : bytes.len;
    lane->seen_bytes -= seen;
    if (is_watched(lane))
        record_watch_feed(lane->watch, span_from(bytes, seen));
}

enum { CANNOT_PEEK = -2 };

/* Copies bytes at `offset` of the queue; how many, at most `size`; -1; or CANNOT_PEEK: this kernel can't. */
static ssize_t peek_at(const struct net_stream *from, size_t offset, uint8_t *ret, size_t size)
{
    int at = (int)offset;
    if (setsockopt(from->fd, SOL_SOCKET, SO_PEEK_OFF, &at, sizeof at) != 0)
        return CANNOT_PEEK;
    ssize_t n;
    do
        n = recv(from->fd, ret, size, MSG_PEEK | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n;
}

/* Shows every header in the queue, up to a budget. False: nothing can be spliced that was looked at. */
static bool look_ahead(struct net *net, struct net_lane *lane, const struct net_stream *from)
{
    int queued = 0;
    if (ioctl(from->fd, FIONREAD, &queued) != 0 || queued <= 0)
        return false;
    size_t end = (size_t)queued < LANE_BUDGET_BYTES ? (size_t)queued : LANE_BUDGET_BYTES,
           before = lane->seen_bytes;
    uint64_t records = lane->watch->records;
    while (lane->seen_bytes < end && is_watched(lane)) {
        size_t skip = record_watch_skippable(lane->watch), left = end - lane->seen_bytes;
        if (skip > 0) {
            skip = skip < left ? skip : left;
            record_watch_skip(lane->watch, skip);
            lane->seen_bytes += skip;
            continue;
        }
        uint8_t header[RECORD_HEADER_BYTES];
        size_t want = sizeof header - lane->watch->header_bytes;
        ssize_t n = peek_at(from, lane->seen_bytes, header, want < left ? want : left);
        if (n <= 0) {
            net->pipes.no_peek = net->pipes.no_peek || n == CANNOT_PEEK;
            break;
        }
        record_watch_feed(lane->watch, span_of(header, (size_t)n));
        lane->seen_bytes += (size_t)n;
        uint64_t count = lane->watch->records - records;
        if (count >= RECORDS_TO_COPY && (lane->seen_bytes - before) / count < SMALL_RECORD_BYTES) {
            lane->copy_moves = COPY_MOVES;
            break;
        }
    }
    int off = -1;
    setsockopt(from->fd, SOL_SOCKET, SO_PEEK_OFF, &off, sizeof off); /* whoever peeks next means the head */
    return lane->seen_bytes > 0 || !is_watched(lane);
}

/* Each of the fill functions: bytes taken from `from` (>0), 0 at its FIN, NET_AGAIN or NET_FAILED (on the side that
 * *ret_failed names). */
static ssize_t fill_by_copy(struct net *net, struct net_lane *lane, struct net_stream *from,
                            struct net_stream *to, enum net_lane_state *ret_failed)
{
    uint8_t *data = net->pipes.copy;
    ssize_t n = net_stream_read(from, data, LANE_COPY_BYTES), written;
    *ret_failed = NET_LANE_READ_FAILED;
    if (n <= 0)
        return n;
    net_lane_drop(net, lane);
    show_copied(lane, span_of(data, (size_t)n));
    written = net_stream_write(to, data, (size_t)n);
    *ret_failed = NET_LANE_WRITE_FAILED;
    if (written == NET_FAILED)
        return NET_FAILED;
    size_t done = written > 0 ? (size_t)written : 0;
    lane->moved_bytes += done;
    if (done == (size_t)n)
        return n;
    lane->pipe = remainder_new(data + done, (size_t)n - done);
    if (!lane->pipe) {
        stream_fail(to, ENOMEM);
        return NET_FAILED;
    }
    return n;
}

/* An EAGAIN that isn't: something lies before the reader which splice does not take (urgent data). */
static bool is_stuck(const struct net_stream *from)
{
    int queued = 0;
    return ioctl(from->fd, FIONREAD, &queued) == 0 && queued > 0;
}

static ssize_t fill_by_splice(struct net *net, struct net_lane *lane, struct net_stream *from,
                              struct net_stream *to, enum net_lane_state *ret_failed)
{
    if (is_watched(lane) && !look_ahead(net, lane, from))
        return fill_by_copy(net, lane, from, to, ret_failed);
    size_t most = is_watched(lane) ? lane->seen_bytes : LANE_BUDGET_BYTES;
    ssize_t n = splice_retry(net, from->fd, lane->pipe->write_fd, most);
    *ret_failed = NET_LANE_READ_FAILED;
    if (n > 0) {
        lane->seen_bytes -= (size_t)n < lane->seen_bytes ? (size_t)n : lane->seen_bytes;
        lane->pipe->held_bytes += (size_t)n;
        return n;
    }
    if (n == 0) {
        stream_read_eof(from);
        return 0;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return is_stuck(from) ? fill_by_copy(net, lane, from, to, ret_failed) : NET_AGAIN;
    if (errno == ENOMEM || errno == EINVAL) /* splice itself, not the connection: recv says more */
        return fill_by_copy(net, lane, from, to, ret_failed);
    stream_fail(from, errno);
    return NET_FAILED;
}

static ssize_t lane_fill(struct net *net, struct net_lane *lane, struct net_stream *from,
                         struct net_stream *to, enum net_lane_state *ret_failed)
{
    bool watched = is_watched(lane),
         splice = lane->splice && !(watched && (net->pipes.no_peek || lane->copy_moves));
    lane->copy_moves = (uint16_t)(lane->copy_moves - (watched && lane->copy_moves > 0));
    if (splice && !lane->pipe)
        lane->pipe = pipe_take(net);
    ssize_t n = splice && lane->pipe ? fill_by_splice(net, lane, from, to, ret_failed)
                                     : fill_by_copy(net, lane, from, to, ret_failed);
    if (n > 0)
        lane_learn(lane, (size_t)n);
    return n;
}

static enum net_lane_state lane_run(struct net *net, struct net_lane *lane, struct net_stream *from,
                                    struct net_stream *to)
{
    size_t taken = 0;
    bool drained = false;
    for (;;) {
        int flushed = lane_flush(net, lane, to);
        if (flushed < 0)
            return flushed == NET_AGAIN ? NET_LANE_WAIT_WRITE : NET_LANE_WRITE_FAILED;
        if (lane->ended)
            return NET_LANE_DONE;
        if (drained || taken >= LANE_BUDGET_BYTES)
            return NET_LANE_WAIT_READ;
        enum net_lane_state failed = NET_LANE_READ_FAILED;
        ssize_t n = lane_fill(net, lane, from, to, &failed);
        if (n == NET_FAILED)
            return failed;
        if (n == NET_AGAIN)
            return NET_LANE_WAIT_READ;
        lane->ended = n == 0;
        taken += (size_t)n;
        /* What came short emptied the queue: asking again would only be told EAGAIN, poll knows better. */
        if ((size_t)n < (lane->pipe && lane->pipe->read_fd >= 0 ? LANE_BUDGET_BYTES : LANE_COPY_BYTES))
            drained = n > 0;
    }
}

enum net_lane_state net_lane_move(struct net *net, struct net_lane *lane, struct net_stream *from,
                                  struct net_stream *to)
{
    enum net_lane_state state = lane_run(net, lane, from, to);
    if (lane->pipe && lane->pipe->held_bytes == 0)
        net_lane_drop(net, lane);
    return state;
}
