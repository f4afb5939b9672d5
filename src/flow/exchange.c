/* exchange.c: an exchange's memory, from the first byte of a request to its close record. See flow.h.
 * Called by the hub and the steps; touches malloc, and cancels what is under way in net/. */
#include "flow/inside.h"
#include "flow/observed.h"
#include "flow/peek.h"
#include "flow/role.h"

#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>

static void set_accept_facts(struct flow *f)
{
    struct facts *facts = &f->x->facts;
    fact_set_ip(facts, FACT_client_ip, &f->client_endpoint.ip);
    fact_set_int(facts, FACT_client_port, f->client_endpoint.port);
    fact_set_ip(facts, FACT_proxy_ip, &f->proxy_endpoint.ip);
    fact_set_int(facts, FACT_proxy_port, f->proxy_endpoint.port);
    if (f->inside)
        fact_set_text(facts, FACT_tunnel_record, f->inside->tunnel->id);
    else if (f->client.tls)
        fact_set_text(facts, FACT_proxy_tls_version, tls_session_version(f->client.tls));
    role_set_facts(f);
    fact_set_ip(facts, FACT_behind, &f->behind);
    fact_set_text(facts, FACT_transport, "tcp");
    fact_set_bool(facts, FACT_initiated, true);
    facts_settle(facts, FACT_ACCEPT, FACT_ABSENT);
}

struct exchange *exchange_begin(struct flow *f)
{
    must(!f->x);
    struct exchange *x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    f->x = x;
    if (f->snapshot != f->env->snapshot) { /* an exchange lives under one policy, the newest */
        snapshot_unref(f->snapshot);
        f->snapshot = snapshot_ref(f->env->snapshot);
    }
    arena_init(&x->arena, EXCHANGE_ARENA_BYTES);
    snprintf(x->id, sizeof x->id, "%s-%u-%llx", f->env->uid_prefix, f->env->worker,
             (unsigned long long)++f->env->next_uid);
    x->begun_ms = net_now_ms(f->env->net);
    x->begun_wall_ms = net_wall_ms(f->env->net);
    x->client_minor = 1;
    set_accept_facts(f);
    if (f->exchanges++ > 0 && !f->remote_sender) /* who holds the connection may have changed since */
        attribute_refresh(f);
    f->decided_generation = f->snapshot->generation;
    if (!f->test)
        counter_add(&f->env->counters, COUNTER_exchanges, 1);
    return x;
}

static void count_outcome(struct flow *f)
{
    const struct exchange *x = f->x;
    struct counters *c = &f->env->counters;
    int status = reason_table[x->reason].http_status;
    if (x->decided && x->verdict.action == VERDICT_BLOCK)
        counter_add(c, COUNTER_blocked, 1);
    else if (status != 0)
        counter_add(c, COUNTER_failed, 1);
    else if (x->decision_recorded)
        counter_add(c, COUNTER_allowed, 1);
    if (x->decided && x->verdict.would_block)
        counter_add(c, COUNTER_would_block, 1);
    if (f->inside && f->inside->tunnel == x)
        return; /* its bytes are those of the exchanges inside */
    counter_add(c, COUNTER_bytes_out, x->bytes_out + relay_bytes_out(f));
    counter_add(c, COUNTER_bytes_in, x->bytes_in + relay_bytes_in(f));
    if (f->inside && f->inside->tunnel) {
        f->inside->tunnel->bytes_out += x->bytes_out + relay_bytes_out(f);
        f->inside->tunnel->bytes_in += x->bytes_in + relay_bytes_in(f);
    }
}

/* Of which host what could be observed. */
static void note_observed(struct flow *f)
{
    const struct net_attribution *a = &f->attribution;
    char ip[IP_TEXT_BYTES];
    if (f->env->observed && f->x->decided)
        observed_note(f->env->observed,
                      span_str(a->host[0] ? a->host : ip_format(&f->client_endpoint.ip, ip)), a->platform,
                      &f->x->facts, (int64_t)(net_wall_ms(f->env->net) / 1000));
}

void exchange_end(struct flow *f)
{
    resume_keep(f);
    struct exchange *x = f->x;
    count_outcome(f);
    peek_settle(f);
    chain_past_note(f);
    record_close(f);
    remember_end(f);
    note_observed(f);
    judgement_forget(f);
    peek_free(f);
    chain_record_unref(x->chain);
    flow_setup_drop(f);
    auth_cancel(f);
    if (x->sender_counted)
        limits_sender_leave(f->env->limits, x->sender_key);
    http1_body_free(&x->inspect.request_body);
    http1_body_free(&x->inspect.response_body);
    arena_reset(&x->arena);
    free(x->compacted);
    free(x->remembered);
    attribute_forget(x);
    samples_free(x->samples);
    free(x->frames);
    free(x->user);
    free(x);
    f->x = NULL;
}

int exchange_compact_facts(struct exchange *x)
{
    void *texts = facts_compact(&x->facts);
    if (!texts)
        return -1;
    free(x->compacted);
    x->compacted = texts;
    http1_body_free(&x->inspect.request_body);
    http1_body_free(&x->inspect.response_body);
    x->request = (struct http1_head){0};
    x->inspect.head = (struct span){NULL, 0};
    arena_reset(&x->arena);
    return 0;
}

int exchange_compact(struct flow *f)
{
    flow_setup_drop(f);
    if (exchange_compact_facts(f->x) != 0)
        return -1;
    buf_free(&f->client.in);
    buf_free(&f->client.out);
    buf_free(&f->server.in);
    buf_free(&f->server.out);
    return 0;
}

struct flow_setup *flow_setup_get(struct flow *f)
{
    if (!f->setup)
        f->setup = calloc(1, sizeof *f->setup);
    return f->setup;
}

void flow_setup_drop(struct flow *f)
{
    struct flow_setup *s = f->setup;
    if (!s)
        return;
    net_resolve_cancel(f->env->net, &s->resolution);
    net_https_cancel(f->env->net, &s->https);
    net_dial_cancel(f->env->net, &s->dialing);
    if (s->dialing.stream) /* connected, but nobody took it any more */
        net_stream_close(s->dialing.stream, NET_CLOSE_RST);
    free(s);
    f->setup = NULL;
}
