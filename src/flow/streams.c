/* streams.c: see streams.h. A step of the hub and what the bridge calls back; touches both sides, the facts and wire/h2. */
#include "flow/streams.h"

#include "base/must.h"
#include "wire/h2.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    STREAMS_AT_ONCE = 100,
    ROUNDS_PER_TURN = 8,
    TICK_MS = 1000, /* how often streams are looked at while nothing moves */
    MEDIA_TYPE_BYTES_MAX = 128,
};

/* One stream's exchange, while the flow looks elsewhere. */
struct stream {
    struct exchange *x;        /* owned; NULL while it stands in flow.x */
    struct snapshot *snapshot; /* counted: the policy it was decided by */
    struct h2_stream *h2;      /* borrowed until it is closed */
    bool waits;                /* for the agent's answer */
    bool queued;               /* for its turn at a server of HTTP/1.1 */
    uint64_t queued_ms;
    char authority[AUTHORITY_TEXT_BYTES]; /* as it was judged: what the server is asked for */
};

struct streams {
    struct h2_bridge *bridge; /* owned */
    unsigned waiting;         /* streams that wait for the agent */
    bool h1;                  /* the server speaks HTTP/1.1 */
    struct stream *
        dials; /* borrowed: for it the flow is on its way to the server anew, with its exchange in flow.x; NULL */
    bool server_lost, told_to_go;
};

/* ---- one stream at a time ---- */

static void swap_snapshot(struct flow *f, struct stream *s)
{
    struct snapshot *other = f->snapshot;
    f->snapshot = s->snapshot;
    s->snapshot = other;
}

/* What is done from here to leave() is done to that stream's exchange. */
static void enter(struct flow *f, struct stream *s)
{
    must(!f->x && s->x);
    f->x = s->x;
    s->x = NULL;
    swap_snapshot(f, s);
    f->in_stream = true;
    f->answer = ANSWER_HTTP; /* a rule that cuts takes it away */
}

static void leave(struct flow *f, struct stream *s)
{
    s->x = f->x;
    f->x = NULL;
    swap_snapshot(f, s);
    f->in_stream = false;
    f->answer = ANSWER_NONE;
}

/* It was refused, in flow.x: a page on that stream, where the client has read nothing of an answer, else a reset. */
static void say_no(struct flow *f, struct h2_stream *h2)
{
    struct http1_header fields[REFUSE_FIELDS];
    struct exchange *x = f->x;
    struct buf body;
    size_t count;
    int status = refuse_status(x);
    buf_init(&body, 16 << 10);
    if (h2_stream_responded(h2) || f->answer != ANSWER_HTTP || status == 0 ||
        refuse_compose(f, &x->arena, &body, fields, &count) != 0)
        h2_cut(h2);
    else
        h2_answer(h2, status, fields, count, x->head ? (struct span){NULL, 0} : buf_span(&body));
    buf_free(&body);
}

/* ---- requests ---- */

static void note_fault(struct flow *f, enum h2_fault fault)
{
    enum reason reason = fault == H2_HEAD_TOO_LARGE || fault == H2_TARGET_TOO_LONG ? REASON_REQUEST_TOO_LARGE
                         : fault == H2_CONNECT                                     ? REASON_METHOD_UNSUPPORTED
                                                                                   : REASON_REQUEST_MALFORMED;
    f->x->fault_status = h2_fault_status(fault);
    flow_fail(f, reason, "%s: %s", h2_fault_name(fault), h2_fault_text(fault));
}

/* The authority in its one form. Judged already: it is the tunnel's, or the name in its hello. */
static void note_authority(struct stream *s, struct span written)
{
    struct host host;
    uint16_t port;
    if (host_port_parse(written, 443, &host, &port, NULL) == HOST_OK)
        host_port_format(&host, port, 443, s->authority);
}

/* What the agent's answer says stands in the flow, and changes there with the next answer. False without memory. */
static bool keep_texts(struct flow *f)
{
    struct exchange *x = f->x;
    uintptr_t from = (uintptr_t)&f->attribution, to = (uintptr_t)(&f->attribution + 1);
    for (int i = 0; i < FACT_COUNT; i++) {
        struct fact_value *v = &x->facts.values[i];
        if (fact_table[i].type != FACT_STRING || v->state != FACT_KNOWN || (uintptr_t)v->as.text < from ||
            (uintptr_t)v->as.text >= to)
            continue;
        const char *copy = arena_strndup(&x->arena, v->as.text, v->count);
        if (!copy)
            return false;
        v->as.text = copy;
    }
    return true;
}

