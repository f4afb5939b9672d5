/* pin_test.c: what becomes of a program that doesn't accept the inspection CA: bytes and back, an entry for the baseline or the reason why
 * not; and what an entry that merely adds decides. */
#include "rules/pin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
/* after these: */
#include <cmocka.h>

enum { NOW_S = 1800000000 };

static const char senders[] = "version: 1\n"
                              "mode: enforce\n"
                              "senders:\n";
static const char vendor[] = "  - name: vendor\n"
                             "    match: {package: vendor}\n"
                             "    handling: terminate\n"
                             "    allow: [{domain: example.com}]\n";

static struct pin make_pin(void)
{
    return (struct pin){.sender = "package vendor /opt/vendor/up",
                        .executable = "/opt/vendor/up",
                        .package = "vendor",
                        .sha256 = "",
                        .host = "api.example.com",
                        .why = "unknown_ca",
                        .port = 443,
                        .alerts = PIN_ALERTS};
}

static struct baseline *parse(const char *first, const char *second)
{
    char text[4096];
    struct err err = {0};
    snprintf(text, sizeof text, "%s%s%s", senders, first, second);
    struct baseline *b = baseline_parse(span_str(text), "baseline.yaml", &err);
    if (!b)
        fail_msg("%u: %s\n%s", err.line, err.text, text);
    return b;
}

/* The proposal's text; the caller frees it. */
static char *propose(const struct pin *p, int64_t last_s, struct proposal_stats *stats)
{
    struct err err = {0};
    struct buf out;
    struct baseline *b = parse(vendor, "");
    struct destinations *kinds = destinations_new(&err);
    const struct proposal_options options = {.min_hosts = 9, .min_count = 9, .baseline = b, .kinds = kinds};
    const struct pin_seen seen = {last_s - 100, last_s, 2};
    *stats = (struct proposal_stats){0};
    buf_init(&out, 1 << 16);
    assert_int_equal(pin_propose(&out, p, &seen, &options, NOW_S, stats), 0);
    const char *said = (const char *)buf_span(&out).data;
    char *text = said ? strndup(said, buf_len(&out)) : strdup("");
    assert_non_null(text);
    buf_free(&out);
    baseline_free(b);
    destinations_free(kinds);
    return text;
}

static void expect_objection(const struct pin *p, const char *why)
{
    struct proposal_stats stats;
    char *text = propose(p, NOW_S, &stats);
    assert_int_equal(stats.entries, 0);
    assert_int_equal(stats.left_out, 1);
    if (!strstr(text, why))
        fail_msg("%s", text);
    free(text);
}

static void bytes_and_back(void **state)
{
    (void)state;
    struct pin p = make_pin(), back;
    struct buf out;
    buf_init(&out, PIN_STATE_MAX_BYTES);
    p.closes = 7;
    assert_int_equal(pin_write(&out, &p), 0);
    assert_int_equal(pin_read(buf_span(&out), &back), PARSE_OK);
    assert_string_equal(back.host, p.host);
    assert_int_equal(back.closes, 7);
    assert_int_equal(back.port, 443);
    assert_false(back.writable);
    assert_int_equal(pin_read(span_of(buf_span(&out).data, buf_len(&out) - 1), &back), PARSE_BAD);
    buf_free(&out);
    static const char *const bad[] = {"", "[]", "{}", "{\"executable\":\"/x\",\"host\":\"h\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(pin_read(span_str(bad[i]), &back), PARSE_BAD);
}

static void decide(const struct baseline *b, const char *host, struct verdict *ret)
{
    struct sender_view s = {
        .confidence = AGENT_CONFIDENCE_EXACT, .executable = "/opt/vendor/up", .package = "vendor"};
    struct host h;
    assert_int_equal(host_canonical_bare(span_str(host), &h), HOST_OK);
    struct baseline_question q = {.sender = &s, .host = &h, .port = 443, .phase = BASELINE_CONNECT};
    baseline_decide(b, &q, ret);
}

static void an_entry_that_changes_one_host(void **state)
{
    (void)state;
    struct proposal_stats stats;
    struct pin p = make_pin();
    struct verdict v;
    char *text = propose(&p, NOW_S - 100, &stats);
    assert_int_equal(stats.entries, 1);
    struct baseline *b = parse(text, vendor);
    decide(b, "api.example.com", &v);
    assert_string_equal(v.entry, "pin package vendor /opt/vendor/up -> api.example.com");
    assert_int_equal(v.handling, HANDLING_PEEK);
    assert_int_equal(v.reason, REASON_NONE);
    decide(b, "www.example.com", &v);
    assert_string_equal(v.entry, "vendor");
    assert_int_equal(v.handling, HANDLING_TERMINATE);
    decide(b, "example.net", &v);
    assert_int_equal(v.reason, REASON_BASELINE_DESTINATION);
    baseline_free(b);
    free(text);
}

static void nothing_to_say(void **state)
{
    (void)state;
    struct proposal_stats stats;
    struct pin p = make_pin();
    p.alerts = PIN_ALERTS - 1;
    p.closes = PIN_CLOSES - 1;
    char *text = propose(&p, NOW_S, &stats); /* not often enough */
    assert_string_equal(text, "");
    free(text);
    p = make_pin();
    text = propose(&p, NOW_S - PIN_LIFE_S, &stats); /* too long ago */
    assert_string_equal(text, "");
    free(text);
}

static void never(void **state)
{
    (void)state;
    struct pin p = make_pin();
    snprintf(p.host, sizeof p.host, "elsewhere.example.net");
    expect_objection(&p, "the baseline does not let it out there");
    p = make_pin();
    snprintf(p.executable, sizeof p.executable, "/usr/bin/python3.11");
    expect_objection(&p, "an interpreter");
    p = make_pin();
    snprintf(p.executable, sizeof p.executable, "/usr/bin/curl");
    expect_objection(&p, "a transfer tool");
    p = make_pin();
    p.writable = true;
    expect_objection(&p, "its user can write the file");
    p = make_pin();
    snprintf(p.sender, sizeof p.sender, "package vendor\n  - name: evil");
    expect_objection(&p, "cannot be printed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_and_back),
        cmocka_unit_test(an_entry_that_changes_one_host),
        cmocka_unit_test(nothing_to_say),
        cmocka_unit_test(never),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
