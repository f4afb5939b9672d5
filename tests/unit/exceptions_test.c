/* exceptions_test: what the baseline puts up with for a while: how long at most, when it holds, and what becomes of it afterwards. */
#include "rules/baseline.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

enum { T = 1795000000, DAY = 86400 }; /* 2026-11-18T11:06:40Z */

static struct baseline *parse(const char *exception, struct err *err)
{
    char text[2048];
    snprintf(text, sizeof text,
             "version: 1\nmode: enforce\nsenders:\n"
             "  - name: for now\n    owner: alice\n    exception: %s\n    match: {executable: /opt/tool}\n"
             "    allow: [{host: x.example, ports: [443]}]\n"
             "  - name: tool\n    match: {executable: /opt/tool}\n    allow: [{host: y.example}]\n",
             exception);
    return baseline_parse(span_str(text), "b.yaml", err);
}

static const char good[] =
    "{ticket: T-1, reason: why, granted: \"2026-11-18T11:06:40Z\", expires: \"2026-11-25T11:06:40Z\"}";

static void lasts_ninety_days_at_most(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
        unsigned column;
    } bad[] = {
        {"{ticket: T-1, reason: why, granted: 2026-01-01, expires: 2026-04-02}",
         "90 days at most: until 2026-04-01", 73},
        {"{ticket: T-1, reason: why, granted: 2026-01-02, expires: 2026-01-01}", "before it begins", 73},
        {"{ticket: T-1, reason: why, granted: 2026-01-02, expires: soon}", "a day as", 73},
        {"{ticket: T-1, reason: why, granted: 2026-01-02}", "expires is missing", 16},
        {"{reason: why, granted: 2026-01-02, expires: 2026-01-03}", "ticket is missing", 16},
        {"{ticket: T-1, granted: 2026-01-02, expires: 2026-01-03}", "reason is missing", 16},
        {"{ticket: T-1, reason: why, expires: 2026-01-03}", "granted is missing", 16},
        {"{ticket: T-1, reason: why, granted: 2026-01-02, expires: 2026-01-03, for: ever}", "for", 0},
        {"forever", "mapping", 16},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err err = {0};
        struct baseline *b = parse(bad[i].text, &err);
        if (b || err.line != 6 || (bad[i].column && err.column != bad[i].column) ||
            !strstr(err.text, bad[i].why))
            fail_msg("%s: %u:%u: %s", bad[i].text, err.line, err.column, err.text);
    }
    struct err err = {0};
    struct baseline *b = parse("{ticket: T-1, reason: why, granted: 2026-01-01, expires: 2026-04-01}", &err);
    assert_non_null(b);
    baseline_free(b);
    static const char nobody[] =
        "version: 1\nsenders:\n  - name: a\n    exception: {ticket: T, reason: r, granted: 2026-01-01, "
        "expires: 2026-01-02}\n    match: {executable: /opt/a}\n    allow: [{host: a.example}]\n";
    assert_null(baseline_parse(span_str(nobody), "b.yaml", &err));
    assert_non_null(strstr(err.text, "owner"));
}

static struct verdict decide(const struct baseline *b, const char *executable, const char *host,
                             int64_t now_s)
{
    struct sender_view s = {.confidence = AGENT_CONFIDENCE_EXACT, .executable = executable};
    struct host h;
    struct verdict v;
    assert_int_equal(host_canonical_bare(span_str(host), &h), HOST_OK);
    struct baseline_question q = {.sender = &s, .host = &h, .port = 443, .now_s = now_s};
    baseline_decide(b, &q, &v);
    return v;
}

static void holds_between_its_times(void **state)
{
    (void)state;
    struct err err = {0};
    struct baseline *b = parse(good, &err);
    assert_non_null(b);
    struct verdict v = decide(b, "/opt/tool", "x.example", T);
    assert_int_equal(v.action, VERDICT_ALLOW);
    assert_string_equal(v.entry, "for now");
    assert_string_equal(v.ticket, "T-1");
    assert_int_equal(v.expires_s, T + 7 * DAY);
    v = decide(b, "/opt/tool", "x.example", T + 7 * DAY - 1);
    assert_int_equal(v.action, VERDICT_ALLOW);

    /* what it doesn't let out goes on behind it */
    v = decide(b, "/opt/tool", "y.example", T);
    assert_int_equal(v.action, VERDICT_ALLOW);
    assert_string_equal(v.entry, "tool");
    assert_null(v.ticket);
    assert_int_equal(v.expires_s, 0);

    v = decide(b, "/opt/tool", "x.example", T + 7 * DAY);
    assert_int_equal(v.action, VERDICT_BLOCK);
    assert_int_equal(v.reason, REASON_EXCEPTION_EXPIRED);
    assert_string_equal(v.entry, "for now");
    assert_string_equal(v.ticket, "T-1");
    v = decide(b, "/opt/tool", "y.example", T + 7 * DAY);
    assert_int_equal(v.action, VERDICT_ALLOW);

    /* not begun, another host, another program: nothing that has expired */
    assert_int_equal(decide(b, "/opt/tool", "x.example", T - 1).reason, REASON_BASELINE_DESTINATION);
    assert_int_equal(decide(b, "/opt/tool", "x.example", 0).reason, REASON_BASELINE_DESTINATION);
    assert_int_equal(decide(b, "/opt/tool", "z.example", T + 8 * DAY).reason, REASON_BASELINE_DESTINATION);
    assert_int_equal(decide(b, "/opt/other", "x.example", T + 8 * DAY).reason, REASON_BASELINE_SENDER);
    baseline_free(b);
}

