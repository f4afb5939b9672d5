/* ruleset_index.c: see ruleset_index.h. For each rule a cover: atoms of which at least one is TRUE whenever the rule is. An AND needs the
 * cover of one of its parts (the cheapest), an OR those of all; a negation turns the two round, and a negated atom has no
 * cover, because it holds where nothing is there. Pure. */
#include "rules/ruleset_index.h"

#include <stdlib.h>

enum { NO_COVER = 1 << 30 };

/* Atoms, one after the other; a cover is a part of the list. */
struct list {
    uint32_t *items; /* owned */
    size_t count, room;
    bool failed;
};

static void list_add(struct list *l, uint32_t item)
{
    if (l->count == l->room) {
        size_t room = l->room ? 2 * l->room : 64;
        uint32_t *items = realloc(l->items, room * sizeof *items);
        if (!items) {
            l->failed = true;
            return;
        }
        l->items = items;
        l->room = room;
    }
    l->items[l->count++] = item;
}

static bool may_trigger(const struct atom *a)
{
    return a->kind != ATOM_NULL && a->kind != ATOM_FIELDREF;
}

static unsigned add_costs(unsigned a, unsigned b)
{
    return a >= NO_COVER || b >= NO_COVER ? NO_COVER : a + b;
}

/* Appends the cover of the code at `at` to the list and returns what it costs, or NO_COVER (and what was appended counts for
 * nothing). Depth is that of conditions, bounded. */
static unsigned cover(const struct ruleset *s, uint32_t at, bool negated, struct list *l)
{
    uint32_t word = s->code[at], kind = word >> RULE_CODE_SHIFT,
             payload = word & ((1u << RULE_CODE_SHIFT) - 1);
    size_t start = l->count;
    if (kind == EXPR_ATOM) {
        if (negated || !may_trigger(s->atoms[payload].atom))
            return NO_COVER;
        list_add(l, payload);
        return s->atoms[payload].atom->weight;
    }
    if (kind == EXPR_NOT)
        return cover(s, at + 1, !negated, l);
    bool all = (kind == EXPR_OR) != negated;
    unsigned best = all ? 0 : NO_COVER;
    size_t best_len = 0;
    for (uint32_t child = at + 1, end = at + 1 + payload; child < end;) {
        size_t mark = l->count;
        unsigned cost = cover(s, child, negated, l);
        if (all) {
            best = add_costs(best, cost);
        } else if (cost < best) {
            best = cost;
            best_len = l->count - mark;
            if (best_len)
                memmove(l->items + start, l->items + mark, best_len * sizeof *l->items);
            l->count = start + best_len;
        } else {
            l->count = mark;
        }
        uint32_t w = s->code[child];
        child += 1 + (w >> RULE_CODE_SHIFT == EXPR_ATOM ? 0 : w & ((1u << RULE_CODE_SHIFT) - 1));
    }
    if (best >= NO_COVER)
        l->count = start;
    return best;
}

/* (atom, rule) */
struct pair {
    uint32_t atom, rule;
};

static int compare_pairs(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    return x->atom != y->atom ? (x->atom > y->atom) - (x->atom < y->atom)
                              : (x->rule > y->rule) - (x->rule < y->rule);
}

struct pairs {
    struct pair *items; /* owned */
    size_t count, room;
};

static bool add_pairs(struct pairs *p, const struct list *l, uint32_t rule)
{
    if (p->count + l->count > p->room) {
        size_t room = 2 * p->room + l->count + 64;
        struct pair *items = realloc(p->items, room * sizeof *items);
        if (!items)
            return false;
        p->items = items;
        p->room = room;
    }
    for (size_t i = 0; i < l->count; i++)
        p->items[p->count++] = (struct pair){l->items[i], rule};
    return true;
}

static int fill(struct ruleset *s, struct pairs *p)
{
    s->triggers = malloc((p->count ? p->count : 1) * sizeof *s->triggers);
    if (!s->triggers)
        return -1;
    if (p->count)
        qsort(p->items, p->count, sizeof *p->items, compare_pairs);
    uint32_t out = 0;
    for (size_t i = 0; i < p->count; i++) {
        struct ruleset_atom *a = &s->atoms[p->items[i].atom];
        if (i > 0 && out > 0 && a->count && s->triggers[out - 1] == p->items[i].rule &&
            p->items[i].atom == p->items[i - 1].atom)
            continue; /* twice in one cover */
        if (a->count++ == 0)
            a->first = out;
        s->triggers[out++] = p->items[i].rule;
    }
    return 0;
}

int ruleset_index(struct ruleset *s)
{
    struct list l = {0};
    struct pairs p = {0};
    int result = 0;
    s->always = malloc((s->rule_count ? s->rule_count : 1) * sizeof *s->always);
    if (!s->always)
        return -1;
    for (uint32_t i = 0; i < s->rule_count && result == 0; i++) {
        if (s->rules[i].code_words == 0)
            continue;
        l.count = 0;
        if (cover(s, s->rules[i].code, false, &l) >= NO_COVER) {
            s->rules[i].always = true;
            s->always[s->always_count++] = i;
        } else if (l.failed || !add_pairs(&p, &l, i)) {
            result = -1;
        }
    }
    if (result == 0)
        result = fill(s, &p);
    free(l.items);
    free(p.items);
    return result;
}
