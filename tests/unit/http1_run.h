/* http1_run.h: reads a stream of HTTP/1.1 messages in pieces and says how it ended, for the http1 tests and fuzz
 * targets. Every piece is seen in memory of exactly its size, so that the sanitizers see a read past it. */
#ifndef EXEAT_TESTS_HTTP1_RUN_H
#define EXEAT_TESTS_HTTP1_RUN_H

#include "base/must.h"
#include "wire/http1.h"
#include "wire/http1_body.h"

#include <stdlib.h>

static const struct http1_limits RUN_LIMITS = {.head_bytes = 16384, .headers = 100, .target_bytes = 8192};

struct run {
    enum http1_kind kind;
    struct http1_asked asked;
    const struct http1_limits *limits;
    struct http1_scan scan;
    struct http1_body body;
    bool in_body, begun;
    size_t base; /* bytes done with */
    /* how it ended */
    enum parse end; /* PARSE_MORE: cut short */
    enum http1_fault fault;
    size_t offset; /* of the fault in the stream */
    unsigned messages;
    uint64_t digest;
};

static inline void run_digest(struct run *r, struct span s, char mark)
{
    for (size_t i = 0; i < s.len; i++)
        r->digest = (r->digest ^ s.data[i]) * 0x100000001b3u;
    if (mark)
        r->digest = (r->digest ^ (uint8_t)mark) * 0x100000001b3u;
}

static inline void run_digest_head(struct run *r, const struct http1_head *h)
{
    run_digest(r, h->method, 'm');
    run_digest(r, h->target.host, 'h');
    run_digest(r, h->target.path, 'p');
    run_digest(r, h->reason, 'r');
    for (size_t i = 0; i < h->header_count; i++) {
        run_digest(r, h->headers[i].name, ':');
        run_digest(r, h->headers[i].value, '\n');
    }
    int64_t numbers[] = {
        h->minor,        h->status,           h->content_length,      h->chunked,
        (int)h->framing, h->keep_alive,       h->upgrade_websocket,   h->expect_continue,
        h->target.port,  (int)h->target.form, (int64_t)h->head_bytes, (int64_t)h->connection_count};
    run_digest(r, span_of(numbers, sizeof numbers), 0);
}

static inline void run_init(struct run *r, enum http1_kind kind, struct http1_asked asked,
                            const struct http1_limits *limits)
{
    *r = (struct run){.kind = kind, .asked = asked, .limits = limits, .end = PARSE_MORE};
    http1_scan_init(&r->scan, kind, asked);
}

/* One head from `view`; true when there is more to do. */
static inline bool run_head(struct run *r, struct span view)
{
    struct arena arena;
    struct http1_head head;
    struct http1_fault_at fault = {HTTP1_NO_FAULT, 0};
    arena_init(&arena, 1 << 20);
    enum parse answer = http1_head_parse(&r->scan, view, r->limits, &arena, &head, &fault);
    if (answer == PARSE_OK) {
        run_digest_head(r, &head);
        http1_body_init(&r->body, &head, r->limits);
        r->in_body = true;
        r->base += head.head_bytes;
    } else if (answer == PARSE_BAD) {
        r->end = PARSE_BAD;
        r->fault = fault.fault;
        r->offset = r->base + fault.offset;
    }
    arena_reset(&arena);
    return answer == PARSE_OK;
}

static inline void run_message_end(struct run *r)
{
    struct arena arena;
    const struct http1_header *trailers;
    size_t count;
    arena_init(&arena, 1 << 20);
    must(http1_body_trailers(&r->body, &arena, &trailers, &count) == 0);
    for (size_t i = 0; i < count; i++) {
        run_digest(r, trailers[i].name, ':');
        run_digest(r, trailers[i].value, '\n');
    }
    arena_reset(&arena);
    http1_body_free(&r->body);
    r->in_body = false;
    r->messages++;
    run_digest(r, (struct span){NULL, 0}, '$');
    http1_scan_init(&r->scan, r->kind, r->asked);
}

static inline bool run_body(struct run *r, struct span view)
{
    size_t used;
    struct span data;
    struct http1_fault_at fault = {HTTP1_NO_FAULT, 0};
    size_t start = r->base - (size_t)r->body.in_bytes;
    enum parse answer = http1_body_feed(&r->body, view, &used, &data, &fault);
    must(used <= view.len && data.len <= used);
    must(answer != PARSE_MORE || view.len == 0 || used > 0);
    run_digest(r, data, 0);
    r->base += used;
    if (answer == PARSE_OK) {
        run_message_end(r);
        return true;
    }
    if (answer == PARSE_BAD) {
        r->end = PARSE_BAD;
        r->fault = fault.fault;
        r->offset = start + fault.offset;
        http1_body_free(&r->body);
        r->in_body = false;
    }
    return answer == PARSE_MORE && used < view.len;
}

/* `all[0..received)` is there now. */
static inline void run_push(struct run *r, struct span all, size_t received)
{
    bool go = true;
    while (go && r->end != PARSE_BAD) {
        size_t len = received - r->base;
        if (len == 0 && !r->in_body)
            break;
        uint8_t *copy = malloc(len ? len : 1);
        must(copy);
        if (len)
            memcpy(copy, all.data + r->base, len);
        struct span view = span_of(copy, len);
        go = r->in_body ? run_body(r, view) : run_head(r, view);
        free(copy);
    }
}

static inline void run_eof(struct run *r, struct span all)
{
    if (r->end == PARSE_BAD)
        return;
    if (r->in_body) {
        bool whole = http1_body_eof(&r->body);
        r->messages += whole;
        r->end = whole ? PARSE_OK : PARSE_MORE;
        http1_body_free(&r->body);
        r->in_body = false;
        return;
    }
    r->end = r->base == all.len && r->messages > 0 ? PARSE_OK : PARSE_MORE;
}

/* The whole of `all`, first `first` bytes, then pieces of `step`. */
static inline void run_all(struct run *r, struct span all, size_t first, size_t step)
{
    for (size_t n = first; n < all.len; n += step)
        run_push(r, all, n);
    run_push(r, all, all.len);
    run_eof(r, all);
}

static inline bool run_same(const struct run *a, const struct run *b)
{
    return a->end == b->end && a->fault == b->fault && a->offset == b->offset && a->messages == b->messages &&
           a->digest == b->digest;
}

#endif
