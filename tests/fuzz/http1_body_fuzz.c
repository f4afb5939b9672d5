/* http1_body_fuzz.c: any bytes as a body: the same payload, end and trailers whole, byte by byte and in pieces; a
 * chunked body that is accepted is read alike by llhttp, and encoded anew and decoded again it is equal.
 * First byte of the input: the framing; second: the length. */
#include "../unit/http1_run.h"
#include "wire/http1_write.h"

#include <llhttp.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct decoded {
    enum parse end;
    struct http1_fault_at fault;
    size_t used;
    struct buf data;   /* owned */
    struct buf fields; /* owned: trailers as they would be written */
};

static const char HEAD[] = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

static void decode(const struct http1_head *head, struct span bytes, size_t step, size_t trailer_bytes,
                   struct decoded *d)
{
    struct http1_body body;
    const struct http1_limits limits = {.head_bytes = trailer_bytes, .headers = 5, .target_bytes = 1};
    *d = (struct decoded){.end = PARSE_MORE};
    buf_init(&d->data, 1 << 20);
    buf_init(&d->fields, 1 << 20);
    http1_body_init(&body, head, &limits);
    size_t there = 0;
    while (d->end == PARSE_MORE && (there < bytes.len || d->used < there)) {
        if (d->used == there)
            there = bytes.len - there < step ? bytes.len : there + step;
        size_t len = there - d->used, used;
        uint8_t *copy = malloc(len);
        must(copy);
        memcpy(copy, bytes.data + d->used, len);
        struct span data;
        d->end = http1_body_feed(&body, span_of(copy, len), &used, &data, &d->fault);
        must(used <= len && (used > 0 || d->end != PARSE_MORE));
        must(data.len == 0 || (data.data >= copy && data.data + data.len <= copy + used));
        must(buf_append(&d->data, data.data, data.len) == 0);
        d->used += used;
        free(copy);
    }
    if (d->end == PARSE_MORE && http1_body_eof(&body))
        d->end = PARSE_OK;
    if (http1_body_done(&body)) {
        struct arena arena;
        const struct http1_header *trailers;
        size_t count;
        arena_init(&arena, 1 << 16);
        must(http1_body_trailers(&body, &arena, &trailers, &count) == 0);
        must(http1_last_chunk_write(&d->fields, trailers, count) == 0);
        arena_reset(&arena);
    }
    http1_body_free(&body);
}

static void decoded_free(struct decoded *d)
{
    buf_free(&d->data);
    buf_free(&d->fields);
}

static bool same(const struct decoded *a, const struct decoded *b)
{
    return a->end == b->end && a->fault.fault == b->fault.fault && a->fault.offset == b->fault.offset &&
           (a->end == PARSE_BAD || a->used == b->used) &&
           span_equal(buf_span(&a->data), buf_span(&b->data)) &&
           span_equal(buf_span(&a->fields), buf_span(&b->fields));
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    return buf_append(parser->data, at, len);
}

static int on_end(llhttp_t *parser)
{
    (void)parser;
    return HPE_PAUSED;
}

/* llhttp must find the same payload and the same end in what the strict decoder took. It refuses some extensions that
 * RFC 9112 allows (quoted tabs, a name after a value), and framing fields in trailers, which are dropped here;
 * refusing is no other reading. */
static void check_llhttp(const struct decoded *d, struct span bytes)
{
    struct buf data;
    llhttp_t parser;
    llhttp_settings_t settings;
    buf_init(&data, 1 << 20);
    llhttp_settings_init(&settings);
    settings.on_body = on_body;
    settings.on_message_complete = on_end;
    llhttp_init(&parser, HTTP_REQUEST, &settings);
    parser.data = &data;
    must(llhttp_execute(&parser, HEAD, sizeof HEAD - 1) == HPE_OK);
    bool whole = llhttp_execute(&parser, (const char *)bytes.data, bytes.len) == HPE_PAUSED;
    must(whole || memchr(bytes.data, ';', d->used) || memchr(bytes.data, ':', d->used));
    if (whole) {
        must((const uint8_t *)llhttp_get_error_pos(&parser) == bytes.data + d->used);
        must(span_equal(buf_span(&data), buf_span(&d->data)));
    }
    buf_free(&data);
}

static void check_encoded(const struct http1_head *head, const struct decoded *d)
{
    struct buf out;
    struct decoded again;
    buf_init(&out, 1 << 20);
    struct span rest = buf_span(&d->data);
    for (size_t len = 1; rest.len; len = len * 3 + 1) {
        size_t n = len < rest.len ? len : rest.len;
        must(http1_chunk_write(&out, span_of(rest.data, n)) == 0);
        rest = span_from(rest, n);
    }
    struct span end = buf_span(&d->fields);
    must(buf_append(&out, end.data, end.len) == 0);
    decode(head, buf_span(&out), out.limit, 1000, &again);
    must(again.end == PARSE_OK && again.used == buf_len(&out));
    must(span_equal(buf_span(&again.data), buf_span(&d->data)));
    must(span_equal(buf_span(&again.fields), buf_span(&d->fields)));
    decoded_free(&again);
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum http1_framing FRAMINGS[] = {HTTP1_CHUNKED, HTTP1_LENGTH, HTTP1_UNTIL_CLOSE,
                                                  HTTP1_NO_BODY};
    if (size < 2 || size > 8192)
        return 0;
    struct http1_head head = {.framing = FRAMINGS[data[0] % 4], .content_length = data[1] + 1};
    struct span bytes = span_of(data + 2, size - 2);
    struct decoded whole, pieces;
    decode(&head, bytes, bytes.len, 300, &whole);
    for (size_t step = 1; step <= 7; step += 3) {
        decode(&head, bytes, step, 300, &pieces);
        must(same(&whole, &pieces));
        decoded_free(&pieces);
    }
    if (head.framing == HTTP1_CHUNKED && whole.end == PARSE_OK) {
        check_llhttp(&whole, bytes);
        check_encoded(&head, &whole);
    }
    decoded_free(&whole);
    return 0;
}
