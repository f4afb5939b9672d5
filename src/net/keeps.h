/* keeps.h: an agent link's keeps (include/exeat/agent_protocol.h): what the agent was asked not to forget, and has not answered yet. A few at
 * a time, each with a deadline; nobody waits for them. agent_link.c calls in. */
#ifndef EXEAT_NET_KEEPS_H
#define EXEAT_NET_KEEPS_H

#include "net/internal.h"

struct keeps {
    struct net_keep *under_way[AGENT_KEEPS_MAX]; /* their owners', until done() */
    uint64_t asked;                              /* ids begin anew at the end: those of asks are all larger */
};

enum { KEEP_IDS = 16384, KEEP_TIMEOUT_MS = 1500 };

/* Writes the message. False: there are too many, or no room for it; done() isn't called. */
bool keeps_ask(struct keeps *s, struct net *net, struct net_keep *k, struct buf *out);
void keeps_take(struct keeps *s, const struct agent_kept *kept); /* one that was not asked for is dropped */
void keeps_end(struct keeps *s, uint64_t id);                    /* an error instead of an answer */
void keeps_end_all(struct keeps *s);                             /* the link is over */

#endif
