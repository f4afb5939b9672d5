/* h2_h1_fuzz.c: HTTP/2 to HTTP/1.1. Whatever a client and a server say, what leaves toward the server reads as whole requests, one for each
 * that was passed, the next not before the last was answered.
 * Input: one byte; 0: a head, as fields (length of the name, length of the value, both; the first fields are pseudo-header fields by their
 * names), else turns as in h2_fuzz.c: one byte, what to do (low 3 bits), one of length (times 1 or, with bit 7 of the first, 64), bytes. */
#include "base/must.h"
#include "h2_owner.h"
#include "wire/h2_head.h"
#include "wire/http1_body.h"

#include <stdlib.h>

static const struct h2_limits limits = {
    .head_bytes = 4096, .headers = 16, .target_bytes = 256, .streams = 32, .server_h1 = true, .https = true};
static const struct http1_limits reader_limits = {16384, 64, 256};

/* ---- a head ---- */

/* One line for each field, no byte in them that ends one, and the empty line at the end alone. */
static void check_lines(struct span text)
{
    size_t lines = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        must(c != 0 && (c != '\n' || (i > 0 && text.data[i - 1] == '\r')));
        must(c != '\r' || (i + 1 < text.len && text.data[i + 1] == '\n'));
        lines += c == '\n';
        bool empty = c == '\n' && i >= 3 && text.data[i - 2] == '\n';
        must(!empty || i + 1 == text.len);
    }
    must(lines >= 3 && text.len >= 4 && memcmp(text.data + text.len - 4, "\r\n\r\n", 4) == 0);
}

static void translate(struct h2_head *h, enum http1_framing framing, int64_t length)
{
    struct http1_asked asked;
    struct buf out;
    buf_init(&out, 16384);
    if (h2_h1_head_write(h, &limits, span_str("decided.example"), framing, length, &out, &asked) == 0) {
        struct http1_scan scan;
        struct http1_head head;
        struct http1_fault_at fault;
        struct arena arena;
        arena_init(&arena, 64 << 10);
        check_lines(buf_span(&out));
        http1_scan_init(&scan, HTTP1_REQUEST, (struct http1_asked){0});
        must(http1_head_parse(&scan, buf_span(&out), &reader_limits, &arena, &head, &fault) == PARSE_OK);
        must(head.head_bytes == buf_len(&out) && span_equal(head.method, h->method));
        must(span_equal(head.raw_target, h->path) && span_is(head.host, "decided.example"));
        must(head.chunked == (framing == HTTP1_CHUNKED) && head.keep_alive && !head.upgrade_websocket);
        must((head.content_length > 0) == (framing == HTTP1_LENGTH && length > 0));
        arena_reset(&arena);
    }
    buf_free(&out);
}

static void one_head(const uint8_t *data, size_t size)
{
    struct h2_head h = {.count = 0};
    struct http1_head head;
    h2_head_begin(&h, &limits);
    for (size_t at = 0; at + 2 <= size;) {
        size_t name = data[at], value = data[at + 1];
        at += 2;
        name = name < size - at ? name : size - at;
        value = value < size - at - name ? value : size - at - name;
        if (!h2_head_add(&h, &limits, span_of(data + at, name), span_of(data + at + name, value), 0))
            break;
        at += name + value;
    }
    bool ended = size & 1;
    if (h2_head_judge_request(&h, &limits, false, ended, &head) == H2_NO_FAULT) {
        translate(&h, head.framing, head.content_length);
        translate(&h, HTTP1_NO_BODY, -1);
        translate(&h, HTTP1_LENGTH, 7);
        translate(&h, HTTP1_CHUNKED, -1);
    }
    h2_head_free(&h);
}

/* ---- a connection ---- */

enum { TURN_CLIENT, TURN_SERVER, TURN_JUDGE, TURN_PASS, TURN_LOST, TURN_EXPIRE, TURN_STOP, TURN_HOLD_OUTPUT };
enum { OUT_BYTES = 64 << 10 };

struct world {
    struct h2_owner owner; /* the first member */
    struct h2_bridge *bridge;
    unsigned passed, again;
    bool held[2], connected;
    uint64_t now_ms;
    /* the server's reading of this connection */
    struct buf sent;
    struct http1_scan scan;
    struct http1_body body;
    bool in_body;
    unsigned begun;
};

static void on_request(void *owner, struct h2_stream *s, const struct http1_head *head, enum h2_fault fault)
{
    struct world *w = owner;
    w->owner.requests++;
    must(fault != H2_NO_FAULT || (head->method.len && head->host.len));
    if (fault != H2_NO_FAULT || w->owner.judge % 5 == 2)
        h2_answer(s, 403, NULL, 0, span_str("no"));
    else if (w->owner.judge % 5 == 3)
        h2_cut(s);
}

static void on_again(void *owner, struct h2_stream *s)
{
    struct world *w = owner;
    must(h2_stream_waits(s));
    w->again++;
}

static const struct h2_events events = {
    on_request, h2_owner_on_response, h2_owner_on_data, h2_owner_on_unanswered, on_again, h2_owner_on_closed};

static void forget_sent(struct world *w)
{
    buf_clear(&w->sent);
    http1_body_free(&w->body);
    w->body = (struct http1_body){0};
    w->in_body = false;
    http1_scan_init(&w->scan, HTTP1_REQUEST, (struct http1_asked){0});
}

