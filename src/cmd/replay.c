/* replay.c: `exeat replay`: what another policy would have decided about what has been recorded, by sender and destination, and what it
 * could not know. The baseline is asked about decisions, the rules (replay_rules.c) about exchanges that are over. */
#include "cmd/recorded.h"
#include "cmd/replay.h"
#include "cmd/replay_rules.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/must.h"
#include "base/rfc3339.h"
#include "cmd/cmd.h"
#include "cmd/place.h"
#include "cmd/terminal.h"
#include "conf/file.h"
#include "rules/names.h"
#include "run/kinds_load.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { BASELINE_BYTES_MAX = 64 * 1024 * 1024, KEY_BYTES = 1024, SHOWN_MAX = 50, ARENA_BYTES_MAX = 256 << 20 };

static const char help[] =
    "usage: exeat replay --audit PATH [--policy FOLDER | --baseline FILE] [--json]\n"
    "\n"
    "Decides the past again: each decision in the records is put to a proposed baseline, each exchange's end "
    "to the rules of a proposed\n"
    "policy, and what would be different is listed by sender and destination. Records say less than a live "
    "sender: what could not be\n"
    "decided for certain is counted and said. Correlations count over the records' times; a rule that only "
    "an exchange's end can tell\n"
    "alerts, whatever its action. exeat rules explain tells what a rule made of one record.\n"
    "\n"
    "  -a, --audit PATH      the records: a file, or a folder of *.jsonl\n"
    "  -p, --policy FOLDER   its baseline.yaml is tried, and its rules/ with actions.yaml, "
    "placeholders.yaml and destinations.yaml where it has them\n"
    "                        (default: policy)\n"
    "  -b, --baseline FILE   this baseline is tried, and no rules\n"
    "  -j, --json            one JSON object: counts, every difference, and under \"rules\" every match\n"
    "  -h, --help            this text\n"
    "\n"
    "exit codes: 0 nothing would be different   1 something would   2 usage, or what can't be read\n"
    "example: exeat replay --audit /var/lib/exeat --baseline proposal.yaml\n";

enum outcome { SAME, NOW_BLOCKED, NOW_ALLOWED, OUTCOMES };

struct difference {
    enum outcome outcome;
    enum reason reason;
    uint64_t count;
    int64_t first_ms, last_ms;
};

struct replay {
    struct baseline *baseline;  /* owned */
    struct replay_rules *rules; /* owned; NULL: only the baseline is tried */
    struct arena arena;
    struct names keys;              /* "outcome\nsender\ndestination" */
    struct difference *differences; /* owned: by key */
    size_t room;
    uint64_t counts[OUTCOMES], without_hash, without_address;
    bool no_memory;
};

/* ---- deciding again ---- */

static struct verdict decide(const struct replay *p, const struct recorded *r, struct replay *counts)
{
    struct baseline_question q = {.sender = &r->sender,
                                  .proxy_user = r->proxy_user,
                                  .roles = r->roles,
                                  .role_count = r->role_count,
                                  .client = r->client,
                                  .host = &r->host,
                                  .port = r->port,
                                  .phase = BASELINE_CONNECT,
                                  .now_s = (int64_t)time(NULL)}; /* exceptions as they hold today */
    struct verdict v;
    baseline_decide(p->baseline, &q, &v);
    if (r->sender.hash_state != SENDER_HASH_DONE && baseline_needs_hash(p->baseline))
        counts->without_hash++;
    if (!v.needs_address || v.action == VERDICT_BLOCK)
        return v;
    if (!r->server.version) {
        counts->without_address++;
        return v;
    }
    q.phase = BASELINE_ADDRESS;
    q.address = r->server;
    q.asn = r->asn;
    baseline_decide(p->baseline, &q, &v);
    return v;
}

static struct difference *difference_of(struct replay *p, enum outcome outcome, const struct recorded *r)
{
    char key[KEY_BYTES];
    snprintf(key, sizeof key, "%d\n%.400s\n%s:%u", (int)outcome, recorded_who(r), r->host.name, r->port);
    uint32_t at = names_add(&p->keys, span_str(key));
    if (at == NAMES_NONE)
        return NULL;
    if (at >= p->room) {
        size_t room = 2 * p->room + 64;
        struct difference *more = realloc(p->differences, room * sizeof *more);
        if (!more)
            return NULL;
        memset(more + p->room, 0, (room - p->room) * sizeof *more);
        p->differences = more;
        p->room = room;
    }
    return &p->differences[at];
}

