/* relay.c: the tunnel: what was read so far goes out, then bytes go both ways unread, by net/'s lanes, or through TLS where a
 * side has it. Half-close is passed on; a reset on one side resets the other, so that nothing cut short looks whole.
 * Steps of the hub; touch both sides. */
#include "flow/flow.h"
#include "flow/peek.h"

enum { COPY_BUDGET_BYTES = 256 << 10 };

uint64_t relay_bytes_out(const struct flow *f)
{
    return f->out_lane.moved_bytes;
}

uint64_t relay_bytes_in(const struct flow *f)
{
    return f->in_lane.moved_bytes;
}

/* ---- forward ---- */

/* Its `out` is empty most of the time, then nothing is copied. */
int relay_hand_over(struct side *from, struct side *to, uint64_t *count)
{
    size_t len = buf_len(&from->in);
    if (len == 0)
        return 0;
    if (buf_len(&to->out) == 0) {
        struct buf empty = to->out;
        size_t in_limit = from->in.limit, out_limit = to->out.limit;
        to->out = from->in;
        from->in = empty;
        to->out.limit = out_limit;
        from->in.limit = in_limit;
    } else {
        if (buf_append(&to->out, buf_span(&from->in).data, len) != 0)
            return -1;
        buf_consume(&from->in, len);
    }
    *count += len;
    return 0;
}

enum step flow_forward(struct flow *f)
{
    struct exchange *x = f->x;
    f->answer = ANSWER_NONE; /* from the first byte on, only a reset tells the truth */
    if (f->peek && !f->peek->forwarded) {
        peek_note(f, FLIGHT_CLIENT, buf_span(&f->client.in));
        peek_note(f, FLIGHT_SERVER, buf_span(&f->server.in));
    }
    sample_add(f, SAMPLE_OUT, buf_span(&f->client.in));
    sample_add(f, SAMPLE_IN, buf_span(&f->server.in));
    conform_note(f, &f->client);
    conform_note(f, &f->server);
    if (relay_hand_over(&f->client, &f->server, &x->bytes_out) != 0 ||
        relay_hand_over(&f->server, &f->client, &x->bytes_in) != 0)
        return flow_fail(f, REASON_NO_MEMORY, NULL);
    enum side_io to_server = side_flush(&f->server), to_client = side_flush(&f->client);
    if (to_server == SIDE_FAILED)
        return flow_server_ended(f, SIDE_FAILED);
    if (to_client == SIDE_FAILED)
        return flow_client_ended(f, SIDE_FAILED);
    if (to_server != SIDE_DONE || to_client != SIDE_DONE)
        return WAIT;
    return f->peek ? flow_goto(f, FLOW_CHAIN) : relay_enter(f);
}

enum step relay_enter(struct flow *f)
{
    peek_trim(f);
    conform_enter_relay(f);
    if (exchange_compact(f) != 0)
        return flow_fail(f, REASON_NO_MEMORY, NULL);
    f->in_state = f->out_state = NET_LANE_WAIT_READ; /* told at once when there is something already */
    return flow_goto(f, FLOW_RELAY);
}

/* ---- relay ---- */

/* Through our buffers: TLS has to, and a sample is taken there; what is left in them then goes first. */
static bool is_copied(const struct flow *f, const struct side *from, const struct side *to)
{
    return from->tls || to->tls || buf_len(&to->out) > 0 ||
           sample_is_watched(f, from == &f->client ? SAMPLE_OUT : SAMPLE_IN);
}

/* One direction through TLS, or past the sample: at most one buffer is on its way. */
static enum net_lane_state copy_lane(struct flow *f, struct net_lane *lane, struct side *from,
                                     struct side *to)
{
    enum sample_way way = from == &f->client ? SAMPLE_OUT : SAMPLE_IN;
    for (size_t budget = COPY_BUDGET_BYTES; budget > 0;) {
        enum side_io io = side_flush(to);
        if (io == SIDE_FAILED)
            return NET_LANE_WRITE_FAILED;
        if (io == SIDE_AGAIN)
            return NET_LANE_WAIT_WRITE;
        if (from->eof && buf_len(&from->in) == 0)
            return NET_LANE_DONE;
        if (!is_copied(f, from, to))
            return NET_LANE_WAIT_READ; /* the sample is taken: what comes next needn't come by here */
        io = side_fill(from, FLOW_READ_BYTES);
        if (io == SIDE_FAILED)
            return NET_LANE_READ_FAILED;
        if (io == SIDE_AGAIN)
            return NET_LANE_WAIT_READ;
        size_t len = buf_len(&from->in);
        sample_add(f, way, buf_span(&from->in));
        if (lane->watch)
            record_watch_feed(lane->watch, buf_span(&from->in));
        relay_hand_over(from, to, &lane->moved_bytes);
        budget -= len < budget ? len : budget;
    }
    to->want |= NET_WRITABLE; /* the budget is spent: come back after the others */
    return NET_LANE_WAIT_WRITE;
}

