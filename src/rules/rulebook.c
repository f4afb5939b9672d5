/* rulebook.c: see rulebook.h. Pure. */
#include "rules/rulebook.h"

#include "base/must.h"

#include <stdlib.h>

/* ---- fields ---- */

static const enum fact *find_fact(struct span name)
{
    static const enum fact numbers[FACT_COUNT] = {
#define FACT(name, type, phase, moves, sigma, path, doc) FACT_##name,
#include "facts/facts.def"
#undef FACT
    };
    for (int i = 0; i < FACT_COUNT; i++)
        if (span_is(name, fact_table[i].name))
            return &numbers[i];
    return NULL;
}

bool rulebook_is_of_process(enum fact which)
{
    static const enum fact facts[] = {FACT_sender_image,
                                      FACT_sender_command_line,
                                      FACT_sender_user,
                                      FACT_sender_sha256,
                                      FACT_sender_directory,
                                      FACT_sender_parent_image,
                                      FACT_sender_parent_command_line};
    for (size_t i = 0; i < ARRAY_LEN(facts); i++)
        if (facts[i] == which)
            return true;
    return false;
}

/* "host+sni" into facts; a name that is none ("?") gives no facts. */
static int split_field(struct rulebook *b, const char *joined, struct rulebook_field *ret)
{
    size_t most = 1;
    for (const char *at = joined; *at; at++)
        most += *at == '+';
    enum fact *facts = arena_alloc(&b->arena, most * sizeof *facts);
    if (!facts)
        return -1;
    ret->facts = facts;
    ret->process = true;
    for (const char *at = joined; *at;) {
        size_t len = strcspn(at, "+");
        const enum fact *f = find_fact(span_of(at, len));
        if (f) {
            facts[ret->count++] = *f;
            if (!b->uses[*f])
                b->used[b->used_count++] = *f;
            b->uses[*f] = true;
            b->uses_phase[fact_table[*f].phase] = true;
            ret->process = ret->process && rulebook_is_of_process(*f);
            ret->running = ret->running || fact_table[*f].moves == FACT_RUNNING;
        }
        at += len + (at[len] == '+');
    }
    ret->process = ret->process && ret->count > 0;
    b->uses_process = b->uses_process || ret->process;
    b->uses_running = b->uses_running || ret->running;
    return 0;
}

static int make_fields(struct rulebook *b)
{
    const struct names *names = &b->set->fields;
    b->fields = arena_alloc(&b->arena, (names->count + 1) * sizeof *b->fields);
    for (uint32_t i = 1; b->fields && i < names->count; i++)
        if (split_field(b, names->texts[i], &b->fields[i]) != 0)
            return -1;
    return b->fields ? 0 : -1;
}

/* ---- rules ---- */

enum fact_phase rulebook_phase(const struct ruleset *s, const struct logsource *tables, size_t rule)
{
    const struct rule *r = &s->rules[rule];
    if (r->expr)
        return logsource_phase(logsource_find(tables, &r->document->logsource), r->expr);
    const struct correlation *c = &s->correlations[r->correlation];
    enum fact_phase first = FACT_CLOSE;
    for (size_t i = 0; i < c->what->rules.count; i++) {
        enum fact_phase phase = rulebook_phase(s, tables, c->rules[i]);
        first = phase < first ? phase : first;
    }
    return first;
}

static int make_rules(struct rulebook *b, const struct logsource *tables, const struct actions *actions)
{
    size_t count = b->set->rule_count;
    b->actions = arena_alloc(&b->arena, (count + 1) * sizeof *b->actions);
    b->phases = arena_alloc(&b->arena, (count + 1) * sizeof *b->phases);
    b->gated = arena_alloc(&b->arena, (count + 1) * sizeof *b->gated);
    if (!b->actions || !b->phases || !b->gated)
        return -1;
    for (size_t i = 0; i < count; i++) {
        const struct action a = b->actions[i] = actions_find(actions, b->set->rules[i].document);
        b->phases[i] = rulebook_phase(b->set, tables, i);
        bool gated = a.on_unknown != ACTION_PASS || a.on_unevaluable != UNEVALUABLE_PASS;
        if (gated &&
            b->set->rules[i].code_words > 0) /* correlations are never unknown: they have not happened */
            b->gated[b->gated_count++] = (uint32_t)i;
    }
    return 0;
}

