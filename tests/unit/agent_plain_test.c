/* agent_plain_test.c: the core of the agents of Windows and macOS, over this system's back end: a real connection is asked about in bytes
 * of the protocol, and the answer names this process, first without its hash, then with it; who breaks the protocol is closed. */
#include "agent/plain/plain.h"
#include "agent/programs.h"
#include "agent/watch.h"
#include "base/json_read.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct plain *plain;
static struct programs *programs;
static int64_t now_ms = 1;
static struct agent_message message; /* the last one read */
static bool watch;                   /* goes along with asks */

static int start(void **state)
{
    (void)state;
    const char *error = "";
    struct err e = {.line = 0};
    programs = programs_parse(programs_builtin(), "builtin", &e);
    struct knowledge know = {.programs = programs};
    plain = plain_new(&know, &error);
    return plain ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    plain_free(plain);
    programs_free(programs);
    return 0;
}

static struct endpoint end_of(int fd, int (*name)(int, struct sockaddr *, socklen_t *))
{
    struct sockaddr_in in;
    socklen_t len = sizeof in;
    assert_int_equal(name(fd, (struct sockaddr *)&in, &len), 0);
    return (struct endpoint){ip_from_bytes((const uint8_t *)&in.sin_addr, 4), ntohs(in.sin_port)};
}

static int listen_somewhere(struct endpoint *ret)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(listen(fd, 4), 0);
    *ret = end_of(fd, getsockname);
    return fd;
}

static int connect_to(const struct endpoint *e)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(e->port)};
    memcpy(&in.sin_addr, e->ip.bytes, 4);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
    return fd;
}

static void say(struct plain_link *link, struct buf *text)
{
    assert_int_equal(plain_link_take(link, buf_span(text), now_ms), 0);
    buf_clear(text);
}

static struct plain_link *greet(const struct endpoint *proxy)
{
    static struct agent_hello hello = {.program = "exeatd", .proxy_count = 1};
    struct buf text;
    struct plain_link *link = plain_link_open(plain, (int64_t)getuid(), (int64_t)getpid());
    assert_non_null(link);
    hello.proxies[0] = *proxy;
    buf_init(&text, 10000);
    assert_int_equal(agent_hello_write(&text, &hello), 0);
    say(link, &text);
    buf_free(&text);
    return link;
}

/* The next message that is in the link's queue; false: none. */
static bool next(struct plain_link *link)
{
    struct agent_error e;
    struct span line;
    size_t used;
    struct buf *out = plain_link_out(link);
    if (agent_line_next(buf_span(out), &line, &used) != PARSE_OK)
        return false;
    agent_message_free(&message);
    assert_int_equal(agent_message_decode(line, &message, &e), 0);
    buf_consume(out, used);
    return true;
}

static void ask(struct plain_link *link, const struct endpoint *client, const struct endpoint *proxy,
                unsigned hash_wait_ms)
{
    struct buf text;
    struct agent_ask a = {.id = 7,
                          .nonce = "0123456789abcdef",
                          .client = *client,
                          .proxy = *proxy,
                          .want_hash = hash_wait_ms > 0,
                          .hash_wait_ms = hash_wait_ms,
                          .watch = watch,
                          .age_ms = -1};
    buf_init(&text, 10000);
    assert_int_equal(agent_ask_write(&text, &a), 0);
    say(link, &text);
    buf_free(&text);
}