static int on_record(void *owner, const struct recorded *r)
{
    struct replay *p = owner;
    if (p->rules && replay_rules_ask(p->rules, r) != 0)
        return p->no_memory = true;
    if (r->kind != RECORDED_DECISION)
        return 0;
    struct verdict v = decide(p, r, p);
    bool blocked = v.action == VERDICT_BLOCK || v.would_block;
    enum outcome outcome = blocked == r->blocked ? SAME : blocked ? NOW_BLOCKED : NOW_ALLOWED;
    p->counts[outcome]++;
    if (outcome == SAME)
        return 0;
    struct difference *d = difference_of(p, outcome, r);
    if (!d) {
        p->no_memory = true;
        return 1;
    }
    if (d->count++ == 0)
        d->first_ms = r->time_ms;
    d->outcome = outcome;
    d->reason = v.reason;
    d->last_ms = r->time_ms > d->last_ms ? r->time_ms : d->last_ms;
    return 0;
}

/* ---- saying it ---- */

static const char *const outcome_names[OUTCOMES] = {"same", "blocked", "let out"};

static void print_difference(const struct replay *p, uint32_t i)
{
    const struct difference *d = &p->differences[i];
    const char *sender = p->keys.texts[i] + 2, *to = strchr(sender, '\n');
    char *who = strndup(sender, (size_t)(to - sender)), last[RFC3339_TEXT_BYTES];
    printf("%s%8" PRIu64 "x%s  ",
           terminal_colour(stdout, d->outcome == NOW_BLOCKED ? COLOUR_BAD : COLOUR_GOOD), d->count,
           terminal_colour(stdout, COLOUR_NONE));
    terminal_print(stdout, who ? who : "");
    fputs(" -> ", stdout);
    terminal_print(stdout, to + 1);
    printf("  (%s; last %s)\n", d->reason ? reason_table[d->reason].name : "allowed",
           rfc3339_format(d->last_ms / 1000, last));
    free(who);
}

static void print_text(const struct replay *p, const struct recorded_stats *s)
{
    printf("%" PRIu64 " decisions: %" PRIu64 " as they were, %" PRIu64 " blocked that were let out, %" PRIu64
           " let out that were blocked\n",
           p->counts[SAME] + p->counts[NOW_BLOCKED] + p->counts[NOW_ALLOWED], p->counts[SAME],
           p->counts[NOW_BLOCKED], p->counts[NOW_ALLOWED]);
    if (p->without_hash)
        printf("not known: the executable's hash in %" PRIu64
               ", which the baseline asks for: live it may let them out\n",
               p->without_hash);
    if (p->without_address)
        printf("not known: the address in %" PRIu64 ", which the baseline narrows by\n", p->without_address);
    if (s->unreadable)
        printf("skipped: %" PRIu64 " lines that are no records\n", s->unreadable);
    for (enum outcome o = NOW_BLOCKED; o < OUTCOMES; o++) {
        unsigned shown = 0;
        for (uint32_t i = 0; i < p->keys.count; i++) {
            if (p->differences[i].outcome != o)
                continue;
            if (shown++ == 0)
                printf("\nnow %s:\n", outcome_names[o]);
            if (shown <= SHOWN_MAX)
                print_difference(p, i);
        }
        if (shown > SHOWN_MAX)
            printf("  ... and %u more (--json has all)\n", shown - SHOWN_MAX);
    }
    if (p->rules)
        replay_rules_print(p->rules);
}

