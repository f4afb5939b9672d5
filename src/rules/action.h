/* action.h: what a match of a rule does: policy/actions.yaml, which maps rules by id, by tag, or by level and status. Rule files are never
 * edited for that: a level is a severity, not an action, and the default action is alert. run/ reads the file, rulebook asks. Pure. */
#ifndef EXEAT_RULES_ACTION_H
#define EXEAT_RULES_ACTION_H

#include "rules/sigma.h"

enum { ACTION_ENTRIES_MAX = 4096, ACTION_NAMES_MAX = 4096 };

/* In the order of strictness. ALERT: recorded. TERMINATE: TLS of the tunnel is to be terminated, so that more can be seen. BLOCK: refused
 * with an answer while one can be given, cut later. CUT: both sides are reset at once, whenever it is. */
enum action_kind { ACTION_ALERT, ACTION_TERMINATE, ACTION_BLOCK, ACTION_CUT, ACTION_KIND_COUNT };

/* What is done at the last gate before payload leaves while the rule is neither true nor false: let it pass; hold it back as long as what is
 * missing can still come; or block. */
enum action_unknown { ACTION_PASS, ACTION_HOLD, ACTION_BLOCK_UNKNOWN, ACTION_UNKNOWN_COUNT };

/* What is done at that gate when this flow's path will never show what the rule asks about: unsure is not yes. TERMINATE decrypts the tunnel, so
 * that it can be told after all, where policy can. */
enum action_unevaluable {
    UNEVALUABLE_PASS,
    UNEVALUABLE_ALERT,
    UNEVALUABLE_TERMINATE,
    UNEVALUABLE_REFUSE,
    UNEVALUABLE_COUNT
};

struct action {
    enum action_kind kind;
    bool simulate; /* recorded as what would have been done */
    enum action_unknown on_unknown;
    enum action_unevaluable on_unevaluable;
    unsigned line; /* in the actions' file; 0: the default */
};

struct actions;

/* NULL fills reterr. `file` is copied. */
struct actions *actions_parse(struct span text, const char *file, struct err *reterr);
void actions_free(struct actions *take_a); /* NULL is fine */

/* The first entry of the file that holds for the rule; `a` NULL or no entry: alert. */
struct action actions_find(const struct actions *a, const struct sigma_document *d);

/* -1 with the place of the first entry that names a rule for which `has` says no: a block that nobody would notice is missing. */
int actions_check(const struct actions *a, bool (*has)(void *context, const char *rule), void *context,
                  struct err *reterr);

const char *action_name(enum action_kind k);

#endif
