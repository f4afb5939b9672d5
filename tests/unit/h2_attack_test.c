/* h2_attack_test.c: what dishonest peers do to wire/h2: messages that a parser behind the server would read otherwise, floods, heads that
 * swell. Whatever it is: nothing of it reaches the other side, it has a name, and memory stays bounded. */
#include "h2_help.h"

/* ---- requests ---- */

static void smuggled_requests_never_reach_the_server(void **state)
{
    static const struct {
        const char *fields;
        enum h2_fault fault;
        int status; /* 0: reset */
    } cases[] = {
        /* nghttp2 finds these */
        {GET("/") "transfer-encoding: chunked\n", H2_MALFORMED, 0},
        {GET("/") "connection: close\n", H2_MALFORMED, 0},
        {GET("/") "proxy-connection: keep-alive\n", H2_MALFORMED, 0},
        {GET("/") "upgrade: h2c\n", H2_MALFORMED, 0},
        {GET("/") "te: gzip\n", H2_MALFORMED, 0},
        {GET("/") "content-length: 5\ncontent-length: 6\n", H2_MALFORMED, 0},
        {GET("/") "content-length: +5\n", H2_MALFORMED, 0},
        {GET("/") "content-length: 5\n", H2_MALFORMED, 0}, /* and no body */
        {GET("/") ":path: /b\n", H2_MALFORMED, 0},
        {"x: y\n" GET("/"), H2_MALFORMED, 0},
        {":method: GET\n:scheme: https\n:path: /\n", H2_MALFORMED, 0}, /* no host at all */
        {":method: GET\n:scheme: https\n:authority: example.com\n", H2_MALFORMED, 0},
        {GET("/") ":status: 200\n", H2_MALFORMED, 0},
        {GET("/") ":unknown: 200\n", H2_MALFORMED, 0},
        {GET("/") "x: a\rb\n", H2_FIELD_BYTE, 0},
        {GET("/") "x: \x01\n", H2_FIELD_BYTE, 0},
        {GET("/") "x:  leading\n", H2_FIELD_BYTE, 0},
        {GET("/") "x y: z\n", H2_FIELD_BYTE, 0},
        {GET("/") "x\ry: z\n", H2_FIELD_BYTE, 0},
        {GET("/\x01"), H2_MALFORMED, 0},
        {GET(""), H2_MALFORMED, 0},
        {":method: GE T\n:scheme: https\n:authority: example.com\n:path: /\n", H2_MALFORMED, 0},
        /* these are ours */
        {GET("/") "content_length: 5\n", H2_FRAMING_LOOKALIKE, 400},
        {GET("/") "transfer_encoding: chunked\n", H2_FRAMING_LOOKALIKE, 400},
        {GET("/") "content-length: 00\n", H2_LENGTH_MALFORMED, 400},
        {GET("/") "host: other.example\n", H2_AUTHORITY, 400},
        {GET("/") "host: example.com:444\n", H2_AUTHORITY, 400},
        {GET("/") "host: example.com\nhost: example.com\n", H2_MALFORMED, 0},
        {":method: GET\n:scheme: https\n:authority: user@example.com\n:path: /\n", H2_AUTHORITY, 400},
        {":method: GET\n:scheme: https\n:authority: example.com:0\n:path: /\n", H2_AUTHORITY, 400},
        {":method: GET\n:scheme: https\n:authority: a.example, b.example\n:path: /\n", H2_MALFORMED, 0},
        {":method: GET\n:scheme: http\n:authority: example.com\n:path: /\n", H2_SCHEME, 400},
        {":method: GET\n:scheme: file\n:authority: example.com\n:path: /\n", H2_SCHEME, 400},
        {GET("https://other.example/"), H2_MALFORMED, 0},
        {GET("*"), H2_MALFORMED, 0},
        {GET("/a#b"), H2_TARGET_MALFORMED, 400},
        {GET("/a\\b"), H2_TARGET_MALFORMED, 400},
        {GET("/ HTTP/1.1"), H2_MALFORMED, 0},
        {GET("/") "expect: 200-ok\n", H2_EXPECT, 417},
        {":method: CONNECT\n:authority: inside.example:25\n", H2_CONNECT, 405},
        {":method: GET\n:protocol: websocket\n:scheme: https\n:authority: example.com\n:path: /\n",
         H2_MALFORMED, 0},
    };
    struct world *w = *state;
    int bad = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int32_t id = client_ask(w, cases[i].fields, -1, true);
        run(w);
        struct seen *c = seen_of(&w->client, id);
        struct told *t = &w->told[id / 2];
        char status[32];
        snprintf(status, sizeof status, ":status: %d\n", cases[i].status);
        bool said = cases[i].status ? strstr(c->heads, status) != NULL : c->code != NGHTTP2_NO_ERROR;
        bool named = t->closed && (strstr(t->request, h2_fault_name(cases[i].fault)) != NULL ||
                                   t->fault == cases[i].fault);
        if (!c->closed || !said || !named) {
            print_error("%zu %.60s: closed %d code %u heads %.20s told %s fault %s\n", i, cases[i].fields,
                        c->closed, c->code, c->heads, t->request, h2_fault_name(t->fault));
            bad++;
        }
    }
    assert_int_equal(bad, 0);
    for (int i = 0; i < STREAMS; i++)
        assert_string_equal(w->server.streams[i].heads, "");
    assert_int_equal(h2_bridge_streams(w->bridge), 0);
    enum h2_side side;
    assert_int_equal(h2_bridge_fault(w->bridge, &side),
                     H2_NO_FAULT); /* one bad message doesn't poison the next */
    int32_t id = client_ask(w, GET("/"), -1, true);
    run(w);
    assert_true(seen_of(&w->client, id)->eof);
}