static void print_json(const struct replay *p, const struct recorded_stats *s)
{
    json_t *all = json_array();
    for (uint32_t i = 0; i < p->keys.count; i++) {
        const struct difference *d = &p->differences[i];
        const char *sender = p->keys.texts[i] + 2, *to = strchr(sender, '\n');
        json_array_append_new(all, json_pack("{s:s, s:s#, s:s, s:s, s:I, s:I, s:I}", "now",
                                             outcome_names[d->outcome], "sender", sender,
                                             (size_t)(to - sender), "destination", to + 1, "reason",
                                             d->reason ? reason_table[d->reason].name : "allowed", "count",
                                             (json_int_t)d->count, "first_ms", (json_int_t)d->first_ms,
                                             "last_ms", (json_int_t)d->last_ms));
    }
    json_t *o = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "same", (json_int_t)p->counts[SAME],
                          "now_blocked", (json_int_t)p->counts[NOW_BLOCKED], "now_allowed",
                          (json_int_t)p->counts[NOW_ALLOWED], "without_hash", (json_int_t)p->without_hash,
                          "without_address", (json_int_t)p->without_address, "unreadable",
                          (json_int_t)s->unreadable, "differences", all);
    if (p->rules)
        json_object_set_new(o, "rules", replay_rules_json(p->rules));
    json_dumpf(o, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(o);
}

/* ---- the command ---- */

static int replay(struct span text, const char *name, const char *destinations,
                  struct replay_rules *take_rules, const char *audit, bool json)
{
    struct replay p = {.rules = take_rules};
    struct recorded_stats stats;
    struct err err = {0};
    int code;
    arena_init(&p.arena, ARENA_BYTES_MAX);
    names_init(&p.keys, &p.arena);
    struct destinations *kinds = kinds_load_destinations_file(destinations, &err);
    p.baseline = kinds ? baseline_parse_with(text, name, kinds, &err) : NULL;
    destinations_free(kinds);
    if (!p.baseline || recorded_each(audit, on_record, &p, &stats, &err) < 0) {
        code = cmd_fail(&err, CMD_USAGE);
    } else if (p.no_memory) {
        err_set(&err, audit, 0, 0, "no memory for so many differences");
        code = cmd_fail(&err, CMD_USAGE);
    } else {
        (json ? print_json : print_text)(&p, &stats);
        code = p.keys.count > 0 || (p.rules && replay_rules_differ(p.rules)) ? CMD_FAILED : CMD_OK;
    }
    baseline_free(p.baseline);
    replay_rules_free(p.rules);
    names_free(&p.keys);
    arena_reset(&p.arena);
    free(p.differences);
    return code;
}

int replay_baseline(struct span text, const char *name, const char *destinations, const char *audit,
                    bool json)
{
    return replay(text, name, destinations, NULL, audit, json);
}

/* That of the folder, in ret; NULL: it has none. */
static const char *destinations_of(const char *policy, char ret[PLACE_PATH_BYTES])
{
    snprintf(ret, PLACE_PATH_BYTES, "%s/destinations.yaml", policy);
    return access(ret, F_OK) == 0 ? ret : NULL;
}

/* `policy` NULL: only the baseline. */
static int replay_files(const char *path, const char *policy, const char *audit, bool json)
{
    struct err err = {0};
    struct buf text;
    struct replay_rules *rules = NULL;
    char kinds[PLACE_PATH_BYTES];
    buf_init(&text, BASELINE_BYTES_MAX);
    int code = conf_file_read(path, false, &text, &err) == 0 &&
                       (!policy || replay_rules_open(policy, &rules, &err) == 0)
                   ? replay(buf_span(&text), path, policy ? destinations_of(policy, kinds) : NULL, rules,
                            audit, json)
                   : cmd_fail(&err, CMD_USAGE);
    buf_free(&text);
    return code;
}

int cmd_replay(int argc, char **argv)
{
    static const struct option options[] = {
        {"audit", required_argument, NULL, 'a'},    {"policy", required_argument, NULL, 'p'},
        {"baseline", required_argument, NULL, 'b'}, {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},           {NULL, 0, NULL, 0}};
    const char *audit = NULL, *policy = "policy", *baseline = NULL;
    char path[4096];
    bool json = false;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "a:p:b:jh", options, NULL)) != -1;) {
        if (c == 'h')
            return fputs(help, stdout), CMD_OK;
        if (c == '?')
            return cmd_bad_option("replay", argc, argv);
        if (c == 'a')
            audit = optarg;
        else if (c == 'p')
            policy = optarg;
        else if (c == 'b')
            baseline = optarg;
        json |= c == 'j';
    }
    if (!audit || optind < argc)
        return cmd_usage("replay", audit ? "unexpected: %s" : "--audit is needed", audit ? argv[optind] : "");
    snprintf(path, sizeof path, "%s/baseline.yaml", policy);
    return replay_files(baseline ? baseline : path, baseline ? NULL : policy, audit, json);
}