static void says_when_something_changes(void **state)
{
    (void)state;
    struct err err = {0};
    struct baseline *b = parse(good, &err);
    struct baseline_exception e;
    size_t cursor = 0;
    assert_int_equal(baseline_next_change(b, 0), T);
    assert_int_equal(baseline_next_change(b, T - 1), T);
    assert_int_equal(baseline_next_change(b, T), T + 7 * DAY);
    assert_int_equal(baseline_next_change(b, T + 7 * DAY), INT64_MAX);
    assert_true(baseline_next_exception(b, &cursor, &e));
    assert_string_equal(e.name, "for now");
    assert_string_equal(e.owner, "alice");
    assert_string_equal(e.reason, "why");
    assert_int_equal(e.line, 4);
    assert_false(baseline_next_exception(b, &cursor, &e));
    baseline_free(b);
}

/* An exception may be for less than all that is known of a sender, but never for who isn't known. */
static void wants_an_exact_sender(void **state)
{
    (void)state;
    struct err err = {0};
    struct baseline *b = parse(good, &err);
    struct host h;
    assert_int_equal(host_canonical_bare(span_str("x.example"), &h), HOST_OK);
    for (enum agent_confidence c = 0; c < AGENT_CONFIDENCE_COUNT; c++) {
        struct sender_view s = {.confidence = c, .executable = "/opt/tool"};
        struct baseline_question q = {.sender = &s, .host = &h, .port = 443, .now_s = T};
        struct verdict v;
        baseline_decide(b, &q, &v);
        assert_int_equal(v.action, c == AGENT_CONFIDENCE_EXACT ? VERDICT_ALLOW : VERDICT_BLOCK);
        s.borrowed = 1;
        baseline_decide(b, &q, &v);
        assert_int_equal(v.action, VERDICT_BLOCK);
        s.borrowed = 0;
        s.writable_by_user = true;
        baseline_decide(b, &q, &v);
        assert_int_equal(v.action, VERDICT_BLOCK);
    }
    baseline_free(b);
}

/* ---- certificates of the house's own ---- */

#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct baseline *parse_pki(const char *entry, struct err *err)
{
    char text[1024];
    snprintf(text, sizeof text, "version: 1\npki:\n  - %s\nsenders: []\n", entry);
    return baseline_parse(span_str(text), "b.yaml", err);
}

static void knows_certificates_in_their_scope(void **state)
{
    (void)state;
    static const struct {
        const char *host, *hash;
        int64_t now_s;
        uint16_t port;
        bool known;
    } cases[] = {
        {"a.corp.example", HASH, T, 443, true},
        {"corp.example", HASH, T, 8443, true},
        {"slack.com", HASH, T, 443, true},
        {"slack.com", HASH, T, 444, false},
        {"notcorp.example", HASH, T, 443, false},
        {"a.corp.example", "00" HASH, T, 443, false},
        {"a.corp.example", HASH, T + DAY, 443, false},
        {"a.corp.example", HASH, T + DAY - 1, 443, true},
        {"192.0.2.1", HASH, T, 443, false},
    };
    struct err err = {0};
    struct baseline *b =
        parse_pki("{name: office, owner: it, purpose: inside, sha256: " HASH
                  ", certificate: office.pem, expires: \"2026-11-19T11:06:40Z\", "
                  "destinations: [{domain: corp.example}, {domain: slack.com, ports: [443]}]}",
                  &err);
    if (!b)
        fail_msg("%u:%u: %s", err.line, err.column, err.text);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct host h;
        assert_int_equal(host_canonical_bare(span_str(cases[i].host), &h), HOST_OK);
        if (!!baseline_find_pki(b, cases[i].hash, &h, cases[i].port, cases[i].now_s) != cases[i].known)
            fail_msg("case %zu", i);
    }
    struct baseline_pki p;
    struct baseline_exception e;
    size_t cursor = 0;
    assert_true(baseline_next_pki(b, &cursor, &p));
    assert_string_equal(p.certificate, "office.pem");
    assert_false(baseline_next_pki(b, &cursor, &p));
    cursor = 0;
    assert_true(baseline_next_exception(b, &cursor, &e));
    assert_null(e.ticket);
    assert_int_equal(e.expires_s, T + DAY);
    assert_int_equal(baseline_next_change(b, T), T + DAY);
    baseline_free(b);
}

static void wants_certificates_to_have_scope_and_end(void **state)
{
    (void)state;
    static const char start[] = "{name: a, owner: b, purpose: c";
    static const struct {
        const char *rest, *why;
    } bad[] = {
        {"}", "sha256 is missing"},
        {", sha256: 12, expires: 2027-01-01, destinations: [{any: true}]}", "64 lower-case"},
        {", sha256: " HASH ", destinations: [{any: true}]}", "expires is missing"},
        {", sha256: " HASH ", expires: 2027-01-01}", "destinations is missing"},
        {", sha256: " HASH ", expires: never, destinations: [{any: true}]}", "a day as"},
        {", sha256: " HASH ", expires: 2027-01-01, destinations: []}", "empty"},
        {", sha256: " HASH ", expires: 2027-01-01, destinations: [{network: 192.0.2.0/24}]}", "about names"},
        {", sha256: " HASH ", expires: 2027-01-01, destinations: [{any: true}], issuer: x}", "issuer"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[512];
        struct err err = {0};
        snprintf(text, sizeof text, "%s%s", start, bad[i].rest);
        if (parse_pki(text, &err) || err.line != 3 || err.column == 0 || !strstr(err.text, bad[i].why))
            fail_msg("%s: %u:%u: %s", text, err.line, err.column, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lasts_ninety_days_at_most),
        cmocka_unit_test(holds_between_its_times),
        cmocka_unit_test(says_when_something_changes),
        cmocka_unit_test(wants_an_exact_sender),
        cmocka_unit_test(knows_certificates_in_their_scope),
        cmocka_unit_test(wants_certificates_to_have_scope_and_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
