/* inspect.c: one HTTP exchange: the request goes out as wire/http1_write makes it anew, the response comes back likewise, both
 * bodies are streamed through a bounded buffer. What follows in the client's buffer waits for the next exchange.
 * A step of the hub; touches both sides and wire/http1. */
#include "flow/flow.h"

#include "wire/http1_write.h"

enum { ROUNDS_PER_TURN = 4 }; /* a fast server and a fast client must not keep the other flows waiting */

static struct http1_limits limits_of(const struct flow *f)
{
    const struct conf *c = flow_conf(f);
    return (struct http1_limits){c->limits.head_bytes, (unsigned)c->limits.headers, c->limits.target_bytes};
}

/* How one pump ended: it moved something, it must wait, or the flow is on its way elsewhere. */
enum pump { PUMP_IDLE, PUMP_MOVED, PUMP_ENDED };

/* ---- request ---- */

static enum pump ended(enum step step)
{
    (void)step; /* MOVE: flow_fail() has spoken */
    return PUMP_ENDED;
}

/* The server's turn: timeouts.response counts from here, unless it has begun to answer already. */
static void note_request_done(struct flow *f)
{
    struct inspect *i = &f->x->inspect;
    i->request_done = true;
    i->request_done_ms = net_now_ms(f->env->net);
    flow_note_activity(f);
    if (!i->response_begun)
        flow_set_deadline(f, (uint64_t)flow_conf(f)->timeouts.response_ms);
}

static void note_type(struct flow *f, enum fact fact, const struct http1_head *head)
{
    enum { TYPE_BYTES_MAX = 128 };
    const struct http1_header *type = http1_header_find(head, "content-type");
    struct span media = type ? type->value : (struct span){NULL, 0};
    if (media.len > TYPE_BYTES_MAX)
        media.len = TYPE_BYTES_MAX;
    fact_set_span(&f->x->facts, fact, arena_copy(&f->x->arena, media));
}

/* The head is copied once: a server that closed an idle connection is dialled again and gets the same bytes. */
static enum step begin(struct flow *f)
{
    struct exchange *x = f->x;
    struct inspect *i = &x->inspect;
    if (decide_catch_up(f) == MOVE)
        return MOVE;
    if (judge_gate(f) == MOVE)
        return MOVE;
    record_decision(f); /* before the first byte leaves */
    const struct http1_limits limits = limits_of(f);
    if (!i->begun) {
        struct buf head;
        buf_init(&head, 2 * limits.head_bytes + 4096);
        struct http1_forward forward = http1_forward_of(&x->request);
        forward.via = f->inside ? NULL : flow_conf(f)->http.via; /* the two ends see each other */
        char authority[AUTHORITY_TEXT_BYTES]; /* of what was decided, not of what was written */
        forward.authority = span_str(host_port_format(&x->host, x->port, x->https ? 443 : 80, authority));
        i->asked = http1_asked_of(&x->request);
        i->request_framing = x->request.framing;
        http1_body_init(&i->request_body, &x->request, &limits);
        sample_body(f, SAMPLE_OUT, &x->request);
        note_type(f, FACT_request_content_type, &x->request);
        int good = http1_request_write(&head, &x->request, &forward);
        i->head = good == 0 ? arena_copy(&x->arena, buf_span(&head)) : (struct span){NULL, 0};
        buf_free(&head);
        if (!i->head.data)
            return flow_fail(f, REASON_NO_MEMORY, NULL);
        buf_consume(&f->client.in, x->request.head_bytes);
        x->head_consumed = true;
        x->request = (struct http1_head){0}; /* its views are gone */
        i->begun = true;
    }
    i->sent = true;
    http1_scan_init(&i->scan, HTTP1_RESPONSE, i->asked);
    if (buf_append(&f->server.out, i->head.data, i->head.len) != 0)
        return flow_fail(f, REASON_NO_MEMORY, NULL);
    x->bytes_out += i->head.len;
    if (http1_body_done(&i->request_body))
        note_request_done(f);
    return WAIT;
}

static int write_data(struct buf *out, enum http1_framing framing, struct span data)
{
    return framing == HTTP1_CHUNKED ? http1_chunk_write(out, data) : buf_append(out, data.data, data.len);
}

static int write_end(struct exchange *x, struct buf *out, enum http1_framing framing,
                     const struct http1_body *body)
{
    const struct http1_header *trailers = NULL;
    size_t count = 0;
    if (framing != HTTP1_CHUNKED)
        return 0;
    if (body->framing == HTTP1_CHUNKED && http1_body_trailers(body, &x->arena, &trailers, &count) != 0)
        return -1;
    return http1_last_chunk_write(out, trailers, count);
}

