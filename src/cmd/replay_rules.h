/* replay_rules.h: the rules of a proposed policy, asked about exchanges that are over: part of `exeat replay`. */
#ifndef EXEAT_CMD_REPLAY_RULES_H
#define EXEAT_CMD_REPLAY_RULES_H

#include "cmd/recorded.h"

struct replay_rules;

/* Those of FOLDER/rules, with actions.yaml and placeholders.yaml beside it where they are. 0; *ret NULL: the folder has no rules. -1 fills
 * reterr. */
int replay_rules_open(const char *folder, struct replay_rules **ret, struct err *reterr);
void replay_rules_free(struct replay_rules *take_p); /* NULL is fine */

/* In the order in which the exchanges ended; only close records count. -1: no memory. */
int replay_rules_ask(struct replay_rules *p, const struct recorded *r);

/* Would anything be different from what the records say? */
bool replay_rules_differ(const struct replay_rules *p);
void replay_rules_print(const struct replay_rules *p);
json_t *replay_rules_json(const struct replay_rules *p); /* a new reference */

#endif
