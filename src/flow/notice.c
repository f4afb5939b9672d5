/* notice.c: a rule that matched becomes a finding: what it is about, how much it weighs and why, gathered from the exchange.
 * judge.c calls in as soon as a rule has matched; touches the facts and flow/findings. */
#include "flow/flow.h"

#include "base/json.h"
#include "base/must.h"
#include "facts/domain.h"
#include "flow/findings.h"
#include "rules/rule_facts.h"

#include <stdio.h>
#include <stdlib.h>

static const struct fact_value *known(const struct flow *f, enum fact which)
{
    const struct fact_value *v = &f->x->facts.values[which];
    return v->state == FACT_KNOWN ? v : NULL;
}

static void copy_text(const struct flow *f, enum fact which, char *ret, size_t size)
{
    const struct fact_value *v = known(f, which);
    size_t len = v ? (v->count < size - 1 ? v->count : size - 1) : 0;
    if (len > 0)
        memcpy(ret, v->as.text, len);
    ret[len] = '\0';
}

/* ---- what corroborates ---- */

enum corroborates { IF_TRUE, IF_FALSE, IF_ANY, IF_AT_LEAST, IF_AT_MOST, IF_TEXT, IF_HAS };

/* Facts that make a match more than it is alone; two of them raise its severity by one. */
static const struct {
    enum fact fact;
    enum corroborates when;
    double limit;
    const char *text, *name;
} corroborations[] = {
    {FACT_dest_hosts, IF_AT_MOST, 2, NULL, "rare_destination"},
    {FACT_dest_new_for_sender, IF_TRUE, 0, NULL, "destination_new_for_sender"},
    {FACT_sender_borrowed, IF_ANY, 0, NULL, "borrowed_identity"},
    {FACT_sender_path_class, IF_HAS, 0, "temporary", "temporary_path"},
    {FACT_sender_path_class, IF_HAS, 0, "downloads", "downloads_path"},
    {FACT_sender_path_class, IF_HAS, 0, "hidden", "hidden_path"},
    {FACT_sender_path_class, IF_HAS, 0, "memory", "runs_from_memory"},
    {FACT_history_symmetric_outside_tls, IF_AT_LEAST, 1, NULL, "ciphers_outside_tls"},
    {FACT_history_public_key_outside_tls, IF_AT_LEAST, 1, NULL, "key_pairs_outside_tls"},
    {FACT_history_tls_library_unexpected, IF_AT_LEAST, 1, NULL, "unexpected_tls_library"},
    {FACT_chain_trusted, IF_FALSE, 0, NULL, "chain_not_trusted"},
    {FACT_chain_class, IF_TEXT, 0, "self_signed", "chain_self_signed"},
    {FACT_chain_kit, IF_ANY, 0, NULL, "chain_of_a_known_kit"},
    {FACT_beacon_score, IF_AT_LEAST, 0.8, NULL, "beacon"},
    {FACT_upload_to_p99, IF_AT_LEAST, 3, NULL, "unusual_upload"},
    {FACT_history_sensitive_access, IF_AT_LEAST, 1, NULL, "sensitive_access_before"},
    {FACT_history_archive_written, IF_AT_LEAST, 1, NULL, "archive_before"},
    {FACT_ja4_new_for_sender, IF_TRUE, 0, NULL, "ja4_new_for_sender"},
};

static bool has_item(const struct fact_value *v, const char *text)
{
    for (size_t i = 0; i < v->count; i++)
        if (span_is(v->as.items[i], text))
            return true;
    return false;
}

static bool holds(const struct fact_value *v, enum fact_type type, enum corroborates when, double limit,
                  const char *text)
{
    double number = type == FACT_REAL                       ? v->as.real
                    : type == FACT_INT || type == FACT_BOOL ? (double)v->as.integer
                                                            : 0;
    switch (when) {
    case IF_TRUE:
        return number != 0;
    case IF_FALSE:
        return number == 0;
    case IF_ANY:
        return v->count > 0;
    case IF_AT_LEAST:
        return number >= limit;
    case IF_AT_MOST:
        return number <= limit;
    case IF_TEXT:
        return span_is(span_of(v->as.text, v->count), text);
    case IF_HAS:
        return has_item(v, text);
    }
    return false;
}

/* A list of names with commas; one that has no room any more is left out. */
static void add_name(char *text, size_t size, const char *name)
{
    size_t len = strlen(text);
    if (len + 1 + strlen(name) < size)
        snprintf(text + len, size - len, "%s%s", len ? "," : "", name);
}

static unsigned corroborate(const struct flow *f, char *ret, size_t size)
{
    unsigned count = 0;
    ret[0] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(corroborations); i++) {
        const struct fact_value *v = known(f, corroborations[i].fact);
        if (!v || !holds(v, fact_table[corroborations[i].fact].type, corroborations[i].when,
                         corroborations[i].limit, corroborations[i].text))
            continue;
        add_name(ret, size, corroborations[i].name);
        count++;
    }
    return count;
}

