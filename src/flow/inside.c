/* inside.c: see inside.h. Touches its flow, the server's side, the facts. */
#include "flow/inside.h"

#include "flow/pins.h"

#include "base/must.h"
#include "tls/digest.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- what speaks against it ---- */

enum verdict_handling inside_handling(struct flow *f, const struct verdict *v)
{
    struct exchange *x = f->x;
    int64_t now_s = (int64_t)(net_wall_ms(f->env->net) / 1000);
    bool spared = domains_has(f->snapshot->spared, &x->host);
    bool exact = f->attribution.confidence == AGENT_CONFIDENCE_EXACT;
    bool pinned = !spared && exact && pins_has(f->env->pins, f->attribution.sender, x->host.name, now_s);
    if (!spared && !pinned)
        return f->server_asked && asked_may_pass(f, v) ? HANDLING_PEEK : HANDLING_TERMINATE;
    /* in enforce whoever rejects our leaf doesn't get around inspection by that: a person decides */
    bool proposed = pinned && v->mode == MODE_ENFORCE;
    fact_set_text(&x->facts, FACT_handling_why, spared ? "spared" : proposed ? "pin_proposed" : "pinned");
    return proposed ? HANDLING_TERMINATE : HANDLING_PEEK;
}

/* ---- what the hello says ---- */

/* What we can look into, and what is nobody's but the two ends'. */
static bool is_offered_on(struct span protocol)
{
    return !span_is(protocol, "h3");
}

static void add_alpn(struct inside *i, struct span p)
{
    i->alpn[i->alpn_len] = (uint8_t)p.len;
    memcpy(i->alpn + i->alpn_len + 1, p.data, p.len);
    i->alpn_len = (uint8_t)(i->alpn_len + 1 + p.len);
}

/* A client that speaks HTTP/2 only is understood by a server that doesn't: we translate. */
static void note_alpn(struct inside *i, const struct client_hello *h)
{
    static const char h1[] = "http/1.1";
    bool has_h2 = false, has_h1 = false;
    size_t cursor = 0;
    i->alpn_len = 0;
    for (struct span p; client_hello_next_alpn(h, &cursor, &p);) {
        if (!is_offered_on(p) || p.len == 0 || p.len + sizeof h1 + 1 > sizeof i->alpn - i->alpn_len)
            continue;
        has_h2 |= span_is(p, "h2");
        has_h1 |= span_is(p, h1);
        add_alpn(i, p);
    }
    i->h2_only = has_h2 && !has_h1;
    if (i->h2_only)
        add_alpn(i, span_str(h1));
}

static void note_hello(struct flow *f, struct inside *i, const struct client_hello *h)
{
    i->sni_agrees = true;
    if (h->server_name.data) {
        bool good = host_canonical_bare(h->server_name, &i->sni) == HOST_OK;
        if (!good)
            i->sni = (struct host){0};
        /* with an address in CONNECT the name is all that can be verified; selectors still see the address */
        i->sni_agrees = good && (f->x->host.is_ip || host_equal(&i->sni, &f->x->host));
    }
    note_alpn(i, h);
}

/* False: the client didn't send a hello that can be read. It is read a second time: whether a flow is terminated is known only
 * after the rules have seen it. */
bool inside_read_hello(struct flow *f, struct client_hello *ret)
{
    struct hello_error error;
    const struct hello_reader *r = &f->setup->hello;
    if (f->x->facts.values[FACT_hello_version].state != FACT_KNOWN)
        return false;
    struct span message = hello_reader_message(r, buf_span(&f->client.in), &f->x->arena);
    return message.data && client_hello_parse(message, ret, &error) == PARSE_OK;
}

static bool begin(struct flow *f)
{
    struct client_hello h;
    if (!inside_read_hello(f, &h))
        return false;
    if (!f->inside)
        f->inside = calloc(1, sizeof *f->inside);
    if (f->inside)
        note_hello(f, f->inside, &h);
    return f->inside != NULL;
}

/* A client that doesn't begin TLS, or a server that speaks first: nothing to decrypt. Whoever wants that must be named in the
 * baseline, with handling: tunnel or peek; else anybody could step out of inspection by sending noise. */
static enum step nothing_to_decrypt(struct flow *f)
{
    struct verdict *v = &f->x->verdict;
    v->reason = REASON_HANDLING_DOWNGRADE;
    if (v->mode == MODE_ENFORCE) {
        v->action = VERDICT_BLOCK;
        return flow_fail(f, REASON_HANDLING_DOWNGRADE, "this is no TLS that can be terminated");
    }
    v->would_block |= v->mode == MODE_REPORT;
    if (v->mode == MODE_REPORT && v->action == VERDICT_ALLOW)
        v->action = VERDICT_ALERT;
    record_decision(f);
    return flow_goto(f, FLOW_FORWARD);
}

