/* h2_help.h: a client and a server (raw nghttp2, which sends whatever it is told) with an h2_bridge between them, all in memory.
 * Each stream's life is kept as the peers and the owner saw it. For the h2 tests. */
#ifndef EXEAT_TESTS_UNIT_H2_HELP_H
#define EXEAT_TESTS_UNIT_H2_HELP_H

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
// clang-format on

#include "wire/h2.h"

#include <nghttp2/nghttp2.h>

enum { STREAMS = 512, FIELDS = 32, TEXT = 8192 };

/* What one peer saw of a stream. */
struct seen {
    char heads[TEXT]; /* "name: value\n", sections divided by "--\n" */
    size_t body_bytes;
    char body[256]; /* its beginning */
    bool eof, closed;
    uint32_t code;
    /* what it is to send */
    size_t to_send;
    bool send_end, deferred, trailers;
};

struct peer {
    nghttp2_session *session;
    struct seen streams[STREAMS]; /* by id / 2 */
    bool server, sent_goaway, got_goaway;
    bool holds; /* gives no window back */
    uint32_t goaway_code;
    bool answers; /* a server: 200 "ok" to each request */
    bool echoes;  /* ... and what it reads comes back */
    size_t received_bytes;
};

struct told {
    char request[512], response[64]; /* "GET example.com /path fault" */
    enum h2_end end;
    enum h2_fault fault;
    bool closed;
    unsigned again;
    size_t out_bytes, in_bytes;
    struct h2_stream *stream;
};

enum judge { PASS, HOLD, BLOCK, BLOCK_RESPONSE, CUT };

struct world {
    struct peer client, server;
    struct h2_bridge *bridge;
    struct told told[STREAMS];
    unsigned requests, closes;
    enum judge judge;
    bool answer_lost;
    uint64_t now_ms;
    size_t most_held;
    bool server_gone;
};

static struct seen *seen_of(struct peer *p, int32_t id)
{
    return &p->streams[id / 2 % STREAMS];
}

/* ---- the peers ---- */

static void append(char *text, size_t size, const char *format, ...)
{
    size_t len = strlen(text);
    va_list args;
    va_start(args, format);
    vsnprintf(text + len, size - len, format, args);
    va_end(args);
}

static ssize_t peer_give(nghttp2_session *session, int32_t id, uint8_t *out, size_t room, uint32_t *flags,
                         nghttp2_data_source *source, void *user)
{
    struct peer *p = user;
    struct seen *s = seen_of(p, id);
    (void)source;
    size_t len = s->to_send < room ? s->to_send : room;
    if (len == 0 && !s->send_end) {
        s->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    memset(out, 'x', len);
    s->to_send -= len;
    if (s->to_send == 0 && s->send_end) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (s->trailers) {
            static const nghttp2_nv nv[] = {
                {(uint8_t *)"grpc-status", (uint8_t *)"0", 11, 1, 0},
                {(uint8_t *)"set-cookie", (uint8_t *)"a=b", 10, 3, 0},
            };
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            nghttp2_submit_trailer(session, id, nv, 2);
        }
    }
    return (ssize_t)len;
}

static nghttp2_data_provider peer_provider = {.read_callback = peer_give};

/* "name: value" lines; returns the number. Views into `text`. */
static size_t fields_of(const char *text, nghttp2_nv nv[FIELDS])
{
    size_t n = 0;
    while (*text && n < FIELDS) {
        size_t len = strcspn(text, "\n");
        const char *colon = strstr(text + 1, ": ");
        nv[n].name = (uint8_t *)(uintptr_t)text;
        nv[n].namelen = (size_t)(colon - text);
        nv[n].value = (uint8_t *)(uintptr_t)(colon + 2);
        nv[n].valuelen = len - nv[n].namelen - 2;
        nv[n++].flags = 0;
        text += len + (text[len] == '\n');
    }
    return n;
}

/* Sends a head; `body` -1: END_STREAM with it; otherwise so many bytes follow, and if `end`, the end. */
__attribute__((unused)) static int32_t client_ask(struct world *w, const char *fields, int64_t body, bool end)
{
    nghttp2_nv nv[FIELDS];
    size_t n = fields_of(fields, nv);
    int32_t id =
        nghttp2_submit_request(w->client.session, NULL, nv, n, body >= 0 ? &peer_provider : NULL, NULL);
    assert_true(id > 0);
    struct seen *s = seen_of(&w->client, id);
    *s = (struct seen){.to_send = body > 0 ? (size_t)body : 0, .send_end = end};
    return id;
}

