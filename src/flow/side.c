/* side.c: see side.h. Touches net.h and tls/session.h. */
#include "flow/side.h"

#include <errno.h>

enum {
    WIRE_BYTES = 16384,
    WIRE_READS_PER_FILL = 16, /* records without payload must not keep the other flows waiting */
};

void side_init(struct side *s, size_t in_limit_bytes, size_t out_limit_bytes)
{
    *s = (struct side){0};
    buf_init(&s->in, in_limit_bytes);
    buf_init(&s->out, out_limit_bytes);
}

void side_take(struct side *s, struct net_stream *take_stream, void *owner, net_ready_fn *ready)
{
    s->stream = take_stream;
    s->eof = s->finished = s->fin_sent = false;
    net_stream_own(s->stream, owner, ready);
}

void side_close(struct side *s, enum net_close how)
{
    if (s->stream)
        net_stream_close(s->stream, how);
    tls_session_free(s->tls);
    tls_session_free(s->carrier);
    buf_free(&s->in);
    buf_free(&s->out);
    size_t in_limit = s->in.limit, out_limit = s->out.limit;
    side_init(s, in_limit, out_limit);
}

static enum side_io failed(struct side *s, int error)
{
    s->error = error;
    return SIDE_FAILED;
}

/* One read of the wire into `data`; -1 with *ret set when nothing came. */
static ssize_t read_wire(struct side *s, void *data, size_t size, enum side_io *ret)
{
    ssize_t n = net_stream_read(s->stream, data, size);
    if (n > 0)
        return n;
    if (n == NET_AGAIN) {
        s->want |= NET_READABLE;
        *ret = SIDE_AGAIN;
    } else if (n == 0) {
        *ret = SIDE_EOF;
    } else {
        *ret = failed(s, net_stream_errno(s->stream));
    }
    return -1;
}

/* The same of the wire, through the carrier if there is one. */
static ssize_t read_carried(struct side *s, void *data, size_t size, enum side_io *ret)
{
    for (int reads = 0; s->carrier; reads++) {
        ssize_t n = tls_session_read(s->carrier, data, size);
        if (n > 0)
            return n;
        if (n == 0)
            *ret = SIDE_EOF;
        if (n == TLS_IO_FAILED)
            *ret = failed(s, EPROTO);
        if (n == 0 || n == TLS_IO_FAILED)
            return -1;
        if (reads == WIRE_READS_PER_FILL) {
            s->want |= NET_READABLE;
            *ret = SIDE_AGAIN;
            return -1;
        }
        uint8_t wire[WIRE_BYTES];
        n = read_wire(s, wire, sizeof wire, ret);
        if (n < 0)
            return n;
        tls_session_receive(s->carrier, span_of(wire, (size_t)n));
    }
    return read_wire(s, data, size, ret);
}

/* Gives the session one portion of the wire. A FIN without close_notify is a broken connection: whoever cut it could
 * otherwise make half an answer look whole. */
static enum side_io feed_tls(struct side *s)
{
    uint8_t wire[WIRE_BYTES];
    enum side_io io = SIDE_MOVED;
    ssize_t n = read_carried(s, wire, sizeof wire, &io);
    if (n < 0)
        return io == SIDE_EOF ? failed(s, ECONNRESET) : io;
    return tls_session_receive(s->tls, span_of(wire, (size_t)n)) == TLS_FAILED ? failed(s, EPROTO)
                                                                               : SIDE_MOVED;
}

static enum side_io fill_tls(struct side *s, uint8_t *data, size_t room)
{
    for (int reads = 0;; reads++) {
        ssize_t n = tls_session_read(s->tls, data, room);
        if (n > 0) {
            buf_commit(&s->in, (size_t)n);
            return SIDE_MOVED;
        }
        if (n == 0)
            return SIDE_EOF;
        if (n == TLS_IO_FAILED)
            return failed(s, EPROTO);
        if (reads == WIRE_READS_PER_FILL) {
            s->want |= NET_READABLE;
            return SIDE_AGAIN;
        }
        enum side_io io = feed_tls(s);
        if (io != SIDE_MOVED)
            return io;
    }
}

