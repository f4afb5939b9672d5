/* gather.h: asks all workers at once and collects what they say. The asker waits no longer than it likes; an answer that comes later
 * finds its place and is thrown away with it. */
#ifndef EXEAT_ADMIN_GATHER_H
#define EXEAT_ADMIN_GATHER_H

#include "run/daemon.h"

#include <uv.h>

enum { GATHER_FLOWS_MAX = 1000, GATHER_FLOWS_BYTES = 1024 * 1024 };

/* What one worker said. */
struct gather_slot {
    bool asked;           /* the asker's: false for a worker that has ended or is stuck */
    atomic_bool answered; /* then the rest is fixed */
    unsigned flows;
    uint64_t counters[COUNTER_COUNT];
    struct net_stats net;
    struct buf flows_json; /* its flows' objects, comma-separated; owned */
};

struct gather {
    atomic_uint refs; /* the asker's, and one a worker that was asked */
    pthread_mutex_t lock;
    uv_async_t *wake;    /* the asker's, sent at each answer; NULL once it lost interest; under `lock` */
    unsigned flows_most; /* of each worker; 0: none */
    unsigned count;
    struct gather_slot slots[]; /* a worker each */
};

/* Asks; `wake` is sent to when an answer has come. NULL without memory. */
struct gather *gather_start(struct daemon *d, unsigned flows_most, uv_async_t *wake);
bool gather_is_complete(const struct gather *g); /* all that were asked have answered */
void gather_end(struct gather *take_g);          /* the asker's last call; NULL is fine */

#endif
