/* coverage.c: see coverage.h. */
#include "admin/coverage.h"

#include "flow/observed.h"
#include "rules/rule_facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ANALYTICS_MAX = 32, PLATFORMS_MAX = 8, RULES_MAX = 256 };

/* Ours, which are told of also where no rule of theirs is loaded. */
static const char *const own[] = {
#define ANALYTIC(id, what) #id,
#include "flow/selftest.def"
};

struct rule_row {
    uint32_t rule;
    unsigned analytic;
    bool uses[FACT_COUNT];
    unsigned whole[PLATFORMS_MAX]; /* hosts of which all it asks about was observed */
};

struct coverage {
    const struct rulebook *rules; /* borrowed; NULL: none */
    char analytics[ANALYTICS_MAX][RULE_ANALYTIC_BYTES];
    unsigned analytic_count;
    struct rule_row rows[RULES_MAX];
    unsigned row_count;
    char platforms[PLATFORMS_MAX][OBSERVED_PLATFORM_BYTES];
    unsigned platform_count, hosts[PLATFORMS_MAX];
    unsigned seen[PLATFORMS_MAX][FACT_COUNT];   /* hosts, by fact */
    unsigned any[PLATFORMS_MAX][ANALYTICS_MAX]; /* hosts of which one rule has all it asks about */
};

/* PLATFORMS_MAX: there are too many. */
static unsigned platform_of(struct coverage *c, const char *name)
{
    unsigned i = 0;
    while (i < c->platform_count && strcmp(c->platforms[i], name) != 0)
        i++;
    if (i == c->platform_count && i < PLATFORMS_MAX)
        snprintf(c->platforms[c->platform_count++], sizeof c->platforms[0], "%s", name);
    return i;
}

static unsigned analytic_of(struct coverage *c, const char *name)
{
    unsigned i = 0;
    while (i < c->analytic_count && strcmp(c->analytics[i], name) != 0)
        i++;
    if (i == c->analytic_count && i < ANALYTICS_MAX)
        snprintf(c->analytics[c->analytic_count++], sizeof c->analytics[0], "%s", name);
    return i;
}

static void add_rules(struct coverage *c)
{
    char name[RULE_ANALYTIC_BYTES];
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        analytic_of(c, own[i]);
    for (uint32_t i = 0; c->rules && i < c->rules->set->rule_count; i++) {
        rule_analytic(c->rules->set->rules[i].document, name);
        unsigned analytic = name[0] ? analytic_of(c, name) : ANALYTICS_MAX;
        if (analytic == ANALYTICS_MAX || c->row_count == RULES_MAX)
            continue;
        struct rule_row *row = &c->rows[c->row_count++];
        *row = (struct rule_row){.rule = i, .analytic = analytic};
        rule_facts_collect(c->rules, i, row->uses);
    }
}

static bool has_all(const struct rule_row *row, const bool seen[FACT_COUNT])
{
    for (int i = 0; i < FACT_COUNT; i++)
        if (row->uses[i] && !seen[i])
            return false;
    return true;
}

static void on_host(void *owner, const char *platform, const bool seen[FACT_COUNT])
{
    struct coverage *c = owner;
    bool covered[ANALYTICS_MAX] = {false};
    unsigned p = platform_of(c, platform);
    if (p == PLATFORMS_MAX)
        return;
    c->hosts[p]++;
    for (int i = 0; i < FACT_COUNT; i++)
        c->seen[p][i] += seen[i];
    for (unsigned i = 0; i < c->row_count; i++)
        if (has_all(&c->rows[i], seen)) {
            c->rows[i].whole[p]++;
            covered[c->rows[i].analytic] = true;
        }
    for (unsigned i = 0; i < c->analytic_count; i++)
        c->any[p][i] += covered[i];
}

/* ---- what is told ---- */

static void write_share(struct json *j, const struct coverage *c, unsigned p, unsigned observed)
{
    json_object(j, NULL);
    json_str(j, "platform", c->platforms[p]);
    json_int(j, "hosts", c->hosts[p]);
    json_int(j, "observed", observed);
    if (c->hosts[p] > 0)
        json_double(j, "share", (double)observed / c->hosts[p], 3);
    json_end_object(j);
}

