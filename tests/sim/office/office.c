/* office.c: plays a month of an office (office.h) and tells what was found in it, as a table of README.md.
 *
 *   office [--hosts N] [--days N] [--seed N]...     the table, one column of findings a seed; --list: each finding, too
 *   office ... --check README.md                    fails unless that is what stands there, and what has to hold does
 *   office ... --write README.md                    puts it there
 *   office ... --smoke                              a small office: fails unless something planted was found */
#include <jansson.h>

#include "office.h"

#include "base/must.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CAUSES_MOST = 64, RULES_MOST = 32, SEEDS_MOST = 4, RULE_BYTES = 104, TABLE_BYTES = 1 << 16 };

#define BEGINS "<!-- office begins -->\n"
#define ENDS   "<!-- office ends -->\n"

/* Findings that no plant is behind, by rule and cause. */
struct cause {
    char rule[RULE_BYTES];
    const char *why; /* lives for ever */
    unsigned count;
};

struct result {
    uint64_t seed;
    struct {
        char rules[RULES_MOST][RULE_BYTES]; /* by which it was found */
        unsigned rule_count;
        int64_t first_ms; /* since it began */
    } plants[PLANTS_MOST + 1];
    struct cause causes[CAUSES_MOST];
    unsigned cause_count, false_count;
    struct player_stats stats;
};

struct run {
    struct office office;
    const struct visit *visit; /* borrowed: being played */
    struct result *result;     /* borrowed */
    bool list;
};

/* ---- what is found ---- */

static void note_plant(struct run *r, const char *rule)
{
    unsigned plant = r->visit->plant;
    struct result *out = r->result;
    for (unsigned i = 0; i < out->plants[plant].rule_count; i++)
        if (strcmp(out->plants[plant].rules[i], rule) == 0)
            return;
    must(out->plants[plant].rule_count < RULES_MOST);
    if (out->plants[plant].rule_count == 0)
        out->plants[plant].first_ms = r->visit->at_ms - plant_begin_ms(&r->office, plant);
    snprintf(out->plants[plant].rules[out->plants[plant].rule_count++], RULE_BYTES, "%s", rule);
}

static void note_false(struct run *r, const char *rule)
{
    struct result *out = r->result;
    struct cause *c = out->causes;
    while (c < out->causes + out->cause_count && (c->why != r->visit->why || strcmp(c->rule, rule) != 0))
        c++;
    if (c == out->causes + out->cause_count) {
        must(out->cause_count++ < CAUSES_MOST);
        *c = (struct cause){.why = r->visit->why};
        snprintf(c->rule, sizeof c->rule, "%s", rule);
    }
    c->count++;
    out->false_count++;
}

/* A record of the ledger, of class Detection Finding. */
static void on_finding(void *owner, const char *line)
{
    struct run *r = owner;
    json_t *record = json_loads(line, 0, NULL);
    const char *rule, *title;
    int activity;
    must(record);
    must(json_unpack(record, "{s:i, s:{s:s, s:{s:s}}}", "activity_id", &activity, "finding_info", "title",
                     &title, "analytic", "uid", &rule) == 0);
    if (activity == 1) {
        if (r->list)
            printf("day %2u host %3u %-36.36s %-44.44s %s%s\n", (unsigned)(r->visit->at_ms / 1000 / DAY_S),
                   r->visit->host, title, r->visit->name, r->visit->plant ? "PLANTED " : "", r->visit->why);
        if (r->visit->plant)
            note_plant(r, title);
        else
            note_false(r, title);
    }
    json_decref(record);
}

static void play_month(uint64_t seed, unsigned hosts, unsigned days, bool list, struct result *ret)
{
    static struct run r;
    r = (struct run){.result = ret, .list = list};
    *ret = (struct result){.seed = seed};
    office_init(&r.office, seed, hosts, days);
    struct player *p = player_new(&r.office, on_finding, &r);
    for (unsigned day = 0; day < days; day++) {
        office_make_day(&r.office, day);
        for (size_t i = 0; i < r.office.count; i++) {
            r.visit = &r.office.visits[i];
            player_play(p, r.visit);
        }
    }
    player_stats(p, &ret->stats);
    player_free(p);
    office_free(&r.office);
}

int main(int argc, char **argv)
{
    static struct result result;
    unsigned hosts = argc > 1 ? (unsigned)atoi(argv[1]) : 200, days = argc > 2 ? (unsigned)atoi(argv[2]) : 30;
    clock_t begun = clock();
    play_month(argc > 3 ? (unsigned)atoi(argv[3]) : 1, hosts, days, true, &result);
    printf("%llu flows, %llu records, %llu refused, %llu evicted, %.1f s\n",
           (unsigned long long)result.stats.flows, (unsigned long long)result.stats.records,
           (unsigned long long)result.stats.refused, (unsigned long long)result.stats.evicted,
           (double)(clock() - begun) / CLOCKS_PER_SEC);
    for (unsigned i = 1; i <= plants_count(); i++) {
        printf("%2u %-70s %7.1f h ", i, plant_what(i), (double)result.plants[i].first_ms / 3.6e6);
        for (unsigned n = 0; n < result.plants[i].rule_count; n++)
            printf(" | %s", result.plants[i].rules[n]);
        printf("\n");
    }
    for (unsigned i = 0; i < result.cause_count; i++)
        printf("%4u %-50.50s %s\n", result.causes[i].count, result.causes[i].rule, result.causes[i].why);
    printf("%u false, %.2f per 100 hosts and day\n", result.false_count,
           result.false_count / (hosts / 100.0) / (days - 14.0));
    return 0;
}
