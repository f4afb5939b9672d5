/* h2_bridge.c: the two nghttp2 sessions, what they call back, and what the owner may do with the whole. See h2.h and h2_private.h.
 * nghttp2 keeps to memory (it asks a clock for its own limit of resets); everything that a peer can repeat without moving anything is
 * counted here besides, so that no version of it matters. Pure. */
#include "wire/h2_private.h"

#include "base/must.h"

#include <stdlib.h>

/* ---- faults and windows ---- */

void h2_bridge_break(struct h2_bridge *b, enum h2_side side, enum h2_fault fault, uint32_t code)
{
    struct h2_end_of *end = &b->ends[side];
    if (b->fault == H2_NO_FAULT) {
        b->fault = fault;
        b->fault_side = side;
    }
    if (!end->over && end->session)
        nghttp2_session_terminate_session(end->session, code);
    end->over = true;
}

void h2_bridge_release(struct h2_bridge *b, enum h2_side from, int32_t id, size_t bytes)
{
    struct h2_end_of *end = &b->ends[from];
    if (!end->session)
        return;
    if (id > 0 && bytes > 0)
        nghttp2_session_consume_stream(end->session, id,
                                       bytes); /* fails when it is closed: then nobody waits */
    if (end->owed_bytes > 0 && end->held_bytes <= H2_HELD_HIGH_BYTES) {
        nghttp2_session_consume_connection(end->session, end->owed_bytes);
        end->owed_bytes = 0;
    }
}

/* Takes what a frame that moves nothing costs. */
static void pay(struct h2_end_of *end, uint64_t cost)
{
    uint64_t now = end->bridge->now_ms, grown = (now - end->refilled_ms) * H2_GLITCHES_PER_S / 1000;
    if (grown > 0) {
        end->refilled_ms = now;
        end->glitches = end->glitches > grown ? end->glitches - grown : 0;
    }
    end->glitches += cost;
    if (end->glitches > H2_GLITCHES)
        h2_bridge_break(end->bridge, end->side, H2_FLOOD, NGHTTP2_ENHANCE_YOUR_CALM);
}

static struct h2_stream *stream_of(struct h2_end_of *end, int32_t id)
{
    return id > 0 ? nghttp2_session_get_stream_user_data(end->session, id) : NULL;
}

/* ---- nghttp2 calls: heads ---- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2_end_of *end = user;
    struct h2_bridge *b = end->bridge;
    h2_head_begin(&end->reader, &b->limits);
    if (end->side == H2_SERVER || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    /* a stream that the client has reset counts until the server has been told, too */
    struct h2_stream *s = NULL;
    if (!end->over && b->count < 2 * b->limits.streams)
        s = h2_stream_new(b, frame->hd.stream_id);
    if (s && nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, s) == 0)
        return 0;
    if (s)
        h2_stream_free(s);
    pay(end, 1);
    nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_REFUSED_STREAM);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* What was read of a request that can't be read to its end is told nevertheless: there is a record of everything that was asked. */
static int give_up_head(struct h2_end_of *end, struct h2_stream *s, enum h2_fault fault)
{
    if (!s)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (end->reader.fault == H2_NO_FAULT)
        end->reader.fault = fault;
    if (end->side == H2_CLIENT && !s->told)
        h2_stream_headed(s, H2_CLIENT, false);
    h2_stream_fail(s, end->side == H2_CLIENT ? H2_RESET_BY_CLIENT : H2_RESET_BY_SERVER, fault,
                   NGHTTP2_PROTOCOL_ERROR);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *user)
{
    struct h2_end_of *end = user;
    (void)session;
    if (h2_head_add(&end->reader, &end->bridge->limits, span_of(name, name_len), span_of(value, value_len),
                    flags))
        return 0;
    pay(end, 1);
    return give_up_head(end, stream_of(end, frame->hd.stream_id), H2_HEAD_TOO_LARGE);
}

/* A field that nghttp2 would leave out: what is malformed isn't mended. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                             size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                             void *user)
{
    (void)session, (void)name, (void)name_len, (void)value, (void)value_len, (void)flags;
    struct h2_end_of *end = user;
    pay(end, 1);
    return give_up_head(end, stream_of(end, frame->hd.stream_id), H2_FIELD_BYTE);
}

/* ---- nghttp2 calls: frames ---- */