/* What the rule asks about, or lists as of interest, and nobody can see here: it was left out of the judgement, not assumed. */
static void name_unobserved(const struct flow *f, uint32_t rule, char *ret, size_t size)
{
    const struct rulebook *b = f->snapshot->rules;
    const struct sigma_names *listed = &b->set->rules[rule].document->fields;
    bool asked[FACT_COUNT] = {false};
    rule_facts_collect(b, rule, asked);
    for (enum fact fact = 0; fact < FACT_COUNT; fact++) {
        for (size_t i = 0; i < listed->count && !asked[fact]; i++)
            asked[fact] = strcmp(fact_table[fact].name, listed->items[i]) == 0;
        if (asked[fact] && f->x->facts.values[fact].state == FACT_UNOBSERVABLE)
            add_name(ret, size, fact_table[fact].name);
    }
}

/* ---- what it is about ---- */

/* Tags of the rule: techniques ("attack.t1071.001") and, of our own, which analytic it is ("exeat.an0761"). */
static void read_tags(const struct sigma_document *d, struct finding *about)
{
    for (size_t i = 0; i < d->tags.count; i++) {
        const char *tag = d->tags.items[i];
        if (strncmp(tag, "attack.t", 8) == 0 && tag[8] >= '0' && tag[8] <= '9' &&
            about->attack_count < FINDING_ATTACKS_MAX)
            snprintf(about->attacks[about->attack_count++], sizeof about->attacks[0], "T%.14s", tag + 8);
        if (strncmp(tag, "exeat.an", 8) == 0)
            snprintf(about->analytic, sizeof about->analytic, "AN%.20s", tag + 8);
    }
}

/* OCSF's evidence: who, where to, by what handshake. */
static char *evidence_of(const struct flow *f)
{
    struct buf text;
    struct json j;
    const struct fact_value *process = known(f, FACT_sender_process), *sni = known(f, FACT_sni),
                            *ja4 = known(f, FACT_ja4);
    char ip[IP_TEXT_BYTES];
    buf_init(&text, FINDING_EVIDENCE_MAX_BYTES);
    json_init(&j, &text);
    json_object(&j, NULL);
    if (process && process->count < FINDING_EVIDENCE_MAX_BYTES / 2) {
        json_object(&j, "actor");
        json_raw(&j, "process", span_of(process->as.text, process->count));
        json_end_object(&j);
    }
    json_object(&j, "dst_endpoint");
    if (!f->x->host.is_ip)
        json_str(&j, "hostname", f->x->host.name);
    if (f->x->server_ip.version || f->x->host.is_ip)
        json_str(&j, "ip", ip_format(f->x->server_ip.version ? &f->x->server_ip : &f->x->host.ip, ip));
    json_int(&j, "port", f->x->port);
    json_end_object(&j);
    json_object(&j, "src_endpoint");
    json_str(&j, "ip", ip_format(&f->client_endpoint.ip, ip));
    json_end_object(&j);
    if (sni) {
        json_object(&j, "tls");
        json_span(&j, "sni", span_of(sni->as.text, sni->count));
        json_str(&j, "version", "unknown");
        json_end_object(&j);
    }
    if (ja4) {
        json_array(&j, "ja4_fingerprint_list");
        json_object(&j, NULL);
        json_int(&j, "type_id", 1);
        json_span(&j, "value", span_of(ja4->as.text, ja4->count));
        json_end_object(&j);
        json_end_array(&j);
    }
    json_end_object(&j);
    struct span whole = buf_span(&text);
    char *copy = !text.failed && whole.data ? strndup((const char *)whole.data, whole.len) : NULL;
    buf_free(&text);
    return copy;
}

/* What the sender's lineage did, frozen before the agent forgets it. */
static char *history_of(const struct flow *f)
{
    const struct fact_value *history = known(f, FACT_history);
    bool fits = history && history->count <= FINDING_HISTORY_MAX_BYTES;
    return fits ? strndup(history->as.text, history->count) : NULL;
}

static void set_subject(const struct flow *f, struct finding *about)
{
    copy_text(f, FACT_sender_host, about->host, sizeof about->host);
    copy_text(f, FACT_sender_stable, about->sender, sizeof about->sender);
    copy_text(f, FACT_sender_user, about->user, sizeof about->user);
    copy_text(f, FACT_sender_sha256, about->sha256, sizeof about->sha256);
    copy_text(f, FACT_dest_domain, about->domain, sizeof about->domain);
    copy_text(f, FACT_sender_confidence, about->confidence, sizeof about->confidence);
    char ip[IP_TEXT_BYTES];
    if (!about->host[0])
        snprintf(about->host, sizeof about->host, "%s", ip_format(&f->client_endpoint.ip, ip));
    if (!about->sender[0])
        strcpy(about->sender, "unknown");
    if (!about->confidence[0])
        strcpy(about->confidence, "unknown");
    if (!about->domain[0]) {
        struct span domain = domain_registrable(&f->x->host);
        snprintf(about->domain, sizeof about->domain, "%.*s", (int)domain.len, (const char *)domain.data);
    }
}