static void a_body_that_is_not_as_long_as_it_says_is_cut(void **state)
{
    struct world *w = *state;
    w->server.answers = false;
    int32_t longer = client_ask(w, POST("/") "content-length: 5\n", 0, false),
            shorter = client_ask(w, POST("/") "content-length: 50\n", 0, false);
    run(w);
    peer_send(&w->client, longer, 10, true);
    peer_send(&w->client, shorter, 10, true);
    run(w);
    assert_int_equal(seen_of(&w->client, longer)->code, NGHTTP2_PROTOCOL_ERROR);
    assert_int_equal(seen_of(&w->client, shorter)->code, NGHTTP2_PROTOCOL_ERROR);
    assert_false(seen_of(&w->server, 1)->eof);
    assert_false(seen_of(&w->server, 3)->eof);
    assert_true(seen_of(&w->server, 3)->closed);
}

/* ---- responses ---- */

static void malformed_responses_never_reach_the_client(void **state)
{
    static const char *const cases[] = {
        ":status: 101\n",
        ":status: 099\n",
        ":status: 999\n",
        ":status: 20\n",
        ":status: 2OO\n",
        "x: y\n",
        ":status: 200\nconnection: close\n",
        ":status: 200\ntransfer-encoding: chunked\n",
        ":status: 200\nx: a\rb\n",
        ":status: 200\ncontent_length: 5\n",
        ":status: 200\ncontent-length: 5\ncontent-length: 5\n",
        ":status: 200\n:status: 200\n",
        ":status: 200\n:path: /\n",
        ":status: 204\ncontent-length: 5\n",
        ":status: 200\ncontent-length: 7\n",
    };
    struct world *w = *state;
    w->server.answers = false;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int32_t id = client_ask(w, GET("/"), -1, true);
        run(w);
        server_answer(w, id, cases[i], 5, true);
        run(w);
        struct seen *c = seen_of(&w->client, id);
        if (c->eof || !c->closed || c->code == NGHTTP2_NO_ERROR)
            fail_msg("%s: eof %d closed %d code %u", cases[i], c->eof, c->closed, c->code);
        if (i + 1 < sizeof cases / sizeof cases[0]) /* the last shows too late */
            assert_string_equal(c->heads, "");
        assert_int_equal(w->told[id / 2].end, H2_RESET_BY_SERVER);
    }
}

