/* decide.c: the gates of a flow: the baseline over the name, over each address, and what the hello shows; and the same again
 * when a new policy is published. Within an exchange verdicts only get stricter.
 * Steps of the hub; touches the flow, the snapshot and the facts. */
#include "flow/inside.h"
#include "flow/peek.h"
#include "flow/role.h"
#include "flow/streams.h"

#include "base/must.h"
#include "base/rfc3339.h"

#include <stdio.h>

struct verdict decide_by_baseline(struct flow *f, const struct ip *address)
{
    struct exchange *x = f->x;
    struct sender_view view = baseline_view_sender(f->attribution.sender, f->attribution.confidence);
    struct baseline_question q = {
        .sender = &view,
        .proxy_user = x->user,
        .client = f->client_endpoint.ip,
        .host = &x->host,
        .port = x->port,
        .phase = address ? BASELINE_ADDRESS : BASELINE_CONNECT,
        .now_s = (int64_t)(net_wall_ms(f->env->net) / 1000),
    };
    q.roles = role_names(f, &q.role_count);
    if (address) {
        q.address = *address;
        if (f->snapshot->geo) {
            struct geo_place place;
            geo_lookup(f->snapshot->geo, address, &place);
            q.asn = place.asn;
        }
    }
    const struct fact_value *path = &x->facts.values[FACT_url_path];
    if (!x->connect)
        q.path = path->state == FACT_KNOWN ? span_of(path->as.text, path->count) : span_str("*");
    struct verdict v;
    baseline_decide(f->snapshot->baseline, &q, &v);
    if (role_is_missing(f)) { /* whatever the mode: who may connect at all */
        v.action = VERDICT_BLOCK;
        v.reason = REASON_CLIENT_ROLE;
    }
    if (v.handling == HANDLING_UNSET)
        v.handling = (enum verdict_handling)(HANDLING_TUNNEL + flow_conf(f)->policy.handling);
    if (v.handling == HANDLING_TERMINATE)
        v.handling = inside_handling(f, &v);
    if (v.needs_path && v.handling != HANDLING_TERMINATE)
        v = verdict_refuse(v, REASON_BASELINE_DESTINATION);
    if (v.probe == PROBE_UNSET)
        v.probe = (enum verdict_probe)(PROBE_NEVER + flow_conf(f)->policy.chain);
    return v;
}

/* "baseline entry curl: loader (started through the dynamic loader: ...)" */
static enum step fail_as_borrowed(struct flow *f)
{
    const struct verdict *v = &f->x->verdict;
    const struct sender *s = f->attribution.sender;
    char text[160] = "";
    size_t used = 0;
    for (uint32_t left = v->borrowed; left && used < sizeof text; left &= left - 1) {
        enum sender_borrowed which = (enum sender_borrowed)__builtin_ctz(left);
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", used ? ", " : "",
                                 sender_borrowed_name(which));
    }
    const char *why = s && s->who.borrowed_why ? s->who.borrowed_why : "";
    return flow_fail(f, v->reason, "baseline entry %s: %s%s%s%s", v->entry, text, why[0] ? " (" : "", why,
                     why[0] ? ")" : "");
}

/* "exception OPS-17 (OPS-17) ended 2026-11-21T12:00:00Z" */
static enum step fail_as_expired(struct flow *f, enum reason reason)
{
    const struct verdict *v = &f->x->verdict;
    char at[RFC3339_TEXT_BYTES];
    return flow_fail(f, reason, "%s (%s) ended %s", v->entry, v->ticket, rfc3339_format(v->expires_s, at));
}

static enum step fail_by_verdict(struct flow *f)
{
    const struct verdict *v = &f->x->verdict;
    if (v->reason == REASON_RULE)
        return judge_fail(f);
    if (v->reason == REASON_SENDER_BORROWED)
        return fail_as_borrowed(f);
    if (v->reason == REASON_EXCEPTION_EXPIRED)
        return fail_as_expired(f, v->reason);
    return flow_fail(f, v->reason, "%s%s", v->entry ? "baseline entry " : "", v->entry ? v->entry : "");
}