/* ---- points ---- */

static int compare_points(const void *a, const void *b)
{
    const struct rulebook_point *x = a, *y = b;
    if (x->fact != y->fact)
        return x->fact < y->fact ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

/* The first whole number for which the comparison holds; false when none does. */
static bool first_that_holds(const struct atom *a, int64_t *ret)
{
    const double most = 9e18;
    if (a->number.is_integer) {
        if (a->compare == COMPARE_GT && a->number.integer == INT64_MAX)
            return false;
        *ret = a->number.integer + (a->compare == COMPARE_GT);
        return true;
    }
    if (!(a->number.real > -most && a->number.real < most))
        return false;
    int64_t whole = (int64_t)a->number.real;
    struct number n = {true, whole, (double)whole};
    while (!number_holds(&n, a->compare, &a->number)) /* at most two steps */
        n = (struct number){true, n.integer + 1, (double)(n.integer + 1)};
    *ret = n.integer;
    return true;
}

static int make_points(struct rulebook *b)
{
    size_t most = 1;
    for (size_t i = 0; i < b->set->atom_count; i++)
        most += b->set->atoms[i].atom->kind == ATOM_COMPARE ? b->fields[b->set->atoms[i].field].count : 0;
    b->points = arena_alloc(&b->arena, most * sizeof *b->points);
    if (!b->points)
        return -1;
    for (size_t i = 0; i < b->set->atom_count; i++) {
        const struct atom *a = b->set->atoms[i].atom;
        const struct rulebook_field *f = &b->fields[b->set->atoms[i].field];
        int64_t at;
        if (a->kind != ATOM_COMPARE || (a->compare != COMPARE_GT && a->compare != COMPARE_GTE) ||
            !first_that_holds(a, &at))
            continue;
        for (uint32_t n = 0; n < f->count; n++)
            if (fact_table[f->facts[n]].moves == FACT_RISING)
                b->points[b->point_count++] = (struct rulebook_point){f->facts[n], at};
    }
    qsort(b->points, b->point_count, sizeof *b->points, compare_points);
    return 0;
}

int64_t rulebook_next_point(const struct rulebook *b, enum fact fact, int64_t value)
{
    const struct rulebook_point wanted = {fact, value};
    size_t low = 0, high = b->point_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_points(&b->points[middle], &wanted) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < b->point_count && b->points[low].fact == fact ? b->points[low].at : INT64_MAX;
}

/* ---- the whole ---- */

struct rulebook *rulebook_make(struct arena *take_documents, struct ruleset *take_set,
                               struct compiled *take_compiled, const struct logsource *tables,
                               const struct actions *actions, struct err *reterr)
{
    struct rulebook *b = calloc(1, sizeof *b);
    if (b) {
        b->arena = *take_documents;
        b->set = take_set;
        b->compiled = take_compiled;
    } else {
        compiled_free(take_compiled);
        ruleset_free(take_set);
        arena_reset(take_documents);
    }
    *take_documents = (struct arena){.budget_bytes = take_documents->budget_bytes};
    if (b && make_fields(b) == 0 && make_rules(b, tables, actions) == 0 && make_points(b) == 0)
        return b;
    rulebook_free(b);
    return err_set(reterr, NULL, 0, 0, "out of memory"), NULL;
}

void rulebook_free(struct rulebook *take_b)
{
    if (!take_b)
        return;
    compiled_free(take_b->compiled);
    ruleset_free(take_b->set);
    arena_reset(&take_b->arena);
    free(take_b);
}
