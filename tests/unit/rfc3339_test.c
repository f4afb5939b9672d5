/* rfc3339_test.c: times as text, against the C library's calendar. */
#include "base/must.h"
#include "base/rfc3339.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>
#include <cmocka.h>

static void test_parse(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t time_s;
    } cases[] = {{"1970-01-01T00:00:00Z", 0},
                 {"1969-12-31T23:59:59Z", -1},
                 {"2026-03-15T12:00:00Z", 1773576000},
                 {"2026-03-15t12:00:00z", 1773576000},
                 {"2026-03-15 12:00:00Z", 1773576000},
                 {"2026-03-15T14:00:00+02:00", 1773576000},
                 {"2026-03-15T11:30:00-00:30", 1773576000},
                 {"2026-03-15T12:00:00.999Z", 1773576000},
                 {"2016-12-31T23:59:60Z", 1483228799},
                 {"0000-01-01T00:00:00Z", -62167219200},
                 {"9999-12-31T23:59:59Z", 253402300799}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t got = 0;
        assert_true(rfc3339_parse(span_str(cases[i].text), &got));
        assert_int_equal(got, cases[i].time_s);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "2026",
                                      "2026-03-15",
                                      "2026-03-15T12:00:00",
                                      "2026-3-15T12:00:00Z",
                                      "2026-02-29T00:00:00Z",
                                      "2026-13-01T00:00:00Z",
                                      "2026-00-01T00:00:00Z",
                                      "2026-01-00T00:00:00Z",
                                      "2026-04-31T00:00:00Z",
                                      "1900-02-29T00:00:00Z",
                                      "2026-01-01T24:00:00Z",
                                      "2026-01-01T00:60:00Z",
                                      "2026-01-01T00:00:61Z",
                                      "2026-01-01T00:00:00.Z",
                                      "2026-01-01T00:00:00+1:00",
                                      "2026-01-01T00:00:00+24:00",
                                      "2026-01-01T00:00:00Zx",
                                      " 2026-01-01T00:00:00Z",
                                      "+026-01-01T00:00:00Z"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        int64_t got = 7;
        assert_false(rfc3339_parse(span_str(bad[i]), &got));
        assert_int_equal(got, 7);
    }
}

/* Each day of 800 years, and back. */
static void test_round(void **state)
{
    (void)state;
    for (int64_t day = -200000; day < 100000; day++) {
        int64_t time_s = day * 86400 + ((day * 7919) % 86400 + 86400) % 86400, got = 0;
        time_t t = (time_t)time_s;
        struct tm tm;
        char ours[RFC3339_TEXT_BYTES], theirs[32];
        assert_non_null(gmtime_r(&t, &tm));
        assert_true(strftime(theirs, sizeof theirs, "%Y-%m-%dT%H:%M:%SZ", &tm) > 0);
        assert_string_equal(rfc3339_format(time_s, ours), theirs);
        assert_true(rfc3339_parse(span_str(ours), &got));
        assert_int_equal(got, time_s);
    }
    char text[RFC3339_TEXT_BYTES];
    assert_string_equal(rfc3339_format(INT64_MAX, text), "9999-12-31T23:59:59Z");
    assert_string_equal(rfc3339_format(INT64_MIN, text), "0000-01-01T00:00:00Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parse), cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_round)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
