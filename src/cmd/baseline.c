/* baseline.c: `exeat baseline learn|show|expire`: which sender reached which destination, learned from the records into a database of its own
 * (learned.db in the state folder). */
#include "cmd/baseline.h"

#include "base/must.h"
#include "base/rfc3339.h"
#include "base/yaml.h"
#include "cmd/cmd.h"
#include "cmd/place.h"
#include "cmd/recorded.h"
#include "cmd/terminal.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

static const char learn_help[] =
    "usage: exeat baseline learn [--audit PATH] [--days N] [--state DIR | --config FILE]\n"
    "\n"
    "Learns which sender reached which destination from records: exchanges that were let out and came to a "
    "good end, those since the last\n"
    "time. Nothing is approved by that: exeat baseline propose makes entries of it, which somebody reviews.\n"
    "What was not seen for N days before the newest record is forgotten.\n"
    "\n"
    "  -a, --audit PATH    the records: a file, or a folder of *.jsonl (default: of the "
    "configuration)\n"
    "      --days N        default 90\n" BASELINE_PLACES "\n"
    "exit codes: 0 done   1 the records or the database can't be used   2 wrong configuration or usage\n"
    "example: exeat baseline learn && exeat baseline propose > proposal.yaml\n";

static const char show_help[] =
    "usage: exeat baseline show [--json] [--state DIR | --config FILE]\n"
    "\n"
    "Lists the baseline's exceptions, notes about entries that hold for less than they may seem to, and what "
    "was learned: sender,\n"
    "destination, how often, on how many hosts, since when.\n"
    "\n"
    "  -j, --json          one JSON object a line: pairs, which have a host; exceptions, which have a "
    "ticket;\n"
    "                      notes, which have a note\n" BASELINE_PLACES "\n"
    "exit codes: 0 done   1 the database can't be used   2 wrong configuration or usage\n"
    "example: exeat baseline show --json | jq -r 'select(.hosts > 1) | .host'\n";

static const char expire_help[] =
    "usage: exeat baseline expire [--days N] [--state DIR | --config FILE]\n"
    "\n"
    "Forgets what was learned and not seen again for N days, and says which of the baseline's exceptions "
    "have\n"
    "ended: they let nothing out any more, and are to be taken out. Entries of the baseline that nobody uses "
    "are\n"
    "listed by exeat baseline diff.\n"
    "\n"
    "      --days N        default 90\n" BASELINE_PLACES "\n"
    "exit codes: 0 done   1 the database can't be used   2 wrong configuration or usage\n"
    "example: exeat baseline expire --days 60\n";

/* ---- shared ---- */

int baseline_arguments(int argc, char **argv, const char *words, const char *help,
                       struct baseline_arguments *ret)
{
    static const struct option options[] = {{"audit", required_argument, NULL, 'a'},
                                            {"state", required_argument, NULL, 's'},
                                            {"config", required_argument, NULL, 'c'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"days", required_argument, NULL, 'd'},
                                            {"hosts", required_argument, NULL, 'H'},
                                            {"count", required_argument, NULL, 'C'},
                                            {"subdomains", required_argument, NULL, 'S'},
                                            {"owner", required_argument, NULL, 'o'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    bool all = strcmp(words, "baseline diff") == 0; /* drift is shown whole, what is proposed is chosen */
    *ret =
        (struct baseline_arguments){.days = 90, .hosts = all ? 1 : 2, .count = all ? 1 : 3, .subdomains = 5};
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "a:s:c:jh", options, NULL)) != -1;) {
        unsigned *number = c == 'd'   ? &ret->days
                           : c == 'H' ? &ret->hosts
                           : c == 'C' ? &ret->count
                           : c == 'S' ? &ret->subdomains
                                      : NULL;
        const char **text = c == 'a'   ? &ret->audit
                            : c == 's' ? &ret->state
                            : c == 'c' ? &ret->config
                            : c == 'o' ? &ret->owner
                                       : NULL;
        char *end = NULL;
        if (c == 'h')
            return fputs(help, stdout), CMD_OK;
        if (c == '?')
            return cmd_bad_option(words, argc, argv);
        if (text)
            *text = optarg;
        if (number) {
            unsigned long value = strtoul(optarg, &end, 10);
            if (*end || end == optarg || optarg[0] == '-' || value < 1 || value > 1000000)
                return cmd_usage(words, "a number from 1 to 1000000 is expected: %s", optarg);
            *number = (unsigned)value;
        }
        ret->json |= c == 'j';
    }
    ret->rest = argv + optind;
    ret->rest_count = argc - optind;
    return -1;
}

