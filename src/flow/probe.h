/* probe.h: certificates that the wire hides, shown to us: a connection of our own to the very address and port of a tunnel, with its SNI
 * and ALPN and no secret of its client, through the same parent where there is one. Results are kept for a while by (address, port, SNI, CONNECT host and port, ALPN); one probe a key is
 * under way, all are bounded in number and rate. One worker's: `struct probes` belongs to flow/env.h. Called by peek.c; touches net.h's
 * dialling and streams. */
#ifndef EXEAT_FLOW_PROBE_H
#define EXEAT_FLOW_PROBE_H

#include "flow/chain.h"

enum {
    PROBES_KEPT = 1024, /* results and probes under way */
    PROBES_UNDER_WAY = 32,
    PROBE_ALPN_BYTES = 256,
    PROBE_LIST_BYTES = 256, /* suites and groups of the client that are repeated */
    PROBE_HELLO_BYTES = 1024,
};

struct probes; /* owned by the env; NULL until the first probe */

/* What is asked, copied by probe_ask(). */
struct probe_question {
    struct endpoint
        server;       /* the address that the tunnel is connected to: a parent's, where it goes through one */
    struct span ask;  /* then: what opens the way there (CONNECT); empty: direct */
    uint16_t port;    /* of CONNECT */
    const char *name; /* SNI; NULL: none */
    const char *host; /* of CONNECT */
    struct span alpn; /* length-prefixed names */
    struct span suites, groups; /* 16-bit values, as the client offered them */
    uint16_t min_version, max_version;
};

/* What came of it: views into the cache for the call only, but for the record, which is counted. */
struct probe_answer {
    struct chain_record *record; /* borrowed for the call: take a reference; NULL: see why */
    const char *why;             /* why there is none: lives for ever */
    const char *detail;          /* for people; "" without */
    struct span server_hello;    /* the handshake message that our hello was answered with; may be empty */
};

/* A question that waits for its answer; lives in its owner. */
struct probe_wait {
    struct probe_wait *next, *prev; /* probe.c's; NULL when not waiting */
    struct probe *probe;            /* likewise */
    void *owner;
    void (*done)(struct probe_wait *, const struct probe_answer *);
};

struct flow_env;

/* True: *ret is the answer. False: `done` will be called. */
bool probe_ask(struct flow_env *env, const struct probe_question *q, struct probe_wait *w,
               struct probe_answer *ret);
void probe_cancel(struct probe_wait *w); /* harmless when not waiting; the probe goes on, for others */
void probes_free(struct flow_env *env);  /* ends what is under way; nobody may wait any more */

#endif
