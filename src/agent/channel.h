/* channel.h: one end of the pair between the agent's two processes, on a loop: packets come in by a callback and go out without
 * waiting. What the other end does not take yet is queued up to a bound; what would go over it is refused. Neither end
 * notices that the other process ended (their keeper has both ends, too): the keeper says so in a packet.
 * agent.c and answerer.c call in. */
#ifndef EXEAT_AGENT_CHANNEL_H
#define EXEAT_AGENT_CHANNEL_H

#include "agent/packet.h"

#include <uv.h>

enum { CHANNEL_QUEUE_BYTES = 4 * 1024 * 1024 };

struct channel;

/* `take` gets what came and is a packet; its views are the call's. NULL without memory; the descriptor is closed then. */
struct channel *channel_new(uv_loop_t *loop, int take_fd,
                            void (*take)(void *context, const struct packet *packet), void *context);

/* 0, or -1: the queue is full, it was dropped. */
int channel_send(struct channel *c, const struct packet *packet);

/* Without waiting and without a queue, with descriptors (-1: not this one; the first must be), which stay the caller's. The other
 * end gets its own, by the callback; without one it gets none. */
enum { CHANNEL_FDS = 2 };
int channel_send_fds(struct channel *c, const struct packet *packet, const int fds[CHANNEL_FDS]);
void channel_expect_fds(struct channel *c, void (*take_fds)(void *context, const int fds[CHANNEL_FDS]));

void channel_close(struct channel *c); /* frees it later; NULL is fine */

#endif
