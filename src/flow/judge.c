/* judge.c: what the rules say of an exchange, asked whenever more of it is known: at each gate, at volumes and ages that rules ask about, and
 * once at the end. A match tightens the verdict as actions.yaml says; what isn't known never blocks by itself.
 * Called by the steps, the hub and record.c, which writes down each match; touches the flow, the facts and the tally. */
#include "flow/inside.h"

#include "base/must.h"

#include <stdlib.h>

enum {
    EVALUATORS_MAX = 4,          /* policies that a worker's flows live under at once */
    LOOKED_AT_MAX = 64,          /* rules asked at an exchange's end whether they are still unknown */
    CORRELATED_MAX = 64,         /* correlations that one look may bring */
    FIRST_POINT_BYTES = 1 << 16, /* where facts that go up and down are looked at, then at each doubling */
    FIRST_POINT_MS = 10000,
};

/* The rules of one policy, as one worker asks them. */
struct judge {
    struct judge *next;
    struct snapshot *snapshot;   /* counted */
    struct evaluator *evaluator; /* owned */
    uint32_t cursor;             /* which rules the next exchange looks at when it ends */
};

const char *judge_outcome_name(enum judge_outcome o)
{
#define X(id, word) word,
    static const char *const names[] = {JUDGE_OUTCOMES(X)};
#undef X
    return names[o];
}

struct rule_counts *rule_counts_new(size_t rules)
{
    struct rule_counts *c = calloc(1, sizeof *c + rules * sizeof c->rules[0]);
    if (c)
        c->count = rules;
    return c;
}

static void count_rule(struct flow *f, uint32_t rule, bool matched)
{
    struct rule_counts *c = f->snapshot->rule_counts;
    if (c)
        atomic_fetch_add_explicit(matched ? &c->rules[rule].matched : &c->rules[rule].unknown, 1,
                                  memory_order_relaxed);
}

/* ---- a worker's judges ---- */

static void judge_free(struct judge *take_j)
{
    evaluator_free(take_j->evaluator);
    snapshot_unref(take_j->snapshot);
    free(take_j);
}

void judges_keep(struct flow_env *env, const struct snapshot *only)
{
    for (struct judge **at = &env->judges; *at;) {
        struct judge *j = *at;
        if (j->snapshot == only) {
            at = &j->next;
            continue;
        }
        *at = j->next;
        judge_free(j);
    }
}

/* NULL without memory. */
static struct judge *judge_for(struct flow *f)
{
    struct flow_env *env = f->env;
    unsigned count = 0;
    for (struct judge *j = env->judges; j; j = j->next, count++)
        if (j->snapshot == f->snapshot)
            return j;
    if (count >= EVALUATORS_MAX)
        judges_keep(env, env->snapshot);
    struct judge *j = calloc(1, sizeof *j);
    if (!j)
        return NULL;
    j->evaluator = evaluator_new(f->snapshot->rules);
    if (!j->evaluator) {
        free(j);
        return NULL;
    }
    j->snapshot = snapshot_ref(f->snapshot);
    j->next = env->judges;
    env->judges = j;
    return j;
}

/* ---- an exchange's judgement ---- */

static void forget(struct flow *f)
{
    struct judgement *j = &f->x->judgement;
    evaluation_free(&j->evaluation);
    free(j->matches);
    free(j->matched);
    *j = (struct judgement){.past = j->past, .closed = j->closed};
    net_deadline_clear(&f->judge_point);
    f->judge_due = false;
}

void judgement_leave_policy(struct flow *f)
{
    judge_past_add(f);
    forget(f);
}

void judgement_forget(struct flow *f)
{
    forget(f);
    judge_past_free(f->x->judgement.past);
    f->x->judgement.past = NULL;
}

void judgement_look_anew(struct flow *f)
{
    evaluation_free(&f->x->judgement.evaluation);
}

static bool has_matched(const struct judgement *j, uint32_t rule)
{
    return j->matched && (j->matched[rule / 64] >> rule % 64 & 1) != 0;
}

/* NULL without memory. */
static struct judge_match *add_match(struct flow *f, uint32_t rule, enum fact_phase phase)
{
    struct judgement *j = &f->x->judgement;
    if (!j->matched)
        j->matched = calloc(f->snapshot->rules->set->rule_count / 64 + 1, sizeof *j->matched);
    if (j->matched && j->count == j->room) {
        struct judge_match *more = realloc(j->matches, (2 * j->room + 4) * sizeof *more);
        if (!more)
            return NULL;
        j->matches = more;
        j->room = 2 * j->room + 4;
    }
    if (!j->matched)
        return NULL;
    j->matched[rule / 64] |= 1ull << rule % 64;
    j->matches[j->count] =
        (struct judge_match){.rule = rule, .phase = phase, .action = f->snapshot->rules->actions[rule].kind};
    return &j->matches[j->count++];
}