static void connect_server(struct world *w)
{
    if (w->connected)
        return;
    w->connected = true;
    forget_sent(w);
    h2_bridge_connected(w->bridge, w->now_ms);
}

static void lose_server(struct world *w, bool whole)
{
    h2_bridge_lost(w->bridge, H2_SERVER, whole);
    w->connected = false;
}

static bool read_sent_head(struct world *w)
{
    struct http1_head head;
    struct http1_fault_at fault;
    struct arena arena;
    arena_init(&arena, 64 << 10);
    enum parse p = http1_head_parse(&w->scan, buf_span(&w->sent), &reader_limits, &arena, &head, &fault);
    must(p != PARSE_BAD);
    if (p == PARSE_OK) {
        w->begun++;
        must(w->begun <= w->passed && head.connection_count == 0 && head.host.len);
        http1_body_init(&w->body, &head, &reader_limits);
        w->in_body = !http1_body_done(&w->body);
        buf_consume(&w->sent, head.head_bytes);
        http1_scan_init(&w->scan, HTTP1_REQUEST, (struct http1_asked){0});
    }
    arena_reset(&arena);
    return p == PARSE_OK;
}

static bool read_sent_body(struct world *w)
{
    size_t used;
    struct span data;
    struct http1_fault_at fault;
    enum parse p = http1_body_feed(&w->body, buf_span(&w->sent), &used, &data, &fault);
    must(p != PARSE_BAD);
    buf_consume(&w->sent, used);
    if (p == PARSE_OK) {
        w->in_body = false;
        http1_body_free(&w->body);
        w->body = (struct http1_body){0};
    }
    return used > 0;
}

/* What the bridge gives each peer; of what the server gets, every byte is read. */
static void drain(struct world *w)
{
    struct buf out;
    buf_init(&out, OUT_BYTES + (64 << 10));
    if (!w->held[H2_CLIENT])
        h2_bridge_write(w->bridge, H2_CLIENT, &out, OUT_BYTES);
    must(!out.failed);
    buf_clear(&out);
    if (!w->held[H2_SERVER])
        h2_bridge_write(w->bridge, H2_SERVER, &out, OUT_BYTES);
    struct span bytes = buf_span(&out);
    must(!out.failed && (w->connected || bytes.len == 0));
    must(bytes.len == 0 || buf_append(&w->sent, bytes.data, bytes.len) == 0);
    buf_free(&out);
    while (buf_len(&w->sent) > 0 && (w->in_body ? read_sent_body(w) : read_sent_head(w)))
        ;
    must(h2_bridge_streams(w->bridge) <= 64);
    must(h2_bridge_held(w->bridge) <= 2 * ((2 << 20) + (1 << 20) + (64 << 10)));
}

/* As the flow does: the next that waits, over a connection that takes it. */
static void pass_next(struct world *w)
{
    if (h2_bridge_spent(w->bridge))
        lose_server(w, false);
    connect_server(w);
    if (!h2_bridge_takes(w->bridge))
        return;
    must(!w->in_body && buf_len(&w->sent) == 0); /* the server has read what was before to its end */
    for (struct h2_stream *s = h2_bridge_first(w->bridge); s; s = h2_stream_next(s))
        if (h2_stream_waits(s)) {
            w->passed++;
            h2_pass(s, span_str("decided.example"));
            return;
        }
}

static void turn(struct world *w, uint8_t what, uint8_t arg, struct span bytes)
{
    switch (what & 7) {
    case TURN_CLIENT:
        h2_bridge_receive(w->bridge, H2_CLIENT, bytes, w->now_ms);
        break;
    case TURN_SERVER:
        if (w->connected && h2_bridge_reads(w->bridge))
            h2_bridge_receive(w->bridge, H2_SERVER, bytes, w->now_ms);
        break;
    case TURN_JUDGE:
        w->owner.judge = arg;
        break;
    case TURN_PASS:
        pass_next(w);
        break;
    case TURN_LOST:
        if (arg & 1)
            lose_server(w, arg & 2);
        else
            h2_bridge_lost(w->bridge, H2_CLIENT, false);
        break;
    case TURN_EXPIRE:
        h2_bridge_expire(w->bridge, w->now_ms, arg * 10u, arg * 20u, arg * 30u);
        break;
    case TURN_STOP:
        h2_bridge_stop(w->bridge);
        break;
    default:
        w->held[arg & 1] = arg & 2;
    }
}

static void turns(const uint8_t *data, size_t size)
{
    struct world w = {.now_ms = 1};
    w.bridge = h2_bridge_new(&limits, &events, &w);
    if (!w.bridge)
        return;
    buf_init(&w.sent, 1 << 20);
    forget_sent(&w);
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
    h2_bridge_receive(w.bridge, H2_CLIENT, span_of(preface, sizeof preface - 1), 1);
    connect_server(&w);
    for (size_t at = 0; at + 2 <= size; w.now_ms += 7) {
        uint8_t what = data[at], arg = data[at + 1];
        at += 2;
        size_t len = (what & 7) <= TURN_SERVER ? (size_t)arg * (what & 0x80 ? 64 : 1) : 0;
        if (len > size - at)
            len = size - at;
        turn(&w, what, arg, span_of(data + at, len));
        at += len;
        drain(&w);
    }
    h2_bridge_free(w.bridge);
    must(w.owner.requests == w.owner.closed);
    forget_sent(&w);
    buf_free(&w.sent);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] == 0)
        one_head(data + 1, size - 1);
    else
        turns(data + 1, size - 1);
    return 0;
}
