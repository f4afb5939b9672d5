/* numbers.h: all numbers that rules compare a field with, in order, so that a value looks at those that hold and at one more, not at all of
 * them. Made by match. Pure. */
#ifndef EXEAT_RULES_NUMBERS_H
#define EXEAT_RULES_NUMBERS_H

#include "rules/ruleset.h"

struct number_row {
    uint32_t field, atom;
    enum number_order {
        NUMBERS_ABOVE,
        NUMBERS_BELOW,
        NUMBERS_EQUAL
    } order; /* gt and gte; lt and lte; equal */
    struct number number;
};

struct numbers {
    struct number_row *rows; /* owned; by field, order, then those that hold for more values first */
    size_t count;
};

/* The atoms that rules are found by. False without memory. */
bool numbers_init(struct numbers *n, const struct ruleset *s);
void numbers_free(struct numbers *n);

/* Does any rule compare the field with a number? */
bool numbers_has(const struct numbers *n, uint32_t field);
/* Calls `found` for each atom that holds for `value`; `rising`: of those, only gt and gte. */
void numbers_find(const struct numbers *n, uint32_t field, const struct number *value, bool rising,
                  void (*found)(void *context, uint32_t atom), void *context);

#endif