__attribute__((unused)) static void peer_send(struct peer *p, int32_t id, size_t bytes, bool end)
{
    struct seen *s = seen_of(p, id);
    s->to_send += bytes;
    s->send_end |= end;
    nghttp2_session_resume_data(p->session, id);
}

__attribute__((unused)) static void server_answer(struct world *w, int32_t id, const char *fields,
                                                  int64_t body, bool end)
{
    nghttp2_nv nv[FIELDS];
    size_t n = fields_of(fields, nv);
    struct seen *s = seen_of(&w->server, id);
    s->to_send = body > 0 ? (size_t)body : 0;
    s->send_end = end;
    assert_int_equal(nghttp2_submit_response(w->server.session, id, nv, n, body >= 0 ? &peer_provider : NULL),
                     0);
}

static int peer_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                       size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *user)
{
    (void)session, (void)flags;
    struct seen *s = seen_of(user, frame->hd.stream_id);
    append(s->heads, sizeof s->heads, "%.*s: %.*s\n", (int)name_len, name, (int)value_len, value);
    return 0;
}

static int peer_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    (void)session;
    struct peer *p = user;
    struct seen *s = seen_of(p, frame->hd.stream_id);
    if (frame->hd.type == NGHTTP2_HEADERS)
        append(s->heads, sizeof s->heads, "--\n");
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        p->got_goaway = true;
        p->goaway_code = frame->goaway.error_code;
    }
    bool message = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (message && frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
        s->eof = true;
    if (p->answers && p->server && frame->hd.type == NGHTTP2_HEADERS &&
        frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        nghttp2_nv nv = {(uint8_t *)":status", (uint8_t *)"200", 7, 3, 0};
        s->to_send = 2;
        s->send_end = !p->echoes;
        nghttp2_submit_response(p->session, frame->hd.stream_id, &nv, 1, &peer_provider);
    }
    if (p->echoes && message && frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
        peer_send(p, frame->hd.stream_id, 0, true);
    return 0;
}

static int peer_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len,
                     void *user)
{
    (void)flags;
    struct peer *p = user;
    struct seen *s = seen_of(p, id);
    for (size_t i = 0; i < len && s->body_bytes + i < sizeof s->body - 1; i++)
        s->body[s->body_bytes + i] = (char)data[i];
    s->body_bytes += len;
    p->received_bytes += len;
    if (!p->holds)
        nghttp2_session_consume(session, id, len);
    if (p->echoes)
        peer_send(p, id, len, false);
    return 0;
}

static int peer_closed(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    (void)session;
    struct seen *s = seen_of(user, id);
    s->closed = true;
    s->code = code;
    return 0;
}

static void peer_open(struct peer *p, bool server)
{
    nghttp2_session_callbacks *c;
    nghttp2_option *o;
    assert_int_equal(nghttp2_session_callbacks_new(&c), 0);
    assert_int_equal(nghttp2_option_new(&o), 0);
    nghttp2_session_callbacks_set_on_header_callback(c, peer_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, peer_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, peer_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, peer_closed);
    nghttp2_option_set_no_auto_window_update(o, 1);
    nghttp2_option_set_no_http_messaging(o, 1);
    nghttp2_option_set_max_send_header_block_length(o, 16 << 20);
    p->server = server;
    if (server)
        nghttp2_session_server_new2(&p->session, c, p, o);
    else
        nghttp2_session_client_new2(&p->session, c, p, o);
    nghttp2_session_callbacks_del(c);
    nghttp2_option_del(o);
    nghttp2_settings_entry connect = {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1};
    nghttp2_submit_settings(p->session, 0, &connect, server);
}

/* ---- the owner ---- */

static struct told *told_of(struct world *w, struct h2_stream *s)
{
    return &w->told[h2_stream_id(s) / 2 % STREAMS];
}

static const struct http1_header text_type = {{(const uint8_t *)"content-type", 12},
                                              {(const uint8_t *)"text/plain", 10}};

static void owner_request(void *owner, struct h2_stream *s, const struct http1_head *head,
                          enum h2_fault fault)
{
    struct world *w = owner;
    struct told *t = told_of(w, s);
    *t = (struct told){.stream = s};
    w->requests++;
    snprintf(t->request, sizeof t->request, "%.*s %.*s %.*s %s", (int)head->method.len, head->method.data,
             (int)head->host.len, head->host.data, (int)head->raw_target.len, head->raw_target.data,
             h2_fault_name(fault));
    if (fault != H2_NO_FAULT && h2_fault_status(fault))
        h2_answer(s, h2_fault_status(fault), &text_type, 1, span_str("fault"));
    else if (fault != H2_NO_FAULT || w->judge == CUT)
        h2_cut(s);
    else if (w->judge == BLOCK)
        h2_answer(s, 403, &text_type, 1, span_str("not let out"));
    else if (w->judge != HOLD)
        h2_pass(s, span_str("decided.example"));
}

