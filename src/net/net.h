/* net.h: the seam. Everything that a flow may ask of the world: bytes, names, connections, time, the agent.
 *
 * flow/ calls in and nothing else does; tests/sim links another implementation of this header and drives the real flow
 * code on a virtual clock. What a worker needs to make and run a `struct net` is in net/loop.h.
 *
 * Rules that hold for every call:
 *  - One worker, one thread: nothing here is thread-safe.
 *  - A callback is never made from inside a call of this header; it comes from the loop. What can be answered at once
 *    is answered by the return value instead.
 *  - After a cancel or a close no callback for that object comes any more, so its owner may be freed at once.
 *  - Readiness is level-triggered and a hint: a read after NET_READABLE may still say NET_AGAIN. */
#ifndef EXEAT_NET_NET_H
#define EXEAT_NET_NET_H

#include "base/ip.h"
#include "wire/agent_message.h"
#include "wire/https_record.h"
#include "wire/record_watch.h"

#include <sys/types.h>

struct net;        /* one worker's loop, timers, resolver, agent link and pipes */
struct net_stream; /* one TCP connection; owned by whoever got it, until net_stream_close() */

/* ---- time ---- */

uint64_t net_now_ms(const struct net *net);  /* monotonic, cached for this turn of the loop */
uint64_t net_wall_ms(const struct net *net); /* since 1970, UTC, cached likewise */

/* One pending deadline; lives in its owner, zeroed before its first use. Coarse: up to 16 ms late, never early. */
struct net_deadline {
    struct net_deadline *next, *prev; /* net's: the wheel's list */
    uint64_t due_ms;
    void (*expired)(struct net_deadline *); /* owner's */
};

/* Starts or moves it. */
void net_deadline_set(struct net *net, struct net_deadline *d, uint64_t after_ms);
void net_deadline_clear(struct net_deadline *d); /* harmless when not set */

/* ---- streams ---- */

enum net_ready {
    NET_READABLE = 1, /* also at EOF and on errors */
    NET_WRITABLE = 2, /* also on errors */
    NET_HANGUP = 4,   /* FIN or RST arrived while reading wasn't wanted; told once */
};

typedef void net_ready_fn(void *owner, struct net_stream *s, unsigned ready);

/* Who hears of readiness. `owner` is borrowed until close or the next call. */
void net_stream_own(struct net_stream *s, void *owner, net_ready_fn *ready);

/* Which of NET_READABLE and NET_WRITABLE to tell from now on; 0 leaves NET_HANGUP only. Cheap when unchanged. */
void net_stream_want(struct net_stream *s, unsigned ready);

/* Bytes moved (>0), 0 for EOF (read only), or one of these. */
enum { NET_AGAIN = -1, NET_FAILED = -2 };
ssize_t net_stream_read(struct net_stream *s, void *ret_data, size_t size);
ssize_t net_stream_write(struct net_stream *s, const void *data, size_t len);

int net_stream_errno(const struct net_stream *s);                    /* of the last NET_FAILED */
const struct endpoint *net_stream_peer(const struct net_stream *s);  /* the other end */
const struct endpoint *net_stream_local(const struct net_stream *s); /* our end */
void net_stream_finish(struct net_stream *s);                        /* sends FIN; reading goes on */

enum net_close { NET_CLOSE_FIN, NET_CLOSE_RST };
void net_stream_close(struct net_stream *take_s, enum net_close how);

/* ---- relay ---- */

/* One direction of a relay; lives in the flow, zeroed before its first use. Holds a pipe or a buffer only while
 * bytes are on their way. */
struct net_lane {
    uint64_t moved_bytes;       /* written to the receiving side so far */
    struct record_watch *watch; /* owner's: is shown every record header that passes; NULL: nobody looks */
    uint16_t copy_moves;        /* net's: so many are copied yet: its records are too small to be peeked at */
    size_t seen_bytes;          /* net's: at the head of the socket's queue, shown to `watch` already */
    struct net_pipe *pipe;      /* net's: owned while not NULL */
    bool ended;                 /* net's: the sender's FIN was seen */
    bool splice;                /* net's: large moves were seen; small ones are cheaper copied */
    uint8_t other_moves;        /* net's: in a row, of the size that the other way suits */
};

enum net_lane_state {
    NET_LANE_WAIT_READ,    /* nothing to move: want `from` readable */
    NET_LANE_WAIT_WRITE,   /* `to` is full: want it writable */
    NET_LANE_DONE,         /* EOF, and everything before it was written */
    NET_LANE_READ_FAILED,  /* see net_stream_errno(from) */
    NET_LANE_WRITE_FAILED, /* see net_stream_errno(to) */
};

/* Moves what it can, within a budget that keeps flows fair (a lane with more to move just stays ready). */
enum net_lane_state net_lane_move(struct net *net, struct net_lane *lane, struct net_stream *from,
                                  struct net_stream *to);
void net_lane_drop(struct net *net, struct net_lane *lane); /* gives the pipe back, bytes in it are lost */

/* ---- names ---- */

enum net_dns { NET_DNS_OK, NET_DNS_NOT_FOUND, NET_DNS_FAILED, NET_DNS_TIMEOUT };