static void take_settings(struct h2_end_of *end)
{
    struct h2_bridge *b = end->bridge;
    nghttp2_session *client = b->ends[H2_CLIENT].session;
    if (end->side == H2_CLIENT || b->websockets || !client ||
        nghttp2_session_get_remote_settings(end->session, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) != 1)
        return;
    const nghttp2_settings_entry entry = {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1};
    b->websockets = nghttp2_submit_settings(client, NGHTTP2_FLAG_NONE, &entry, 1) == 0;
}

static uint64_t cost_of(const struct h2_end_of *end, const nghttp2_frame *frame)
{
    switch (frame->hd.type) {
    case NGHTTP2_RST_STREAM:
        return end->side == H2_CLIENT;
    case NGHTTP2_PING:
    case NGHTTP2_SETTINGS:
        return !(frame->hd.flags & NGHTTP2_FLAG_ACK);
    case NGHTTP2_PRIORITY:
        return 1;
    case NGHTTP2_DATA:
        return frame->hd.length == 0 && !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
    default:
        return 0;
    }
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2_end_of *end = user;
    struct h2_stream *s = stream_of(end, frame->hd.stream_id);
    bool ended = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    uint64_t cost = cost_of(end, frame);
    (void)session;
    if (cost)
        pay(end, cost);
    if (frame->hd.type == NGHTTP2_HEADERS && s)
        h2_stream_headed(s, end->side, ended);
    else if (frame->hd.type == NGHTTP2_DATA && s && ended)
        h2_stream_eof(s, end->side);
    else if (frame->hd.type == NGHTTP2_SETTINGS && !(frame->hd.flags & NGHTTP2_FLAG_ACK))
        take_settings(end);
    else if (frame->hd.type == NGHTTP2_GOAWAY && end->side == H2_SERVER)
        h2_bridge_stop(end->bridge);
    return 0;
}

static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error, void *user)
{
    struct h2_end_of *end = user;
    (void)session, (void)error;
    pay(end, 10);
    struct h2_stream *s = stream_of(end, frame->hd.stream_id);
    if (s && !s->ended)
        give_up_head(end, s, H2_MALFORMED);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len,
                   void *user)
{
    struct h2_end_of *end = user;
    (void)session, (void)flags;
    struct h2_stream *s = stream_of(end, id);
    end->owed_bytes += len;
    if (s)
        h2_stream_data(s, end->side, span_of(data, len));
    else
        h2_bridge_release(end->bridge, end->side, id, len);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    struct h2_end_of *end = user;
    (void)session;
    struct h2_stream *s = stream_of(end, id);
    if (s)
        h2_stream_closed(s, end->side, code);
    return 0;
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2_end_of *end = user;
    (void)session;
    bool message = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
    struct h2_stream *s = message ? stream_of(end, frame->hd.stream_id) : NULL;
    if (s && end->side == H2_CLIENT && frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
        h2_stream_finished(s);
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR)
        h2_bridge_break(end->bridge, end->side, H2_PROTOCOL, frame->goaway.error_code);
    return 0;
}

/* A head that can't be sent (too large when compressed): nobody would ever hear of that stream again. */
static int on_frame_not_send(nghttp2_session *session, const nghttp2_frame *frame, int error, void *user)
{
    struct h2_end_of *end = user;
    (void)session, (void)error;
    struct h2_stream *s = frame->hd.type == NGHTTP2_HEADERS ? stream_of(end, frame->hd.stream_id) : NULL;
    if (s && !s->ended)
        h2_stream_fail(s, H2_RESET_BY_US, H2_HEAD_TOO_LARGE, NGHTTP2_INTERNAL_ERROR);
    return 0;
}

/* ---- making ---- */

