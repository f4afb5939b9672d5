/* evaluate.h: which rules of a rulebook are true of what is known about one exchange so far. The same exchange is looked at again whenever more
 * of it is known; what was scanned once is not scanned again. flow/judge.c asks while the exchange is under way, `exeat rules explain`
 * afterwards. Pure but for hyperscan. */
#ifndef EXEAT_RULES_EVALUATE_H
#define EXEAT_RULES_EVALUATE_H

#include "rules/match.h"
#include "rules/rulebook.h"

/* What was found out about an exchange; begins zeroed. */
struct evaluation {
    uint8_t seen[FACT_COUNT]; /* how each fact stood when it was last looked at */
    uint32_t *atoms;          /* owned: found true */
    size_t count, room;
    bool begun;
};
void evaluation_free(struct evaluation *x); /* zeroed again */

/* The machinery: one a worker and rulebook. `b` is borrowed until evaluator_free(). NULL without memory. */
struct evaluator;
struct evaluator *evaluator_new(const struct rulebook *b);
void evaluator_free(struct evaluator *take_e); /* NULL is fine */

/* How to look: at CONNECT nothing that comes later is known yet; at CLOSE nothing can change any more. `only_try`: nothing is remembered.
 * `always`: also when nothing has changed, for what is asked about the match afterwards. `partial`: by fact, whose values were more once (a URL
 * of which a record kept no query): what doesn't hold of them is unknown; NULL: none. */
struct evaluate_how {
    enum fact_phase phase;
    bool only_try, always;
    const bool *partial; /* borrowed for the call */
};

/* All rules that are true now, in the order of the set, silent ones too: a view until the next call. None when nothing has changed since the
 * last look. 0, or -1 without memory. */
int evaluate(struct evaluator *e, struct evaluation *x, const struct facts *facts, struct evaluate_how how,
             const uint32_t **ret_rules, size_t *ret_count);

/* How many processes it has asked; not those that it knew already. */
uint64_t evaluator_processes_asked(const struct evaluator *e);

/* After evaluate(): its values, for correlations and explanations. */
struct match *evaluator_match(struct evaluator *e);

/* After evaluate(): the rule is UNKNOWN, and could something that is still to come tell? */
bool evaluator_may_become_known(const struct evaluator *e, uint32_t rule);

/* Does the rule ask for a fact of that phase that is still pending? */
bool evaluator_waits_for(const struct evaluator *e, const struct facts *facts, uint32_t rule,
                         enum fact_phase phase);

/* A fact as texts, as rules see it: numbers in decimal. The view lives until the next evaluate(). */
const struct span *evaluator_texts(struct evaluator *e, const struct facts *facts, enum fact which,
                                   size_t *ret_count);

#endif
