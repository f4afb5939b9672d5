/* rules_explain.c: `exeat rules explain`: a rule, a record, and what each part of the one was worth for the other. Facts are read back from the
 * record by the same table that wrote them; what records don't hold stays unknown and is said to be. */
#include <jansson.h>

#include "base/buf.h"
#include "base/json.h"
#include "cmd/cmd.h"
#include "cmd/place.h"
#include "cmd/recorded_facts.h"
#include "conf/conf.h"
#include "rules/evaluate.h"
#include "run/rules_load.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <unistd.h>

enum { LINE_BYTES_MAX = 1 << 20, SHOWN_BYTES_MAX = 120 };

static const char help[] =
    "usage: exeat rules explain RULE --record ID [--audit FILE] [--config FILE] [--placeholders FILE]\n"
    "\n"
    "Says what each part of a Sigma rule was worth in one exchange: true, false, or unknown, with the facts "
    "it looked\n"
    "at. RULE is a rule's file, or the id, name or title of one that the configuration loads. ID stands in "
    "refusals, in\n"
    "`exeat status` and in records (metadata.correlation_uid). What is true at the end is shown; which phase "
    "a rule came\n"
    "true in says the record itself (unmapped.rules). Facts that records don't hold (cookies, and queries "
    "unless\n"
    "audit.include_query) are unknown here.\n"
    "\n"
    "  --record ID          the exchange\n"
    "  --audit FILE         the records; by default those of the configuration\n"
    "  --config FILE        the configuration; by default as for `exeat status`\n"
    "  --placeholders FILE  values for the modifier expand\n"
    "\n"
    "exit status: 0 explained, 1 no such rule or record, 2 usage, or a file that can't be read\n"
    "\n"
    "examples:\n"
    "  exeat rules explain rule.yml --record 5f3a9c0d11223344-0-1f\n";

struct explain {
    const char *rule, *record, *audit, *config, *placeholders; /* borrowed */
    struct conf *conf;                                         /* owned; NULL when not needed */
    struct rules_load load;
    struct rulebook *book;       /* owned */
    struct evaluator *evaluator; /* owned */
    struct evaluation evaluation;
    struct recorded_facts past;
    json_t *json; /* owned: the record */
};

/* ---- the record ---- */

static bool is_wanted(const json_t *record, const char *id)
{
    const char *own = json_string_value(recorded_find(record, "metadata.correlation_uid")),
               *uid = json_string_value(recorded_find(record, "metadata.uid"));
    return (own && strcmp(own, id) == 0) || (uid && strcmp(uid, id) == 0);
}

/* The exchange's close record, else its decision. -1 fills reterr. */
static int find_record(struct explain *e, const char *path, struct err *reterr)
{
    FILE *f = fopen(path, "re");
    char *line = f ? malloc(LINE_BYTES_MAX) : NULL;
    json_error_t error;
    if (!line) {
        err_set(reterr, path, 0, 0, "%s", strerror(errno));
        if (f)
            fclose(f);
        return -1;
    }
    while (!(e->json && recorded_is_close(e->json)) && fgets(line, LINE_BYTES_MAX, f)) {
        json_t *one = strstr(line, e->record) ? json_loads(line, 0, &error) : NULL;
        if (one && is_wanted(one, e->record)) {
            json_decref(e->json);
            e->json = one;
        } else {
            json_decref(one);
        }
    }
    free(line);
    fclose(f);
    return e->json ? 0 : err_set(reterr, path, 0, 0, "there is no record %.100s", e->record);
}

/* ---- the rule ---- */

static bool is_named(const struct sigma_document *d, const char *name)
{
    return (d->id && strcmp(d->id, name) == 0) || (d->name && strcmp(d->name, name) == 0) ||
           strcmp(d->title, name) == 0;
}

static bool has_rule_named(const struct explain *e)
{
    for (size_t i = 0; i < e->load.count; i++)
        if (e->load.entries[i].document && is_named(e->load.entries[i].document, e->rule))
            return true;
    return false;
}

