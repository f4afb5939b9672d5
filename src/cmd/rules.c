/* rules.c: `exeat rules check` and `exeat rules fields`: do these rules load, when could they fire, and what can they ask about. */
#include "base/json.h"
#include "cmd/cmd.h"
#include "run/rules_load.h"
#include "rules/rulebook.h"

#include <getopt.h>
#include <stdlib.h>

enum { PHASES = FACT_CLOSE + 1, OUTPUT_BYTES_MAX = 256 * 1024 * 1024 };

static const char check_help[] =
    "usage: exeat rules check [--json] [--placeholders FILE] PATH...\n"
    "\n"
    "Reads Sigma rules, filters and correlations (specification 2.1) from files and folders (*.yml, *.yaml) "
    "and says of each\n"
    "document whether it loads:\n"
    "  ok PHASE FILE                       PHASE: the earliest at which it could be true\n"
    "  rejected FILE:LINE:COLUMN reason    the other rules load\n"
    "Phases: accept connect address hello chain request response relay close. A rule must be of a logsource "
    "that has a table\n"
    "(policy/sigma/), and ask only for fields that stand in it.\n"
    "\n"
    "  --json               one object "
    "{\"ok\":N,\"rejected\":[{\"file\",\"line\",\"column\",\"reason\"}],\"by_phase\":{}}\n"
    "  --placeholders FILE  values for the modifier expand: a mapping from names to lists of texts\n"
    "\n"
    "exit status: 0 all load, 1 some are rejected, 2 usage, or a path that can't be read\n"
    "\n"
    "examples:\n"
    "  exeat rules check policy/rules\n"
    "  exeat rules check --json rule.yml | jq .by_phase\n";

/* What was found out, for one way of printing or the other. */
struct summary {
    struct logsource *tables; /* view into the arena */
    enum fact_phase *phases;  /* owned: by entry */
    size_t ok, rejected, by_phase[PHASES];
};

static void summarize(struct rules_load *l, struct summary *s)
{
    for (size_t i = 0; i < l->count; i++) {
        const struct sigma_document *d = l->entries[i].document;
        if (d && d->kind == SIGMA_FILTER && !l->entries[i].err.text[0])
            s->phases[i] = logsource_phase(logsource_find(s->tables, &d->logsource), d->condition);
    }
    for (size_t i = 0; i < l->set->rule_count; i++)
        s->phases[l->set->rules[i].document->number] = rulebook_phase(l->set, s->tables, i);
    for (size_t i = 0; i < l->count; i++) {
        bool bad = l->entries[i].err.text[0];
        s->rejected += bad;
        s->ok += !bad;
        s->by_phase[s->phases[i]] += !bad;
    }
}

/* Documents whose fields nobody can answer are left out before anything is linked. */
static void check_logsources(struct rules_load *l, const struct summary *s)
{
    for (size_t i = 0; i < l->count; i++) {
        struct err err = {0};
        if (l->entries[i].document && !l->entries[i].err.text[0] &&
            logsource_check(s->tables, l->entries[i].document, &err) != 0)
            rules_load_reject(l, i, &err);
    }
}

static void print_json(const struct rules_load *l, const struct summary *s)
{
    struct buf text;
    struct json j;
    buf_init(&text, OUTPUT_BYTES_MAX);
    json_init(&j, &text);
    json_object(&j, NULL);
    json_int(&j, "ok", (int64_t)s->ok);
    json_array(&j, "rejected");
    for (size_t i = 0; i < l->count; i++) {
        const struct err *e = &l->entries[i].err;
        if (!e->text[0])
            continue;
        json_object(&j, NULL);
        json_str(&j, "file", e->file);
        json_int(&j, "line", e->line);
        json_int(&j, "column", e->column);
        json_str(&j, "reason", e->text);
        json_end_object(&j);
    }
    json_end_array(&j);
    json_object(&j, "by_phase");
    for (int p = 0; p < PHASES; p++)
        if (s->by_phase[p])
            json_int(&j, logsource_phase_name((enum fact_phase)p), (int64_t)s->by_phase[p]);
    json_end_object(&j);
    json_end_object(&j);
    buf_append(&text, "\n", 1);
    struct span all = buf_span(&text);
    if (all.data)
        fwrite(all.data, 1, all.len, stdout);
    buf_free(&text);
}

