/* findings.c: `exeat findings list|show`: what rules have found, read from the history's database while exeatd may be writing it. */
#include "cmd/findings.h"

#include "base/json.h"
#include "base/must.h"
#include "base/rfc3339.h"
#include "cmd/cmd.h"
#include "cmd/place.h"
#include "cmd/terminal.h"
#include "store/store.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { OUTPUT_BYTES_MAX = 256 * 1024 * 1024 };

static const char list_help[] =
    "usage: exeat findings list [--all] [--json] [--state DIR | --config FILE]\n"
    "\n"
    "Lists findings, the latest first: a rule that was true of a sender on a host toward a domain, how "
    "often, "
    "since when.\n"
    "\n"
    "  -a, --all           closed and suppressed ones too\n"
    "  -j, --json          one JSON object a line, all there is about each\n"
    "  -s, --state DIR     of the proxy with this state folder (default as for exeat run, then /etc/exeat)\n"
    "  -c, --config FILE   of the proxy with this configuration\n"
    "  -h, --help          this text\n"
    "\n"
    "exit codes: 0 done   1 the history can't be read   2 wrong configuration or usage\n"
    "example: exeat findings list --json | jq -r 'select(.severity >= 4) | .uid'\n";

static const char show_help[] =
    "usage: exeat findings show [--json] [--state DIR | --config FILE] ID\n"
    "\n"
    "Shows one finding: what it is about, why it weighs what it weighs, and the ids of up to 20 exchanges, "
    "which lead to the "
    "records.\n"
    "ID may be its beginning.\n"
    "\n"
    "  -j, --json          as one JSON object\n"
    "  -s, --state DIR     as for exeat findings list\n"
    "  -c, --config FILE\n"
    "  -h, --help          this text\n"
    "\n"
    "exit codes: 0 done   1 there is no such finding, or several   2 wrong configuration or usage\n"
    "example: exeat findings show 5a0d41\n";

/* ---- reading ---- */

struct reading {
    struct findings_list *list;
    bool no_memory;
};

static void on_row(void *owner, const struct store_sighting *row)
{
    struct reading *r = owner;
    struct findings_list *l = r->list;
    struct finding *more = realloc(l->items, (l->count + 1) * sizeof *more);
    if (!more) {
        r->no_memory = true;
        return;
    }
    l->items = more;
    if (finding_read(row->state, &l->items[l->count]) == PARSE_OK)
        l->count++;
}

static int latest_first(const void *a, const void *b)
{
    int64_t x = ((const struct finding *)a)->last_ms, y = ((const struct finding *)b)->last_ms;
    return x < y ? 1 : x > y ? -1 : 0;
}

int findings_list_read(const struct conf *conf, struct findings_list *ret, struct err *reterr)
{
    struct reading r = {.list = ret};
    *ret = (struct findings_list){0};
    struct store *s = store_open_to_read(conf->history.database, reterr);
    if (!s)
        return -1;
    int result = store_each_sighting(s, FINDING_STORE_KIND, on_row, &r);
    store_close(s, 0);
    if (result != 0 || r.no_memory) {
        findings_list_free(ret);
        return err_set(reterr, conf->history.database, 0, 0, "not all findings can be read");
    }
    if (ret->count > 0)
        qsort(ret->items, ret->count, sizeof *ret->items, latest_first);
    return 0;
}

void findings_list_free(struct findings_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        finding_clear(&l->items[i]);
    free(l->items);
    *l = (struct findings_list){0};
}

const struct finding *findings_list_find(const struct findings_list *l, const char *id, struct err *reterr)
{
    const struct finding *found = NULL;
    for (size_t i = 0; i < l->count; i++) {
        if (strncmp(l->items[i].uid, id, strlen(id)) != 0)
            continue;
        if (found)
            return err_set(reterr, NULL, 0, 0, "several findings begin with %s", id), NULL;
        found = &l->items[i];
    }
    if (!found)
        err_set(reterr, NULL, 0, 0, "there is no finding %s; exeat findings list --all shows all", id);
    return found;
}

/* ---- printing ---- */

