/* client_hello_test.c: the parsed ClientHello: what it holds, and where it is broken. */
#include "hello_build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static struct hello_bytes bytes;

static struct client_hello parse_plan(const struct hello_plan *plan)
{
    struct client_hello h;
    struct hello_error error;
    assert_int_equal(client_hello_parse(hello_build(plan, &bytes), &h, &error), PARSE_OK);
    return h;
}

static void test_fields(void **state)
{
    (void)state;
    struct hello_plan plan = hello_plan_good();
    hello_plan_set(&plan, BYTES("\x00\x33\x00\x0c\x00\x0a\x00\x1d\x00\x01\x55\x00\x17\x00\x01\x66"));
    hello_plan_set(&plan, BYTES("\x00\x0b\x00\x02\x01\x00"));
    hello_plan_set(&plan, BYTES("\x00\x2d\x00\x02\x01\x01"));
    hello_plan_set(&plan, BYTES("\xff\x01\x00\x01\x00"));
    hello_plan_set(&plan, BYTES("\x00\x15\x00\x03\x00\x00\x00"));
    struct client_hello h = parse_plan(&plan);
    assert_int_equal(h.part_fault, HELLO_FAULT_NONE);
    assert_int_equal(h.legacy_version, 0x0303);
    assert_int_equal(h.highest_version, 0x0304);
    assert_string_equal(client_hello_version(&h), "1.3");
    assert_true(span_equal(h.random, BYTES(RANDOM_GOOD)));
    assert_true(span_equal(h.session_id, BYTES(RANDOM_GOOD)));
    assert_int_equal(hello_u16_count(h.cipher_suites), 2);
    assert_int_equal(hello_u16_at(h.cipher_suites, 1), 0xc02b);
    assert_int_equal(h.sni, HELLO_SNI_ONE);
    assert_true(span_is(h.server_name, "example.net"));
    assert_int_equal(hello_u16_at(h.groups, 0), 29);
    assert_int_equal(hello_u16_at(h.signature_algorithms, 1), 0x0804);
    assert_true(span_equal(h.point_formats, BYTES("\x00")));
    assert_true(span_equal(h.psk_modes, BYTES("\x01")));
    assert_int_equal(h.padding_bytes, 3);
    assert_true(h.renegotiation_info);
    assert_int_equal(h.renegotiation.len, 0);
    assert_int_equal(h.extension_count, 10);
    assert_true(client_hello_has(&h, HELLO_EXT_ALPN));
    assert_false(client_hello_has(&h, HELLO_EXT_EARLY_DATA));
    assert_false(h.ech);

    size_t cursor = 0;
    struct span name;
    assert_true(client_hello_next_alpn(&h, &cursor, &name) && span_is(name, "h2"));
    assert_true(client_hello_next_alpn(&h, &cursor, &name) && span_is(name, "http/1.1"));
    assert_false(client_hello_next_alpn(&h, &cursor, &name));
    struct hello_key_share share;
    cursor = 0;
    assert_true(client_hello_next_key_share(&h, &cursor, &share) && share.group == 29 &&
                share.key.data[0] == 0x55);
    assert_true(client_hello_next_key_share(&h, &cursor, &share) && share.group == 23 && share.key.len == 1);
    assert_false(client_hello_next_key_share(&h, &cursor, &share));
    struct hello_extension e;
    cursor = 0;
    assert_true(client_hello_next_extension(&h, &cursor, &e) && e.type == 0 && e.body.len == 16);
    assert_true(client_hello_next_extension(&h, &cursor, &e) && e.type == 10);
}

