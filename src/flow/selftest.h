/* selftest.h: would each analytic fire here, and each rule of it? Pretended exchanges go through the live policy: the running baseline, rules, actions and
 * suppressions, and the findings. Nothing leaves; records and findings say "test"; risk, learning, sightings and counters don't hear of them, and
 * the findings are closed at once. What this deployment could never see is not pretended either: without an agent no history.
 * admin/ calls in on a worker's thread (`exeat findings selftest`); touches the ledger and the findings. */
#ifndef EXEAT_FLOW_SELFTEST_H
#define EXEAT_FLOW_SELFTEST_H

#include "flow/env.h"

/* What the worker's agent is and sees. */
struct selftest_agent {
    bool connected;
    unsigned not_observable; /* a bit for each enum agent_history_kind */
    char name[65];           /* of its host; "" not known */
};

/* Appends one JSON object: {"passed":bool,"generation":N,"analytics":[{"analytic","what","fired","whole","rules":[...],"missing":[...],"notes":[...]}]}
 * An analytic fired when one of its rules made a finding; it is whole when each rule of ours was true of its scene that is loaded and can be
 * answered here. All must be. */
void selftest_run(struct flow_env *env, const struct selftest_agent *agent, struct buf *out);

#endif