int baseline_open(const struct baseline_arguments *a, struct conf **ret_conf, struct learned **ret_learned,
                  struct err *reterr)
{
    char path[PLACE_PATH_BYTES], database[PLACE_PATH_BYTES];
    struct conf *conf = conf_load(place_config(a->config, a->state, path), reterr);
    if (!conf)
        return CMD_USAGE;
    struct learned *l = NULL;
    if (snprintf(database, sizeof database, "%s/learned.db", conf->process.state_folder) <
        (int)sizeof database)
        l = learned_open(database, reterr);
    if (!l) {
        conf_free(conf);
        return CMD_FAILED;
    }
    *ret_conf = conf;
    *ret_learned = l;
    return CMD_OK;
}

/* ---- learn ---- */

enum { DAY_MS = 86400000 };

struct learning {
    struct learned *learned;
    int64_t since_ms, until_ms;
    uint64_t noted;
    struct err err;
};

static void copy(char *ret, size_t size, const char *text)
{
    snprintf(ret, size, "%s", text ? text : "");
}

const char *baseline_program(const char *stable, const char *executable, char ret[BASELINE_PROGRAM_BYTES])
{
    bool own = strncmp(stable, "package ", 8) == 0 || strncmp(stable, "path ", 5) == 0;
    snprintf(ret, BASELINE_PROGRAM_BYTES, "%s%.500s", own ? "" : "file ", own ? stable : executable);
    return ret;
}

/* Whatever came of it: what is refused because its hash is another is just what should be told. */
static int note_hash(struct learning *g, const struct recorded *r)
{
    char program[BASELINE_PROGRAM_BYTES];
    const struct sender_view *s = &r->sender;
    if (!s->sha256 || strlen(s->sha256) != 64 || !s->executable || s->confidence != AGENT_CONFIDENCE_EXACT)
        return 0;
    return learned_note_hash(g->learned, baseline_program(r->stable, s->executable, program), s->sha256,
                             r->time_ms, &g->err);
}

static int on_record(void *owner, const struct recorded *r)
{
    struct learning *g = owner;
    struct learned_pair p = {.port = r->port,
                             .first_ms = r->time_ms,
                             .last_ms = r->time_ms,
                             .bytes_out = r->bytes_out,
                             .count = 1};
    if (r->kind != RECORDED_CLOSE || r->time_ms <= g->since_ms)
        return 0;
    g->until_ms = r->time_ms > g->until_ms ? r->time_ms : g->until_ms;
    if (note_hash(g, r) != 0)
        return -1;
    if (r->blocked || !r->completed || !r->stable[0])
        return 0;
    copy(p.sender, sizeof p.sender, r->stable);
    copy(p.executable, sizeof p.executable, r->sender.executable);
    copy(p.package, sizeof p.package, r->sender.package);
    copy(p.unit, sizeof p.unit, r->sender.unit);
    copy(p.user, sizeof p.user, r->sender.user);
    copy(p.script, sizeof p.script, r->sender.script);
    copy(p.sha256, sizeof p.sha256, r->sender.sha256);
    copy(p.script_sha256, sizeof p.script_sha256, r->sender.script_sha256);
    copy(p.host, sizeof p.host, r->host.name);
    p.interpreter = r->sender.interpreter;
    p.writable = r->sender.writable_by_user;
    p.script_writable = r->sender.script_writable;
    p.inexact = r->sender.confidence != AGENT_CONFIDENCE_EXACT;
    p.borrowed = r->sender.borrowed != 0;
    p.anomalies = r->has_anomalies;
    p.rules = r->rules > 0;
    p.beacon = r->beacon;
    g->noted++;
    return learned_note(g->learned, &p, r->on_host, &g->err);
}