static int load_rules(struct explain *e, struct err *reterr)
{
    struct rules_load *l = &e->load;
    bool is_file = access(e->rule, R_OK) == 0;
    const char *placeholders = e->placeholders ? e->placeholders
                               : e->conf       ? e->conf->policy.placeholders
                                               : NULL;
    if (placeholders && rules_load_placeholders(l, placeholders, reterr) != 0)
        return -1;
    if (is_file && rules_load_path(l, e->rule, reterr) != 0)
        return -1;
    for (size_t i = 0; !is_file && e->conf && i < e->conf->policy.rules.count; i++)
        if (rules_load_path(l, e->conf->policy.rules.items[i], reterr) != 0)
            return -1;
    if (!is_file && !has_rule_named(e))
        return err_set(reterr, NULL, 0, 0, "%.200s is no file, and no rule of the configuration", e->rule);
    if (rules_load_tables(l, reterr) != 0 || rules_load_finish(l, reterr) != 0)
        return -1;
    for (size_t i = 0; i < l->count; i++) {
        const struct rules_entry *r = &l->entries[i];
        if (r->err.text[0] && (is_file || (r->document && is_named(r->document, e->rule))))
            return *reterr = r->err, -1;
    }
    e->book = rulebook_make(&l->arena, l->set, l->compiled, l->tables, NULL, reterr);
    l->set = NULL;
    l->compiled = NULL;
    return e->book ? 0 : -1;
}

/* ---- saying it ---- */

static const char *const truth_names[] = {"false", "unknown", "true"};

static void indent(unsigned depth)
{
    printf("%*s", (int)(4 * depth), "");
}

static void print_text(struct span text)
{
    struct buf b;
    struct json j;
    buf_init(&b, LINE_BYTES_MAX);
    json_init(&j, &b);
    json_span(&j, NULL, span_of(text.data, text.len < SHOWN_BYTES_MAX ? text.len : SHOWN_BYTES_MAX));
    printf("%.*s%s", (int)buf_len(&b), buf_len(&b) ? (const char *)buf_span(&b).data : "",
           text.len > SHOWN_BYTES_MAX ? "..." : "");
    buf_free(&b);
}

static const char *const affixes[] = {[AFFIX_NONE] = "is",
                                      [AFFIX_STARTS] = "starts with",
                                      [AFFIX_ENDS] = "ends with",
                                      [AFFIX_CONTAINS] = "contains"};
static const char *const compares[] = {
    [COMPARE_LT] = "<", [COMPARE_LTE] = "<=", [COMPARE_GT] = ">", [COMPARE_GTE] = ">=", [COMPARE_EQ] = "="};
static const char *const parts[DATE_PART_COUNT] = {"minute", "hour", "day", "week", "month", "year"};

static void print_question(const struct atom *a)
{
    char text[IP_TEXT_BYTES];
    printf("%s%s%s ", a->kind == ATOM_TIME ? parts[a->part] : "", a->kind == ATOM_TIME ? " of " : "",
           a->field ? a->field : "any field");
    switch (a->kind) {
    case ATOM_PATTERN:
        printf("%s ", a->literal.len ? affixes[a->affix] : "matches");
        print_text(a->literal.len ? a->literal : span_str(a->pattern));
        break;
    case ATOM_EXISTS:
        fputs("is there", stdout);
        break;
    case ATOM_NULL:
        fputs("is not there", stdout);
        break;
    case ATOM_COMPARE:
    case ATOM_TIME:
        printf("%s %.15g", compares[a->compare], a->number.real);
        break;
    case ATOM_CIDR:
        printf("is in %s/%u", ip_format(&a->network.ip, text), a->network.prefix);
        break;
    case ATOM_FIELDREF:
        printf("%s the field %s", affixes[a->affix], a->other);
        break;
    }
}

static void print_fact(struct explain *e, enum fact which)
{
    static const char *const states[] = {[FACT_PENDING] = "not known when this was recorded",
                                         [FACT_UNOBSERVABLE] = "not seen in this exchange",
                                         [FACT_ABSENT] = "not there"};
    const struct fact_value *v = &e->past.facts.values[which];
    size_t count;
    printf("%s ", fact_table[which].name);
    if (v->state != FACT_KNOWN) {
        printf("(%s)", e->past.not_recorded[which] ? "not in records" : states[v->state]);
        return;
    }
    const struct span *texts = evaluator_texts(e->evaluator, &e->past.facts, which, &count);
    for (size_t i = 0; i < count; i++) {
        fputs(i ? ", " : "= ", stdout);
        print_text(texts[i]);
    }
}

static void print_atom(struct explain *e, uint32_t number, unsigned depth)
{
    const struct ruleset_atom *ra = &e->book->set->atoms[number];
    const struct rulebook_field *f = &e->book->fields[ra->field];
    indent(depth);
    printf("%-8s", truth_names[match_atom(evaluator_match(e->evaluator), number)]);
    print_question(ra->atom);
    printf("  (%s:%u:%u)\n", ra->atom->place.file, ra->atom->place.line, ra->atom->place.column);
    for (uint32_t i = 0; i < f->count && ra->atom->field; i++) {
        indent(depth + 2);
        print_fact(e, f->facts[i]);
        puts("");
    }
}

