/* ruleset_identity.h: which rules of two sets are the same: asked by what carries over from one policy to the next. Pure. */
#ifndef EXEAT_RULES_RULESET_IDENTITY_H
#define EXEAT_RULES_RULESET_IDENTITY_H

#include "rules/ruleset.h"

/* Gives every rule its identity: a digest of its id and of what it asks, filters and, of a correlation, the rules it counts included. Where
 * it stands in the set, how grave it is and what is done about it don't matter. For ruleset_link(), which has made everything else. */
void ruleset_identify(struct ruleset *s);

#endif