static int learn(struct learned *l, const char *audit, unsigned days, struct err *reterr)
{
    struct learning g = {.learned = l, .since_ms = learned_until(l, audit)};
    struct recorded_stats stats;
    if (learned_begin(l, reterr) != 0)
        return -1;
    int result = recorded_each(audit, on_record, &g, &stats, reterr);
    if (result != 0 && g.err.text[0])
        *reterr = g.err;
    if (result != 0 || (g.until_ms && learned_set_until(l, audit, g.until_ms, reterr) != 0))
        return -1;
    /* by the records' own time: whoever learns from old ones doesn't forget them at once */
    int64_t gone = g.until_ms ? learned_expire(l, g.until_ms - (int64_t)days * DAY_MS, reterr) : 0;
    if (gone < 0 || learned_end(l, reterr) != 0)
        return -1;
    printf("learned from %" PRIu64 " exchanges; %" PRIu64 " lines read, %" PRIu64 " of them no records\n",
           g.noted, stats.lines, stats.unreadable);
    if (gone > 0)
        printf("%" PRId64 " pairs forgotten: not seen for %u days\n", gone, days);
    return 0;
}

int cmd_baseline_learn(int argc, char **argv)
{
    struct baseline_arguments a;
    struct conf *conf;
    struct learned *l;
    struct err err = {0};
    int code = baseline_arguments(argc, argv, "baseline learn", learn_help, &a);
    if (code >= 0)
        return code;
    if (a.rest_count > 0)
        return cmd_usage("baseline learn", "unexpected: %s", a.rest[0]);
    code = baseline_open(&a, &conf, &l, &err);
    if (code != CMD_OK)
        return cmd_fail(&err, code);
    if (learn(l, a.audit ? a.audit : conf->audit.file, a.days, &err) != 0)
        code = cmd_fail(&err, CMD_FAILED);
    learned_close(l);
    conf_free(conf);
    return code;
}

/* ---- show ---- */

static void show_exception(const struct baseline_exception *e, const char *file, int64_t now_s)
{
    char until[RFC3339_TEXT_BYTES];
    printf("%s %s  ",
           now_s >= e->expires_s  ? "exception, ended "
           : now_s < e->granted_s ? "exception, not begun, until"
                                  : "exception until",
           rfc3339_format(e->expires_s, until));
    terminal_print(stdout, e->name);
    fputs("  ", stdout);
    terminal_print(stdout, e->ticket ? e->ticket : "pki");
    fputs(", ", stdout);
    terminal_print(stdout, e->owner);
    fputs(": ", stdout);
    terminal_print(stdout, e->reason);
    printf("  (%s:%u)\n", file, e->line);
}

static void show_exception_json(const struct baseline_exception *e, int64_t now_s)
{
    char from[RFC3339_TEXT_BYTES], until[RFC3339_TEXT_BYTES];
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:i}", "exception", e->name, "owner", e->owner,
                          "ticket", e->ticket ? e->ticket : "pki", "reason", e->reason, "granted",
                          rfc3339_format(e->granted_s, from), "expires", rfc3339_format(e->expires_s, until),
                          "expired", now_s >= e->expires_s, "line", (int)e->line);
    if (!o)
        return;
    json_dumpf(o, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(o);
}

/* What of the baseline holds for less than it may seem to. */
static void show_hints(const struct conf *conf, const struct baseline *b, bool as_json)
{
    struct baseline_hint h;
    for (size_t cursor = 0; b && baseline_next_hint(b, &cursor, &h);) {
        json_t *o = as_json
                        ? json_pack("{s:s, s:s, s:i}", "note", h.text, "sender", h.name, "line", (int)h.line)
                        : NULL;
        if (o)
            json_dumpf(o, stdout, JSON_COMPACT), putchar('\n');
        else if (!as_json)
            printf("%s:%u: note: \"%s\" %s\n", conf->policy.baseline, h.line, h.name, h.text);
        json_decref(o);
    }
}