static nghttp2_session_callbacks *callbacks_new(void)
{
    nghttp2_session_callbacks *c;
    if (nghttp2_session_callbacks_new(&c) != 0)
        return NULL;
    nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(c, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(c, on_invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame_recv);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(c, on_invalid_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(c, on_frame_send);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(c, on_frame_not_send);
    return c;
}

static nghttp2_option *option_new(const struct h2_limits *limits)
{
    nghttp2_option *o;
    if (nghttp2_option_new(&o) != 0)
        return NULL;
    nghttp2_option_set_no_auto_window_update(o, 1);
    nghttp2_option_set_no_closed_streams(o, 1);
    nghttp2_option_set_max_send_header_block_length(o, 2 * limits->head_bytes + 4096);
    return o;
}

static int open_session(struct h2_end_of *end, const nghttp2_session_callbacks *c, const nghttp2_option *o)
{
    const struct h2_limits *limits = &end->bridge->limits;
    const nghttp2_settings_entry entries[] = {
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
         end->bridge->h1.on ? H2_TURN_WINDOW_BYTES : H2_STREAM_WINDOW_BYTES},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)limits->head_bytes},
        {end->side == H2_CLIENT ? NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS : NGHTTP2_SETTINGS_ENABLE_PUSH,
         end->side == H2_CLIENT ? limits->streams : 0},
    };
    int made = end->side == H2_CLIENT ? nghttp2_session_server_new2(&end->session, c, end, o)
                                      : nghttp2_session_client_new2(&end->session, c, end, o);
    if (made != 0)
        return -1;
    bool good = nghttp2_submit_settings(end->session, NGHTTP2_FLAG_NONE, entries, ARRAY_LEN(entries)) == 0 &&
                nghttp2_session_set_local_window_size(end->session, NGHTTP2_FLAG_NONE, 0,
                                                      H2_CONNECTION_WINDOW_BYTES) == 0;
    return good ? 0 : -1;
}

struct h2_bridge *h2_bridge_new(const struct h2_limits *limits, const struct h2_events *events, void *owner)
{
    struct h2_bridge *b = calloc(1, sizeof *b);
    nghttp2_session_callbacks *c = callbacks_new();
    nghttp2_option *o = option_new(limits);
    int opened = b && c && o ? 0 : -1;
    if (b)
        *b = (struct h2_bridge){.limits = *limits, .events = events, .owner = owner};
    if (opened == 0 && limits->server_h1)
        h2_h1_init(b);
    for (int side = 0; opened == 0 && side < (limits->server_h1 ? 1 : 2); side++) {
        b->ends[side].bridge = b;
        b->ends[side].side = (enum h2_side)side;
        opened = open_session(&b->ends[side], c, o);
    }
    nghttp2_session_callbacks_del(c);
    nghttp2_option_del(o);
    if (opened == 0)
        return b;
    h2_bridge_free(b);
    return NULL;
}

static void close_session(struct h2_end_of *end)
{
    nghttp2_session_del(end->session);
    end->session = NULL;
    end->over = true;
    h2_head_free(&end->reader);
}

void h2_bridge_free(struct h2_bridge *take_bridge)
{
    if (!take_bridge)
        return;
    while (take_bridge->streams)
        h2_stream_free(take_bridge->streams);
    close_session(&take_bridge->ends[H2_CLIENT]);
    close_session(&take_bridge->ends[H2_SERVER]);
    h2_h1_free(take_bridge);
    free(take_bridge);
}

/* ---- bytes ---- */

int h2_bridge_receive(struct h2_bridge *b, enum h2_side from, struct span bytes, uint64_t now_ms)
{
    struct h2_end_of *end = &b->ends[from];
    b->now_ms = now_ms;
    if (from == H2_SERVER && b->h1.on)
        return h2_h1_receive(b, bytes);
    if (end->over || !end->session)
        return -1;
    ssize_t used = nghttp2_session_mem_recv(end->session, bytes.data, bytes.len);
    if (used == NGHTTP2_ERR_NOMEM)
        h2_bridge_break(b, from, H2_NO_MEMORY, NGHTTP2_INTERNAL_ERROR);
    else if (used == NGHTTP2_ERR_FLOODED)
        h2_bridge_break(b, from, H2_FLOOD, NGHTTP2_ENHANCE_YOUR_CALM);
    else if (used < 0)
        h2_bridge_break(b, from, H2_PROTOCOL, NGHTTP2_PROTOCOL_ERROR);
    return end->over ? -1 : 0;
}

int h2_bridge_write(struct h2_bridge *b, enum h2_side to, struct buf *out, size_t most)
{
    nghttp2_session *session = b->ends[to].session;
    if (to == H2_SERVER && b->h1.on)
        return h2_h1_write(b, out, most);
    while (session && buf_len(out) < most) {
        const uint8_t *data;
        ssize_t len = nghttp2_session_mem_send(session, &data);
        if (len == 0)
            return 0;
        if (len < 0 || buf_append(out, data, (size_t)len) != 0) {
            h2_bridge_break(b, to, H2_NO_MEMORY, NGHTTP2_INTERNAL_ERROR);
            return -1;
        }
    }
    return session ? 0 : -1;
}