/* The agent has answered: all gates at once, and out it goes. In flow.x. */
static enum step decide(struct flow *f, struct stream *s)
{
    s->waits = false;
    enum step step = attribute_judge(f);
    if (!keep_texts(f))
        return flow_fail(f, REASON_NO_MEMORY, NULL);
    if (step == MOVE)
        return MOVE;
    if (f->streams->h1) { /* decided when its turn comes: the connection may be another by then */
        s->queued = true;
        s->queued_ms = net_now_ms(f->env->net);
        return WAIT;
    }
    if (decide_over_connection(f) == MOVE)
        return MOVE;
    h2_pass(s->h2, span_str(s->authority));
    return WAIT;
}

static struct stream *stream_new(struct flow *f, struct h2_stream *h2)
{
    struct stream *s = calloc(1, sizeof *s);
    if (!s || !exchange_begin(f)) {
        free(s);
        return NULL;
    }
    s->h2 = h2;
    s->x = f->x;
    f->x = NULL;
    s->snapshot = snapshot_ref(f->snapshot); /* the newest: a stream lives under one policy */
    h2_stream_set_user(h2, s);
    return s;
}

static void on_request(void *owner, struct h2_stream *h2, const struct http1_head *head, enum h2_fault fault)
{
    struct flow *f = owner;
    struct stream *s = stream_new(f, h2);
    if (!s) {
        h2_cut(h2);
        return;
    }
    if (h2_bridge_streams(f->streams->bridge) == 1)
        flow_set_deadline(f, TICK_MS);
    enter(f, s);
    struct exchange *x = f->x;
    x->request = *head;
    x->bytes_out = head->head_bytes;
    if (fault != H2_NO_FAULT)
        note_fault(f, fault);
    enum step step = request_judge(f); /* a faulty one's, for its facts */
    if (fault != H2_NO_FAULT)
        step = MOVE;
    if (head->upgrade_websocket)
        frames_begin(f);
    else
        sample_body(f, SAMPLE_OUT, head);
    fact_set_text(&x->facts, FACT_request_version, "HTTP/2");
    note_authority(s, head->host);
    x->request = (struct http1_head){0}; /* its views are gone with this call */
    s->waits = step != MOVE && !f->attributed;
    f->streams->waiting += s->waits;
    if (step != MOVE && !s->waits)
        step = decide(f, s);
    if (step == MOVE)
        say_no(f, h2);
    leave(f, s);
}

/* The agent's answer came for all that wait. */
static void decide_waiting(struct flow *f)
{
    struct streams *t = f->streams;
    if (t->waiting == 0 || !f->attributed)
        return;
    for (struct h2_stream *h2 = h2_bridge_first(t->bridge); h2; h2 = h2_stream_next(h2)) {
        struct stream *s = h2_stream_user(h2);
        if (!s || !s->waits)
            continue;
        enter(f, s);
        if (decide(f, s) == MOVE)
            say_no(f, h2);
        leave(f, s);
    }
    t->waiting = 0;
}

/* ---- responses, payload, ends ---- */

static void on_response(void *owner, struct h2_stream *h2, const struct http1_head *head)
{
    struct flow *f = owner;
    struct stream *s = h2_stream_user(h2);
    enter(f, s);
    struct exchange *x = f->x;
    fact_set_int(&x->facts, FACT_status, head->status);
    const struct http1_header *type = http1_header_find(head, "content-type");
    struct span media = type ? type->value : (struct span){NULL, 0};
    if (media.len > MEDIA_TYPE_BYTES_MAX)
        media.len = MEDIA_TYPE_BYTES_MAX;
    fact_set_span(&x->facts, FACT_content_type, arena_copy(&x->arena, media));
    facts_settle(&x->facts, FACT_RESPONSE, FACT_ABSENT);
    x->bytes_in += head->head_bytes;
    if (!x->frames)
        sample_body(f, SAMPLE_IN, head);
    if (judge(f, FACT_RESPONSE) == MOVE)
        say_no(f, h2);
    leave(f, s);
}

/* In flow.x. */
static void judge_bytes(struct flow *f, struct h2_stream *h2)
{
    if (f->x->decided && f->x->reason == REASON_NONE && judge_moving(f) == MOVE)
        say_no(f, h2);
}