static int print_json(const struct finding *f)
{
    struct buf text;
    buf_init(&text, OUTPUT_BYTES_MAX);
    int result = finding_write(&text, f);
    if (result == 0)
        printf("%.*s\n", (int)buf_len(&text), (const char *)buf_span(&text).data);
    buf_free(&text);
    return result;
}

static const char *colour_of(const struct finding *f)
{
    return terminal_colour(stdout, f->severity >= SEVERITY_HIGH     ? COLOUR_BAD
                                   : f->severity == SEVERITY_MEDIUM ? COLOUR_WARN
                                                                    : COLOUR_DIM);
}

static void print_line(const struct finding *f)
{
    char last[RFC3339_TEXT_BYTES];
    printf("%s  %s%-13s%s  %-11s  %6" PRIu64 "x  %s  ", f->uid, colour_of(f),
           finding_severity_name(f->severity), terminal_colour(stdout, COLOUR_NONE),
           finding_status_name(f->status), f->count, rfc3339_format(f->last_ms / 1000, last));
    terminal_print(stdout, f->title);
    fputs("\n    ", stdout);
    terminal_print(stdout, f->sender);
    fputs(" on ", stdout);
    terminal_print(stdout, f->host);
    fputs(" -> ", stdout);
    terminal_print(stdout, f->domain);
    puts(f->blocked ? "  (blocked)" : f->would_block ? "  (would be blocked)" : "");
}

static void print_row(const char *label, const char *text)
{
    if (!text[0])
        return;
    printf("%s%-14s%s", terminal_colour(stdout, COLOUR_DIM), label, terminal_colour(stdout, COLOUR_NONE));
    terminal_print(stdout, text);
    putchar('\n');
}

/* What the agent said when it was asked to keep what the lineage did. */
static void print_kept(const struct finding *f)
{
    char until[RFC3339_TEXT_BYTES], text[128];
    if (f->kept_until_ms > 0)
        snprintf(text, sizeof text, "kept by the agent until %s",
                 rfc3339_format(f->kept_until_ms / 1000, until));
    else
        snprintf(text, sizeof text, "not kept by the agent: %s", f->kept);
    if (f->kept[0])
        print_row("history", text);
    else if (f->history)
        print_row("history", "frozen here; the agent was not asked to keep it, or did not answer");
}

static void print_whole(const struct finding *f)
{
    char first[RFC3339_TEXT_BYTES], last[RFC3339_TEXT_BYTES], text[512];
    print_row("finding", f->uid);
    print_row("what", f->title);
    snprintf(text, sizeof text, "%s%s%s", f->rule, f->analytic[0] ? ", " : "", f->analytic);
    print_row("rule", text);
    for (unsigned i = 0; i < f->attack_count; i++)
        print_row(i ? "" : "ATT&CK", f->attacks[i]);
    print_row("sender", f->sender);
    print_row("sha256", f->sha256);
    print_row("user", f->user);
    print_row("host", f->host);
    print_row("destination", f->domain);
    snprintf(text, sizeof text, "%s: rule %s, attribution %s%s%s", finding_severity_name(f->severity),
             finding_severity_name(f->level), f->confidence, f->corroborating[0] ? ", with " : "",
             f->corroborating);
    print_row("severity", text);
    if (f->not_observed[0])
        print_row("not observed", f->not_observed);
    snprintf(text, sizeof text, "%s%s%s%s", finding_status_name(f->status), f->by[0] ? ", " : "", f->by,
             f->test ? ", a test" : "");
    print_row("status", text);
    print_row("done", f->blocked       ? "blocked"
                      : f->would_block ? "would have been blocked"
                                       : "let out, alerted");
    snprintf(text, sizeof text, "%" PRIu64 ", from %s to %s", f->count,
             rfc3339_format(f->first_ms / 1000, first), rfc3339_format(f->last_ms / 1000, last));
    print_row("matches", text);
    print_kept(f);
    for (unsigned i = 0; i < f->record_count; i++)
        print_row(i ? "" : "records", f->records[i]);
}

/* ---- the commands ---- */

