/* net_relay.h: a relay as flow/ does it, between two raw peers that check what arrives: for net_lane_test.c and
 * net_fault_test.c. */
#ifndef NET_RELAY_H
#define NET_RELAY_H

#include "net_help.h"

struct raw {
    int fd;                      /* -1: closed */
    uint64_t to_send, sent, got; /* bytes */
    uint64_t sent_hash, got_hash;
    size_t chunk;         /* most bytes a send() */
    bool reads, finishes; /* finishes: FIN after to_send */
    bool finished, eof;
    int error; /* of recv() */
    uint32_t random;
    size_t record_bytes; /* not 0: it sends TLS records with that much payload, a handshake first */
    uint64_t spoil_at;   /* not 0: the header byte at this offset is wrong */
};

struct relay {
    struct net *net;
    struct help_accept accept;
    struct net_stream *stream[2];
    struct net_lane lane[2]; /* lane[i]: from stream[i] to the other */
    enum net_lane_state state[2];
    struct raw raw[2];
    bool finished[2];
    unsigned calls;
};

static inline uint64_t relay_hash(uint64_t h, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        h = (h ^ data[i]) * 0x100000001b3u;
    return h;
}

/* A byte of the stream at `offset`: of a record's header, or `random`. */
static inline uint8_t raw_byte(const struct raw *r, uint64_t offset, uint8_t random)
{
    uint64_t period = r->record_bytes + 5, at = offset % period;
    if (r->record_bytes == 0)
        return random;
    const uint8_t header[] = {offset < period ? 22 : 23, 3, 3, (uint8_t)(r->record_bytes >> 8),
                              (uint8_t)r->record_bytes};
    return at >= sizeof header ? random : r->spoil_at && offset == r->spoil_at ? 0x55 : header[at];
}

static inline void raw_step_send(struct raw *r)
{
    uint8_t data[65536];
    uint64_t left = r->to_send - r->sent;
    size_t len = left < r->chunk ? (size_t)left : r->chunk;
    uint32_t random = r->random;
    if (r->fd < 0 || r->finished || r->error)
        return;
    if (len == 0) {
        if (r->finishes) {
            shutdown(r->fd, SHUT_WR);
            r->finished = true;
        }
        return;
    }
    for (size_t i = 0; i < len; i++) {
        random = random * 1664525 + 1013904223;
        data[i] = raw_byte(r, r->sent + i, (uint8_t)(random >> 24));
    }
    ssize_t n = send(r->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n <= 0)
        return;
    r->sent_hash = relay_hash(r->sent_hash, data, (size_t)n);
    for (ssize_t i = 0; i < n; i++)
        r->random = r->random * 1664525 + 1013904223;
    r->sent += (uint64_t)n;
}

static inline void raw_step_read(struct raw *r)
{
    uint8_t data[65536];
    if (r->fd < 0 || !r->reads || r->eof || r->error)
        return;
    ssize_t n = recv(r->fd, data, sizeof(data), MSG_DONTWAIT);
    if (n > 0) {
        r->got_hash = relay_hash(r->got_hash, data, (size_t)n);
        r->got += (uint64_t)n;
    } else if (n == 0) {
        r->eof = true;
    } else if (errno != EAGAIN && errno != EINTR) {
        r->error = errno;
    }
}

static inline void relay_move(struct relay *r)
{
    unsigned want[2] = {0, 0};
    for (int i = 0; i < 2; i++) {
        if (r->state[i] > NET_LANE_DONE)
            continue;
        r->state[i] = net_lane_move(r->net, &r->lane[i], r->stream[i], r->stream[1 - i]);
        if (r->state[i] == NET_LANE_WAIT_READ)
            want[i] |= NET_READABLE;
        if (r->state[i] == NET_LANE_WAIT_WRITE)
            want[1 - i] |= NET_WRITABLE;
        if (r->state[i] == NET_LANE_DONE && !r->finished[i]) {
            r->finished[i] = true;
            net_stream_finish(r->stream[1 - i]);
        }
    }
    for (int i = 0; i < 2; i++)
        net_stream_want(r->stream[i], want[i]);
}

static inline void relay_on_ready(void *owner, struct net_stream *s, unsigned ready)
{
    struct relay *r = owner;
    (void)s;
    (void)ready;
    r->calls++;
    relay_move(r);
}

/* Both peers send `bytes` in pieces of `chunk`, read, and finish, unless the test says otherwise before it steps. */
static inline void relay_start(struct relay *r, struct net *net, uint64_t bytes, size_t chunk)
{
    memset(r, 0, sizeof(*r));
    r->net = net;
    help_accept_start(&r->accept, net, "127.0.0.1");
    for (int i = 0; i < 2; i++) {
        r->raw[i] = (struct raw){.to_send = bytes, .chunk = chunk, .reads = true, .finishes = true};
        r->raw[i].random = (uint32_t)(77 + i);
        r->raw[i].fd = help_pair(&r->accept, &r->stream[i]);
        net_stream_own(r->stream[i], r, relay_on_ready);
        net_stream_want(r->stream[i], NET_READABLE);
        r->lane[i].splice = true; /* as learnt from large moves: what these tests are about */
    }
}

static inline void relay_step(struct relay *r)
{
    for (int i = 0; i < 2; i++) {
        raw_step_send(&r->raw[i]);
        raw_step_read(&r->raw[i]);
    }
    help_step(r->net);
}

/* Steps until `condition`. */
#define relay_until(r, condition)                                                                            \
    do {                                                                                                     \
        uint64_t relay_from = help_worked_ns();                                                              \
        while (!(condition)) {                                                                               \
            if (help_worked_ns() - relay_from > (uint64_t)PATIENCE_MS * 1000000)                             \
                fail_msg("never came true: %s", #condition);                                                 \
            relay_step(r);                                                                                   \
        }                                                                                                    \
    } while (0)

static inline bool relay_is_done(const struct relay *r)
{
    return r->state[0] == NET_LANE_DONE && r->state[1] == NET_LANE_DONE && r->raw[0].eof && r->raw[1].eof;
}

/* All that was sent has arrived, and nothing else. */
static inline void relay_check(const struct relay *r)
{
    for (int i = 0; i < 2; i++) {
        assert_int_equal(r->raw[1 - i].got, r->raw[i].sent);
        assert_true(r->raw[1 - i].got_hash == r->raw[i].sent_hash);
        assert_int_equal(r->lane[i].moved_bytes, r->raw[i].sent);
        assert_null(r->lane[i].pipe);
    }
}

static inline void relay_stop(struct relay *r)
{
    for (int i = 0; i < 2; i++) {
        net_lane_drop(r->net, &r->lane[i]);
        net_stream_close(r->stream[i], NET_CLOSE_FIN);
        if (r->raw[i].fd >= 0)
            close(r->raw[i].fd);
    }
    net_listener_close(r->accept.listener);
}

#endif