/* ---- what a match does ---- */

/* Until the first byte of payload the handling can still be raised. */
static bool is_late(const struct flow *f, enum action_kind kind)
{
    return kind == ACTION_TERMINATE ? f->state > FLOW_DECIDE_HELLO
                                    : f->state >= FLOW_REFUSE || f->x->judgement.closed;
}

/* What a rule asks for lifts nobody over what policy spares; what nobody can decrypt is no reason to end a flow about which a rule is
 * only unsure. */
static bool can_terminate(struct flow *f, const struct judge_match *m)
{
    const struct exchange *x = f->x;
    bool able = x->connect && f->snapshot->ca && f->env->signer &&
                x->facts.values[FACT_hello_version].state == FACT_KNOWN;
    return (!m->unknown || able) && inside_handling(f, &x->verdict) == HANDLING_TERMINATE;
}

static enum judge_outcome outcome_of(struct flow *f, const struct judge_match *m)
{
    const struct verdict *v = &f->x->verdict;
    if (m->action == ACTION_ALERT)
        return JUDGE_TAKEN;
    if (f->snapshot->rules->actions[m->rule].simulate)
        return JUDGE_SIMULATED;
    if (v->mode != MODE_ENFORCE)
        return v->mode == MODE_REPORT ? JUDGE_REPORTED : JUDGE_RECORDED;
    if (is_late(f, m->action))
        return JUDGE_TOO_LATE;
    return m->action != ACTION_TERMINATE || can_terminate(f, m) ? JUDGE_TAKEN : JUDGE_IMPOSSIBLE;
}

static void block(struct flow *f, const struct judge_match *m)
{
    enum action_kind kind = m->action;
    struct verdict *v = &f->x->verdict;
    if (v->action == VERDICT_BLOCK && kind == ACTION_BLOCK)
        return; /* it is on its way already */
    if (kind == ACTION_CUT)
        f->answer = ANSWER_NONE;
    if (v->action == VERDICT_BLOCK)
        return;
    v->action = VERDICT_BLOCK;
    v->reason = REASON_RULE;
    f->x->judgement.decided_by = m->rule + 1;
    f->x->judgement.unknown = m->unknown;
}

static void act(struct flow *f, struct judge_match *m)
{
    struct verdict *v = &f->x->verdict;
    m->outcome = outcome_of(f, m);
    if (v->action == VERDICT_ALLOW)
        v->action = VERDICT_ALERT;
    if (m->outcome == JUDGE_REPORTED && m->action >= ACTION_BLOCK)
        v->would_block = true;
    if (m->outcome != JUDGE_TAKEN)
        return;
    if (m->action == ACTION_TERMINATE && v->handling < HANDLING_TERMINATE)
        v->handling = HANDLING_TERMINATE;
    if (m->action >= ACTION_BLOCK)
        block(f, m);
}

/* ---- looking ---- */

static uint64_t process_key(const struct flow *f)
{
    const struct sender *s = f->attribution.sender;
    return s ? ((uint64_t)s->pid << 40 ^ (uint64_t)s->start_ticks) | 1 : 0;
}

/* Correlations whose groups are known by now. */
static int tally(struct flow *f, struct judge *judge, enum fact_phase phase)
{
    struct tally *t = f->snapshot->tally;
    struct judgement *j = &f->x->judgement;
    struct match *m = evaluator_match(judge->evaluator);
    uint32_t fired[CORRELATED_MAX];
    size_t before = j->count;
    for (size_t i = 0; t && !f->test && i < before; i++) {
        struct judge_match *one = &j->matches[i];
        if (one->tallied || !tally_counts(t, one->rule) ||
            (phase != FACT_CLOSE && !tally_is_ready(t, m, one->rule)))
            continue;
        one->tallied = true;
        if (judge_past_has(f, one->rule, true))
            continue;
        size_t count = tally_count(t, m, (int64_t)net_now_ms(f->env->net), &one->rule, 1, process_key(f),
                                   fired, CORRELATED_MAX);
        for (size_t n = 0; n < count; n++) {
            struct judge_match *more = has_matched(j, fired[n]) ? NULL : add_match(f, fired[n], phase);
            if (more)
                more->tallied = true; /* those that count it have it already */
        }
    }
    return 0;
}

