/* peek.c: handling `peek`: the server's answer to the hello is read as it is forwarded, and its certificates are named: observed on the
 * wire, or, where TLS 1.3 or a resumed session hides them, shown to a probe of ours, waited for as policy says.
 *   chain: wait         PROBE - DECIDE_CHAIN - FORWARD - CHAIN - DECIDE_CHAIN - RELAY
 *   background, never   FORWARD - CHAIN - DECIDE_CHAIN - RELAY, and a probe's answer comes meanwhile, or in AWAIT_CHAIN
 * Steps of the hub; touch both sides, the facts and flow/probe.h. */
#include "flow/peek.h"

#include "facts/conformance.h"
#include "facts/ja3s.h"
#include "flow/flow.h"
#include "flow/parent.h"

#include "base/hex.h"
#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>

enum { PASS_TURNS = 16, PARENT_ASK_BYTES = 4096, TLS10 = 0x0301, TLS12 = 0x0303, TLS13 = 0x0304 };

int peek_begin(struct flow *f, const struct client_hello *h)
{
    struct peek *p = calloc(1, sizeof *p);
    if (!p)
        return -1;
    flight_init(&p->flight);
    f->peek = p;
    if (!h)
        return 0;
    struct host name;
    p->hello = *h;
    p->hello_known = true;
    if (host_canonical_bare(h->server_name, &name) == HOST_OK && !name.is_ip)
        snprintf(p->name, sizeof p->name, "%s", name.name);
    return 0;
}

void peek_note(struct flow *f, enum flight_side who, struct span bytes)
{
    f->peek->forwarded = true;
    flight_feed(&f->peek->flight, who, bytes);
}

bool peek_is_pending(const struct flow *f)
{
    const struct peek *p = f->peek;
    return p && f->x && (p->wait.next || p->job);
}

void peek_trim(struct flow *f)
{
    struct peek *p = f->peek;
    if (!p || !peek_is_pending(f)) {
        peek_free(f);
        return;
    }
    struct buf hello = p->flight.hello; /* a probe's is compared with it */
    buf_init(&p->flight.hello, 0);
    flight_free(&p->flight);
    p->flight.hello = hello;
    p->hello_known = false; /* the arena goes */
}

void peek_free(struct flow *f)
{
    struct peek *p = f->peek;
    if (!p)
        return;
    if (p->job)
        chain_job_cancel(p->job);
    probe_cancel(&p->wait);
    flight_free(&p->flight);
    free(p);
    f->peek = NULL;
}

/* ---- the chain's facts ---- */

static void set_source(struct flow *f, const char *source, const char *why)
{
    fact_set_text(&f->x->facts, FACT_chain_source, source);
    fact_set_text(&f->x->facts, FACT_chain_why, why);
}

/* In what our own hello can't have changed (P17): the version where both were free to choose the highest, and in TLS 1.3 the order of the
 * server's extensions, a trait of its program. */
static bool hellos_differ(struct span tunnel, struct span probe)
{
    struct server_hello a, b;
    struct hello_extension x = {0}, y = {0};
    size_t at = 0, by = 0;
    bool more_a = true, more_b = true;
    if (server_hello_parse(tunnel, &a) != PARSE_OK || server_hello_parse(probe, &b) != PARSE_OK)
        return false;
    if (a.version != b.version || a.legacy_version != b.legacy_version || a.compression != b.compression)
        return true;
    if (a.version < TLS13)
        return false;
    while (more_a || more_b) {
        do
            more_a = server_hello_next_extension(&a, &at, &x);
        while (more_a && x.type == HELLO_EXT_PRE_SHARED_KEY); /* we resume nothing */
        more_b = server_hello_next_extension(&b, &by, &y);
        if (more_a != more_b || (more_a && x.type != y.type))
            return true;
    }
    return false;
}

