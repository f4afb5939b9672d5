/* fake_internal.h: what fake_net.c, fake_ops.c and peer.c share. */
#ifndef EXEAT_TESTS_SIM_FAKE_INTERNAL_H
#define EXEAT_TESTS_SIM_FAKE_INTERNAL_H

#include "fake_net.h"

struct net_stream {
    struct net *net;   /* borrowed */
    struct peer *peer; /* borrowed: lives as long as the net */
    void *owner;
    net_ready_fn *ready;
    unsigned want;
    bool hangup_told, finished, write_turn;
    int error;
};

extern struct net *fake_the_net; /* net_deadline_clear() is not told which */

/* Counts a step; true: the call is to fail. */
bool fake_step(struct net *net);
struct net_stream *fake_stream_new(struct net *net, struct peer *p);

bool fake_run_op(struct net *net); /* one that is due */
uint64_t fake_next_op(const struct net *net);

struct peer *peer_new(struct net *net, bool is_client, const struct endpoint *address,
                      const struct endpoint *flow_address); /* NULL: too many */
void peer_free(struct peer *take_p);
void peer_take(struct peer *p, struct span data); /* the flow wrote it */

#endif
