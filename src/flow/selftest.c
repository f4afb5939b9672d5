/* selftest.c: see selftest.h. One pretended exchange for each scene of selftest.def. */
#include "flow/selftest.h"

#include "base/must.h"
#include "flow/findings.h"
#include "flow/flow.h"
#include "rules/rule_facts.h"

#include <stdio.h>
#include <stdlib.h>

static const char test_sender[] = "exeat findings selftest", test_name[] = "exeat-selftest.invalid";
enum { TEST_BYTES_IN = 1 << 10, TEST_PORT = 443 };

/* ---- what a fact needs ---- */

enum need {
    NEED_ALWAYS,
    NEED_AGENT,
    NEED_EXECUTIONS,
    NEED_ARCHIVES,
    NEED_FILES,
    NEED_LIBRARIES,
    NEED_MODULES,
    NEED_CIPHERS,
    NEED_KEYS,
    NEED_CERTIFICATES
};

static const struct {
    int kind; /* an enum agent_history_kind; -1: none */
    const char *without;
} needs[] = {
    [NEED_ALWAYS] = {-1, ""},
    [NEED_AGENT] = {-1, "no host agent is connected"},
    [NEED_EXECUTIONS] = {AGENT_HISTORY_EXEC_ARCHIVER, "the host agent does not see what processes execute"},
    [NEED_ARCHIVES] = {AGENT_HISTORY_ARCHIVE_WRITTEN, "the host agent does not see archives written"},
    [NEED_FILES] = {AGENT_HISTORY_SENSITIVE_ACCESS, "the host agent does not see files opened"},
    [NEED_LIBRARIES] = {AGENT_HISTORY_TLS_LIBRARY, "the host agent does not see libraries loaded"},
    [NEED_MODULES] = {AGENT_HISTORY_TLS_LIBRARY_UNEXPECTED,
                      "the host agent cannot say which TLS libraries a program's package links"},
    [NEED_CIPHERS] = {AGENT_HISTORY_SYMMETRIC_OUTSIDE_TLS, "the host agent does not see ciphers used"},
    [NEED_KEYS] = {AGENT_HISTORY_PUBLIC_KEY_OUTSIDE_TLS, "the host agent does not see key pairs used"},
    [NEED_CERTIFICATES] = {-1, "certificates are not looked at where policy.handling is tunnel"},
};

enum analytic {
#define ANALYTIC(id, what) id,
#include "flow/selftest.def"
    ANALYTIC_COUNT
};

static const struct {
    const char *id, *what;
} analytics[] = {
#define ANALYTIC(id, what) {#id, what},
#include "flow/selftest.def"
};

enum scene {
#define SCENE(id, analytic, bytes) SCENE_##id,
#include "flow/selftest.def"
    SCENE_COUNT
};

static const struct {
    enum analytic analytic;
    uint64_t bytes;
} scenes[] = {
#define SCENE(id, analytic, bytes) {analytic, bytes},
#include "flow/selftest.def"
};

/* What must be true of one scene or another. */
static const struct {
    enum analytic analytic;
    const char *name;
} own_rules[] = {
#define RULE(analytic, name) {analytic, name},
#include "flow/selftest.def"
};

enum kind { KIND_INT, KIND_REAL, KIND_BOOL, KIND_TEXT, KIND_ITEM };