void decide_set_place(struct flow *f, struct facts *facts, const struct ip *ip, struct geo_place *ret_place)
{
    if (f->snapshot->geo)
        geo_lookup(f->snapshot->geo, ip, ret_place);
    remember_address(f, facts, ip, f->snapshot->geo ? ret_place->asn : 0);
    if (!f->snapshot->geo)
        return;
    fact_set_text(facts, FACT_server_country, ret_place->country);
    fact_set_text(facts, FACT_server_city, ret_place->city);
    if (ret_place->asn)
        fact_set_int(facts, FACT_server_asn, ret_place->asn);
    fact_set_text(facts, FACT_server_as_name, ret_place->organization);
}

/* ---- connect ---- */

/* What the request showed, and what this kind of request never will. The rules are asked twice of a plain request, so that what they know from
 * its host alone is said to be known then. */
static int ask_rules(struct flow *f)
{
    struct facts *facts = &f->x->facts;
    facts_settle(facts, FACT_CONNECT, FACT_ABSENT);
    if (judge_note(f, FACT_CONNECT) != 0)
        return -1;
    if (f->x->connect)
        return 0;
    facts_settle(facts, FACT_HELLO, FACT_UNOBSERVABLE);
    facts_settle(facts, FACT_CHAIN, FACT_UNOBSERVABLE);
    facts_settle(facts, FACT_REQUEST, FACT_ABSENT);
    return judge_note(f, FACT_REQUEST);
}

/* A plain flow's server connection serves the next exchange only when it leads to the very same place. */
static bool server_fits(struct flow *f)
{
    const struct exchange *x = f->x;
    if (!f->server.stream || x->connect || f->server_https != x->https || f->server_port != x->port ||
        !host_equal(&f->server_host, &x->host))
        return false;
    /* what a server says unasked would be taken for the answer to the next request */
    return buf_len(&f->server.in) == 0 && side_fill(&f->server, 1) == SIDE_AGAIN;
}

/* Names that go to a parent are not resolved here; the parent's own name is. */
static enum step go_to_parent(struct flow *f, const struct conf_parent *parent)
{
    struct flow_setup *s = flow_setup_get(f);
    if (!s)
        return flow_fail(f, REASON_NO_MEMORY, NULL);
    if (f->x->verdict.needs_address) {
        f->x->verdict.action = VERDICT_BLOCK;
        f->x->verdict.reason = REASON_BASELINE_DESTINATION;
        return flow_fail(f, REASON_BASELINE_DESTINATION,
                         "the baseline judges the address, which only the parent knows");
    }
    s->parent = parent;
    s->parent_index = 0;
    return flow_goto(f, FLOW_RESOLVE);
}

enum step flow_decide_connect(struct flow *f)
{
    struct exchange *x = f->x;
    if (f->inside && f->inside->refusal != REASON_NONE)
        return inside_refuse(f);
    if (record_reserve(f) != 0)
        return flow_fail(f, REASON_LEDGER_FULL, NULL);
    struct verdict v = decide_by_baseline(f, NULL);
    x->verdict =
        x->decided ? verdict_tighten(x->verdict, v) : v; /* decided before: a request that is repeated */
    x->decided = true;
    remember_connect(f);
    notice_set_risk(f);
    if (ask_rules(f) != 0)
        return flow_fail(f, REASON_NO_MEMORY, NULL);
    if (x->verdict.action == VERDICT_BLOCK)
        return fail_by_verdict(f);
    if (server_fits(f)) {
        x->inspect.reused = true;
        x->server_ip = f->server_ip;
        return flow_goto(f, f->server_ip.version ? FLOW_DECIDE_ADDRESS : FLOW_INSPECT);
    }
    side_close(&f->server, NET_CLOSE_FIN);
    if (x->host.is_ip)
        return flow_goto(f, FLOW_DECIDE_ADDRESS);
    const struct conf_parent *parent = conf_find_parent(flow_conf(f), &x->host);
    if (parent && parent->proxy_count > 0)
        return go_to_parent(f, parent);
    return flow_goto(f, FLOW_RESOLVE);
}

/* ---- address ---- */

/* What became of the addresses: those that may be dialled stand in `kept`, the plainly allowed ones alone if there are any. */
struct address_choice {
    struct endpoint kept[FLOW_ADDRESSES];
    unsigned count;
    struct verdict verdict, refusal;
    const char *prohibited;     /* the range of one that the guard refused; NULL */
    bool refused;               /* the baseline refused one: `refusal` */
    const struct ip *ruled_out; /* a rule refused one: borrowed; NULL */
};

