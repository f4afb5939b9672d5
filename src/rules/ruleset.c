/* ruleset.c: see ruleset.h. Pure. */
#include "rules/ruleset.h"

#include "base/buf.h"
#include "base/must.h"
#include "rules/ruleset_identity.h"
#include "rules/ruleset_index.h"

#include <stdio.h>
#include <stdlib.h>

enum { SET_BYTES = 1024 * 1024 * 1024 /* a budget; what the documents hold bounds it */ };

enum visit { VISIT_NEW, VISIT_OPEN, VISIT_DONE, VISIT_REJECTED };

/* While linking: every document has a number, in the order of the list. */
struct linker {
    struct ruleset *s;
    const struct sigma_document **documents; /* owned */
    size_t count;
    uint32_t *rule_of; /* owned: a document's rule, or NAMES_NONE */
    uint8_t *visits;   /* owned: enum visit */
    struct names ids, names, atom_keys;
    uint32_t *by_id, *by_name; /* owned: a name's document */
    size_t atom_room, rule_room, correlation_room;
    ruleset_name *name;                /* NULL: fields are called what they are */
    const struct sigma_document *rule; /* whose code is written */
    ruleset_reject *reject;
    void *context;
    bool failed; /* no memory */
};

static void *grow(struct linker *k, void *items, size_t *room, size_t wanted, size_t size)
{
    if (wanted <= *room)
        return items;
    size_t more = 2 * wanted + 64;
    void *p = realloc(items, more * size);
    if (!p) {
        k->failed = true;
        return NULL;
    }
    *room = more;
    return p;
}

__attribute__((format(printf, 4, 5))) static void reject(struct linker *k, uint32_t document,
                                                         const struct place *place, const char *format, ...)
{
    struct err err = {0};
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    err_set(&err, place->file, place->line, place->column, "%s", text);
    k->visits[document] = VISIT_REJECTED;
    k->reject(k->context, k->documents[document], &err);
}

/* ---- names of documents ---- */

/* Notes that `text` means `document`; false when it already means another. */
static bool note_name(struct linker *k, struct names *names, uint32_t *owners, const char *text,
                      uint32_t document, uint32_t *ret_first)
{
    uint32_t before = names->count, n = names_add(names, span_str(text));
    if (n == NAMES_NONE) {
        k->failed = true;
        return true;
    }
    if (n < before) {
        *ret_first = owners[n];
        return false;
    }
    owners[n] = document;
    return true;
}

static void note_document(struct linker *k, uint32_t i)
{
    const struct sigma_document *d = k->documents[i];
    uint32_t first;
    if (d->id && !note_name(k, &k->ids, k->by_id, d->id, i, &first)) {
        const struct place *p = &k->documents[first]->place;
        reject(k, i, &d->place, "the id %.100s belongs to the rule in %.150s, line %u, already", d->id,
               p->file, p->line);
    } else if (d->name && !note_name(k, &k->names, k->by_name, d->name, i, &first)) {
        const struct place *p = &k->documents[first]->place;
        reject(k, i, &d->place, "the name %.100s belongs to the rule in %.150s, line %u, already", d->name,
               p->file, p->line);
    }
}

static uint32_t find_document(const struct linker *k, const char *name)
{
    uint32_t n = names_find(&k->ids, span_str(name));
    if (n != NAMES_NONE)
        return k->by_id[n];
    n = names_find(&k->names, span_str(name));
    return n != NAMES_NONE ? k->by_name[n] : (uint32_t)NAMES_NONE;
}

/* ---- atoms and code ---- */

static const char *name_field(const struct linker *k, const struct sigma_document *rule, const char *field)
{
    return k->name ? k->name(k->context, rule, field) : field;
}

static uint32_t add_field(struct linker *k, const char *name)
{
    uint32_t n = name ? names_add(&k->s->fields, span_str(name)) : RULESET_KEYWORD;
    k->failed = k->failed || n == NAMES_NONE;
    return n;
}

/* All that makes an atom's answer, as text. */
static void write_key(struct buf *b, const struct atom *a, const char *field, const char *other)
{
    buf_printf(b, "%d|%s|%zu|%s|", (int)a->kind, field ? "f" : "k", field ? strlen(field) : 0,
               field ? field : "");
    if (a->kind == ATOM_PATTERN)
        buf_printf(b, "%u|%s", a->flags, a->pattern);
    else if (a->kind == ATOM_COMPARE || a->kind == ATOM_TIME)
        buf_printf(b, "%d|%d|%d|%lld|%.17g", (int)a->compare, (int)a->part, a->number.is_integer,
                   (long long)a->number.integer, a->number.real);
    else if (a->kind == ATOM_FIELDREF)
        buf_printf(b, "%d|%d|%s", (int)a->affix, a->cased, other);
    char text[IP_TEXT_BYTES];
    if (a->kind == ATOM_CIDR)
        buf_printf(b, "%s/%u", ip_format(&a->network.ip, text), a->network.prefix);
}

