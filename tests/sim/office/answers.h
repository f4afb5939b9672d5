/* answers.h: a person who answers for what was found. For play.c. */
#ifndef EXEAT_TESTS_SIM_OFFICE_ANSWERS_H
#define EXEAT_TESTS_SIM_OFFICE_ANSWERS_H

#include <jansson.h>

#include "flow/findings.h"
#include "office.h"
#include "rules/suppression.h"

struct answers;
struct answers *answers_new(void);
void answers_free(struct answers *take_a);

/* A finding was made, and this is its record; `attack`: what a look at it will show. */
void answers_note(struct answers *a, json_t *record, bool attack);
/* Answers, if it is time to: `at_ms` since the month began. True: there are more suppressions than before. */
bool answers_give(struct answers *a, struct findings *f, int64_t at_ms, int64_t now_ms);
/* What is suppressed by now, the caller's. */
struct suppressions *answers_suppressions(const struct answers *a);
unsigned answers_suppressed(const struct answers *a); /* how many */

#endif