static void print_lines(const struct rules_load *l, const struct summary *s)
{
    for (size_t i = 0; i < l->count; i++) {
        const struct rules_entry *e = &l->entries[i];
        if (e->err.text[0])
            printf("rejected %s:%u:%u %s\n", e->err.file, e->err.line, e->err.column, e->err.text);
        else
            printf("ok %s %s\n", logsource_phase_name(s->phases[i]), e->document->place.file);
    }
    printf("%zu ok, %zu rejected", s->ok, s->rejected);
    const char *before = ": ";
    for (int p = 0; p < PHASES; p++) {
        if (s->by_phase[p])
            printf("%s%s %zu", before, logsource_phase_name((enum fact_phase)p), s->by_phase[p]);
        before = s->by_phase[p] ? ", " : before;
    }
    puts("");
}

static int check(struct rules_load *l, bool as_json)
{
    struct summary s = {0};
    struct err err = {0};
    s.tables = logsource_read_all(&l->arena, &err);
    if (!s.tables)
        return cmd_fail(&err, CMD_USAGE);
    check_logsources(l, &s);
    if (rules_load_finish(l, &err) != 0)
        return cmd_fail(&err, CMD_USAGE);
    s.phases = calloc(l->count + 1, sizeof *s.phases);
    if (!s.phases)
        return CMD_USAGE;
    summarize(l, &s);
    if (as_json)
        print_json(l, &s);
    else
        print_lines(l, &s);
    free(s.phases);
    if (fflush(stdout) != 0)
        return CMD_USAGE;
    return s.rejected ? CMD_FAILED : CMD_OK;
}

int cmd_rules_check(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"placeholders", required_argument, NULL, 'p'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    bool as_json = false;
    const char *placeholders = NULL;
    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (c == 'h')
            return fputs(check_help, stdout) < 0 ? CMD_USAGE : CMD_OK;
        if (c == '?')
            return cmd_bad_option("rules check", argc, argv);
        as_json = as_json || c == 'j';
        placeholders = c == 'p' ? optarg : placeholders;
    }
    if (optind == argc)
        return cmd_usage("rules check", "a file or folder of rules is expected");
    struct rules_load l;
    struct err err = {0};
    rules_load_init(&l);
    int result = placeholders ? rules_load_placeholders(&l, placeholders, &err) : 0;
    for (int i = optind; i < argc && result == 0; i++)
        result = rules_load_path(&l, argv[i], &err);
    result = result == 0 ? check(&l, as_json) : cmd_fail(&err, CMD_USAGE);
    rules_load_free(&l);
    return result;
}

static const char fields_help[] = "usage: exeat rules fields\n"
                                  "\n"
                                  "Prints the facts that rules are decided by, one a line, in columns: its "
                                  "name, its type, the phase in which it becomes known,\n"
                                  "how it moves (final; rising: until the close only gt and gte can be "
                                  "answered; running), Sigma's names for it, and what\n"
                                  "it is. Which of Sigma's fields a logsource has says policy/sigma/.\n"
                                  "\n"
                                  "examples:\n"
                                  "  exeat rules fields | grep -w hello\n";

int cmd_rules_fields(int argc, char **argv)
{
    static const char *const types[] = {"bool", "int", "string", "strings", "ip", "json"};
    static const char *const moves[] = {"final", "rising", "running"};
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
        return fputs(fields_help, stdout) < 0 ? CMD_USAGE : CMD_OK;
    if (argc > 1)
        return cmd_usage("rules fields", "%s: not understood", argv[1]);
    for (int i = 0; i < FACT_COUNT; i++) {
        const struct fact_row *f = &fact_table[i];
        printf("%-28s %-8s %-9s %-8s %-44s %s\n", f->name, types[f->type], logsource_phase_name(f->phase),
               moves[f->moves], f->sigma[0] ? f->sigma : "-", f->doc);
    }
    return fflush(stdout) == 0 ? CMD_OK : CMD_FAILED;
}
