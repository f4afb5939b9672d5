/* attribute.c: which process is asking. Asked at accept, awaited here, asked again for every further exchange.
 * A step of the hub; touches net.h's attribution and the facts. */
#include "flow/flow.h"
#include "flow/executions.h"
#include "flow/history.h"
#include "flow/kinds.h"

#include "base/buf.h"
#include "base/must.h"
#include "tls/digest.h"

#include <stdio.h>

static void on_answer(struct net_attribution *a)
{
    struct flow *f = a->owner;
    f->attributed = true;
    flow_wake(f);
}

static void on_changed(struct net_attribution *a)
{
    struct flow *f = a->owner;
    if (f->x && a->history) /* the facts had views into the one before */
        history_set_facts(&f->x->facts, a->history);
    decide_sender_again(f);
}

/* Who holds a kept-alive connection may change between its requests, so it is asked again, but not for each of a burst. */
enum { ATTRIBUTION_FRESH_MS = 1000 };

void attribute_refresh(struct flow *f)
{
    bool exact = f->attributed && f->attribution.confidence == AGENT_CONFIDENCE_EXACT;
    if (!exact || net_now_ms(f->env->net) - f->asked_ms >= ATTRIBUTION_FRESH_MS)
        attribute_ask(f);
}

void attribute_ask(struct flow *f)
{
    struct net_attribution *a = &f->attribution;
    net_attribute_cancel(f->env->net, a);
    sender_unref(a->sender);
    agent_history_unref(a->history);
    agent_peers_unref(a->peers);
    *a = (struct net_attribution){.done = on_answer,
                                  .changed = on_changed,
                                  .owner = f,
                                  .accepted_ms = f->accepted_ms,
                                  .accepted = f->client.stream,
                                  .confidence = AGENT_CONFIDENCE_UNKNOWN};
    f->asked = true;
    f->asked_ms = net_now_ms(f->env->net);
    f->attributed =
        net_attribute(f->env->net, a, &f->client_endpoint, &f->proxy_endpoint, f->snapshot->needs_hash);
}

static void set_if_known(struct facts *facts, enum fact which, int value)
{
    if (value >= 0)
        fact_set_bool(facts, which, value != 0);
}

enum { COMMAND_LINE_BYTES_MAX = 64 << 10 };

static const enum fact of_process[] = {
    FACT_sender_image,  FACT_sender_command_line, FACT_sender_user,         FACT_sender_pid,
    FACT_sender_sha256, FACT_sender_directory,    FACT_sender_parent_image, FACT_sender_parent_command_line};

/* Is there, for certain, no process to name? Where nobody could look, its fields are not null but unknown. */
static bool has_failed_for_good(const struct net_attribution *a)
{
    static const enum agent_reason final[] = {AGENT_REASON_NO_SUCH_SOCKET, AGENT_REASON_VANISHED,
                                              AGENT_REASON_ORPHAN, AGENT_REASON_KERNEL};
    for (size_t i = 0; i < ARRAY_LEN(final); i++)
        if (span_is(span_str(a->reason), agent_reason_name(final[i])))
            return true;
    return false;
}

/* The arguments as one line, as the agent reports them. */
static void set_command_line(struct exchange *x, const struct sender *s)
{
    struct buf line;
    buf_init(&line, COMMAND_LINE_BYTES_MAX);
    for (size_t i = 0; i < s->argument_count; i++)
        buf_printf(&line, "%s%s", i ? " " : "", s->arguments[i]);
    fact_set_span(&x->facts, FACT_sender_command_line, arena_copy(&x->arena, buf_span(&line)));
    buf_free(&line);
}

/* Views into the sender. */
static void set_sender_facts(struct facts *facts, const struct sender *s)
{
    fact_set_text(facts, FACT_sender_process, s->ocsf_json);
    fact_set_text(facts, FACT_sender_more, s->ocsf_unmapped_json);
    fact_set_text(facts, FACT_sender_image, s->executable);
    fact_set_text(facts, FACT_sender_user, s->user);
    fact_set_int(facts, FACT_sender_pid, s->pid);
    fact_set_text(facts, FACT_sender_directory, s->cwd);
    if (s->hash_state == SENDER_HASH_DONE)
        fact_set_text(facts, FACT_sender_sha256, s->sha256);
    if (s->parent_count > 0)
        fact_set_text(facts, FACT_sender_parent_image, s->parents[0].executable);
}

