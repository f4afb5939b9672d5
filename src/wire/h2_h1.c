/* h2_h1.c: a server of HTTP/1.1 behind a bridge, in place of one nghttp2 session: one request at a time on one connection, which ends
 * with anything that was not whole. See h2.h and h2_private.h; heads are h2_h1_head.c's. Called by h2_bridge.c and h2_stream.c. Pure.
 *
 * The last byte of a body with a length leaves only when its stream has ended: before that the client may still say more, or less, than it
 * promised, and a server that has it all would act on it. */
#include "wire/h2_private.h"

#include "base/must.h"
#include "wire/http1_write.h"

enum { CHUNK_BYTES = 16 << 10 };

static struct http1_limits limits_of(const struct h2_bridge *b)
{
    return (struct http1_limits){b->limits.head_bytes, b->limits.headers, b->limits.target_bytes};
}

void h2_h1_init(struct h2_bridge *b)
{
    struct h2_h1 *h = &b->h1;
    h->on = true;
    buf_init(&h->head, 2 * b->limits.head_bytes + 4096);
    buf_init(&h->in, b->limits.head_bytes + (1 << 20));
}

static void forget_exchange(struct h2_h1 *h)
{
    h->stream = NULL;
    buf_clear(&h->head);
    http1_body_free(&h->body);
    h->body = (struct http1_body){0};
}

void h2_h1_free(struct h2_bridge *b)
{
    forget_exchange(&b->h1);
    buf_free(&b->h1.head);
    buf_free(&b->h1.in);
}

void h2_bridge_connected(struct h2_bridge *b, uint64_t now_ms)
{
    struct h2_h1 *h = &b->h1;
    b->now_ms = now_ms;
    must(h->on && !h->connected && !h->stream);
    h->connected = h->usable = h->fresh = true;
    buf_clear(&h->in);
}

bool h2_bridge_takes(const struct h2_bridge *b)
{
    const struct h2_h1 *h = &b->h1;
    return !h->on || (h->connected && h->usable && !h->stream);
}

bool h2_bridge_spent(const struct h2_bridge *b)
{
    const struct h2_h1 *h = &b->h1;
    return h->on && h->connected && !h->usable && !h->stream;
}

bool h2_bridge_reads(const struct h2_bridge *b)
{
    const struct h2_h1 *h = &b->h1;
    return !h->on || !h->stream || buf_len(&h->stream->pipe[H2_SERVER].data) < H2_STREAM_WINDOW_BYTES;
}

struct http1_fault_at h2_bridge_h1_fault(const struct h2_bridge *b)
{
    return b->h1.fault;
}

void h2_h1_drop(struct h2_stream *s)
{
    struct h2_h1 *h = &s->bridge->h1;
    s->open[H2_SERVER] = false;
    if (h->stream != s)
        return;
    forget_exchange(h);
    h->usable = false; /* half a request, or a response that nobody has read */
}

/* ---- the request ---- */

static bool is_safe(struct span method)
{
    return span_is(method, "GET") || span_is(method, "HEAD") || span_is(method, "OPTIONS");
}

/* A body that is here already to its end has a length, whatever the client said of it. */
static void choose_framing(const struct h2_stream *s, struct h2_h1 *h, int64_t *ret_length)
{
    const struct h2_pipe *p = &s->pipe[H2_CLIENT];
    size_t here = buf_len(&p->data);
    int64_t promised = s->request.content_length;
    *ret_length = promised;
    h->framing = promised >= 0 ? HTTP1_LENGTH : HTTP1_CHUNKED;
    if (p->eof && here == 0 && !p->trailed && promised <= 0)
        h->framing = HTTP1_NO_BODY;
    else if (p->eof && !p->trailed && promised < 0) {
        h->framing = HTTP1_LENGTH;
        *ret_length = (int64_t)here;
    }
    h->left_bytes = h->framing == HTTP1_LENGTH ? (uint64_t)*ret_length : 0;
}

