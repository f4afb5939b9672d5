/* h2_h1_head.c: see h2_head.h. Heads from HTTP/2 to HTTP/1.1 and back (RFC 9113, 8.2.3, 8.3; RFC 9112). Nothing is copied as bytes: the
 * request is written by wire/http1_write and read back by wire/http1, both judges of it, before anybody else sees it. Pure. */
#include "wire/h2_head.h"

#include "wire/http1_target.h"
#include "wire/http1_write.h"

#include <stdio.h>

enum { NAME_BYTES = 256 };

/* Crumbs of cookies become one field: HTTP/1.1 has one. NULL data without memory. */
static struct span join_cookies(const struct h2_head *h, struct arena *arena)
{
    size_t len = 0, at = 0;
    for (unsigned i = 0; i < h->count; i++)
        if (span_is(h->fields[i].name, "cookie"))
            len += h->fields[i].value.len + 2;
    uint8_t *text = arena_alloc(arena, len + 1);
    for (unsigned i = 0; text && i < h->count; i++) {
        struct span value = h->fields[i].value;
        if (!span_is(h->fields[i].name, "cookie"))
            continue;
        if (at > 0) {
            text[at++] = ';';
            text[at++] = ' ';
        }
        if (value.len)
            memcpy(text + at, value.data, value.len);
        at += value.len;
    }
    return span_of(text, at);
}

/* 0, or -1 without memory. */
static int take_fields(const struct h2_head *h, struct arena *arena, struct http1_head *head)
{
    struct http1_header *fields = arena_alloc(arena, (h->count + 1) * sizeof *fields);
    bool cookie = false;
    head->headers = fields;
    for (unsigned i = 0; fields && i < h->count; i++) {
        struct http1_header field = h->fields[i];
        if (span_is(field.name, "cookie")) {
            if (cookie)
                continue;
            cookie = true;
            field.value = join_cookies(h, arena);
            if (!field.value.data)
                return -1;
        }
        head->expect_continue |= span_is(field.name, "expect") && head->framing != HTTP1_NO_BODY;
        fields[head->header_count++] = field;
    }
    return fields ? 0 : -1;
}

/* As the server will read it, unless it is laxer than we are: then it had to be lax about a message of ours, which has no oddity. */
static bool reads_back(struct span written, const struct http1_head *meant,
                       const struct http1_forward *forward, const struct h2_limits *limits,
                       struct arena *arena)
{
    const struct http1_limits wide = {written.len + 1, limits->headers + 8, limits->target_bytes};
    struct http1_scan scan;
    struct http1_head read;
    struct http1_fault_at fault;
    http1_scan_init(&scan, HTTP1_REQUEST, (struct http1_asked){0});
    return http1_head_parse(&scan, written, &wide, arena, &read, &fault) == PARSE_OK &&
           read.head_bytes == written.len && span_equal(read.method, meant->method) &&
           span_equal(read.raw_target, meant->raw_target) && span_equal(read.host, forward->authority) &&
           read.chunked == (forward->framing == HTTP1_CHUNKED) &&
           read.content_length == forward->content_length && !read.upgrade_websocket &&
           read.connection_count == 0 && read.proxy_authorization.data == NULL;
}

/* A method that is expected to have a body says that it has none. */
static bool says_no_body(struct span method)
{
    return span_is(method, "POST") || span_is(method, "PUT") || span_is(method, "PATCH");
}

int h2_h1_head_write(const struct h2_head *h, const struct h2_limits *limits, struct span authority,
                     enum http1_framing framing, int64_t content_length, struct buf *out,
                     struct http1_asked *ret_asked)
{
    struct arena arena;
    struct http1_head head = {.kind = HTTP1_REQUEST,
                              .minor = 1,
                              .method = h->method,
                              .raw_target = h->path,
                              .content_length = content_length,
                              .framing = framing};
    size_t offset, before = buf_len(out);
    if (framing == HTTP1_NO_BODY && content_length < 0 && says_no_body(h->method))
        content_length = 0;
    if ((framing == HTTP1_NO_BODY && content_length > 0) || h->protocol.data || !authority.len ||
        (framing == HTTP1_CHUNKED) != (content_length < 0 && framing != HTTP1_NO_BODY) ||
        http1_target_parse(h->method, h->path, &head.target, &offset) != HTTP1_NO_FAULT ||
        (head.target.form != HTTP1_ORIGIN && head.target.form != HTTP1_ASTERISK))
        return -1;
    /* ours, and what the reader needs for it */
    arena_init(&arena,
               4 * limits->head_bytes + 4 * (limits->headers + 8) * sizeof(struct http1_header) + 4096);
    struct http1_forward forward = {
        .framing = framing, .content_length = content_length, .authority = authority};
    int result = take_fields(h, &arena, &head);
    if (result == 0)
        result = http1_request_write(out, &head, &forward);
    if (result == 0 && !reads_back(span_from(buf_span(out), before), &head, &forward, limits, &arena))
        result = -1;
    if (result == 0)
        *ret_asked = http1_asked_of(&head);
    arena_reset(&arena);
    return result;
}

/* ---- and back ---- */

static bool note_too_large(struct h2_head *h)
{
    if (h->fault == H2_NO_FAULT)
        h->fault = H2_HEAD_TOO_LARGE;
    return false;
}

/* HTTP/2 knows small letters only. */
static bool add_small(struct h2_head *h, const struct h2_limits *limits, const struct http1_header *field)
{
    uint8_t name[NAME_BYTES];
    if (field->name.len > sizeof name)
        return note_too_large(h);
    for (size_t i = 0; i < field->name.len; i++) {
        uint8_t c = field->name.data[i];
        name[i] = c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
    }
    return h2_head_add(h, limits, span_of(name, field->name.len), field->value, 0);
}

void h2_h1_head_read(struct h2_head *h, const struct h2_limits *limits, const struct http1_head *head)
{
    char number[24];
    bool no_length = head->status < 200 || head->status == 204 || head->chunked;
    h2_head_begin(h, limits);
    snprintf(number, sizeof number, "%d", head->status);
    bool good = h2_head_add(h, limits, span_str(":status"), span_str(number), 0);
    if (!no_length && head->content_length >= 0) {
        snprintf(number, sizeof number, "%lld", (long long)head->content_length);
        good = good && h2_head_add(h, limits, span_str("content-length"), span_str(number), 0);
    }
    for (size_t i = 0; good && i < head->header_count; i++)
        if (http1_is_sent_on(&head->headers[i], head))
            good = add_small(h, limits, &head->headers[i]);
}

void h2_h1_trailers_read(struct h2_head *h, const struct h2_limits *limits, const struct http1_header *fields,
                         size_t count)
{
    h2_head_begin(h, limits);
    for (size_t i = 0; i < count; i++)
        if (!add_small(h, limits, &fields[i]))
            return;
}