static uint32_t add_atom(struct linker *k, const struct atom *a)
{
    struct ruleset *s = k->s;
    const char *field = name_field(k, k->rule, a->field),
               *other = a->other ? name_field(k, k->rule, a->other) : NULL;
    struct buf key;
    buf_init(&key, 1024 * 1024);
    write_key(&key, a, field, other);
    uint32_t n = key.failed ? (uint32_t)NAMES_NONE : names_add(&k->atom_keys, buf_span(&key));
    uint64_t digest = key.failed ? 0 : names_hash(buf_span(&key));
    buf_free(&key);
    if (n == NAMES_NONE) {
        k->failed = true;
        return 0;
    }
    if (n < s->atom_count)
        return n;
    struct ruleset_atom *atoms = grow(k, s->atoms, &k->atom_room, s->atom_count + 1, sizeof *atoms);
    if (!atoms)
        return 0;
    s->atoms = atoms;
    s->atoms[s->atom_count++] = (struct ruleset_atom){.atom = (struct atom *)(uintptr_t)a,
                                                      .field = add_field(k, field),
                                                      .other = other ? add_field(k, other) : 0,
                                                      .key = digest};
    return n;
}

/* Writes the expression's code; false when it grows past RULESET_WORDS_MAX from `start` on, or without memory. */
static bool write_code(struct linker *k, const struct expr *e, size_t start)
{
    struct ruleset *s = k->s;
    if (s->code_words - start >= RULESET_WORDS_MAX || k->failed)
        return false;
    uint32_t *code = grow(k, s->code, &s->code_room, s->code_words + 1, sizeof *code);
    if (!code)
        return false;
    s->code = code;
    size_t at = s->code_words++;
    uint32_t payload = e->kind == EXPR_ATOM ? add_atom(k, e->atom) : 0;
    for (size_t i = 0; e->kind != EXPR_ATOM && i < e->count; i++)
        if (!write_code(k, e->items[i], start))
            return false;
    if (e->kind != EXPR_ATOM)
        payload = (uint32_t)(s->code_words - at - 1);
    s->code[at] = (uint32_t)e->kind << RULE_CODE_SHIFT | payload;
    return true;
}

static struct rule *add_rule(struct linker *k, uint32_t document)
{
    struct rule *rules = grow(k, k->s->rules, &k->rule_room, k->s->rule_count + 1, sizeof *rules);
    if (!rules)
        return NULL;
    k->s->rules = rules;
    k->rule_of[document] = (uint32_t)k->s->rule_count;
    struct rule *r = &k->s->rules[k->s->rule_count++];
    *r = (struct rule){.document = k->documents[document]};
    return r;
}

/* ---- rules and their filters ---- */

static bool same_or_open(const char *wanted, const char *has)
{
    return !wanted || (has && strcmp(wanted, has) == 0);
}

static bool filter_applies(const struct sigma_document *filter, const struct sigma_document *rule)
{
    if (!same_or_open(filter->logsource.category, rule->logsource.category) ||
        !same_or_open(filter->logsource.product, rule->logsource.product) ||
        !same_or_open(filter->logsource.service, rule->logsource.service))
        return false;
    bool named = filter->filtered.count == 0;
    for (size_t i = 0; i < filter->filtered.count && !named; i++)
        named = (rule->id && strcmp(filter->filtered.items[i], rule->id) == 0) ||
                (rule->name && strcmp(filter->filtered.items[i], rule->name) == 0);
    return named;
}

/* The rule's condition and those of all filters for it. */
static const struct expr *filtered_condition(struct linker *k, const struct sigma_document *rule)
{
    const struct expr *e = rule->condition;
    for (size_t i = 0; i < k->count && e; i++) {
        const struct sigma_document *f = k->documents[i];
        if (f->kind != SIGMA_FILTER || k->visits[i] == VISIT_REJECTED || !filter_applies(f, rule))
            continue;
        const struct expr *both[2] = {e, f->condition};
        e = expr_join(&k->s->arena, EXPR_AND, both, 2);
    }
    k->failed = k->failed || !e;
    return e;
}

