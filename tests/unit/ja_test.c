/* ja_test.c: JA3 and JA4 against hellos of real clients, with values worked out by another program, and the method's traps. */
#include "hello_build.h"

#include "facts/ja3.h"
#include "facts/ja4.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* Parses either records or a bare message; the arena keeps a message that came in records. */
static struct client_hello parse_bytes(struct span bytes, struct arena *arena)
{
    struct client_hello h;
    struct hello_error error;
    struct hello_reader r = {0};
    struct span message = bytes;
    if (bytes.data[0] == RECORD_HANDSHAKE) {
        assert_int_equal(hello_reader_feed(&r, bytes), PARSE_OK);
        message = hello_reader_message(&r, bytes, arena);
        assert_non_null(message.data);
    }
    assert_int_equal(client_hello_parse(message, &h, &error), PARSE_OK);
    return h;
}

/* Cuts the next tab-separated field off *at. */
static char *take_field(char **at)
{
    char *field = strsep(at, "\t\n");
    assert_non_null(field);
    return field;
}

/* Columns of a table of vectors; -1: there is none. A two-character JA4 is the ALPN slot alone. */
struct columns {
    int ja3, ja4, hex, count;
};

static unsigned check_row(char *line, const struct columns *c)
{
    char *fields[4] = {0}, ja4[JA4_BYTES], ja3[JA3_HASH_BYTES];
    struct arena arena;
    for (int i = 0; i < c->count; i++)
        fields[i] = take_field(&line);
    arena_init(&arena, 2 * HELLO_BYTES_MAX);
    struct span bytes = hello_unhex(fields[c->hex], strlen(fields[c->hex]));
    struct client_hello h = parse_bytes(bytes, &arena);
    assert_int_equal(ja4_hash(&h, ja4), 0);
    if (strlen(fields[c->ja4]) == 2)
        assert_memory_equal(ja4 + 8, fields[c->ja4], 2);
    else
        assert_string_equal(ja4, fields[c->ja4]);
    if (c->ja3 >= 0) {
        assert_int_equal(ja3_hash(&h, ja3), 0);
        assert_string_equal(ja3, fields[c->ja3]);
    }
    free((void *)bytes.data);
    arena_reset(&arena);
    return 1;
}

static void check_table(const char *path, struct columns columns, unsigned at_least)
{
    FILE *f = fopen(path, "re");
    char *line = NULL;
    size_t size = 0;
    unsigned rows = 0;
    if (!f)
        skip();
    while (getline(&line, &size, f) > 0)
        rows += line[0] == '#' ? 0 : check_row(line, &columns);
    free(line);
    fclose(f);
    assert_in_range(rows, at_least, 100000);
}

static void test_own_clients(void **state)
{
    (void)state;
    check_table(EXEAT_SOURCE_DIR "/tests/vectors/hello/clients.tsv", (struct columns){1, 2, 3, 4}, 20);
}

static void test_shared_clients(void **state)
{
    (void)state;
    check_table(EXEAT_SOURCE_DIR "/../shared/vectors/ja4_client_hello.tsv", (struct columns){-1, 0, 1, 2},
                206);
}

static void test_shared_edges(void **state)
{
    (void)state;
    check_table(EXEAT_SOURCE_DIR "/../shared/vectors/ja4_edge.tsv", (struct columns){-1, 1, 2, 3}, 30);
}

static void expect_texts(const struct hello_plan *plan, const char *ja3, const char *raw)
{
    static struct hello_bytes bytes;
    struct buf text;
    struct client_hello h = parse_bytes(hello_build(plan, &bytes), NULL);
    buf_init(&text, JA3_TEXT_BYTES_MAX);
    assert_int_equal(ja3_write(&h, &text), 0);
    assert_int_equal(buf_len(&text), strlen(ja3));
    assert_memory_equal(buf_span(&text).data, ja3, strlen(ja3));
    buf_clear(&text);
    assert_int_equal(ja4_write_raw(&h, &text), 0);
    assert_int_equal(buf_len(&text), strlen(raw));
    assert_memory_equal(buf_span(&text).data, raw, strlen(raw));
    buf_free(&text);
}

static void test_texts(void **state)
{
    (void)state;
    struct hello_plan plan = hello_plan_good();
    plan.suites = BYTES("\xc0\x2b\x1a\x1a\x13\x01");
    hello_plan_set(&plan, BYTES("\x00\x0d\x00\x08\x00\x06\x08\x04\x2a\x2a\x04\x03"));
    hello_plan_set(&plan, BYTES("\x00\x0b\x00\x03\x02\x00\x01"));
    hello_plan_add(&plan, BYTES("\xca\xca\x00\x00"));
    expect_texts(&plan, "771,49195-4865,0-10-16-43-13-11,29-23,0-1",
                 "t13d0206h2_1301,c02b_000a,000b,000d,002b_0804,0403");
    plan = hello_plan_good();
    plan.legacy_version = 0x0301;
    plan.no_extensions_block = true;
    expect_texts(&plan, "769,4865-49195,,,", "t10i020000_1301,c02b_");
    plan.suites = BYTES("");
    expect_texts(&plan, "769,,,,", "t10i000000__");
}

/* The longest lists a hello can hold fit the announced sizes. */
static void test_longest(void **state)
{
    (void)state;
    static uint8_t suites[65000];
    static struct hello_bytes bytes;
    struct hello_plan plan = hello_plan_good();
    struct buf text;
    char ja4[JA4_BYTES];
    memset(suites, 0xff, sizeof suites);
    plan.suites = span_of(suites, sizeof suites);
    struct client_hello h = parse_bytes(hello_build(&plan, &bytes), NULL);
    buf_init(&text, JA3_TEXT_BYTES_MAX);
    assert_int_equal(ja3_write(&h, &text), 0);
    buf_free(&text);
    buf_init(&text, JA4_RAW_BYTES_MAX);
    assert_int_equal(ja4_write_raw(&h, &text), 0);
    buf_free(&text);
    buf_init(&text, 100);
    assert_int_equal(ja4_write_raw(&h, &text), -1);
    assert_true(text.failed);
    buf_free(&text);
    assert_int_equal(ja4_hash(&h, ja4), 0);
    assert_memory_equal(ja4, "t13d9905h2_", 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_clients),  cmocka_unit_test(test_shared_clients),
        cmocka_unit_test(test_shared_edges), cmocka_unit_test(test_texts),
        cmocka_unit_test(test_longest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
