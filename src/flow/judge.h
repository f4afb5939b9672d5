/* judge.h: what rules made of an exchange so far. Part of struct exchange; only judge.c writes it, record.c reads it. */
#ifndef EXEAT_FLOW_JUDGE_H
#define EXEAT_FLOW_JUDGE_H

#include "rules/evaluate.h"

#include <stdatomic.h>

enum { JUDGE_NOT_EVALUABLE_MAX = 16, JUDGE_PAST_BYTES_MAX = 4096 };

/* What became of a rule's action. TAKEN; or it was not, because the entry says simulate, because the mode is report or open, because it
 * came too late to be taken, because there is nothing to terminate here or policy spares it, or because a correlation only counts it. */
#define JUDGE_OUTCOMES(X)                                                                                    \
    X(TAKEN, "taken")                                                                                        \
    X(SIMULATED, "simulated")                                                                                \
    X(REPORTED, "reported")                                                                                  \
    X(RECORDED, "recorded")                                                                                  \
    X(TOO_LATE, "too_late")                                                                                  \
    X(IMPOSSIBLE, "impossible")                                                                              \
    X(COUNTED, "counted")

enum judge_outcome {
#define X(id, word) JUDGE_##id,
    JUDGE_OUTCOMES(X)
#undef X
};

struct judge_match {
    uint32_t rule; /* of the snapshot's set */
    enum fact_phase phase;
    enum judge_outcome outcome;
    enum action_kind action; /* that was to be taken */
    bool unknown;            /* because it is neither true nor false */
    bool tallied;            /* its correlations have it */
};

struct judge_past;

struct judgement {
    uint64_t generation; /* the policy whose rules are numbered here; 0: none was asked yet */
    struct evaluation evaluation;
    struct judge_match *matches; /* owned */
    size_t count, room;
    uint64_t *matched;   /* owned: bits, by rule: which stand in `matches`; NULL before the first */
    uint32_t decided_by; /* the rule that ended it, plus 1; 0 none */
    bool unknown;        /* it ended it because it could not be answered */
    uint64_t next_out_bytes, next_in_bytes,
        next_total_bytes;                            /* when to ask again while bytes move; 0: at once */
    uint32_t not_evaluable[JUDGE_NOT_EVALUABLE_MAX]; /* rules; filled at the end */
    size_t not_evaluable_count;                      /* may be more than are named */
    struct judge_past *past; /* owned; NULL: no policy before this one said anything */
    bool closed;
};

/* What has come of each rule under one policy, for `exeat status`: part of the snapshot, counted by all workers. `looked`: how many rules
 * were asked at the end of exchanges whether they could be answered; each its share, for they take turns. */
struct rule_count {
    atomic_uint matched, unknown;
};
struct rule_counts {
    atomic_ullong looked;
    size_t count;
    struct rule_count rules[];
};
struct rule_counts *rule_counts_new(size_t rules); /* NULL without memory; free() it */

const char *judge_outcome_name(enum judge_outcome o);

#endif