static int look(struct flow *f, struct judge *judge, struct evaluate_how how)
{
    struct exchange *x = f->x;
    struct judgement *j = &x->judgement;
    const uint32_t *rules;
    size_t count, first = j->count;
    if (evaluate(judge->evaluator, &j->evaluation, &x->facts, how, &rules, &count) != 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (!has_matched(j, rules[i]) && !add_match(f, rules[i], how.phase))
            return -1;
    if (count > 0 && tally(f, judge, how.phase) != 0)
        return -1;
    for (size_t i = first; i < j->count; i++) {
        struct judge_match *m = &j->matches[i];
        if (f->snapshot->rules->set->rules[m->rule].silent) {
            m->outcome = JUDGE_COUNTED;
            continue;
        }
        act(f, m);
        if (judge_past_has(f, m->rule, false))
            continue; /* under the policy before */
        notice_match(f, m);
        if (f->test)
            continue;
        count_rule(f, m->rule, true);
        counter_add(&f->env->counters, COUNTER_rules_matched, 1);
    }
    return 0;
}

/* The rules, asked under the flow's policy; NULL when there are none or no memory (*ret_failed). */
static struct judge *begin(struct flow *f, bool *ret_failed)
{
    struct judgement *j = &f->x->judgement;
    *ret_failed = false;
    if (j->generation != f->snapshot->generation) { /* first: what it holds are numbers of the old rules */
        forget(f);
        j->generation = f->snapshot->generation;
    }
    if (!f->snapshot->rules)
        return NULL;
    struct judge *judge = judge_for(f);
    *ret_failed = !judge;
    return judge;
}

int judge_note(struct flow *f, enum fact_phase phase)
{
    bool failed;
    struct judge *judge = begin(f, &failed);
    if (!judge)
        return failed ? -1 : 0;
    return look(f, judge, (struct evaluate_how){.phase = phase});
}

enum step judge_fail(struct flow *f)
{
    const struct judgement *j = &f->x->judgement;
    const struct sigma_document *d = f->snapshot->rules->set->rules[j->decided_by - 1].document;
    return flow_fail(f, REASON_RULE, "%s%s%.36s%s%s", d->title, d->id ? " (" : "", d->id ? d->id : "",
                     d->id ? ")" : "", j->unknown ? ": not known" : "");
}

enum step judge(struct flow *f, enum fact_phase phase)
{
    if (judge_note(f, phase) != 0)
        return flow_fail(f, REASON_NO_MEMORY, NULL);
    return f->x->judgement.decided_by && f->state < FLOW_REFUSE ? judge_fail(f) : WAIT;
}

/* ---- the last gate before payload leaves ---- */

static bool is_unknown(struct judge *judge, uint32_t rule)
{
    return match_rule(evaluator_match(judge->evaluator), rule) == TRUTH_UNKNOWN;
}

/* An unknown rule is said, and its action taken. */
static void act_unsure(struct flow *f, uint32_t rule, enum action_kind action)
{
    struct judge_match *m = add_match(f, rule, f->x->connect ? FACT_HELLO : FACT_REQUEST);
    if (!m)
        return;
    m->action = action;
    m->unknown = true;
    act(f, m);
}

static void gate(struct flow *f, struct judge *judge, uint32_t rule)
{
    static const enum action_kind actions[UNEVALUABLE_COUNT] = {
        [UNEVALUABLE_TERMINATE] = ACTION_TERMINATE, [UNEVALUABLE_REFUSE] = ACTION_BLOCK};
    const struct action *a = &f->snapshot->rules->actions[rule];
    struct exchange *x = f->x;
    if (x->verdict.action == VERDICT_BLOCK || has_matched(&x->judgement, rule) || !is_unknown(judge, rule))
        return;
    /* what was to be held for has not come, and comes with the payload if at all */
    if (a->on_unknown != ACTION_HOLD && evaluator_may_become_known(judge->evaluator, rule)) {
        if (a->on_unknown == ACTION_BLOCK_UNKNOWN)
            act_unsure(f, rule, a->kind);
    } else if (a->on_unevaluable != UNEVALUABLE_PASS) {
        act_unsure(f, rule, actions[a->on_unevaluable]);
    }
}

/* The rules for which something is to be done while they are unknown, brought up to date. NULL when there are none, or no memory. */
static struct judge *begin_gate(struct flow *f, bool *ret_failed)
{
    struct judge *judge = begin(f, ret_failed);
    if (!judge || f->snapshot->rules->gated_count == 0)
        return NULL;
    enum fact_phase phase = f->x->connect ? FACT_HELLO : FACT_REQUEST;
    *ret_failed = look(f, judge, (struct evaluate_how){.phase = phase, .always = true}) != 0;
    return *ret_failed ? NULL : judge;
}

bool judge_holds(struct flow *f)
{
    bool failed;
    struct judge *judge = begin_gate(f, &failed);
    const struct rulebook *b = f->snapshot->rules;
    for (size_t i = 0; judge && i < b->gated_count; i++)
        if (b->actions[b->gated[i]].on_unknown == ACTION_HOLD && is_unknown(judge, b->gated[i]) &&
            evaluator_waits_for(judge->evaluator, &f->x->facts, b->gated[i], FACT_CHAIN))
            return true;
    return false;
}

void judge_raise(struct flow *f)
{
    bool failed;
    struct judge *judge = f->x->verdict.handling < HANDLING_TERMINATE ? begin_gate(f, &failed) : NULL;
    const struct rulebook *b = f->snapshot->rules;
    for (size_t i = 0; judge && i < b->gated_count; i++) {
        const struct action *a = &b->actions[b->gated[i]];
        if (a->on_unevaluable == UNEVALUABLE_TERMINATE && !has_matched(&f->x->judgement, b->gated[i]) &&
            is_unknown(judge, b->gated[i]) && !evaluator_may_become_known(judge->evaluator, b->gated[i]))
            act_unsure(f, b->gated[i], ACTION_TERMINATE);
    }
}

enum step judge_gate(struct flow *f)
{
    bool failed;
    struct judge *judge = begin_gate(f, &failed);
    if (failed)
        return flow_fail(f, REASON_NO_MEMORY, NULL);
    if (!judge)
        return WAIT;
    for (size_t i = 0; i < f->snapshot->rules->gated_count; i++)
        gate(f, judge, f->snapshot->rules->gated[i]);
    return f->x->judgement.decided_by && f->x->verdict.action == VERDICT_BLOCK ? judge_fail(f) : WAIT;
}

/* ---- an address before it is dialled ---- */

bool judge_refuses_address(struct flow *f, const struct ip *ip)
{
    const struct rulebook *b = f->snapshot->rules;
    struct exchange *x = f->x;
    const uint32_t *rules;
    size_t count;
    bool failed;
    if (!b || !b->uses_phase[FACT_ADDRESS] || x->verdict.mode != MODE_ENFORCE)
        return false;
    struct judge *judge = begin(f, &failed);
    struct facts *tried = judge ? malloc(sizeof *tried) : NULL;
    if (!tried)
        return failed || judge;
    struct geo_place place;
    *tried = x->facts;
    fact_set_ip(tried, FACT_server_ip, ip);
    decide_set_place(f, tried, ip, &place);
    bool refused =
        evaluate(judge->evaluator, &x->judgement.evaluation, tried,
                 (struct evaluate_how){.phase = FACT_ADDRESS, .only_try = true}, &rules, &count) != 0;
    for (size_t i = 0; i < count && !refused; i++)
        refused = b->actions[rules[i]].kind >= ACTION_BLOCK && !b->actions[rules[i]].simulate &&
                  !b->set->rules[rules[i]].silent;
    free(tried);
    return refused;
}

/* ---- while bytes move ---- */

static void on_point(struct net_deadline *d)
{
    struct flow *f = (struct flow *)((char *)d - offsetof(struct flow, judge_point));
    f->judge_due = true;
    flow_wake(f);
}

static uint64_t next_point(const struct rulebook *b, enum fact fact, uint64_t value)
{
    int64_t next = rulebook_next_point(b, fact, value > INT64_MAX ? INT64_MAX : (int64_t)value);
    return next == INT64_MAX ? UINT64_MAX : (uint64_t)next;
}

static uint64_t doubled(uint64_t value, uint64_t least)
{
    return value < least ? least : value * 2;
}

/* What a whole pair has sent grows with what this exchange sends: the bytes out at which a rule asks about that. */
static uint64_t next_shared_point(const struct flow *f, uint64_t out)
{
    static const enum fact shared[] = {FACT_volume_out_1h, FACT_volume_out_24h, FACT_volume_out_30d};
    uint64_t nearest = UINT64_MAX;
    for (size_t i = 0; i < ARRAY_LEN(shared); i++) {
        const struct fact_value *v = &f->x->facts.values[shared[i]];
        uint64_t value = v->state == FACT_KNOWN ? (uint64_t)v->as.integer : 0;
        uint64_t next = next_point(f->snapshot->rules, shared[i], value);
        if (next != UINT64_MAX && next - value < nearest)
            nearest = next - value;
    }
    return nearest < UINT64_MAX - out ? out + nearest : UINT64_MAX;
}

static void plan(struct flow *f, uint64_t out, uint64_t in, uint64_t age_ms)
{
    const struct rulebook *b = f->snapshot->rules;
    struct judgement *j = &f->x->judgement;
    j->next_out_bytes = next_point(b, FACT_bytes_out, out);
    uint64_t shared = next_shared_point(f, out);
    if (shared < j->next_out_bytes)
        j->next_out_bytes = shared;
    j->next_in_bytes = next_point(b, FACT_bytes_in, in);
    j->next_total_bytes = next_point(b, FACT_bytes_total, out + in);
    uint64_t next_ms = next_point(b, FACT_duration_ms, age_ms);
    if (b->uses_running && doubled(out + in, FIRST_POINT_BYTES) < j->next_total_bytes)
        j->next_total_bytes = doubled(out + in, FIRST_POINT_BYTES);
    if (b->uses_running && doubled(age_ms, FIRST_POINT_MS) < next_ms)
        next_ms = doubled(age_ms, FIRST_POINT_MS);
    uint64_t now_ms = net_now_ms(f->env->net) - f->x->begun_ms;
    f->judge_due = false;
    f->judge_point.expired = on_point;
    if (next_ms != UINT64_MAX)
        net_deadline_set(f->env->net, &f->judge_point, next_ms > now_ms ? next_ms - now_ms : 1);
    else
        net_deadline_clear(&f->judge_point);
}

void judge_set_volume(struct flow *f)
{
    struct exchange *x = f->x;
    uint64_t out = x->bytes_out + relay_bytes_out(f), in = x->bytes_in + relay_bytes_in(f);
    fact_set_int(&x->facts, FACT_bytes_out, (int64_t)out);
    fact_set_int(&x->facts, FACT_bytes_in, (int64_t)in);
    fact_set_int(&x->facts, FACT_bytes_total, (int64_t)(out + in));
    fact_set_int(&x->facts, FACT_duration_ms, (int64_t)(net_now_ms(f->env->net) - x->begun_ms));
    remember_moved(f);
    sample_set_facts(f);
}

enum step judge_moving(struct flow *f)
{
    struct exchange *x = f->x;
    struct judgement *j = &x->judgement;
    uint64_t out = x->bytes_out + relay_bytes_out(f), in = x->bytes_in + relay_bytes_in(f);
    if (out < j->next_out_bytes && in < j->next_in_bytes && out + in < j->next_total_bytes && !f->judge_due)
        return WAIT;
    if (!f->snapshot->rules) {
        j->next_out_bytes = j->next_in_bytes = j->next_total_bytes = UINT64_MAX;
        return WAIT;
    }
    if (j->next_total_bytes == 0) { /* the first time: nothing has been asked of it yet */
        plan(f, 0, 0, 0);
        return judge_moving(f);
    }
    judge_set_volume(f);
    if (judge(f, FACT_RELAY) == MOVE)
        return MOVE;
    plan(f, out, in, net_now_ms(f->env->net) - x->begun_ms);
    return WAIT;
}

/* ---- the end ---- */

/* Which rules could not be answered. All of them would cost more than the exchange did: each looks at the next few. */
static void count_unknown(struct flow *f, struct judge *judge)
{
    const struct ruleset *s = f->snapshot->rules->set;
    struct judgement *j = &f->x->judgement;
    struct match *m = evaluator_match(judge->evaluator);
    size_t most = s->rule_count < LOOKED_AT_MAX ? s->rule_count : LOOKED_AT_MAX;
    for (size_t i = 0; i < most; i++) {
        uint32_t rule = judge->cursor++ % (uint32_t)s->rule_count;
        if (s->rules[rule].code_words == 0 || match_rule(m, rule) != TRUTH_UNKNOWN)
            continue;
        count_rule(f, rule, false);
        if (j->not_evaluable_count < JUDGE_NOT_EVALUABLE_MAX)
            j->not_evaluable[j->not_evaluable_count] = rule;
        j->not_evaluable_count++;
    }
    if (f->snapshot->rule_counts)
        atomic_fetch_add_explicit(&f->snapshot->rule_counts->looked, most, memory_order_relaxed);
    counter_add(&f->env->counters, COUNTER_rules_not_evaluable, j->not_evaluable_count);
}

void judge_close(struct flow *f)
{
    bool failed;
    struct exchange *x = f->x;
    struct judge *judge = begin(f, &failed);
    x->judgement.closed = true;
    if (!judge)
        return;
    struct verdict before = x->verdict;
    if (look(f, judge, (struct evaluate_how){.phase = FACT_CLOSE, .always = true}) == 0 && !f->test)
        count_unknown(f, judge);
    if (before.action == VERDICT_BLOCK || !x->decided)
        x->verdict = before; /* it stays what it ended for */
}