static void on_data(void *owner, struct h2_stream *h2, enum h2_side from, struct span data)
{
    struct flow *f = owner;
    struct stream *s = h2_stream_user(h2);
    if (!s)
        return;
    enter(f, s);
    struct exchange *x = f->x;
    if (from == H2_CLIENT) {
        x->bytes_out += data.len;
        x->body_bytes_out += data.len;
    } else {
        x->bytes_in += data.len;
        x->body_bytes_in += data.len;
    }
    sample_add(f, from == H2_CLIENT ? SAMPLE_OUT : SAMPLE_IN, data);
    judge_bytes(f, h2);
    leave(f, s);
}

static void on_unanswered(void *owner, struct h2_stream *h2, enum h2_fault why)
{
    struct flow *f = owner;
    struct stream *s = h2_stream_user(h2);
    enum h2_side side = H2_CLIENT;
    enum h2_fault fault = h2_bridge_fault(f->streams->bridge, &side);
    bool servers = fault != H2_NO_FAULT && side == H2_SERVER;
    struct http1_fault_at h1 = h2_bridge_h1_fault(f->streams->bridge);
    if (!s)
        return;
    enter(f, s);
    if (why == H2_STREAM_TIMEOUT)
        flow_fail(f, REASON_RESPONSE_TIMEOUT, NULL);
    else if (why == H2_H1_RESPONSE)
        flow_fail(f, REASON_RESPONSE_MALFORMED, "%s: %s at byte %zu", http1_fault_name(h1.fault),
                  http1_fault_text(h1.fault), h1.offset);
    else if (why != H2_NO_FAULT)
        flow_fail(f, why == H2_NO_MEMORY ? REASON_NO_MEMORY : REASON_RESPONSE_TOO_LARGE, NULL);
    else if (servers)
        flow_fail(f, REASON_RESPONSE_MALFORMED, "%s: %s", h2_fault_name(fault), h2_fault_text(fault));
    else
        flow_fail(f, f->server.error ? REASON_SERVER_RESET : REASON_RESPONSE_INCOMPLETE, NULL);
    say_no(f, h2);
    leave(f, s);
}

/* First in line: its id is lower than those of the others. */
static void on_again(void *owner, struct h2_stream *h2)
{
    struct flow *f = owner;
    struct stream *s = h2_stream_user(h2);
    s->queued = true;
    s->queued_ms = net_now_ms(f->env->net);
}

/* Why a stream ended that nobody here has refused. */
static enum reason reason_of(const struct flow *f, enum h2_end end, enum h2_fault fault)
{
    if (fault == H2_STREAM_TIMEOUT)
        return REASON_IDLE_TIMEOUT;
    if (fault == H2_NO_MEMORY)
        return REASON_NO_MEMORY;
    switch (end) {
    case H2_DONE:
    case H2_ANSWERED:
        return REASON_COMPLETED;
    case H2_RESET_BY_CLIENT:
        return fault == H2_HEAD_TOO_LARGE ? REASON_REQUEST_TOO_LARGE
               : fault != H2_NO_FAULT     ? REASON_REQUEST_MALFORMED
                                          : REASON_CLIENT_RESET;
    case H2_RESET_BY_SERVER:
        return fault == H2_HEAD_TOO_LARGE ? REASON_RESPONSE_TOO_LARGE
               : fault == H2_H1_CUT_SHORT ? REASON_RESPONSE_INCOMPLETE
               : fault != H2_NO_FAULT     ? REASON_RESPONSE_MALFORMED
                                          : REASON_SERVER_RESET;
    default:
        return f->reason != REASON_NONE ? f->reason : REASON_CLIENT_CLOSED;
    }
}

static void on_closed(void *owner, struct h2_stream *h2, enum h2_end end, enum h2_fault fault, uint32_t code)
{
    struct flow *f = owner;
    struct stream *s = h2_stream_user(h2);
    if (!s)
        return;
    f->streams->waiting -= s->waits;
    enter(f, s);
    struct exchange *x = f->x;
    enum reason reason = reason_of(f, end, fault);
    if (fault != H2_NO_FAULT)
        flow_fail(f, reason, "%s: %s", h2_fault_name(fault), h2_fault_text(fault));
    else if (code != 0)
        flow_fail(f, reason, "HTTP/2 error code %u", code);
    else
        flow_fail(f, reason, NULL);
    x->state_ms[FLOW_STREAMS] = (uint32_t)(net_now_ms(f->env->net) - x->begun_ms);
    exchange_end(f);
    leave(f, s);
    snapshot_unref(s->snapshot);
    free(s);
}

static const struct h2_events events = {on_request, on_response, on_data, on_unanswered, on_again, on_closed};

