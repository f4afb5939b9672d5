/* link.h: one proxy's connection: lines in, lines out, and what was sent before. The core calls in; the link calls
 * agent_take_ask(). A peer that speaks wrongly, too long, or does not read is closed, and nobody else notices. */
#ifndef EXEAT_AGENT_LINK_H
#define EXEAT_AGENT_LINK_H

#include "agent/agent.h"

/* Takes the pipe's pending connection; NULL when the peer may not speak (closed, logged) or on failure. */
struct agent_link *link_accept(struct agent *a, uv_stream_t *server, const struct agent_options *options,
                               struct agent_link *next);

int64_t link_peer_uid(const struct agent_link *link);
int64_t link_peer_pid(const struct agent_link *link);
struct agent_link *link_next(const struct agent_link *link);
void link_unlist(struct agent_link **list, struct agent_link *link);

/* Queues an answer. The whole sender of `process` (may be NULL) goes along if this link did not have it in this revision. `brief`: the
 * proxy remembers its history. */
void link_answer(struct agent_link *link, struct agent_answer *answer, const struct process *process,
                 bool full, bool brief);
/* Likewise what has changed since. */
void link_changed(struct agent_link *link, struct agent_answer *changed, const struct process *process);
/* What goes around the proxy, unasked. */
void link_around(struct agent_link *link, const struct agent_around *around);

void link_flush(struct agent_link *link); /* writes what is queued */
void link_close(struct agent_link *link); /* frees it later */

#endif
