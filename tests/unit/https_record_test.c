/* https_record_test.c: DNS answers of type 65: the public names of ECH in them, and answers that aren't whole. The answers are the fuzz
 * target's seeds. */
#include "wire/https_record.h"

#include "base/must.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static size_t read_seed(const char *name, uint8_t *ret, size_t size)
{
    char path[512];
    snprintf(path, sizeof path, "%s/tests/fuzz/corpus/https_record/%s", EXEAT_SOURCE_DIR, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t len = fread(ret, 1, size, f);
    fclose(f);
    return len;
}

static void test_answers(void **state)
{
    (void)state;
    static const struct {
        const char *seed;
        enum parse result;
        unsigned count;
        uint32_t ttl_s;
        const char *names[2];
    } cases[] = {
        {"one", PARSE_OK, 1, 300, {"cloudflare-ech.com"}},
        {"two_and_alias", PARSE_OK, 2, 30, {"a.test", "b.test"}},
        {"none", PARSE_OK, 0, 0, {NULL}},
        {"address_name", PARSE_OK, 0, 9, {NULL}},
        {"cut", PARSE_BAD, 0, 0, {NULL}},
        {"wrong_length", PARSE_BAD, 0, 0, {NULL}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint8_t bytes[1024];
        struct https_record r = {0};
        size_t len = read_seed(cases[i].seed, bytes, sizeof bytes);
        assert_int_equal(https_record_parse(span_of(bytes, len), &r), cases[i].result);
        assert_int_equal(r.count, cases[i].count);
        assert_int_equal(r.ttl_s, cases[i].ttl_s);
        for (unsigned n = 0; n < r.count; n++)
            assert_string_equal(r.names[n], cases[i].names[n]);
    }
}

/* Whatever is cut off is missed. */
static void test_every_prefix(void **state)
{
    (void)state;
    uint8_t bytes[1024];
    size_t len = read_seed("one", bytes, sizeof bytes);
    for (size_t n = 0; n < len; n++) {
        struct https_record r = {.count = 77};
        assert_int_equal(https_record_parse(span_of(bytes, n), &r), PARSE_BAD);
        assert_int_equal(r.count, 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_answers), cmocka_unit_test(test_every_prefix)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
