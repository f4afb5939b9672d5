/* sigma_read_test.c: what is no rule is refused with its place, and what stands beside it loads; conditions, dates, logsources. */
#include "sigma_run.h"

#include "base/buf.h"
#include "rules/condition.h"
#include "rules/date.h"
#include "rules/logsource.h"

#define TOP "title: t\nlogsource: {category: proxy}\n"
#define GOOD                                                                                                 \
    "---\ntitle: t\nid: good\nlogsource: {category: proxy}\ndetection:\n  s: {f: 1}\n  condition: s\n"

/* `rules` is refused with exactly this, and the good rule after it loads. */
static void expect_rejected(const char *rules, const char *why)
{
    struct sigma_run r = {0};
    char text[4096];
    snprintf(text, sizeof text, "%s\n" GOOD, rules);
    run_start(&r, text);
    size_t len = strlen(r.rejected);
    if (len == 0 || strncmp(r.rejected, why, strlen(why)) != 0 ||
        strchr(r.rejected, '\n') != r.rejected + len - 1)
        fail_msg("%s\ngives %sinstead of %s", rules, r.rejected, why);
    assert_string_equal(run_event(&r, "f=1", 0), "good");
    run_end(&r);
}

static void test_documents(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {TOP "detection: {s: {a: 1}, condition: s}\nlevle: low",
         "4:1 unknown key \"levle\": did you mean \"level\"?"},
        {"logsource: {category: x}\ndetection: {s: {a: 1}, condition: s}", "1:1 the rule lacks a title"},
        {"title: t\ndetection: {s: {a: 1}, condition: s}", "1:1 the rule lacks logsource"},
        {"title: t\nlogsource: {}\ndetection: {s: {a: 1}, condition: s}",
         "2:1 the logsource has no category"},
        {"title: t\nlogsource: {kind: x}\ndetection: {s: {a: 1}, condition: s}", "2:13 unknown key \"kind\""},
        {"title: t\nlogsource: {category: x}", "1:1 a document has one of detection, filter and correlation"},
        {TOP "level: bad\ndetection: {s: {a: 1}, condition: s}",
         "3:8 informational, low, medium, high or critical is"},
        {TOP "status: new\ndetection: {s: {a: 1}, condition: s}", "3:9 stable, test,"},
        {TOP "date: yesterday\ndetection: {s: {a: 1}, condition: s}", "3:7 a date is expected here"},
        {TOP "related: [{id: 1, type: cousin}]\ndetection: {s: {a: 1}, condition: s}",
         "3:25 derived, obsolete"},
        {TOP "title: again\ndetection: {s: {a: 1}, condition: s}", "3:1 \"title\" is given twice"},
        {TOP "detection: {s: {a: 1}}", "3:1 the condition is missing"},
        {TOP "detection: {condition: s}", "3:1 there is no detection in it"},
        {TOP "detection: {s: {a: 1}, condition: s, timeframe: 5m}", "3:38 timeframe is not supported"},
        {TOP "detection: [a]", "3:12 a mapping (key: value) is expected here, not a list"},
        {TOP "detection: {s: , condition: s}", "3:"},
        {"action: global\ntitle: t", "1:1 collections with \"action\" are not supported"},
        {"title: &a t\n", "1:8 anchors and aliases"},
        {"title: 'open\n", "3:1 found unexpected end of stream"},
        {"- a", "1:1 a mapping (key: value) is expected here"},
        {"generate: true\n" TOP "detection: {s: {a: 1}, condition: s}",
         "1:1 only a correlation has generate"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect_rejected(cases[i][0], cases[i][1]);
}

/* Items stand at 4:5, their values further on. */
static void test_items(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"f|contians: a", "5:5 unknown modifier \"contians\": did you mean \"contains\"?"},
        {"f|contains|contains: a", "5:5 the modifier contains is given twice"},
        {"f|contains|startswith: a", "5:5 the modifiers contains and startswith don't go together"},
        {"f|re|contains: a", "5:5 the modifiers re and contains don't go together"},
        {"f|i: a", "5:5 the modifier i comes after re"},
        {"f|cidr|re: a", "5:5 the modifiers cidr and re don't"},
        {"f|gt|lt: 1", "5:5 the modifiers gt and lt don't"},
        {"f|hour|day: 1", "5:5 the modifiers hour and day don't"},
        {"f|exists|neq: true", "5:5 the modifier exists stands alone"},
        {"f|exists: yes", "5:15 true or false is expected here"},
        {"f|exists: [true]", "5:16 exists takes true or false, not a list"},
        {"f|all: a", "5:5 the modifier all needs a list of several values"},
        {"f|all: [a]", "5:12 the modifier all needs a list"},
        {"f|gt: ten", "5:11 a number is expected here"},
        {"f|gt: '10'", "5:11 a number is expected here"},
        {"f|hour: x", "5:13 a number is expected here"},
        {"f|cidr: 10.0.0.1/8", "5:13 \"10.0.0.1/8\" is no network"},
        {"f|cidr: nonsense", "5:13 \"nonsense\" is no network"},
        {"f|re: ''", "5:11 an empty regular expression"},
        {"f|base64: a*", "5:15 a text with wildcards can't be encoded"},
        {"f|base64offset: a", "5:21 too short for base64offset"},
        {"f|windash|base64: '-a -b -c -d -e'", "5:23 more than four dashes"},
        {"f|expand: '%x%'", "5:15 the placeholder %x% has no value"},
        {"f: [a, null]", "5:12 null can't be part of a list"},
        {"f|contains: null", "5:17 null doesn't go with modifiers"},
        {"f: []", "5:8 an empty list matches nothing"},
        {"f: {a: b}", "5:8 a single value is expected here, not a mapping"},
        {"f: [[a]]", "5:9 a single value is expected here, not a list"},
        {"'|gt': 1", "5:5 this modifier needs a field's name"},
        {"'|fieldref': g", "5:5 this modifier needs a field's name"},
        {"f|fieldref: ''", "5:17 a field's name is expected here"},
        {"f|: a", "5:5 unknown modifier \"\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char rules[512];
        snprintf(rules, sizeof rules, TOP "detection:\n  s:\n    %s\n  condition: s", cases[i][0]);
        expect_rejected(rules, cases[i][1]);
    }
}

