/* http1_test.c: what the vectors can't say: the fields of a parsed head, limits at their borders, the second judge,
 * what is forwarded, and body pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "http1_run.h"
#include "wire/http1_judge.h"
#include "wire/http1_write.h"

#include <stdio.h>

static struct arena arena;
static struct http1_fault_at fault;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 1 << 16);
    fault = (struct http1_fault_at){HTTP1_NO_FAULT, 0};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_reset(&arena);
    return 0;
}

static enum parse parse_as(const char *text, enum http1_kind kind, struct http1_asked asked,
                           struct http1_head *ret)
{
    struct http1_scan scan;
    http1_scan_init(&scan, kind, asked);
    return http1_head_parse(&scan, span_str(text), &RUN_LIMITS, &arena, ret, &fault);
}

static struct http1_head request(const char *text)
{
    struct http1_head head = {0};
    assert_int_equal(parse_as(text, HTTP1_REQUEST, (struct http1_asked){0}, &head), PARSE_OK);
    return head;
}

static struct http1_head response(const char *text, struct http1_asked asked)
{
    struct http1_head head = {0};
    assert_int_equal(parse_as(text, HTTP1_RESPONSE, asked, &head), PARSE_OK);
    return head;
}

#define assert_span(s, text) assert_true(span_is((s), (text)))

static void a_request_is_read(void **state)
{
    (void)state;
    struct http1_head h =
        request("POST https://[2001:DB8::1]:8443/a/b?c=d?e HTTP/1.1\r\nHost: x.example:1\r\n"
                "Connection: Upgrade, x-a\r\nconnection: x-b\r\nUpgrade: websocket\r\n"
                "Proxy-Authorization:  Basic dTpw \r\nExpect: 100-continue\r\n"
                "Content-Length: 12\r\n\r\nbody");
    assert_span(h.method, "POST");
    assert_int_equal(h.target.form, HTTP1_ABSOLUTE);
    assert_true(h.target.https && h.target.has_port);
    assert_span(h.target.scheme, "https");
    assert_span(h.target.authority, "[2001:DB8::1]:8443");
    assert_span(h.target.host, "[2001:DB8::1]");
    assert_int_equal(h.target.port, 8443);
    assert_span(h.target.path_query, "/a/b?c=d?e");
    assert_span(h.target.path, "/a/b");
    assert_span(h.target.query, "c=d?e");
    assert_int_equal(h.minor, 1);
    assert_int_equal(h.header_count, 7);
    assert_span(h.headers[2].name, "connection");
    assert_span(h.headers[4].value, "Basic dTpw");
    assert_int_equal(h.connection_count, 3);
    assert_span(h.connection[1], "x-a");
    assert_span(h.connection[2], "x-b");
    assert_span(h.host, "x.example:1");
    assert_span(h.proxy_authorization, "Basic dTpw");
    assert_int_equal(h.content_length, 12);
    assert_int_equal(h.framing, HTTP1_LENGTH);
    assert_true(h.keep_alive && h.expect_continue && !h.chunked);
    assert_false(h.upgrade_websocket); /* it has a body */
    assert_span(http1_header_find(&h, "HOST")->value, "x.example:1");
    assert_null(http1_header_find(&h, "cookie"));
    struct http1_head bare = request("GET http://a.example HTTP/1.0\r\n\r\n");
    assert_int_equal(bare.target.port, 80);
    assert_false(bare.target.has_port || bare.keep_alive);
    assert_null(bare.host.data);
    assert_null(bare.proxy_authorization.data);
    assert_int_equal(bare.target.path_query.len, 0);
}

