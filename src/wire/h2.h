/* h2.h: HTTP/2 between a client and a server, both ends ours (RFC 9113, 7541, 8441): one nghttp2 session toward each, streams
 * mapped one to one. Each request stops here until its owner has judged it: passed on, held, or answered by us.
 * A server that speaks HTTP/1.1 only is asked one request after the other, each made anew and read back before it leaves.
 * Flow control goes from end to end: a sender gets window back only as the other side takes the bytes, so that what lies here is
 * bounded whatever either peer does. Frames that are not part of a message are never passed on (ALTSVC, ORIGIN, PRIORITY, PUSH_PROMISE).
 * flow/ calls in, with the bytes of two connections; it owns sockets, TLS, clock and policy. Pure: memory only. */
#ifndef EXEAT_WIRE_H2_H
#define EXEAT_WIRE_H2_H

#include "base/buf.h"
#include "wire/http1.h"

enum h2_fault {
    H2_NO_FAULT,
#define X(NAME, name, status, text) H2_##NAME,
#include "wire/h2_faults.def"
#undef X
    H2_FAULTS /* their number */
};

const char *h2_fault_name(enum h2_fault fault); /* "h2_flood"; static. "none" for H2_NO_FAULT */
const char *h2_fault_text(enum h2_fault fault);
int h2_fault_status(enum h2_fault fault);

/* Which end: the peer of that session. */
enum h2_side { H2_CLIENT, H2_SERVER };

/* How a stream ended. */
enum h2_end {
    H2_DONE,            /* the response went to the client to its end */
    H2_ANSWERED,        /* we answered (h2_answer), and that went out */
    H2_RESET_BY_CLIENT, /* also: the client's part was malformed */
    H2_RESET_BY_SERVER, /* also: the server's part was malformed */
    H2_RESET_BY_US,     /* h2_cut() */
    H2_GONE             /* the connection ended first */
};

struct h2_limits {
    size_t head_bytes;   /* of one section of fields, counted as in RFC 9113, 6.5.2 */
    unsigned headers;    /* fields in it */
    size_t target_bytes; /* :path */
    unsigned streams;    /* a client may have open at once */
    bool
        server_h1; /* the server speaks HTTP/1.1: the owner looks at h2_bridge_takes() before it passes a request */
    bool https;      /* the scheme that requests must name */
    const char *via; /* our pseudonym; NULL: no Via. borrowed for the bridge's life */
};

struct h2_bridge;
struct h2_stream;

/* What the owner is told. No call may free the bridge. Heads are struct http1_head, so that whoever judges HTTP/1.1 judges this too:
 * minor is 1, pseudo-header fields stand in method, target, host and status. Views that last for the call. */
struct h2_events {
    /* A request: its head is whole, and with a fault it must not go on (what could be read is in `head`). The owner calls h2_pass(),
     * h2_answer() or h2_cut(), now or later; until then the stream waits. */
    void (*request)(void *owner, struct h2_stream *s, const struct http1_head *head, enum h2_fault fault);
    /* A response's head, before any of it goes to the client; not for interim ones. Here h2_answer() still replaces it. */
    void (*response)(void *owner, struct h2_stream *s, const struct http1_head *head);
    /* Payload that came from `from`. */
    void (*data)(void *owner, struct h2_stream *s, enum h2_side from, struct span data);
    /* There is no response, and none will come: the server's connection is lost (H2_NO_FAULT), it was too slow (H2_STREAM_TIMEOUT), or what
     * it said in HTTP/1.1 is no response. The owner may h2_answer(); otherwise the stream is reset. */
    void (*unanswered)(void *owner, struct h2_stream *s, enum h2_fault fault);
    /* HTTP/1.1 only: the server had closed the connection before it read this request, which can be asked again: it waits for h2_pass(),
     * over a new connection, as before its first. */
    void (*again)(void *owner, struct h2_stream *s);
    /* The last call for this stream. `code` is RFC 9113's (7) where there was a reset. */
    void (*closed)(void *owner, struct h2_stream *s, enum h2_end end, enum h2_fault fault, uint32_t code);
};

