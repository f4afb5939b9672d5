/* sim_rules.c: see sim_rules.h. */
#include "sim_rules.h"

#include "base/must.h"
#include "flow/tally.h"

#include <stdio.h>
#include <stdlib.h>

struct documents {
    struct sigma_document *first, **tail;
    struct arena arena;
    const struct logsource *tables;
};

noreturn void sim_stop_for(const struct err *e)
{
    char text[1024];
    fprintf(stderr, "sim: %s\n", err_format(e, text, sizeof text));
    exit(1);
}

static void take_document(void *context, struct sigma_document *d, const struct err *e)
{
    struct documents *all = context;
    struct err why = {0};
    if (!d)
        sim_stop_for(e);
    if (logsource_check(all->tables, d, &why) != 0)
        sim_stop_for(&why);
    *all->tail = d;
    all->tail = &d->next;
}

static void reject_document(void *context, const struct sigma_document *d, const struct err *e)
{
    (void)context;
    (void)d;
    sim_stop_for(e);
}

static const char *name_field(void *context, const struct sigma_document *d, const char *field)
{
    const struct documents *all = context;
    return logsource_name_field(all->tables, &d->logsource, field);
}

void world_add_rules(struct snapshot *s, const char *name, const char *rules, const char *actions)
{
    struct documents all = {.tail = &all.first};
    struct err e = {0};
    char why[COMPILE_WHY_BYTES] = "";
    arena_init(&all.arena, 64 << 20);
    all.tables = logsource_read_all(&all.arena, &e);
    struct actions *a = actions ? actions_parse(span_str(actions), name, &e) : NULL;
    if (!all.tables || (actions && !a))
        sim_stop_for(&e);
    sigma_read(&all.arena, span_str(rules), name, &(struct sigma_options){0}, take_document, &all);
    struct ruleset *set = ruleset_link_named(all.first, name_field, reject_document, &all);
    struct compiled *compiled = set ? compile_all(set, why) : NULL;
    must(compiled);
    s->rules = rulebook_make(&all.arena, set, compiled, all.tables, a, &e);
    actions_free(a);
    if (!s->rules)
        sim_stop_for(&e);
    s->rule_counts = rule_counts_new(s->rules->set->rule_count);
    s->tally = s->rules->set->correlation_count ? tally_new(s->rules) : NULL;
}
