/* ruleset_index.h: which atoms must be true for a rule to be true: what ruleset finds rules by. Pure. */
#ifndef EXEAT_RULES_RULESET_INDEX_H
#define EXEAT_RULES_RULESET_INDEX_H

#include "rules/ruleset.h"

/* Fills triggers, always and each atom's share of them. 0, or -1 without memory. */
int ruleset_index(struct ruleset *s);

#endif
