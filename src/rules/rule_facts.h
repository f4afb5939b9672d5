/* rule_facts.h: which facts a rule of a rulebook asks about, whichever way round: for those who say why a rule could not be answered, and
 * what a deployment would have to see for it. flow/selftest.c and admin/coverage.c call in. Pure. */
#ifndef EXEAT_RULES_RULE_FACTS_H
#define EXEAT_RULES_RULE_FACTS_H

#include "rules/rulebook.h"

/* Sets ret[FACT] for each that the rule looks into; a correlation's are those of the rules it counts. Nothing is cleared. */
void rule_facts_collect(const struct rulebook *b, uint32_t rule, bool ret[FACT_COUNT]);

/* The analytic of our own that a rule belongs to, "AN0761", by its tag "exeat.an0761"; "" when it belongs to none. */
enum { RULE_ANALYTIC_BYTES = 24 };
void rule_analytic(const struct sigma_document *d, char ret[RULE_ANALYTIC_BYTES]);

#endif
