/* match.h: which rules of a set are true of what is known so far. Three-valued: what is pending or will never be seen is UNKNOWN, and
 * UNKNOWN never fires a rule.
 *
 * One struct match a worker; begin, set each field once, run. Fields are scanned as they are set; run() evaluates only rules that an atom
 * which came true points to, and the few that nothing needs to be true for. Pure but for hyperscan. */
#ifndef EXEAT_RULES_MATCH_H
#define EXEAT_RULES_MATCH_H

#include "facts/facts.h"
#include "rules/compile.h"

struct match_value {
    enum fact_state state; /* KNOWN with no values: there, and null */
    const struct span
        *values; /* borrowed until the next begin(), their texts as well: texts; numbers in decimal */
    size_t count;
    bool more;   /* other sources of the same field are pending: what doesn't hold yet may still */
    bool rising; /* the value can still grow: only gt and gte can be answered, with yes */
};

struct match;

/* `s` and `c` are borrowed until match_free(). NULL without memory. */
struct match *match_new(const struct ruleset *s, const struct compiled *c);
void match_free(struct match *m); /* NULL is fine */

/* Fields that aren't set are ABSENT when `complete` (a whole event), else PENDING. */
void match_begin(struct match *m, bool complete);

/* `field` is a number of s->fields, not the keyword's. A field is set once after begin(). */
void match_set(struct match *m, uint32_t field, const struct match_value *v);
/* A field no rule asks for: keywords look into it too. */
void match_set_unnamed(struct match *m, const struct match_value *v);

/* For an event that is looked at again when more of it is known: of the field's values only the `fresh` ones, `count` of them, are scanned; what
 * was found true before match_note() says. Only for values that don't change any more. */
void match_set_again(struct match *m, uint32_t field, const struct match_value *v, const struct span *fresh,
                     size_t count);
void match_note(struct match *m, uint32_t atom);
/* The atoms found true since begin(), of those that rules are found by or that are patterns: a view that lasts until the next begin(). */
const uint32_t *match_atoms(const struct match *m, size_t *ret_count);

/* The rules that are TRUE, in the order of the set (correlations are not among them): a view that lasts until the next run(). */
const uint32_t *match_run(struct match *m, size_t *ret_count);

/* What one rule or one atom is worth; for explanations, and for what stays unknown at the end. */
enum truth match_rule(struct match *m, uint32_t rule);
enum truth match_atom(struct match *m, uint32_t atom);
/* Of a part of a rule: the code that begins at this word of the set's. */
enum truth match_code(struct match *m, uint32_t at);

/* The value that was set, or NULL. */
const struct match_value *match_value(const struct match *m, uint32_t field);

#endif
