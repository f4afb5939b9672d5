/* recall.h: asks the host's agent, over a worker's link, what it knows now of a lineage that a finding is about (agent_protocol.h, "keep" for no
 * seconds). The asker waits no longer than it likes, as with selftest.h. server.c calls in. */
#ifndef EXEAT_ADMIN_RECALL_H
#define EXEAT_ADMIN_RECALL_H

#include "run/daemon.h"

#include <uv.h>

struct recall;

/* The agent's name of the process, as a finding keeps it. `wake` is sent to when the answer is there. NULL without memory, or when no worker can
 * be asked. */
struct recall *recall_begin(struct daemon *d, const char *sender_ref, uv_async_t *wake);
bool recall_is_done(const struct recall *r);
void recall_write(const struct recall *r, struct buf *out); /* once it is done: one JSON object, a line */
void recall_end(struct recall *take_r);                     /* the asker's last call; NULL is fine */

#endif
