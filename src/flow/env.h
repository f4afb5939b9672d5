/* env.h: what one worker lends to its flows, and what run/ may ask of all flows of a worker. */
#ifndef EXEAT_FLOW_ENV_H
#define EXEAT_FLOW_ENV_H

#include "audit/ledger.h"
#include "base/counters.h"
#include "base/json.h"
#include "flow/habits.h"
#include "flow/limits.h"
#include "flow/pairs.h"
#include "flow/sightings.h"
#include "flow/snapshot.h"
#include "net/net.h"

struct asked_room;
struct executions; /* flow/executions.h */
struct findings;   /* flow/findings.h */
struct observed;   /* flow/observed.h */
struct flow;
struct mint_room;
struct pins;
struct resume_room;
struct signer;

struct flow_env {
    struct net *net;               /* borrowed for the worker's life */
    struct ledger *ledger;         /* borrowed; shared by all workers */
    struct limits *limits;         /* borrowed; shared by all workers */
    struct sightings *sightings;   /* borrowed; shared by all workers */
    struct pairs *pairs;           /* likewise */
    struct habits *habits;         /* likewise */
    struct executions *executions; /* likewise; NULL: what is usual is its host's own (tests) */
    struct store *store;           /* borrowed; shared by all workers; NULL: nothing is kept (tests) */
    struct findings *findings;     /* borrowed; shared by all workers; NULL: none are kept (tests) */
    struct observed *observed;     /* likewise; NULL: nobody asks (tests) */
    struct snapshot *snapshot;     /* counted: the policy for new exchanges */
    struct counters counters;
    unsigned worker;     /* from 0 */
    char uid_prefix[17]; /* random, of this process: makes record ids unique */
    uint64_t next_uid;
    uint8_t auth_salt[16]; /* random: remembered credentials are kept as salted digests only */
    bool stopping;         /* drain: refuse new requests, end idle connections */
    struct flow *flows;    /* this worker's, linked */
    unsigned flow_count;
    struct net_deadline in_time;   /* when an exception in the baseline begins or ends */
    struct judge *judges;          /* owned by flow/judge.c; freed by flow_env_close() */
    struct probes *probes;         /* owned by flow/probe.c; freed by flow_env_close() */
    struct auth_cache *auth_cache; /* owned by flow/auth.c; freed by flow_env_close() */
    struct signer *signer;         /* borrowed; shared by all workers; NULL: nothing can be terminated */
    struct pins *pins;             /* borrowed; shared by all workers */
    struct mint_room *mint;        /* owned by flow/mint.c; freed by flow_env_close() */
    struct resume_room *resume;    /* owned by flow/resume.c; freed by flow_env_close() */
    struct asked_room *asked;      /* owned by flow/asked.c; freed by flow_env_close() */
};

/* How a listener was configured. Lives as long as the listener. */
struct flow_listener {
    struct endpoint endpoint;
    bool tls; /* TLS to the proxy itself */
};

/* `env` zeroed, then net, ledger, limits, sightings, pairs, habits, store, snapshot (a reference is taken over), worker, uid_prefix, auth_salt set. */
void flow_env_init(struct flow_env *env);

/* A client connected: the flow takes the stream and lives until its last record. */
void flow_accept(struct flow_env *env, struct net_stream *take_client, const struct flow_listener *listener);

/* A new policy: takes the reference, and decides every live flow again, `batch` a call; true while some are left. */
void flow_env_publish(struct flow_env *env, struct snapshot *take_snapshot);
bool flow_env_redecide(struct flow_env *env, unsigned batch);

/* Drain: listeners are closed by the caller. Idle keep-alive connections end at once, requests under way go on until
 * flow_env_abort() ends what is left with reason `stopping`. */
void flow_env_stop(struct flow_env *env);
void flow_env_abort(struct flow_env *env);
void flow_env_close(struct flow_env *env); /* frees what env owns; flow_count must be 0 */

/* Appends up to `most` live flows as objects of the open JSON array. */
void flow_env_describe(const struct flow_env *env, struct json *out, unsigned most);

#endif