static void a_server_that_pushes_is_cut_off(void **state)
{
    struct world *w = *state;
    w->server.answers = false;
    int32_t id = client_ask(w, GET("/"), -1, true);
    run(w);
    const uint8_t push[] = {0, 0, 4, 5, 4, 0, 0, 0, 1, 0, 0, 0, 2}; /* PUSH_PROMISE of stream 2 */
    assert_int_equal(raw(w, H2_SERVER, push, sizeof push), 0);
    run(w);
    enum h2_side side = H2_CLIENT;
    assert_int_equal(h2_bridge_fault(w->bridge, &side), H2_PROTOCOL);
    assert_int_equal(side, H2_SERVER);
    w->server_gone = true;
    h2_bridge_lost(w->bridge, H2_SERVER, false);
    run(w);
    assert_true(seen_of(&w->client, id)->closed);
}

/* ---- floods ---- */

static void expect_flood(struct world *w, enum h2_side from)
{
    enum h2_side side = from == H2_CLIENT ? H2_SERVER : H2_CLIENT;
    assert_int_equal(h2_bridge_fault(w->bridge, &side), H2_FLOOD);
    assert_int_equal(side, from);
    struct buf out;
    buf_init(&out, 1 << 20);
    h2_bridge_write(w->bridge, from, &out, 1 << 19);
    assert_true(buf_len(&out) < 64 << 10);
    buf_free(&out);
}

static void flood(struct world *w, enum h2_side from, const uint8_t *frame, size_t len, int times)
{
    int sent = 0;
    while (sent < times && raw(w, from, frame, len) == 0)
        sent++;
    assert_in_range(sent, 900, times - 1);
    expect_flood(w, from);
}

static void floods_end_the_connection(void **state)
{
    const uint8_t ping[17] = {0, 0, 8, 6}, settings[9] = {0, 0, 0, 4},
                  priority[14] = {0, 0, 5, 2, 0, 0, 0, 0, 9, 0, 0, 0, 3, 7};
    const struct {
        const uint8_t *frame;
        size_t len;
    } frames[] = {{ping, sizeof ping}, {settings, sizeof settings}, {priority, sizeof priority}};
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++)
        for (int side = 0; side < 2; side++) {
            void *w;
            world_open(&w);
            flood(w, (enum h2_side)side, frames[i].frame, frames[i].len, 5000);
            world_close(&w);
        }
    (void)state;
}

static void empty_frames_end_the_connection(void **state)
{
    struct world *w = *state;
    w->judge = HOLD;
    client_ask(w, POST("/"), 0, false);
    run(w);
    const uint8_t empty[9] = {0, 0, 0, 0, 0, 0, 0, 0, 1};
    flood(w, H2_CLIENT, empty, sizeof empty, 5000);
}

static void continuations_without_end_end_the_connection(void **state)
{
    struct world *w = *state;
    uint8_t begin[10] = {0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82}, more[10] = {0, 0, 1, 9, 0, 0, 0, 0, 1, 0x87};
    assert_int_equal(raw(w, H2_CLIENT, begin, sizeof begin), 0);
    int sent = 0;
    while (sent < 100 && raw(w, H2_CLIENT, more, sizeof more) == 0)
        sent++;
    assert_in_range(sent, 1, 20);
}

/* CVE-2023-44487: asks and resets, over and over; in flight at the server there are never more than were allowed. */
static void rapid_resets_end_the_connection(void **state)
{
    struct world *w = *state;
    w->server.answers = false;
    enum h2_side side;
    unsigned most = 0;
    for (int i = 0; i < 3000 && h2_bridge_fault(w->bridge, &side) == H2_NO_FAULT; i++) {
        int32_t id = client_ask(w, GET("/"), -1, true);
        to_bridge(w, &w->client, H2_CLIENT);
        nghttp2_submit_rst_stream(w->client.session, 0, id, NGHTTP2_CANCEL);
        to_bridge(w, &w->client, H2_CLIENT); /* the server is slow: nothing is written to it */
        if (h2_bridge_streams(w->bridge) > most)
            most = h2_bridge_streams(w->bridge);
    }
    assert_in_range(most, 0, 200);
    assert_in_range(w->requests, 1, 1010);
}

static void requests_over_the_limit_are_refused(void **state)
{
    struct world *w = *state;
    w->judge = HOLD;
    for (int i = 0; i < 150; i++)
        client_ask(w, GET("/"), -1, true);
    run(w);
    assert_int_equal(w->requests, 100); /* an honest client keeps to the setting */
    assert_int_equal(h2_bridge_streams(w->bridge), 100);
}

/* ---- heads ---- */

