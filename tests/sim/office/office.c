/* office.c: plays a month of an office (office.h) and tells what was found in it, as tables of README.md, one a seed.
 *
 *   office [--hosts N] [--days N] [--seed N] [--list]   the table; --list: each finding as it is made, and what it cost
 *   office [--seed N] --check README.md                 fails unless as much is found as stands there, and as little is false
 *   office [--seed N] --write README.md                 puts it there
 *   ... --people                                        somebody answers for what is found: acknowledges, closes, suppresses (answers.c)
 *   ... --brief                                         no tables
 *   ... --strict                                        fails, too, unless all that was planted is found, thousands of flows as one
 *                                                       finding, and at most one finding for 100 hosts and day is false: of the month, and
 *                                                       of the days after the first fourteen, when there is history */
#include "office.h"

#include "base/buf.h"
#include "base/must.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    CAUSES_MOST = 64,
    RULES_MOST = 32,
    RULE_BYTES = 72,
    TEXT_BYTES_MAX = 1 << 20,
    CLAIM_TOLERANCE = 4, /* findings */
    LEARNING_DAYS = 14,  /* history.min_days: before, nothing is called rare or new */
};

struct options {
    unsigned hosts, days;
    uint64_t seed;
    bool list, strict, people, brief;
    const char *check, *write; /* borrowed; NULL */
};

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
        unsigned rule_count, finding_count;
        int64_t first_ms; /* since it began */
    } plants[PLANTS_MOST + 1];
    struct cause causes[CAUSES_MOST];
    unsigned cause_count, false_count, learning_count; /* once there is history; before */
    struct player_stats stats;
};

struct run {
    struct office office;
    struct player *player;     /* owned */
    const struct visit *visit; /* borrowed: being played */
    struct result *result;     /* borrowed */
    bool list;
};

/* ---- what is found ---- */