static void judge_address(struct flow *f, const struct ip *ip, struct address_choice *c)
{
    const char *range = guard_refuses(f, ip, f->x->port);
    if (range) {
        c->prohibited = range;
        return;
    }
    struct verdict v = verdict_tighten(f->x->verdict, decide_by_baseline(f, ip));
    if (v.action == VERDICT_BLOCK) {
        c->refusal = v;
        c->refused = true;
        return;
    }
    if (judge_refuses_address(f, ip)) {
        c->ruled_out = ip;
        return;
    }
    if (c->count > 0 && v.action > c->verdict.action)
        return; /* a better one is there */
    if (c->count == 0 || v.action < c->verdict.action) {
        c->count = 0;
        c->verdict = v;
    }
    c->kept[c->count++] = (struct endpoint){*ip, f->x->port};
}

static void set_address(struct flow *f)
{
    struct exchange *x = f->x;
    fact_set_ip(&x->facts, FACT_server_ip, &x->server_ip);
    decide_set_place(f, &x->facts, &x->server_ip, &x->place);
    facts_settle(&x->facts, FACT_ADDRESS, FACT_ABSENT);
}

static enum step refuse_addresses(struct flow *f, const struct address_choice *c)
{
    struct verdict *v = &f->x->verdict;
    if (c->refused) {
        *v = c->refusal;
        return fail_by_verdict(f);
    }
    if (c->ruled_out && !c->prohibited) { /* in earnest now: the record has the address and each rule */
        f->x->server_ip = *c->ruled_out;
        set_address(f);
        if (judge(f, FACT_ADDRESS) == MOVE)
            return MOVE;
    }
    v->action = VERDICT_BLOCK;
    v->reason = REASON_ADDRESS_PROHIBITED;
    return flow_fail(f, REASON_ADDRESS_PROHIBITED, "%s", c->prohibited ? c->prohibited : "no address");
}

enum step flow_decide_address(struct flow *f)
{
    struct exchange *x = f->x;
    struct flow_setup *s = flow_setup_get(f);
    if (!s)
        return flow_fail(f, REASON_NO_MEMORY, NULL);
    struct address_choice c = {0};
    if (x->inspect.reused)
        judge_address(f, &f->server_ip, &c);
    else if (x->host.is_ip)
        judge_address(f, &x->host.ip, &c);
    else
        for (unsigned i = 0; i < s->resolution.count; i++)
            judge_address(f, &s->resolution.addresses[i], &c);
    if (c.count == 0)
        return refuse_addresses(f, &c);
    x->verdict = c.verdict;
    if (x->inspect.reused) {
        set_address(f);
        return judge(f, FACT_ADDRESS) == MOVE ? MOVE : flow_goto(f, FLOW_INSPECT);
    }
    const struct conf_parent *parent = x->host.is_ip ? conf_find_parent(flow_conf(f), &x->host) : NULL;
    if (parent && parent->proxy_count > 0) {
        s->parent = parent;
        return flow_goto(f, FLOW_RESOLVE);
    }
    memcpy(s->addresses, c.kept, sizeof s->addresses);
    s->address_count = c.count;
    return flow_goto(f, FLOW_DIAL);
}

/* ---- both, for a stream ---- */

enum step decide_over_connection(struct flow *f)
{
    struct exchange *x = f->x;
    if (record_reserve(f) != 0)
        return flow_fail(f, REASON_LEDGER_FULL, NULL);
    x->verdict = decide_by_baseline(f, NULL);
    x->decided = true;
    remember_connect(f);
    if (ask_rules(f) != 0)
        return flow_fail(f, REASON_NO_MEMORY, NULL);
    if (x->verdict.action == VERDICT_BLOCK)
        return fail_by_verdict(f);
    x->server_ip = f->server_ip;
    struct address_choice c = {0};
    if (x->server_ip.version) {
        judge_address(f, &x->server_ip, &c);
        if (c.count == 0)
            return refuse_addresses(f, &c);
        x->verdict = c.verdict;
        set_address(f);
    }
    if (judge(f, FACT_ADDRESS) == MOVE || judge_gate(f) == MOVE)
        return MOVE;
    record_decision(f); /* before the first byte of it leaves */
    return WAIT;
}