static enum pump pump_request(struct flow *f)
{
    struct exchange *x = f->x;
    struct inspect *i = &x->inspect;
    enum pump result = PUMP_IDLE;
    while (!i->request_done && buf_len(&f->server.out) < FLOW_OUT_HIGH_BYTES) {
        if (buf_len(&f->client.in) == 0) {
            enum side_io io = side_fill(&f->client, FLOW_READ_BYTES);
            if (io == SIDE_AGAIN)
                return result;
            if (io != SIDE_MOVED)
                return ended(flow_client_ended(f, io));
        }
        size_t used;
        struct span data;
        struct http1_fault_at fault;
        enum parse p = http1_body_feed(&i->request_body, buf_span(&f->client.in), &used, &data, &fault);
        if (p == PARSE_BAD)
            return ended(
                flow_fail(f, REASON_REQUEST_MALFORMED, "%s in the body", http1_fault_name(fault.fault)));
        x->bytes_out += data.len;
        sample_add(f, SAMPLE_OUT, data);
        x->body_bytes_out += data.len;
        int written = write_data(&f->server.out, i->request_framing, data);
        if (p == PARSE_OK) {
            note_request_done(f);
            written |= write_end(x, &f->server.out, i->request_framing, &i->request_body);
        }
        if (written != 0)
            return ended(flow_fail(f, REASON_NO_MEMORY, NULL));
        buf_consume(&f->client.in, used);
        result = PUMP_MOVED;
    }
    return result;
}

/* ---- response ---- */

/* An idle connection that the server closed meanwhile is no fault of anybody: dialled again, once, when the whole request can
 * be sent again. */
static bool may_repeat(const struct flow *f)
{
    const struct inspect *i = &f->x->inspect;
    return i->reused && !i->server_spoke && i->request_framing == HTTP1_NO_BODY;
}

static enum pump server_ended(struct flow *f, enum side_io how)
{
    struct inspect *i = &f->x->inspect;
    if (may_repeat(f)) {
        i->reused = i->sent = false;
        f->x->bytes_out -= i->head.len;
        side_close(&f->server, NET_CLOSE_FIN);
        return ended(flow_goto(f, FLOW_DECIDE_CONNECT));
    }
    return ended(flow_server_ended(f, how));
}

static enum pump take_response_head(struct flow *f, const struct http1_head *head)
{
    struct exchange *x = f->x;
    struct inspect *i = &x->inspect;
    const struct http1_limits limits = limits_of(f);
    struct http1_forward forward = http1_forward_of(head);
    bool interim = head->status < 200 && head->framing != HTTP1_TUNNEL;
    i->server_spoke = true;
    forward.via = f->inside ? NULL : flow_conf(f)->http.via; /* the two ends see each other */
    if (!interim) {
        i->response_begun = true;
        i->upgraded = head->framing == HTTP1_TUNNEL;
        i->server_framing = head->framing;
        i->client_framing = forward.framing = http1_framing_to(head, x->client_minor);
        i->server_keep = head->keep_alive && head->framing != HTTP1_UNTIL_CLOSE && !i->upgraded;
        x->client_keep_alive &= forward.framing != HTTP1_UNTIL_CLOSE && !f->env->stopping && i->request_done;
        forward.close = !x->client_keep_alive && !i->upgraded;
        forward.keep_alive = x->client_keep_alive && x->client_minor == 0;
        http1_body_init(&i->response_body, head, &limits);
        sample_body(f, SAMPLE_IN, head);
        i->response_done = http1_body_done(&i->response_body);
        fact_set_int(&x->facts, FACT_status, head->status);
        note_type(f, FACT_content_type, head);
        facts_settle(&x->facts, FACT_RESPONSE, FACT_ABSENT);
        if (judge(f, FACT_RESPONSE) == MOVE)
            return PUMP_ENDED;
        f->answer = ANSWER_NONE; /* the client has begun to read the server's answer */
        flow_set_deadline(f, (uint64_t)flow_conf(f)->timeouts.idle_ms);
    }
    if ((!interim || x->client_minor >= 1) && http1_response_write(&f->client.out, head, &forward) != 0)
        return ended(flow_fail(f, REASON_NO_MEMORY, NULL));
    x->bytes_in += head->head_bytes;
    buf_consume(&f->server.in, head->head_bytes);
    http1_scan_init(&i->scan, HTTP1_RESPONSE, i->asked);
    return PUMP_MOVED;
}

static enum pump read_response_head(struct flow *f)
{
    struct exchange *x = f->x;
    struct inspect *i = &x->inspect;
    const struct http1_limits limits = limits_of(f);
    for (;;) {
        if (buf_len(&f->server.in) > 0) {
            struct http1_head head;
            struct http1_fault_at fault;
            enum parse p =
                http1_head_parse(&i->scan, buf_span(&f->server.in), &limits, &x->arena, &head, &fault);
            i->server_spoke = true;
            if (p == PARSE_OK)
                return take_response_head(f, &head);
            if (p == PARSE_BAD)
                return ended(flow_fail(f,
                                       http1_fault_status(fault.fault) == 431 ? REASON_RESPONSE_TOO_LARGE
                                                                              : REASON_RESPONSE_MALFORMED,
                                       "%s: %s at byte %zu", http1_fault_name(fault.fault),
                                       http1_fault_text(fault.fault), fault.offset));
        }
        enum side_io io = side_fill(&f->server, FLOW_READ_BYTES);
        if (io == SIDE_AGAIN)
            return PUMP_IDLE;
        if (io != SIDE_MOVED)
            return server_ended(f, io);
    }
}

