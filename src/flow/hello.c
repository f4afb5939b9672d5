/* hello.c: after the 200: whoever speaks first decides what the tunnel is. The client's hello is read whole, in however many
 * pieces it comes, and becomes facts before a byte of it is forwarded.
 * Steps of the hub; touch both sides, wire/ and facts/. */
#include "flow/flow.h"
#include "flow/peek.h"

#include "facts/anomaly.h"
#include "facts/ja3.h"
#include "facts/ja4.h"

enum { ALPN_MAX = 32, SNI_BYTES_MAX = 512 };

enum step flow_established(struct flow *f)
{
    static const char answer[] = "HTTP/1.1 200 Connection established\r\n\r\n";
    f->answer = ANSWER_NONE; /* from here on the client takes what comes for the server's bytes */
    if (buf_append(&f->client.out, answer, sizeof answer - 1) != 0)
        return flow_fail(f, REASON_NO_MEMORY, NULL);
    return flow_goto(f, FLOW_HELLO);
}

/* ---- facts ---- */

void hello_set_anomalies(struct flow *f, const struct anomaly_set *set)
{
    struct span *items = arena_alloc(&f->x->arena, ANOMALY_COUNT * sizeof *items);
    size_t count = 0;
    if (!items)
        return;
    for (enum anomaly a = anomaly_set_next(set, 0); a != ANOMALY_NONE; a = anomaly_set_next(set, a + 1))
        items[count++] = span_str(anomaly_table[a].id);
    fact_set_items(&f->x->facts, FACT_anomalies, items, count);
}

void hello_add_anomaly(struct flow *f, enum anomaly which)
{
    struct exchange *x = f->x;
    const struct fact_value *v = &x->facts.values[FACT_anomalies];
    size_t count = v->state == FACT_KNOWN ? v->count : 0;
    struct span *items = arena_alloc(&x->arena, (count + 1) * sizeof *items);
    if (!items)
        return;
    if (count > 0)
        memcpy(items, v->as.items, count * sizeof *items);
    items[count] = span_str(anomaly_table[which].id);
    fact_set_items(&x->facts, FACT_anomalies, items, count + 1);
}

static void set_alpn(struct flow *f, const struct client_hello *h)
{
    struct span *items = arena_alloc(&f->x->arena, ALPN_MAX * sizeof *items);
    size_t count = 0, cursor = 0;
    while (items && count < ALPN_MAX && client_hello_next_alpn(h, &cursor, &items[count]))
        count++;
    if (items)
        fact_set_items(&f->x->facts, FACT_alpn, items, count);
}

static bool has_grease(const struct client_hello *h)
{
    const struct span lists[] = {h->cipher_suites, h->groups, h->supported_versions};
    for (size_t l = 0; l < sizeof lists / sizeof lists[0]; l++)
        for (size_t i = 0; i < hello_u16_count(lists[l]); i++)
            if (hello_is_grease(hello_u16_at(lists[l], i)))
                return true;
    return false;
}

static void set_hello_facts(struct flow *f, const struct client_hello *h)
{
    struct exchange *x = f->x;
    struct facts *facts = &x->facts;
    char ja3[JA3_HASH_BYTES], ja4[JA4_BYTES];
    fact_set_span(facts, FACT_sni,
                  span_of(h->server_name.data,
                          h->server_name.len < SNI_BYTES_MAX ? h->server_name.len : SNI_BYTES_MAX));
    fact_set_text(facts, FACT_hello_version, client_hello_version(h));
    fact_set_text(facts, FACT_tls_version, "unknown"); /* the server chooses it, unseen */
    fact_set_bool(facts, FACT_ech, h->ech);
    fact_set_bool(facts, FACT_hello_grease, has_grease(h));
    set_alpn(f, h);
    if (ja3_hash(h, ja3) == 0) {
        fact_set_text(facts, FACT_ja3, arena_strdup(&x->arena, ja3));
        fact_set_int(facts, FACT_ja3_algorithm, 1);
    }
    if (ja4_hash(h, ja4) == 0)
        fact_set_text(facts, FACT_ja4, arena_strdup(&x->arena, ja4));
    f->answer = ANSWER_TLS_ALERT;
    counter_add(&f->env->counters, COUNTER_hellos, 1);
}

