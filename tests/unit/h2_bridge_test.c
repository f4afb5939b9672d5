/* h2_bridge_test.c: messages through wire/h2: heads, bodies, trailers, flow control, ends, our own answers. */
#include "h2_help.h"

/* ---- messages ---- */

static void a_request_and_its_response_pass(void **state)
{
    struct world *w = *state;
    int32_t id = client_ask(w, GET("/a?b") "accept: text/html\ncookie: a=b\nte: trailers\n", -1, true);
    run(w);
    assert_string_equal(seen_of(&w->server, 1)->heads,
                        ":method: GET\n:scheme: https\n:authority: decided.example\n:path: /a?b\n"
                        "accept: text/html\ncookie: a=b\nte: trailers\nvia: 2 exeat\n--\n");
    struct seen *c = seen_of(&w->client, id);
    assert_string_equal(c->heads, ":status: 200\nvia: 2 exeat\n--\n");
    assert_string_equal(c->body, "xx");
    assert_true(c->eof && c->closed);
    assert_int_equal(c->code, 0);
    assert_string_equal(w->told[0].request, "GET example.com /a?b none");
    assert_string_equal(w->told[0].response, "200");
    assert_int_equal(w->told[0].end, H2_DONE);
    assert_int_equal(w->told[0].in_bytes, 2);
    assert_int_equal(h2_bridge_streams(w->bridge), 0);
}

static void what_leads_past_the_proxy_is_left_out(void **state)
{
    struct world *w = *state;
    w->server.answers = false;
    int32_t id = client_ask(w, GET("/") "proxy-authorization: Basic xyz\nhost: example.com\n", -1, true);
    run(w);
    assert_null(strstr(seen_of(&w->server, 1)->heads, "proxy-authorization"));
    assert_null(strstr(seen_of(&w->server, 1)->heads, "host: "));
    const uint8_t origin[] = "https://example.com";
    nghttp2_submit_altsvc(w->server.session, 0, 0, origin, sizeof origin - 1, (const uint8_t *)"h3=\":443\"",
                          9);
    server_answer(w, 1, ":status: 200\nalt-svc: h3=\":443\"; ma=86400\nx: y\n", -1, true);
    run(w);
    assert_string_equal(seen_of(&w->client, id)->heads, ":status: 200\nx: y\nvia: 2 exeat\n--\n");
}

static void trailers_pass_without_what_may_not_be_one(void **state)
{
    struct world *w = *state;
    int32_t id = client_ask(w, POST("/") "te: trailers\n", 10, true);
    seen_of(&w->client, id)->trailers = true;
    w->server.answers = false;
    run(w);
    assert_non_null(strstr(seen_of(&w->server, 1)->heads, "--\ngrpc-status: 0\n--\n"));
    assert_true(seen_of(&w->server, 1)->eof);
    seen_of(&w->server, 1)->trailers = true;
    server_answer(w, 1, ":status: 200\n", 7, true);
    seen_of(&w->server, 1)->trailers = true;
    run(w);
    assert_string_equal(seen_of(&w->client, id)->heads,
                        ":status: 200\nvia: 2 exeat\n--\ngrpc-status: 0\n--\n");
    assert_int_equal(seen_of(&w->client, id)->body_bytes, 7);
    assert_true(seen_of(&w->client, id)->eof);
}

static void interim_responses_pass_and_are_bounded(void **state)
{
    struct world *w = *state;
    w->server.answers = false;
    int32_t id = client_ask(w, POST("/") "expect: 100-continue\n", 0, false);
    run(w);
    nghttp2_nv nv[FIELDS];
    size_t n = fields_of(":status: 103\nlink: </a>\n", nv);
    nghttp2_submit_headers(w->server.session, 0, 1, NULL, nv, n, NULL);
    run(w);
    assert_string_equal(seen_of(&w->client, id)->heads, ":status: 103\nlink: </a>\nvia: 2 exeat\n--\n");
    for (int i = 0; i < 20; i++)
        nghttp2_submit_headers(w->server.session, 0, 1, NULL, nv, n, NULL);
    run(w);
    assert_true(seen_of(&w->client, id)->closed);
    assert_int_equal(w->told[0].fault, H2_INTERIM);
}