static void take_answer(struct flow *f, const struct probe_answer *a)
{
    if (!a->record) {
        set_source(f, "unavailable", a->why);
        if (a->detail[0] && f->x->chain_detail[0] == '\0') {
            snprintf(f->x->chain_detail, sizeof f->x->chain_detail, "%s", a->detail);
            fact_set_text(&f->x->facts, FACT_chain_detail, f->x->chain_detail);
        }
        return;
    }
    struct chain_set more = {0};
    struct span tunnel = buf_span(&f->peek->flight.hello);
    if (tunnel.len > 0 && a->server_hello.len > 0 && hellos_differ(tunnel, a->server_hello))
        chain_set_add(&more, CHAIN_P17);
    chain_past_take(f, chain_record_ref(a->record), "probed", more);
}

void peek_settle(struct flow *f)
{
    const struct fact_value *source = &f->x->facts.values[FACT_chain_source];
    if (f->peek && source->state == FACT_PENDING)
        set_source(f, "unavailable", f->peek->wait.next ? "probe_pending" : "ended");
}

/* ---- where it comes from ---- */

/* Later than DECIDE_CHAIN (in RELAY or AWAIT_CHAIN): judged as it comes. */
static void on_answer(struct probe_wait *w, const struct probe_answer *a)
{
    struct flow *f = w->owner;
    if (!f->x)
        return;
    take_answer(f, a);
    if (f->peek->judged)
        facts_settle(&f->x->facts, FACT_CHAIN, FACT_ABSENT);
    if (f->state == FLOW_RELAY)
        decide_by_chain(f);
    flow_wake(f);
}

static void on_observed(void *owner, struct chain_record *record)
{
    struct flow *f = owner;
    f->peek->job = NULL;
    if (record)
        chain_past_take(f, record, "observed", (struct chain_set){0});
    else
        set_source(f, "unavailable", "no_memory");
    flow_wake(f);
}

/* The parent that the tunnel goes through, as the flow's policy has it now; NULL where that is another, whose secret is no business of this one. */
static const struct conf_parent *parent_of(struct flow *f)
{
    const struct fact_value *named = &f->x->facts.values[FACT_parent];
    const struct conf_parent *parent = conf_find_parent(flow_conf(f), &f->x->host);
    char text[AUTHORITY_TEXT_BYTES];
    for (size_t i = 0; parent && named->state == FACT_KNOWN && i < parent->proxy_count; i++) {
        snprintf(text, sizeof text, "%s:%u", parent->proxies[i].host.name, parent->proxies[i].port);
        if (span_is(span_of(named->as.text, named->count), text))
            return parent;
    }
    return NULL;
}

/* Where the probe goes: the tunnel's own address, or the same parent, which is asked as it was for the tunnel. False: that can't be said. */
static bool set_way(struct flow *f, struct probe_question *q, struct buf *ask)
{
    struct exchange *x = f->x;
    q->port = x->port;
    if (x->server_ip.version) {
        q->server = (struct endpoint){x->server_ip, x->port};
        return true;
    }
    const struct conf_parent *parent = f->server.stream ? parent_of(f) : NULL;
    if (!parent || parent_ask_write(ask, parent, &x->host, x->port) != 0)
        return false;
    q->server = *net_stream_peer(f->server.stream);
    q->ask = buf_span(ask);
    return true;
}

static void ask_probe(struct flow *f)
{
    struct peek *p = f->peek;
    struct exchange *x = f->x;
    const struct client_hello *h = &p->hello;
    struct probe_answer answer;
    p->asked = true;
    if (x->verdict.probe == PROBE_NEVER || !p->hello_known) {
        set_source(f, "unavailable", p->flight.resumed ? "resumed" : "policy");
        return;
    }
    uint16_t highest = h->highest_version > TLS13 ? TLS13 : h->highest_version;
    struct buf ask;
    struct probe_question q = {
        .name = p->name[0] ? p->name : NULL,
        .host = x->host.name,
        .alpn = h->alpn,
        .suites = h->cipher_suites,
        .groups = h->groups,
        .max_version = highest < TLS10 ? TLS10 : highest,
    };
    p->wait.owner = f;
    p->wait.done = on_answer;
    buf_init(&ask, PARENT_ASK_BYTES);
    if (!set_way(f, &q, &ask))
        set_source(f, "unavailable", "parent");
    else if (probe_ask(f->env, &q, &p->wait, &answer))
        take_answer(f, &answer);
    buf_free(&ask);
}

