/* http1.h: the head of an HTTP/1.1 message, read strictly (RFC 9112, RFC 9110). Whatever two parsers could read
 * differently is refused with a reason and a place, before anything acts on it: a proxy that reads a message other
 * than the server does can be talked past. Two judges: wire/http1_lint first, then llhttp, which must agree.
 * flow/ calls in with the bytes received so far; bodies are http1_body.h, forwarding is http1_write.h.
 * Pure: touches the caller's arena only. Nothing here owns memory. */
#ifndef EXEAT_WIRE_HTTP1_H
#define EXEAT_WIRE_HTTP1_H

#include "base/arena.h"
#include "base/span.h"

enum http1_fault {
    HTTP1_NO_FAULT,
#define X(NAME, name, status, text) HTTP1_##NAME,
#include "wire/http1_faults.def"
#undef X
    HTTP1_FAULTS /* their number */
};

struct http1_fault_at {
    enum http1_fault fault;
    size_t
        offset; /* bytes from the start of the head (of the body for http1_body) to the offending byte or line */
};

/* "cl_and_te"; static. "none" for HTTP1_NO_FAULT. */
const char *http1_fault_name(enum http1_fault fault);
/* One line for people; static. */
const char *http1_fault_text(enum http1_fault fault);
/* The HTTP status that answers a client with this fault: 400, 414, 417, 431, 501, 505. A server's fault is 502. */
int http1_fault_status(enum http1_fault fault);

enum http1_kind { HTTP1_REQUEST, HTTP1_RESPONSE };

struct http1_limits {
    size_t head_bytes;   /* the whole head with its final empty line; also bounds a trailer section */
    unsigned headers;    /* fields in a head, and in a trailer section */
    size_t target_bytes; /* the request target */
};

/* What a response answers, because that decides how it ends (RFC 9112, 6.3). */
struct http1_asked {
    bool head, connect; /* the request's method */
    bool upgrade;       /* a WebSocket upgrade was forwarded; without it a 101 is a fault */
};

/* Where reading stands, so that a head is never scanned twice, however its bytes arrive. One for each head;
 * http1_scan_init() again for the next. Holds offsets, no pointers: the buffer may move between calls. */
struct http1_scan {
    enum http1_kind kind;
    struct http1_asked asked;
    uint8_t state;
    bool trailers;               /* reads a trailer section, not a head */
    struct http1_fault_at fault; /* sticky: after PARSE_BAD every call says the same */
    size_t pos;                  /* bytes judged so far */
    size_t line, mark;           /* starts of the current header line and of the current part of a line */
    size_t fields;               /* start of the first header line */
    size_t name_end;             /* of the current header name */
    unsigned headers, connection_tokens;
    size_t method_end, target, target_end, reason, reason_end;
    int status, minor;
    int64_t content_length;                            /* -1 none */
    size_t host, host_len, proxy_auth, proxy_auth_len; /* offset 0: none */
    bool te;                                           /* Transfer-Encoding: chunked was there */
    bool close, keep_alive, upgrade, websocket, expect_continue;
};

void http1_scan_init(struct http1_scan *scan, enum http1_kind kind, struct http1_asked asked);

struct http1_header {
    struct span name, value; /* views into the bytes parsed; value without surrounding white space */
};

enum http1_form { HTTP1_ORIGIN, HTTP1_ABSOLUTE, HTTP1_AUTHORITY, HTTP1_ASTERISK };

/* Views into the bytes parsed; empty where the form has no such part. The host is checked for its characters only:
 * make it canonical (host_canonical) before anything compares it. */
struct http1_target {
    enum http1_form form;
    bool https;            /* absolute-form with scheme https */
    struct span scheme;    /* "http" or "https", any case */
    struct span authority; /* host with ":port" if there is one */
    struct span host;      /* IPv6 keeps its brackets */
    uint16_t port;         /* as written, or the scheme's 80 or 443; 0 in origin- and asterisk-form */
    bool has_port;
    struct span path_query; /* as written; may be empty in absolute-form, or begin with '?' */
    struct span path;       /* without the query */
    struct span query;      /* after the '?'; empty if none */
};

/* How a message's body ends (RFC 9112, 6.3). */
enum http1_framing {
    HTTP1_NO_BODY,
    HTTP1_LENGTH, /* content_length bytes */
    HTTP1_CHUNKED,
    HTTP1_UNTIL_CLOSE, /* responses only */
    HTTP1_TUNNEL       /* 101, and 2xx to CONNECT: what follows is no longer HTTP */
};

/* All spans are views into the bytes parsed, as long as these stay put; `headers` lives in the arena. */
struct http1_head {
    enum http1_kind kind;
    size_t head_bytes; /* with the final empty line; the body, or the next message, begins there */
    int minor;         /* HTTP/1.`minor`: 0 or 1 */

    struct span method, raw_target; /* requests; case matters in the method */
    struct http1_target target;

    int status;         /* responses: 100..599 */
    struct span reason; /* may be empty, may hold obs-text */

    const struct http1_header *headers; /* view into the arena, in the order received */
    size_t header_count;
    const struct span *connection; /* view into the arena: every token of every Connection field */
    size_t connection_count;

    struct span host;                /* Host's value; .data NULL when absent */
    struct span proxy_authorization; /* .data NULL when absent */
    int64_t content_length; /* -1 none. May be there with HTTP1_NO_BODY (HEAD, 304): the length a GET has */
    bool chunked;           /* Transfer-Encoding: chunked is there */
    enum http1_framing framing;
    bool keep_alive;      /* by version and Connection alone; HTTP1_UNTIL_CLOSE ends the connection anyway */
    bool expect_continue; /* Expect: 100-continue in an HTTP/1.1 request that has a body */
    bool upgrade_websocket; /* request: GET without a body that asks for it; response: 101 that grants it */
};

/* Reads the head at the start of `bytes`, which holds all received so far from the head's first byte on (and maybe
 * more than the head). PARSE_OK fills *ret. PARSE_MORE: call again with the same bytes and more after them; what was
 * judged is not judged again. PARSE_BAD as soon as the part received can't become a head: fills *ret_fault.
 * Nothing is allocated before the head is whole. */
enum parse http1_head_parse(struct http1_scan *scan, struct span bytes, const struct http1_limits *limits,
                            struct arena *arena, struct http1_head *ret, struct http1_fault_at *ret_fault);

/* What to expect of the answer to this request when it is forwarded with http1_request_write(). */
struct http1_asked http1_asked_of(const struct http1_head *request);

/* The first field of that name (case-insensitive), or NULL. View into the head. */
const struct http1_header *http1_header_find(const struct http1_head *head, const char *name);

/* Does a Via field name `pseudonym` as a recipient (RFC 9110, 7.6.3)? Then this request passed here before: a loop. */
bool http1_via_has(const struct http1_head *head, const char *pseudonym);

#endif
