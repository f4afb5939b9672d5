/* websocket_test.c: WebSocket frames: what is read of good ones, and each way of not being one. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
// clang-format on

#include "wire/websocket.h"

static struct websocket feed(bool from_client, const void *bytes, size_t len, size_t piece)
{
    struct websocket w;
    websocket_init(&w, from_client);
    for (size_t at = 0; at < len; at += piece)
        websocket_feed(&w, span_of((const uint8_t *)bytes + at, len - at < piece ? len - at : piece));
    return w;
}

/* RFC 6455, 5.7. */
static void examples_of_the_rfc_are_read(void **state)
{
    (void)state;
    const uint8_t unmasked[] = {0x81, 5, 'H', 'e', 'l', 'l', 'o'},
                  masked[] = {0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58},
                  fragments[] = {0x01, 3, 'H', 'e', 'l', 0x89, 5, 'H', 'e', 'l', 'l', 'o', 0x80, 2, 'l', 'o'};
    for (size_t piece = 1; piece < 20; piece++) {
        struct websocket w = feed(false, unmasked, sizeof unmasked, piece);
        assert_int_equal(w.fault, WEBSOCKET_NONE);
        assert_int_equal(w.messages, 1);
        assert_true(w.first_is_text && w.sample_whole);
        assert_memory_equal(w.sample, "Hello", 5);
        w = feed(true, masked, sizeof masked, piece);
        assert_int_equal(w.fault, WEBSOCKET_NONE);
        assert_int_equal(w.sample_len, 5);
        assert_memory_equal(w.sample, "Hello", 5);
        w = feed(false, fragments, sizeof fragments, piece);
        assert_int_equal(w.fault, WEBSOCKET_NONE);
        assert_int_equal(w.frames, 3);
        assert_int_equal(w.messages, 1);
        assert_int_equal(w.payload_bytes, 5);
        assert_memory_equal(w.sample, "Hello", 5);
    }
}

static void long_frames_are_passed_over(void **state)
{
    (void)state;
    static uint8_t frame[4 + 70000];
    const uint8_t medium[] = {0x82, 126, 0x01, 0x00}, large[] = {0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0};
    memcpy(frame, medium, sizeof medium);
    struct websocket w = feed(false, frame, sizeof medium + 256, 100);
    assert_int_equal(w.messages, 1);
    assert_int_equal(w.payload_bytes, 256);
    memset(frame, 7, sizeof frame);
    memcpy(frame, large, sizeof large);
    w = feed(false, frame, sizeof large + 65536, 4096);
    assert_int_equal(w.fault, WEBSOCKET_NONE);
    assert_int_equal(w.messages, 1);
    assert_int_equal(w.payload_bytes, 65536);
    assert_int_equal(w.sample_len, WEBSOCKET_SAMPLE_BYTES);
    assert_true(w.sample_whole);
}

static void a_close_ends_it(void **state)
{
    (void)state;
    const uint8_t close[] = {0x88, 4, 0x03, 0xe8, 'o', 'k'}, empty[] = {0x88, 0};
    struct websocket w;
    websocket_init(&w, false);
    assert_int_equal(websocket_feed(&w, span_of(close, 3)), PARSE_MORE);
    assert_int_equal(websocket_feed(&w, span_of(close + 3, sizeof close - 3)), PARSE_OK);
    assert_int_equal(w.close_code, 1000);
    assert_int_equal(websocket_feed(&w, span_of(close, 1)), PARSE_BAD);
    assert_int_equal(w.fault, WEBSOCKET_AFTER_CLOSE);
    w = feed(false, empty, sizeof empty, 1);
    assert_true(w.closed);
    assert_int_equal(w.close_code, 0);
}

static void what_is_no_websocket_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        bool client;
        enum websocket_fault fault;
    } cases[] = {
        {"\xc1\x00", 2, false, WEBSOCKET_RESERVED},
        {"\x83\x00", 2, false, WEBSOCKET_OPCODE},
        {"\x8b\x00", 2, false, WEBSOCKET_OPCODE},
        {"\x81\x01x", 3, true, WEBSOCKET_MASK},
        {"\x81\x81mask", 6, false, WEBSOCKET_MASK},
        {"\x82\x7e\x00\x7d", 4, false, WEBSOCKET_LENGTH},
        {"\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff", 10, false, WEBSOCKET_LENGTH},
        {"\x82\x7f\x80\x00\x00\x00\x00\x01\x00\x00", 10, false, WEBSOCKET_LENGTH},
        {"\x09\x00", 2, false, WEBSOCKET_CONTROL},
        {"\x89\x7e\x00\x7e", 4, false, WEBSOCKET_CONTROL},
        {"\x80\x00", 2, false, WEBSOCKET_FRAGMENT},
        {"\x01\x00\x81\x00", 4, false, WEBSOCKET_FRAGMENT},
        {"\x88\x01x", 3, false, WEBSOCKET_CLOSE},
        {"\x88\x02\x03\xed", 4, false, WEBSOCKET_CLOSE}, /* 1005 never stands on the wire */
        {"\x88\x02\x00\x01", 4, false, WEBSOCKET_CLOSE},
        {"\x16\x03\x01\x02\x00\x01", 6, true, WEBSOCKET_RESERVED}, /* TLS in its place */
        {"SSH-2.0-x\r\n", 11, true, WEBSOCKET_RESERVED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (size_t piece = 1; piece < 12; piece += 10) {
            struct websocket w = feed(cases[i].client, cases[i].bytes, cases[i].len, piece);
            if (w.fault != cases[i].fault)
                fail_msg("case %zu: %s instead of %s", i, websocket_fault_name(w.fault),
                         websocket_fault_name(cases[i].fault));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_of_the_rfc_are_read),
        cmocka_unit_test(long_frames_are_passed_over),
        cmocka_unit_test(a_close_ends_it),
        cmocka_unit_test(what_is_no_websocket_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
