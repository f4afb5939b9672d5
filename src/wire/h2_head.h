/* h2_head.h: one section of fields of an HTTP/2 message: gathered as nghttp2 decodes it, judged, and made anew for the other side.
 * For wire/h2*.c only. Pure: its own arena. */
#ifndef EXEAT_WIRE_H2_HEAD_H
#define EXEAT_WIRE_H2_HEAD_H

#include "wire/h2.h"

#include <nghttp2/nghttp2.h>

struct h2_head {
    struct arena arena;          /* all that is a view here lives in it */
    struct http1_header *fields; /* without pseudo-header fields */
    uint8_t *flags;              /* of each: NGHTTP2_NV_FLAG_NO_INDEX as it came (RFC 7541, 6.2.3) */
    unsigned count;
    size_t bytes;
    struct span method, scheme, authority, path, protocol, status, host;
    int64_t content_length; /* -1 none */
    enum h2_fault fault;    /* the first that was found */
};

/* Empty; what was there is given back. */
void h2_head_begin(struct h2_head *h, const struct h2_limits *limits);
void h2_head_free(struct h2_head *h);
/* The fields move to *ret_to, which is overwritten; `h` is empty and must be begun before it is used again. */
void h2_head_move(struct h2_head *h, struct h2_head *ret_to);

/* One field. False: over a limit (h->fault says so), and the rest need not be read. */
bool h2_head_add(struct h2_head *h, const struct h2_limits *limits, struct span name, struct span value,
                 uint8_t flags);

/* Fills *ret with views into `h` and returns what is wrong with it. `ended`: no body follows. */
enum h2_fault h2_head_judge_request(struct h2_head *h, const struct h2_limits *limits, bool websockets,
                                    bool ended, struct http1_head *ret);
enum h2_fault h2_head_judge_response(struct h2_head *h, bool ended, struct http1_head *ret);

/* What goes on to the other side: our own pseudo-header fields, then what is neither hop-by-hop nor about this connection. The array lives in
 * h's arena. 0, or -1 without memory. */
int h2_head_request_nv(struct h2_head *h, const struct h2_limits *limits, struct span authority,
                       nghttp2_nv **ret, size_t *ret_count);
int h2_head_response_nv(struct h2_head *h, const struct h2_limits *limits, nghttp2_nv **ret,
                        size_t *ret_count);
int h2_head_trailers_nv(struct h2_head *h, nghttp2_nv **ret, size_t *ret_count);

/* ---- h2_h1_head.c ---- */

/* The request's head in HTTP/1.1 with that Host, appended to `out`, as the strict reader of HTTP/1.1 has read it back: *ret_asked is what to
 * expect of its answer. 0, or -1: nothing in HTTP/1.1 means the same (or no memory). */
int h2_h1_head_write(const struct h2_head *h, const struct h2_limits *limits, struct span authority,
                     enum http1_framing framing, int64_t content_length, struct buf *out,
                     struct http1_asked *ret_asked);
/* A response's, or with status 0 trailers': fields that HTTP/2 has no use for are left out. h->fault as of h2_head_add(). */
void h2_h1_head_read(struct h2_head *h, const struct h2_limits *limits, const struct http1_head *head);
void h2_h1_trailers_read(struct h2_head *h, const struct h2_limits *limits, const struct http1_header *fields,
                         size_t count);

#endif