static void link_rule(struct linker *k, uint32_t i)
{
    size_t start = k->s->code_words;
    k->rule = k->documents[i];
    const struct expr *e = filtered_condition(k, k->documents[i]);
    if (e && !write_code(k, e, start)) {
        k->s->code_words = start;
        if (!k->failed)
            reject(k, i, &k->documents[i]->place, "larger than %d parts once its condition is written out",
                   RULESET_WORDS_MAX);
        return;
    }
    struct rule *r = e ? add_rule(k, i) : NULL;
    if (!r)
        return;
    r->expr = e;
    r->code = (uint32_t)start;
    r->code_words = (uint32_t)(k->s->code_words - start);
    k->visits[i] = VISIT_DONE;
}

/* ---- correlations ---- */

static bool check_aliases(struct linker *k, uint32_t i, const struct sigma_correlation *c)
{
    for (size_t n = 0; n < c->alias_count; n++) {
        const struct sigma_alias *a = &c->aliases[n];
        uint32_t target = find_document(k, a->rule);
        bool used = false;
        for (size_t m = 0; m < c->rules.count && !used; m++)
            used = target != NAMES_NONE && find_document(k, c->rules.items[m]) == target;
        if (!used) {
            reject(k, i, &a->place, "\"%.100s\" is none of the correlation's rules", a->rule);
            return false;
        }
    }
    return true;
}

/* The rule in whose events a correlation's fields are looked up: of correlations that count correlations, the first below. */
static const struct sigma_document *event_rule(const struct linker *k, uint32_t document)
{
    const struct sigma_document *d = k->documents[document];
    while (d->kind == SIGMA_CORRELATION) { /* linked already, so there is no ring */
        uint32_t below = find_document(k, d->correlation->rules.items[0]);
        must(below != NAMES_NONE);
        d = k->documents[below];
    }
    return d;
}

/* What `name` is called in events of `document`. */
static const char *resolve_alias(const struct linker *k, const struct sigma_correlation *c, const char *name,
                                 uint32_t document)
{
    for (size_t n = 0; n < c->alias_count; n++)
        if (strcmp(c->aliases[n].alias, name) == 0 && find_document(k, c->aliases[n].rule) == document)
            return c->aliases[n].field;
    return name;
}

static void tie(struct linker *k, uint32_t i, const uint32_t *documents)
{
    const struct sigma_correlation *c = k->documents[i]->correlation;
    struct ruleset *s = k->s;
    uint32_t *rules = arena_alloc(&s->arena, c->rules.count * sizeof *rules);
    uint32_t *groups = arena_alloc(&s->arena, (c->rules.count * c->group_by.count + 1) * sizeof *groups);
    uint32_t *values = arena_alloc(&s->arena, (c->rules.count * c->fields.count + 1) * sizeof *values);
    struct correlation *all =
        grow(k, s->correlations, &k->correlation_room, s->correlation_count + 1, sizeof *all);
    if (all)
        s->correlations = all;
    struct rule *own = add_rule(k, i);
    if (!rules || !groups || !values || !all || !own) {
        k->failed = true;
        return;
    }
    for (size_t n = 0; n < c->rules.count; n++) {
        const struct sigma_document *rule = event_rule(k, documents[n]);
        rules[n] = k->rule_of[documents[n]];
        for (size_t g = 0; g < c->group_by.count; g++)
            groups[n * c->group_by.count + g] =
                add_field(k, name_field(k, rule, resolve_alias(k, c, c->group_by.items[g], documents[n])));
        for (size_t v = 0; v < c->fields.count; v++)
            values[n * c->fields.count + v] = add_field(k, name_field(k, rule, c->fields.items[v]));
    }
    own->correlation = (uint32_t)s->correlation_count;
    s->correlations[s->correlation_count++] =
        (struct correlation){c, (uint32_t)(own - s->rules), rules, groups, values};
    k->visits[i] = VISIT_DONE;
}