static void owner_response(void *owner, struct h2_stream *s, const struct http1_head *head)
{
    struct world *w = owner;
    snprintf(told_of(w, s)->response, sizeof told_of(w, s)->response, "%d", head->status);
    if (w->judge == BLOCK_RESPONSE)
        h2_answer(s, 403, &text_type, 1, span_str("not let in"));
}

static void owner_data(void *owner, struct h2_stream *s, enum h2_side from, struct span data)
{
    struct told *t = told_of(owner, s);
    *(from == H2_CLIENT ? &t->out_bytes : &t->in_bytes) += data.len;
}

static void owner_unanswered(void *owner, struct h2_stream *s, enum h2_fault fault)
{
    struct world *w = owner;
    if (w->answer_lost)
        h2_answer(s, fault == H2_STREAM_TIMEOUT ? 504 : 502, &text_type, 1, span_str("lost"));
}

static void owner_closed(void *owner, struct h2_stream *s, enum h2_end end, enum h2_fault fault,
                         uint32_t code)
{
    struct world *w = owner;
    struct told *t = told_of(w, s);
    (void)code;
    assert_false(t->closed);
    t->closed = true;
    t->end = end;
    t->fault = fault;
    w->closes++;
}

static void owner_again(void *owner, struct h2_stream *s)
{
    told_of(owner, s)->again++;
}

static const struct h2_events owner_events = {owner_request,    owner_response, owner_data,
                                              owner_unanswered, owner_again,    owner_closed};

/* ---- moving bytes ---- */

__attribute__((unused)) static bool to_bridge(struct world *w, struct peer *p, enum h2_side side)
{
    const uint8_t *data;
    bool moved = false;
    ssize_t len;
    while ((len = nghttp2_session_mem_send(p->session, &data)) > 0) {
        h2_bridge_receive(w->bridge, side, span_of(data, (size_t)len), w->now_ms);
        moved = true;
    }
    return moved;
}

static bool from_bridge(struct world *w, struct peer *p, enum h2_side side)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    h2_bridge_write(w->bridge, side, &out, 64 << 10);
    struct span bytes = buf_span(&out);
    bool moved = bytes.len > 0;
    if (moved)
        assert_true(nghttp2_session_mem_recv(p->session, bytes.data, bytes.len) >= 0);
    buf_free(&out);
    if (h2_bridge_held(w->bridge) > w->most_held)
        w->most_held = h2_bridge_held(w->bridge);
    return moved;
}

/* Until nothing moves any more. */
__attribute__((unused)) static void run(struct world *w)
{
    for (bool moved = true; moved;) {
        moved = to_bridge(w, &w->client, H2_CLIENT);
        moved |= from_bridge(w, &w->client, H2_CLIENT);
        if (w->server_gone)
            continue;
        moved |= to_bridge(w, &w->server, H2_SERVER);
        moved |= from_bridge(w, &w->server, H2_SERVER);
    }
}

/* Bytes that no library would send. */
__attribute__((unused)) static int raw(struct world *w, enum h2_side from, const void *bytes, size_t len)
{
    return h2_bridge_receive(w->bridge, from, span_of(bytes, len), w->now_ms);
}

__attribute__((unused)) static int world_open(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    const struct h2_limits limits = {.head_bytes = 16 << 10,
                                     .headers = 50,
                                     .target_bytes = 4096,
                                     .streams = 100,
                                     .https = true,
                                     .via = "exeat"};
    w->now_ms = 1000;
    w->bridge = h2_bridge_new(&limits, &owner_events, w);
    assert_non_null(w->bridge);
    peer_open(&w->client, false);
    peer_open(&w->server, true);
    w->server.answers = true;
    run(w);
    *state = w;
    return 0;
}

__attribute__((unused)) static int world_close(void **state)
{
    struct world *w = *state;
    h2_bridge_free(w->bridge);
    assert_int_equal(w->closes, w->requests); /* every request that was told of is told to be over */
    nghttp2_session_del(w->client.session);
    nghttp2_session_del(w->server.session);
    free(w);
    return 0;
}

#define GET(path)  ":method: GET\n:scheme: https\n:authority: example.com\n:path: " path "\n"
#define POST(path) ":method: POST\n:scheme: https\n:authority: example.com\n:path: " path "\n"

#endif
