/* rules_match.c: `exeat rules match`: rules against events in a file, one JSON object a line. Memory is bounded: an event is read, answered and
 * forgotten; correlations keep what correlate.h says. */
#include <jansson.h>

#include "base/json.h"
#include "cmd/cmd.h"
#include "run/rules_load.h"
#include "rules/correlate.h"
#include "rules/date.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>

enum {
    LINE_BYTES_MAX = 1024 * 1024,
    OUTPUT_BYTES_MAX = 16 * 1024 * 1024,
    NUMBER_BYTES = 40,
    EVENT_BYTES = 64 * 1024 * 1024
};

static const char help[] =
    "usage: exeat rules match [--placeholders FILE] PATH... --events FILE|-\n"
    "\n"
    "Decides which rules are true of each event. FILE has one flat JSON object of Sigma fields a line; an "
    "event is complete: a\n"
    "field that is missing is absent. A value is a text, a number, true or false, null, or a list of these "
    "(any of them\n"
    "counts). Logsources are not looked at, and any field's name will do. Writes one object a line:\n"
    "  {\"line\":N,\"rules\":[\"id\",...]}      id: the rule's id, else its name, else its title\n"
    "  {\"line\":N,\"error\":\"...\"}          the line is no flat JSON object\n"
    "Correlations are decided by the events' times: the first that is a date of @timestamp, timestamp, time, "
    "ts, UtcTime,\n"
    "TimeCreated, EventTime, _time. Without one, an event is not counted. A rule that a correlation counts "
    "is\n"
    "not reported by itself unless the correlation has generate: true.\n"
    "Rejected rules are told on standard error; the others are matched.\n"
    "\n"
    "exit status: 0 done, 1 some rule was rejected or some line was no event, 2 usage, or a file that can't "
    "be read\n"
    "\n"
    "examples:\n"
    "  exeat rules match policy/rules --events events.jsonl | jq -c 'select(.rules != [])'\n";

static const char *const time_fields[] = {"@timestamp", "timestamp",   "time",      "ts",
                                          "UtcTime",    "TimeCreated", "EventTime", "_time"};

struct matcher {
    const struct rules_load *load; /* borrowed */
    struct match *match;           /* owned */
    struct correlate *correlate;   /* owned */
    struct arena event;            /* an event's texts */
    FILE *in;                      /* borrowed */
    char *line;                    /* owned: LINE_BYTES_MAX long */
    size_t len;
    bool too_long;
};

/* To the end of the line; false at the end of the input when nothing was there. */
static bool read_line(struct matcher *m)
{
    int c;
    m->len = 0;
    m->too_long = false;
    while ((c = getc_unlocked(m->in)) != EOF && c != '\n') {
        if (m->len < LINE_BYTES_MAX)
            m->line[m->len++] = (char)c;
        else
            m->too_long = true;
    }
    return c != EOF || m->len > 0;
}

static bool is_blank(const struct matcher *m)
{
    return strspn(m->line, " \t\r") >= m->len || m->len == 0;
}

/* A scalar as text; .data NULL without memory. */
static struct span text_of(struct arena *a, const json_t *v)
{
    char number[NUMBER_BYTES];
    if (json_is_string(v))
        return arena_copy(a, span_of(json_string_value(v), json_string_length(v)));
    if (json_is_boolean(v))
        return span_str(json_is_true(v) ? "true" : "false");
    if (json_is_integer(v)) {
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    } else {
        double real = json_real_value(v);
        snprintf(number, sizeof number, "%.15g", real);
        if (strtod(number, NULL) != real)
            snprintf(number, sizeof number, "%.17g", real);
    }
    return arena_copy(a, span_str(number));
}

/* One field's value; NULL, or what is wrong. */
static const char *read_value(struct matcher *m, const json_t *v, struct match_value *ret)
{
    size_t count = json_is_array(v) ? json_array_size(v) : 1, used = 0;
    struct span *values = arena_alloc(&m->event, (count + 1) * sizeof *values);
    if (!values)
        return "too large";
    for (size_t i = 0; i < count; i++) {
        const json_t *one = json_is_array(v) ? json_array_get(v, i) : v;
        if (json_is_null(one))
            continue;
        if (json_is_object(one) || json_is_array(one))
            return "not flat: a value is an object or a list of lists";
        values[used] = text_of(&m->event, one);
        if (!values[used++].data)
            return "too large";
    }
    *ret = (struct match_value){.state = FACT_KNOWN, .values = values, .count = used};
    return NULL;
}

static const char *set_fields(struct matcher *m, json_t *event)
{
    const char *name;
    json_t *v;
    match_begin(m->match, true);
    json_object_foreach(event, name, v)
    {
        struct match_value value;
        const char *why = read_value(m, v, &value);
        if (why)
            return why;
        uint32_t field = names_find(&m->load->set->fields, span_str(name));
        if (field != NAMES_NONE && field != RULESET_KEYWORD)
            match_set(m->match, field, &value);
        else
            match_set_unnamed(m->match, &value);
    }
    return NULL;
}

