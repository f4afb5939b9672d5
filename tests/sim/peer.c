/* peer.c: the other end of a stream: what a client or a server does. See fake_net.h. */
#include "fake_internal.h"

#include "base/must.h"

#include <stdlib.h>

enum { PEER_BUFFER_BYTES = 64 << 20, PLAIN_STEP_BYTES = 16384 };

struct peer *peer_new(struct net *net, bool is_client, const struct endpoint *address,
                      const struct endpoint *flow_address)
{
    struct peer *p = net->peer_count < PEERS_MAX ? calloc(1, sizeof *p) : NULL;
    if (!p)
        return NULL;
    p->net = net;
    p->is_client = is_client;
    p->address = *address;
    p->flow_address = *flow_address;
    buf_init(&p->to_flow, PEER_BUFFER_BYTES);
    buf_init(&p->from_flow, PEER_BUFFER_BYTES);
    buf_init(&p->window, PEER_BUFFER_BYTES);
    buf_init(&p->plain, PEER_BUFFER_BYTES);
    buf_init(&p->queued, PEER_BUFFER_BYTES);
    net->peers[net->peer_count++] = p;
    return p;
}

void peer_free(struct peer *take_p)
{
    buf_free(&take_p->to_flow);
    buf_free(&take_p->from_flow);
    buf_free(&take_p->window);
    buf_free(&take_p->plain);
    buf_free(&take_p->queued);
    if (take_p->tls)
        tls_session_free(take_p->tls);
    free(take_p);
}

/* ---- sending ---- */

static void send_wire(struct peer *p, struct span data)
{
    if (p->fin_sent || p->rst_sent || !p->stream)
        return;
    must(buf_append(&p->to_flow, data.data, data.len) == 0);
    p->sent_bytes += data.len;
}

static void flush_tls(struct peer *p)
{
    for (;;) {
        struct span wire = tls_session_outgoing(p->tls);
        if (wire.len > 0) {
            size_t len = wire.len;
            send_wire(p, wire);
            tls_session_sent(p->tls, len);
            continue;
        }
        struct span data = buf_span(&p->queued);
        if (data.len > PLAIN_STEP_BYTES)
            data.len = PLAIN_STEP_BYTES;
        if (data.len == 0 || tls_session_write(p->tls, data.data, data.len) <= 0)
            return;
        buf_consume(&p->queued, data.len);
    }
}

void peer_send_handshake(struct peer *p)
{
    flush_tls(p);
}

void peer_send(struct peer *p, struct span data)
{
    if (!p->tls) {
        send_wire(p, data);
        return;
    }
    must(buf_append(&p->queued, data.data, data.len) == 0);
    flush_tls(p);
}

void peer_finish(struct peer *p)
{
    if (p->fin_sent || p->rst_sent)
        return;
    if (p->tls) {
        tls_session_finish(p->tls);
        flush_tls(p);
    }
    p->fin_sent = true;
}

void peer_reset(struct peer *p)
{
    p->rst_sent = true;
}

/* ---- reading ---- */

static void decipher(struct peer *p, struct span data)
{
    if (tls_session_receive(p->tls, data) == TLS_FAILED)
        p->speaks_tls_failed = true;
    for (;;) {
        size_t room;
        uint8_t *at = buf_reserve(&p->plain, PLAIN_STEP_BYTES, &room);
        ssize_t n = at ? tls_session_read(p->tls, at, room) : -1;
        if (n <= 0)
            break;
        buf_commit(&p->plain, (size_t)n);
    }
    flush_tls(p);
}

static void read_now(struct peer *p, struct span data)
{
    p->got_bytes += data.len;
    if (p->tls)
        decipher(p, data);
    else
        must(buf_append(&p->from_flow, data.data, data.len) == 0);
}

void peer_take(struct peer *p, struct span data)
{
    if (p->stopped)
        must(buf_append(&p->window, data.data, data.len) == 0);
    else
        read_now(p, data);
}

void peer_stop_reading(struct peer *p)
{
    p->stopped = true;
}

void peer_read_again(struct peer *p)
{
    p->stopped = false;
    struct span data = buf_span(&p->window);
    if (data.len > 0)
        read_now(p, data);
    buf_clear(&p->window);
}

void peer_begin_tls(struct peer *p, struct tls_session *take_tls)
{
    struct span data = buf_span(&p->from_flow);
    if (p->tls)
        tls_session_free(p->tls); /* where something was injected the scenario goes on as if nothing was */
    p->tls = take_tls;
    if (data.len > 0)
        decipher(p, data);
    buf_clear(&p->from_flow);
}

struct buf *peer_received(struct peer *p)
{
    return p->tls ? &p->plain : &p->from_flow;
}