/* ---- turns at a server of HTTP/1.1 ---- */

static void lose_server(struct flow *f, bool whole)
{
    f->streams->server_lost = !f->streams->h1;
    h2_bridge_lost(f->streams->bridge, H2_SERVER, whole);
    side_close(&f->server, NET_CLOSE_FIN);
}

/* Who waits longest. */
static struct stream *first_queued(struct flow *f)
{
    struct stream *first = NULL;
    for (struct h2_stream *h2 = h2_bridge_first(f->streams->bridge); h2; h2 = h2_stream_next(h2)) {
        struct stream *s = h2_stream_user(h2);
        if (s && s->queued && (!first || h2_stream_id(h2) < h2_stream_id(first->h2)))
            first = s;
    }
    return first;
}

/* A connection on which nothing is asked, and nothing was said unasked. */
static bool server_takes(struct flow *f)
{
    if (!f->server.stream || !h2_bridge_takes(f->streams->bridge) || buf_len(&f->server.in) > 0)
        return false;
    return side_fill(&f->server, 1) == SIDE_AGAIN;
}

/* Nothing was decided about it yet: then by the policy of now. */
static void take_newest(struct flow *f)
{
    if (f->x->decided || f->snapshot == f->env->snapshot)
        return;
    snapshot_unref(f->snapshot);
    f->snapshot = snapshot_ref(f->env->snapshot);
}

/* In flow.x: over the connection that is there. */
static void ask(struct flow *f, struct stream *s)
{
    bool decided = f->x->decided; /* it is asked again */
    if ((decided ? decide_catch_up(f) : decide_over_connection(f)) == MOVE)
        say_no(f, s->h2);
    else
        h2_pass(s->h2, span_str(s->authority));
}

/* One stream is asked for at a time. MOVE: the flow goes on its usual way to the server, for the stream whose turn it is. */
static enum step take_turns(struct flow *f)
{
    struct streams *t = f->streams;
    if (f->server.stream && h2_bridge_spent(t->bridge))
        lose_server(f, false);
    for (struct stream *s; t->h1 && (s = first_queued(f));) {
        if (f->server.stream && !h2_bridge_takes(t->bridge))
            return WAIT;
        bool there = server_takes(f);
        s->queued = false;
        enter(f, s);
        take_newest(f);
        if (!there) {
            if (f->server.stream)
                h2_bridge_lost(t->bridge, H2_SERVER, false);
            side_close(&f->server, NET_CLOSE_FIN);
            t->dials = s;
            return flow_goto(f, FLOW_DECIDE_CONNECT);
        }
        ask(f, s);
        leave(f, s);
    }
    return WAIT;
}

/* Back from there, with a connection or without. */
static void end_dial(struct flow *f)
{
    struct streams *t = f->streams;
    struct stream *s = t->dials;
    if (!s)
        return;
    t->dials = NULL;
    flow_setup_drop(f);
    bool good = f->x->reason == REASON_NONE;
    if (good)
        h2_bridge_connected(t->bridge, net_now_ms(f->env->net));
    good = good && decide_catch_up(f) == WAIT && judge_gate(f) == WAIT;
    if (good && keep_texts(f)) {
        record_decision(f); /* before its first byte leaves */
        h2_pass(s->h2, span_str(s->authority));
    } else {
        say_no(f, s->h2);
    }
    leave(f, s);
    flow_set_deadline(f, TICK_MS);
}

enum step streams_failed(struct flow *f)
{
    if (!f->streams->dials || f->streams->dials->x) /* another stream's, that was put in its place */
        return MOVE;
    flow_setup_drop(f);
    side_close(&f->server, NET_CLOSE_FIN);
    return flow_goto(f, FLOW_STREAMS);
}

/* The exchange that is being dialled for goes back to its stream, so that others may stand in flow.x. */
static void put_aside(struct flow *f)
{
    if (f->streams->dials)
        leave(f, f->streams->dials);
}

static void take_up(struct flow *f)
{
    if (f->streams->dials)
        enter(f, f->streams->dials);
}

void streams_abandon(struct flow *f)
{
    put_aside(f);
    f->streams->dials = NULL;
}

/* Whoever never had a turn. */
static void expire_queue(struct flow *f, uint64_t now_ms)
{
    uint64_t most_ms = (uint64_t)flow_conf(f)->timeouts.response_ms;
    for (struct h2_stream *h2 = h2_bridge_first(f->streams->bridge); h2; h2 = h2_stream_next(h2)) {
        struct stream *s = h2_stream_user(h2);
        if (!s || !s->queued || now_ms - s->queued_ms < most_ms)
            continue;
        s->queued = false;
        enter(f, s);
        flow_fail(f, REASON_RESPONSE_TIMEOUT, "the server was busy with the connection's other requests");
        say_no(f, h2);
        leave(f, s);
    }
}

