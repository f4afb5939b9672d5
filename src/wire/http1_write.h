/* http1_write.h: the head that is sent on, made anew from one that was read (RFC 9110, 7.6; RFC 9112, 3.2 and 6).
 * What leaves is canonical: hop-by-hop fields are gone, Host and framing are written from what was decided on, not
 * copied. flow/ calls in. Pure: touches the given buffer only. All functions append to `out` and return 0, or -1
 * when it is full (then its content is incomplete: end the flow). */
#ifndef EXEAT_WIRE_HTTP1_WRITE_H
#define EXEAT_WIRE_HTTP1_WRITE_H

#include "base/buf.h"
#include "wire/http1.h"

struct http1_forward {
    enum http1_framing framing; /* of the message sent on; see http1_framing_to() for responses */
    int64_t content_length;     /* -1 none; with HTTP1_NO_BODY the length a GET has (HEAD, 304) */
    bool close;                 /* says "Connection: close": the last message on the connection */
    bool keep_alive;            /* says "Connection: keep-alive": HTTP/1.0 takes silence for close */
    bool upgrade_websocket;     /* re-adds the upgrade fields */
    const char *via;            /* our pseudonym, a token; NULL: no Via. borrowed for the call */
    struct span authority;      /* requests: Host. View; empty: the target's, else as received */
};

/* framing, content_length and upgrade_websocket as `head` has them; the rest empty. */
struct http1_forward http1_forward_of(const struct http1_head *head);

/* How a response is framed for a client of HTTP/1.`client_minor`: chunked becomes until-close for HTTP/1.0,
 * until-close becomes chunked for HTTP/1.1. HTTP1_UNTIL_CLOSE says close by itself. */
enum http1_framing http1_framing_to(const struct http1_head *response, int client_minor);

/* In origin-form ("*" for OPTIONS without a path), always HTTP/1.1. Not for CONNECT. */
int http1_request_write(struct buf *out, const struct http1_head *head, const struct http1_forward *forward);
/* Always HTTP/1.1, interim (1xx) responses too. */
int http1_response_write(struct buf *out, const struct http1_head *head, const struct http1_forward *forward);

/* One chunk around `data`; nothing when it is empty (an empty chunk would end the body). */
int http1_chunk_write(struct buf *out, struct span data);
/* For payload that is sent from where it lies: this, the data, then CRLF (http1_chunk_end_write). `len` > 0. */
int http1_chunk_begin_write(struct buf *out, size_t len);
int http1_chunk_end_write(struct buf *out);
/* The last chunk with these trailer fields (may be none) and the final empty line. */
int http1_last_chunk_write(struct buf *out, const struct http1_header *trailers, size_t count);

/* Is a field of `head` sent on as it came? Not those that are hop-by-hop, made anew, or ours. */
bool http1_is_sent_on(const struct http1_header *field, const struct http1_head *head);

/* Alt-Svc (RFC 7838) with an alternative in it, which would lead the client past the proxy, to QUIC above all: never passed on. Its
 * `clear` only makes a client forget, and may pass. */
bool http1_is_alternative(const struct http1_header *field);

#endif