static void ask_observed(struct flow *f)
{
    struct peek *p = f->peek;
    const char *host = f->x->host.name;
    const struct chain_input input = {
        .certificates = buf_span(&p->flight.certificate),
        .ocsp = buf_span(&p->flight.ocsp),
        .scts = flight_scts(&p->flight),
        .name = p->name[0] ? p->name : host,
        .connect_name = p->name[0] && strcmp(p->name, host) != 0 ? host : NULL,
    };
    p->asked = true;
    probe_cancel(&p->wait); /* what is seen is better than what would be shown */
    p->job = chain_job_start(f->env->net, f->snapshot, &input, f, on_observed);
    if (!p->job)
        set_source(f, "unavailable", "busy");
}

/* The flight is over: where are its certificates? */
static void ask_chain(struct flow *f)
{
    struct peek *p = f->peek;
    const struct flight *t = &p->flight;
    const struct fact_value *source = &f->x->facts.values[FACT_chain_source];
    if (buf_len(&t->certificate) > 3)
        ask_observed(f);
    else if (source->state == FACT_KNOWN && f->x->chain)
        p->asked = true; /* a probe's, from before the hello left */
    else if (t->version == 0)
        set_source(f, "unavailable",
                   t->alerts[FLIGHT_SERVER].seen ? "refused"
                   : t->fault                    ? "malformed"
                                                 : "no_answer");
    else if (t->version < TLS13 && !t->resumed)
        set_source(f, "unavailable",
                   t->certificate_seen || t->fault == FLIGHT_FAULT_NONE ? "none_sent" : "malformed");
    else if (!p->asked)
        ask_probe(f);
}

/* ---- the flight's facts ---- */

static void set_number(struct flow *f, enum fact which, unsigned value)
{
    char text[16];
    snprintf(text, sizeof text, "0x%04x", value);
    fact_set_text(&f->x->facts, which, arena_strdup(&f->x->arena, text));
}

static void set_hello_facts(struct flow *f, struct span message)
{
    struct arena *a = &f->x->arena;
    struct facts *facts = &f->x->facts;
    struct server_hello h;
    char ja3s[JA3_HASH_BYTES];
    if (message.len == 0 || server_hello_parse(message, &h) != PARSE_OK)
        return;
    const char *version = hello_version_name(h.version);
    fact_set_text(facts, FACT_tls_version, version ? version : "unknown");
    set_number(f, FACT_tls_cipher, h.cipher_suite);
    struct span alpn = arena_copy(a, h.alpn);
    if (alpn.data)
        fact_set_span(facts, FACT_server_alpn, alpn);
    if (ja3s_hash(&h, ja3s) == 0) {
        fact_set_text(facts, FACT_ja3s, arena_strdup(a, ja3s));
        fact_set_int(facts, FACT_ja3s_algorithm, 1);
    }
    char *hex = arena_alloc(a, 2 * message.len + 1);
    if (hex) {
        *hex_write(message, hex) = '\0';
        fact_set_text(facts, FACT_server_hello, hex);
    }
}

/* What the server's side shows joins what the hello showed. */
static void add_anomalies(struct flow *f)
{
    struct peek *p = f->peek;
    struct anomaly_set set = {0};
    const struct fact_value *before = &f->x->facts.values[FACT_anomalies];
    conformance_judge_flight(&p->flight, p->hello_known ? &p->hello : NULL, &set);
    struct session_past past = {.known = true};
    if (!flight_is_complete(&p->flight))
        anomaly_set_add(&set, ANOMALY_H27);
    else
        past = chain_past_session(f, p->flight.resumed, p->flight.version);
    if (!past.known)
        anomaly_set_add(&set, ANOMALY_H28);
    if (past.lower)
        anomaly_set_add(&set, ANOMALY_H21);
    for (uint32_t i = 0; before->state == FACT_KNOWN && i < before->count; i++)
        for (enum anomaly a = 0; a < ANOMALY_COUNT; a++)
            if (span_is(before->as.items[i], anomaly_table[a].id))
                anomaly_set_add(&set, a);
    hello_set_anomalies(f, &set);
}

