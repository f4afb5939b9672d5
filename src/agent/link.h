/* link.h: one proxy's link as the collector knows it: which senders it has been told already, and the lines that wait for the answerer,
 * who holds the socket. agent.c calls in. */
#ifndef EXEAT_AGENT_LINK_H
#define EXEAT_AGENT_LINK_H

#include "agent/agent.h"
#include "agent/channel.h"

/* With the agent's hello waiting in it. NULL without memory. */
struct agent_link *link_new(struct agent *a, uint64_t number, const struct packet_peer *peer,
                            struct agent_link *next);
void link_free(struct agent_link *link); /* nobody may know it any more */

uint64_t link_number(const struct agent_link *link);
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
void link_losses(struct agent_link *link, const struct agent_losses *losses);
void link_around(struct agent_link *link, const struct agent_around *around);

/* The agent's hello once more, because it says something else now. */
void link_hello(struct agent_link *link, const struct agent_hello *hello);

/* What became of a keep. */
void link_kept(struct agent_link *link, const struct agent_kept *kept);

/* The answerer may answer for this caller's next connections on this link himself, for a moment: if the process was told of with all that
 * belongs to it. The link refers to the process as long as he may count for it. */
void link_grant(struct agent_link *link, struct channel *c, const struct attribution *said, uint64_t turn,
                const struct agent_history *history);
/* Of a grant's serial; NULL: forgotten. */
struct process *link_granted(const struct agent_link *link, uint64_t serial);

/* Gives what waits to the answerer. 0, or -1: there was more than there is room for, the link is to be closed. */
int link_flush(struct agent_link *link, struct channel *c);

#endif