static void a_real_connection_is_attributed(void **state)
{
    (void)state;
    struct endpoint proxy;
    int listener = listen_somewhere(&proxy), fd = connect_to(&proxy);
    struct endpoint client = end_of(fd, getsockname);
    struct plain_link *link = greet(&proxy);
    assert_true(next(link));
    assert_int_equal(message.type, AGENT_MESSAGE_HELLO);
    ask(link, &client, &proxy, 0);
    assert_true(next(link));
    assert_int_equal(message.u.answer.confidence, AGENT_CONFIDENCE_EXACT);
    assert_int_equal(message.u.answer.sender->pid, getpid());
    assert_int_equal(message.u.answer.sender->hash_state, SENDER_HASH_PENDING);
    ask(link, &client, &proxy, AGENT_HASH_WAIT_MAX_MS); /* time stands still here: it comes when it is made */
    while (plain_turn(plain, now_ms) >= 0)
        ;
    assert_true(next(link));
    assert_int_equal(message.u.answer.sender->hash_state, SENDER_HASH_DONE);
    assert_int_equal(strlen(message.u.answer.sender->sha256), 64);
    ask(link, &client, &proxy, 0); /* by its name alone */
    assert_true(next(link));
    assert_null(message.u.answer.sender);
    assert_string_not_equal(message.u.answer.sender_ref, "");
    plain_link_close(link);
    close(fd);
    close(listener);
}

/* A round of those that are watched later. */
static bool next_change(struct plain_link *link)
{
    now_ms += WATCH_ROUND_MS;
    assert_true(plain_turn(plain, now_ms) >= 0); /* there is something to be looked at again */
    return next(link);
}

static void a_connection_is_watched(void **state)
{
    (void)state;
    struct endpoint proxy;
    int listener = listen_somewhere(&proxy), fd = connect_to(&proxy);
    struct endpoint client = end_of(fd, getsockname);
    struct plain_link *link = greet(&proxy);
    assert_true(next(link));
    watch = true;
    ask(link, &client, &proxy, 0);
    watch = false;
    assert_true(next(link) && message.u.answer.watched);
    assert_false(next_change(link));
    pid_t child = fork(); /* one more who holds it */
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pause();
        _exit(0);
    }
    assert_true(next_change(link));
    assert_int_equal(message.type, AGENT_MESSAGE_CHANGED);
    assert_true(message.u.answer.id == 7 && message.u.answer.watched);
    assert_int_equal(message.u.answer.confidence, AGENT_CONFIDENCE_AMBIGUOUS);
    assert_int_equal(message.u.answer.holder_count, 2);
    assert_false(next_change(link)); /* said once */
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_true(next_change(link));
    assert_int_equal(message.u.answer.confidence, AGENT_CONFIDENCE_EXACT);
    assert_int_equal(strtol(message.u.answer.sender_ref, NULL, 10), getpid());
    assert_int_equal(plain_link_take(link, span_str("{\"v\":1,\"type\":\"done\",\"id\":7}\n"), now_ms), 0);
    assert_int_equal(plain_turn(plain, now_ms + WATCH_ROUND_MS), -1); /* nothing is watched any more */
    plain_link_close(link);
    close(fd);
    close(listener);
}

static void a_wait_ends(void **state)
{
    (void)state;
    struct endpoint proxy;
    int listener = listen_somewhere(&proxy), fd = connect_to(&proxy);
    struct endpoint client = end_of(fd, getsockname);
    struct plain *other = plain;
    struct programs *others = programs;
    assert_int_equal(start(NULL), 0); /* one that has hashed nothing yet */
    struct plain_link *link = greet(&proxy);
    assert_true(next(link));
    plain_turn(plain, 1);
    now_ms = 1000; /* nothing happened for a while */
    ask(link, &client, &proxy, 50);
    plain_turn(plain, 1001);
    assert_false(next(link));
    plain_turn(plain, 1050);
    assert_true(next(link));
    assert_int_equal(message.u.answer.confidence, AGENT_CONFIDENCE_EXACT);
    ask(link, &client, &proxy, 50);
    plain_link_close(link); /* while an ask may wait */
    plain_free(plain);
    programs_free(programs);
    plain = other;
    programs = others;
    close(fd);
    close(listener);
}