/* ---- the connection ---- */

int streams_begin(struct flow *f)
{
    const struct conf *c = flow_conf(f);
    const struct h2_limits limits = {
        .head_bytes = c->limits.head_bytes,
        .headers = (unsigned)c->limits.headers,
        .target_bytes = c->limits.target_bytes,
        .streams = STREAMS_AT_ONCE,
        .server_h1 = !f->server.tls || !span_is(tls_session_protocol(f->server.tls), "h2"),
        .https = true,
    };
    must(!f->streams && !f->x);
    struct streams *t = calloc(1, sizeof *t);
    if (t)
        t->bridge = h2_bridge_new(&limits, &events, f);
    if (!t || !t->bridge) {
        free(t);
        return -1;
    }
    f->streams = t;
    t->h1 = limits.server_h1;
    if (t->h1 && f->server.stream)
        h2_bridge_connected(t->bridge, net_now_ms(f->env->net));
    f->answer = ANSWER_NONE;
    return 0;
}

void streams_end(struct flow *f)
{
    struct streams *t = f->streams;
    if (!t)
        return;
    streams_abandon(f);
    h2_bridge_free(t->bridge);
    f->streams = NULL;
    free(t);
}

void streams_decide_again(struct flow *f)
{
    put_aside(f);
    for (struct h2_stream *h2 = h2_bridge_first(f->streams->bridge); h2; h2 = h2_stream_next(h2)) {
        struct stream *s = h2_stream_user(h2);
        if (!s || !s->x->decided || s->x->reason != REASON_NONE || s == f->streams->dials)
            continue;
        enter(f, s);
        if (decide_catch_up(f) == MOVE)
            say_no(f, h2);
        leave(f, s);
    }
    take_up(f);
    flow_wake(f);
}

bool streams_in_time(struct flow *f)
{
    bool ended = false;
    put_aside(f);
    for (struct h2_stream *h2 = h2_bridge_first(f->streams->bridge); h2; h2 = h2_stream_next(h2)) {
        struct stream *s = h2_stream_user(h2);
        if (!s || !s->x->decided || s->x->reason != REASON_NONE || s == f->streams->dials)
            continue;
        enter(f, s);
        bool lost = decide_in_time_now(f) == MOVE;
        if (lost)
            say_no(f, h2);
        ended = ended || lost;
        leave(f, s);
    }
    take_up(f);
    if (ended)
        flow_wake(f);
    return ended;
}

void streams_sender_again(struct flow *f)
{
    put_aside(f);
    for (struct h2_stream *h2 = h2_bridge_first(f->streams->bridge); h2; h2 = h2_stream_next(h2)) {
        struct stream *s = h2_stream_user(h2);
        if (!s || !s->x->decided || s->x->reason != REASON_NONE || s == f->streams->dials)
            continue;
        enter(f, s);
        bool lost = decide_sender_now(f) == MOVE;
        if (!keep_texts(f) || lost)
            say_no(f, h2);
        leave(f, s);
    }
    take_up(f);
    if (f->streams->dials && decide_sender_now(f) == WAIT && !keep_texts(f))
        flow_fail(f, REASON_NO_MEMORY, NULL);
    flow_wake(f);
}

/* Rules that ask for time are answered a little late, but they are. */
static void judge_all(struct flow *f)
{
    for (struct h2_stream *h2 = h2_bridge_first(f->streams->bridge); h2; h2 = h2_stream_next(h2)) {
        struct stream *s = h2_stream_user(h2);
        if (!s || !s->x->decided)
            continue;
        f->judge_due = true;
        enter(f, s);
        judge_bytes(f, h2);
        leave(f, s);
    }
    f->judge_due = false;
}