static void note_plant(struct run *r, const char *rule)
{
    unsigned plant = r->visit->plant;
    struct result *out = r->result;
    out->plants[plant].finding_count++;
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
    if (r->visit->at_ms < LEARNING_DAYS * INT64_C(1000) * DAY_S) {
        out->learning_count++;
        return;
    }
    while (c < out->causes + out->cause_count &&
           (strcmp(c->why, r->visit->why) != 0 || strcmp(c->rule, rule) != 0))
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
static void on_finding(void *owner, json_t *record)
{
    struct run *r = owner;
    const char *rule;
    int activity;
    must(json_unpack(record, "{s:i, s:{s:{s:s}}}", "activity_id", &activity, "finding_info", "analytic",
                     "uid", &rule) == 0);
    if (activity == 1) {
        const char *name = player_rule_name(r->player, rule);
        if (r->list)
            printf("day %2u host %3u %-16s %-44.44s %s%s\n", (unsigned)(r->visit->at_ms / 1000 / DAY_S),
                   r->visit->host, name, r->visit->name, r->visit->plant ? "PLANTED " : "", r->visit->why);
        if (r->visit->plant)
            note_plant(r, name);
        else
            note_false(r, name);
        player_answer(r->player, record, r->visit->plant != 0);
    }
}

static void play_month(const struct options *o, struct result *ret)
{
    static struct run r;
    r = (struct run){.result = ret, .list = o->list};
    *ret = (struct result){.seed = o->seed};
    office_init(&r.office, o->seed, o->hosts, o->days);
    struct player *p = player_new(&r.office, o->people, on_finding, &r);
    r.player = p;
    for (unsigned day = 0; day < o->days; day++) {
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

/* ---- the tables ---- */

static unsigned count_found(const struct result *r)
{
    unsigned found = 0;
    for (unsigned i = 1; i <= plants_count(); i++)
        found += r->plants[i].rule_count > 0;
    return found;
}

/* Plants of one kind stand together. */
static void write_plants(const struct result *r, struct buf *out)
{
    buf_append_str(out, "\n| planted | found | after | by |\n|---|---|---|---|\n");
    for (unsigned first = 1, next; first <= plants_count(); first = next) {
        unsigned found = 0, best = 0;
        for (next = first; next <= plants_count() && plant_what(next) == plant_what(first); next++) {
            found += r->plants[next].rule_count > 0;
            best = best && r->plants[best].rule_count >= r->plants[next].rule_count ? best : next;
        }
        buf_printf(out, "| %s | %u of %u | ", plant_what(first), found, next - first);
        for (unsigned i = first; i < next; i++)
            if (r->plants[i].rule_count > 0)
                buf_printf(out, "%s%.1f h", i > first && r->plants[i - 1].rule_count > 0 ? ", " : "",
                           (double)r->plants[i].first_ms / (HOUR_S * 1000));
        buf_append_str(out, " | ");
        for (unsigned n = 0; n < r->plants[best].rule_count; n++)
            buf_printf(out, "%s`%s`", n ? ", " : "", r->plants[best].rules[n]);
        buf_append_str(out, " |\n");
    }
}

static int compare(const void *a, const void *b)
{
    const struct cause *x = a, *y = b;
    int by_rule = strcmp(x->rule, y->rule);
    return x->count != y->count ? (x->count < y->count ? 1 : -1) : by_rule ? by_rule : strcmp(x->why, y->why);
}

/* Of the whole month, as people live through it: in the first days there is no history, and nothing is rare yet. */
static double false_rate(const struct options *o, const struct result *r)
{
    return (r->learning_count + r->false_count) * 100.0 / o->hosts / o->days;
}

static double later_rate(const struct options *o, const struct result *r)
{
    return r->false_count * 100.0 / o->hosts / (o->days - LEARNING_DAYS);
}

static void write_table(const struct options *o, struct result *r, struct buf *out)
{
    buf_printf(
        out,
        "Seed %llu: %llu flows. **%u of %u planted attacks found; %.2f false findings for 100 hosts and "
        "day** (%u in the %u days of learning, %.2f; %u in the %u days after, %.2f).\n",
        (unsigned long long)o->seed, (unsigned long long)r->stats.flows, count_found(r), plants_count(),
        false_rate(o, r), r->learning_count, LEARNING_DAYS,
        r->learning_count * 100.0 / o->hosts / LEARNING_DAYS, r->false_count, o->days - LEARNING_DAYS,
        later_rate(o, r));
    if (o->people)
        buf_printf(out, "Somebody answered each weekday, and suppressed %u that came again.\n",
                   r->stats.suppressions);
    if (o->brief)
        return;
    write_plants(r, out);
    buf_append_str(out, "\n| false findings | by | because of |\n|---|---|---|\n");
    qsort(r->causes, r->cause_count, sizeof *r->causes, compare);
    for (unsigned i = 0; i < r->cause_count; i++)
        buf_printf(out, "| %u | `%s` | %s |\n", r->causes[i].count, r->causes[i].rule, r->causes[i].why);
}

/* ---- the README ---- */

static void read_text(const char *path, struct buf *text)
{
    char bytes[16384];
    size_t n;
    FILE *f = fopen(path, "r");
    must(f);
    while ((n = fread(bytes, 1, sizeof bytes, f)) > 0)
        must(buf_append(text, bytes, n) == 0);
    fclose(f);
    must(buf_append(text, "", 1) == 0);
}

/* Between the marks of this seed; NULL: they are not there. */
static const char *find_table(const struct options *o, const char *text, const char **ret_end)
{
    char mark[64];
    const char *people = o->people ? " answered" : "";
    snprintf(mark, sizeof mark, "<!-- office %llu%s begins -->\n", (unsigned long long)o->seed, people);
    const char *begin = strstr(text, mark);
    snprintf(mark, sizeof mark, "<!-- office %llu%s ends -->", (unsigned long long)o->seed, people);
    *ret_end = begin ? strstr(begin, mark) : NULL;
    return *ret_end ? strchr(begin, '\n') + 1 : NULL;
}

/* What the first sentence of a table says. */
struct claims {
    unsigned found, planted, learning, later;
};

static bool read_claims(const char *table, struct claims *ret)
{
    return sscanf(table,
                  "Seed %*u: %*u flows. **%u of %u planted attacks found; %*f false findings for 100 hosts "
                  "and day** (%u in "
                  "the %*u days of learning, %*f; %u in",
                  &ret->found, &ret->planted, &ret->learning, &ret->later) == 4;
}

static bool is_near(unsigned a, unsigned b)
{
    return (a > b ? a - b : b - a) <= CLAIM_TOLERANCE;
}

/* A rule that changes a little moves a finding or two: that doesn't make the tables wrong. What is found and what isn't is no such thing. */
static bool holds(const char *written, const char *made)
{
    struct claims w, m;
    return read_claims(written, &w) && read_claims(made, &m) && w.found == m.found &&
           w.planted == m.planted && is_near(w.learning, m.learning) && is_near(w.later, m.later);
}

static int check_readme(const struct options *o, struct span table)
{
    struct buf text;
    const char *end;
    buf_init(&text, TEXT_BYTES_MAX);
    read_text(o->check ? o->check : o->write, &text);
    const char *whole = (const char *)buf_span(&text).data;
    must(whole && table.data);
    const char *begin = find_table(o, whole, &end);
    int result = -1;
    if (!begin) {
        fprintf(stderr, "office: there is no place for seed %llu\n", (unsigned long long)o->seed);
    } else if (o->write) {
        FILE *f = fopen(o->write, "w");
        must(f && fwrite(whole, 1, (size_t)(begin - whole), f) == (size_t)(begin - whole));
        must(fwrite(table.data, 1, table.len, f) == table.len && fputs(end, f) >= 0 && fclose(f) == 0);
        result = 0;
    } else if (holds(begin, (const char *)table.data)) {
        result = 0;
    } else {
        fprintf(stderr,
                "office: %s says something else; this is what was found (office --seed %llu --write "
                "README.md):\n%.*s",
                o->check, (unsigned long long)o->seed, (int)table.len, (const char *)table.data);
    }
    buf_free(&text);
    return result;
}

static int check_strictly(const struct options *o, const struct result *r)
{
    unsigned floods = 0;
    for (unsigned i = 1; i <= plants_count(); i++) {
        bool flood = plant_is_many(i) && r->plants[i].finding_count != r->plants[i].rule_count;
        if (r->plants[i].rule_count == 0 || flood)
            fprintf(stderr, "office: %s: %s\n", flood ? "more than one finding" : "not found", plant_what(i));
        floods += flood;
    }
    double rate = false_rate(o, r) > later_rate(o, r) ? false_rate(o, r) : later_rate(o, r);
    if (rate > 1)
        fprintf(stderr, "office: %.2f false findings for 100 hosts and day\n", rate);
    return count_found(r) == plants_count() && rate <= 1 && floods == 0 ? 0 : -1;
}

static int read_options(int argc, char **argv, struct options *o)
{
    static const struct option names[] = {
        {"hosts", required_argument, NULL, 'h'}, {"days", required_argument, NULL, 'd'},
        {"seed", required_argument, NULL, 's'},  {"list", no_argument, NULL, 'l'},
        {"check", required_argument, NULL, 'c'}, {"write", required_argument, NULL, 'w'},
        {"strict", no_argument, NULL, 'x'},      {"people", no_argument, NULL, 'p'},
        {"brief", no_argument, NULL, 'b'},       {NULL, 0, NULL, 0}};
    *o = (struct options){.hosts = 200, .days = 30, .seed = 1};
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        if (c == 'h')
            o->hosts = (unsigned)strtoul(optarg, NULL, 10);
        else if (c == 'd')
            o->days = (unsigned)strtoul(optarg, NULL, 10);
        else if (c == 's')
            o->seed = strtoull(optarg, NULL, 10);
        else if (c == 'l')
            o->list = true;
        else if (c == 'x')
            o->strict = true;
        else if (c == 'p')
            o->people = true;
        else if (c == 'b')
            o->brief = true;
        else if (c == 'c')
            o->check = optarg;
        else if (c == 'w')
            o->write = optarg;
        else
            return -1;
    }
    bool good =
        o->hosts >= HOSTS_LEAST && o->hosts <= HOSTS_MOST && o->days > LEARNING_DAYS && optind == argc;
    if (!good)
        fprintf(stderr, "office: %d to %d hosts, more than %d days\n", HOSTS_LEAST, HOSTS_MOST,
                LEARNING_DAYS);
    return good ? 0 : -1;
}

int main(int argc, char **argv)
{
    static struct result result;
    struct options o;
    struct buf table;
    if (read_options(argc, argv, &o) != 0)
        return 2;
    clock_t begun = clock();
    play_month(&o, &result);
    if (o.list)
        printf("%llu records, %llu refused, %llu forgotten, %.1f s\n",
               (unsigned long long)result.stats.records, (unsigned long long)result.stats.refused,
               (unsigned long long)result.stats.evicted, (double)(clock() - begun) / CLOCKS_PER_SEC);
    buf_init(&table, TEXT_BYTES_MAX);
    write_table(&o, &result, &table);
    must(buf_append(&table, "", 1) == 0);
    struct span text = span_of(buf_span(&table).data, buf_len(&table) - 1);
    int failed = o.check || o.write ? check_readme(&o, text) : 0;
    if (!o.check && !o.write)
        fwrite(text.data, 1, text.len, stdout);
    if (o.strict)
        failed |= check_strictly(&o, &result);
    buf_free(&table);
    return failed ? 1 : 0;
}