static void both_directions_stream_at_once(void **state)
{
    struct world *w = *state;
    w->server.echoes = true;
    int32_t id = client_ask(w, POST("/grpc.Service/Method") "content-type: application/grpc\nte: trailers\n",
                            0, false);
    run(w);
    struct seen *c = seen_of(&w->client, id);
    assert_string_equal(c->heads, ":status: 200\nvia: 2 exeat\n--\n");
    for (size_t i = 1; i <= 50; i++) { /* one message each way, and nothing waits for an end */
        peer_send(&w->client, id, 100, false);
        run(w);
        assert_int_equal(c->body_bytes, 2 + 100 * i);
    }
    assert_false(c->eof);
    peer_send(&w->client, id, 0, true);
    run(w);
    assert_true(c->eof && c->closed);
    assert_int_equal(w->told[0].end, H2_DONE);
}

/* ---- flow control ---- */

static void a_server_that_takes_nothing_stops_its_client(void **state)
{
    struct world *w = *state;
    w->server.holds = true;
    int32_t id = client_ask(w, POST("/"), 100 << 20, true);
    run(w);
    assert_true(w->most_held <= (256 << 10));
    assert_int_equal(w->server.received_bytes, 65535);
    w->server.holds = false;
    nghttp2_session_consume(w->server.session, 1, 65535);
    run(w);
    assert_int_equal(w->server.received_bytes, 100 << 20);
    assert_true(w->most_held <= (256 << 10));
    assert_true(seen_of(&w->client, id)->closed);
}

static void a_client_that_takes_nothing_stops_its_server(void **state)
{
    struct world *w = *state;
    w->client.holds = true;
    w->server.answers = false;
    client_ask(w, GET("/"), -1, true);
    run(w);
    server_answer(w, 1, ":status: 200\n", 100 << 20, true);
    run(w);
    assert_true(w->most_held <= (256 << 10));
    w->client.holds = false;
    nghttp2_session_consume(w->client.session, 1, 65535);
    run(w);
    assert_int_equal(w->client.received_bytes, 100 << 20);
    assert_true(w->most_held <= (256 << 10));
}

static void streams_that_nobody_reads_stop_no_other_and_are_bounded(void **state)
{
    struct world *w = *state;
    w->judge = HOLD;
    for (int i = 0; i < 6; i++) /* not judged yet: their bodies wait here */
        client_ask(w, POST("/held"), 10 << 20, true);
    run(w);
    w->judge = PASS;
    int32_t id = client_ask(w, POST("/free"), 5 << 20, true);
    run(w);
    assert_true(seen_of(&w->client, id)->closed);
    assert_int_equal(w->server.received_bytes, 5 << 20);
    w->judge = HOLD;
    for (int i = 0; i < 60; i++)
        client_ask(w, POST("/held"), 10 << 20, true);
    run(w);
    assert_true(w->most_held <= (2 << 20) + (1 << 20) + (64 << 10));
    unsigned passed = 0;
    for (struct h2_stream *s = h2_bridge_first(w->bridge); s; s = h2_stream_next(s))
        passed += h2_pass(s, span_str("decided.example")) == 0;
    assert_int_equal(passed, 66);
    run(w);
    assert_int_equal(w->server.received_bytes, (5 << 20) + (size_t)66 * (10 << 20));
}

/* ---- our answers ---- */

static void a_block_is_said_on_its_stream_alone(void **state)
{
    struct world *w = *state;
    w->judge = BLOCK;
    int32_t blocked = client_ask(w, POST("/bad"), 1 << 20, true);
    run(w);
    w->judge = PASS;
    int32_t good = client_ask(w, GET("/good"), -1, true);
    run(w);
    struct seen *b = seen_of(&w->client, blocked), *g = seen_of(&w->client, good);
    assert_string_equal(b->heads, ":status: 403\ncontent-type: text/plain\n--\n");
    assert_string_equal(b->body, "not let out");
    assert_true(b->eof && b->closed);
    assert_string_equal(g->body, "xx");
    assert_null(strstr(seen_of(&w->server, 1)->heads, "/bad")); /* nothing of it left */
    assert_int_equal(w->told[blocked / 2].end, H2_ANSWERED);
}

static void a_response_may_be_blocked_before_it_begins(void **state)
{
    struct world *w = *state;
    w->judge = BLOCK_RESPONSE;
    int32_t id = client_ask(w, GET("/"), -1, true);
    run(w);
    assert_string_equal(seen_of(&w->client, id)->body, "not let in");
    assert_int_equal(w->told[0].end, H2_ANSWERED);
    assert_int_equal(h2_bridge_streams(w->bridge), 0);
    assert_int_equal(h2_bridge_held(w->bridge), 0);
}

static void a_held_request_may_be_reset_meanwhile(void **state)
{
    struct world *w = *state;
    w->judge = HOLD;
    int32_t id = client_ask(w, POST("/"), 1000, true);
    run(w);
    nghttp2_submit_rst_stream(w->client.session, 0, id, NGHTTP2_CANCEL);
    run(w);
    assert_true(w->told[0].closed);
    assert_int_equal(w->told[0].end, H2_RESET_BY_CLIENT);
    assert_int_equal(h2_bridge_held(w->bridge), 0);
}