static void set_time(struct facts *facts, enum fact which, int64_t ms)
{
    if (ms >= 0)
        fact_set_int(facts, which, ms);
}

/* `s` NULL: nobody is known, and none of this is. */
static void set_who_facts(struct facts *facts, const struct sender *s)
{
    static const enum fact of_who[] = {FACT_sender_borrowed,       FACT_sender_path_class,
                                       FACT_sender_is_browser,     FACT_sender_not_browser,
                                       FACT_sender_package,        FACT_sender_unit,
                                       FACT_sender_first_seen_ms,  FACT_sender_first_seen_by_user_ms,
                                       FACT_sender_job_kind,       FACT_sender_job_file,
                                       FACT_sender_job_changed_ms, FACT_sender_signature};
    for (size_t i = 0; i < ARRAY_LEN(of_who); i++)
        facts->values[of_who[i]].state = s ? FACT_ABSENT : FACT_UNOBSERVABLE;
    if (!s)
        return;
    static const char *const job_kinds[] = {
#define X(name, wire) wire,
        AGENT_JOB_KINDS(X)
#undef X
    };
    const struct sender_who *w = &s->who;
    if (w->borrowed_known)
        fact_set_items(facts, FACT_sender_borrowed, w->borrowed_names.items, w->borrowed_names.count);
    else
        facts->values[FACT_sender_borrowed].state = FACT_UNOBSERVABLE;
    fact_set_items(facts, FACT_sender_path_class, w->path_class_names.items, w->path_class_names.count);
    fact_set_bool(facts, FACT_sender_is_browser, w->browser && w->not_browser == 0);
    fact_set_items(facts, FACT_sender_not_browser, w->not_browser_names.items, w->not_browser_names.count);
    fact_set_text(facts, FACT_sender_package, s->package_verified == 0 ? NULL : s->package_name);
    if (s->package_verified >= 0)
        fact_set_bool(facts, FACT_sender_package_verified, s->package_verified != 0);
    else
        facts->values[FACT_sender_package_verified].state = FACT_UNOBSERVABLE;
    fact_set_text(facts, FACT_sender_signature, w->signature_valid ? w->signer : NULL);
    fact_set_text(facts, FACT_sender_unit, s->unit);
    set_time(facts, FACT_sender_first_seen_ms, w->first_seen_ms);
    set_time(facts, FACT_sender_first_seen_by_user_ms, w->first_seen_by_user_ms);
    fact_set_text(facts, FACT_sender_job_kind, w->job.kind ? job_kinds[w->job.kind] : NULL);
    fact_set_text(facts, FACT_sender_job_file, w->job.file);
    set_time(facts, FACT_sender_job_changed_ms, w->job.changed_ms);
}

static void set_attribution_facts(struct facts *facts, const struct net_attribution *a)
{
    bool exact = a->confidence == AGENT_CONFIDENCE_EXACT;
    if (a->host[0]) {
        fact_set_text(facts, FACT_sender_host, a->host);
        fact_set_int(facts, FACT_sender_host_type, 0);
        if (a->host_id[0])
            fact_set_text(facts, FACT_sender_host_id, a->host_id);
    }
    fact_set_text(facts, FACT_sender_confidence, agent_confidence_name(a->confidence));
    if (!exact)
        fact_set_text(facts, FACT_sender_reason, a->reason);
    if (a->basis == AGENT_BASIS_CONNECT) {
        set_if_known(facts, FACT_sender_exec_changed, a->connect.exec_changed);
        set_if_known(facts, FACT_sender_handed_over, a->connect.handed_over);
        set_if_known(facts, FACT_sender_other_namespace, a->connect.other_namespace);
        set_if_known(facts, FACT_sender_shared, a->connect.shared);
    }
    if (a->sender)
        set_sender_facts(facts, a->sender);
}

/* The facts are views of what the agent told, which goes when it is asked again; with several exchanges a flow, before the exchange does. */
static void hold_sender(struct exchange *x, const struct net_attribution *a)
{
    struct sender *sender = a->sender ? sender_ref(a->sender) : NULL;
    sender_unref(x->told_sender);
    x->told_sender = sender;
}

static void hold_history(struct exchange *x, const struct net_attribution *a)
{
    struct agent_history *history = agent_history_ref(a->history);
    agent_history_unref(x->told_history);
    x->told_history = history;
}

