/* flow.c: the hub: one flow from accept to its end, in time order. Readiness, answers and deadlines come in here, the step of
 * the flow's state is run until it waits, and the flow is freed here and nowhere else.
 * run/ calls in by env.h; net/ by the callbacks that were given to it; the steps by flow_goto() and flow_fail(). */
#include "flow/inside.h"
#include "flow/peek.h"
#include "flow/role.h"
#include "flow/streams.h"

#include "base/must.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    MOVES_PER_TURN = 256,    /* a client that pipelines must not keep the others waiting */
    FLOWS_OVER_LIMIT = 1024, /* that many more may stay to read their refusal */
};

struct state_row {
    const char *name;
    enum step (*step)(struct flow *);
    enum reason timeout, client_eof, server_eof;
    uint32_t successors; /* bits */
};

#define T(name) | 1u << FLOW_##name
#define STATE(name, run, deadline, timeout, client_eof, server_eof, successors, doc)                         \
    [FLOW_##name] = {#name, run, REASON_##timeout, REASON_##client_eof, REASON_##server_eof, 0 successors},
static const struct state_row states[FLOW_STATE_COUNT] = {FLOW_STATES(STATE, T)};
#undef STATE

static uint64_t state_deadline_ms(const struct flow *f, enum flow_state state)
{
    const struct conf *c = flow_conf(f);
    const int64_t deadlines[FLOW_STATE_COUNT] = {
#define STATE(name, run, deadline, timeout, client_eof, server_eof, successors, doc)                         \
    [FLOW_##name] = (deadline),
        FLOW_STATES(STATE, T)
#undef STATE
#undef T
    };
    return (uint64_t)deadlines[state];
}

const char *flow_state_name(enum flow_state state)
{
    return states[state].name;
}

/* ---- moving ---- */

static bool may_go(enum flow_state from, enum flow_state to)
{
    if (to == FLOW_REFUSE || to == FLOW_CUT || to == FLOW_CLOSING)
        return from < to;
    return (states[from].successors & 1u << to) != 0;
}

static void leave_state(struct flow *f)
{
    uint64_t now = net_now_ms(f->env->net);
    if (f->x)
        f->x->state_ms[f->state] += (uint32_t)(now - f->state_since_ms);
    f->state_since_ms = f->active_ms = now;
}

enum step flow_goto(struct flow *f, enum flow_state state)
{
    if (!expect(may_go(f->state, state))) {
        f->reason = REASON_INTERNAL;
        state = f->state < FLOW_CUT ? FLOW_CUT : FLOW_DONE;
    }
    leave_state(f);
    f->state = state;
    f->timed_out = false;
    flow_set_deadline(f, state_deadline_ms(f, state));
    return MOVE;
}

void flow_set_deadline(struct flow *f, uint64_t after_ms)
{
    if (after_ms)
        net_deadline_set(f->env->net, &f->deadline, after_ms);
    else
        net_deadline_clear(&f->deadline);
}

enum step flow_fail(struct flow *f, enum reason reason, const char *detail_format, ...)
{
    struct exchange *x = f->x;
    if (f->reason == REASON_NONE && !f->in_stream)
        f->reason = reason;
    if (x && x->reason == REASON_NONE) {
        x->reason = reason;
        va_list args;
        va_start(args, detail_format);
        if (detail_format)
            vsnprintf(x->detail, sizeof x->detail, detail_format, args);
        va_end(args);
        for (char *c = x->detail; *c; c++)
            if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
                *c = '?';
    }
    if (f->in_stream)
        return streams_failed(f);
    flow_setup_drop(f); /* nothing more leaves for this exchange */
    auth_cancel(f);
    if (inside_shows_page(f))
        return flow_goto(f, FLOW_ESTABLISHED);
    mint_cancel(f);
    if (f->state >= FLOW_REFUSE) /* it failed while failing */
        return flow_goto(f, f->state < FLOW_CUT ? FLOW_CUT : FLOW_DONE);
    if (!x)
        return flow_goto(f, FLOW_CLOSING);
    if (f->answer == ANSWER_CLOSE)
        return flow_goto(f, FLOW_CLOSING);
    if (f->answer == ANSWER_HTTP)
        return flow_goto(f, reason_table[reason].http_status ? FLOW_REFUSE : FLOW_CLOSING);
    return flow_goto(f, f->answer == ANSWER_TLS_ALERT ? FLOW_REFUSE : FLOW_CUT);
}

static const char *error_text(int error)
{
    return error ? strerror(error) : "connection lost";
}

enum step flow_client_ended(struct flow *f, enum side_io how)
{
    if (how == SIDE_EOF)
        return flow_fail(f, states[f->state].client_eof, NULL);
    if (f->client.error == ETIMEDOUT) /* TCP gave up on a client that takes nothing */
        return flow_fail(f, REASON_WRITE_TIMEOUT, NULL);
    const char *tls_error = f->client.tls ? tls_session_error(f->client.tls) : "";
    if (f->inside && tls_error[0])
        return flow_fail(f, REASON_CLIENT_TLS_FAILED, "%s", tls_error);
    if (f->client.tls && !f->inside)
        return flow_fail(f, REASON_PROXY_TLS_FAILED, "%s", tls_error);
    return flow_fail(f, REASON_CLIENT_RESET, "%s", error_text(f->client.error));
}

enum step flow_server_ended(struct flow *f, enum side_io how)
{
    if (how == SIDE_EOF)
        return flow_fail(f, states[f->state].server_eof, NULL);
    return flow_fail(f, f->server.error == ETIMEDOUT ? REASON_WRITE_TIMEOUT : REASON_SERVER_RESET, "%s",
                     error_text(f->server.error));
}

/* ---- running ---- */

/* Who is awaited before a response has begun: the server, from the request's end on whatever interim answers it sends; before, it or
 * the client, whoever lets the request's bytes lie. */
static enum reason awaited(const struct flow *f, uint64_t *limit_ms, uint64_t *since_ms)
{
    const struct inspect *i = &f->x->inspect;
    if (!i->request_done)
        return buf_len(&f->server.out) > 0 ? REASON_RESPONSE_TIMEOUT : REASON_REQUEST_TIMEOUT;
    *limit_ms = (uint64_t)flow_conf(f)->timeouts.response_ms;
    *since_ms = i->request_done_ms;
    return REASON_RESPONSE_TIMEOUT;
}

/* A deadline passed. In RELAY and INSPECT it counts from the last byte, which is cheaper than moving it for each. */
static void time_out(struct flow *f)
{
    f->timed_out = false;
    if (f->peek && (f->state == FLOW_PROBE || f->state == FLOW_CHAIN || f->state == FLOW_DECIDE_CHAIN ||
                    f->state == FLOW_AWAIT_CHAIN)) {
        f->peek->late = true; /* no reason to end: what isn't known by now stays unknown */
        return;
    }
    enum reason reason = states[f->state].timeout;
    uint64_t limit_ms = state_deadline_ms(f, f->state), since_ms = f->active_ms;
    if (f->state == FLOW_INSPECT && f->x && !f->x->inspect.response_begun)
        reason = awaited(f, &limit_ms, &since_ms);
    uint64_t idle_ms = net_now_ms(f->env->net) - since_ms;
    if ((f->state == FLOW_INSPECT || f->state == FLOW_RELAY) && idle_ms < limit_ms) {
        flow_set_deadline(f, limit_ms - idle_ms);
        return;
    }
    if (f->state == FLOW_STREAMS && streams_expire(f))
        return;
    if (f->state == FLOW_CLOSING)
        flow_goto(f, FLOW_DONE);
    else if (f->state == FLOW_HELLO && f->setup && f->setup->client_spoke)
        flow_fail(f, REASON_HELLO_TIMEOUT, NULL);
    else
        flow_fail(f, reason, NULL);
}

static void flow_free(struct flow *f)
{
    struct flow_env *env = f->env;
    net_deadline_clear(&f->deadline);
    net_attribute_cancel(env->net, &f->attribution);
    sender_unref(f->attribution.sender);
    agent_history_unref(f->attribution.history);
    agent_peers_unref(f->attribution.peers);
    role_free(f);
    net_lane_drop(env->net, &f->out_lane);
    net_lane_drop(env->net, &f->in_lane);
    if (f->counted)
        limits_client_leave(env->limits, &f->limit_ip);
    if (f->prev)
        f->prev->next = f->next;
    else
        env->flows = f->next;
    if (f->next)
        f->next->prev = f->prev;
    env->flow_count--;
    snapshot_unref(f->snapshot);
    free(f);
}

/* Runs steps until one waits. Everything that happens to a flow comes through here. */
static void flow_run(struct flow *f)
{
    if (f->running) { /* raised inside a step: remembered, not re-entered */
        f->woken = true;
        return;
    }
    f->running = true;
    unsigned moves = 0;
    do {
        f->woken = false;
        if (f->timed_out)
            time_out(f);
        enum step step;
        do {
            f->client.want = f->server.want = 0;
            step = states[f->state].step(f);
        } while (step == MOVE &&
                 (++moves < MOVES_PER_TURN || f->state >= FLOW_CUT)); /* an end has no next turn */
        if (step == MOVE)
            f->client.want |= NET_WRITABLE; /* comes back at once, after the others had their turn */
    } while (f->woken && f->state != FLOW_DONE);
    f->client.ready = f->server.ready = 0;
    f->running = false;
    if (f->state == FLOW_DONE && !f->client.stream) {
        flow_free(f);
        return;
    }
    if (f->client.stream)
        net_stream_want(f->client.stream, f->client.want);
    if (f->server.stream)
        net_stream_want(f->server.stream, f->server.want);
}

static void flow_expired(struct net_deadline *d)
{
    struct flow *f = (struct flow *)((char *)d - offsetof(struct flow, deadline));
    f->timed_out = true;
    flow_run(f);
}

void flow_ready(void *owner, struct net_stream *stream, unsigned ready)
{
    struct flow *f = owner;
    struct side *side = stream == f->client.stream ? &f->client : &f->server;
    side->ready |= ready; /* only a hint: a step finds out by reading */
    flow_run(f);
}

void flow_wake(struct flow *f)
{
    flow_run(f);
}

/* ---- the two ends of a life ---- */

bool flow_admit(struct flow *f)
{
    const struct conf *c = flow_conf(f);
    enum limits_admission a =
        limits_client_enter(f->env->limits, &f->client_endpoint.ip, (unsigned)c->limits.flows_per_client,
                            (unsigned)c->limits.flows);
    f->counted = a == LIMITS_ADMITTED;
    f->limit_ip = f->client_endpoint.ip;
    if (f->counted)
        return true;
    counter_add(&f->env->counters, COUNTER_connections_over_limit, 1);
    if (!f->listener->tls && !f->x)
        exchange_begin(f); /* so that the refusal can be said and recorded */
    flow_fail(f, a == LIMITS_OVER_ITS_OWN ? REASON_CLIENT_LIMIT : REASON_OVERLOADED, NULL);
    return false;
}

void flow_accept(struct flow_env *env, struct net_stream *take_client, const struct flow_listener *listener)
{
    counter_add(&env->counters, COUNTER_connections, 1);
    struct flow *f = NULL;
    if (env->flow_count < (unsigned)env->snapshot->conf->limits.flows + FLOWS_OVER_LIMIT)
        f = calloc(1, sizeof *f);
    if (!f) {
        counter_add(&env->counters, COUNTER_connections_over_limit, 1);
        net_stream_close(take_client, NET_CLOSE_RST);
        return;
    }
    f->env = env;
    f->listener = listener;
    f->snapshot = snapshot_ref(env->snapshot);
    f->next = env->flows;
    if (f->next)
        f->next->prev = f;
    env->flows = f;
    env->flow_count++;
    f->deadline.expired = flow_expired;
    f->accepted_ms = f->state_since_ms = f->active_ms = net_now_ms(env->net);
    f->client_endpoint = *net_stream_peer(take_client);
    f->proxy_endpoint = *net_stream_local(take_client);
    side_init(&f->client, FLOW_IN_LIMIT_BYTES, FLOW_OUT_LIMIT_BYTES);
    side_init(&f->server, FLOW_IN_LIMIT_BYTES, FLOW_OUT_LIMIT_BYTES);
    side_take(&f->client, take_client, f, flow_ready);
    f->answer = ANSWER_HTTP;
    f->state = FLOW_PREFACE;
    flow_set_deadline(f, state_deadline_ms(f, FLOW_PREFACE));
    if (conf_network_has(&flow_conf(f)->listen.proxy_protocol_from, &f->client_endpoint.ip))
        f->remote_sender = true; /* counted when its header has said who the client is */
    else if (flow_admit(f))
        attribute_ask(f); /* at once: a sender that exits soon must still be found */
    flow_run(f);
}

enum step flow_done(struct flow *f)
{
    leave_state(f);
    streams_end(f);
    if (!f->spoke && !f->x)
        counter_add(&f->env->counters, COUNTER_connections_silent, 1);
    if (f->x && f->x->reason == REASON_NONE)
        f->x->reason = f->reason == REASON_NONE ? REASON_COMPLETED : f->reason;
    if (f->x)
        exchange_end(f);
    inside_end(f);
    flow_setup_drop(f);
    side_close(&f->client, NET_CLOSE_FIN); /* CUT has reset it before, where that was due */
    side_close(&f->server, NET_CLOSE_FIN);
    return WAIT;
}