/* What TLS says by itself while it reads: a renegotiation is refused, a key updated. */
static void answer_tls(struct side *s)
{
    struct tls_session *nearest = s->carrier ? s->carrier : s->tls;
    if (s->tls && (tls_session_outgoing(s->tls).len > 0 || tls_session_outgoing(nearest).len > 0))
        side_flush(s);
}

enum side_io side_fill(struct side *s, size_t most)
{
    if (s->eof)
        return SIDE_EOF;
    size_t room = 0;
    uint8_t *data = buf_reserve(&s->in, most, &room);
    if (!data)
        return SIDE_FULL;
    enum side_io io = SIDE_MOVED;
    if (s->tls) {
        io = fill_tls(s, data, room);
        answer_tls(s);
    } else {
        ssize_t n = read_wire(s, data, room, &io);
        if (n > 0)
            buf_commit(&s->in, (size_t)n);
    }
    if (io == SIDE_EOF)
        s->eof = true;
    return io;
}

/* What is to be carried now; with TLS, `out` is encrypted first. */
static struct span next_carried(struct side *s)
{
    if (!s->tls)
        return buf_span(&s->out);
    struct span wire = tls_session_outgoing(s->tls);
    if (wire.len == 0 && buf_len(&s->out) > 0) {
        struct span plain = buf_span(&s->out);
        if (plain.len > WIRE_BYTES)
            plain.len = WIRE_BYTES;
        if (tls_session_write(s->tls, plain.data, plain.len) > 0)
            buf_consume(&s->out, plain.len);
        wire = tls_session_outgoing(s->tls);
    }
    return wire;
}

static struct span next_wire(struct side *s)
{
    if (!s->carrier)
        return next_carried(s);
    struct span wire = tls_session_outgoing(s->carrier);
    struct span inner = wire.len == 0 ? next_carried(s) : span_of(NULL, 0);
    if (inner.len > WIRE_BYTES)
        inner.len = WIRE_BYTES;
    if (inner.len > 0 && tls_session_write(s->carrier, inner.data, inner.len) > 0)
        tls_session_sent(s->tls, inner.len);
    return inner.len > 0 ? tls_session_outgoing(s->carrier) : wire;
}

enum side_io side_flush(struct side *s)
{
    if (!s->stream || s->fin_sent)
        return SIDE_DONE;
    for (;;) {
        struct span wire = next_wire(s);
        if (wire.len == 0)
            return buf_len(&s->out) ? failed(s, EPROTO) : SIDE_DONE;
        ssize_t n = net_stream_write(s->stream, wire.data, wire.len);
        if (n == NET_AGAIN) {
            s->want |= NET_WRITABLE;
            return SIDE_AGAIN;
        }
        if (n < 0)
            return failed(s, net_stream_errno(s->stream));
        if (s->tls)
            tls_session_sent(s->carrier ? s->carrier : s->tls, (size_t)n);
        else
            buf_consume(&s->out, (size_t)n);
    }
}

enum side_io side_finish(struct side *s)
{
    if (s->fin_sent || !s->stream)
        return SIDE_DONE;
    if (s->tls && !s->finished)
        tls_session_finish(s->tls);
    s->finished = true;
    enum side_io io = s->tls ? side_flush(s) : SIDE_DONE;
    if (io == SIDE_DONE && s->carrier) {
        if (!s->carrier_finished)
            tls_session_finish(s->carrier);
        s->carrier_finished = true;
        io = side_flush(s);
    }
    if (io == SIDE_AGAIN)
        return io; /* half a close_notify and a FIN would look like a cut */
    s->fin_sent = true;
    net_stream_finish(s->stream);
    return io;
}

enum side_io side_handshake(struct side *s)
{
    for (;;) {
        enum tls_state state = tls_session_handshake(s->tls);
        enum side_io io = side_flush(s);
        if (state == TLS_FAILED)
            return failed(s, EPROTO);
        if (io == SIDE_FAILED || state == TLS_OPEN)
            return io;
        io = feed_tls(s);
        if (io == SIDE_FAILED)
            side_flush(s); /* the alert that says why */
        if (io != SIDE_MOVED)
            return io;
    }
}
