/* http1_body.c: see http1_body.h. One state a byte of the chunk grammar (RFC 9112, 7.1), payload in one piece.
 * Stricter than the RFC: no white space around chunk sizes and extensions ("bad" white space, which the RFC lets a
 * recipient take, is where parsers differ), at most 16 digits. Pure. */
#include "wire/http1_body.h"

#include "base/must.h"
#include "wire/http1_chars.h"
#include "wire/http1_lint.h"

enum { SIZE_DIGITS = 16 };
#define SIZE_LIMIT ((uint64_t)1 << 62)

enum state {
    IN_LENGTH,
    IN_CLOSE,
    IN_SIZE,
    IN_EXT_NAME,
    IN_EXT_VALUE,
    IN_EXT_QUOTED,
    IN_EXT_PAIR,
    IN_EXT_AFTER,
    IN_SIZE_LF,
    IN_DATA,
    IN_DATA_CR,
    IN_DATA_LF,
    IN_TRAILERS,
    IN_END_LF,
    IN_DONE,
    IN_BAD
};

void http1_body_init(struct http1_body *body, const struct http1_head *head,
                     const struct http1_limits *limits)
{
    static const uint8_t FIRST[] = {[HTTP1_NO_BODY] = IN_DONE,
                                    [HTTP1_LENGTH] = IN_LENGTH,
                                    [HTTP1_CHUNKED] = IN_SIZE,
                                    [HTTP1_UNTIL_CLOSE] = IN_CLOSE,
                                    [HTTP1_TUNNEL] = IN_CLOSE};
    *body = (struct http1_body){
        .framing = head->framing, .state = FIRST[head->framing], .headers_limit = limits->headers};
    if (head->framing == HTTP1_LENGTH)
        body->left_bytes = (uint64_t)head->content_length;
    buf_init(&body->trailers, limits->head_bytes);
    http1_lint_init_trailers(&body->scan);
}

void http1_body_free(struct http1_body *body)
{
    buf_free(&body->trailers);
}

static enum parse bad(struct http1_body *b, enum http1_fault fault, uint64_t offset)
{
    b->state = IN_BAD;
    b->fault = (struct http1_fault_at){fault, offset};
    return PARSE_BAD;
}

static enum parse go(struct http1_body *b, enum state state)
{
    b->state = (uint8_t)state;
    return PARSE_MORE;
}