int h2_h1_pass(struct h2_stream *s, struct span authority)
{
    struct h2_bridge *b = s->bridge;
    struct h2_h1 *h = &b->h1;
    nghttp2_session *client = b->ends[H2_CLIENT].session;
    int64_t length;
    must(h2_bridge_takes(b));
    choose_framing(s, h, &length);
    h->head.failed = false;
    if (!client ||
        h2_h1_head_write(&s->request, &b->limits, authority, h->framing, length, &h->head, &h->asked) != 0) {
        buf_clear(&h->head);
        h2_stream_fail(s, H2_RESET_BY_US, H2_UNTRANSLATABLE, NGHTTP2_INTERNAL_ERROR);
        return -1;
    }
    /* its turn: now it may send as fast as any */
    nghttp2_session_set_local_window_size(client, NGHTTP2_FLAG_NONE, s->id[H2_CLIENT],
                                          H2_STREAM_WINDOW_BYTES);
    h->stream = s;
    h->begun = h->request_done = h->spoke = h->responded = h->keep = false;
    h->repeatable = !h->fresh && h->framing == HTTP1_NO_BODY && is_safe(s->request.method);
    h->fresh = false;
    http1_scan_init(&h->scan, HTTP1_RESPONSE, h->asked);
    s->open[H2_SERVER] = true;
    s->moved_ms = b->now_ms;
    return 0;
}

static int put_trailers(struct h2_stream *s, struct buf *out)
{
    struct h2_pipe *p = &s->pipe[H2_CLIENT];
    struct http1_header *fields = p->trailed ? p->trailers.fields : NULL;
    size_t count = 0;
    for (unsigned i = 0; fields && i < p->trailers.count; i++)
        if (http1_may_be_trailer(fields[i].name))
            fields[count++] = fields[i];
    return http1_last_chunk_write(out, fields, count);
}

/* How much of what lies here may go. */
static size_t may_go(const struct h2_h1 *h, const struct h2_pipe *p, size_t room)
{
    size_t len = buf_len(&p->data);
    if (h->framing == HTTP1_LENGTH && !p->eof && len > 0 && len == h->left_bytes)
        len--;
    if (len > room)
        len = room;
    return len < CHUNK_BYTES ? len : CHUNK_BYTES;
}

/* nghttp2 compares the sum with the promise before we see it; what follows is for the day that it doesn't. */
static bool breaks_promise(const struct h2_h1 *h, const struct h2_pipe *p)
{
    size_t len = buf_len(&p->data);
    return (h->framing == HTTP1_LENGTH && (len > h->left_bytes || (p->eof && len < h->left_bytes))) ||
           (h->framing == HTTP1_NO_BODY && len > 0);
}

/* One piece of the request's body; false: nothing more goes now. */
static bool write_piece(struct h2_bridge *b, struct buf *out, size_t most)
{
    struct h2_h1 *h = &b->h1;
    struct h2_stream *s = h->stream;
    struct h2_pipe *p = &s->pipe[H2_CLIENT];
    size_t len = may_go(h, p, most - buf_len(out));
    if (len > 0) {
        struct span data = span_of(buf_span(&p->data).data, len);
        if (h->framing == HTTP1_CHUNKED)
            http1_chunk_write(out, data);
        else
            buf_append(out, data.data, data.len);
        h->left_bytes -= h->framing == HTTP1_LENGTH ? len : 0;
        buf_consume(&p->data, len);
        s->moved_ms = b->now_ms;
        b->ends[H2_CLIENT].held_bytes -= len;
        h2_bridge_release(b, H2_CLIENT, s->open[H2_CLIENT] ? s->id[H2_CLIENT] : 0, len);
    }
    h->request_done = p->eof && buf_len(&p->data) == 0;
    if (h->request_done && h->framing == HTTP1_CHUNKED)
        put_trailers(s, out);
    return len > 0 && !h->request_done;
}

