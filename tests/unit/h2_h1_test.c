/* h2_h1_test.c: a client of HTTP/2 before a server of HTTP/1.1 (wire/h2_h1.c): what leaves and when, what comes back, whose turn it is. */
#include "h2_help.h"

static char wire[1 << 16]; /* what the server was sent since it was last asked */

static int open_h1(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    const struct h2_limits limits = {.head_bytes = 16 << 10,
                                     .headers = 50,
                                     .target_bytes = 4096,
                                     .streams = 100,
                                     .server_h1 = true,
                                     .https = true};
    assert_non_null(w);
    w->now_ms = 1000;
    w->judge = HOLD;
    w->server_gone = true; /* the one of h2_help.h speaks HTTP/2 */
    w->bridge = h2_bridge_new(&limits, &owner_events, w);
    assert_non_null(w->bridge);
    peer_open(&w->client, false);
    h2_bridge_connected(w->bridge, w->now_ms);
    run(w);
    *state = w;
    return 0;
}

/* What goes to the server now; its length. */
static size_t sent(struct world *w)
{
    struct buf out;
    buf_init(&out, sizeof wire);
    h2_bridge_write(w->bridge, H2_SERVER, &out, sizeof wire - 1024);
    size_t len = buf_len(&out);
    memcpy(wire, len ? out.data + out.head : (uint8_t *)"", len ? len : 1);
    wire[len] = 0;
    buf_free(&out);
    run(w);
    return len;
}

static void says(struct world *w, const char *text)
{
    h2_bridge_receive(w->bridge, H2_SERVER, span_str(text), w->now_ms);
    run(w);
}

static int pass(struct world *w, int32_t id)
{
    assert_true(h2_bridge_takes(w->bridge));
    int result = h2_pass(w->told[id / 2].stream, span_str("decided.example"));
    run(w);
    return result;
}

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static void a_head_is_made_anew(void **state)
{
    struct world *w = *state;
    int32_t id =
        client_ask(w,
                   GET("/a?b") "cookie: a=b\naccept: */*\ncookie: c=d\nte: trailers\nhost: example.com\n"
                               "proxy-authorization: x\nexpect: 100-continue\n",
                   -1, true);
    run(w);
    assert_int_equal(pass(w, id), 0);
    sent(w);
    assert_string_equal(
        wire, "GET /a?b HTTP/1.1\r\nHost: decided.example\r\ncookie: a=b; c=d\r\naccept: */*\r\n\r\n");
    says(w, "HTTP/1.1 200 Fine\r\nConnection: X-A\r\nX-A: 1\r\nX-B: 2\r\nAlt-Svc: h3=\":443\"\r\nKeep-Alive: "
            "5\r\n"
            "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\nContent-Length: 9\r\n\r\n");
    struct seen *c = seen_of(&w->client, id);
    assert_string_equal(c->heads, ":status: 200\nx-b: 2\n--\nx-sum: 7\n--\n");
    assert_string_equal(c->body, "ok");
    assert_true(c->eof && c->closed && w->told[0].end == H2_DONE);
    assert_true(h2_bridge_takes(w->bridge));
}

static void the_last_byte_waits_for_the_end(void **state)
{
    struct world *w = *state;
    int32_t id = client_ask(w, POST("/") "content-length: 5\n", 5, false);
    run(w);
    pass(w, id);
    sent(w);
    assert_non_null(strstr(wire, "\r\nContent-Length: 5\r\n\r\nxxxx"));
    assert_null(strstr(wire, "xxxxx"));
    assert_int_equal(sent(w), 0);
    peer_send(&w->client, id, 0, true);
    run(w);
    assert_int_equal(sent(w), 1);
    says(w, OK);
    assert_true(seen_of(&w->client, id)->closed && h2_bridge_takes(w->bridge));
}

/* The server never has a whole request of what breaks its promise, and that connection serves no other. */
static void a_longer_body_is_cut_before_its_end(void **state)
{
    struct world *w = *state;
    int32_t id = client_ask(w, POST("/") "content-length: 3\n", 3, false);
    run(w);
    pass(w, id);
    sent(w);
    assert_non_null(strstr(wire, "\r\n\r\nxx"));
    peer_send(&w->client, id, 40, true);
    run(w);
    assert_int_equal(sent(w), 0);
    assert_true(seen_of(&w->client, id)->closed && w->told[0].end == H2_RESET_BY_CLIENT);
    assert_true(h2_bridge_spent(w->bridge) && !h2_bridge_takes(w->bridge));
}

static void a_length_of_0_is_not_all_before_the_end(void **state)
{
    struct world *w = *state;
    int32_t id = client_ask(w, POST("/") "content-length: 0\n", 0, false);
    run(w);
    pass(w, id);
    assert_int_equal(sent(w), 0);
    peer_send(&w->client, id, 0, true);
    run(w);
    assert_true(sent(w) > 0);
    assert_non_null(strstr(wire, "\r\nContent-Length: 0\r\n\r\n"));
}

static void what_is_said_before_it_was_asked_answers_nothing(void **state)
{
    struct world *w = *state;
    int32_t id = client_ask(w, POST("/") "content-length: 0\n", 0, false);
    run(w);
    pass(w, id); /* and nothing of it has left */
    says(w, OK);
    assert_true(seen_of(&w->client, id)->closed && seen_of(&w->client, id)->code != 0);
    assert_true(h2_bridge_spent(w->bridge));
}

