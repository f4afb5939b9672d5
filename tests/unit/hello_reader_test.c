/* hello_reader_test.c: finding the ClientHello in records, cut in every way, and telling what isn't one. */
#include "hello_build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* Feeds the first 1, 2, 3... bytes, each time from memory of exactly that size; stops at the first answer. */
static enum parse feed_bytewise(struct hello_reader *r, struct span all, size_t *ret_at)
{
    enum parse parse = PARSE_MORE;
    size_t len = 0;
    while (parse == PARSE_MORE && len < all.len) {
        len++;
        uint8_t *exact = malloc(len);
        memcpy(exact, all.data, len);
        parse = hello_reader_feed(r, span_of(exact, len));
        free(exact);
    }
    *ret_at = len;
    return parse;
}

static void expect_message(const struct hello_reader *r, struct span all, struct span message)
{
    struct arena arena;
    arena_init(&arena, HELLO_BYTES_MAX + 4096);
    struct span found = hello_reader_message(r, all, &arena);
    assert_int_equal(found.len, message.len);
    assert_memory_equal(found.data, message.data, message.len);
    for (size_t i = 0; i < message.len; i += 7)
        assert_int_equal(all.data[hello_reader_locate(r, all, i)], message.data[i]);
    arena_reset(&arena);
}

static void test_any_record_size_and_any_cut(void **state)
{
    (void)state;
    struct hello_bytes bytes;
    struct hello_plan plan = hello_plan_good();
    struct span message = hello_build(&plan, &bytes);
    for (size_t record = 1; record <= message.len; record++) {
        struct span all = hello_wrap(message, record, 0x0301);
        struct hello_reader whole = {0}, bytewise = {0};
        size_t at;
        assert_int_equal(hello_reader_feed(&whole, all), PARSE_OK);
        assert_int_equal(hello_reader_feed(&whole, all), PARSE_OK);
        expect_message(&whole, all, message);
        assert_int_equal(feed_bytewise(&bytewise, all, &at), PARSE_OK);
        assert_int_equal(at, all.len);
        assert_memory_equal(&whole, &bytewise, sizeof whole);
        for (size_t cut = 1; cut < all.len && record % 50 == 1; cut++) {
            struct hello_reader r = {0};
            assert_int_equal(hello_reader_feed(&r, span_of(all.data, cut)), PARSE_MORE);
            assert_int_equal(hello_reader_feed(&r, all), PARSE_OK);
            assert_memory_equal(&whole, &r, sizeof r);
        }
        free((void *)all.data);
    }
}

static void test_longest(void **state)
{
    (void)state;
    static uint8_t message[HELLO_BYTES_MAX + 1] = {1, 0, 0xff, 0xfc};
    struct hello_reader r = {0};
    struct span all = hello_wrap(span_of(message, HELLO_BYTES_MAX), 16384, 0x0301);
    assert_int_equal(hello_reader_feed(&r, all), PARSE_OK);
    assert_int_equal(r.message_bytes, HELLO_BYTES_MAX);
    free((void *)all.data);

    memcpy(message, (uint8_t[]){1, 0, 0xff, 0xfd}, 4);
    r = (struct hello_reader){0};
    all = hello_wrap(span_of(message, 16), 16, 0x0301);
    assert_int_equal(hello_reader_feed(&r, all), PARSE_BAD);
    assert_int_equal(r.fault, HELLO_FAULT_TOO_LONG);
    free((void *)all.data);
}

static void test_floods_are_bounded(void **state)
{
    (void)state;
    static uint8_t message[HELLO_RECORDS_MAX + 2] = {1, 0, 0x7f, 0xff};
    struct hello_reader r = {0};
    struct span all = hello_wrap(span_of(message, sizeof message), 1, 0x0301);
    assert_int_equal(hello_reader_feed(&r, all), PARSE_BAD);
    assert_int_equal(r.fault, HELLO_FAULT_RECORDS_MANY);
    assert_int_equal(r.position, HELLO_RECORDS_MAX * 6);
    free((void *)all.data);

    uint8_t empty[(HELLO_RECORDS_EMPTY_MAX + 1) * 5];
    for (size_t i = 0; i < sizeof empty; i += 5)
        memcpy(empty + i, "\x16\x03\x01\x00\x00", 5);
    r = (struct hello_reader){0};
    assert_int_equal(hello_reader_feed(&r, span_of(empty, sizeof empty - 5)), PARSE_MORE);
    assert_true(r.odd_length);
    assert_int_equal(hello_reader_feed(&r, span_of(empty, sizeof empty)), PARSE_BAD);
    assert_int_equal(r.fault, HELLO_FAULT_RECORDS_EMPTY);
}

