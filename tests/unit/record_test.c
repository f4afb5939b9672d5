/* record_test.c: nesting, order, repeats, misplaced values, cuts and limits of audit records. */
#include "audit/record.h"
#include "base/must.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct record_field text(const char *path, const char *value)
{
    return (struct record_field){.path = path, .type = RECORD_STRING, .value.string = span_str(value)};
}

static struct record_field integer(const char *path, int64_t value)
{
    return (struct record_field){.path = path, .type = RECORD_INT, .value.integer = value};
}

static void expect_record(const struct record_field *fields, size_t count, size_t limit, const char *wanted)
{
    struct buf out;
    buf_init(&out, 4096);
    assert_int_equal(record_write(&out, fields, count, limit), 0);
    buf_append(&out, "", 1);
    assert_string_equal((const char *)buf_span(&out).data, wanted);
    buf_free(&out);
}

static void test_fields_of_one_object_meet(void **state)
{
    (void)state;
    const struct record_field fields[] = {
        integer("time", 7),      text("src.ip", "::1"), integer("b.c.d", 1),
        integer("src.port", 80), integer("b.c.e", 2),   integer("b.x", -3),
        integer("src.z.y", 4),   integer("srcs", 5),    integer("b.c.f", 6),
    };
    expect_record(fields, ARRAY_LEN(fields), 100,
                  "{\"time\":7,\"src\":{\"ip\":\"::1\",\"port\":80,\"z\":{\"y\":4}},"
                  "\"b\":{\"c\":{\"d\":1,\"e\":2,\"f\":6},\"x\":-3},\"srcs\":5}\n");
    expect_record(NULL, 0, 100, "{}\n");
}

static void test_every_type(void **state)
{
    (void)state;
    const struct span items[] = {span_str("a\"b"), span_str("h2")};
    const struct record_field fields[] = {
        {.path = "yes", .type = RECORD_BOOL, .value.integer = 1},
        {.path = "no", .type = RECORD_BOOL},
        {.path = "raw", .type = RECORD_JSON, .value.string = span_str("{\"pid\":1}")},
        {.path = "list", .type = RECORD_STRINGS, .value.strings = {items, 2}},
        {.path = "none", .type = RECORD_STRINGS, .value.strings = {NULL, 0}},
        {.path = "real", .type = RECORD_REAL, .value.real = -0.75},
    };
    expect_record(fields, ARRAY_LEN(fields), 100,
                  "{\"yes\":true,\"no\":false,\"raw\":{\"pid\":1},\"list\":[\"a\\\"b\",\"h2\"],\"none\":[],"
                  "\"real\":-0.750}\n");
}

static void test_the_later_of_one_path_wins(void **state)
{
    (void)state;
    const struct record_field fields[] = {integer("a", 1), integer("b.c", 2), text("a", "x"),
                                          integer("b.c", 3), integer("b.c", 4)};
    expect_record(fields, ARRAY_LEN(fields), 100, "{\"a\":\"x\",\"b\":{\"c\":4}}\n");
}

static void test_value_beside_its_own_members_is_dropped(void **state)
{
    (void)state;
    unsigned long before = expect_failures();
    const struct record_field value_first[] = {integer("a", 1), integer("a.b", 2), integer("ab", 3)};
    expect_record(value_first, 3, 100, "{\"a\":1,\"ab\":3}\n");
    const struct record_field value_last[] = {integer("a.b", 2), integer("ab", 3), integer("a", 1)};
    expect_record(value_last, 3, 100, "{\"a\":{\"b\":2},\"ab\":3}\n");
    assert_int_equal(expect_failures(), before + 2);
}

static void test_strings_are_cut_between_characters(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"abcd", "abcd"},
        {"abcde", "abcd..."},
        {"abc\xc3\xa9", "abc..."},
        {"ab\xe2\x82\xac"
         "c",
         "ab..."},
        {"\xf0\x9f\x98\x80"
         "x",
         "\xf0\x9f\x98\x80..."},
        {"a\xf0\x9f\x98\x80", "a..."},
        {"\x80\x80\x80\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd..."},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct record_field f = text("s", cases[i].in);
        char wanted[64];
        snprintf(wanted, sizeof wanted, "{\"s\":\"%s\"}\n", cases[i].out);
        expect_record(&f, 1, 4, wanted);
    }
    const struct span items[] = {span_str("abcdef")};
    struct record_field list = {.path = "l", .type = RECORD_STRINGS, .value.strings = {items, 1}};
    expect_record(&list, 1, 2, "{\"l\":[\"ab...\"]}\n");
}

static void test_full_buffer_leaves_no_half_record(void **state)
{
    (void)state;
    const struct record_field fields[] = {text("a", "some text"), text("b", "more text")};
    for (size_t limit = 8; limit < 60; limit++) {
        struct buf out;
        buf_init(&out, limit);
        buf_append_str(&out, "before\n");
        int result = record_write(&out, fields, 2, 100);
        if (result != 0)
            assert_true(span_is(buf_span(&out), "before\n"));
        else
            assert_int_equal(buf_span(&out).data[buf_len(&out) - 1], '\n');
        assert_int_equal(result, limit < 41 ? -1 : 0);
        buf_free(&out);
    }
    struct record_field *many = calloc(513, sizeof *many);
    struct buf out;
    buf_init(&out, 100000);
    assert_int_equal(record_write(&out, many, 513, 100), -1);
    free(many);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_of_one_object_meet),
        cmocka_unit_test(test_every_type),
        cmocka_unit_test(test_the_later_of_one_path_wins),
        cmocka_unit_test(test_value_beside_its_own_members_is_dropped),
        cmocka_unit_test(test_strings_are_cut_between_characters),
        cmocka_unit_test(test_full_buffer_leaves_no_half_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
