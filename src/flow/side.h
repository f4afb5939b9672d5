/* side.h: one end of a flow, client or server: its stream, TLS over it if there is any, what it sent that nobody consumed,
 * and what it has yet to be sent. Steps read and write through here and never see TLS or short writes.
 * Called by the steps only; touches net.h and tls/session.h. */
#ifndef EXEAT_FLOW_SIDE_H
#define EXEAT_FLOW_SIDE_H

#include "base/buf.h"
#include "net/net.h"
#include "tls/session.h"

struct side {
    struct net_stream *stream; /* owned; NULL when not connected */
    struct tls_session *tls;   /* owned; NULL = plain */
    struct tls_session
        *carrier;   /* owned; what `tls` goes through: TLS to the proxy itself; NULL = the wire */
    struct buf in;  /* received and not consumed */
    struct buf out; /* to be sent */
    unsigned want;  /* NET_READABLE | NET_WRITABLE: what the last step waits for */
    unsigned ready; /* what net/ has told since the last run; a hint for steps that would try in vain */
    bool eof;       /* the peer sends no more (everything before it is in `in`) */
    bool finished;  /* we send no more: `out` is written, close_notify may be on its way */
    bool carrier_finished; /* and so is the carrier */
    bool fin_sent;         /* nothing can be written any more */
    int error;             /* errno when SIDE_FAILED */
};

enum side_io {
    SIDE_MOVED,  /* some bytes moved */
    SIDE_AGAIN,  /* nothing to read now; or not everything could be written: `want` is set */
    SIDE_EOF,    /* fill: the peer sends no more */
    SIDE_FULL,   /* fill: `in` is at its limit */
    SIDE_DONE,   /* flush: everything is written */
    SIDE_FAILED, /* the connection or its TLS broke: see error, and tls_session_error() */
};

void side_init(struct side *s, size_t in_limit_bytes, size_t out_limit_bytes);
void side_take(struct side *s, struct net_stream *take_stream, void *owner, net_ready_fn *ready);
/* Closes the stream and frees everything; the side can be used again. */
void side_close(struct side *s, enum net_close how);

/* Reads once what there is, up to `most` bytes. */
enum side_io side_fill(struct side *s, size_t most);
/* Writes `out`. */
enum side_io side_flush(struct side *s);
/* Sends FIN (close_notify first), `out` being written. SIDE_AGAIN: close_notify didn't fit, to be called again. */
enum side_io side_finish(struct side *s);

/* Goes on with a TLS handshake (s->tls was just set, or it wants more): SIDE_DONE when it is open. */
enum side_io side_handshake(struct side *s);

#endif
