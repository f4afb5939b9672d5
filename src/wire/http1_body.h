/* http1_body.h: the body of an HTTP/1.1 message, piece by piece (RFC 9112, 6 and 7). No payload is copied: data come
 * out as views into what was fed. The chunk grammar is strict, and so much smaller than llhttp's that this room has
 * its own decoder. flow/ calls in. Pure: allocates only the trailer section, within its limit. */
#ifndef EXEAT_WIRE_HTTP1_BODY_H
#define EXEAT_WIRE_HTTP1_BODY_H

#include "base/buf.h"
#include "wire/http1.h"

enum { HTTP1_CHUNK_EXT_BYTES = 1024, HTTP1_CHUNK_EXT_TOTAL_BYTES = 65536 }; /* in one chunk; in one body */

struct http1_body {
    enum http1_framing framing;
    uint8_t state;
    unsigned digits;     /* of the chunk size read so far */
    bool ext_any;        /* the current part of a chunk extension has at least one byte */
    uint64_t left_bytes; /* of the length, or of this chunk */
    uint64_t in_bytes;   /* fed and used so far */
    uint64_t data_bytes; /* given out so far */
    size_t ext_bytes, ext_total_bytes;
    unsigned headers_limit;
    struct buf trailers; /* owned: the raw trailer section with its empty line; freed by http1_body_free() */
    struct http1_scan scan; /* of the trailer section */
    struct http1_fault_at fault;
};

/* By head->framing. HTTP1_NO_BODY is complete at once; HTTP1_TUNNEL and HTTP1_UNTIL_CLOSE never are. */
void http1_body_init(struct http1_body *body, const struct http1_head *head,
                     const struct http1_limits *limits);
void http1_body_free(struct http1_body *body);

/* Takes from the front of `in`: *ret_used bytes are done with (at least one unless complete or `in` is empty), and
 * *ret_data is the payload among them, a view into `in`, maybe empty. Both are set whatever is returned.
 * PARSE_OK: the body is complete (with *ret_data); bytes after *ret_used belong to the next message.
 * PARSE_MORE: call again with the rest of `in`, or when it is used up with what comes next.
 * PARSE_BAD: fills *ret_fault; payload that came out before is already forwarded, so the flow can only cut. */
enum parse http1_body_feed(struct http1_body *body, struct span in, size_t *ret_used, struct span *ret_data,
                           struct http1_fault_at *ret_fault);

bool http1_body_done(const struct http1_body *body);
/* The peer sends no more: true when the body is whole with that, false when it is cut short. */
bool http1_body_eof(const struct http1_body *body);

/* The trailer fields of a complete chunked body, without those that may not be trailers (framing, routing,
 * credentials, content and connection fields; RFC 9110, 6.5.1). The array lives in the arena, its spans are views
 * into the body until it is freed. 0, or -1 when the arena is spent. */
int http1_body_trailers(const struct http1_body *body, struct arena *arena, const struct http1_header **ret,
                        size_t *ret_count);

/* May a field of that name stand in a trailer section? (RFC 9110, 6.5.1) */
bool http1_may_be_trailer(struct span name);

#endif
