/* ruleset_identity.c: see ruleset_identity.h. Whoever writes the rules is trusted: a digest that can be made to collide would fool only
 * himself. Pure. */
#include "rules/ruleset_identity.h"

/* The finalizer of SplitMix64. */
static uint64_t mix(uint64_t h, uint64_t part)
{
    h = (h ^ part) + 0x9e3779b97f4a7c15;
    h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9;
    h = (h ^ h >> 27) * 0x94d049bb133111eb;
    return h ^ h >> 31;
}

static uint64_t mix_text(uint64_t h, const char *text)
{
    return mix(h, names_hash(span_str(text)));
}

static uint64_t mix_code(uint64_t h, const struct ruleset *s, const struct rule *r)
{
    for (uint32_t i = 0; i < r->code_words; i++) {
        uint32_t word = s->code[r->code + i];
        bool atom = word >> RULE_CODE_SHIFT == EXPR_ATOM;
        uint64_t part = atom ? s->atoms[word & ((1u << RULE_CODE_SHIFT) - 1)].key : word;
        h = mix(h, part);
    }
    return h;
}

static uint64_t mix_fields(uint64_t h, const struct ruleset *s, const uint32_t *fields, size_t count)
{
    for (size_t i = 0; i < count; i++)
        h = mix_text(h, s->fields.texts[fields[i]]);
    return h;
}

static uint64_t mix_correlation(uint64_t h, const struct ruleset *s, const struct correlation *c)
{
    const struct sigma_correlation *w = c->what;
    h = mix(mix(h, (uint64_t)w->type), (uint64_t)w->timespan_ms);
    h = mix(mix(h, (uint64_t)w->min), (uint64_t)w->max);
    h = mix(mix(h, (uint64_t)w->not ), w->generate);
    for (size_t i = 0; i < w->rules.count; i++)
        h = mix(h, s->rules[c->rules[i]].identity);
    h = mix_fields(h, s, c->group_fields, w->rules.count * w->group_by.count);
    return mix_fields(h, s, c->value_fields, w->rules.count * w->fields.count);
}

void ruleset_identify(struct ruleset *s)
{
    for (size_t i = 0; i < s->rule_count; i++) { /* a correlation comes after those it counts */
        struct rule *r = &s->rules[i];
        uint64_t h = mix_text(0xcbf29ce484222325, sigma_document_id(r->document));
        r->identity =
            r->code_words > 0 ? mix_code(h, s, r) : mix_correlation(h, s, &s->correlations[r->correlation]);
    }
}