static const struct seen {
    enum scene scene;
    enum kind kind;
    enum fact fact;
    enum need need;
    double number;
    const char *text;
} all_seen[] = {
#define VALUE_INT(value)  (value), NULL
#define VALUE_REAL(value) (value), NULL
#define VALUE_BOOL(value) (value), NULL
#define VALUE_TEXT(value) 0, (value)
#define VALUE_ITEM(value) 0, (value)
#define SEEN(scene, kind, fact, value, need)                                                                 \
    {SCENE_##scene, KIND_##kind, FACT_##fact, NEED_##need, VALUE_##kind(value)},
#include "flow/selftest.def"
};

/* What came of a rule, in the scene in which most did. */
struct told {
    enum { TOLD_NOT_FIRED, TOLD_COUNTED, TOLD_BELOW_LEVEL, TOLD_SUPPRESSED, TOLD_FIRED } state;
    enum judge_outcome outcome;
    enum finding_severity severity;
    char finding[sizeof((struct finding *)0)->uid], by[sizeof((struct finding *)0)->by],
        record[FINDING_RECORD_ID_BYTES];
    bool unobservable[FACT_COUNT]; /* of what it asks about, while it isn't true */
};

static const char *const state_names[] = {[TOLD_NOT_FIRED] = "not_fired",
                                          [TOLD_COUNTED] = "counted",
                                          [TOLD_BELOW_LEVEL] = "below_level",
                                          [TOLD_SUPPRESSED] = "suppressed",
                                          [TOLD_FIRED] = "fired"};

/* One analytic's test: the flow of the scene under way, what it lacks, and what is said of it. */
struct test {
    enum analytic analytic;
    enum scene scene;
    struct flow_env *env;
    struct flow *flow; /* owned; NULL between scenes */
    const struct selftest_agent *agent;
    struct told *told;             /* owned: of each rule */
    bool certificates;             /* this deployment looks at them */
    const char *lacks[FACT_COUNT]; /* why a fact can't be known here; NULL: it can. Static */
    struct span items[ARRAY_LEN(all_seen)];
    char record[FINDING_RECORD_ID_BYTES]; /* of the first scene */
    bool fired;
    struct json *j;
};

static bool can_see(const struct test *t, enum need need)
{
    if (need == NEED_ALWAYS)
        return true;
    if (need == NEED_CERTIFICATES)
        return t->certificates;
    if (!t->agent->connected)
        return false;
    return needs[need].kind < 0 || !(t->agent->not_observable >> needs[need].kind & 1);
}

/* ---- pretending ---- */

static void set_seen(struct test *t, size_t i)
{
    const struct seen *s = &all_seen[i];
    struct facts *facts = &t->flow->x->facts;
    if (!can_see(t, s->need)) {
        facts->values[s->fact].state = FACT_UNOBSERVABLE;
        t->lacks[s->fact] =
            needs[t->agent->connected || s->need == NEED_CERTIFICATES ? s->need : NEED_AGENT].without;
        return;
    }
    switch (s->kind) {
    case KIND_INT:
        fact_set_int(facts, s->fact, (int64_t)s->number);
        break;
    case KIND_REAL:
        fact_set_real(facts, s->fact, s->number);
        break;
    case KIND_BOOL:
        fact_set_bool(facts, s->fact, s->number != 0);
        break;
    case KIND_TEXT:
        fact_set_text(facts, s->fact, s->text);
        break;
    case KIND_ITEM:
        t->items[i] = span_str(s->text);
        fact_set_items(facts, s->fact, &t->items[i], 1);
        break;
    }
}

/* Who the test is: a program that no baseline knows, as an agent would tell it. */
static void set_sender(struct test *t)
{
    struct facts *facts = &t->flow->x->facts;
    fact_set_text(facts, FACT_sender_confidence, t->agent->connected ? "exact" : "unknown");
    if (!t->agent->connected)
        return;
    fact_set_text(facts, FACT_sender_host, t->agent->name);
    fact_set_int(facts, FACT_sender_host_type, 0);
    fact_set_text(facts, FACT_sender_stable, test_sender);
    fact_set_bool(facts, FACT_sender_is_browser, false);
    fact_set_bool(facts, FACT_sender_at_home, false);
    fact_set_bool(facts, FACT_sender_not_tls_here, false);
}

/* Without an agent nothing else is known of it. */
static void set_unattested(struct test *t)
{
    struct facts *facts = &t->flow->x->facts;
    if (t->agent->connected)
        return;
    static const char prefixes[][8] = {"sender_", "history"};
    for (int i = 0; i < FACT_COUNT; i++)
        for (size_t p = 0; p < ARRAY_LEN(prefixes); p++)
            if (strncmp(fact_table[i].name, prefixes[p], strlen(prefixes[p])) == 0 &&
                facts->values[i].state == FACT_PENDING) {
                facts->values[i].state = FACT_UNOBSERVABLE;
                t->lacks[i] = needs[NEED_AGENT].without;
            }
}

/* The live baseline says what it says of an unknown program; the other analytics are about one that it let out. */
static void ask_baseline(struct test *t)
{
    struct flow *f = t->flow;
    struct verdict v = decide_by_baseline(f, NULL);
    bool approved = v.entry && v.selector && v.reason == REASON_NONE;
    t->certificates = v.handling >= HANDLING_PEEK;
    if (t->analytic != AN0761) {
        v.action = VERDICT_ALLOW;
        v.reason = REASON_NONE;
        v.would_block = false;
    }
    fact_set_bool(&f->x->facts, FACT_sender_approved, approved);
    f->x->verdict = v;
    f->x->decided = true;
}

static int set_facts(struct test *t)
{
    struct exchange *x = t->flow->x;
    struct facts *facts = &x->facts;
    x->connect = x->whole = true;
    x->port = TEST_PORT;
    x->bytes_out = scenes[t->scene].bytes;
    x->bytes_in = TEST_BYTES_IN;
    if (host_canonical(span_str(test_name), &x->host) != HOST_OK)
        return -1;
    ask_baseline(t);
    fact_set_text(facts, FACT_method, "CONNECT");
    fact_set_text(facts, FACT_host, test_name);
    fact_set_text(facts, FACT_dest_domain, test_name);
    fact_set_int(facts, FACT_port, TEST_PORT);
    set_sender(t);
    for (size_t i = 0; i < ARRAY_LEN(all_seen); i++)
        if (all_seen[i].scene == t->scene)
            set_seen(t, i);
    set_unattested(t);
    for (enum fact_phase p = FACT_ACCEPT; p <= FACT_RELAY; p++)
        facts_settle(facts, p, p == FACT_CHAIN && !t->certificates ? FACT_UNOBSERVABLE : FACT_ABSENT);
    return 0;
}

/* Through the gates, with both records. */
static int go(struct flow *f)
{
    static const enum fact_phase gates[] = {FACT_CONNECT, FACT_HELLO, FACT_CHAIN, FACT_RELAY};
    judge_set_volume(f);
    for (size_t i = 0; i < ARRAY_LEN(gates); i++)
        if (judge_note(f, gates[i]) != 0)
            return -1;
    record_decision(f);
    f->x->reason = REASON_COMPLETED;
    record_close(f);
    return 0;
}

/* ---- what came of it ---- */

static const struct judge_match *match_of(const struct flow *f, uint32_t rule)
{
    const struct judgement *j = &f->x->judgement;
    for (size_t i = 0; i < j->count; i++)
        if (j->matches[i].rule == rule)
            return &j->matches[i];
    return NULL;
}

static bool is_of(const struct test *t, const struct rulebook *b, uint32_t rule)
{
    char analytic[RULE_ANALYTIC_BYTES];
    rule_analytic(b->set->rules[rule].document, analytic);
    return strcmp(analytic, analytics[t->analytic].id) == 0;
}

/* The rule matched; the finding that it made ends here. */
static void note_match(struct test *t, uint32_t rule, const struct judge_match *m, struct told *ret)
{
    struct finding found;
    const struct flow *f = t->flow;
    const char *id = sigma_document_id(f->snapshot->rules->set->rules[rule].document);
    *ret = (struct told){.state = TOLD_COUNTED, .outcome = m->outcome};
    snprintf(ret->record, sizeof ret->record, "%s", f->x->id);
    if (m->outcome == JUDGE_COUNTED)
        return;
    ret->state = TOLD_BELOW_LEVEL;
    if (!findings_end_test(f->env->findings, id, (int64_t)net_wall_ms(f->env->net), &found))
        return;
    ret->state = found.status == FINDING_SUPPRESSED ? TOLD_SUPPRESSED : TOLD_FIRED;
    ret->severity = found.severity;
    memcpy(ret->finding, found.uid, sizeof ret->finding);
    memcpy(ret->by, found.by, sizeof ret->by);
}

/* Of each rule what came of it in the scene that just ended, where that is more than in those before. */
static void note_rules(struct test *t)
{
    const struct rulebook *b = t->flow->snapshot->rules;
    for (uint32_t i = 0; b && i < b->set->rule_count; i++) {
        const struct judge_match *m = is_of(t, b, i) ? match_of(t->flow, i) : NULL;
        struct told now = {.state = TOLD_NOT_FIRED};
        if (m)
            note_match(t, i, m, &now);
        if (now.state > t->told[i].state)
            t->told[i] = now;
        bool uses[FACT_COUNT] = {false};
        rule_facts_collect(b, i, uses);
        for (int f = 0; f < FACT_COUNT && t->told[i].state == TOLD_NOT_FIRED; f++)
            t->told[i].unobservable[f] |= uses[f] && t->flow->x->facts.values[f].state == FACT_UNOBSERVABLE;
        t->fired |= now.state == TOLD_FIRED;
    }
}

/* ---- what is told ---- */

static void say(struct test *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct test *t, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    json_str(t->j, NULL, text);
}

static void tell_rule(struct test *t, const struct rulebook *b, uint32_t rule)
{
    const struct sigma_document *d = b->set->rules[rule].document;
    const struct told *told = &t->told[rule];
    json_object(t->j, NULL);
    json_str(t->j, "id", sigma_document_id(d));
    json_str(t->j, "title", d->title);
    json_str(t->j, "action", action_name(b->actions[rule].kind));
    if (told->state > TOLD_COUNTED)
        json_str(t->j, "outcome", judge_outcome_name(told->outcome));
    json_str(t->j, "state", state_names[told->state]);
    if (told->record[0])
        json_str(t->j, "record", told->record);
    if (told->finding[0]) {
        json_str(t->j, "finding", told->finding);
        json_str(t->j, "severity", finding_severity_name(told->severity));
    }
    if (told->state == TOLD_SUPPRESSED)
        json_str(t->j, "ticket", told->by);
    json_array(t->j, "unobservable");
    for (int i = 0; i < FACT_COUNT; i++)
        if (told->unobservable[i])
            json_str(t->j, NULL, fact_table[i].name);
    json_end_array(t->j);
    json_end_object(t->j);
}

static size_t tell_rules(struct test *t, const struct rulebook *b)
{
    size_t count = 0;
    json_array(t->j, "rules");
    for (uint32_t i = 0; b && i < b->set->rule_count; i++) {
        if (!is_of(t, b, i))
            continue;
        tell_rule(t, b, i);
        count++;
    }
    json_end_array(t->j);
    return count;
}

/* Reasons, each once, of facts that can't be known here and that a rule of the analytic asks about. */
static size_t tell_lacks(struct test *t, const struct rulebook *b)
{
    const char *told[ARRAY_LEN(needs)];
    bool uses[FACT_COUNT] = {false};
    size_t count = 0;
    for (uint32_t i = 0; b && i < b->set->rule_count; i++)
        if (is_of(t, b, i))
            rule_facts_collect(b, i, uses);
    for (int i = 0; i < FACT_COUNT; i++) {
        size_t n = 0;
        if (!uses[i] || !t->lacks[i])
            continue;
        while (n < count && told[n] != t->lacks[i])
            n++;
        if (n < count || count == ARRAY_LEN(told))
            continue;
        told[count++] = t->lacks[i];
        say(t, "%s", t->lacks[i]);
    }
    return count;
}

/* A rule of ours that could be answered here, and was not true of what it is about. */
static bool has_failed(const struct test *t, const struct rulebook *b, uint32_t rule)
{
    const struct sigma_document *d = b->set->rules[rule].document;
    bool ours = false;
    for (size_t i = 0; i < ARRAY_LEN(own_rules); i++)
        ours |= own_rules[i].analytic == t->analytic && d->name && strcmp(own_rules[i].name, d->name) == 0;
    if (!ours || t->told[rule].state != TOLD_NOT_FIRED)
        return false;
    for (int f = 0; f < FACT_COUNT; f++)
        if (t->told[rule].unobservable[f] && t->lacks[f])
            return false;
    return true;
}

/* False: the analytic fires, and not all of its rules do that should. */
static bool tell_missing(struct test *t, const struct rulebook *b, size_t rules)
{
    bool all = true;
    json_array(t->j, "missing");
    if (rules == 0)
        say(t, "no rule of it is loaded (policy.rules): one with the tag exeat.%c%c%s", 'a', 'n',
            analytics[t->analytic].id + 2);
    else if (!t->fired && tell_lacks(t, b) == 0)
        say(t, "none of its rules makes a finding of what the test pretends: is one suppressed, below "
               "findings.level, or "
               "changed? exeat rules explain says of the test's record what each part was worth");
    for (uint32_t i = 0; t->fired && i < b->set->rule_count; i++) {
        if (!is_of(t, b, i) || !has_failed(t, b, i))
            continue;
        all = false;
        say(t, "%s is not true of what the test pretends: was it changed?", b->set->rules[i].document->name);
    }
    json_end_array(t->j);
    return all;
}

/* What doesn't keep it from firing in the test, but may in earnest. */
static void tell_notes(struct test *t, const struct rulebook *b)
{
    const struct conf *c = t->env->snapshot->conf;
    struct sighting all;
    int64_t now_s = (int64_t)(net_wall_ms(t->env->net) / 1000);
    json_array(t->j, "notes");
    sightings_look(t->env->sightings, SIGHTING_HISTORY, span_str("all"), NULL, now_s, &all);
    long long days = all.known ? (long long)(now_s - all.first_s) / 86400 : 0;
    if ((t->analytic == AN0761 || t->analytic == AN1415 || t->analytic == AN1498) &&
        (days < c->history.min_days || (long long)all.hosts < c->history.min_hosts))
        say(t,
            "what is rare or new is unknown, and not reported, before %lld days and %lld hosts of history: "
            "now %lld and %u",
            (long long)c->history.min_days, (long long)c->history.min_hosts, days, all.known ? all.hosts : 0);
    if (t->fired)
        tell_lacks(t, b);
    json_end_array(t->j);
}

/* ---- one test ---- */

static struct flow *flow_new(struct flow_env *env)
{
    static const struct flow_listener none; /* it came by no door */
    struct flow *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->env = env;
    f->listener = &none;
    f->snapshot = snapshot_ref(env->snapshot);
    f->test = true;
    must(ip_parse(span_str("127.0.0.1"), &f->client_endpoint.ip));
    f->proxy_endpoint.ip = f->client_endpoint.ip;
    f->attribution.confidence = AGENT_CONFIDENCE_UNKNOWN;
    if (exchange_begin(f))
        return f;
    snapshot_unref(f->snapshot);
    free(f);
    return NULL;
}

static void flow_free(struct flow *take_f)
{
    struct exchange *x = take_f->x;
    judgement_forget(take_f);
    if (x->reserved)
        ledger_release(take_f->env->ledger, x->reserved);
    arena_reset(&x->arena);
    free(x);
    snapshot_unref(take_f->snapshot);
    free(take_f);
}

/* NULL, or why it could not be played. */
static const char *play(struct test *t)
{
    const char *fault = NULL;
    t->flow = flow_new(t->env);
    if (!t->flow)
        return "no memory";
    if (record_reserve(t->flow) != 0)
        fault = "the ledger is full";
    else if (set_facts(t) != 0 || go(t->flow) != 0)
        fault = "no memory";
    else
        note_rules(t);
    if (!t->record[0])
        snprintf(t->record, sizeof t->record, "%s", t->flow->x->id);
    flow_free(t->flow);
    t->flow = NULL;
    return fault;
}

/* True: it fired, and so did each rule of it that could. */
static bool run_one(struct test *t)
{
    const struct rulebook *b = t->env->snapshot->rules; /* nobody publishes another while the loop is here */
    const char *fault = NULL;
    bool all = true;
    json_object(t->j, NULL);
    json_str(t->j, "analytic", analytics[t->analytic].id);
    json_str(t->j, "what", analytics[t->analytic].what);
    t->told = calloc(b && b->set->rule_count ? b->set->rule_count : 1, sizeof *t->told);
    if (!t->told)
        fault = "no memory";
    for (enum scene s = 0; s < SCENE_COUNT && !fault; s++)
        if (scenes[s].analytic == t->analytic) {
            t->scene = s;
            fault = play(t);
        }
    if (fault) {
        t->fired = false;
        json_array(t->j, "missing");
        say(t, "%s", fault);
        json_end_array(t->j);
    } else {
        json_str(t->j, "record", t->record);
        all = tell_missing(t, b, tell_rules(t, b));
        tell_notes(t, b);
    }
    json_bool(t->j, "fired", t->fired);
    json_bool(t->j, "whole", t->fired && all);
    json_end_object(t->j);
    free(t->told);
    return t->fired && all;
}

void selftest_run(struct flow_env *env, const struct selftest_agent *agent, struct buf *out)
{
    struct json j;
    bool passed = true;
    json_init(&j, out);
    json_object(&j, NULL);
    json_int(&j, "generation", (int64_t)env->snapshot->generation);
    json_bool(&j, "agent", agent->connected);
    json_array(&j, "analytics");
    for (enum analytic a = 0; a < ANALYTIC_COUNT; a++) {
        struct test *t = calloc(1, sizeof *t);
        if (t)
            *t = (struct test){.analytic = a, .agent = agent, .j = &j, .env = env};
        passed &= t && run_one(t);
        free(t);
    }
    json_end_array(&j);
    json_bool(&j, "passed", passed);
    json_end_object(&j);
}
