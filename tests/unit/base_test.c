/* base_test.c: arenas, buffers, errors, JSON, base64: the budgets hold and nothing unprintable leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/descriptors.h"
#include "base/arena.h"
#include "base/base64.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void arena_keeps_its_budget(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 4096);
    char *first = arena_alloc(&a, 1000);
    assert_non_null(first);
    assert_int_equal((uintptr_t)first % 16, 0);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(first[i], 0);
    assert_non_null(arena_alloc(&a, 3000));
    assert_null(arena_alloc(&a, 3000));
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_null(arena_alloc(&a, SIZE_MAX - 8));
    arena_reset(&a);
    assert_string_equal(arena_strdup(&a, "again"), "again");
    assert_non_null(arena_alloc(&a, 4000));
    struct span none =
        arena_copy(&a, span_of("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                               "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
                               120));
    assert_null(none.data);
    arena_reset(&a);
}

static void buf_moves_and_refuses(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    for (int round = 0; round < 100; round++) { /* read and written in turn it stays small */
        assert_int_equal(buf_append(&b, "0123456789", 10), 0);
        buf_consume(&b, 9);
        assert_int_equal(b.data[b.tail - 1], '9');
    }
    assert_int_equal(buf_len(&b), 100);
    assert_true(b.cap <= 1024);
    char big[1000] = {0};
    assert_int_equal(buf_append(&b, big, sizeof big), -1);
    assert_true(b.failed);
    assert_int_equal(buf_len(&b), 100);
    buf_clear(&b);
    assert_false(b.failed);
    assert_int_equal(buf_append(&b, big, sizeof big), 0);
    size_t room;
    assert_null(buf_reserve(&b, 1, &room));
    buf_free(&b);
    buf_init(&b, 64);
    assert_int_equal(buf_printf(&b, "%d-%s", 7, "x"), 0);
    assert_true(span_is(buf_span(&b), "7-x"));
    buf_free(&b);
}

static void err_keeps_the_first(void **state)
{
    (void)state;
    struct err e = {0};
    char text[512];
    assert_int_equal(err_set(&e,
                             "a\x1b"
                             "b.yaml",
                             3, 7, "bad \x1b[31m%s", "thing"),
                     -1);
    err_set(&e, "other", 1, 1, "later");
    assert_string_equal(err_format(&e, text, sizeof text), "a?b.yaml:3:7: bad ?[31mthing");
    assert_int_equal(err_set(NULL, "x", 0, 0, "nobody listens"), -1);
}

static void json_escapes_everything(void **state)
{
    (void)state;
    struct buf b;
    struct json j;
    buf_init(&b, 4096);
    json_init(&j, &b);
    json_object(&j, NULL);
    json_str(&j, "plain", "a\"b\\c\n\x01\x7f");
    json_span(&j, "bytes", span_of("\xff\xc3\xa9\xed\xa0\x80\xf4\x90\x80\x80\xc2\x9b\xc0\x80", 14));
    json_str(&j, "none", NULL);
    json_int(&j, "least", INT64_MIN);
    json_double(&j, "nan", NAN, 2);
    json_array(&j, "list");
    json_bool(&j, NULL, true);
    json_double(&j, NULL, 1.005, 1);
    json_end_array(&j);
    json_end_object(&j);
    static const char fffd[] = "\xef\xbf\xbd";
    char want[1024];
    snprintf(want, sizeof want,
             "{\"plain\":\"a\\\"b\\\\c\\n\\u0001\\u007f\",\"bytes\":\"%s\xc3\xa9%s%s%s%s%s%s%s\\u009b%s%s\","
             "\"none\":null,"
             "\"least\":-9223372036854775808,\"nan\":null,\"list\":[true,1.0]}",
             fffd, fffd, fffd, fffd, fffd, fffd, fffd, fffd, fffd, fffd);
    assert_string_equal((buf_append(&b, "", 1), (char *)buf_span(&b).data), want);
    buf_free(&b);
}

static void base64_round_trips(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"user:p\xc3\xa9", "dXNlcjpww6k="}};
    char out[64];
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        assert_int_equal(base64_encode(span_str(pairs[i][0]), out, sizeof out), 0);
        assert_string_equal(out, pairs[i][1]);
        assert_int_equal(base64_decode(span_str(pairs[i][1]), out, sizeof out), strlen(pairs[i][0]));
        assert_string_equal(out, pairs[i][0]);
    }
    static const char *const bad[] = {"Z", "Zg", "Zg=", "Z===", "Zm9v\n", "Zm*v", "====", "Zg==Zg=="};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(base64_decode(span_str(bad[i]), out, sizeof out), -1);
    assert_int_equal(base64_decode(span_str("Zm9v"), out, 3), -1);
    assert_int_equal(base64_decode(span_str("Zm9v"), out, 4), 3);
    assert_int_equal(base64_decode(span_str("Zm8="), out, 2), -1);
    assert_int_equal(base64_encode(span_str("foo"), out, 4), -1);
}

/* "FDSize:" of /proc/self/status: how many the kernel has room for. */
static unsigned long room_for_descriptors(void)
{
    char line[256];
    unsigned long room = 0;
    FILE *f = fopen("/proc/self/status", "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f))
        if (strncmp(line, "FDSize:", 7) == 0)
            room = strtoul(line + 7, NULL, 10);
    fclose(f);
    return room;
}

static void descriptors_have_room(void **state)
{
    (void)state;
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    unsigned long wanted = limit.rlim_cur < 2000 ? limit.rlim_cur : 2000;
    assert_true(room_for_descriptors() < wanted);
    int before = dup(0);
    descriptors_reserve(2000);
    assert_true(room_for_descriptors() >= wanted);
    int after = dup(0);
    assert_int_equal(after, before + 1); /* none is left open */
    close(before);
    close(after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_keeps_its_budget),  cmocka_unit_test(descriptors_have_room),
        cmocka_unit_test(buf_moves_and_refuses),   cmocka_unit_test(err_keeps_the_first),
        cmocka_unit_test(json_escapes_everything), cmocka_unit_test(base64_round_trips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