static int hex_value(uint8_t c)
{
    if (http1_is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* After a size or an extension: the next extension or the end of the line; `fault` for anything else. */
static enum parse ext_or_end(struct http1_body *b, uint8_t c, enum http1_fault fault)
{
    if (c == ';') {
        b->ext_any = false;
        return go(b, IN_EXT_NAME);
    }
    if (c == '\r')
        return go(b, IN_SIZE_LF);
    return bad(b, c == '\n' ? HTTP1_BARE_LF : fault, b->in_bytes);
}

static enum parse on_size(struct http1_body *b, uint8_t c)
{
    int digit = hex_value(c);
    if (digit < 0)
        return b->digits ? ext_or_end(b, c, HTTP1_CHUNK_SIZE_MALFORMED)
                         : bad(b, c == '\n' ? HTTP1_BARE_LF : HTTP1_CHUNK_SIZE_MALFORMED, b->in_bytes);
    if (++b->digits > SIZE_DIGITS || b->left_bytes >= SIZE_LIMIT / 16)
        return bad(b, HTTP1_CHUNK_SIZE_MALFORMED, b->in_bytes);
    b->left_bytes = b->left_bytes * 16 + (uint64_t)digit;
    return PARSE_MORE;
}

static enum parse on_ext_name(struct http1_body *b, uint8_t c)
{
    if (http1_is_token(c)) {
        b->ext_any = true;
        return PARSE_MORE;
    }
    if (!b->ext_any)
        return bad(b, c == '\n' ? HTTP1_BARE_LF : HTTP1_CHUNK_EXT_MALFORMED, b->in_bytes);
    if (c != '=')
        return ext_or_end(b, c, HTTP1_CHUNK_EXT_MALFORMED);
    b->ext_any = false;
    return go(b, IN_EXT_VALUE);
}

static enum parse on_ext_value(struct http1_body *b, uint8_t c)
{
    if (http1_is_token(c)) {
        b->ext_any = true;
        return PARSE_MORE;
    }
    if (b->ext_any)
        return ext_or_end(b, c, HTTP1_CHUNK_EXT_MALFORMED);
    if (c == '"')
        return go(b, IN_EXT_QUOTED);
    return bad(b, c == '\n' ? HTTP1_BARE_LF : HTTP1_CHUNK_EXT_MALFORMED, b->in_bytes);
}

static enum parse on_ext_quoted(struct http1_body *b, uint8_t c)
{
    if (!http1_is_text(c))
        return bad(b, c == '\n' ? HTTP1_BARE_LF : HTTP1_CHUNK_EXT_MALFORMED, b->in_bytes);
    if (b->state == IN_EXT_PAIR)
        return go(b, IN_EXT_QUOTED);
    return go(b, c == '\\' ? IN_EXT_PAIR : c == '"' ? IN_EXT_AFTER : IN_EXT_QUOTED);
}

static enum parse on_ext_after(struct http1_body *b, uint8_t c)
{
    return ext_or_end(b, c, HTTP1_CHUNK_EXT_MALFORMED);
}

static enum parse on_size_lf(struct http1_body *b, uint8_t c)
{
    if (c != '\n')
        return bad(b, HTTP1_BARE_CR, b->in_bytes - 1);
    b->digits = 0;
    b->ext_bytes = 0;
    return go(b, b->left_bytes ? IN_DATA : IN_TRAILERS);
}

static enum parse on_data_end(struct http1_body *b, uint8_t c)
{
    if (c != (b->state == IN_DATA_CR ? '\r' : '\n'))
        return bad(b, HTTP1_CHUNK_END_MISSING, b->in_bytes);
    return go(b, b->state == IN_DATA_CR ? IN_DATA_LF : IN_SIZE);
}

static enum parse on_end_lf(struct http1_body *b, uint8_t c)
{
    if (c != '\n')
        return bad(b, HTTP1_BARE_CR, b->in_bytes - 1);
    b->state = IN_DONE;
    return PARSE_OK;
}

/* The states of one byte each. */
static enum parse (*const STEPS[])(struct http1_body *, uint8_t) = {
    [IN_SIZE] = on_size,
    [IN_EXT_NAME] = on_ext_name,
    [IN_EXT_VALUE] = on_ext_value,
    [IN_EXT_QUOTED] = on_ext_quoted,
    [IN_EXT_PAIR] = on_ext_quoted,
    [IN_EXT_AFTER] = on_ext_after,
    [IN_SIZE_LF] = on_size_lf,
    [IN_DATA_CR] = on_data_end,
    [IN_DATA_LF] = on_data_end,
    [IN_END_LF] = on_end_lf,
    [IN_BAD] = NULL,
};

/* Extensions carry nothing that is sent on; only their number must not grow without bound. */
static bool ext_fits(struct http1_body *b)
{
    if (b->state < IN_EXT_NAME || b->state > IN_EXT_AFTER)
        return true;
    return ++b->ext_bytes <= HTTP1_CHUNK_EXT_BYTES && ++b->ext_total_bytes <= HTTP1_CHUNK_EXT_TOTAL_BYTES;
}

static enum parse feed_byte(struct http1_body *b, uint8_t c)
{
    if (!ext_fits(b))
        return bad(b, HTTP1_CHUNK_EXT_TOO_LARGE, b->in_bytes);
    enum parse answer = STEPS[b->state](b, c);
    if (answer != PARSE_BAD)
        b->in_bytes++;
    return answer;
}

/* Payload: as much of `in` as belongs to the length, the chunk, or the connection. */
static enum parse feed_data(struct http1_body *b, struct span in, struct span *ret_data)
{
    size_t len = in.len;
    if (b->state != IN_CLOSE) {
        len = b->left_bytes < len ? (size_t)b->left_bytes : len;
        b->left_bytes -= len;
    }
    *ret_data = span_of(in.data, len);
    b->in_bytes += len;
    b->data_bytes += len;
    if (b->state == IN_CLOSE || b->left_bytes > 0)
        return PARSE_MORE;
    if (b->state == IN_DATA)
        return go(b, IN_DATA_CR);
    b->state = IN_DONE;
    return PARSE_OK;
}

static enum http1_fault trailer_fault(enum http1_fault fault)
{
    bool size = fault == HTTP1_HEAD_TOO_LARGE || fault == HTTP1_HEADERS_TOO_MANY;
    return size ? HTTP1_TRAILERS_TOO_LARGE : fault;
}

/* Gathers the trailer section, which is judged like header lines. Most bodies have none: then nothing is kept. */
static enum parse feed_trailers(struct http1_body *b, struct span in)
{
    size_t had = buf_len(&b->trailers), room = b->trailers.limit - had;
    uint64_t start = b->in_bytes - had;
    if (had == 0 && in.data[0] == '\r') {
        b->in_bytes++;
        return go(b, IN_END_LF);
    }
    size_t len = in.len < room ? in.len : room;
    if (buf_append(&b->trailers, in.data, len) != 0)
        return bad(b, HTTP1_TRAILERS_TOO_LARGE, start);
    struct http1_limits limits = {.head_bytes = b->trailers.limit, .headers = b->headers_limit};
    enum parse answer = http1_lint(&b->scan, buf_span(&b->trailers), &limits);
    if (answer == PARSE_BAD)
        return bad(b, trailer_fault(b->scan.fault.fault), start + b->scan.fault.offset);
    if (answer == PARSE_OK) {
        b->trailers.tail = b->trailers.head + b->scan.pos; /* what follows is not ours */
        len = b->scan.pos - had;
        b->state = IN_DONE;
    }
    b->in_bytes += len;
    return answer;
}

enum parse http1_body_feed(struct http1_body *body, struct span in, size_t *ret_used, struct span *ret_data,
                           struct http1_fault_at *ret_fault)
{
    uint64_t before = body->in_bytes;
    enum parse answer = body->state == IN_DONE ? PARSE_OK : body->state == IN_BAD ? PARSE_BAD : PARSE_MORE;
    struct span data = {NULL, 0};
    /* Past a data piece there is one more view to give: the caller comes again for it. */
    while (answer == PARSE_MORE && data.len == 0) {
        struct span rest = span_from(in, (size_t)(body->in_bytes - before));
        if (rest.len == 0)
            break;
        if (body->state == IN_DATA || body->state == IN_LENGTH || body->state == IN_CLOSE)
            answer = feed_data(body, rest, &data);
        else if (body->state == IN_TRAILERS)
            answer = feed_trailers(body, rest);
        else
            answer = feed_byte(body, rest.data[0]);
    }
    *ret_used = (size_t)(body->in_bytes - before);
    *ret_data = data;
    if (answer == PARSE_BAD)
        *ret_fault = body->fault;
    return answer;
}

bool http1_body_done(const struct http1_body *body)
{
    return body->state == IN_DONE;
}

bool http1_body_eof(const struct http1_body *body)
{
    return body->state == IN_DONE || body->state == IN_CLOSE;
}

/* Fields that mean something other in a trailer than a recipient may make of them when it merges them into the head. */
// clang-format off
static const char *const FORBIDDEN[] = {
    "age", "authorization", "cache-control", "connection", "content-encoding", "content-length",
    "content-range", "content-type", "cookie", "date", "expect", "expires", "host", "http2-settings",
    "if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "keep-alive",
    "location", "max-forwards", "pragma", "proxy-authenticate", "proxy-authentication-info",
    "proxy-authorization", "proxy-connection", "range", "retry-after", "set-cookie", "te", "trailer",
    "transfer-encoding", "upgrade", "vary", "via", "warning", "www-authenticate",
};
// clang-format on

bool http1_may_be_trailer(struct span name)
{
    for (size_t i = 0; i < ARRAY_LEN(FORBIDDEN); i++)
        if (span_is_nocase(name, FORBIDDEN[i]))
            return false;
    return true;
}

int http1_body_trailers(const struct http1_body *body, struct arena *arena, const struct http1_header **ret,
                        size_t *ret_count)
{
    struct http1_header *fields = arena_alloc(arena, body->scan.headers * sizeof *fields);
    if (!fields)
        return -1;
    size_t count = 0;
    struct span rest = buf_span(&body->trailers);
    for (unsigned i = 0; http1_body_done(body) && i < body->scan.headers; i++) {
        struct http1_header field;
        rest = http1_field_line(rest, &field);
        if (http1_may_be_trailer(field.name))
            fields[count++] = field;
    }
    *ret = fields;
    *ret_count = count;
    return 0;
}
