/* h2_stream.c: one request and its response between two nghttp2 sessions. See h2.h and h2_private.h.
 * nghttp2 calls in through h2_bridge.c, the owner through h2.h. A stream is freed only when both sessions have closed it (or are gone),
 * inside their callbacks: never by a call of the owner's. Pure. */
#include "wire/h2_private.h"

#include "base/must.h"

#include <stdlib.h>

/* ---- memory ---- */

struct h2_stream *h2_stream_new(struct h2_bridge *b, int32_t client_id)
{
    struct h2_stream *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->bridge = b;
    s->id[H2_CLIENT] = client_id;
    s->open[H2_CLIENT] = true;
    s->moved_ms = b->now_ms;
    for (int side = 0; side < 2; side++)
        buf_init(&s->pipe[side].data, 2 * H2_STREAM_WINDOW_BYTES);
    s->next = b->streams;
    if (s->next)
        s->next->prev = s;
    b->streams = s;
    b->count++;
    return s;
}

static void free_pipe(struct h2_stream *s, enum h2_side from)
{
    h2_stream_discard(s, from);
    buf_free(&s->pipe[from].data);
    h2_head_free(&s->pipe[from].trailers);
}

void h2_stream_free(struct h2_stream *take_s)
{
    struct h2_stream *s = take_s;
    struct h2_bridge *b = s->bridge;
    if (s->prev)
        s->prev->next = s->next;
    else
        b->streams = s->next;
    if (s->next)
        s->next->prev = s->prev;
    b->count--;
    if (s->told)
        b->events->closed(b->owner, s, s->ended ? s->end : H2_GONE, s->fault, s->code);
    free_pipe(s, H2_CLIENT);
    free_pipe(s, H2_SERVER);
    h2_head_free(&s->request);
    free(s);
}

/* ---- ends ---- */

void h2_stream_note_end(struct h2_stream *s, enum h2_end end, enum h2_fault fault, uint32_t code)
{
    if (s->ended)
        return;
    s->ended = true;
    s->end = end;
    s->fault = fault;
    s->code = code;
}

void h2_stream_discard(struct h2_stream *s, enum h2_side from)
{
    struct h2_pipe *p = &s->pipe[from];
    size_t len = buf_len(&p->data);
    p->discard = true;
    if (len == 0 || (from == H2_SERVER && s->answered))
        return; /* our own answer was never anybody's window */
    buf_clear(&p->data);
    s->bridge->ends[from].held_bytes -= len;
    h2_bridge_release(s->bridge, from, s->open[from] ? s->id[from] : 0, len);
}

void h2_stream_reset(struct h2_stream *s, enum h2_side to, uint32_t code)
{
    nghttp2_session *session = s->bridge->ends[to].session;
    h2_stream_discard(s, to); /* what it sends is nobody's now */
    if (to == H2_SERVER && s->bridge->h1.on)
        h2_h1_drop(s);
    if (session && s->open[to] && nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, s->id[to], code) != 0)
        h2_bridge_break(s->bridge, to, H2_NO_MEMORY, NGHTTP2_INTERNAL_ERROR);
}

void h2_stream_fail(struct h2_stream *s, enum h2_end end, enum h2_fault fault, uint32_t code)
{
    h2_stream_note_end(s, end, fault, code);
    h2_stream_reset(s, H2_CLIENT, code);
    h2_stream_reset(s, H2_SERVER, code);
}

void h2_stream_finished(struct h2_stream *s)
{
    h2_stream_note_end(s, s->answered ? H2_ANSWERED : H2_DONE, H2_NO_FAULT, 0);
    if (!s->pipe[H2_CLIENT].eof && (s->answered || s->early))
        h2_stream_reset(s, H2_CLIENT,
                        NGHTTP2_NO_ERROR); /* RFC 9113, 8.1: the rest of the request isn't needed */
}