static void test_conditions(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"s and", "5:19 the condition ends where a detection's name is expected"},
        {"s and other", "5:20 there is no detection \"other\""},
        {"(s or t", "5:21 a parenthesis is not closed"},
        {"s t", "5:16 \"and\" or \"or\" is expected here, not \"t\""},
        {"s)", "5:15 \"and\" or \"or\" is expected here"},
        {"and s", "5:14 a detection's name is expected here, not \"and\""},
        {"2 of them", "5:14 only \"1 of\", \"any of\" and \"all of\" are known"},
        {"1 of x*", "5:19 no detection answers to \"x*\""},
        {"s*", "5:14 a pattern needs \"1 of\" or \"all of\""},
        {"1 of", "5:18 after \"of\" comes"},
        {"s | count() > 5", "5:16 aggregations (|) are not supported"},
        {"\"s and other\"", "5:21 there is no detection"},
        {"[s, nothing]", "5:18 there is no detection"},
        {"[]", "5:14 from 1 to 64 conditions"},
        {"{a: b}", "5:14 a single value is expected"},
        {"''", "5:14 an empty condition"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char rules[512];
        snprintf(
            rules, sizeof rules,
            "title: t\nlogsource: {category: proxy}\ndetection:\n  s: {a: 1}\n  condition: %s\n  t: {b: 1}",
            cases[i][0]);
        expect_rejected(rules, cases[i][1]);
    }
}

static void test_deep_conditions(void **state)
{
    (void)state;
    char text[1024];
    struct arena a;
    struct condition_fault fault = {0};
    struct atom atom = {.kind = ATOM_NULL, .field = "f"};
    struct expr e = {.kind = EXPR_ATOM, .atom = &atom};
    struct detection one = {"s", &e};
    arena_init(&a, 1024 * 1024);
    for (int depth = 60; depth < 70; depth += 9) {
        memset(text, '(', (size_t)depth);
        text[depth] = 's';
        memset(text + depth + 1, ')', (size_t)depth);
        text[2 * depth + 1] = '\0';
        assert_int_equal(condition_parse(&a, text, &one, 1, &fault) != NULL, depth < CONDITION_DEPTH_MAX);
    }
    assert_string_equal(fault.text, "nested deeper than 64");
    arena_reset(&a);
}

