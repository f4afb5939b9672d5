/* rules_policy.h: the rules, actions and placeholders that a configuration names, as a rulebook for its snapshot. Called by snapshot.c at start
 * and at each reload, on no worker's thread: reads files, and has patterns compiled in a child process. */
#ifndef EXEAT_RUN_RULES_POLICY_H
#define EXEAT_RUN_RULES_POLICY_H

#include "conf/conf.h"
#include "rules/rulebook.h"

struct rules_sources {
    const char *const *paths; /* borrowed for the call: files, folders */
    size_t count;
    const char *actions, *placeholders; /* borrowed; NULL: none */
};
/* The same of files that no configuration names. *ret is not NULL. */
int rules_policy_read(const struct rules_sources *s, struct rulebook **ret, struct err *reterr);

/* 0; *ret is NULL when no rules are configured. Rules that can't be loaded are logged and left out; -1 fills reterr when one of them is to
 * block, when an action names a rule that isn't there, or when a file can't be read. */
int rules_policy_load(const struct conf *c, struct rulebook **ret, struct err *reterr);

#endif