static void a_body_without_a_length_goes_in_chunks(void **state)
{
    struct world *w = *state;
    int32_t id = client_ask(w, POST("/") "expect: 100-continue\n", 3, false);
    seen_of(&w->client, id)->trailers = true;
    run(w);
    pass(w, id);
    sent(w);
    assert_non_null(
        strstr(wire, "\r\nexpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxxx\r\n"));
    says(w, "HTTP/1.1 100 Continue\r\n\r\n");
    peer_send(&w->client, id, 2, true);
    run(w);
    sent(w);
    assert_string_equal(wire, "2\r\nxx\r\n0\r\ngrpc-status: 0\r\n\r\n");
    says(w, OK);
    assert_string_equal(seen_of(&w->client, id)->heads,
                        ":status: 100\n--\n:status: 200\ncontent-length: 2\n--\n");
}

/* Those that wait hold little, and take nothing from the one whose turn it is. */
static void who_waits_stops_nobody(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 90; i++)
        client_ask(w, POST("/waits"), 1 << 20, true);
    run(w);
    int32_t id = client_ask(w, POST("/turn"), 5 << 20, true);
    run(w);
    assert_true(h2_bridge_held(w->bridge) <= (size_t)91 * (16 << 10) + (64 << 10));
    pass(w, id);
    size_t total = 0, len;
    while ((len = sent(w)) > 0)
        total += len;
    assert_true(total > (5 << 20));
    assert_true(w->most_held <= (2 << 20));
    says(w, OK);
    assert_true(seen_of(&w->client, id)->closed);
}

static void an_answer_that_comes_early_counts_and_ends_the_connection(void **state)
{
    struct world *w = *state;
    int32_t id = client_ask(w, POST("/") "content-length: 1000\n", 10, false);
    run(w);
    pass(w, id);
    sent(w);
    says(w, "HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno");
    assert_string_equal(seen_of(&w->client, id)->body, "no");
    assert_true(seen_of(&w->client, id)->eof && h2_bridge_spent(w->bridge));
}

static void only_what_changes_nothing_is_asked_again(void **state)
{
    struct world *w = *state;
    w->answer_lost = true;
    for (int round = 0; round < 3; round++) {
        int32_t first = client_ask(w, GET("/first"), -1, true);
        int32_t id = client_ask(w, round == 1 ? POST("/second") : GET("/second"), -1, true);
        run(w);
        pass(w, first);
        sent(w);
        says(w, OK);
        pass(w, id);
        if (round < 2)
            sent(w);
        else
            says(w, "HTTP/1.1 200 OK\r\n"); /* it has spoken */
        h2_bridge_lost(w->bridge, H2_SERVER, true);
        run(w);
        assert_int_equal(w->told[id / 2].again, round == 0);
        assert_true(round == 0 || seen_of(&w->client, id)->closed);
        h2_bridge_connected(w->bridge, w->now_ms);
        if (round > 0)
            continue;
        pass(w, id);
        assert_true(sent(w) > 0);
        h2_bridge_lost(w->bridge, H2_SERVER, true); /* twice is enough */
        run(w);
        assert_int_equal(w->told[id / 2].again, 1);
        assert_string_equal(seen_of(&w->client, id)->body, "lost");
        h2_bridge_connected(w->bridge, w->now_ms);
    }
}

static void what_has_no_end_must_not_look_whole(void **state)
{
    struct world *w = *state;
    const struct {
        const char *text;
        bool whole, good;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\n\r\nok", true, true},
        {"HTTP/1.1 200 OK\r\n\r\nok", false, false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", true, false},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", true, false},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n", true, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int32_t id = client_ask(w, GET("/"), -1, true);
        run(w);
        pass(w, id);
        sent(w);
        says(w, rows[i].text);
        h2_bridge_lost(w->bridge, H2_SERVER, rows[i].whole);
        run(w);
        struct seen *c = seen_of(&w->client, id);
        assert_true(c->closed && c->eof == rows[i].good && (c->code == 0) == rows[i].good);
        assert_int_equal(w->told[id / 2].fault, rows[i].good ? H2_NO_FAULT : H2_H1_CUT_SHORT);
        h2_bridge_connected(w->bridge, w->now_ms);
    }
}

static void a_slow_client_stops_the_server(void **state)
{
    struct world *w = *state;
    w->client.holds = true;
    int32_t id = client_ask(w, GET("/"), -1, true);
    run(w);
    pass(w, id);
    sent(w);
    says(w, "HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n");
    char block[16384];
    memset(block, 'y', sizeof block);
    size_t given = 0;
    for (; h2_bridge_reads(w->bridge); given += sizeof block) {
        h2_bridge_receive(w->bridge, H2_SERVER, span_of(block, sizeof block), w->now_ms);
        run(w);
        assert_true(given < (1 << 20));
    }
    assert_true(h2_bridge_held(w->bridge) <= (256 << 10) + sizeof block);
    w->client.holds = false;
    nghttp2_session_consume(w->client.session, id, 65535);
    run(w);
    assert_true(h2_bridge_reads(w->bridge));
}

static int close_h1(void **state)
{
    struct world *w = *state;
    peer_open(&w->server, true); /* world_close() ends it */
    return world_close(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_h1, close_h1)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_head_is_made_anew),
        TEST(the_last_byte_waits_for_the_end),
        TEST(a_longer_body_is_cut_before_its_end),
        TEST(a_length_of_0_is_not_all_before_the_end),
        TEST(what_is_said_before_it_was_asked_answers_nothing),
        TEST(a_body_without_a_length_goes_in_chunks),
        TEST(who_waits_stops_nobody),
        TEST(an_answer_that_comes_early_counts_and_ends_the_connection),
        TEST(only_what_changes_nothing_is_asked_again),
        TEST(what_has_no_end_must_not_look_whole),
        TEST(a_slow_client_stops_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