static void only_of_its_own_listeners(void **state)
{
    (void)state;
    struct endpoint proxy, other;
    int listener = listen_somewhere(&proxy), another = listen_somewhere(&other), fd = connect_to(&proxy);
    struct endpoint client = end_of(fd, getsockname);
    struct plain_link *link = greet(&other);
    assert_true(next(link));
    ask(link, &client, &proxy, 0);
    assert_true(next(link));
    assert_int_equal(message.u.answer.confidence, AGENT_CONFIDENCE_UNKNOWN);
    assert_int_equal(message.u.answer.reason, AGENT_REASON_NOT_OURS);
    plain_link_close(link);
    close(fd);
    close(listener);
    close(another);
}

static void who_speaks_wrongly_is_closed(void **state)
{
    (void)state;
    struct plain_link *link = plain_link_open(plain, 0, 1);
    static const char early[] =
        "{\"v\":1,\"type\":\"ask\",\"id\":1,\"nonce\":\"0123456789abcdef\",\"proto\":\"tcp\","
        "\"client\":\"127.0.0.1:1\",\"proxy\":\"127.0.0.1:2\"}\n";
    assert_true(next(link));
    assert_int_equal(plain_link_take(link, span_str(early), now_ms), 0);
    assert_true(next(link));
    assert_int_equal(message.u.error.code, AGENT_ERROR_NO_HELLO);
    for (int i = 1; i < AGENT_BAD_LINES_MAX; i++)
        assert_int_equal(plain_link_take(link, span_str("x\n"), now_ms), 0);
    assert_int_equal(plain_link_take(link, span_str("x\n"), now_ms), -1);
    plain_link_close(link);
    static char flood[3 * AGENT_LINE_BYTES]; /* a line without an end */
    memset(flood, 'x', sizeof flood);
    link = plain_link_open(plain, 0, 1);
    assert_int_equal(plain_link_take(link, span_of(flood, sizeof flood), now_ms), -1);
    plain_link_close(link);
}

static void json_is_read_strictly(void **state)
{
    (void)state;
    struct json_value values[16];
    struct json_text t;
    char text[8];
    int64_t n;
    static const char *const bad[] = {
        "",
        "{",
        "{}x",
        "[1,]",
        "{\"a\"}",
        "01",
        "1.",
        "-",
        "\"\x01\"",
        "\"\\x\"",
        "tru",
        "\"\\ud800\"",
        "[1 2]",
        "\xff",
        "\"\\udc00\"",
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (json_read(span_str(bad[i]), values, 16, &t))
            fail_msg("taken: %s", bad[i]);
    assert_false(json_read(span_str("[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]"), values, 16, &t));
    assert_true(json_read(span_str("{\"a\":[1,{\"b\":-2.5}],\"\\u0063\":\"\\ud83d\\ude00\\n\",\"d\":null}"),
                          values, 16, &t));
    const struct json_value *list = json_member(&t, t.values, "a"), *item = json_first(&t, list);
    assert_true(json_read_int(&t, item, &n) && n == 1);
    item = json_next(&t, list, item);
    assert_false(json_read_int(&t, json_member(&t, item, "b"), &n));
    assert_null(json_next(&t, list, item));
    assert_true(json_read_str(&t, json_member(&t, t.values, "c"), text, sizeof text));
    assert_string_equal(text, "\xf0\x9f\x98\x80\n");
    assert_false(json_read_str(&t, json_member(&t, t.values, "c"), text, 5));
    assert_null(json_member(&t, t.values, "d"));
    assert_false(t.twice);
    assert_true(json_read(span_str("{\"a\":1,\"a\":\"\\u0000\"}"), values, 16, &t));
    assert_false(json_read_str(&t, json_member(&t, t.values, "a"), text, sizeof text));
    assert_true(t.twice);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_real_connection_is_attributed),
        cmocka_unit_test(a_connection_is_watched),
        cmocka_unit_test(a_wait_ends),
        cmocka_unit_test(only_of_its_own_listeners),
        cmocka_unit_test(who_speaks_wrongly_is_closed),
        cmocka_unit_test(json_is_read_strictly),
    };
    int failed = cmocka_run_group_tests(tests, start, stop);
    agent_message_free(&message);
    return failed;
}