static void heads_that_are_too_large_are_refused(void **state)
{
    struct world *w = *state;
    static char large[40000], many[4000], path[6000];
    snprintf(large, sizeof large, "%sx: %0*d\n", GET("/"), 20000, 1);
    snprintf(many, sizeof many, "%s", GET("/"));
    int32_t a = client_ask(w, large, -1, true);
    run(w);
    snprintf(path, sizeof path, ":method: GET\n:scheme: https\n:authority: example.com\n:path: /%0*d\n", 5000,
             1);
    int32_t b = client_ask(w, path, -1, true);
    run(w);
    assert_int_equal(
        w->told[a / 2].fault == H2_HEAD_TOO_LARGE || strstr(w->told[a / 2].request, "h2_head_too_large"), 1);
    assert_true(seen_of(&w->client, a)->closed);
    assert_non_null(strstr(seen_of(&w->client, b)->heads, ":status: 414"));
    assert_string_equal(seen_of(&w->server, 1)->heads, "");
}

/* One byte on the wire for each field of 3 KB. */
static void a_head_that_swells_is_cut_off(void **state)
{
    struct world *w = *state;
    nghttp2_nv nv[1000];
    static char value[3000]; /* the encoder indexes no larger ones */
    memset(value, 'a', sizeof value);
    for (size_t i = 0; i < 1000; i++)
        nv[i] = (nghttp2_nv){(uint8_t *)"x", (uint8_t *)value, 1, sizeof value, 0};
    nv[0] = (nghttp2_nv){(uint8_t *)":method", (uint8_t *)"GET", 7, 3, 0};
    for (int i = 0; i < 20; i++)
        nghttp2_submit_request(w->client.session, NULL, nv, 1000, NULL, NULL);
    run(w);
    assert_int_equal(w->requests, 20);
    for (int i = 0; i < 20; i++)
        assert_non_null(strstr(w->told[i].request, "h2_head_too_large"));
    assert_int_equal(seen_of(&w->client, 1)->code, NGHTTP2_CANCEL);
    assert_int_equal(h2_bridge_streams(w->bridge), 0);
}

/* ---- the connection ---- */

static void what_is_no_http2_ends_the_connection(void **state)
{
    (void)state;
    struct world *w;
    void *p;
    world_open(&p);
    w = p;
    const uint8_t data_on_idle[9] = {0, 0, 0, 0, 1, 0, 0, 0, 99};
    raw(w, H2_CLIENT, data_on_idle, sizeof data_on_idle);
    run(w);
    enum h2_side side = H2_SERVER;
    assert_int_equal(h2_bridge_fault(w->bridge, &side), H2_PROTOCOL);
    assert_int_equal(side, H2_CLIENT);
    assert_true(w->client.got_goaway);
    assert_true(h2_bridge_done(w->bridge));
    world_close(&p);

    const struct h2_limits limits = {
        .head_bytes = 16 << 10, .headers = 50, .target_bytes = 4096, .streams = 100};
    struct h2_bridge *b = h2_bridge_new(&limits, &owner_events, NULL);
    assert_int_equal(
        h2_bridge_receive(b, H2_CLIENT, span_str("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"), 1), -1);
    assert_int_equal(h2_bridge_fault(b, &side), H2_PROTOCOL);
    h2_bridge_free(b);
}

static void windows_may_not_overflow(void **state)
{
    struct world *w = *state;
    const uint8_t update[13] = {0, 0, 4, 8, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff};
    raw(w, H2_CLIENT, update, sizeof update);
    run(w);
    enum h2_side side;
    assert_int_equal(h2_bridge_fault(w->bridge, &side), H2_PROTOCOL);
}

#define T(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(smuggled_requests_never_reach_the_server),
        T(a_body_that_is_not_as_long_as_it_says_is_cut),
        T(malformed_responses_never_reach_the_client),
        T(a_server_that_pushes_is_cut_off),
        cmocka_unit_test(floods_end_the_connection),
        T(empty_frames_end_the_connection),
        T(continuations_without_end_end_the_connection),
        T(rapid_resets_end_the_connection),
        T(requests_over_the_limit_are_refused),
        T(heads_that_are_too_large_are_refused),
        T(a_head_that_swells_is_cut_off),
        cmocka_unit_test(what_is_no_http2_ends_the_connection),
        T(windows_may_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