/* Who has gone since did speak through it. */
static void set_peers(struct exchange *x, struct agent_peers *peers)
{
    if (!peers || peers->count == 0)
        return;
    struct agent_peers *before = x->told_peers;
    x->told_peers = agent_peers_ref(peers);
    fact_set_int(&x->facts, FACT_sender_relays, (int64_t)peers->count);
    fact_set_text(&x->facts, FACT_sender_relaying_for, (const char *)buf_span(&peers->json).data);
    agent_peers_unref(before);
}

void attribute_forget(struct exchange *x)
{
    agent_peers_unref(x->told_peers);
    x->told_peers = NULL;
    sender_unref(x->told_sender);
    agent_history_unref(x->told_history);
    x->told_sender = NULL;
    x->told_history = NULL;
}

void attribute_change(struct flow *f)
{
    struct facts *facts = &f->x->facts;
    if (f->attribution.sender) /* otherwise what was told before still stands */
        hold_sender(f->x, &f->attribution);
    set_attribution_facts(facts, &f->attribution);
    set_who_facts(facts, f->attribution.sender);
    set_peers(f->x, f->attribution.peers);
    kinds_set_sender(f);
    if (!f->attribution.did_more)
        fact_set_int(facts, FACT_sender_changed_ms, (int64_t)(net_now_ms(f->env->net) - f->accepted_ms));
}

static void set_facts(struct flow *f)
{
    const struct net_attribution *a = &f->attribution;
    struct facts *facts = &f->x->facts;
    bool exact = a->confidence == AGENT_CONFIDENCE_EXACT;
    hold_sender(f->x, a);
    hold_history(f->x, a);
    set_attribution_facts(facts, a);
    if (a->sender && f->snapshot->rules)
        set_command_line(f->x, a->sender);
    for (size_t i = 0; i < ARRAY_LEN(of_process); i++)
        if (facts->values[of_process[i]].state != FACT_KNOWN)
            facts->values[of_process[i]].state =
                !a->sender && has_failed_for_good(a) ? FACT_ABSENT : FACT_UNOBSERVABLE;
    history_set_facts(facts, a->history);
    executions_set_facts(f);
    set_who_facts(facts, a->sender);
    kinds_set_sender(f);
    counter_add(&f->env->counters, exact ? COUNTER_sender_exact : COUNTER_sender_unknown, 1);
}

void attribute_note(struct flow *f)
{
    if (f->attributed && f->x->facts.values[FACT_sender_confidence].state != FACT_KNOWN)
        set_facts(f);
}

/* One runaway program must not use up what the others on its host need. Unknown senders are bounded as clients. */
static bool admit_sender(struct flow *f)
{
    struct exchange *x = f->x;
    const struct sender *s = f->attribution.sender;
    uint8_t digest[DIGEST_SHA256_BYTES];
    if (!s || !s->executable)
        return true;
    const struct span parts[] = {span_str(s->executable), span_of(&s->uid, sizeof s->uid)};
    if (digest_sha256(parts, 2, digest) != 0)
        return true;
    memcpy(x->sender_key, digest, sizeof x->sender_key);
    x->sender_counted = limits_sender_enter(f->env->limits, x->sender_key,
                                            (unsigned)flow_conf(f)->limits.exchanges_per_sender);
    return x->sender_counted;
}

enum step flow_attribute(struct flow *f)
{
    if (f->remote_sender) {
        f->attributed = true;
        f->attribution.confidence = AGENT_CONFIDENCE_UNKNOWN;
        snprintf(f->attribution.reason, sizeof f->attribution.reason, "remote");
    } else if (!f->asked) {
        attribute_ask(f);
    }
    if (!f->attributed)
        return WAIT; /* net/ bounds the wait by agent.timeout and agent.hash_wait */
    return attribute_judge(f) == MOVE ? MOVE : flow_goto(f, FLOW_DECIDE_CONNECT);
}

enum step attribute_judge(struct flow *f)
{
    set_facts(f);
    bool no_agent = !f->remote_sender && f->attribution.confidence == AGENT_CONFIDENCE_UNKNOWN &&
                    span_is(span_str(f->attribution.reason), "agent_unavailable");
    if (no_agent && flow_conf(f)->agent.when_unavailable == CONF_UNAVAILABLE_REFUSE)
        return flow_fail(f, REASON_SENDER_UNKNOWN, "the host agent cannot be reached");
    if (!admit_sender(f))
        return flow_fail(f, REASON_SENDER_LIMIT, NULL);
    return WAIT;
}
