/* h2_private.h: the bridge and its streams as wire/h2_bridge.c (sessions, frames), wire/h2_stream.c (one stream) and wire/h2_h1.c (a server
 * of HTTP/1.1 in place of one session) share them. For these only. Pure. */
#ifndef EXEAT_WIRE_H2_PRIVATE_H
#define EXEAT_WIRE_H2_PRIVATE_H

#include "wire/h2_head.h"
#include "wire/http1_body.h"

enum {
    H2_STREAM_WINDOW_BYTES = 256 << 10,
    H2_CONNECTION_WINDOW_BYTES = 1 << 20,
    /* Payload from one peer over which its connection window no longer opens; below it a stream that nobody reads doesn't stop the others. */
    H2_HELD_HIGH_BYTES = 2 << 20,
    /* Of streams that wait for their turn at an HTTP/1.1 server: all of them together stay below H2_HELD_HIGH_BYTES. */
    H2_TURN_WINDOW_BYTES = 16 << 10,
    H2_INTERIM_MAX = 16,
    H2_GLITCHES = 1000, /* what a peer may do that moves nothing, at once */
    H2_GLITCHES_PER_S = 100,
};

/* The session toward one peer. */
struct h2_end_of {
    struct h2_bridge *bridge; /* borrowed for its life: the bridge that it is part of */
    enum h2_side side;        /* its peer */
    nghttp2_session *session; /* owned; NULL once that connection is lost */
    struct h2_head reader;    /* the section that is being read */
    size_t held_bytes;        /* payload from this peer that lies in pipes */
    size_t owed_bytes;        /* of the connection's window: received, not given back */
    uint64_t glitches, refilled_ms;
    bool over; /* a fault: nothing more is read */
};

/* Payload on its way from one peer to the other. */
struct h2_pipe {
    struct buf data;
    bool eof;     /* that peer ended its message */
    bool discard; /* nobody wants more of it */
    bool trailed; /* `trailers` came */
    struct h2_head trailers;
};

struct h2_stream {
    struct h2_bridge *bridge;      /* borrowed: the bridge that it is part of */
    struct h2_stream *next, *prev; /* of the bridge */
    int32_t id[2];                 /* by side; 0: not there */
    bool open[2];                  /* by side: nghttp2 knows it and has not closed it */
    struct h2_pipe pipe[2]; /* by the side that it comes from; our answer's body in that of the server */
    struct h2_head request; /* until it is passed on */
    bool told, waiting;     /* the owner: was told of it; has yet to judge it */
    bool response_begun, answered, websocket, early;
    unsigned interim;
    enum h2_end end;
    enum h2_fault fault;
    uint32_t code;
    bool ended; /* `end` is set */
    uint64_t moved_ms;
    void *user; /* the owner's */
};

/* The connection to a server of HTTP/1.1, and the one stream that it is asked. */
struct h2_h1 {
    bool on;
    bool connected, usable;   /* usable: it may be asked once more */
    bool fresh;               /* nothing was asked on it before this */
    struct h2_stream *stream; /* borrowed until its response is through; NULL */
    struct buf head;          /* its request's, until it goes out; owned */
    enum http1_framing framing;
    uint64_t left_bytes; /* of a body with a length */
    bool begun, request_done;
    struct buf in;          /* what the server said that is not a whole head yet; owned */
    struct http1_scan scan; /* of the response */
    struct http1_asked asked;
    struct http1_body body;
    bool spoke, responded, keep; /* keep: its head says that the connection stays */
    bool repeatable;             /* the request, if the server has not spoken */
    struct http1_fault_at fault;
};

struct h2_bridge {
    struct h2_limits limits;
    const struct h2_events *events; /* borrowed for life */
    void *owner;                    /* borrowed for life */
    struct h2_end_of ends[2];
    struct h2_h1 h1;
    struct h2_stream *streams; /* owned, linked */
    unsigned count;
    uint64_t now_ms;
    enum h2_fault fault;
    enum h2_side fault_side;
    bool stopping, websockets; /* websockets: the server takes RFC 8441 */
};

static inline enum h2_side h2_other(enum h2_side side)
{
    return side == H2_CLIENT ? H2_SERVER : H2_CLIENT;
}

/* ---- h2_stream.c ---- */

/* NULL without memory. */
struct h2_stream *h2_stream_new(struct h2_bridge *b, int32_t client_id);
/* Tells the owner, and gives it back. */
void h2_stream_free(struct h2_stream *take_s);
/* Notes how the stream ends, the first time. */
void h2_stream_note_end(struct h2_stream *s, enum h2_end end, enum h2_fault fault, uint32_t code);
/* Resets it toward `to`, where it is open. */
void h2_stream_reset(struct h2_stream *s, enum h2_side to, uint32_t code);
/* Both, with a note. */
void h2_stream_fail(struct h2_stream *s, enum h2_end end, enum h2_fault fault, uint32_t code);
/* A section of fields is whole: in ends[from].reader. */
void h2_stream_headed(struct h2_stream *s, enum h2_side from, bool ended);
void h2_stream_data(struct h2_stream *s, enum h2_side from, struct span data);
void h2_stream_eof(struct h2_stream *s, enum h2_side from);
/* nghttp2 closed it toward `side`; may free it. */
void h2_stream_closed(struct h2_stream *s, enum h2_side side, uint32_t code);
/* Our response, or the server's, went to the client to its end. */
void h2_stream_finished(struct h2_stream *s);
/* The payload from `from` is wanted no more. */
void h2_stream_discard(struct h2_stream *s, enum h2_side from);

/* ---- h2_h1.c ---- */

void h2_h1_init(struct h2_bridge *b);
void h2_h1_free(struct h2_bridge *b);
/* As h2_bridge_receive(), h2_bridge_write() and h2_bridge_lost(). */
int h2_h1_receive(struct h2_bridge *b, struct span bytes);
int h2_h1_write(struct h2_bridge *b, struct buf *out, size_t most);
void h2_h1_lost(struct h2_bridge *b, bool whole);
/* The stream is asked next; -1: it can't be. Its head is kept: it may have to be asked again. */
int h2_h1_pass(struct h2_stream *s, struct span authority);
/* It is reset, or answered otherwise: what the server says to it is nobody's. */
void h2_h1_drop(struct h2_stream *s);

/* ---- h2_bridge.c ---- */

/* No response will come: the owner is asked for one. */
void h2_bridge_unanswered(struct h2_stream *s, enum h2_fault fault);

/* Payload left the pipes (or never got in): `bytes` of the stream's window, and as much of the connection's, are that peer's again. */
void h2_bridge_release(struct h2_bridge *b, enum h2_side from, int32_t id, size_t bytes);
void h2_bridge_break(struct h2_bridge *b, enum h2_side side, enum h2_fault fault, uint32_t code);

#endif
