/* recall.h: asks the host's agent, over a worker's link, what it knows now of a lineage that a finding is about (agent_protocol.h, "keep" for no
 * seconds). server.c calls in. */
#ifndef EXEAT_ADMIN_RECALL_H
#define EXEAT_ADMIN_RECALL_H

#include "admin/reply.h"

/* The agent's name of the process, as a finding keeps it. NULL without memory, or when no worker can be asked. */
struct reply *recall_begin(struct daemon *d, const char *sender_ref, uv_async_t *wake);

#endif