void h2_stream_closed(struct h2_stream *s, enum h2_side side, uint32_t code)
{
    s->open[side] = false;
    if (side == H2_CLIENT && (code != NGHTTP2_NO_ERROR || !s->pipe[H2_CLIENT].eof)) {
        h2_stream_note_end(s, H2_RESET_BY_CLIENT, H2_NO_FAULT, code);
        h2_stream_reset(s, H2_SERVER, code == NGHTTP2_NO_ERROR ? NGHTTP2_CANCEL : code);
    } else if (side == H2_SERVER && s->pipe[H2_SERVER].eof) {
        s->early = !s->pipe[H2_CLIENT].eof; /* it answered without reading all: the answer counts */
        h2_stream_discard(s, H2_CLIENT);
        if (s->ended && s->early)
            h2_stream_reset(s, H2_CLIENT, NGHTTP2_NO_ERROR);
    } else if (side == H2_SERVER && !s->answered) {
        /* a message without its end must not look whole */
        uint32_t cut = code == NGHTTP2_NO_ERROR ? NGHTTP2_INTERNAL_ERROR : code;
        h2_stream_note_end(s, H2_RESET_BY_SERVER, H2_NO_FAULT, cut);
        h2_stream_reset(s, H2_CLIENT, cut);
    }
    if (!s->open[H2_CLIENT] && !s->open[H2_SERVER])
        h2_stream_free(s);
}

void h2_cut(struct h2_stream *s)
{
    s->waiting = false;
    h2_stream_fail(s, H2_RESET_BY_US, H2_NO_FAULT, NGHTTP2_CANCEL);
}

/* ---- payload ---- */

static void resume(struct h2_stream *s, enum h2_side to)
{
    nghttp2_session *session = s->bridge->ends[to].session;
    if (session && s->open[to])
        nghttp2_session_resume_data(session,
                                    s->id[to]); /* fails when nothing was deferred: then it isn't needed */
}

static void set_trailers(struct h2_stream *s, enum h2_side to, struct h2_pipe *p, uint32_t *flags)
{
    nghttp2_nv *nv;
    size_t count;
    if (!p->trailed || h2_head_trailers_nv(&p->trailers, &nv, &count) != 0 || count == 0)
        return;
    if (nghttp2_submit_trailer(s->bridge->ends[to].session, s->id[to], nv, count) == 0)
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
}

/* nghttp2 has room for payload toward a peer. */
static ssize_t give(nghttp2_session *session, int32_t id, uint8_t *out, size_t room, uint32_t *flags,
                    nghttp2_data_source *source, void *user)
{
    struct h2_stream *s = source->ptr;
    struct h2_end_of *end = user;
    enum h2_side from = h2_other(end->side);
    struct h2_pipe *p = &s->pipe[from];
    (void)session;
    (void)id;
    size_t len = buf_len(&p->data) < room ? buf_len(&p->data) : room;
    if (len == 0 && !p->eof)
        return NGHTTP2_ERR_DEFERRED;
    struct span data = buf_span(&p->data);
    if (len > 0 && data.data) {
        memcpy(out, data.data, len);
        buf_consume(&p->data, len);
        s->moved_ms = s->bridge->now_ms;
        if (from == H2_CLIENT || !s->answered) {
            s->bridge->ends[from].held_bytes -= len;
            h2_bridge_release(s->bridge, from, s->open[from] ? s->id[from] : 0, len);
        }
    }
    if (p->eof && buf_len(&p->data) == 0) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        set_trailers(s, end->side, p, flags);
    }
    return (ssize_t)len;
}

static nghttp2_data_provider *provider_of(struct h2_stream *s, nghttp2_data_provider *provider)
{
    provider->source.ptr = s;
    provider->read_callback = give;
    return provider;
}

void h2_stream_data(struct h2_stream *s, enum h2_side from, struct span data)
{
    struct h2_bridge *b = s->bridge;
    struct h2_pipe *p = &s->pipe[from];
    s->moved_ms = b->now_ms;
    if (p->discard || (from == H2_SERVER && s->answered)) {
        h2_bridge_release(b, from, s->id[from], data.len);
        return;
    }
    if (buf_append(&p->data, data.data, data.len) !=
        0) { /* over its window, which nghttp2 prevents, or no memory */
        p->data.failed = false;
        h2_bridge_release(b, from, s->id[from], data.len);
        h2_stream_fail(s, H2_RESET_BY_US, H2_NO_MEMORY, NGHTTP2_INTERNAL_ERROR);
        return;
    }
    b->ends[from].held_bytes += data.len;
    h2_bridge_release(b, from, 0, 0);
    if (s->told)
        b->events->data(b->owner, s, from, data);
    resume(s, h2_other(from));
}

