/* sim_rules.h: Sigma rules for a policy of the tests, compiled here and not in a child process. For world.c and office_play.c. */
#ifndef EXEAT_TESTS_SIM_RULES_H
#define EXEAT_TESTS_SIM_RULES_H

#include "base/err.h"
#include "flow/snapshot.h"

#include <stdnoreturn.h>

noreturn void sim_stop_for(const struct err *e); /* what somebody wrote is wrong: says where, and exits */

/* Sigma documents and actions (NULL: none) for a snapshot that nobody uses yet. Exits with the place of the mistake when something is
 * wrong. */
void world_add_rules(struct snapshot *s, const char *name, const char *rules, const char *actions);

#endif