#define CORRELATION "title: k\ncorrelation:\n"
static void test_correlations(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {CORRELATION "  type: event_sum", "3:9 event_count, value_count, temporal or temporal_ordered"},
        {CORRELATION "  type: value_sum", "3:9 correlations of type value_sum are not supported"},
        {CORRELATION "  rules: [good]", "2:1 the correlation lacks type"},
        {CORRELATION "  type: event_count\n  timespan: 1m\n  condition: {gt: 1}",
         "2:1 the correlation lacks rules"},
        {CORRELATION "  type: event_count\n  rules: [good]\n  condition: {gt: 1}",
         "2:1 the correlation lacks timespan"},
        {CORRELATION "  type: event_count\n  rules: [good]\n  timespan: 1m",
         "2:1 the correlation lacks condition"},
        {CORRELATION "  type: value_count\n  rules: [good]\n  timespan: 1m\n  condition: {gt: 1}",
         "2:1 the correlation lacks field"},
        {CORRELATION "  type: event_count\n  rules: [good]\n  timespan: 1 hour\n  condition: {gt: 1}",
         "5:13 a number and s, m, h or d"},
        {CORRELATION "  type: event_count\n  rules: [good]\n  timespan: 99d\n  condition: {gt: 1}",
         "5:13 a timespan from 1s to 30d"},
        {CORRELATION "  type: event_count\n  rules: [good]\n  timespan: 1m\n  condition: {gt: 5, lt: 6}",
         "6:14 no number lies within"},
        {CORRELATION "  type: event_count\n  rules: [good]\n  timespan: 1m\n  condition: {over: 5}",
         "6:15 unknown key \"over\""},
        {CORRELATION "  type: event_count\n  rules: [good]\n  timespan: 1m\n  condition: {field: x, gt: 5}",
         "6:15 only value_count takes a field"},
        {CORRELATION "  type: event_count\n  rules: [none]\n  timespan: 1m\n  condition: {gt: 5}",
         "4:11 there is no rule \"none\""},
        {CORRELATION "  type: temporal\n  rules: [good]\n  timespan: 1m",
         "4:10 a temporal correlation needs two rules"},
        {"name: me\n" CORRELATION "  type: temporal\n  rules: [good, me]\n  timespan: 1m",
         "5:17 this correlation counts itself"},
        {CORRELATION "  type: event_count\n  rules: [good]\n  timespan: 1m\n  condition: {gt: 5}\n  aliases: "
                     "{x: {other: y}}",
         "7:17 \"other\" is none of"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct sigma_run r = {0};
        char text[2048];
        snprintf(text, sizeof text, "%s\n" GOOD, cases[i][0]);
        run_start(&r, text);
        if (strncmp(r.rejected, cases[i][1], strlen(cases[i][1])) != 0 || !r.rejected[0])
            fail_msg("%s\ngives %sinstead of %s", cases[i][0], r.rejected, cases[i][1]);
        run_end(&r);
    }
}

static void test_names_are_unique(void **state)
{
    (void)state;
    struct sigma_run r = {0};
    run_start(&r, GOOD GOOD);
    assert_string_equal(r.rejected, "9:1 the id good belongs to the rule in test.yml, line 2, already\n");
    run_end(&r);
}

static void test_cutting_files(void **state)
{
    (void)state;
    struct sigma_run r = {0};
    run_start(&r, "# nothing yet\n%YAML 1.1\n" GOOD
                  "...\n# between\n---\n---\n# empty\n---\r\ntitle: b\nid: '--- b'\n"
                  "logsource: {category: proxy}\ndetection:\n  s:\n    f: |\n      ---\n  condition: s\n--- "
                  "{title: x}\n");
    assert_string_equal(r.rejected, "24:6 a document has one of detection, filter and correlation\n");
    assert_string_equal(run_event(&r, "f=1", 0), "good");
    assert_string_equal(run_event(&r, "f=---\n", 0), "--- b");
    run_end(&r);
    run_start(&r, "");
    assert_true(!r.first && !r.rejected[0]);
    run_end(&r);
}

/* Parts multiply: a condition written out may be larger than its text by far. */
static void test_too_large(void **state)
{
    (void)state;
    struct buf b;
    struct sigma_run r = {0};
    buf_init(&b, 1024 * 1024);
    buf_append_str(&b, "title: big\nlogsource: {category: proxy}\ndetection:\n  s:\n    f:\n");
    for (int i = 0; i < 2000; i++)
        buf_printf(&b, "    - v%d\n", i);
    buf_append_str(&b, "  condition: s");
    for (int i = 0; i < 50; i++)
        buf_append_str(&b, " and s");
    buf_append_str(&b, "\n" GOOD);
    buf_append(&b, "", 1);
    run_start(&r, (const char *)buf_span(&b).data);
    assert_string_equal(r.rejected, "1:1 larger than 65536 parts once its condition is written out\n");
    assert_string_equal(run_event(&r, "f=1", 0), "good");
    run_end(&r);
    buf_free(&b);
}