static void connections_persist_by_version_and_token(void **state)
{
    (void)state;
    assert_false(request("GET / HTTP/1.1\r\nHost: a\r\nConnection: close, keep-alive\r\n\r\n").keep_alive);
    assert_true(request("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive);
    assert_false(request("GET / HTTP/1.0\r\nConnection: x-keep-alive\r\n\r\n").keep_alive);
    assert_true(request("GET / HTTP/1.1\r\nHost: a\r\n\r\n").keep_alive);
}

static void a_websocket_upgrade_is_recognised(void **state)
{
    (void)state;
#define WS "Host: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: h2c, WebSocket\r\n\r\n"
    struct http1_head h = request("GET / HTTP/1.1\r\n" WS);
    assert_true(h.upgrade_websocket);
    assert_true(http1_asked_of(&h).upgrade);
    assert_false(request("GET / HTTP/1.0\r\n" WS).upgrade_websocket);
    assert_false(request("PUT / HTTP/1.1\r\n" WS).upgrade_websocket);
    assert_false(request("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n").upgrade_websocket);
    assert_false(request("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n")
                     .upgrade_websocket);
    struct http1_head answer =
        response("HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", http1_asked_of(&h));
    assert_true(answer.upgrade_websocket);
    assert_int_equal(answer.framing, HTTP1_TUNNEL);
}

static void a_response_ends_as_its_request_says(void **state)
{
    (void)state;
    const struct {
        const char *text;
        struct http1_asked asked;
        enum http1_framing framing;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", {0}, HTTP1_LENGTH},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", {.head = true}, HTTP1_NO_BODY},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", {.connect = true}, HTTP1_TUNNEL},
        {"HTTP/1.1 404 No\r\nContent-Length: 5\r\n\r\n", {.connect = true}, HTTP1_LENGTH},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", {0}, HTTP1_CHUNKED},
        {"HTTP/1.1 200 OK\r\n\r\n", {0}, HTTP1_UNTIL_CLOSE},
        {"HTTP/1.1 204 OK\r\n\r\n", {0}, HTTP1_NO_BODY},
        {"HTTP/1.1 304 OK\r\nContent-Length: 5\r\n\r\n", {0}, HTTP1_NO_BODY},
        {"HTTP/1.1 103 OK\r\n\r\n", {0}, HTTP1_NO_BODY},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(response(cases[i].text, cases[i].asked).framing, cases[i].framing);
}

static void a_violation_is_seen_before_the_head_is_whole(void **state)
{
    (void)state;
    struct http1_head head;
    const char *const parts[] = {"GET  ",
                                 "GET http://u@h/ ",
                                 "GET / HTTP/1.1\r\nX ",
                                 "GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n",
                                 "GET / HTTP/1.1\r\nA: b\r\n ",
                                 "GET / HTTP/1.1\n"};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        assert_int_equal(parse_as(parts[i], HTTP1_REQUEST, (struct http1_asked){0}, &head), PARSE_BAD);
        assert_true(fault.offset < strlen(parts[i]));
    }
    parse_as("GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n", HTTP1_REQUEST, (struct http1_asked){0}, &head);
    assert_int_equal(fault.fault, HTTP1_SPACE_BEFORE_COLON);
    assert_int_equal(fault.offset, 26);
}

static void a_fault_stays(void **state)
{
    (void)state;
    struct http1_scan scan;
    struct http1_head head;
    http1_scan_init(&scan, HTTP1_REQUEST, (struct http1_asked){0});
    for (int i = 0; i < 2; i++) {
        fault = (struct http1_fault_at){HTTP1_NO_FAULT, 0};
        assert_int_equal(http1_head_parse(&scan, span_str("GET /\n / HTTP/1.1\r\n\r\n"), &RUN_LIMITS, &arena,
                                          &head, &fault),
                         PARSE_BAD);
        assert_int_equal(fault.fault, HTTP1_BARE_LF);
        assert_int_equal(fault.offset, 5);
    }
}

static void a_full_buffer_never_waits(void **state)
{
    (void)state;
    static const char TEXT[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    const size_t len = sizeof TEXT - 1;
    for (size_t limit = 1; limit <= len; limit++) {
        struct http1_limits limits = {.head_bytes = limit, .headers = 1, .target_bytes = 1};
        struct http1_scan scan;
        struct http1_head head;
        http1_scan_init(&scan, HTTP1_REQUEST, (struct http1_asked){0});
        enum parse answer = http1_head_parse(&scan, span_of(TEXT, limit), &limits, &arena, &head, &fault);
        assert_int_equal(answer, limit == len ? PARSE_OK : PARSE_BAD);
        if (limit < len)
            assert_int_equal(fault.fault, HTTP1_HEAD_TOO_LARGE);
    }
}

static void an_arena_that_is_spent_is_a_fault(void **state)
{
    (void)state;
    arena_reset(&arena);
    arena_init(&arena, 64);
    struct http1_head head;
    assert_int_equal(parse_as("GET / HTTP/1.1\r\nHost: a\r\nX: b\r\nY: c\r\n\r\n", HTTP1_REQUEST,
                              (struct http1_asked){0}, &head),
                     PARSE_BAD);
    assert_int_equal(fault.fault, HTTP1_HEAD_NO_MEMORY);
}

static void the_second_judge_sees_a_difference(void **state)
{
    (void)state;
    static const char TEXT[] =
        "POST /p HTTP/1.1\r\nHost: a\r\nX:  y z \r\nE:\r\nContent-Length: 3\r\n\r\nabc";
    struct http1_head good = request(TEXT), bad;
    struct span bytes = span_of(TEXT, good.head_bytes);
    assert_true(http1_judge_agrees(&good, bytes));
#define ALTERED(change) (bad = good, change, !http1_judge_agrees(&bad, bytes))
    assert_true(ALTERED(bad.content_length = 4));
    assert_true(ALTERED(bad.content_length = -1));
    assert_true(ALTERED(bad.chunked = true));
    assert_true(ALTERED(bad.header_count--));
    assert_true(ALTERED(bad.header_count++));
    assert_true(ALTERED(bad.minor = 0));
    assert_true(ALTERED(bad.raw_target.len--));
    assert_true(ALTERED(bad.method = span_str("GET")));
    assert_false(http1_judge_agrees(&good, span_of(TEXT, good.head_bytes + 1)));
    assert_false(http1_judge_agrees(&good, span_of(TEXT, good.head_bytes - 2)));
    struct http1_header *headers = arena_alloc(&arena, good.header_count * sizeof *headers);
    memcpy(headers, good.headers, good.header_count * sizeof *headers);
    headers[1].value.len--;
    assert_true(ALTERED(bad.headers = headers));
    struct http1_head answer = response("HTTP/1.1 200 OK\r\nA: b\r\n\r\n", (struct http1_asked){0});
    answer.status = 201;
    assert_false(http1_judge_agrees(&answer, span_str("HTTP/1.1 200 OK\r\nA: b\r\n\r\n")));
}

/* What is written for `head`, as text; valid until the next call. */
static const char *written(const struct http1_head *head, const struct http1_forward *forward)
{
    static char text[4096];
    struct buf out;
    buf_init(&out, sizeof text - 1);
    int result = head->kind == HTTP1_REQUEST ? http1_request_write(&out, head, forward)
                                             : http1_response_write(&out, head, forward);
    assert_int_equal(result, 0);
    memcpy(text, out.data, buf_len(&out));
    text[buf_len(&out)] = '\0';
    buf_free(&out);
    return text;
}

static void a_request_is_forwarded_canonical(void **state)
{
    (void)state;
    struct http1_head h =
        request("POST http://A.example:80/x?y HTTP/1.1\r\nHost: evil.example\r\nVia: 1.0 old\r\n"
                "Connection: close, X-Hop, host, Content-Length, cookie, via\r\nX-Hop: 1\r\n"
                "Cookie: c\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTE: trailers\r\n"
                "Trailer: Z\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\n"
                "Proxy-Authorization: Basic dTpw\r\nX-End: 1\r\nContent-Length:  4\r\n\r\n");
    struct http1_forward f = http1_forward_of(&h);
    f.via = "exeat";
    assert_string_equal(written(&h, &f),
                        "POST /x?y HTTP/1.1\r\nHost: A.example:80\r\nVia: 1.0 old\r\nCookie: c\r\n"
                        "X-End: 1\r\nVia: 1.1 exeat\r\nContent-Length: 4\r\n\r\n");
    f.authority = span_str("a.example");
    f.close = true;
    assert_non_null(strstr(written(&h, &f), "\r\nHost: a.example\r\n"));
    assert_non_null(strstr(written(&h, &f), "\r\nConnection: close\r\n\r\n"));
}

static void request_lines(void **state)
{
    (void)state;
    const struct {
        const char *text, *begins;
    } cases[] = {
        {"GET http://a HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
        {"GET http://a?q HTTP/1.0\r\n\r\n", "GET /?q HTTP/1.1\r\nHost: a\r\n\r\n"},
        {"OPTIONS http://a HTTP/1.0\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"},
        {"OPTIONS http://a?q HTTP/1.0\r\n\r\n", "OPTIONS /?q HTTP/1.1\r\nHost: a\r\n\r\n"},
        {"OPTIONS * HTTP/1.1\r\nHost: b\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: b\r\n\r\n"},
        {"GET /p HTTP/1.1\r\nX: 1\r\nhost: b:1\r\n\r\n", "GET /p HTTP/1.1\r\nHost: b:1\r\nX: 1\r\n\r\n"},
        {"POST /p HTTP/1.1\r\nHost: b\r\nContent-Length: 0\r\n\r\n",
         "POST /p HTTP/1.1\r\nHost: b\r\nContent-Length: 0\r\n\r\n"},
        {"POST /p HTTP/1.1\r\nHost: b\r\nTRANSFER-encoding: Chunked\r\nTrailer: X\r\n\r\n",
         "POST /p HTTP/1.1\r\nHost: b\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {"GET /p HTTP/1.1\r\nHost: b\r\nExpect: 100-continue\r\n\r\n", "GET /p HTTP/1.1\r\nHost: b\r\n\r\n"},
        {"GET /p HTTP/1.1\r\nHost: b\r\nConnection: Upgrade\r\nUpgrade: foo, websocket\r\n\r\n",
         "GET /p HTTP/1.1\r\nHost: b\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http1_head h = request(cases[i].text);
        struct http1_forward f = http1_forward_of(&h);
        assert_string_equal(written(&h, &f), cases[i].begins);
    }
}

static void a_response_is_forwarded_canonical(void **state)
{
    (void)state;
    struct http1_head h = response("HTTP/1.0 200 \xe4\r\nServer: x\r\nConnection: keep-alive, server\r\n"
                                   "Proxy-Authenticate: Basic\r\nHost: odd\r\n\r\n",
                                   (struct http1_asked){0});
    struct http1_forward f = http1_forward_of(&h);
    f.via = "exeat";
    assert_string_equal(written(&h, &f),
                        "HTTP/1.1 200 \xe4\r\nHost: odd\r\nVia: 1.0 exeat\r\nConnection: close\r\n\r\n");
    f.framing = http1_framing_to(&h, 1);
    assert_string_equal(
        written(&h, &f),
        "HTTP/1.1 200 \xe4\r\nHost: odd\r\nVia: 1.0 exeat\r\nTransfer-Encoding: chunked\r\n\r\n");
    h = response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", (struct http1_asked){0});
    assert_int_equal(http1_framing_to(&h, 0), HTTP1_UNTIL_CLOSE);
    assert_int_equal(http1_framing_to(&h, 1), HTTP1_CHUNKED);
    h = response("HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n", (struct http1_asked){0});
    f = http1_forward_of(&h);
    assert_string_equal(written(&h, &f), "HTTP/1.1 204 No\r\n\r\n");
    h = response("HTTP/1.1 304 No\r\nContent-Length: 7\r\n\r\n", (struct http1_asked){0});
    f = http1_forward_of(&h);
    f.keep_alive = true;
    assert_string_equal(written(&h, &f),
                        "HTTP/1.1 304 No\r\nContent-Length: 7\r\nConnection: keep-alive\r\n\r\n");
}

static void a_full_buffer_is_told(void **state)
{
    (void)state;
    struct http1_head h = request("GET /p HTTP/1.1\r\nHost: b\r\nX: 1\r\n\r\n");
    struct http1_forward f = http1_forward_of(&h);
    const size_t whole = strlen("GET /p HTTP/1.1\r\nHost: b\r\nX: 1\r\n\r\n");
    for (size_t limit = 0; limit < whole; limit++) {
        struct buf out;
        buf_init(&out, limit);
        assert_int_equal(http1_request_write(&out, &h, &f), -1);
        buf_free(&out);
    }
}

static void our_own_via_is_found(void **state)
{
    (void)state;
    struct http1_head h =
        request("GET / HTTP/1.1\r\nHost: a\r\nVia: 1.0 fred (a, 1.1 exeat\\), x), 1.1\tp.example:80\r\n"
                "via: HTTP/1.1 Other(c) , , 1.1\r\nX-Via: 1.1 nobody\r\n\r\n");
    assert_true(http1_via_has(&h, "fred"));
    assert_true(http1_via_has(&h, "p.example:80"));
    assert_true(http1_via_has(&h, "other"));
    assert_false(http1_via_has(&h, "exeat")); /* in a comment */
    assert_false(http1_via_has(&h, "nobody"));
    assert_false(http1_via_has(&h, "fre"));
    assert_false(http1_via_has(&h, "1.1"));
}

static void trailers_are_kept_and_filtered(void **state)
{
    (void)state;
    struct http1_head h = request("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    struct http1_body body;
    struct span in = span_str(
                    "3\r\nabc\r\n0\r\nX-Sum:  9 \r\nContent-Length: 5\r\nSet-Cookie: a\r\nY:\r\n\r\nGET /"),
                data;
    const struct http1_header *trailers;
    size_t used, count;
    http1_body_init(&body, &h, &RUN_LIMITS);
    assert_int_equal(http1_body_feed(&body, in, &used, &data, &fault), PARSE_MORE);
    assert_span(data, "abc");
    assert_false(http1_body_eof(&body));
    in = span_from(in, used);
    assert_int_equal(http1_body_feed(&body, in, &used, &data, &fault), PARSE_OK);
    assert_span(span_from(in, used), "GET /");
    assert_int_equal(http1_body_trailers(&body, &arena, &trailers, &count), 0);
    assert_int_equal(count, 2);
    assert_span(trailers[0].name, "X-Sum");
    assert_span(trailers[0].value, "9");
    assert_int_equal(trailers[1].value.len, 0);
    struct buf out;
    buf_init(&out, 100);
    assert_int_equal(http1_chunk_write(&out, span_str("")), 0);
    assert_int_equal(http1_chunk_write(&out, span_str("0123456789abcdefg")), 0);
    assert_int_equal(http1_last_chunk_write(&out, trailers, count), 0);
    assert_span(buf_span(&out), "11\r\n0123456789abcdefg\r\n0\r\nX-Sum: 9\r\nY: \r\n\r\n");
    buf_free(&out);
    http1_body_free(&body);
}

static void bodies_end_where_their_framing_says(void **state)
{
    (void)state;
    struct http1_body body;
    size_t used;
    struct span data;
    struct http1_head h = {.framing = HTTP1_LENGTH, .content_length = 3};
    http1_body_init(&body, &h, &RUN_LIMITS);
    assert_int_equal(http1_body_feed(&body, span_str("ab"), &used, &data, &fault), PARSE_MORE);
    assert_false(http1_body_eof(&body));
    assert_int_equal(http1_body_feed(&body, span_str("cd"), &used, &data, &fault), PARSE_OK);
    assert_int_equal(used, 1);
    assert_true(http1_body_done(&body) && http1_body_eof(&body));
    assert_int_equal(http1_body_feed(&body, span_str("d"), &used, &data, &fault), PARSE_OK);
    assert_int_equal(used, 0);
    h.framing = HTTP1_UNTIL_CLOSE;
    http1_body_init(&body, &h, &RUN_LIMITS);
    assert_int_equal(http1_body_feed(&body, span_str("ab"), &used, &data, &fault), PARSE_MORE);
    assert_span(data, "ab");
    assert_true(http1_body_eof(&body) && !http1_body_done(&body));
    h.framing = HTTP1_NO_BODY;
    http1_body_init(&body, &h, &RUN_LIMITS);
    assert_true(http1_body_done(&body));
    h.framing = HTTP1_CHUNKED;
    http1_body_init(&body, &h, &RUN_LIMITS);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(http1_body_feed(&body, span_str("5x"), &used, &data, &fault), PARSE_BAD);
        assert_int_equal(fault.fault, HTTP1_CHUNK_SIZE_MALFORMED);
        assert_int_equal(fault.offset, 1);
    }
}

static void every_fault_has_its_texts(void **state)
{
    (void)state;
    for (int i = 1; i < HTTP1_FAULTS; i++) {
        enum http1_fault f = (enum http1_fault)i;
        assert_true(http1_fault_status(f) >= 400 && http1_fault_status(f) < 600);
        assert_true(strlen(http1_fault_text(f)) > 10);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(http1_fault_name(f), http1_fault_name((enum http1_fault)k));
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_request_is_read),
        T(connections_persist_by_version_and_token),
        T(a_websocket_upgrade_is_recognised),
        T(a_response_ends_as_its_request_says),
        T(a_violation_is_seen_before_the_head_is_whole),
        T(a_fault_stays),
        T(a_full_buffer_never_waits),
        T(an_arena_that_is_spent_is_a_fault),
        T(the_second_judge_sees_a_difference),
        T(a_request_is_forwarded_canonical),
        T(request_lines),
        T(a_response_is_forwarded_canonical),
        T(a_full_buffer_is_told),
        T(our_own_via_is_found),
        T(trailers_are_kept_and_filtered),
        T(bodies_end_where_their_framing_says),
        T(every_fault_has_its_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