enum step inside_go(struct flow *f)
{
    bool page = f->inside != NULL; /* refused already, and that is to be shown */
    if (!begin(f))
        return page && f->inside ? flow_fail(f, f->inside->refusal, NULL) : nothing_to_decrypt(f);
    if (page)
        return flow_goto(f, FLOW_MINT);
    if (!f->snapshot->ca || !f->env->signer)
        return flow_fail(f, REASON_SIGNER_UNAVAILABLE, "there is no inspection CA");
    record_decision(f); /* our hello to the server is the first byte that leaves */
    return flow_goto(f, FLOW_SERVER_TLS);
}

/* ---- a page for browsers ---- */

/* A browser never shows the body of a refused CONNECT. The name alone is certified, and nothing was or will be dialled. What calls
 * itself a browser and is none learns no more than the 403 would have told it. */
bool inside_shows_page(struct flow *f)
{
    const struct exchange *x = f->x;
    const struct fact_value *agent = x ? &x->facts.values[FACT_user_agent] : NULL;
    static const char browser[] = "Mozilla/";
    bool wanted = x && x->connect && (f->state == FLOW_DECIDE_CONNECT || f->state == FLOW_DECIDE_ADDRESS) &&
                  f->answer == ANSWER_HTTP && reason_table[x->reason].http_status == 403 &&
                  flow_conf(f)->inspection.page && f->snapshot->ca && f->env->signer && !f->inside &&
                  agent->state == FACT_KNOWN && agent->count >= sizeof browser - 1 &&
                  memcmp(agent->as.text, browser, sizeof browser - 1) == 0;
    if (!wanted || !(f->inside = calloc(1, sizeof *f->inside)))
        return false;
    f->inside->refusal = x->reason;
    memcpy(f->inside->refusal_detail, x->detail, sizeof f->inside->refusal_detail);
    return true;
}

enum step inside_refuse(struct flow *f)
{
    struct exchange *x = f->x;
    const struct inside *i = f->inside;
    if (record_reserve(f) != 0)
        return flow_fail(f, REASON_LEDGER_FULL, NULL);
    if (i->tunnel->decided && i->tunnel->verdict.action == VERDICT_BLOCK) {
        x->verdict =
            i->tunnel->verdict; /* a view into the tunnel's policy, which outlives the exchanges inside */
        x->decided = true;
    }
    return flow_fail(f, i->refusal, "%s", i->refusal_detail);
}

/* ---- the server ---- */

struct tls_session *inside_greet(struct flow *f)
{
    struct inside *i = f->inside;
    struct tls_ticket *ticket = resume_find(f, &i->whole_ms);
    const struct tls_greeting g = {
        .sni = i->sni.len && !i->sni.is_ip ? i->sni.name : NULL,
        .protocols = f->streams ? span_str("\010http/1.1") : span_of(i->alpn, i->alpn_len),
        .ticket = ticket,
        .without_certificate = asked_goes_without(f),
    };
    struct tls_session *s = tls_session_greet(f->snapshot->inspect_tls, &g);
    tls_ticket_free(ticket);
    return s;
}

static int digest_chain(const struct chain *c, uint8_t ret[INSIDE_LEAF_BYTES])
{
    struct span ders[CHAIN_CERTIFICATES_MAX];
    size_t count = chain_count(c);
    for (size_t n = 0; n < count; n++)
        ders[n] = chain_certificate_at(c, n)->der;
    return digest_sha256(ders, count, ret);
}

/* Our own hello always offers 1.3. */
static void note_version(struct flow *f, bool resumed)
{
    const char *name = tls_session_version(f->server.tls);
    uint16_t version = name && strcmp(name, "1.3") == 0 ? 0x0304 : 0x0303;
    if (chain_past_session(f, resumed, version).lower)
        hello_add_anomaly(f, ANOMALY_H21);
}

enum step inside_met(struct flow *f)
{
    struct inside *i = f->inside;
    uint8_t digest[INSIDE_LEAF_BYTES];
    struct chain *c = tls_session_chain(f->server.tls);
    int result = c ? digest_chain(c, digest) : -1;
    chain_free(c);
    if (result != 0)
        return flow_fail(f, REASON_NO_MEMORY, NULL);
    bool resumed = tls_session_resumed(f->server.tls);
    if (!resumed)
        i->whole_ms = net_now_ms(f->env->net);
    fact_set_bool(&f->x->facts, FACT_tls_resumed, resumed);
    note_version(f, resumed);
    f->server_https = true;
    if (!i->met) {
        memcpy(i->leaf, digest, sizeof digest);
        i->met = true;
        return flow_goto(f, FLOW_MINT);
    }
    i->resumable &= memcmp(i->leaf, digest, sizeof digest) == 0;
    if (memcmp(i->leaf, digest, sizeof digest) != 0)
        return flow_fail(f, REASON_SERVER_CERTIFICATE, "it is another than the one shown to the client");
    return flow_goto(f, f->streams ? FLOW_STREAMS : FLOW_INSPECT);
}