struct bad_case {
    struct span bytes;
    enum hello_fault fault;
    size_t position; /* of the culprit */
    size_t needed;   /* how many bytes it takes to know */
    enum opening opening;
};

static void test_told_as_early_as_possible(void **state)
{
    (void)state;
    const struct bad_case cases[] = {
        {BYTES("GET / HTTP/1.1\r\n"), HELLO_FAULT_NOT_TLS, 0, 1, OPENING_HTTP},
        {BYTES("SSH-2.0-OpenSSH_9.2"), HELLO_FAULT_NOT_TLS, 0, 1, OPENING_SSH},
        {BYTES("EHLO me\r\n"), HELLO_FAULT_NOT_TLS, 0, 1, OPENING_SMTP},
        {BYTES("\x00\x01"), HELLO_FAULT_NOT_TLS, 0, 1, OPENING_UNKNOWN},
        {BYTES("\x19\x03\x01"), HELLO_FAULT_NOT_TLS, 0, 1, OPENING_UNKNOWN},
        {BYTES("\x17\x04"), HELLO_FAULT_NOT_TLS, 0, 2, OPENING_UNKNOWN},
        {BYTES("\x80\x2e\x01\x03\x01"), HELLO_FAULT_SSLV2, 0, 3, OPENING_UNKNOWN},
        {BYTES("\x80\x2e\x02\x03\x01"), HELLO_FAULT_NOT_TLS, 0, 3, OPENING_UNKNOWN},
        {BYTES("\x16\x05\x01"), HELLO_FAULT_RECORD_VERSION, 1, 2, OPENING_UNKNOWN},
        {BYTES("\x15\x03\x01\x00\x02"), HELLO_FAULT_ORDER, 0, 2, OPENING_UNKNOWN},
        {BYTES("\x17\x03\x03\x00\x02"), HELLO_FAULT_ORDER, 0, 2, OPENING_UNKNOWN},
        {BYTES("\x16\x03\x01\x48\x01"), HELLO_FAULT_RECORD_LENGTH, 3, 5, OPENING_UNKNOWN},
        {BYTES("\x16\x03\x01\x00\x04\x02"), HELLO_FAULT_ORDER, 5, 6, OPENING_UNKNOWN},
        {BYTES("\x16\x03\x01\x00\x04\x01\x01\x00\x00"), HELLO_FAULT_TOO_LONG, 8, 9, OPENING_UNKNOWN},
        {BYTES("\x16\x03\x01\x00\x01\x01\x15"), HELLO_FAULT_ORDER, 6, 7, OPENING_UNKNOWN},
        {BYTES("\x16\x03\x01\x00\x01\x01\x63"), HELLO_FAULT_RECORD_TYPE, 6, 7, OPENING_UNKNOWN},
        {BYTES("\x16\x03\x01\x00\x01\x01\x16\x02"), HELLO_FAULT_RECORD_VERSION, 7, 8, OPENING_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct hello_reader whole = {0}, bytewise = {0};
        size_t at;
        assert_int_equal(hello_reader_feed(&whole, cases[i].bytes), PARSE_BAD);
        assert_int_equal(whole.fault, cases[i].fault);
        assert_int_equal(whole.position, cases[i].position);
        assert_int_equal(whole.opening, cases[i].opening);
        assert_int_equal(feed_bytewise(&bytewise, cases[i].bytes, &at), PARSE_BAD);
        assert_int_equal(bytewise.fault, cases[i].fault);
        assert_int_equal(at, cases[i].needed);
        assert_int_equal(hello_reader_feed(&whole, cases[i].bytes), PARSE_BAD);
        assert_true(hello_fault_text(whole.fault)[0] != '\0');
    }
}

static void test_soft_record_faults(void **state)
{
    (void)state;
    struct hello_bytes bytes;
    struct hello_plan plan = hello_plan_good();
    struct span message = hello_build(&plan, &bytes);
    const struct {
        uint16_t version;
        bool odd;
    } cases[] = {{0x0300, true}, {0x0301, false}, {0x0303, false}, {0x0304, true}, {0x03ff, true}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct hello_reader r = {0};
        struct span all = hello_wrap(message, 100, cases[i].version);
        assert_int_equal(hello_reader_feed(&r, all), PARSE_OK);
        assert_int_equal(r.odd_version, cases[i].odd);
        assert_int_equal(r.version, cases[i].version);
        assert_false(r.odd_length);
        assert_int_equal(r.records_tiny, 0);
        assert_false(hello_reader_is_followed(&r));
        free((void *)all.data);
    }
    struct hello_reader r = {0};
    bytes.data[bytes.len++] = 20; /* a second message in the hello's record */
    struct span all = hello_wrap(span_of(bytes.data, bytes.len), 16384, 0x0301);
    assert_int_equal(hello_reader_feed(&r, all), PARSE_OK);
    assert_true(hello_reader_is_followed(&r));
    assert_int_equal(r.position, all.len - 1);
    free((void *)all.data);
}

static void test_arena_budget(void **state)
{
    (void)state;
    struct hello_bytes bytes;
    struct hello_plan plan = hello_plan_good();
    struct span message = hello_build(&plan, &bytes), all = hello_wrap(message, 9, 0x0301);
    struct hello_reader r = {0};
    struct arena arena;
    arena_init(&arena, 16);
    assert_int_equal(hello_reader_feed(&r, all), PARSE_OK);
    assert_null(hello_reader_message(&r, all, &arena).data);
    arena_reset(&arena);
    free((void *)all.data);
}

static void test_openings(void **state)
{
    (void)state;
    const struct {
        struct span first;
        enum opening opening;
    } cases[] = {
        {BYTES("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), OPENING_HTTP2},
        {BYTES("OPTIONS * HTTP/1.1\r\n"), OPENING_HTTP},
        {BYTES("OPTIONS rtsp://x/ RTSP/1.0\r\n"), OPENING_RTSP},
        {BYTES("FROB /x HTTP/1.1\r\n"), OPENING_HTTP},
        {BYTES("FROB /x HTTP/1.1"), OPENING_UNKNOWN}, /* no line yet */
        {BYTES("P"), OPENING_UNKNOWN},                /* PUT, POST, PRI, PROXY */
        {BYTES("PO"), OPENING_HTTP},
        {BYTES("SSH-"), OPENING_SSH},
        {BYTES("\x13"
               "BitTorrent protocol"),
         OPENING_BITTORRENT},
        {BYTES("\x00\x00\x00\x08\x04\xd2\x16\x2f"), OPENING_POSTGRESQL},
        {BYTES("\x10\x10\x00\x04MQTT\x04"), OPENING_MQTT},
        {BYTES("\x10\x80\x01\x00\x04MQTT\x04"), OPENING_MQTT},
        {BYTES("\x10\x10\x55\x55"), OPENING_UNKNOWN},
        {BYTES("USER bob\r\n"), OPENING_FTP},
        {BYTES("NICK bob\r\n"), OPENING_IRC},
        {BYTES("CAPA\r\n"), OPENING_POP3},
        {BYTES("<?xml version='1.0'?>"), OPENING_XMPP},
        {BYTES("220 mail.example ESMTP ready\r\n"), OPENING_SMTP},
        {BYTES("220-FTP server\r\n"), OPENING_FTP},
        {BYTES("220 hello\r\nSMTP"), OPENING_UNKNOWN}, /* says nothing in its first line */
        {BYTES("2200 SMTP\r\n"), OPENING_UNKNOWN},
        {BYTES("+OK POP3 ready\r\n"), OPENING_POP3},
        {BYTES(""), OPENING_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(opening_classify(cases[i].first), cases[i].opening);
    for (enum opening o = OPENING_UNKNOWN; o < OPENING_COUNT; o++)
        assert_true(opening_name(o)[0] != '\0');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_record_size_and_any_cut),
        cmocka_unit_test(test_longest),
        cmocka_unit_test(test_floods_are_bounded),
        cmocka_unit_test(test_told_as_early_as_possible),
        cmocka_unit_test(test_soft_record_faults),
        cmocka_unit_test(test_arena_budget),
        cmocka_unit_test(test_openings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
