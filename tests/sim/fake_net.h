/* fake_net.h: src/net/net.h on a virtual clock: no libuv, no sockets, no sleeping. The tests link it in place of exeat_net.
 *
 * The other end of every stream is a `struct peer`, which the test moves: it sends, closes, resets, stops reading; what it got
 * stays readable after the flow closed its end. Time passes only in net_run_for(). At each call of net.h and each callback
 * ("step") one thing can be made to go wrong: see enum injection. */
#ifndef EXEAT_TESTS_SIM_FAKE_NET_H
#define EXEAT_TESTS_SIM_FAKE_NET_H

#include "base/buf.h"
#include "net/net.h"
#include "tls/session.h"

#include <stdnoreturn.h>

enum { PEERS_MAX = 96, PEER_WINDOW_BYTES = 128 << 10 };

/* ---- what goes wrong ---- */

/* X(NAME, word): at step k of a run, or (the first three) all the time. */
#define INJECTIONS(X)                                                                                        \
    X(NOTHING, "nothing")                                                                                    \
    X(ONE_BYTE_READS, "one-byte-reads")                                                                      \
    X(SHORT_WRITES, "short-writes")                                                                          \
    X(BOTH_SHORT, "one-byte-reads-and-writes")                                                               \
    X(CLIENT_EOF, "client-eof")                                                                              \
    X(SERVER_EOF, "server-eof")                                                                              \
    X(CLIENT_RESET, "client-reset")                                                                          \
    X(SERVER_RESET, "server-reset")                                                                          \
    X(CALL_FAILS, "call-fails")                                                                              \
    X(DEADLINE, "deadline")                                                                                  \
    X(SPURIOUS, "spurious-wake-up")                                                                          \
    X(RELOAD_CUT, "reload-that-cuts")                                                                        \
    X(RELOAD_KEEP, "reload-that-keeps")                                                                      \
    X(STOP, "stop")                                                                                          \
    X(ABORT, "abort")                                                                                        \
    X(LEDGER_FULL, "ledger-full")

enum injection {
#define X(name, word) INJECT_##name,
    INJECTIONS(X)
#undef X
        INJECT_COUNT
};
#define INJECT_FIRST_AT_STEP INJECT_CLIENT_EOF
const char *injection_name(enum injection i);

/* ---- the other ends ---- */

struct peer {
    struct net *net;                       /* borrowed */
    struct net_stream *stream;             /* borrowed: the flow's end; NULL once that is closed */
    struct endpoint address, flow_address; /* this end's, the flow's */
    bool is_client;
    struct buf to_flow;      /* sent, not read by the flow yet */
    struct buf from_flow;    /* written by the flow, and read by the peer */
    struct buf window;       /* written by the flow, not read by the peer: it has stopped reading */
    struct buf plain;        /* deciphered; with TLS */
    struct buf queued;       /* to be enciphered once the handshake is through */
    struct tls_session *tls; /* owned: the peer's own; NULL = plain */
    bool stopped, fin_sent, rst_sent, got_fin, got_rst, flow_closed;
    uint64_t sent_bytes, got_bytes;
    uint64_t bulk_bytes; /* sent after `to_flow`: counted, not carried; only lanes move them */
    bool speaks_tls_failed;
};

void peer_send(struct peer *p, struct span data);
void peer_send_handshake(struct peer *p); /* what its TLS has to say */
/* A server's: what it was sent and has not expected yet is TLS already. */
void peer_begin_tls(struct peer *p, struct tls_session *take_tls);
void peer_finish(struct peer *p); /* FIN; with TLS close_notify before it */
void peer_reset(struct peer *p);
void peer_stop_reading(struct peer *p);
void peer_read_again(struct peer *p);
/* What the peer got and nobody consumed: deciphered, where it speaks TLS. */
struct buf *peer_received(struct peer *p);

/* ---- the world's answers ---- */

struct world_dns {
    enum net_dns status;
    struct ip addresses[16];
    unsigned count;
    uint64_t after_ms; /* 0: answered at once, by the return value */
};

struct world_dial {
    int error;      /* 0: accepts */
    unsigned index; /* which of the addresses */
    uint64_t after_ms;
    struct tls_context *tls; /* borrowed: the server speaks TLS; NULL */
    bool h2;                 /* and HTTP/2 in it */
};

struct world_agent {
    enum agent_confidence confidence;
    struct sender *sender; /* borrowed; NULL */
    const char *reason;
    const char *host;              /* NULL: ws-17 */
    struct agent_history *history; /* borrowed; NULL */
    uint64_t after_ms;             /* 0: answered at once */
    uint64_t changes_after_ms;     /* 0: never. Then the sender is stale, for this reason: */
    const char *change;
};

struct world {
    void *owner;
    void (*dns)(void *owner, const char *host, struct world_dns *ret);
    const char *(*https)(void *owner,
                         const char *host); /* the public name of its ECH; "": it has none; NULL: no answer */
    void (*dial)(void *owner, const struct endpoint *addresses, unsigned count, struct world_dial *ret);
    void (*agent)(void *owner, const struct endpoint *client, struct world_agent *ret);
    void (*to_server)(void *owner, void *flow, struct peer *server,
                      struct span data);              /* before the server has it */
    void (*inject)(void *owner, enum injection what); /* what this module can't do itself; from the loop */
};

/* ---- the network ---- */

struct fake_op; /* a resolution, dialling, question or job under way */

struct net {
    uint64_t now_ms, wall_ms;
    struct world world;
    struct net_deadline *deadlines;
    struct fake_op *ops;
    struct peer *peers[PEERS_MAX]; /* owned; in the order of their connecting */
    unsigned peer_count, turn;
    unsigned streams, pipes, queries, dials, questions;
    bool broken_clock; /* a callback was made from inside a call */
    unsigned calls_depth;
    /* injection */
    enum injection injection;
    uint64_t inject_at, steps;
    enum injection pending; /* to be done by the loop */
    uint64_t turn_bytes;    /* read and written since the last callback began */
    unsigned idle_moves;    /* callbacks since a byte or the time moved */
    uint64_t short_writes, short_reads;
};

struct net *fake_net_new(const struct world *world);
void fake_net_free(struct net *take_net); /* streams, operations, deadlines and pipes must all be gone */

/* A client's connection; the stream is for flow_accept(). NULL when there are too many. */
struct net_stream *fake_net_connect(struct net *net, const struct endpoint *client,
                                    const struct endpoint *proxy, struct peer **ret_peer);

/* Frees the other ends of streams that the flow has closed; nobody may look at them any more. */
void fake_net_forget_closed(struct net *net);

/* Runs what is ready now; time stands still. */
void fake_net_settle(struct net *net);
/* Lets time pass, from event to event. */
void fake_net_run_for(struct net *net, uint64_t ms);
/* When the next deadline or answer is due; UINT64_MAX without any. */
uint64_t fake_net_next_due(const struct net *net);
bool fake_net_is_idle(const struct net *net); /* nothing is open or under way */

noreturn void sim_abort(const char *format, ...) __attribute__((format(printf, 1, 2)));
extern char sim_context[512]; /* which scenario, which injection: told by sim_abort() */

#endif
