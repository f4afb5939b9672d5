/* http1_head_fuzz.c: any bytes as a stream of messages: the same answer whole, byte by byte and in pieces of seven.
 * What is accepted is forwarded, and what was forwarded is read again: it must mean the same, carry no hop-by-hop
 * field, and be written the same once more. First byte of the input: what kind of message. */
#include "../unit/http1_run.h"
#include "wire/http1_write.h"

static const struct {
    enum http1_kind kind;
    struct http1_asked asked;
} KINDS[] = {
    {HTTP1_REQUEST, {0}},
    {HTTP1_RESPONSE, {0}},
    {HTTP1_RESPONSE, {.head = true}},
    {HTTP1_RESPONSE, {.connect = true}},
    {HTTP1_RESPONSE, {.upgrade = true}},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool parse(struct span bytes, enum http1_kind kind, struct http1_asked asked, struct arena *arena,
                  struct http1_head *ret)
{
    struct http1_scan scan;
    struct http1_fault_at fault;
    const struct http1_limits room = {.head_bytes = 1 << 18, .headers = 200, .target_bytes = 1 << 16};
    http1_scan_init(&scan, kind, asked);
    return http1_head_parse(&scan, bytes, &room, arena, ret, &fault) == PARSE_OK;
}

static void write_head(struct buf *out, const struct http1_head *head, const char *via)
{
    struct http1_forward f = http1_forward_of(head);
    f.via = via;
    int result = head->kind == HTTP1_REQUEST ? http1_request_write(out, head, &f)
                                             : http1_response_write(out, head, &f);
    must(result == 0);
}

static void check_meaning(const struct http1_head *first, const struct http1_head *again)
{
    static const char *const HOP[] = {"keep-alive", "proxy-authorization", "proxy-connection", "te",
                                      "http2-settings"};
    must(span_equal(first->method, again->method) && first->status == again->status);
    must(first->framing == again->framing && first->upgrade_websocket == again->upgrade_websocket);
    must(first->framing != HTTP1_LENGTH || first->content_length == again->content_length);
    for (size_t i = 0; i < ARRAY_LEN(HOP); i++)
        must(!http1_header_find(again, HOP[i]));
    must(http1_via_has(again, "pseudo"));
    if (first->kind == HTTP1_RESPONSE)
        return;
    must(first->target.form == HTTP1_ABSOLUTE || span_equal(first->raw_target, again->raw_target));
    must(span_equal(again->target.query, first->target.query));
    if (first->target.form == HTTP1_ABSOLUTE)
        must(span_equal(first->target.authority, again->host));
}

static void check_forward(struct span bytes, enum http1_kind kind, struct http1_asked asked)
{
    struct arena arena;
    struct http1_head first, again;
    struct buf out, twice;
    arena_init(&arena, 1 << 20);
    buf_init(&out, 1 << 18);
    buf_init(&twice, 1 << 18);
    bool readable = parse(bytes, kind, asked, &arena, &first);
    /* CONNECT is never forwarded, and without Host nothing can name its server in HTTP/1.1. */
    if (readable && kind == HTTP1_REQUEST)
        readable = first.target.form != HTTP1_AUTHORITY && (first.host.data || first.target.authority.len);
    if (readable) {
        write_head(&out, &first, "pseudo");
        must(parse(buf_span(&out), kind, asked, &arena, &again));
        must(again.head_bytes == buf_len(&out));
        check_meaning(&first, &again);
        write_head(&twice, &again, NULL);
        /* Only a second Connection field is judged anew: until-close says close each time. */
        struct buf thrice;
        struct http1_head third;
        buf_init(&thrice, 1 << 18);
        must(parse(buf_span(&twice), kind, asked, &arena, &third));
        write_head(&thrice, &third, NULL);
        must(span_equal(buf_span(&twice), buf_span(&thrice)));
        buf_free(&thrice);
    }
    buf_free(&out);
    buf_free(&twice);
    arena_reset(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 8192)
        return 0;
    size_t k = data[0] % ARRAY_LEN(KINDS);
    struct span bytes = span_of(data + 1, size - 1);
    struct run whole, pieces;
    const struct http1_limits small = {.head_bytes = 1024, .headers = 12, .target_bytes = 200};
    const struct http1_limits *limits = data[0] & 0x80 ? &small : &RUN_LIMITS;
    run_init(&whole, KINDS[k].kind, KINDS[k].asked, limits);
    run_all(&whole, bytes, bytes.len, 1);
    for (size_t step = 1; step <= 7; step += 6) {
        run_init(&pieces, KINDS[k].kind, KINDS[k].asked, limits);
        run_all(&pieces, bytes, step, step);
        must(run_same(&whole, &pieces));
    }
    check_forward(bytes, KINDS[k].kind, KINDS[k].asked);
    return 0;
}