static enum pump pump_response(struct flow *f)
{
    struct exchange *x = f->x;
    struct inspect *i = &x->inspect;
    if (!i->response_begun)
        return buf_len(&f->client.out) < FLOW_OUT_HIGH_BYTES ? read_response_head(f) : PUMP_IDLE;
    enum pump result = PUMP_IDLE;
    while (!i->response_done && !i->upgraded && buf_len(&f->client.out) < FLOW_OUT_HIGH_BYTES) {
        if (buf_len(&f->server.in) == 0) {
            enum side_io io = side_fill(&f->server, FLOW_READ_BYTES);
            if (io == SIDE_AGAIN)
                return result;
            if (io == SIDE_EOF && http1_body_eof(&i->response_body)) {
                i->response_done = true;
                return write_end(x, &f->client.out, i->client_framing, &i->response_body) == 0
                           ? PUMP_MOVED
                           : ended(flow_fail(f, REASON_NO_MEMORY, NULL));
            }
            if (io != SIDE_MOVED)
                return ended(flow_server_ended(f, io));
        }
        size_t used;
        struct span data;
        struct http1_fault_at fault;
        enum parse p = http1_body_feed(&i->response_body, buf_span(&f->server.in), &used, &data, &fault);
        if (p == PARSE_BAD)
            return ended(
                flow_fail(f, REASON_RESPONSE_MALFORMED, "%s in the body", http1_fault_name(fault.fault)));
        x->bytes_in += data.len;
        sample_add(f, SAMPLE_IN, data);
        x->body_bytes_in += data.len;
        int written = write_data(&f->client.out, i->client_framing, data);
        if (p == PARSE_OK) {
            i->response_done = true;
            written |= write_end(x, &f->client.out, i->client_framing, &i->response_body);
        }
        if (written != 0)
            return ended(flow_fail(f, REASON_NO_MEMORY, NULL));
        buf_consume(&f->server.in, used);
        result = PUMP_MOVED;
    }
    return result;
}

/* ---- the exchange ---- */

/* The response is written. Bytes that the server sent behind it belong to nobody: that connection serves no further request. */
static enum step finish(struct flow *f)
{
    struct exchange *x = f->x;
    struct inspect *i = &x->inspect;
    bool keep_client = x->client_keep_alive && i->request_done && !f->client.eof;
    bool keep_server = i->server_keep && i->request_done && buf_len(&f->server.in) == 0 && !f->server.eof;
    x->reason = REASON_COMPLETED;
    if (!keep_client)
        return flow_goto(f, FLOW_CLOSING);
    flow_goto(f, FLOW_REQUEST);
    exchange_end(f);
    if (!keep_server)
        side_close(&f->server, NET_CLOSE_FIN);
    return MOVE;
}

static enum step flush_both(struct flow *f)
{
    size_t held = buf_len(&f->server.out) + buf_len(&f->client.out);
    enum side_io to_server = side_flush(&f->server), to_client = side_flush(&f->client);
    if (buf_len(&f->server.out) + buf_len(&f->client.out) < held)
        flow_note_activity(f); /* a slow reader of the last bytes isn't idle */
    if (to_client == SIDE_FAILED)
        return flow_client_ended(f, SIDE_FAILED);
    /* a server may answer and close without reading the rest of the request: its answer counts */
    if (to_server == SIDE_FAILED) {
        buf_clear(&f->server.out);
        f->x->inspect.server_keep = false;
    }
    return WAIT;
}

enum step flow_inspect(struct flow *f)
{
    struct inspect *i = &f->x->inspect;
    if (!i->sent && begin(f) == MOVE)
        return MOVE;
    for (int round = 0; round < ROUNDS_PER_TURN; round++) {
        if (flush_both(f) == MOVE) /* makes room; what doesn't fit has us called again */
            return MOVE;
        enum pump request = pump_request(f);
        if (request == PUMP_ENDED)
            return MOVE;
        enum pump response = pump_response(f);
        if (response == PUMP_ENDED || judge_moving(f) == MOVE || flush_both(f) == MOVE)
            return MOVE;
        if (i->upgraded)
            frames_begin(f);
        if (i->upgraded)
            return flow_goto(f, FLOW_FORWARD);
        if (i->response_done && buf_len(&f->client.out) == 0)
            return finish(f);
        if (request == PUMP_IDLE && response == PUMP_IDLE)
            return WAIT;
        flow_note_activity(f);
    }
    f->client.want = f->server.want =
        NET_READABLE | NET_WRITABLE; /* comes back, after the others had their turn */
    return WAIT;
}