/* ---- hello ---- */

enum step flow_decide_hello(struct flow *f)
{
    struct exchange *x = f->x;
    if (f->inside)
        return inside_go(f); /* refused: a page will say so */
    if (decide_catch_up(f) == MOVE)
        return MOVE;
    const struct fact_value *sni = &x->facts.values[FACT_sni];
    struct host name;
    bool known = sni->state == FACT_KNOWN;
    bool same = known && host_canonical_bare(span_of(sni->as.text, sni->count), &name) == HOST_OK &&
                host_equal(&name, &x->host);
    const struct fact_value *public_name = &x->facts.values[FACT_ech_public_name];
    bool excused = public_name->state == FACT_KNOWN && public_name->as.integer;
    if (known && !same && !excused && flow_conf(f)->policy.sni_mismatch == CONF_SNI_MISMATCH_REFUSE) {
        x->verdict.action = VERDICT_BLOCK;
        x->verdict.reason = REASON_SNI_MISMATCH;
        return flow_fail(f, REASON_SNI_MISMATCH, NULL);
    }
    if (judge(f, FACT_HELLO) == MOVE)
        return MOVE;
    judge_raise(f);
    if (asked_pass(f) != 0)
        return flow_fail(f, REASON_NO_MEMORY, NULL);
    if (x->verdict.handling ==
        HANDLING_TERMINATE) { /* what rules wait for comes before payload: the gates are inside */
        peek_free(f);         /* a rule has raised it */
        return inside_go(f);
    }
    if (f->peek && x->verdict.handling == HANDLING_PEEK && judge_holds(f))
        x->verdict.probe = PROBE_WAIT;
    if (f->peek && x->verdict.handling == HANDLING_PEEK && x->verdict.probe == PROBE_WAIT)
        return flow_goto(f, FLOW_PROBE);
    if (judge_gate(f) == MOVE)
        return MOVE;
    record_decision(f); /* before the first payload byte leaves */
    return flow_goto(f, FLOW_FORWARD);
}

/* ---- chain ---- */

/* Certificates that don't verify, where policy doesn't want them. */
static enum step judge_trust(struct flow *f)
{
    struct exchange *x = f->x;
    const struct chain_record *r = x->chain;
    if (!r || chain_past_expects(f, r) || flow_conf(f)->policy.untrusted_chain != CONF_SNI_MISMATCH_REFUSE)
        return WAIT;
    /* what a probe was shown needn't be what the client is shown: it may alert, never more */
    const struct fact_value *source = &x->facts.values[FACT_chain_source];
    bool observed = span_is(span_of(source->as.text, source->count), "observed");
    struct verdict v = x->verdict;
    if (v.mode == MODE_OPEN)
        return WAIT;
    v.reason = REASON_CHAIN_UNTRUSTED;
    v.action = v.mode == MODE_ENFORCE && observed ? VERDICT_BLOCK : VERDICT_ALERT;
    v.would_block = v.action == VERDICT_ALERT && observed;
    x->verdict = verdict_tighten(x->verdict, v);
    return x->verdict.action == VERDICT_BLOCK ? flow_fail(f, REASON_CHAIN_UNTRUSTED, NULL) : WAIT;
}

enum step decide_by_chain(struct flow *f)
{
    remember_chain(f);
    return judge_trust(f) == MOVE ? MOVE : judge(f, FACT_CHAIN);
}

enum step flow_decide_chain(struct flow *f)
{
    if (f->peek)
        return peek_decide(f);
    remember_chain(f);
    if (decide_catch_up(f) == MOVE || judge(f, FACT_CHAIN) == MOVE)
        return MOVE;
    return inside_chain_known(f);
}

/* ---- again ---- */