int h2_h1_write(struct h2_bridge *b, struct buf *out, size_t most)
{
    struct h2_h1 *h = &b->h1;
    struct h2_stream *s = h->stream;
    if (!h->connected)
        return -1;
    if (!s || h->request_done || buf_len(out) >= most)
        return 0;
    struct h2_pipe *p = &s->pipe[H2_CLIENT];
    if (breaks_promise(h, p)) {
        h2_stream_fail(s, H2_RESET_BY_CLIENT, H2_MALFORMED, NGHTTP2_PROTOCOL_ERROR);
        return 0;
    }
    if (!h->begun && h->framing == HTTP1_LENGTH && h->left_bytes == 0 && !p->eof)
        return 0; /* with the head the server would have it all */
    if (!h->begun) {
        struct span head = buf_span(&h->head);
        buf_append(out, head.data, head.len);
        buf_clear(&h->head);
        h->begun = true;
    }
    while (buf_len(out) < most && write_piece(b, out, most))
        ;
    if (!out->failed)
        return 0;
    h2_stream_fail(s, H2_RESET_BY_US, H2_NO_MEMORY, NGHTTP2_INTERNAL_ERROR);
    return -1;
}

/* ---- the response ---- */

/* It is through; the connection stays only if the request is, too. */
static void finish(struct h2_bridge *b)
{
    struct h2_h1 *h = &b->h1;
    struct h2_stream *s = h->stream;
    h->usable = h->keep && h->request_done;
    forget_exchange(h);
    h2_stream_closed(s, H2_SERVER, NGHTTP2_NO_ERROR);
}

/* What the server said is no response, or the end of one is missing. */
static void fail(struct h2_bridge *b, enum h2_fault fault)
{
    struct h2_stream *s = b->h1.stream;
    bool begun = b->h1.responded;
    h2_h1_drop(s);
    if (begun)
        h2_stream_fail(s, H2_RESET_BY_SERVER, fault, NGHTTP2_INTERNAL_ERROR);
    else
        h2_bridge_unanswered(s, fault);
}

static void take_head(struct h2_bridge *b, const struct http1_head *head)
{
    struct h2_h1 *h = &b->h1;
    struct h2_stream *s = h->stream;
    const struct http1_limits limits = limits_of(b);
    bool interim = head->status < 200;
    h2_h1_head_read(&b->ends[H2_SERVER].reader, &b->limits, head);
    if (b->ends[H2_SERVER].reader.fault == H2_HEAD_TOO_LARGE) {
        fail(b, H2_HEAD_TOO_LARGE);
        return;
    }
    http1_scan_init(&h->scan, HTTP1_RESPONSE, h->asked);
    if (!interim) {
        h->responded = true;
        h->keep = head->keep_alive && head->framing != HTTP1_UNTIL_CLOSE;
        http1_body_free(&h->body);
        http1_body_init(&h->body, head, &limits);
    }
    h2_stream_headed(s, H2_SERVER, !interim && http1_body_done(&h->body));
    if (h->stream && h->responded && http1_body_done(&h->body))
        finish(b);
}

/* How many of the bytes are done with; 0: more are needed, or the stream is no longer asked. */
static size_t read_head(struct h2_bridge *b, struct span bytes)
{
    struct h2_h1 *h = &b->h1;
    const struct http1_limits limits = limits_of(b);
    struct arena arena;
    struct http1_head head;
    size_t used = 0;
    h->spoke = true;
    if (!h->begun) { /* nothing was asked yet: this is an answer to nothing */
        fail(b, H2_NO_FAULT);
        return 0;
    }
    arena_init(&arena, limits.head_bytes + 4 * (limits.headers + 8) * sizeof *head.headers + 4096);
    enum parse p = http1_head_parse(&h->scan, bytes, &limits, &arena, &head, &h->fault);
    if (p == PARSE_BAD)
        fail(b, http1_fault_status(h->fault.fault) == 431 ? H2_HEAD_TOO_LARGE : H2_H1_RESPONSE);
    if (p == PARSE_OK) {
        used = head.head_bytes;
        take_head(b, &head);
    }
    arena_reset(&arena);
    return used;
}