/* false: that was all, and *ret_code is the exit code: help was asked for, or the usage is wrong. */
static bool read_arguments(int argc, char **argv, const struct findings_command *command,
                           struct findings_arguments *ret, int *ret_code)
{
    static const struct option options[] = {
        {"all", no_argument, NULL, 'a'},          {"json", no_argument, NULL, 'j'},
        {"state", required_argument, NULL, 's'},  {"config", required_argument, NULL, 'c'},
        {"by", required_argument, NULL, 'b'},     {"owner", required_argument, NULL, 'o'},
        {"ticket", required_argument, NULL, 't'}, {"expires", required_argument, NULL, 'e'},
        {"reason", required_argument, NULL, 'r'}, {"out", required_argument, NULL, 'O'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
    *ret = (struct findings_arguments){0};
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "ajs:c:O:h", options, NULL)) != -1;) {
        const char **to = c == 's'   ? &ret->state
                          : c == 'c' ? &ret->config
                          : c == 'b' ? &ret->by
                          : c == 'o' ? &ret->owner
                          : c == 't' ? &ret->ticket
                          : c == 'e' ? &ret->expires
                          : c == 'r' ? &ret->reason
                          : c == 'O' ? &ret->out
                                     : NULL;
        if (c == 'h')
            return fputs(command->help, stdout), *ret_code = CMD_OK, false;
        if (c == '?')
            return *ret_code = cmd_bad_option(command->words, argc, argv), false;
        if (!strchr("sc", c) && !strchr(command->options, c))
            return *ret_code = cmd_usage(command->words, "unknown option: %s",
                                         argv[optind - (to && optarg == argv[optind - 1] ? 2 : 1)]),
                   false;
        if (to)
            *to = optarg;
        ret->all |= c == 'a';
        ret->json |= c == 'j';
    }
    if (!command->wants_id && optind < argc)
        return *ret_code = cmd_usage(command->words, "unexpected: %s", argv[optind]), false;
    if (optind + command->wants_id != argc)
        return *ret_code = cmd_usage(command->words, "one ID is expected"), false;
    ret->id = argv[optind];
    return true;
}

int findings_run(int argc, char **argv, const struct findings_command *c)
{
    char path[PLACE_PATH_BYTES];
    struct findings_arguments a;
    struct err err = {0};
    int code = CMD_USAGE;
    if (!read_arguments(argc, argv, c, &a, &code))
        return code;
    struct conf *conf = conf_load(place_config(a.config, a.state, path), &err);
    if (!conf)
        return cmd_fail(&err, CMD_USAGE);
    code = c->run(conf, &a, &err);
    conf_free(conf);
    return code < 0 ? cmd_fail(&err, CMD_FAILED) : code;
}

static int list(const struct conf *conf, const struct findings_arguments *a, struct err *reterr)
{
    struct findings_list l;
    if (findings_list_read(conf, &l, reterr) != 0)
        return -1;
    for (size_t i = 0; i < l.count; i++) {
        const struct finding *f = &l.items[i];
        if (!a->all && (f->status == FINDING_RESOLVED || f->status == FINDING_SUPPRESSED))
            continue;
        if (a->json)
            print_json(f);
        else
            print_line(f);
    }
    findings_list_free(&l);
    return CMD_OK;
}

int cmd_findings_list(int argc, char **argv)
{
    static const struct findings_command command = {"findings list", list_help, "aj", false, list};
    return findings_run(argc, argv, &command);
}

static int show(const struct conf *conf, const struct findings_arguments *a, struct err *reterr)
{
    struct findings_list l;
    if (findings_list_read(conf, &l, reterr) != 0)
        return -1;
    const struct finding *f = findings_list_find(&l, a->id, reterr);
    if (f && a->json)
        print_json(f);
    else if (f)
        print_whole(f);
    findings_list_free(&l);
    return f ? CMD_OK : -1;
}

int cmd_findings_show(int argc, char **argv)
{
    static const struct findings_command command = {"findings show", show_help, "j", true, show};
    return findings_run(argc, argv, &command);
}