/* The verdict over a live flow. True: it doesn't let it out, and the policy says to end what isn't let out any more. */
static bool judge_again(struct flow *f)
{
    struct exchange *x = f->x;
    counter_add(&f->env->counters, COUNTER_redecided, 1);
    struct verdict v = decide_by_baseline(f, NULL);
    if (v.action != VERDICT_BLOCK && x->server_ip.version) {
        v = decide_by_baseline(f, &x->server_ip);
        if (v.action != VERDICT_BLOCK && guard_refuses(f, &x->server_ip, x->port))
            v = (struct verdict){
                .action = VERDICT_BLOCK, .reason = REASON_ADDRESS_PROHIBITED, .mode = v.mode};
    }
    if (v.needs_path && f->state >= FLOW_FORWARD && !f->inside) /* it goes on unread, by an older policy */
        v = verdict_refuse(v, REASON_BASELINE_DESTINATION);
    x->verdict = v;
    if (judge_note(f, f->state < FLOW_FORWARD ? FACT_HELLO : FACT_RELAY) != 0)
        return true;
    v = x->verdict;
    bool end = v.action == VERDICT_BLOCK && flow_conf(f)->policy.on_revoke == CONF_ON_REVOKE_CUT;
    if (!end && v.action == VERDICT_BLOCK) { /* kept, and said */
        v.action = VERDICT_ALERT;
        v.would_block = true;
    }
    x->verdict = v;
    return end;
}

/* The flow moves to the newest policy. True: that one ends it. */
static bool revoked(struct flow *f)
{
    judgement_leave_policy(f);
    snapshot_unref(f->snapshot);
    f->snapshot = snapshot_ref(f->env->snapshot);
    return judge_again(f); /* the old verdict was a view into a baseline that is gone */
}

enum step decide_catch_up(struct flow *f)
{
    if (f->snapshot == f->env->snapshot)
        return WAIT;
    if (revoked(f))
        return flow_fail(f, REASON_POLICY_CHANGED, "%s", reason_table[f->x->verdict.reason].text);
    return record_reserve(f) == 0 ? WAIT : flow_fail(f, REASON_LEDGER_FULL, NULL);
}

void decide_again(struct flow *f)
{
    f->decided_generation = f->env->snapshot->generation;
    if (f->streams) {
        streams_decide_again(f);
        return;
    }
    /* before ESTABLISHED a flow goes on under the policy it began with and catches up before a payload byte leaves */
    if (!f->x || !f->x->decided || f->state < FLOW_ESTABLISHED || f->state >= FLOW_REFUSE)
        return;
    if (decide_catch_up(f) == MOVE)
        flow_wake(f);
}

enum step decide_in_time_now(struct flow *f)
{
    struct exchange *x = f->x;
    int64_t now_s = (int64_t)(net_wall_ms(f->env->net) / 1000);
    if (!x || !x->decided || !x->verdict.ticket || x->verdict.reason == REASON_EXCEPTION_EXPIRED ||
        x->verdict.expires_s > now_s || f->state < FLOW_ESTABLISHED || f->state >= FLOW_REFUSE)
        return WAIT;
    if (!judge_again(f))
        return WAIT;
    return x->verdict.reason == REASON_EXCEPTION_EXPIRED
               ? fail_as_expired(f, REASON_EXCEPTION_EXPIRED)
               : flow_fail(f, REASON_EXCEPTION_EXPIRED, "%s", reason_table[x->verdict.reason].text);
}

bool decide_in_time(struct flow *f)
{
    if (f->streams)
        return streams_in_time(f);
    bool ended = decide_in_time_now(f) == MOVE;
    if (ended)
        flow_wake(f);
    return ended;
}

enum step decide_sender_now(struct flow *f)
{
    struct exchange *x = f->x;
    if (!x || !x->decided || f->state >= FLOW_REFUSE)
        return WAIT;
    struct verdict before = x->verdict;
    attribute_change(f);
    judgement_look_anew(f);
    bool end;
    if (f->state < FLOW_ESTABLISHED) /* the rules are asked at the gates to come */
        end = decide_by_baseline(f, NULL).action == VERDICT_BLOCK;
    else
        end = judge_again(f);
    x->verdict = verdict_tighten(before, x->verdict); /* who gives the connection back has still had it */
    return end ? flow_fail(f, REASON_SENDER_CHANGED, "%s", f->attribution.reason) : WAIT;
}

void decide_sender_again(struct flow *f)
{
    if (f->streams)
        streams_sender_again(f);
    else if (decide_sender_now(f) == MOVE)
        flow_wake(f);
}
