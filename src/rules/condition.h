/* condition.h: Sigma's conditions ("selection and not 1 of filter_*") into expressions over named detections. Sigma calls in, for
 * rules and for filters. Pure. Sigma specification 2.1, "Condition". */
#ifndef EXEAT_RULES_CONDITION_H
#define EXEAT_RULES_CONDITION_H

#include "rules/expr.h"

enum { CONDITION_DEPTH_MAX = 64, CONDITION_BYTES_MAX = 16384 };

struct detection {
    const char *name;        /* view into the arena */
    const struct expr *expr; /* view into the arena */
};

struct condition_fault {
    size_t offset; /* bytes into the text */
    char text[256];
};

/* Names and words: not, and, or, 1 of, any of, all of, them, patterns with *, parentheses; words of the language also in upper
 * case. Patterns and `them` leave out names that begin with _ (a pattern that begins so asks for them). A name or a
 * pattern that nothing answers to is a fault. NULL fills *ret_fault. */
const struct expr *condition_parse(struct arena *a, const char *text, const struct detection *detections,
                                   size_t count, struct condition_fault *ret_fault);

#endif