/* Nothing was told of what the lane waits for: trying would only cost system calls. */
static bool would_wait(enum net_lane_state last, const struct side *from, const struct side *to)
{
    bool told =
        last == NET_LANE_WAIT_READ ? (from->ready & NET_READABLE) != 0 : (to->ready & NET_WRITABLE) != 0;
    return (last == NET_LANE_WAIT_READ || last == NET_LANE_WAIT_WRITE) && !told && !from->tls && !to->tls;
}

/* `other_done`: the other lane is at its end. Then the connection is closed at once, which says FIN by itself. */
static enum net_lane_state move(struct flow *f, struct net_lane *lane, enum net_lane_state last,
                                struct side *from, struct side *to, bool other_done)
{
    if (to->finished)
        return side_finish(to) == SIDE_AGAIN ? NET_LANE_WAIT_WRITE : NET_LANE_DONE;
    uint64_t before = lane->moved_bytes;
    enum net_lane_state state = would_wait(last, from, to) ? last
                                : is_copied(f, from, to)
                                    ? copy_lane(f, lane, from, to)
                                    : net_lane_move(f->env->net, lane, from->stream, to->stream);
    if (lane->moved_bytes != before)
        flow_note_activity(f);
    if (state == NET_LANE_WAIT_READ)
        from->want |= NET_READABLE;
    if (state == NET_LANE_WAIT_WRITE)
        to->want |= NET_WRITABLE;
    if (state == NET_LANE_DONE)
        from->eof = true;
    if (state == NET_LANE_DONE && (to->tls || !other_done) && side_finish(to) == SIDE_AGAIN)
        state = NET_LANE_WAIT_WRITE;
    return state;
}

/* Who broke it: for the lane to `to`, reading failed on the other side. */
static enum step broke(struct flow *f, enum net_lane_state state, struct side *from, struct side *to)
{
    struct side *side = state == NET_LANE_READ_FAILED ? from : to;
    if (!side->tls)
        side->error = net_stream_errno(side->stream);
    return side == &f->client ? flow_client_ended(f, SIDE_FAILED) : flow_server_ended(f, SIDE_FAILED);
}

static bool is_broken(enum net_lane_state state)
{
    return state == NET_LANE_READ_FAILED || state == NET_LANE_WRITE_FAILED;
}

enum step flow_relay(struct flow *f)
{
    /* the server's bytes first: they are what the client still wants when writing to the server fails */
    f->in_state = move(f, &f->in_lane, f->in_state, &f->server, &f->client, f->out_state == NET_LANE_DONE);
    if (is_broken(f->in_state))
        return broke(f, f->in_state, &f->server, &f->client);
    f->out_state = move(f, &f->out_lane, f->out_state, &f->client, &f->server, f->in_state == NET_LANE_DONE);
    if (is_broken(f->out_state))
        return broke(f, f->out_state, &f->client, &f->server);
    if (conform_check(f) == MOVE || judge_moving(f) == MOVE)
        return MOVE;
    if (f->in_state != NET_LANE_DONE || f->out_state != NET_LANE_DONE)
        return WAIT;
    f->x->reason = REASON_COMPLETED;
    return flow_goto(f, FLOW_CLOSING);
}

/* ---- the ends ---- */

/* The end, or the wait for certificates that the last record is to name. */
static enum step end(struct flow *f)
{
    if (!peek_is_pending(f) || f->env->stopping)
        return flow_goto(f, FLOW_DONE);
    side_close(&f->client, NET_CLOSE_FIN);
    side_close(&f->server, NET_CLOSE_FIN);
    return flow_goto(f, FLOW_AWAIT_CHAIN);
}

enum step flow_cut(struct flow *f)
{
    if (f->x && f->x->decision_recorded)
        counter_add(&f->env->counters, COUNTER_cut, 1);
    side_close(&f->client, NET_CLOSE_RST);
    side_close(&f->server, NET_CLOSE_RST);
    return end(f);
}

enum { LINGER_READS_PER_TURN = 16 };

/* A server that was sent half a request must not take it for a whole one. */
static enum net_close server_close(const struct flow *f)
{
    const struct inspect *i = f->x ? &f->x->inspect : NULL;
    return i && i->sent && !i->request_done ? NET_CLOSE_RST : NET_CLOSE_FIN;
}

enum step flow_closing(struct flow *f)
{
    side_close(&f->server, server_close(f));
    enum side_io io = side_flush(&f->client);
    if (io == SIDE_AGAIN)
        return WAIT;
    if (io == SIDE_FAILED)
        return end(f);
    if (f->client.eof && !f->client.tls)
        return end(f); /* nothing is left unread: the close itself says FIN */
    side_finish(&f->client);
    /* a close with unread bytes would be a reset, and the reset can overtake the answer */
    for (int i = 0; i < LINGER_READS_PER_TURN; i++) {
        buf_clear(&f->client.in);
        io = side_fill(&f->client, FLOW_READ_BYTES);
        if (io == SIDE_AGAIN)
            return WAIT;
        if (io != SIDE_MOVED)
            return end(f);
    }
    f->client.want |= NET_READABLE;
    return WAIT;
}