enum step inside_not_met(struct flow *f)
{
    const struct tls_session *t = f->server.tls;
    if (!tls_session_certificate_wanted(t))
        return flow_fail(f, REASON_SERVER_TLS_FAILED, "%s", tls_session_error(t));
    return asked(f);
}

enum step inside_chain_known(struct flow *f)
{
    struct inside *i = f->inside;
    const struct fact_value *errors = &f->x->facts.values[FACT_chain_errors];
    if (i->refusal == REASON_NONE && !i->trusted &&
        flow_conf(f)->inspection.bad_chain == CONF_BAD_CHAIN_REFUSE) {
        size_t len = 0;
        i->refusal = REASON_SERVER_CERTIFICATE;
        for (uint32_t n = 0;
             errors->state == FACT_KNOWN && n < errors->count && len + 8 < sizeof i->refusal_detail; n++)
            len += (size_t)snprintf(i->refusal_detail + len, sizeof i->refusal_detail - len, "%s%.*s",
                                    n ? " " : "", (int)errors->as.items[n].len,
                                    (const char *)errors->as.items[n].data);
        side_close(&f->server, NET_CLOSE_FIN);
    }
    return flow_goto(f, FLOW_CLIENT_TLS);
}

/* ---- the tunnel's exchange and those inside ---- */

int inside_enter(struct flow *f)
{
    struct inside *i = f->inside;
    if (exchange_compact_facts(f->x) != 0)
        return -1;
    flow_setup_drop(f);
    i->tunnel = f->x;
    i->exchanges = f->exchanges;
    f->x = NULL;
    i->snapshot = snapshot_ref(f->snapshot);
    return 0;
}

/* CONNECT's host = SNI = Host. A request for another is answered 421: over a connection that was judged as one host's it would
 * reach another. */
enum step inside_judge_target(struct flow *f)
{
    struct exchange *x = f->x;
    const struct inside *i = f->inside;
    const struct http1_target *t = &x->request.target;
    struct host host;
    uint16_t port;
    bool had_port;
    x->https = true;
    x->host = i->tunnel->host;
    x->port = i->tunnel->port;
    fact_set_span(&x->facts, FACT_request_host, arena_copy(&x->arena, x->request.host));
    fact_set_span(&x->facts, FACT_request_method, arena_copy(&x->arena, x->request.method));
    if (t->form == HTTP1_AUTHORITY || (t->form == HTTP1_ABSOLUTE && !t->https))
        return flow_fail(f, REASON_HOST_MISDIRECTED, "this is the inside of a tunnel");
    if (!i->sni_agrees)
        return flow_fail(f, REASON_HOST_MISDIRECTED, "the TLS server name is another");
    struct span written = t->form == HTTP1_ABSOLUTE ? t->authority : x->request.host;
    if (!written.data)
        return WAIT; /* HTTP/1.0 */
    const struct host *name = x->host.is_ip && i->sni.len ? &i->sni : &x->host;
    if (host_port_parse(written, 443, &host, &port, &had_port) != HOST_OK ||
        !(host_equal(&host, name) || host_equal(&host, &x->host)) || (had_port && port != x->port))
        return flow_fail(f, REASON_HOST_MISDIRECTED, "Host is not the host of the tunnel");
    if (t->form == HTTP1_ABSOLUTE && x->request.host.data && !span_equal(written, x->request.host))
        return flow_fail(f, REASON_HOST_MISDIRECTED, NULL);
    return WAIT;
}

static void end_tunnel(struct flow *f, struct inside *i)
{
    must(!f->x);
    struct snapshot *newer = f->snapshot;
    f->out_lane.moved_bytes = f->in_lane.moved_bytes = 0; /* counted with the exchange that was relayed */
    f->x = i->tunnel;
    f->snapshot = i->snapshot; /* its verdict is a view into that policy */
    if (f->x->reason == REASON_NONE)
        f->x->reason = f->reason == REASON_NONE ? REASON_COMPLETED : f->reason;
    if (f->exchanges == i->exchanges &&
        (f->x->reason == REASON_COMPLETED || f->x->reason == REASON_CLIENT_RESET))
        client_tls_note_silence(f, f->x);
    exchange_end(f);
    f->snapshot = newer;
    snapshot_unref(i->snapshot);
}

void inside_end(struct flow *f)
{
    struct inside *i = f->inside;
    if (!i)
        return;
    mint_cancel(f);
    resume_keep(f);
    if (i->client)
        tls_session_free(i->client);
    if (i->tunnel)
        end_tunnel(f, i);
    free(i);
    f->inside = NULL;
}