/* ---- ends ---- */

static void resets_go_through(void **state)
{
    struct world *w = *state;
    w->server.answers = false;
    int32_t a = client_ask(w, POST("/a"), 10, false), b = client_ask(w, POST("/b"), 10, false);
    run(w);
    nghttp2_submit_rst_stream(w->client.session, 0, a, NGHTTP2_CANCEL);
    nghttp2_submit_rst_stream(w->server.session, 0, 3, NGHTTP2_ENHANCE_YOUR_CALM);
    run(w);
    assert_true(seen_of(&w->server, 1)->closed);
    assert_int_equal(seen_of(&w->server, 1)->code, NGHTTP2_CANCEL);
    assert_int_equal(seen_of(&w->client, b)->code, NGHTTP2_ENHANCE_YOUR_CALM);
    assert_int_equal(w->told[a / 2].end, H2_RESET_BY_CLIENT);
    assert_int_equal(w->told[b / 2].end, H2_RESET_BY_SERVER);
    assert_int_equal(h2_bridge_streams(w->bridge), 0);
}

/* RFC 9113, 8.1: a server may answer, and reset with NO_ERROR to say that it needs no more of the request. */
static void an_early_answer_counts(void **state)
{
    struct world *w = *state;
    int32_t id = client_ask(w, POST("/"), 100, false);
    run(w);
    nghttp2_submit_rst_stream(w->server.session, 0, 1, NGHTTP2_NO_ERROR);
    run(w);
    struct seen *c = seen_of(&w->client, id);
    assert_string_equal(c->body, "xx");
    assert_true(c->eof && c->closed);
    assert_int_equal(c->code, NGHTTP2_NO_ERROR);
    assert_int_equal(w->told[0].end, H2_DONE);
    assert_int_equal(h2_bridge_streams(w->bridge), 0);
}

static void a_message_that_is_cut_never_looks_whole(void **state)
{
    struct world *w = *state;
    w->server.answers = false;
    int32_t id = client_ask(w, GET("/"), -1, true);
    run(w);
    server_answer(w, 1, ":status: 200\n", 100, false);
    run(w);
    nghttp2_submit_rst_stream(w->server.session, 0, 1, NGHTTP2_NO_ERROR);
    run(w);
    assert_false(seen_of(&w->client, id)->eof);
    assert_int_not_equal(seen_of(&w->client, id)->code, NGHTTP2_NO_ERROR);
}

static void goaway_lets_the_client_try_again_elsewhere(void **state)
{
    struct world *w = *state;
    w->server.answers = false;
    int32_t first = client_ask(w, GET("/1"), -1, true), second = client_ask(w, GET("/2"), -1, true);
    run(w);
    nghttp2_submit_goaway(w->server.session, 0, 1, NGHTTP2_NO_ERROR, NULL, 0);
    run(w);
    assert_true(w->client.got_goaway);
    assert_int_equal(w->client.goaway_code, NGHTTP2_NO_ERROR);
    assert_int_equal(seen_of(&w->client, second)->code, NGHTTP2_REFUSED_STREAM);
    server_answer(w, 1, ":status: 200\n", 5, true);
    run(w);
    assert_int_equal(seen_of(&w->client, first)->body_bytes, 5);
    assert_true(h2_bridge_done(w->bridge));
}

static void a_lost_server_is_said(void **state)
{
    struct world *w = *state;
    w->server.answers = false;
    w->answer_lost = true;
    int32_t waits = client_ask(w, GET("/1"), -1, true), reads = client_ask(w, GET("/2"), -1, true);
    run(w);
    server_answer(w, 3, ":status: 200\n", 100, false);
    run(w);
    w->server_gone = true;
    h2_bridge_lost(w->bridge, H2_SERVER, false);
    run(w);
    assert_string_equal(seen_of(&w->client, waits)->heads, ":status: 502\ncontent-type: text/plain\n--\n");
    assert_false(seen_of(&w->client, reads)->eof);
    assert_int_equal(seen_of(&w->client, reads)->code, NGHTTP2_INTERNAL_ERROR);
    assert_true(w->client.got_goaway);
    assert_true(h2_bridge_done(w->bridge));
}