/* Those it counts first; a correlation met again on the way down counts itself. Depth is bounded by CHAIN_MAX. */
static bool link_correlation(struct linker *k, uint32_t i, unsigned depth)
{
    enum { CHAIN_MAX = 16 };
    const struct sigma_correlation *c = k->documents[i]->correlation;
    uint32_t documents[SIGMA_CORRELATED_MAX] = {0};
    k->visits[i] = VISIT_OPEN;
    for (size_t n = 0; n < c->rules.count; n++) {
        uint32_t d = documents[n] = find_document(k, c->rules.items[n]);
        const struct place *place = &c->rules.places[n];
        const char *why = d == NAMES_NONE || k->documents[d]->kind == SIGMA_FILTER ? "there is no rule"
                          : k->visits[d] == VISIT_OPEN     ? "this correlation counts itself through"
                          : depth == CHAIN_MAX             ? "too long a chain of correlations at"
                          : k->visits[d] == VISIT_REJECTED ? "rejected as well is"
                                                           : NULL;
        if (!why && k->visits[d] == VISIT_NEW && !link_correlation(k, d, depth + 1))
            why = "rejected as well is";
        if (why) {
            reject(k, i, place, "%s \"%.100s\"", why, c->rules.items[n]);
            return false;
        }
    }
    if (!check_aliases(k, i, c))
        return false;
    tie(k, i, documents);
    return !k->failed;
}

/* A rule that correlations count is silent unless one of them generates it. */
static void silence(struct linker *k)
{
    struct ruleset *s = k->s;
    for (size_t i = 0; i < s->correlation_count; i++)
        for (size_t n = 0; n < s->correlations[i].what->rules.count; n++)
            s->rules[s->correlations[i].rules[n]].silent = true;
    for (size_t i = 0; i < s->correlation_count; i++)
        for (size_t n = 0; s->correlations[i].what->generate && n < s->correlations[i].what->rules.count; n++)
            s->rules[s->correlations[i].rules[n]].silent = false;
}

/* ---- all of it ---- */

static bool linker_init(struct linker *k, const struct sigma_document *documents)
{
    for (const struct sigma_document *d = documents; d; d = d->next)
        k->count++;
    size_t room = k->count ? k->count : 1, n = 0;
    k->documents = calloc(room, sizeof *k->documents);
    k->rule_of = calloc(room, sizeof *k->rule_of);
    k->visits = calloc(room, 1);
    k->by_id = calloc(room, sizeof *k->by_id);
    k->by_name = calloc(room, sizeof *k->by_name);
    names_init(&k->ids, &k->s->arena);
    names_init(&k->names, &k->s->arena);
    names_init(&k->atom_keys, &k->s->arena);
    names_init(&k->s->fields, &k->s->arena);
    if (!k->documents || !k->rule_of || !k->visits || !k->by_id || !k->by_name ||
        names_add(&k->s->fields, span_str("")) == NAMES_NONE)
        return false;
    for (const struct sigma_document *d = documents; d; d = d->next) {
        k->rule_of[n] = NAMES_NONE;
        k->documents[n++] = d;
    }
    return true;
}

static void linker_free(struct linker *k)
{
    free(k->documents);
    free(k->rule_of);
    free(k->visits);
    free(k->by_id);
    free(k->by_name);
    names_free(&k->ids);
    names_free(&k->names);
    names_free(&k->atom_keys);
}

static void link_all(struct linker *k)
{
    for (uint32_t i = 0; i < k->count; i++)
        note_document(k, i);
    for (uint32_t i = 0; i < k->count && !k->failed; i++)
        if (k->documents[i]->kind == SIGMA_RULE && k->visits[i] == VISIT_NEW)
            link_rule(k, i);
    for (uint32_t i = 0; i < k->count && !k->failed; i++)
        if (k->documents[i]->kind == SIGMA_CORRELATION && k->visits[i] == VISIT_NEW)
            link_correlation(k, i, 0);
    silence(k);
}

struct ruleset *ruleset_link(const struct sigma_document *documents, ruleset_reject *reject_one,
                             void *context)
{
    return ruleset_link_named(documents, NULL, reject_one, context);
}

struct ruleset *ruleset_link_named(const struct sigma_document *documents, ruleset_name *name,
                                   ruleset_reject *reject_one, void *context)
{
    struct ruleset *s = calloc(1, sizeof *s);
    struct linker k = {.s = s, .name = name, .reject = reject_one, .context = context};
    if (!s)
        return NULL;
    arena_init(&s->arena, SET_BYTES);
    k.failed = !linker_init(&k, documents);
    if (!k.failed)
        link_all(&k);
    bool good = !k.failed && ruleset_index(s) == 0;
    linker_free(&k);
    if (good)
        return ruleset_identify(s), s;
    ruleset_free(s);
    return NULL;
}

void ruleset_free(struct ruleset *s)
{
    if (!s)
        return;
    names_free(&s->fields);
    free(s->rules);
    free(s->atoms);
    free(s->code);
    free(s->triggers);
    free(s->always);
    free(s->correlations);
    arena_reset(&s->arena);
    free(s);
}