/* The reader has come to an end, good or bad: what the client's first bytes are. -1 without memory. */
static int set_client_facts(struct flow *f, enum parse p)
{
    struct exchange *x = f->x;
    const struct hello_reader *r = &f->setup->hello;
    const struct hello_context ctx = {x->host.name, x->port, x->host.is_ip};
    struct anomaly_set anomalies = {0};
    anomaly_from_reader(r, &ctx, &anomalies);
    const char *protocol = "tls";
    if (p == PARSE_OK) {
        struct span message = hello_reader_message(r, buf_span(&f->client.in), &x->arena);
        struct client_hello h;
        struct hello_error error;
        if (message.data && client_hello_parse(message, &h, &error) == PARSE_OK) {
            anomaly_from_hello(&h, &ctx, &anomalies);
            set_hello_facts(f, &h);
            if (x->verdict.handling != HANDLING_TERMINATE)
                conform_begin(f);
            if (x->verdict.handling == HANDLING_PEEK && peek_begin(f, &h) != 0)
                return -1;
        } else if (message.data) {
            anomaly_from_fault(error.fault, &anomalies);
        }
    } else if (r->fault == HELLO_FAULT_NOT_TLS) {
        protocol = opening_name(opening_classify(buf_span(&f->client.in)));
        sample_tunnel(f, buf_span(&f->client.in));
        if (x->facts.values[FACT_payload_fully_encrypted].as.integer)
            anomaly_set_add(&anomalies, ANOMALY_H43);
        counter_add(&f->env->counters, COUNTER_not_tls, 1);
    }
    fact_set_text(&x->facts, FACT_tunnel_protocol, protocol);
    fact_set_text(&x->facts, FACT_first_speaker, "client");
    hello_set_anomalies(f, &anomalies);
    return 0;
}

static void set_server_first_facts(struct flow *f)
{
    struct anomaly_set anomalies = {0};
    anomaly_set_add(&anomalies, ANOMALY_H09);
    hello_set_anomalies(f, &anomalies);
    sample_tunnel(f, span_of(NULL, 0));
    fact_set_text(&f->x->facts, FACT_first_speaker, "server");
    fact_set_text(&f->x->facts, FACT_tunnel_protocol,
                  opening_name(opening_classify(buf_span(&f->server.in))));
    counter_add(&f->env->counters, COUNTER_server_first, 1);
}

static enum step settle(struct flow *f)
{
    struct facts *facts = &f->x->facts;
    remember_hello(f);
    facts_settle(facts, FACT_HELLO, FACT_ABSENT);
    if (!f->peek) { /* handling tunnel: the server's flight is not read; nor where there is none that could be */
        bool policy = f->x->verdict.handling == HANDLING_TUNNEL;
        fact_set_text(facts, FACT_chain_source, "unavailable");
        fact_set_text(facts, FACT_chain_why, policy ? "policy" : "not_tls");
        facts_settle(facts, FACT_CHAIN, FACT_UNOBSERVABLE);
    }
    facts_settle(facts, FACT_REQUEST, FACT_UNOBSERVABLE);
    facts_settle(facts, FACT_RESPONSE, FACT_UNOBSERVABLE);
    return flow_goto(f, ech_is_wanted(f) ? FLOW_ECH : FLOW_DECIDE_HELLO);
}

/* ---- reading ---- */

/* Reads the client up to a whole hello, or to where it can't become one. *ret_done: there is nothing more to learn. */
static enum step read_client(struct flow *f, bool *ret_done)
{
    struct flow_setup *s = f->setup;
    size_t limit = flow_conf(f)->limits.hello_bytes;
    *ret_done = false;
    for (;;) {
        struct span in = buf_span(&f->client.in);
        if (in.len > 0) {
            if (!s->client_spoke)
                flow_set_deadline(f, (uint64_t)flow_conf(f)->timeouts.hello_ms);
            s->client_spoke = true;
            enum parse p = hello_reader_feed(&s->hello, in);
            *ret_done = p != PARSE_MORE;
            if (*ret_done) {
                return set_client_facts(f, p) == 0 ? WAIT : flow_fail(f, REASON_NO_MEMORY, NULL);
            }
            if (in.len > limit)
                return flow_fail(f, REASON_HELLO_MALFORMED, "more than %zu bytes", limit);
        }
        enum side_io io = side_fill(&f->client, FLOW_READ_BYTES);
        if (io == SIDE_AGAIN)
            return WAIT;
        if (io == SIDE_EOF) { /* half-closed: the server may still have something to say */
            if (s->client_spoke)
                fact_set_text(&f->x->facts, FACT_tunnel_protocol, "unknown");
            *ret_done = true;
            return WAIT;
        }
        if (io != SIDE_MOVED)
            return flow_client_ended(f, io);
    }
}

enum step flow_hello(struct flow *f)
{
    struct flow_setup *s = flow_setup_get(f);
    if (!s)
        return flow_fail(f, REASON_NO_MEMORY, NULL);
    if (side_flush(&f->client) == SIDE_FAILED)
        return flow_client_ended(f, SIDE_FAILED);
    bool done;
    enum step step = read_client(f, &done);
    if (step == MOVE)
        return MOVE;
    if (done)
        return settle(f);
    if (f->inside)
        return WAIT;                                /* a page is to be shown: there is no server */
    bool server_spoke = buf_len(&f->server.in) > 0; /* also behind a parent's 200 */
    if (server_spoke && s->client_spoke)
        return WAIT; /* it spoke while the client's hello was still coming: enough is held */
    enum side_io io = server_spoke ? SIDE_MOVED : side_fill(&f->server, FLOW_READ_BYTES);
    if (io == SIDE_FAILED)
        return flow_server_ended(f, io);
    if (io == SIDE_AGAIN || (io == SIDE_MOVED && s->client_spoke))
        return WAIT;
    if (io == SIDE_MOVED)
        set_server_first_facts(f);
    return settle(f); /* also at its FIN, which RELAY passes on */
}