static void a_lost_client_is_told_to_the_server(void **state)
{
    struct world *w = *state;
    w->server.answers = false;
    client_ask(w, POST("/1"), 10, false);
    run(w);
    h2_bridge_lost(w->bridge, H2_CLIENT, false);
    struct buf out;
    buf_init(&out, 1 << 20);
    h2_bridge_write(w->bridge, H2_SERVER, &out, 4096);
    nghttp2_session_mem_recv(w->server.session, buf_span(&out).data, buf_len(&out));
    buf_free(&out);
    assert_int_equal(seen_of(&w->server, 1)->code, NGHTTP2_CANCEL);
    assert_true(w->told[0].closed);
    assert_int_equal(w->told[0].end, H2_GONE);
}

static void what_takes_too_long_ends(void **state)
{
    struct world *w = *state;
    w->server.answers = false;
    w->answer_lost = true;
    int32_t waits = client_ask(w, GET("/1"), -1, true), reads = client_ask(w, GET("/2"), -1, true);
    run(w);
    server_answer(w, 3, ":status: 200\n", 100, false);
    run(w);
    h2_bridge_expire(w->bridge, w->now_ms + 900, 1000, 5000, 9000);
    run(w);
    assert_false(seen_of(&w->client, waits)->closed);
    h2_bridge_expire(w->bridge, w->now_ms + 1000, 1000, 5000, 9000);
    run(w);
    assert_string_equal(seen_of(&w->client, waits)->heads, ":status: 504\ncontent-type: text/plain\n--\n");
    assert_false(seen_of(&w->client, reads)->closed);
    h2_bridge_expire(w->bridge, w->now_ms + 5000, 1000, 5000, 9000);
    run(w);
    assert_true(seen_of(&w->client, reads)->closed);
    assert_int_equal(w->told[reads / 2].fault, H2_STREAM_TIMEOUT);
}

static void a_stop_lets_what_is_under_way_go_on(void **state)
{
    struct world *w = *state;
    w->server.answers = false;
    int32_t id = client_ask(w, GET("/"), -1, true);
    run(w);
    h2_bridge_stop(w->bridge);
    run(w);
    assert_true(w->client.got_goaway);
    assert_false(h2_bridge_done(w->bridge));
    server_answer(w, 1, ":status: 200\n", 5, true);
    run(w);
    assert_int_equal(seen_of(&w->client, id)->body_bytes, 5);
    assert_true(h2_bridge_done(w->bridge));
}

/* ---- WebSockets (RFC 8441) ---- */

static void websockets_pass_where_the_server_takes_them(void **state)
{
    struct world *w = *state;
    w->server.echoes = true;
    assert_int_equal(
        nghttp2_session_get_remote_settings(w->client.session, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL), 1);
    int32_t id = client_ask(w,
                            ":method: CONNECT\n:protocol: websocket\n:scheme: https\n:authority: "
                            "example.com\n:path: /chat\nsec-websocket-version: 13\n",
                            20, false);
    run(w);
    assert_non_null(strstr(seen_of(&w->server, 1)->heads, ":protocol: websocket\n"));
    assert_int_equal(seen_of(&w->client, id)->body_bytes, 22);
    assert_true(h2_stream_websocket(w->told[0].stream));
    int32_t other = client_ask(
        w, ":method: CONNECT\n:protocol: connect-udp\n:scheme: https\n:authority: example.com\n:path: /\n", 0,
        false);
    int32_t plain = client_ask(w, ":method: CONNECT\n:authority: example.com:443\n", 0, false);
    run(w);
    assert_string_equal(seen_of(&w->client, other)->heads, ":status: 405\ncontent-type: text/plain\n--\n");
    assert_string_equal(seen_of(&w->client, plain)->heads, ":status: 405\ncontent-type: text/plain\n--\n");
}

#define T(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_request_and_its_response_pass),
        T(what_leads_past_the_proxy_is_left_out),
        T(trailers_pass_without_what_may_not_be_one),
        T(interim_responses_pass_and_are_bounded),
        T(both_directions_stream_at_once),
        T(a_server_that_takes_nothing_stops_its_client),
        T(a_client_that_takes_nothing_stops_its_server),
        T(streams_that_nobody_reads_stop_no_other_and_are_bounded),
        T(a_block_is_said_on_its_stream_alone),
        T(a_response_may_be_blocked_before_it_begins),
        T(a_held_request_may_be_reset_meanwhile),
        T(resets_go_through),
        T(an_early_answer_counts),
        T(a_message_that_is_cut_never_looks_whole),
        T(goaway_lets_the_client_try_again_elsewhere),
        T(a_lost_server_is_said),
        T(a_lost_client_is_told_to_the_server),
        T(what_takes_too_long_ends),
        T(a_stop_lets_what_is_under_way_go_on),
        T(websockets_pass_where_the_server_takes_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