/* NULL without memory. `events` and `owner` are borrowed for the bridge's life. */
struct h2_bridge *h2_bridge_new(const struct h2_limits *limits, const struct h2_events *events, void *owner);
/* Streams that are left end as H2_GONE first. NULL is fine. */
void h2_bridge_free(struct h2_bridge *take_bridge);

/* What a peer sent. 0, or -1: that connection is over, see h2_bridge_fault(); what h2_bridge_write() still gives (a GOAWAY) should be
 * sent. now_ms: any clock that does not go back. */
int h2_bridge_receive(struct h2_bridge *b, enum h2_side from, struct span bytes, uint64_t now_ms);

/* Appends what is to be sent to that peer, until `out` holds `most` bytes or a frame more. 0, or -1: no memory, or over. */
int h2_bridge_write(struct h2_bridge *b, enum h2_side to, struct buf *out, size_t most);

/* That peer sends no more. The server's loss ends the streams without a response as `unanswered`, the others by a reset; of an HTTP/1.1
 * server's only the one that it is asked, and not when its connection ended in order (`whole`) and that is how the response ends. */
void h2_bridge_lost(struct h2_bridge *b, enum h2_side side, bool whole);

/* ---- a server that speaks HTTP/1.1 (limits.server_h1) ---- */

/* There is a connection to it, on which nothing was asked yet. */
void h2_bridge_connected(struct h2_bridge *b, uint64_t now_ms);
/* May a request be passed now? Of an HTTP/2 server always. */
bool h2_bridge_takes(const struct h2_bridge *b);
/* Its connection is of no further use: to be closed, and told by h2_bridge_lost(). */
bool h2_bridge_spent(const struct h2_bridge *b);
/* Is there room for what it sends? Else it must wait in its socket. */
bool h2_bridge_reads(const struct h2_bridge *b);
/* What was wrong with the response that was H2_H1_RESPONSE last. */
struct http1_fault_at h2_bridge_h1_fault(const struct h2_bridge *b);
/* No further requests are taken; those under way go on. */
void h2_bridge_stop(struct h2_bridge *b);
/* Nothing is left to do: no stream is open, and an end was announced. (After that `out` is to be flushed.) */
bool h2_bridge_done(const struct h2_bridge *b);
/* Streams in which nothing moved for that long end: 504 by `unanswered`, or a reset. tunnel_ms is for WebSockets. */
void h2_bridge_expire(struct h2_bridge *b, uint64_t now_ms, uint64_t response_ms, uint64_t idle_ms,
                      uint64_t tunnel_ms);

/* Why the connection is over, and through whom; H2_NO_FAULT while it isn't. */
enum h2_fault h2_bridge_fault(const struct h2_bridge *b, enum h2_side *ret_side);
unsigned h2_bridge_streams(const struct h2_bridge *b);
/* Payload that lies here now, both ways, bytes. */
size_t h2_bridge_held(const struct h2_bridge *b);
/* The first stream, and the next; NULL at the end. The stream given may be ended meanwhile, no other. */
struct h2_stream *h2_bridge_first(const struct h2_bridge *b);
struct h2_stream *h2_stream_next(const struct h2_stream *s);

/* ---- one stream ---- */

/* The request goes on to the server, with `authority` as its :authority: what was decided, not what was written. 0, or -1: it can't
 * (the stream ends by a reset). */
int h2_pass(struct h2_stream *s, struct span authority);
/* Our answer instead of the server's; as long as no response has begun. `fields` and `body` are copied. 0, or -1 (reset). */
int h2_answer(struct h2_stream *s, int status, const struct http1_header *fields, size_t count,
              struct span body);
/* Reset toward both. */
void h2_cut(struct h2_stream *s);

uint32_t h2_stream_id(const struct h2_stream *s); /* the client's number for it */
void *h2_stream_user(const struct h2_stream *s);  /* NULL until set */
void h2_stream_set_user(struct h2_stream *s, void *user);
bool h2_stream_responded(const struct h2_stream *s); /* a response, or our answer, has begun */
bool h2_stream_waits(const struct h2_stream *s);     /* for the owner's word */
bool h2_stream_websocket(const struct h2_stream *s); /* RFC 8441 */

#endif