static void end_body(struct h2_bridge *b)
{
    struct h2_h1 *h = &b->h1;
    struct h2_stream *s = h->stream;
    struct arena arena;
    const struct http1_header *fields;
    size_t count = 0;
    arena_init(&arena, (b->limits.headers + 8) * sizeof *fields + 4096);
    if (h->body.framing == HTTP1_CHUNKED && http1_body_trailers(&h->body, &arena, &fields, &count) != 0)
        count = 0;
    if (count > 0) {
        h2_h1_trailers_read(&b->ends[H2_SERVER].reader, &b->limits, fields, count);
        h2_stream_headed(s, H2_SERVER, true);
    } else {
        h2_stream_eof(s, H2_SERVER);
    }
    arena_reset(&arena);
    if (h->stream)
        finish(b);
}

static size_t read_body(struct h2_bridge *b, struct span bytes)
{
    struct h2_h1 *h = &b->h1;
    struct span data;
    size_t used;
    enum parse p = http1_body_feed(&h->body, bytes, &used, &data, &h->fault);
    if (data.len > 0)
        h2_stream_data(h->stream, H2_SERVER, data);
    if (!h->stream)
        return 0; /* the owner has had enough */
    if (p == PARSE_BAD)
        fail(b, H2_H1_RESPONSE);
    else if (p == PARSE_OK)
        end_body(b);
    return used;
}

/* How many of the bytes are done with. What the server says unasked would be taken for the answer to the next request. */
static size_t take(struct h2_bridge *b, struct span bytes)
{
    struct h2_h1 *h = &b->h1;
    size_t used = 0;
    while (h->stream && used < bytes.len) {
        struct span rest = span_from(bytes, used);
        size_t n = h->responded ? read_body(b, rest) : read_head(b, rest);
        if (n == 0)
            break;
        used += n;
    }
    if (h->stream)
        return used;
    if (used < bytes.len)
        h->usable = false;
    return bytes.len;
}

int h2_h1_receive(struct h2_bridge *b, struct span bytes)
{
    struct h2_h1 *h = &b->h1;
    if (!h->connected)
        return -1;
    if (buf_len(&h->in) > 0) {
        if (buf_append(&h->in, bytes.data, bytes.len) != 0) {
            h->in.failed = false;
            if (h->stream)
                fail(b, H2_NO_MEMORY);
            h->usable = false;
            return 0;
        }
        buf_consume(&h->in, take(b, buf_span(&h->in)));
        return 0;
    }
    size_t used = take(b, bytes);
    if (used < bytes.len && buf_append(&h->in, bytes.data + used, bytes.len - used) != 0)
        fail(b, H2_NO_MEMORY);
    return 0;
}

/* ---- its end ---- */

/* The request never reached it, or so it may be said of one that changes nothing: once more, on another connection. */
static void ask_again(struct h2_bridge *b)
{
    struct h2_stream *s = b->h1.stream;
    h2_h1_drop(s);
    s->waiting = true;
    b->events->again(b->owner, s);
}

void h2_h1_lost(struct h2_bridge *b, bool whole)
{
    struct h2_h1 *h = &b->h1;
    if (!h->connected)
        return;
    h->connected = h->usable = false;
    buf_clear(&h->in);
    if (!h->stream)
        return;
    if (whole && h->responded && http1_body_eof(&h->body))
        end_body(b);
    else if (!h->spoke && h->repeatable)
        ask_again(b);
    else
        fail(b, h->responded ? H2_H1_CUT_SHORT : H2_NO_FAULT);
}