void h2_stream_eof(struct h2_stream *s, enum h2_side from)
{
    if (from == H2_SERVER && s->answered)
        return;
    s->pipe[from].eof = true;
    resume(s, h2_other(from));
}

/* ---- heads ---- */

/* By a server of HTTP/1.1? Before anybody decides about it. */
static bool may_be_asked(const struct h2_head *h, const struct h2_limits *limits,
                         const struct http1_head *head)
{
    struct http1_asked asked;
    struct buf written;
    buf_init(&written, 2 * limits->head_bytes + 4096);
    int result =
        h2_h1_head_write(h, limits, head->host, head->framing, head->content_length, &written, &asked);
    buf_free(&written);
    return result == 0;
}

static void take_request(struct h2_stream *s, bool ended)
{
    struct h2_bridge *b = s->bridge;
    struct http1_head head;
    h2_head_move(&b->ends[H2_CLIENT].reader, &s->request);
    s->pipe[H2_CLIENT].eof = ended;
    enum h2_fault fault = h2_head_judge_request(&s->request, &b->limits, b->websockets, ended, &head);
    s->websocket = fault == H2_NO_FAULT && head.upgrade_websocket;
    if (fault == H2_NO_FAULT && b->h1.on && !may_be_asked(&s->request, &b->limits, &head))
        fault = H2_UNTRANSLATABLE;
    s->told = s->waiting = true;
    b->events->request(b->owner, s, &head, fault);
}

static void take_trailers(struct h2_stream *s, enum h2_side from)
{
    struct h2_head *reader = &s->bridge->ends[from].reader;
    if (reader->fault != H2_NO_FAULT) {
        enum h2_end end = from == H2_CLIENT ? H2_RESET_BY_CLIENT : H2_RESET_BY_SERVER;
        h2_stream_fail(s, end, reader->fault, NGHTTP2_PROTOCOL_ERROR);
        return;
    }
    h2_head_free(&s->pipe[from].trailers);
    h2_head_move(reader, &s->pipe[from].trailers);
    s->pipe[from].trailed = true;
    h2_stream_eof(s, from);
}

static int submit_response(struct h2_stream *s, struct h2_head *h, const struct h2_limits *limits,
                           bool interim, bool ended)
{
    nghttp2_session *session = s->bridge->ends[H2_CLIENT].session;
    nghttp2_data_provider provider;
    nghttp2_nv *nv;
    size_t count;
    if (!session || !s->open[H2_CLIENT] || h2_head_response_nv(h, limits, &nv, &count) != 0)
        return -1;
    if (interim)
        return nghttp2_submit_headers(session, NGHTTP2_FLAG_NONE, s->id[H2_CLIENT], NULL, nv, count, NULL) ==
                       0
                   ? 0
                   : -1;
    return nghttp2_submit_response(session, s->id[H2_CLIENT], nv, count,
                                   ended ? NULL : provider_of(s, &provider)) == 0
               ? 0
               : -1;
}

static void take_response(struct h2_stream *s, bool ended)
{
    struct h2_bridge *b = s->bridge;
    struct http1_head head;
    struct h2_head *reader = &b->ends[H2_SERVER].reader;
    enum h2_fault fault = h2_head_judge_response(reader, ended, &head);
    bool interim = fault == H2_NO_FAULT && head.status < 200;
    if (interim && ++s->interim > H2_INTERIM_MAX)
        fault = H2_INTERIM;
    if (fault != H2_NO_FAULT) {
        h2_stream_fail(s, H2_RESET_BY_SERVER, fault, NGHTTP2_PROTOCOL_ERROR);
        return;
    }
    if (!interim) {
        b->events->response(b->owner, s, &head);
        if (s->answered || s->ended)
            return; /* judged, and not let in */
        s->response_begun = true;
        h2_head_free(&s->request);
        s->pipe[H2_SERVER].eof = ended;
    }
    if (submit_response(s, reader, &b->limits, interim, ended) != 0)
        h2_stream_fail(s, H2_RESET_BY_US, H2_NO_MEMORY, NGHTTP2_INTERNAL_ERROR);
}