struct net_resolution {
    void (*done)(struct net_resolution *); /* owner's; the result is in the fields below */
    void *owner;                           /* owner's */
    enum net_dns status;
    unsigned count;
    bool from_cache;
    struct ip addresses[16]; /* as the servers gave them; not yet judged by the address guard */
    void *operation;         /* net's; NULL when not under way */
};

/* `host` is canonical and not an address. True: answered at once, `done` isn't called. False: it will be. */
bool net_resolve(struct net *net, struct net_resolution *r, const char *host);
void net_resolve_cancel(struct net *net, struct net_resolution *r); /* harmless when not under way */

/* What a name's HTTPS records (RFC 9460) say; asked for where a hello hides its name behind another. */
struct net_https {
    void (*done)(struct net_https *); /* owner's; the result is in the fields below */
    void *owner;                      /* owner's */
    bool answered;                    /* false: no server did, or not in time */
    struct https_record record;       /* count 0: there is none, or none with ECH */
    void *operation;                  /* net's; NULL when not under way */
};

/* As net_resolve(): `host` is canonical and not an address. Names of the hosts file are not asked for. */
bool net_https_ask(struct net *net, struct net_https *h, const char *host);
void net_https_cancel(struct net *net, struct net_https *h); /* harmless when not under way */

/* ---- connections ---- */

struct net_dialing {
    void (*done)(struct net_dialing *); /* owner's */
    void *owner;                        /* owner's */
    struct net_stream *stream;          /* connected, now the owner's; NULL when every address failed */
    int error;              /* errno of the most telling failure (refused over unreachable over timeout) */
    struct endpoint failed; /* the address which that error is about */
    void *operation;        /* net's; NULL when not under way */
};

/* Tries the addresses by RFC 8305 (families interleaved, a new attempt each attempt_delay_ms or at a failure); they are
 * copied. The first connection wins, the others are closed. Always asynchronous. */
void net_dial(struct net *net, struct net_dialing *d, const struct endpoint *addresses, unsigned count);
void net_dial_cancel(struct net *net, struct net_dialing *d); /* harmless when not under way */

/* ---- who is asking ---- */

struct net_attribution {
    void (*done)(struct net_attribution *); /* owner's */
    /* Owner's: the answer was exact, the connection lived on, and the agent says otherwise now: confidence, connect, reason,
     * holders are new, the sender is if another process is named. NULL: nobody wants to know. Not called once it was cancelled. */
    void (*changed)(struct net_attribution *);
    void *owner;                       /* owner's */
    uint64_t accepted_ms;              /* owner's: net_now_ms() when the connection was accepted */
    const struct net_stream *accepted; /* owner's, borrowed for the call: the connection; may be NULL */
    enum agent_confidence confidence;
    enum agent_basis basis;
    struct agent_connect connect;  /* with basis CONNECT */
    struct sender *sender;         /* counted: the owner's reference; NULL unless known */
    struct agent_peers *peers;     /* likewise: whom it may speak for, as changed() told; NULL: not known */
    struct agent_history *history; /* likewise: what it did lately, as known when the agent answered */
    bool did_more;                 /* at changed(): it did something that it had not done; it is who it was */
    int64_t
        holders[AGENT_HOLDERS_MAX]; /* pids that hold the client's end beside the sender, as far as known */
    size_t holder_count;
    char host[65], host_id[33]; /* the agent's: its name (cut) and machine-id; "" without an answer */
    char platform[16];          /* likewise: "linux"; "" when it doesn't say */
    char reason[48]; /* why it is not exact: the agent's word, or agent_unavailable, agent_timeout */
    void *operation; /* net's; NULL when not under way, nor watched */
};

/* Asks the agent which process holds the client's end. True: answered at once (no agent), `done` isn't called. */
bool net_attribute(struct net *net, struct net_attribution *a, const struct endpoint *client,
                   const struct endpoint *proxy, bool want_hash);
void net_attribute_cancel(struct net *net,
                          struct net_attribution *a); /* the end of it, also of changed(); harmless */

/* ---- what the agent is not to forget ---- */

/* Asks the agent to keep what a lineage did (agent_protocol.h, "keep"), or, for no seconds, to say what it knows of it. */
struct net_keep {
    /* Owner's: called once for each that was asked, then the owner may free it. `kept` is a view for the call; NULL: no answer came. It is
     * called from the loop, or, at the end of the link, of net/ or a reload, from inside of those. */
    void (*done)(struct net_keep *, const struct agent_kept *kept);
    struct agent_keep message; /* owner's: sender_ref and seconds; the rest is net's */
    struct net_deadline late;  /* net's */
    struct net_keep **place;   /* net's */
};

/* False: the agent is not there, does not know of keeping, or was asked for too many already; done() isn't called. */
bool net_keep_ask(struct net *net, struct net_keep *k);

/* ---- work that would hold up the loop (password hashing) ---- */

struct net_job {
    void (*work)(struct net_job *);    /* runs on a pool thread; touches only its own struct */
    void (*done)(struct net_job *);    /* on the loop; not called after a cancel */
    void (*destroy)(struct net_job *); /* frees it; always called, last, on the loop's thread */
    void *owner;                       /* borrowed; NULL after a cancel */
};

/* False: too many are waiting (take_job was destroyed). */
bool net_job_start(struct net *net, struct net_job *take_job);
void net_job_cancel(struct net_job *job);

#endif
