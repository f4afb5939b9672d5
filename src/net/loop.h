/* loop.h: making and running one worker's I/O. run/ calls in (one thread a worker); flow/ never sees this header. */
#ifndef EXEAT_NET_LOOP_H
#define EXEAT_NET_LOOP_H

#include "wire/agent_around.h"
#include "wire/agent_history.h"
#include "net/net.h"

struct net_options {
    /* resolver */
    const char
        *dns_servers; /* c-ares csv, or NULL for the system's (/etc/resolv.conf, followed when it changes) */
    unsigned dns_timeout_ms, dns_cache_entries, dns_ttl_max_s;
    /* dial */
    unsigned dial_timeout_ms, dial_attempt_delay_ms;
    unsigned tcp_keepalive_s;  /* 0 = off; both sides */
    unsigned write_timeout_ms; /* TCP_USER_TIMEOUT: unacknowledged bytes */
    /* agent */
    const char *agent_socket; /* NULL = no agent */
    unsigned agent_timeout_ms, hash_wait_ms;
    long agent_uid;                 /* SO_PEERCRED must say this uid; -1 = ours or root's */
    const struct endpoint *proxies; /* our listeners, told to the agent; copied */
    unsigned proxies_count;
    /* relay */
    unsigned splice_pipes; /* most pipes this worker may hold; then it copies */
};

/* Everything is copied. NULL and reterr when something cannot be had. */
struct net *net_new(const struct net_options *options, const char **ret_error);
void net_reconfigure(struct net *net,
                     const struct net_options *options); /* timeouts, servers, agent socket: from now on */
void net_run(struct net *net);                           /* until net_stop() */
void net_stop(struct net *net);                          /* from the loop's own thread */
void net_free(struct net *net);                          /* every stream must have been closed */

/* Runs `call(argument)` on the loop's thread; from any thread. 0, or -1 when too many are waiting. */
int net_post(struct net *net, void (*call)(void *argument), void *argument);

/* ---- listening ---- */

/* A socket bound to `e`, SO_REUSEPORT, not yet listening; before privileges are dropped. -1 with *ret_error. */
int net_bind(const struct endpoint *e, const char **ret_error);

struct net_listener;
typedef void net_accept_fn(void *owner, struct net_stream *take_s, void *tag);

/* Listens on a bound descriptor (taken) and hands over each connection. When descriptors run out it pauses, says so, and
 * goes on; clients wait in the backlog meanwhile. */
struct net_listener *net_listen(struct net *net, int take_fd, int backlog, net_accept_fn *accepted,
                                void *owner, void *tag, const char **ret_error);
void net_listener_close(struct net_listener *take_l);

/* ---- for status ---- */

/* What the agent says of itself, in its hello and later; zeroed while none is connected. */
struct net_agent {
    char host[65], platform[16];
    bool tells_observable;
    unsigned not_observable; /* a bit for each enum agent_history_kind */
    unsigned keep;           /* lineages whose history it keeps at most, when asked to; 0: none */
    struct agent_losses losses;
    char degraded[AGENT_DEGRADED_MAX][AGENT_TEXT_BYTES]; /* what does not work there, for people */
    size_t degraded_count;
};

struct net_stats {
    uint64_t accepted, accept_paused, dns_queries, dns_cache_hits, dials, dial_failures, asks, ask_timeouts;
    unsigned streams, pipes, agent_connected;
    struct agent_around around; /* what goes around us, as the agent said last */
    bool has_around;
    struct net_agent agent;
    char agent_state[96]; /* one line for people: "connected: host NAME, owner by proc" or why not */
};
void net_stats(const struct net *net, struct net_stats *ret);

#endif