/* ---- ends ---- */

void h2_bridge_unanswered(struct h2_stream *s, enum h2_fault fault)
{
    struct h2_bridge *b = s->bridge;
    if (!s->response_begun && !s->ended && s->told && s->open[H2_CLIENT]) {
        s->waiting = false;
        b->events->unanswered(b->owner, s, fault);
    }
    if (!s->answered && !s->ended)
        h2_stream_fail(s, fault == H2_STREAM_TIMEOUT ? H2_RESET_BY_US : H2_RESET_BY_SERVER, fault,
                       NGHTTP2_INTERNAL_ERROR);
}

void h2_bridge_lost(struct h2_bridge *b, enum h2_side side, bool whole)
{
    if (side == H2_SERVER && b->h1.on) {
        h2_h1_lost(b, whole);
        return;
    }
    if (!b->ends[side].session)
        return;
    close_session(&b->ends[side]);
    for (struct h2_stream *s = b->streams, *next; s; s = next) {
        next = s->next;
        s->open[side] = false;
        if (side == H2_CLIENT) {
            h2_stream_note_end(s, H2_GONE, H2_NO_FAULT, 0);
            h2_stream_reset(s, H2_SERVER, NGHTTP2_CANCEL);
        } else if (!s->pipe[H2_SERVER].eof) {
            h2_bridge_unanswered(s, H2_NO_FAULT);
        }
        if (!s->open[H2_CLIENT] && !s->open[H2_SERVER])
            h2_stream_free(s);
    }
    h2_bridge_stop(b);
}

void h2_bridge_stop(struct h2_bridge *b)
{
    struct h2_end_of *end = &b->ends[H2_CLIENT];
    if (b->stopping || !end->session)
        return;
    b->stopping = true;
    nghttp2_submit_goaway(end->session, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(end->session), NGHTTP2_NO_ERROR, NULL, 0);
}

bool h2_bridge_done(const struct h2_bridge *b)
{
    const struct h2_end_of *client = &b->ends[H2_CLIENT];
    bool idle = !client->session || !nghttp2_session_want_write(client->session);
    return idle &&
           (client->over || (b->count == 0 && (b->stopping || !nghttp2_session_want_read(client->session))));
}

static bool is_overdue(const struct h2_stream *s, uint64_t response_ms, uint64_t idle_ms, uint64_t tunnel_ms)
{
    uint64_t idle = s->bridge->now_ms - s->moved_ms;
    bool asked = s->open[H2_SERVER] && s->pipe[H2_CLIENT].eof && buf_len(&s->pipe[H2_CLIENT].data) == 0;
    if (s->websocket && s->response_begun)
        return idle >= tunnel_ms;
    return idle >= idle_ms || (asked && !s->response_begun && idle >= response_ms);
}

void h2_bridge_expire(struct h2_bridge *b, uint64_t now_ms, uint64_t response_ms, uint64_t idle_ms,
                      uint64_t tunnel_ms)
{
    b->now_ms = now_ms;
    for (struct h2_stream *s = b->streams; s; s = s->next)
        if (!s->waiting && is_overdue(s, response_ms, idle_ms, tunnel_ms)) {
            if (s->response_begun)
                h2_stream_fail(s, H2_RESET_BY_US, H2_STREAM_TIMEOUT, NGHTTP2_CANCEL);
            else
                h2_bridge_unanswered(s, H2_STREAM_TIMEOUT);
        }
}

enum h2_fault h2_bridge_fault(const struct h2_bridge *b, enum h2_side *ret_side)
{
    if (b->fault != H2_NO_FAULT)
        *ret_side = b->fault_side;
    return b->fault;
}

unsigned h2_bridge_streams(const struct h2_bridge *b)
{
    return b->count;
}

size_t h2_bridge_held(const struct h2_bridge *b)
{
    return b->ends[H2_CLIENT].held_bytes + b->ends[H2_SERVER].held_bytes;
}

struct h2_stream *h2_bridge_first(const struct h2_bridge *b)
{
    return b->streams;
}