/* The tree and its code, word by word; the atom's own field name is the tree's. */
static void print_expr(struct explain *e, const struct expr *x, uint32_t *at, unsigned depth)
{
    static const char *const names[] = {[EXPR_NOT] = "not", [EXPR_AND] = "all of", [EXPR_OR] = "one of"};
    uint32_t word = e->book->set->code[(*at)++];
    if (x->kind == EXPR_ATOM) {
        print_atom(e, word & ((1u << RULE_CODE_SHIFT) - 1), depth);
        return;
    }
    indent(depth);
    printf("%-8s%s\n", truth_names[match_code(evaluator_match(e->evaluator), *at - 1)], names[x->kind]);
    for (size_t i = 0; i < x->count; i++)
        print_expr(e, x->items[i], at, depth + 1);
}

static void print_rule(struct explain *e, uint32_t number, unsigned depth)
{
    const struct rule *r = &e->book->set->rules[number];
    const struct sigma_document *d = r->document;
    indent(depth);
    if (r->code_words == 0) {
        const struct correlation *c = &e->book->set->correlations[r->correlation];
        printf("%-8s%s \"%s\" counts over exchanges; of this one:\n", "-", sigma_document_id(d), d->title);
        for (size_t i = 0; i < c->what->rules.count; i++)
            print_rule(e, c->rules[i], depth + 1);
        return;
    }
    uint32_t at = r->code;
    printf("%-8s%s \"%s\" (%s:%u)\n", truth_names[match_rule(evaluator_match(e->evaluator), number)],
           sigma_document_id(d), d->title, d->place.file, d->place.line);
    print_expr(e, r->expr, &at, depth + 1);
}

static int say(struct explain *e)
{
    const uint32_t *rules;
    size_t count, said = 0;
    bool is_file = access(e->rule, R_OK) == 0;
    enum fact_phase phase = recorded_is_close(e->json) ? FACT_CLOSE : FACT_HELLO;
    e->evaluator = evaluator_new(e->book);
    if (!e->evaluator || evaluate(e->evaluator, &e->evaluation, &e->past.facts,
                                  (struct evaluate_how){.phase = phase, .always = true}, &rules, &count) != 0)
        return CMD_USAGE;
    const char *uid = json_string_value(recorded_find(e->json, "metadata.uid"));
    printf("record %s\n", uid ? uid : e->record);
    for (uint32_t i = 0; i < e->book->set->rule_count; i++)
        if (is_file || is_named(e->book->set->rules[i].document, e->rule)) {
            print_rule(e, i, 0);
            said++;
        }
    return said > 0 && fflush(stdout) == 0 ? CMD_OK : CMD_FAILED;
}

static int explain(struct explain *e)
{
    struct err err = {0};
    char path[PLACE_PATH_BYTES];
    bool is_file = access(e->rule, R_OK) == 0;
    if (!is_file || !e->audit || e->config) {
        e->conf = conf_load(place_config(e->config, NULL, path), &err);
        if (!e->conf)
            return cmd_fail(&err, CMD_USAGE);
    }
    if (load_rules(e, &err) != 0 || find_record(e, e->audit ? e->audit : e->conf->audit.file, &err) != 0)
        return cmd_fail(&err, CMD_FAILED);
    recorded_facts_read(&e->past, e->json);
    return say(e);
}

int cmd_rules_explain(int argc, char **argv)
{
    static const struct option options[] = {
        {"record", required_argument, NULL, 'r'}, {"audit", required_argument, NULL, 'a'},
        {"config", required_argument, NULL, 'c'}, {"placeholders", required_argument, NULL, 'p'},
        {"help", no_argument, NULL, 'h'},         {0}};
    struct explain *e = calloc(1, sizeof *e);
    if (!e)
        return CMD_USAGE;
    int result = -1;
    for (int c; result < 0 && (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (c == 'h')
            result = fputs(help, stdout) < 0 ? CMD_USAGE : CMD_OK;
        else if (c == '?')
            result = cmd_bad_option("rules explain", argc, argv);
        else
            *(c == 'r'   ? &e->record
              : c == 'a' ? &e->audit
              : c == 'c' ? &e->config
                         : &e->placeholders) = optarg;
    }
    if (result < 0 && (argc - optind != 1 || !e->record))
        result = cmd_usage("rules explain", "a rule and --record ID are expected");
    if (result < 0) {
        e->rule = argv[optind];
        recorded_facts_init(&e->past);
        rules_load_init(&e->load);
        result = explain(e);
        evaluation_free(&e->evaluation);
        evaluator_free(e->evaluator);
        rulebook_free(e->book);
        rules_load_free(&e->load);
        recorded_facts_free(&e->past);
        json_decref(e->json);
        conf_free(e->conf);
    }
    free(e);
    return result;
}
