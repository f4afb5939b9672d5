/* sigma_run.h: rules written in a test, matched against an event written in a test. */
#ifndef EXEAT_TESTS_SIGMA_RUN_H
#define EXEAT_TESTS_SIGMA_RUN_H

#include "base/must.h"
#include "rules/correlate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

struct sigma_run {
    struct arena arena;
    struct sigma_options options;
    struct sigma_document *first, **tail;
    char rejected[2048]; /* "line:column reason\n"... */
    struct ruleset *set;
    struct compiled *compiled;
    struct match *match;
    struct correlate *correlate;
};

static void run_note(struct sigma_run *r, const struct err *e)
{
    size_t used = strlen(r->rejected);
    snprintf(r->rejected + used, sizeof r->rejected - used, "%u:%u %s\n", e->line, e->column, e->text);
}

static void run_take(void *context, struct sigma_document *d, const struct err *e)
{
    struct sigma_run *r = context;
    if (e)
        run_note(r, e);
    if (!d)
        return;
    *r->tail = d;
    r->tail = &d->next;
}

static void run_reject(void *context, const struct sigma_document *d, const struct err *e)
{
    (void)d;
    run_note(context, e);
}

static void run_start(struct sigma_run *r, const char *rules)
{
    char why[COMPILE_WHY_BYTES];
    r->tail = &r->first;
    r->first = NULL;
    r->rejected[0] = '\0';
    arena_init(&r->arena, 64 * 1024 * 1024);
    sigma_read(&r->arena, span_str(rules), "test.yml", &r->options, run_take, r);
    r->set = ruleset_link(r->first, run_reject, r);
    must(r->set);
    r->compiled = compile_all(r->set, why);
    must(r->compiled);
    r->match = match_new(r->set, r->compiled);
    r->correlate = correlate_new(r->set, CORRELATE_BYTES_DEFAULT);
    must(r->match && r->correlate);
}

static void run_end(struct sigma_run *r)
{
    correlate_free(r->correlate);
    match_free(r->match);
    compiled_free(r->compiled);
    ruleset_free(r->set);
    arena_reset(&r->arena);
}

static void run_set(struct sigma_run *r, const char *field, struct match_value v)
{
    uint32_t n = names_find(&r->set->fields, span_str(field));
    if (n != NAMES_NONE && n != RULESET_KEYWORD)
        match_set(r->match, n, &v);
    else
        match_set_unnamed(r->match, &v);
}

static void run_add(char *out, size_t size, const struct sigma_run *r, const uint32_t *rules, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (r->set->rules[rules[i]].silent)
            continue;
        size_t used = strlen(out);
        snprintf(out + used, size - used, "%s%s", used ? " " : "",
                 sigma_document_id(r->set->rules[rules[i]].document));
    }
}

/* `event` is "field=value;field=value": "field=" is the empty text, "field" alone is null. The ids of what is true. */
static const char *run_event(struct sigma_run *r, const char *event, int64_t time_ms)
{
    static char out[1024];
    static struct span values[32];
    size_t used = 0, count, fired;
    char copy[1024], *save, *part;
    snprintf(copy, sizeof copy, "%s", event);
    match_begin(r->match, true);
    for (part = strtok_r(copy, ";", &save); part; part = strtok_r(NULL, ";", &save)) {
        char *equals = strchr(part, '=');
        if (equals) {
            *equals = '\0';
            values[used] = span_str(equals + 1);
        }
        run_set(r, part,
                (struct match_value){.state = FACT_KNOWN, .values = &values[used], .count = equals != NULL});
        used += equals != NULL;
    }
    out[0] = '\0';
    const uint32_t *rules = match_run(r->match, &count);
    const uint32_t *more = correlate_event(r->correlate, r->match, time_ms, rules, count, &fired);
    run_add(out, sizeof out, r, rules, count);
    run_add(out, sizeof out, r, more, fired);
    return out;
}

#endif
