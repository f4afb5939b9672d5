/* rule_facts.c: see rule_facts.h. Pure. */
#include "rules/rule_facts.h"

#include <stdio.h>
#include <string.h>

static void add_field(const struct rulebook *b, uint32_t field, bool ret[FACT_COUNT])
{
    if (field == RULESET_KEYWORD)
        return;
    for (uint32_t i = 0; i < b->fields[field].count; i++)
        ret[b->fields[field].facts[i]] = true;
}

static void add_code(const struct rulebook *b, const struct rule *r, bool ret[FACT_COUNT])
{
    const struct ruleset *s = b->set;
    for (uint32_t i = 0; i < r->code_words; i++) {
        uint32_t word = s->code[r->code + i];
        if (word >> RULE_CODE_SHIFT != EXPR_ATOM)
            continue;
        const struct ruleset_atom *a = &s->atoms[word & ((1u << RULE_CODE_SHIFT) - 1)];
        add_field(b, a->field, ret);
        if (a->atom->kind == ATOM_FIELDREF)
            add_field(b, a->other, ret);
    }
}

void rule_facts_collect(const struct rulebook *b, uint32_t rule, bool ret[FACT_COUNT])
{
    const struct rule *r = &b->set->rules[rule];
    if (r->expr) {
        add_code(b, r, ret);
        return;
    }
    const struct correlation *c = &b->set->correlations[r->correlation];
    for (size_t i = 0; i < c->what->rules.count; i++) /* each stands before it: no circles */
        rule_facts_collect(b, c->rules[i], ret);
}

void rule_analytic(const struct sigma_document *d, char ret[RULE_ANALYTIC_BYTES])
{
    ret[0] = '\0';
    for (size_t i = 0; i < d->tags.count; i++)
        if (strncmp(d->tags.items[i], "exeat.an", 8) == 0)
            snprintf(ret, RULE_ANALYTIC_BYTES, "AN%.20s", d->tags.items[i] + 8);
}