static void test_dates(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t epoch_ms;
    } good[] = {{"1970-01-01", 0},
                {"1970-01-01T00:00:01.5Z", 1500},
                {"1970-01-01 01:00:00+01:00", 0},
                {"1969-12-31T23:59:59Z", -1000},
                {"2000-02-29T12:00:00.123456Z", 951825600123},
                {"2026-11-21T06:32:00", 1795242720000},
                {"951825600", 951825600000},
                {"951825600.25", 951825600250},
                {"951825600123", 951825600123}};
    static const char *const bad[] = {"",
                                      "x",
                                      "2026-13-01",
                                      "2026-02-30",
                                      "2026-1-1",
                                      "2026-01-01T25:00",
                                      "2026-01-01T",
                                      "2026-01-01T10:00+",
                                      "-5",
                                      "1e300",
                                      "2026-01-01 10:00:00 PM"};
    struct date d;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_true(date_parse(span_str(good[i].text), &d));
        if (d.epoch_ms != good[i].epoch_ms)
            fail_msg("%s: %lld", good[i].text, (long long)d.epoch_ms);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (date_parse(span_str(bad[i]), &d))
            fail_msg("%s", bad[i]);
}

static void expect_phase(const char *logsource, const char *detection, const char *phase)
{
    struct sigma_run r = {0};
    struct err err = {0};
    char rules[1024];
    snprintf(rules, sizeof rules, "title: t\nlogsource: {%s}\ndetection:\n%s", logsource, detection);
    run_start(&r, rules);
    assert_string_equal(r.rejected, "");
    struct logsource *tables = logsource_read_all(&r.arena, &err);
    assert_string_equal(err.text, "");
    const char *got = err.text;
    if (logsource_check(tables, r.first, &err) == 0)
        got = logsource_phase_name(
            logsource_phase(logsource_find(tables, &r.first->logsource), r.set->rules[0].expr));
    if (strcmp(got, phase) != 0)
        fail_msg("%s: %s", detection, got);
    run_end(&r);
}

static void test_phases(void **state)
{
    (void)state;
    expect_phase("category: proxy", "  s: {cs-host: x}\n  condition: s\n", "connect");
    expect_phase("category: proxy", "  s: {cs-host: x}\n  condition: not s\n",
                 "request"); /* waits for SNI and Host */
    expect_phase("category: proxy", "  s: {c-uri: x}\n  condition: s\n", "request");
    expect_phase("category: proxy", "  s: {cs-host: x, ja4: y}\n  condition: s\n", "hello");
    expect_phase("category: proxy", "  s: [{cs-host: x}, {ja4: y}]\n  condition: s\n", "connect");
    expect_phase("category: proxy", "  s: {sc-status: 200}\n  condition: s\n", "response");
    expect_phase("category: proxy", "  s: {cs-bytes|gte: 5}\n  condition: s\n", "relay");
    expect_phase("category: proxy", "  s: {cs-bytes|gte: 5}\n  condition: not s\n", "close");
    expect_phase("category: proxy", "  s: {cs-bytes: 5}\n  condition: s\n", "close");
    expect_phase("category: proxy", "  s: [word]\n  condition: s\n", "accept");
    expect_phase("category: network_connection, product: windows",
                 "  s: {Image: x, DestinationIp|cidr: 10.0.0.0/8}\n  condition: s\n", "address");
    expect_phase("product: zeek, service: ssl", "  s: {server_name: x}\n  condition: s\n", "hello");
    expect_phase("product: zeek, service: x509", "  s: {certificate.issuer: x}\n  condition: s\n", "chain");
    expect_phase("category: proxy", "  s: {cs-hots: x}\n  condition: s\n",
                 "no fact answers to the field \"cs-hots\" of this logsource: did you mean \"cs-host\"?");
    expect_phase("category: registry_set", "  s: {a: x}\n  condition: s\n",
                 "no table says which facts answer to this logsource (category registry_set)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_documents),     cmocka_unit_test(test_items),
        cmocka_unit_test(test_conditions),    cmocka_unit_test(test_deep_conditions),
        cmocka_unit_test(test_correlations),  cmocka_unit_test(test_names_are_unique),
        cmocka_unit_test(test_cutting_files), cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_dates),         cmocka_unit_test(test_phases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
