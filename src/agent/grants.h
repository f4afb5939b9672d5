/* grants.h: whose connections the answerer may answer for himself on one link, as the collector told it: a few, each for a moment.
 * Pure but for memory. answerer.c calls in. */
#ifndef EXEAT_AGENT_GRANTS_H
#define EXEAT_AGENT_GRANTS_H

#include "agent/packet.h"

enum { GRANTS = 32 };

struct grants {
    struct packet_grant items[GRANTS]; /* by pid: the latest of a place */
};

void grants_take(struct grants *g, const struct packet_grant *grant);

/* A view until the next call; NULL: the collector must be asked. */
const struct packet_grant *grants_find(const struct grants *g, const struct known_caller *caller,
                                       const struct agent_ask *ask, uint64_t turn, int64_t now_ns);

#endif