static void test_versions(void **state)
{
    (void)state;
    const struct {
        uint16_t legacy;
        struct span extension;
        const char *name;
    } cases[] = {
        {0x0303, BYTES("\x00\x2b\x00\x05\x04\x1a\x1a\x03\x03"), "1.2"},
        {0x0303, BYTES("\x00\x2b\x00\x03\x02\xfa\xfa"), "1.2"},
        {0x0303, BYTES("\x00\x2b\x00\x05\x04\x7f\x1c\x03\x04"),
         "1.3"}, /* a draft is higher, but has no name */
        {0x0302, {NULL, 0}, "1.1"},
        {0x0301, {NULL, 0}, "1.0"},
        {0x0300, {NULL, 0}, "SSL3"},
        {0x0304, {NULL, 0}, "1.3"},
        {0x4242, {NULL, 0}, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct hello_plan plan = hello_plan_good();
        plan.legacy_version = cases[i].legacy;
        hello_plan_drop(&plan, 43);
        if (cases[i].extension.data)
            hello_plan_add(&plan, cases[i].extension);
        struct client_hello h = parse_plan(&plan);
        if (cases[i].name)
            assert_string_equal(client_hello_version(&h), cases[i].name);
        else
            assert_null(client_hello_version(&h));
    }
}

static void test_no_extensions(void **state)
{
    (void)state;
    struct hello_plan plan = hello_plan_good();
    plan.no_extensions_block = true;
    struct client_hello h = parse_plan(&plan);
    assert_int_equal(h.extension_count, 0);
    assert_int_equal(h.sni, HELLO_SNI_ABSENT);
    plan = hello_plan_good();
    plan.extensions[0] = (struct span){NULL, 0};
    h = parse_plan(&plan);
    assert_int_equal(h.extension_count, 0);
    assert_int_equal(h.part_fault, HELLO_FAULT_NONE);
}

static void test_sni(void **state)
{
    (void)state;
    const struct {
        struct span extension;
        enum hello_sni sni;
        const char *name;
        bool fault;
    } cases[] = {
        {BYTES("\x00\x00\x00\x06\x00\x04\x00\x00\x01x"), HELLO_SNI_ONE, "x", false},
        {BYTES("\x00\x00\x00\x00"), HELLO_SNI_NO_NAME, "", true},
        {BYTES("\x00\x00\x00\x02\x00\x00"), HELLO_SNI_NO_NAME, "", true},
        {BYTES("\x00\x00\x00\x05\x00\x03\x00\x00\x00"), HELLO_SNI_NO_NAME, "", true},
        {BYTES("\x00\x00\x00\x0a\x00\x08\x00\x00\x01x\x00\x00\x01y"), HELLO_SNI_SEVERAL, "x", false},
        {BYTES("\x00\x00\x00\x0a\x00\x08\x07\x00\x01x\x00\x00\x01y"), HELLO_SNI_WRONG_TYPE, "y", false},
        {BYTES("\x00\x00\x00\x06\x00\x04\x01\x00\x01x"), HELLO_SNI_WRONG_TYPE, "", true},
        {BYTES("\x00\x00\x00\x07\x00\x04\x00\x00\x01x."), HELLO_SNI_MALFORMED, "x", true},
        {BYTES("\x00\x00\x00\x06\x00\x05\x00\x00\x01x"), HELLO_SNI_MALFORMED, "", true},
        {BYTES("\x00\x00\x00\x06\x00\x04\x00\x00\x02x"), HELLO_SNI_MALFORMED, "", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct hello_plan plan = hello_plan_good();
        hello_plan_set(&plan, cases[i].extension);
        struct client_hello h = parse_plan(&plan);
        assert_int_equal(h.sni, cases[i].sni);
        assert_true(span_is(h.server_name, cases[i].name));
        assert_int_equal(h.part_fault, cases[i].fault ? HELLO_FAULT_EXTENSION_BODY : HELLO_FAULT_NONE);
        assert_true(client_hello_has(&h, HELLO_EXT_SERVER_NAME));
    }
}

/* Each extension that is read: a good body and broken ones. */
static void test_extension_bodies(void **state)
{
    (void)state;
    const struct {
        struct span extension;
        enum hello_fault fault;
    } cases[] = {
        {BYTES("\x00\x05\x00\x05\x01\x00\x00\x00\x00"), HELLO_FAULT_NONE},
        {BYTES("\x00\x05\x00\x04\x01\x00\x00\x00"), HELLO_FAULT_EXTENSION_BODY},
        {BYTES("\x00\x05\x00\x00"), HELLO_FAULT_EXTENSION_BODY},
        {BYTES("\x00\x0a\x00\x02\x00\x00"), HELLO_FAULT_EXTENSION_BODY},
        {BYTES("\x00\x0a\x00\x05\x00\x03\x00\x1d\x00"), HELLO_FAULT_EXTENSION_BODY},
        {BYTES("\x00\x0a\x00\x05\x00\x02\x00\x1d\x00"), HELLO_FAULT_EXTENSION_BODY},
        {BYTES("\x00\x0b\x00\x01\x00"), HELLO_FAULT_EXTENSION_BODY},
        {BYTES("\x00\x0d\x00\x01\x00"), HELLO_FAULT_EXTENSION_BODY},
        {BYTES("\x00\x0f\x00\x01\x01"), HELLO_FAULT_NONE},
        {BYTES("\x00\x0f\x00\x01\x03"), HELLO_FAULT_EXTENSION_BODY},
        {BYTES("\x00\x10\x00\x02\x00\x00"), HELLO_FAULT_EXTENSION_BODY},
        {BYTES("\x00\x10\x00\x03\x00\x01\x00"), HELLO_FAULT_EXTENSION_BODY},
        {BYTES("\x00\x10\x00\x06\x00\x03\x02h2\x00"), HELLO_FAULT_EXTENSION_BODY},
        {BYTES("\x00\x12\x00\x00"), HELLO_FAULT_NONE},
        {BYTES("\x00\x12\x00\x01\x00"), HELLO_FAULT_EXTENSION_BODY},
        {BYTES("\x00\x15\x00\x02\x00\x00"), HELLO_FAULT_NONE},
        {BYTES("\x00\x15\x00\x02\x00\x01"), HELLO_FAULT_PADDING_NOT_ZERO},
        {BYTES("\x00\x16\x00\x01\x00"), HELLO_FAULT_EXTENSION_BODY},
        {BYTES("\x00\x17\x00\x01\x00"), HELLO_FAULT_EXTENSION_BODY},
        {BYTES("\x00\x1b\x00\x03\x02\x00\x02"), HELLO_FAULT_NONE},
        {BYTES("\x00\x1b\x00\x01\x00"), HELLO_FAULT_EXTENSION_BODY},
        {BYTES("\x00\x1c\x00\x02\x40\x01"), HELLO_FAULT_NONE},
        {BYTES("\x00\x1c\x00\x01\x40"), HELLO_FAULT_EXTENSION_BODY},
        {BYTES("\x00\x23\x00\x01x"), HELLO_FAULT_NONE},
        {BYTES("\x00\x29\x00\x02\x00\x00"), HELLO_FAULT_EXTENSION_BODY},
        {BYTES("\x00\x2a\x00\x00"), HELLO_FAULT_NONE},
        {BYTES("\x00\x2a\x00\x01\x00"), HELLO_FAULT_EXTENSION_BODY},
        {BYTES("\x00\x2b\x00\x02\x01\x03"), HELLO_FAULT_EXTENSION_BODY},
        {BYTES("\x00\x2c\x00\x03\x00\x01x"), HELLO_FAULT_NONE},
        {BYTES("\x00\x2c\x00\x02\x00\x00"), HELLO_FAULT_EXTENSION_BODY},
        {BYTES("\x00\x2d\x00\x01\x00"), HELLO_FAULT_EXTENSION_BODY},
        {BYTES("\x00\x31\x00\x01\x00"), HELLO_FAULT_EXTENSION_BODY},
        {BYTES("\x00\x32\x00\x01\x00"), HELLO_FAULT_EXTENSION_BODY},
        {BYTES("\x00\x33\x00\x02\x00\x00"), HELLO_FAULT_NONE},
        {BYTES("\x00\x33\x00\x00"), HELLO_FAULT_EXTENSION_BODY},
        {BYTES("\x00\x33\x00\x06\x00\x04\x00\x1d\x00\x00"), HELLO_FAULT_EXTENSION_BODY},
        {BYTES("\x00\x33\x00\x06\x00\x04\x00\x1d\x00\x01"), HELLO_FAULT_EXTENSION_BODY},
        {BYTES("\xff\x01\x00\x02\x01x"), HELLO_FAULT_NONE},
        {BYTES("\xff\x01\x00\x00"), HELLO_FAULT_EXTENSION_BODY},
        {BYTES("\xfe\x0d\x00\x01\x00"), HELLO_FAULT_NONE},
        {BYTES("\x1a\x1a\x00\x03xyz"), HELLO_FAULT_NONE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct hello_plan plan = hello_plan_good();
        hello_plan_set(&plan, cases[i].extension);
        struct client_hello h = parse_plan(&plan);
        if (h.part_fault != cases[i].fault)
            print_error("case %zu\n", i);
        assert_int_equal(h.part_fault, cases[i].fault);
        uint16_t type = hello_u16_at(cases[i].extension, 0);
        if (h.part_fault == HELLO_FAULT_EXTENSION_BODY)
            assert_int_equal(h.part_fault_extension, type);
        if (h.part_fault != HELLO_FAULT_NONE)
            assert_in_range(h.part_fault_offset, 4, h.message.len);
    }
}

static void test_pre_shared_key(void **state)
{
    (void)state;
    uint8_t psk[4 + 2 + 7 + 2 + 33] = {0, 41, 0, sizeof psk - 4, 0, 7, 0, 1, 'x', 0, 0, 0, 0, 0, 33, 32};
    struct hello_plan plan = hello_plan_good();
    hello_plan_add(&plan, span_of(psk, sizeof psk));
    struct client_hello h = parse_plan(&plan);
    assert_int_equal(h.part_fault, HELLO_FAULT_NONE);
    hello_plan_add(&plan, BYTES("\x00\x2a\x00\x00"));
    h = parse_plan(&plan);
    assert_int_equal(h.part_fault, HELLO_FAULT_PSK_NOT_LAST);
    psk[15] = 31;
    plan = hello_plan_good();
    hello_plan_add(&plan, span_of(psk, sizeof psk));
    h = parse_plan(&plan);
    assert_int_equal(h.part_fault, HELLO_FAULT_EXTENSION_BODY);
}

static void test_first_of_duplicates_is_read(void **state)
{
    (void)state;
    struct hello_plan plan = hello_plan_good();
    struct client_hello h = parse_plan(&plan);
    assert_false(h.duplicate_extension);
    hello_plan_add(&plan, BYTES("\x00\x00\x00\x06\x00\x04\x00\x00\x01x"));
    h = parse_plan(&plan);
    assert_true(h.duplicate_extension);
    assert_true(span_is(h.server_name, "example.net"));
}

static void test_ech_spellings(void **state)
{
    (void)state;
    const struct span cases[] = {BYTES("\xfe\x0d\x00\x01\x00"), BYTES("\xfe\x0a\x00\x01\x00"),
                                 BYTES("\xff\xce\x00\x01\x00")};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct hello_plan plan = hello_plan_good();
        hello_plan_add(&plan, cases[i]);
        assert_true(parse_plan(&plan).ech);
    }
}

/* A message cut short is MORE at every length; one with a byte too many is BAD. */
static void test_every_length(void **state)
{
    (void)state;
    struct hello_plan plan = hello_plan_good();
    struct span message = hello_build(&plan, &bytes);
    struct client_hello h;
    struct hello_error error;
    for (size_t len = 0; len < message.len; len++) {
        uint8_t *exact = malloc(len ? len : 1);
        memcpy(exact, message.data, len);
        assert_int_equal(client_hello_parse(span_of(exact, len), &h, &error), PARSE_MORE);
        free(exact);
    }
    assert_int_equal(client_hello_parse(span_of(bytes.data, message.len + 1), &h, &error), PARSE_BAD);
    assert_int_equal(error.fault, HELLO_FAULT_TRAILING);
    assert_int_equal(error.offset, message.len);
}

/* The frame itself ends at every place: always BAD (or OK where the extensions block may be absent), never a read beyond. */
static void test_frame_cut_everywhere(void **state)
{
    (void)state;
    struct hello_plan plan = hello_plan_good();
    struct span message = hello_build(&plan, &bytes);
    size_t before_extensions = 4 + 2 + 32 + 1 + 32 + 2 + 4 + 1 + 1;
    for (size_t len = 4; len < message.len; len++) {
        uint8_t *exact = malloc(len);
        memcpy(exact, message.data, len);
        exact[1] = 0;
        exact[2] = (uint8_t)((len - 4) >> 8);
        exact[3] = (uint8_t)(len - 4);
        struct client_hello h;
        struct hello_error error = {HELLO_FAULT_NONE, 0};
        enum parse parse = client_hello_parse(span_of(exact, len), &h, &error);
        assert_int_equal(parse, len == before_extensions ? PARSE_OK : PARSE_BAD);
        if (parse == PARSE_BAD) {
            enum hello_fault expected = len < 38   ? HELLO_FAULT_FIXED_PART
                                        : len < 71 ? HELLO_FAULT_SESSION_ID
                                        : len < 77 ? HELLO_FAULT_CIPHER_SUITES
                                        : len < 79 ? HELLO_FAULT_COMPRESSION
                                                   : HELLO_FAULT_EXTENSIONS;
            assert_int_equal(error.fault, expected);
            assert_in_range(error.offset, 4, len);
        }
        free(exact);
    }
}

static void test_broken_frames(void **state)
{
    (void)state;
    struct client_hello h;
    struct hello_error error;
    struct hello_plan plan = hello_plan_good();
    plan.session_id = BYTES(RANDOM_GOOD "x");
    assert_int_equal(client_hello_parse(hello_build(&plan, &bytes), &h, &error), PARSE_BAD);
    assert_int_equal(error.fault, HELLO_FAULT_SESSION_ID);
    assert_int_equal(error.offset, 38);
    plan = hello_plan_good();
    plan.suites = BYTES("\x13\x01\xc0");
    assert_int_equal(client_hello_parse(hello_build(&plan, &bytes), &h, &error), PARSE_BAD);
    assert_int_equal(error.fault, HELLO_FAULT_CIPHER_SUITES);
    plan = hello_plan_good();
    plan.extensions[4] = BYTES("\x00\x0d\x00\x07\x00\x04\x04\x03\x08\x04");
    assert_int_equal(client_hello_parse(hello_build(&plan, &bytes), &h, &error), PARSE_BAD);
    assert_int_equal(error.fault, HELLO_FAULT_EXTENSION);
    assert_int_equal(error.offset, bytes.len - 10);
    plan = hello_plan_good();
    plan.extensions[5] = BYTES("\x00\x17\x00");
    assert_int_equal(client_hello_parse(hello_build(&plan, &bytes), &h, &error), PARSE_BAD);
    assert_int_equal(error.fault, HELLO_FAULT_EXTENSION);
    assert_int_equal(client_hello_parse(BYTES("\x02\x00\x00\x00"), &h, &error), PARSE_BAD);
    assert_int_equal(error.fault, HELLO_FAULT_ORDER);
    assert_int_equal(client_hello_parse(BYTES("\x01\x01\x00\x00"), &h, &error), PARSE_BAD);
    assert_int_equal(error.fault, HELLO_FAULT_TOO_LONG);
}

static void test_empty_lists_are_soft(void **state)
{
    (void)state;
    struct hello_plan plan = hello_plan_good();
    plan.suites = BYTES("");
    assert_int_equal(parse_plan(&plan).part_fault, HELLO_FAULT_SUITES_EMPTY);
    plan = hello_plan_good();
    plan.compression = BYTES("");
    assert_int_equal(parse_plan(&plan).part_fault, HELLO_FAULT_COMPRESSION_EMPTY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_no_extensions),
        cmocka_unit_test(test_sni),
        cmocka_unit_test(test_extension_bodies),
        cmocka_unit_test(test_pre_shared_key),
        cmocka_unit_test(test_first_of_duplicates_is_read),
        cmocka_unit_test(test_ech_spellings),
        cmocka_unit_test(test_every_length),
        cmocka_unit_test(test_frame_cut_everywhere),
        cmocka_unit_test(test_broken_frames),
        cmocka_unit_test(test_empty_lists_are_soft),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