static const struct suppression *suppressed_by(const struct flow *f, const struct finding *about,
                                               int64_t now_s)
{
    const struct suppression_subject subject = {about->rule, about->host,   about->sender,
                                                about->user, about->domain, about->sha256};
    return suppressions_find(f->snapshot->suppressions, &subject, now_s);
}

/* ---- what the agent is not to forget ---- */

struct keeping {
    struct net_keep ask;
    struct findings *findings; /* borrowed: outlives the worker's net */
    struct findings_keep what;
};

static void on_kept(struct net_keep *ask, const struct agent_kept *kept)
{
    struct keeping *k = (struct keeping *)((char *)ask - offsetof(struct keeping, ask));
    if (kept)
        findings_set_kept(k->findings, &k->what, agent_keep_outcome_name(kept->outcome), kept->until_ms);
    free(k);
}

/* Of the agent that is asked now, if that one keeps anything; the flow goes on without waiting for it. */
static void ask_to_keep(struct flow *f, const struct findings_keep *what)
{
    struct keeping *k = calloc(1, sizeof *k);
    if (!k)
        return;
    *k = (struct keeping){.ask = {.done = on_kept, .message.seconds = FINDINGS_KEEP_S},
                          .findings = f->env->findings,
                          .what = *what};
    memcpy(k->ask.message.sender_ref, what->sender_ref, sizeof k->ask.message.sender_ref);
    if (!net_keep_ask(f->env->net, &k->ask))
        free(k);
}

void notice_match(struct flow *f, const struct judge_match *m)
{
    const struct sigma_document *d = f->snapshot->rules->set->rules[m->rule].document;
    const struct conf *c = flow_conf(f);
    enum finding_severity level = finding_severity_of_level(sigma_level_name(d->level));
    if (!f->env->findings)
        return;
    struct finding about = {.level = level, .test = f->test};
    int64_t now_ms = (int64_t)net_wall_ms(f->env->net);
    snprintf(about.rule, sizeof about.rule, "%s", sigma_document_id(d));
    snprintf(about.title, sizeof about.title, "%s", d->title);
    read_tags(d, &about);
    set_subject(f, &about);
    about.severity = finding_weigh(level, about.confidence,
                                   corroborate(f, about.corroborating, sizeof about.corroborating));
    name_unobserved(f, m->rule, about.not_observed, sizeof about.not_observed);
    if (level < (enum finding_severity)(c->findings.level + 1)) {
        findings_add_risk(f->env->findings, &about, now_ms);
        return;
    }
    const struct verdict *v = &f->x->verdict;
    bool kind_blocks = f->snapshot->rules->actions[m->rule].kind >= ACTION_BLOCK;
    about.blocked = v->action == VERDICT_BLOCK || (m->outcome == JUDGE_TAKEN && kind_blocks);
    about.would_block = v->would_block || (m->outcome == JUDGE_SIMULATED && kind_blocks);
    const struct suppression *s = suppressed_by(f, &about, now_ms / 1000);
    if (s) {
        about.status = FINDING_SUPPRESSED;
        snprintf(about.by, sizeof about.by, "%s", s->ticket);
    }
    about.evidence = evidence_of(f);
    about.history = history_of(f);
    if (f->attribution.sender)
        snprintf(about.kept_ref, sizeof about.kept_ref, "%s", f->attribution.sender->ref);
    struct findings_keep keep;
    if (findings_note_and_keep(f->env->findings, &about, f->x->id, now_ms, &keep))
        ask_to_keep(f, &keep);
}

static void set_risk(struct flow *f, enum fact which, const char *kind, enum fact whose)
{
    char text[256], name[320];
    copy_text(f, whose, text, sizeof text);
    if (!text[0])
        return;
    snprintf(name, sizeof name, "%s\n%s", kind, text);
    fact_set_int(&f->x->facts, which,
                 findings_risk(f->env->findings, span_str(name), (int64_t)net_wall_ms(f->env->net)));
}

void notice_set_risk(struct flow *f)
{
    if (!f->env->findings)
        return;
    set_risk(f, FACT_risk_sender, "sender", FACT_sender_stable);
    set_risk(f, FACT_risk_host, "host", FACT_sender_host);
    set_risk(f, FACT_risk_user, "user", FACT_sender_user);
}
