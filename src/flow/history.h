/* history.h: what the sender did lately, as facts. attribute.c calls in. */
#ifndef EXEAT_FLOW_HISTORY_H
#define EXEAT_FLOW_HISTORY_H

#include "facts/facts.h"
#include "wire/agent_history.h"

/* `history` NULL: nobody tells. Facts are views into it. */
void history_set_facts(struct facts *facts, const struct agent_history *history);

#endif