static void judge_flight(struct flow *f)
{
    struct peek *p = f->peek;
    struct facts *facts = &f->x->facts;
    p->judged = true;
    set_hello_facts(f, buf_span(&p->flight.hello));
    if (p->flight.group)
        set_number(f, FACT_tls_group, p->flight.group);
    if (p->flight.version)
        fact_set_bool(facts, FACT_tls_resumed, p->flight.resumed);
    fact_set_bool(facts, FACT_tls_established, flight_is_complete(&p->flight));
    fact_set_text(facts, FACT_tls_history, arena_strdup(&f->x->arena, p->flight.history));
    add_anomalies(f);
    ask_chain(f);
}

/* ---- the steps ---- */

enum step flow_probe(struct flow *f)
{
    struct peek *p = f->peek;
    if (!p->asked)
        ask_probe(f);
    if (p->wait.next && !p->late)
        return WAIT;
    p->late = false;
    return flow_goto(f, FLOW_DECIDE_CHAIN);
}

/* One direction: what came is read, then goes out. SIDE_EOF: that side says no more. */
static enum side_io pass(struct flow *f, enum flight_side who, struct side *from, struct side *to,
                         uint64_t *count)
{
    for (int turn = 0; turn < PASS_TURNS; turn++) {
        enum side_io io = side_flush(to);
        if (io != SIDE_DONE)
            return io == SIDE_FAILED ? SIDE_FULL : SIDE_AGAIN; /* FULL: it is `to` that broke */
        if (f->peek->flight.over)
            return SIDE_DONE;
        io = side_fill(from, FLOW_READ_BYTES);
        if (io != SIDE_MOVED)
            return io;
        flight_feed(&f->peek->flight, who, buf_span(&from->in));
        conform_note(f, from);
        if (relay_hand_over(from, to, count) != 0)
            return SIDE_FULL;
    }
    to->want |= NET_WRITABLE; /* come back after the others */
    return SIDE_AGAIN;
}

enum step flow_chain(struct flow *f)
{
    struct exchange *x = f->x;
    enum side_io in = pass(f, FLIGHT_SERVER, &f->server, &f->client, &x->bytes_in);
    if (in == SIDE_FAILED || in == SIDE_FULL)
        return in == SIDE_FAILED ? flow_server_ended(f, SIDE_FAILED) : flow_client_ended(f, SIDE_FAILED);
    enum side_io out = pass(f, FLIGHT_CLIENT, &f->client, &f->server, &x->bytes_out);
    if (out == SIDE_FAILED || out == SIDE_FULL)
        return out == SIDE_FAILED ? flow_client_ended(f, SIDE_FAILED) : flow_server_ended(f, SIDE_FAILED);
    bool over = f->peek->flight.over || in == SIDE_EOF || out == SIDE_EOF || f->peek->late;
    if (!over)
        return WAIT;
    f->peek->late = false;
    return flow_goto(f, FLOW_DECIDE_CHAIN);
}

enum step peek_decide(struct flow *f)
{
    struct peek *p = f->peek;
    if (p->forwarded && !p->judged)
        judge_flight(f);
    if (p->job && !p->late)
        return WAIT;
    if (p->job) { /* the pool is too busy to say in time */
        chain_job_cancel(p->job);
        p->job = NULL;
        set_source(f, "unavailable", "busy");
    }
    if (decide_catch_up(f) == MOVE || decide_by_chain(f) == MOVE)
        return MOVE;
    if (!p->forwarded) {
        if (judge_gate(f) == MOVE)
            return MOVE;
        record_decision(f);
        return flow_goto(f, FLOW_FORWARD);
    }
    if (!peek_is_pending(f))
        facts_settle(&f->x->facts, FACT_CHAIN, FACT_ABSENT);
    return relay_enter(f);
}

enum step flow_await_chain(struct flow *f)
{
    bool over = !peek_is_pending(f) || f->peek->late || f->env->stopping;
    return over ? flow_goto(f, FLOW_DONE) : WAIT;
}
