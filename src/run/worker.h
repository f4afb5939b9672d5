/* worker.h: one worker: a thread with its own loop, listeners and flows. The daemon makes them, publishes policies to them and
 * ends them; admin/ asks what they are doing. All calls are the main thread's, but for worker_ask(), which is anybody's. */
#ifndef EXEAT_RUN_WORKER_H
#define EXEAT_RUN_WORKER_H

#include "flow/env.h"
#include "net/loop.h"

struct worker;

struct worker_options {
    unsigned index;                /* from 0 */
    const struct net_options *net; /* copied */
    struct ledger *ledger;         /* borrowed, like the limits, until worker_free() */
    struct limits *limits;
    struct sightings *sightings;
    struct pairs *pairs;
    struct habits *habits;
    struct executions *executions;
    struct store *store;
    struct findings *findings;
    struct observed *observed;
    struct pins *pins;
    struct signer *signer;                 /* borrowed likewise; NULL: nothing is terminated */
    struct snapshot *snapshot;             /* the worker takes a reference of its own */
    const char *uid_prefix;                /* 16 characters; copied */
    const struct flow_listener *listeners; /* copied */
    int *take_fds;                         /* bound sockets, one a listener; each is taken, and set to -1 */
    unsigned listener_count;
    int backlog;
};

/* Makes loop and listeners; clients are accepted from worker_start() on. NULL fills reterr. */
struct worker *worker_new(const struct worker_options *options, struct err *reterr);
int worker_start(struct worker *w, struct err *reterr);

/* A new policy and the options that go with it: from now on for new requests, in batches for live flows. Takes a reference of
 * its own. -1 when the worker doesn't answer its messages: it keeps the old policy. */
int worker_publish(struct worker *w, struct snapshot *snapshot, const struct net_options *net);

/* No new connections; idle ones end, others have until worker_abort(). */
void worker_drain(struct worker *w);
void worker_abort(struct worker *w);
bool worker_has_ended(struct worker *w);
/* Waits for the thread, which was told to drain and abort, and frees everything. */
void worker_free(struct worker *take_w);

/* Runs `answer` on the worker's thread with what it may look at; from any thread. -1: not to be had now. */
struct worker_view {
    unsigned index;
    struct flow_env *env; /* borrowed for the call, like the net */
    const struct net *net;
};
typedef void worker_answer_fn(const struct worker_view *view, void *argument);
int worker_ask(struct worker *w, worker_answer_fn *answer, void *argument);

#endif