bool streams_expire(struct flow *f)
{
    const struct conf *c = flow_conf(f);
    struct streams *t = f->streams;
    uint64_t now = net_now_ms(f->env->net), idle_ms = now - f->active_ms;
    if (t->dials)
        return true; /* the step is about to see what became of it */
    judge_all(f);
    expire_queue(f, now);
    h2_bridge_expire(t->bridge, now, (uint64_t)c->timeouts.response_ms, (uint64_t)c->timeouts.idle_ms,
                     (uint64_t)c->timeouts.tunnel_idle_ms);
    uint64_t keepalive_ms = (uint64_t)c->timeouts.keepalive_ms, next_ms = TICK_MS;
    if (h2_bridge_streams(t->bridge) == 0 && idle_ms < keepalive_ms)
        next_ms = keepalive_ms - idle_ms;
    else if (h2_bridge_streams(t->bridge) == 0 && t->told_to_go)
        return false; /* it didn't even take our GOAWAY */
    else if (h2_bridge_streams(t->bridge) == 0)
        t->told_to_go = true;
    if (t->told_to_go)
        h2_bridge_stop(t->bridge);
    flow_set_deadline(f, next_ms);
    return true;
}

/* What a side sent, while what is to be sent to it doesn't pile up. True: something came. */
static bool receive(struct flow *f, struct side *side, enum h2_side from, enum side_io *ret_io)
{
    struct h2_bridge *b = f->streams->bridge;
    bool h1 = from == H2_SERVER && f->streams->h1; /* may answer, and read no further */
    if (h1 ? !h2_bridge_reads(b) : buf_len(&side->out) >= FLOW_OUT_HIGH_BYTES) {
        *ret_io = SIDE_AGAIN;
        return false;
    }
    *ret_io = buf_len(&side->in) > 0 ? SIDE_MOVED : side_fill(side, FLOW_READ_BYTES);
    if (*ret_io != SIDE_MOVED)
        return false;
    int result = h2_bridge_receive(b, from, buf_span(&side->in), net_now_ms(f->env->net));
    buf_clear(&side->in);
    if (result != 0)
        *ret_io = SIDE_FULL; /* nothing more is read from it */
    return true;
}

static bool deliver(struct flow *f, struct side *side, enum h2_side to)
{
    size_t before = buf_len(&side->out);
    if (!side->stream)
        return false;
    h2_bridge_write(f->streams->bridge, to, &side->out, FLOW_OUT_HIGH_BYTES);
    bool moved = buf_len(&side->out) != before;
    before = buf_len(&side->out);
    if (side_flush(side) == SIDE_FAILED)
        buf_clear(&side->out); /* reading tells */
    return moved || buf_len(&side->out) < before;
}

/* The client's connection is over, one way or another: what was said is sent, streams that are left end. */
static enum step finish(struct flow *f, enum side_io how)
{
    enum h2_side side = H2_SERVER;
    enum h2_fault fault = h2_bridge_fault(f->streams->bridge, &side);
    bool streams = h2_bridge_streams(f->streams->bridge) > 0;
    enum step step = MOVE;
    if (fault != H2_NO_FAULT && side == H2_CLIENT)
        step = flow_fail(f, fault == H2_FLOOD ? REASON_FLOOD : REASON_REQUEST_MALFORMED, NULL);
    else if (how == SIDE_FAILED && streams)
        step = flow_client_ended(f, how);
    else if (how == SIDE_EOF && streams)
        step = flow_fail(f, REASON_CLIENT_CLOSED, NULL);
    else
        step = flow_goto(f, FLOW_CLOSING); /* nothing was under way: however it went, it is over */
    streams_end(f);
    return step;
}

enum step flow_streams(struct flow *f)
{
    struct streams *t = f->streams;
    end_dial(f);
    if (f->env->stopping)
        h2_bridge_stop(t->bridge);
    for (int round = 0; round < ROUNDS_PER_TURN; round++) {
        enum side_io client, server = SIDE_AGAIN;
        decide_waiting(f);
        if (f->judge_due)
            judge_all(f);
        bool moved = receive(f, &f->client, H2_CLIENT, &client);
        if (f->server.stream)
            moved |= receive(f, &f->server, H2_SERVER, &server);
        if (take_turns(f) == MOVE)
            return MOVE;
        moved |= deliver(f, &f->server, H2_SERVER);
        if (f->server.stream && server != SIDE_MOVED && server != SIDE_AGAIN) {
            lose_server(f, server == SIDE_EOF);
            moved = true;
        }
        moved |= deliver(f, &f->client, H2_CLIENT);
        bool over = h2_bridge_done(t->bridge) && buf_len(&f->client.out) == 0;
        if (over || (client != SIDE_MOVED && client != SIDE_AGAIN))
            return finish(f, client);
        if (!moved)
            return WAIT;
        flow_note_activity(f);
    }
    f->client.want = f->server.want =
        NET_READABLE | NET_WRITABLE; /* comes back, after the others had their turn */
    return WAIT;
}