static bool find_time(const json_t *event, struct arena *a, int64_t *ret_ms)
{
    struct date d;
    for (size_t i = 0; i < sizeof time_fields / sizeof time_fields[0]; i++) {
        const json_t *v = json_object_get(event, time_fields[i]);
        if (!v || json_is_null(v) || json_is_object(v) || json_is_array(v) || !date_parse(text_of(a, v), &d))
            continue;
        *ret_ms = d.epoch_ms;
        return true;
    }
    return false;
}

static void write_rules(const struct matcher *m, struct json *j, const uint32_t *rules, size_t count)
{
    const struct ruleset *s = m->load->set;
    for (size_t i = 0; i < count; i++)
        if (!s->rules[rules[i]].silent)
            json_str(j, NULL, sigma_document_id(s->rules[rules[i]].document));
}

/* NULL, or why the line is no event. */
static const char *answer(struct matcher *m, struct json *j)
{
    json_error_t error;
    size_t count, fired = 0;
    int64_t time_ms;
    if (m->too_long)
        return "the line is too long";
    json_t *event = json_loadb(m->line, m->len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    const char *why = !event                   ? "not JSON"
                      : !json_is_object(event) ? "not a JSON object"
                                               : set_fields(m, event);
    if (!why) {
        const uint32_t *rules = match_run(m->match, &count), *more = NULL;
        if (m->load->set->correlation_count > 0 && find_time(event, &m->event, &time_ms))
            more = correlate_event(m->correlate, m->match, time_ms, rules, count, &fired);
        json_array(j, "rules");
        write_rules(m, j, rules, count);
        write_rules(m, j, more, fired);
        json_end_array(j);
    }
    json_decref(event);
    return why;
}

static int match_lines(struct matcher *m)
{
    struct buf text;
    struct json j;
    int64_t number = 0;
    int result = CMD_OK;
    buf_init(&text, OUTPUT_BYTES_MAX);
    while (!ferror(stdout) && read_line(m)) {
        number++;
        if (!m->too_long && is_blank(m))
            continue;
        buf_clear(&text);
        json_init(&j, &text);
        json_object(&j, NULL);
        json_int(&j, "line", number);
        const char *why = answer(m, &j);
        if (why)
            json_str(&j, "error", why);
        json_end_object(&j);
        buf_append(&text, "\n", 1);
        struct span all = buf_span(&text);
        if (all.data)
            fwrite(all.data, 1, all.len, stdout);
        result = why ? CMD_FAILED : result;
        arena_reset(&m->event);
    }
    buf_free(&text);
    return ferror(m->in) || fflush(stdout) != 0 ? CMD_USAGE : result;
}

static int match_file(const struct rules_load *l, const char *path)
{
    bool from_stdin = strcmp(path, "-") == 0;
    struct matcher m = {.load = l, .in = from_stdin ? stdin : fopen(path, "re")};
    int result = CMD_USAGE;
    if (!m.in) {
        fprintf(stderr, "exeat: %s: %s\n", path, strerror(errno));
        return CMD_USAGE;
    }
    arena_init(&m.event, EVENT_BYTES);
    m.line = calloc(1, LINE_BYTES_MAX + 1);
    m.match = match_new(l->set, l->compiled);
    m.correlate = correlate_new(l->set, CORRELATE_BYTES_DEFAULT);
    if (m.line && m.match && m.correlate)
        result = match_lines(&m);
    correlate_free(m.correlate);
    match_free(m.match);
    free(m.line);
    arena_reset(&m.event);
    if (!from_stdin)
        fclose(m.in);
    return result;
}

static int match_paths(struct rules_load *l, char **paths, int count, const char *placeholders,
                       const char *events)
{
    struct err err = {0};
    bool rejected = false;
    int result = placeholders ? rules_load_placeholders(l, placeholders, &err) : 0;
    for (int i = 0; i < count && result == 0; i++)
        result = rules_load_path(l, paths[i], &err);
    if (result != 0 || rules_load_finish(l, &err) != 0)
        return cmd_fail(&err, CMD_USAGE);
    for (size_t i = 0; i < l->count; i++) {
        const struct err *e = &l->entries[i].err;
        if (!e->text[0])
            continue;
        rejected = true;
        fprintf(stderr, "rejected %s:%u:%u %s\n", e->file, e->line, e->column, e->text);
    }
    result = match_file(l, events);
    return result == CMD_OK && rejected ? CMD_FAILED : result;
}

int cmd_rules_match(int argc, char **argv)
{
    static const struct option options[] = {{"events", required_argument, NULL, 'e'},
                                            {"placeholders", required_argument, NULL, 'p'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const char *events = NULL, *placeholders = NULL;
    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (c == 'h')
            return fputs(help, stdout) < 0 ? CMD_USAGE : CMD_OK;
        if (c == '?')
            return cmd_bad_option("rules match", argc, argv);
        *(c == 'e' ? &events : &placeholders) = optarg;
    }
    if (optind == argc || !events)
        return cmd_usage("rules match",
                         !events ? "--events FILE is expected" : "a file or folder of rules is expected");
    struct rules_load l;
    rules_load_init(&l);
    int result = match_paths(&l, argv + optind, argc - optind, placeholders, events);
    rules_load_free(&l);
    return result;
}