static void write_rules(struct json *j, const struct coverage *c, unsigned analytic)
{
    json_array(j, "rules");
    for (unsigned i = 0; i < c->row_count; i++) {
        const struct rule_row *row = &c->rows[i];
        const struct sigma_document *d = c->rules->set->rules[row->rule].document;
        if (row->analytic != analytic)
            continue;
        json_object(j, NULL);
        json_str(j, "id", sigma_document_id(d));
        json_str(j, "title", d->title);
        json_array(j, "platforms");
        for (unsigned p = 0; p < c->platform_count; p++)
            write_share(j, c, p, row->whole[p]);
        json_end_array(j);
        json_end_object(j);
    }
    json_end_array(j);
}

static void write_facts(struct json *j, const struct coverage *c, unsigned analytic)
{
    json_array(j, "facts");
    for (int f = 0; f < FACT_COUNT; f++) {
        bool used = false;
        for (unsigned i = 0; i < c->row_count; i++)
            used |= c->rows[i].analytic == analytic && c->rows[i].uses[f];
        if (!used)
            continue;
        json_object(j, NULL);
        json_str(j, "fact", fact_table[f].name);
        json_str(j, "what", fact_table[f].doc);
        json_array(j, "platforms");
        for (unsigned p = 0; p < c->platform_count; p++)
            write_share(j, c, p, c->seen[p][f]);
        json_end_array(j);
        json_end_object(j);
    }
    json_end_array(j);
}

static void write_agents(struct json *j, const struct gather *g)
{
    const struct net_agent *told = NULL;
    json_array(j, "agents");
    for (unsigned i = 0; i < g->count; i++) {
        const struct gather_slot *slot = &g->slots[i];
        if (!atomic_load_explicit(&slot->answered, memory_order_acquire) || !slot->net.agent_connected ||
            (told && strcmp(told->host, slot->net.agent.host) == 0))
            continue;
        told = &slot->net.agent;
        json_object(j, NULL);
        json_str(j, "host", told->host);
        json_str(j, "platform", told->platform);
        if (told->tells_observable)
            agent_history_write_kinds(told->not_observable, j, "not_observable");
        json_end_object(j);
    }
    json_end_array(j);
}

static void write_analytics(struct json *j, const struct coverage *c)
{
    json_array(j, "analytics");
    for (unsigned a = 0; a < c->analytic_count; a++) {
        json_object(j, NULL);
        json_str(j, "analytic", c->analytics[a]);
        json_array(j, "platforms");
        for (unsigned p = 0; p < c->platform_count; p++)
            write_share(j, c, p, c->any[p][a]);
        json_end_array(j);
        write_rules(j, c, a);
        write_facts(j, c, a);
        json_end_object(j);
    }
    json_end_array(j);
}

void coverage_write(struct daemon *d, const struct gather *g, struct buf *out)
{
    struct json j;
    struct coverage *c = calloc(1, sizeof *c);
    struct snapshot *s = daemon_snapshot(d);
    uint64_t left_out = 0;
    json_init(&j, out);
    json_object(&j, NULL);
    if (c) {
        c->rules = s->rules;
        add_rules(c);
        left_out = observed_each(daemon_observed(d), (int64_t)time(NULL), on_host, c);
    }
    json_int(&j, "generation", (int64_t)s->generation);
    json_int(&j, "started_ms", (int64_t)daemon_started_ms(d));
    json_int(&j, "window_s", OBSERVED_WINDOW_S);
    json_int(&j, "hosts_left_out", (int64_t)left_out);
    json_int(&j, "min_days", s->conf->history.min_days);
    json_int(&j, "min_hosts", s->conf->history.min_hosts);
    write_agents(&j, g);
    if (c)
        write_analytics(&j, c);
    json_end_object(&j);
    buf_append(out, "\n", 1);
    snapshot_unref(s);
    free(c);
}