/* Those that have ended, or all. -1 with reterr: the baseline cannot be read. */
static int show_exceptions(const struct conf *conf, bool as_json, bool ended_only, struct err *reterr)
{
    struct baseline_exception e;
    struct buf text;
    struct baseline *b = NULL;
    int64_t now_s = (int64_t)time(NULL);
    buf_init(&text, YAML_BYTES_MAX);
    int result = baseline_read(conf, &text, &b, reterr);
    for (size_t cursor = 0; b && baseline_next_exception(b, &cursor, &e);) {
        if (ended_only && now_s < e.expires_s)
            continue;
        if (as_json)
            show_exception_json(&e, now_s);
        else
            show_exception(&e, conf->policy.baseline, now_s);
    }
    if (!ended_only)
        show_hints(conf, b, as_json);
    baseline_free(b);
    buf_free(&text);
    return result;
}

static int show_line(void *owner, const struct learned_pair *p)
{
    char last[RFC3339_TEXT_BYTES];
    (void)owner;
    printf("%8" PRIu64 "x  %3u hosts  %s  ", p->count, p->hosts, rfc3339_format(p->last_ms / 1000, last));
    terminal_print(stdout, p->sender);
    fputs(" -> ", stdout);
    terminal_print(stdout, p->host);
    printf(":%u\n", p->port);
    return 0;
}

static int show_json(void *owner, const struct learned_pair *p)
{
    (void)owner;
    json_t *o = json_pack("{s:s, s:s, s:i, s:I, s:i, s:i, s:I, s:I, s:I, s:s, s:s, s:f}", "sender", p->sender,
                          "host", p->host, "port", (int)p->port, "count", (json_int_t)p->count, "hosts",
                          (int)p->hosts, "users", (int)p->users, "first_ms", (json_int_t)p->first_ms,
                          "last_ms", (json_int_t)p->last_ms, "bytes_out", (json_int_t)p->bytes_out, "package",
                          p->package, "executable", p->executable, "beacon", p->beacon);
    if (!o)
        return 0; /* bytes that are no UTF-8 cannot come out of a record */
    json_dumpf(o, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(o);
    return 0;
}

int cmd_baseline_show(int argc, char **argv)
{
    struct baseline_arguments a;
    struct conf *conf;
    struct learned *l;
    struct err err = {0};
    int code = baseline_arguments(argc, argv, "baseline show", show_help, &a);
    if (code >= 0)
        return code;
    code = baseline_open(&a, &conf, &l, &err);
    if (code != CMD_OK)
        return cmd_fail(&err, code);
    if (show_exceptions(conf, a.json, false, &err) < 0)
        code = cmd_fail(&err, CMD_USAGE);
    else if (learned_each(l, a.json ? show_json : show_line, NULL, &err) != 0)
        code = cmd_fail(&err, CMD_FAILED);
    learned_close(l);
    conf_free(conf);
    return code;
}

/* ---- expire ---- */

int cmd_baseline_expire(int argc, char **argv)
{
    struct baseline_arguments a;
    struct conf *conf;
    struct learned *l;
    struct err err = {0};
    int code = baseline_arguments(argc, argv, "baseline expire", expire_help, &a);
    if (code >= 0)
        return code;
    code = baseline_open(&a, &conf, &l, &err);
    if (code != CMD_OK)
        return cmd_fail(&err, code);
    int64_t gone = learned_expire(l, ((int64_t)time(NULL) - (int64_t)a.days * 86400) * 1000, &err);
    if (gone < 0)
        code = cmd_fail(&err, CMD_FAILED);
    else if (printf("%" PRId64 " pairs forgotten\n", gone) >= 0 &&
             show_exceptions(conf, false, true, &err) < 0)
        code = cmd_fail(&err, CMD_USAGE);
    learned_close(l);
    conf_free(conf);
    return code;
}