void h2_stream_headed(struct h2_stream *s, enum h2_side from, bool ended)
{
    s->moved_ms = s->bridge->now_ms;
    if (s->ended && s->end != H2_DONE)
        return;
    if (from == H2_CLIENT) {
        if (s->told)
            take_trailers(s, H2_CLIENT);
        else
            take_request(s, ended);
    } else if (!s->answered) {
        if (s->response_begun)
            take_trailers(s, H2_SERVER);
        else
            take_response(s, ended);
    }
}

/* ---- the owner's word ---- */

int h2_pass(struct h2_stream *s, struct span authority)
{
    struct h2_bridge *b = s->bridge;
    nghttp2_session *session = b->ends[H2_SERVER].session;
    nghttp2_data_provider provider;
    nghttp2_nv *nv;
    size_t count;
    must(s->waiting);
    s->waiting = false;
    if (!s->open[H2_CLIENT] || s->ended)
        return -1;
    if (b->h1.on)
        return h2_h1_pass(s, authority);
    int32_t id = -1;
    /* a body that is empty and already ended needs no DATA frame; trailers come behind one */
    bool ended =
        s->pipe[H2_CLIENT].eof && buf_len(&s->pipe[H2_CLIENT].data) == 0 && !s->pipe[H2_CLIENT].trailed;
    if (session && h2_head_request_nv(&s->request, &b->limits, authority, &nv, &count) == 0)
        id = nghttp2_submit_request(session, NULL, nv, count, ended ? NULL : provider_of(s, &provider), s);
    h2_head_free(&s->request);
    if (id < 0) { /* the server takes no more: the client may try again on another connection */
        h2_stream_fail(s, H2_RESET_BY_SERVER, H2_NO_FAULT, NGHTTP2_REFUSED_STREAM);
        return -1;
    }
    s->id[H2_SERVER] = id;
    s->open[H2_SERVER] = true;
    return 0;
}

static int add_answer_fields(struct h2_head *h, const struct h2_limits *limits, int status,
                             const struct http1_header *fields, size_t count)
{
    char digits[4] = {(char)('0' + status / 100 % 10), (char)('0' + status / 10 % 10),
                      (char)('0' + status % 10), 0};
    bool good = h2_head_add(h, limits, span_str(":status"), span_str(digits), 0);
    for (size_t i = 0; i < count; i++)
        good = good && h2_head_add(h, limits, fields[i].name, fields[i].value, 0);
    return good ? 0 : -1;
}

int h2_answer(struct h2_stream *s, int status, const struct http1_header *fields, size_t count,
              struct span body)
{
    struct h2_bridge *b = s->bridge;
    struct h2_pipe *p = &s->pipe[H2_SERVER];
    must(!s->response_begun);
    s->waiting = false;
    if (s->answered || s->ended || !s->open[H2_CLIENT])
        return -1;
    h2_stream_discard(s, H2_CLIENT);
    h2_stream_reset(s, H2_SERVER, NGHTTP2_CANCEL); /* discards what came from there, too */
    s->answered = s->response_begun = true;
    p->eof = true;
    struct h2_limits ours = b->limits;
    ours.via = NULL;
    struct h2_head h = {.count = 0};
    h2_head_begin(&h, &ours);
    int good = add_answer_fields(&h, &ours, status, fields, count) == 0 &&
               buf_append(&p->data, body.data, body.len) == 0 &&
               submit_response(s, &h, &ours, false, body.len == 0) == 0;
    h2_head_free(&h);
    if (!good)
        h2_stream_fail(s, H2_RESET_BY_US, H2_NO_MEMORY, NGHTTP2_INTERNAL_ERROR);
    return good ? 0 : -1;
}

uint32_t h2_stream_id(const struct h2_stream *s)
{
    return (uint32_t)s->id[H2_CLIENT];
}

void *h2_stream_user(const struct h2_stream *s)
{
    return s->user;
}

void h2_stream_set_user(struct h2_stream *s, void *user)
{
    s->user = user;
}

bool h2_stream_responded(const struct h2_stream *s)
{
    return s->response_begun;
}

bool h2_stream_waits(const struct h2_stream *s)
{
    return s->waiting;
}

bool h2_stream_websocket(const struct h2_stream *s)
{
    return s->websocket;
}

struct h2_stream *h2_stream_next(const struct h2_stream *s)
{
    return s->next;
}
