/* findings_test.c: one finding for many matches: created, updated, closed, suppressed, beyond its budget, across a restart; its bytes and
 * its records; the risk that adds up. */
#include <jansson.h>

#include "audit/ledger.h"
#include "base/must.h"
#include "flow/findings.h"
#include "rules/suppression.h"
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { HOUR_MS = 3600 * 1000, DAY_MS = 24 * HOUR_MS };
static int64_t noon; /* of today: the store forgets what is old */

struct bench {
    char folder[64], ledger_path[96], database[96];
    struct ledger *ledger;
    struct store *store;
    struct findings *findings;
};

static void open_findings(struct bench *b)
{
    struct err err;
    b->store = store_open(b->database);
    assert_non_null(b->store);
    const struct findings_options options = {.store = b->store,
                                             .ledger = b->ledger,
                                             .uid_prefix = "0123456789abcdef",
                                             .version = "1",
                                             .quiet_ms = DAY_MS,
                                             .daily_budget = 20};
    b->findings = findings_new(&options);
    assert_non_null(b->findings);
    assert_int_equal(store_start(b->store, &err), 0);
}

static void close_findings(struct bench *b)
{
    assert_true(store_close(b->store, 10000));
    findings_free(b->findings);
}

static int setup(void **state)
{
    struct err err;
    struct bench *b = calloc(1, sizeof *b);
    strcpy(b->folder, "/tmp/findings-test-XXXXXX");
    must(b && mkdtemp(b->folder));
    snprintf(b->ledger_path, sizeof b->ledger_path, "%s/audit.jsonl", b->folder);
    snprintf(b->database, sizeof b->database, "%s/history.db", b->folder);
    b->ledger = ledger_open(b->ledger_path, 4096, &err);
    must(b->ledger);
    open_findings(b);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    char command[128];
    close_findings(b);
    ledger_close(b->ledger, 10000);
    snprintf(command, sizeof command, "rm -r %s", b->folder);
    must(system(command) == 0);
    free(b);
    return 0;
}

static struct finding about(const char *rule, const char *sender, const char *domain)
{
    struct finding f = {.level = SEVERITY_HIGH,
                        .severity = SEVERITY_HIGH,
                        .analytic = "AN0761",
                        .attacks = {"T1573"},
                        .attack_count = 1};
    snprintf(f.rule, sizeof f.rule, "%s", rule);
    snprintf(f.title, sizeof f.title, "Something \"odd\"");
    snprintf(f.sender, sizeof f.sender, "%s", sender);
    snprintf(f.domain, sizeof f.domain, "%s", domain);
    strcpy(f.host, "ws-17");
    strcpy(f.user, "alice");
    strcpy(f.confidence, "exact");
    f.evidence = strdup("{\"dst_endpoint\":{\"port\":443}}");
    f.history = strdup("{\"window_s\":3600,\"seen\":[]}");
    return f;
}

static void note(struct bench *b, struct finding f, int64_t at_ms)
{
    findings_note(b->findings, &f, "record-1", at_ms);
    assert_null(f.evidence); /* it was taken */
    assert_null(f.history);
}

/* The lines of the ledger; the caller's to json_decref(). A restart: what is open goes on. */
static json_t *lines(struct bench *b)
{
    char line[40000];
    struct err err;
    json_t *all = json_array();
    close_findings(b);
    assert_int_equal(ledger_close(b->ledger, 10000), 0);
    FILE *in = fopen(b->ledger_path, "r");
    assert_non_null(in);
    while (fgets(line, sizeof line, in)) {
        json_t *one = json_loads(line, 0, NULL);
        assert_non_null(one);
        json_array_append_new(all, one);
    }
    fclose(in);
    b->ledger = ledger_open(b->ledger_path, 4096, &err);
    open_findings(b);
    return all;
}

static int64_t integer(const json_t *all, size_t index, const char *key)
{
    return json_integer_value(json_object_get(json_array_get(all, index), key));
}

/* ---- what agents keep ---- */

static bool note_and_keep(struct bench *b, const char *ref, int64_t at_ms, struct findings_keep *ret)
{
    struct finding f = about("rule", "path /usr/bin/x", "bad.example");
    strcpy(f.kept_ref, ref);
    return findings_note_and_keep(b->findings, &f, "record-1", at_ms, ret);
}

/* The agent is asked when the finding is made, and again when another process goes on with it, not more than once an hour. */
static void test_an_agent_is_asked_to_keep(void **state)
{
    struct bench *b = *state;
    const int64_t until = noon + FINDINGS_KEEP_S * 1000LL;
    struct findings_keep keep = {0}, other;
    assert_false(note_and_keep(b, "", noon, &keep)); /* nobody knows which process */
    assert_true(note_and_keep(b, "1.2.3", noon, &keep));
    assert_string_equal(keep.sender_ref, "1.2.3");
    findings_set_kept(b->findings, &keep, "kept", until);
    assert_false(note_and_keep(b, "1.2.4", noon + 1000, &other));
    assert_false(note_and_keep(b, "1.2.3", noon + HOUR_MS, &other)); /* it has days yet */
    assert_true(note_and_keep(b, "1.2.4", noon + HOUR_MS, &other));
    assert_string_equal(other.uid, keep.uid);
    findings_set_kept(b->findings, &other, "full", 0); /* what is kept of the first stays what is said */
    assert_false(note_and_keep(b, "1.2.5", noon + 2 * HOUR_MS - 1, &other));
    json_t *all = lines(b); /* and a restart */
    json_t *last = json_array_get(all, json_array_size(all) - 1);
    const json_t *said =
        json_object_get(json_object_get(json_object_get(last, "unmapped"), "finding"), "agent_history");
    assert_string_equal(json_string_value(json_object_get(said, "outcome")), "kept");
    assert_string_equal(json_string_value(json_object_get(said, "sender_ref")), "1.2.3");
    assert_true(json_integer_value(json_object_get(said, "until")) == until);
    json_decref(all);
    assert_false(note_and_keep(b, "1.2.5", noon + 2 * HOUR_MS - 1, &other));
    assert_true(note_and_keep(b, "1.2.5", noon + 2 * HOUR_MS, &other));
}

/* Neither a test nor what somebody suppressed is worth an agent's memory. */
static void test_not_everything_is_kept(void **state)
{
    struct bench *b = *state;
    struct findings_keep keep;
    struct finding f = about("rule", "path /usr/bin/x", "bad.example");
    strcpy(f.kept_ref, "1.2.3");
    f.test = true;
    assert_false(findings_note_and_keep(b->findings, &f, "record-1", noon, &keep));
    f = about("rule", "path /usr/bin/y", "bad.example");
    strcpy(f.kept_ref, "1.2.3");
    f.status = FINDING_SUPPRESSED;
    assert_false(findings_note_and_keep(b->findings, &f, "record-1", noon, &keep));
    keep = (struct findings_keep){.uid = "0000000000000000000000ff"};
    findings_set_kept(b->findings, &keep, "kept", noon); /* nobody's: it was closed meanwhile */
}

/* A test is said, and is over: no budget is spent on it, nobody is riskier, and what was found in earnest stays. */
static void test_a_test_ends_at_once(void **state)
{
    struct bench *b = *state;
    struct findings_stats s;
    struct finding ended;
    assert_false(findings_end_test(b->findings, "rule", noon, &ended));
    note(b, about("rule", "path /usr/bin/real", "bad.example"), noon);
    assert_false(findings_end_test(b->findings, "rule", noon, &ended));
    unsigned risk = findings_risk(b->findings, span_str("host\nws-17"), noon);
    for (int i = 0; i < 100; i++) {
        struct finding f = about("rule", "selftest", "selftest.invalid");
        f.test = true;
        note(b, f, noon);
        assert_true(findings_end_test(b->findings, "rule", noon, &ended));
        assert_string_equal(ended.sender, "selftest");
        assert_true(ended.test && ended.status == FINDING_NEW && !ended.evidence && !ended.history);
    }
    findings_stats(b->findings, &s);
    assert_int_equal(s.open, 1);
    assert_int_equal(s.closed, 100);
    assert_int_equal(findings_risk(b->findings, span_str("host\nws-17"), noon), risk);
}

static void test_ten_thousand_matches_are_one_finding(void **state)
{
    struct bench *b = *state;
    struct findings_stats s;
    for (int i = 0; i < 10000; i++)
        note(b, about("rule", "path /usr/bin/beacon", "bad.example"), noon + i * 1000);
    findings_stats(b->findings, &s);
    assert_int_equal(s.open, 1);
    assert_int_equal(s.created, 1);
    assert_in_range(s.updated, 10, 20); /* each doubling, each hour */
    findings_sweep(b->findings, noon + 10000 * 1000 + DAY_MS);
    findings_stats(b->findings, &s);
    assert_int_equal(s.open, 0);
    assert_int_equal(s.closed, 1);
    json_t *all = lines(b);
    size_t count = json_array_size(all);
    assert_int_equal(count, s.updated + 2);
    assert_int_equal(integer(all, 0, "activity_id"), 1);
    assert_int_equal(integer(all, 1, "activity_id"), 2);
    assert_int_equal(integer(all, count - 1, "activity_id"), 3);
    assert_int_equal(integer(all, count - 1, "count"), 10000);
    assert_int_equal(integer(all, count - 1, "status_id"), FINDING_RESOLVED);
    json_t *info = json_object_get(json_array_get(all, count - 1), "finding_info");
    assert_int_equal(json_array_size(json_object_get(info, "related_events")), FINDING_RECORDS_MAX);
    json_decref(all);
}

static void test_what_is_different_is_another(void **state)
{
    struct bench *b = *state;
    struct findings_stats s;
    note(b, about("rule", "a", "x.example"), noon);
    note(b, about("rule", "b", "x.example"), noon);
    note(b, about("rule", "a", "y.example"), noon);
    note(b, about("other", "a", "x.example"), noon);
    note(b, about("rule", "a", "x.example"), noon + 1);
    note(b, about("rule", "a", "x.example"), noon + 1 + DAY_MS); /* a quiet day: a new one */
    findings_stats(b->findings, &s);
    assert_int_equal(s.created, 5);
    assert_int_equal(s.closed, 1);
}

static void test_budget(void **state)
{
    struct bench *b = *state;
    struct findings_stats s;
    char domain[32];
    for (int i = 0; i < 500; i++) {
        snprintf(domain, sizeof domain, "n%d.example", i);
        note(b, about("noisy", "a", domain), noon);
    }
    findings_stats(b->findings, &s);
    assert_int_equal(s.open, 21); /* twenty, and one for all the rest */
    note(b, about("quiet", "a", "x.example"), noon);
    note(b, about("noisy", "a", "tomorrow.example"), noon + DAY_MS - 1);
    findings_stats(b->findings, &s);
    assert_int_equal(s.open, 23);
    json_t *all = lines(b);
    uint64_t most = 0;
    for (size_t i = 0; i < json_array_size(all); i++)
        if (json_integer_value(json_object_get(json_array_get(all, i), "count")) > (int64_t)most)
            most = (uint64_t)integer(all, i, "count");
    assert_in_range(most, 240, 480);
    json_decref(all);
}

static void test_suppressed_still_counts_and_another_hash_is_said(void **state)
{
    struct bench *b = *state;
    struct findings_stats s;
    struct finding f = about("rule", "a", "x.example");
    memset(f.sha256, 'a', 64);
    f.status = FINDING_SUPPRESSED;
    note(b, f, noon);
    f = about("rule", "a", "x.example");
    memset(f.sha256, 'a', 64);
    f.status = FINDING_SUPPRESSED;
    note(b, f, noon + 1);
    json_t *all = lines(b);
    assert_int_equal(json_array_size(all), 0);
    json_decref(all);
    f = about("rule", "a", "x.example");
    memset(f.sha256, 'b', 64);
    f.status = FINDING_SUPPRESSED;
    note(b, f, noon + 2);
    all = lines(b);
    assert_int_equal(json_array_size(all), 1);
    assert_int_equal(integer(all, 0, "count"), 3);
    assert_int_equal(integer(all, 0, "status_id"), FINDING_NEW);
    json_decref(all);
    findings_stats(b->findings, &s);
    assert_int_equal(s.open, 1);
}

static const char suppressions[] = "version: 1\nsuppressions:\n"
                                   "  - {rule: r1, sender: path /x, domain: Bad.example, owner: o, ticket: "
                                   "t-1, expires: 2030-01-01T00:00:00Z}\n"
                                   "  - {rule: r2, host: ws-17, sha256: "
                                   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, owner: "
                                   "o, ticket: t-2, expires: 2030-01-01T00:00:00Z}\n";

static void test_suppressions_file(void **state)
{
    struct err err = {0};
    (void)state;
    struct suppressions *s = suppressions_parse(span_str(suppressions), "s.yaml", &err);
    assert_non_null(s);
    struct suppression_subject a = {"r1", "ws-1", "path /x", "", "bad.EXAMPLE", ""};
    assert_string_equal(suppressions_find(s, &a, noon / 1000)->ticket, "t-1");
    assert_null(suppressions_find(s, &a, 1893456000)); /* 2030: over */
    a.sender = "path /y";
    assert_null(suppressions_find(s, &a, noon / 1000));
    struct suppression_subject c = {"r2", "ws-17", "", "", "", ""};
    assert_null(suppressions_find(s, &c, noon / 1000)); /* which program is not known: said */
    c.sha256 = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    assert_non_null(suppressions_find(s, &c, noon / 1000));
    assert_null(suppressions_find(NULL, &c, noon / 1000));
    suppressions_free(s);
    static const struct {
        const char *text;
        unsigned line;
    } bad[] = {
        {"version: 1\nsuppressions:\n  - {rule: r, owner: o, ticket: t, expires: 2030-01-01T00:00:00Z}\n", 3},
        {"version: 1\nsuppressions:\n  - {rule: r, host: h, ticket: t, expires: 2030-01-01T00:00:00Z}\n", 3},
        {"version: 1\nsuppressions:\n  - {rule: r, host: h, owner: o, ticket: t}\n", 3},
        {"version: 1\nsuppressions:\n  - {rule: r, host: h, owner: o, ticket: t, expires: soon}\n", 3},
        {"version: 1\nsuppressions:\n  - {rule: r, hots: h, owner: o, ticket: t, expires: "
         "2030-01-01T00:00:00Z}\n",
         3},
        {"version: 2\nsuppressions: []\n", 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        err = (struct err){0};
        assert_null(suppressions_parse(span_str(bad[i].text), "s.yaml", &err));
        assert_int_equal(err.line, bad[i].line);
    }
}

static void test_a_restart_goes_on(void **state)
{
    struct bench *b = *state;
    struct findings_stats s;
    note(b, about("rule", "a", "x.example"), noon);
    note(b, about("rule", "b", "x.example"), noon);
    findings_sweep(b->findings, noon + DAY_MS - 1);
    close_findings(b);
    open_findings(b);
    findings_stats(b->findings, &s);
    assert_int_equal(s.open, 2);
    note(b, about("rule", "a", "x.example"), noon + HOUR_MS);
    findings_stats(b->findings, &s);
    assert_int_equal(s.created, 0);
    assert_int_equal(s.updated, 1);
}

static void test_people_say(void **state)
{
    struct bench *b = *state;
    note(b, about("rule", "a", "x.example"), noon);
    json_t *all = lines(b);
    const char *uid =
        json_string_value(json_object_get(json_object_get(json_array_get(all, 0), "finding_info"), "uid"));
    assert_non_null(uid);
    assert_int_equal(findings_set_status(b->findings, "0", FINDING_RESOLVED, "bob", noon + 1), -1);
    assert_int_equal(findings_set_status(b->findings, uid, FINDING_IN_PROGRESS, "bob", noon + 1), 0);
    assert_int_equal(findings_set_status(b->findings, uid, FINDING_RESOLVED, "bob", noon + 2), 0);
    assert_int_equal(findings_set_status(b->findings, uid, FINDING_RESOLVED, "bob", noon + 3), -1);
    json_decref(all);
    all = lines(b);
    assert_int_equal(json_array_size(all), 3);
    assert_int_equal(integer(all, 1, "status_id"), FINDING_IN_PROGRESS);
    assert_int_equal(integer(all, 2, "activity_id"), 3);
    json_decref(all);
}

static void test_a_full_ledger_is_caught_up_with(void **state)
{
    struct bench *b = *state;
    struct findings_stats s;
    assert_int_equal(ledger_reserve(b->ledger, 4096), 0);
    note(b, about("rule", "a", "x.example"), noon);
    findings_stats(b->findings, &s);
    assert_int_equal(s.unsaid, 1);
    ledger_release(b->ledger, 4096);
    findings_sweep(b->findings, noon + 1);
    json_t *all = lines(b);
    assert_int_equal(json_array_size(all), 1);
    assert_int_equal(integer(all, 0, "activity_id"), 1);
    json_decref(all);
}

static void test_bounded(void **state)
{
    struct bench *b = *state;
    struct findings_stats s;
    char rule[32];
    for (int i = 0; i < FINDINGS_OPEN_MAX + 10; i++) {
        snprintf(rule, sizeof rule, "r%d", i);
        note(b, about(rule, "a", "x.example"), noon + i);
    }
    findings_stats(b->findings, &s);
    assert_int_equal(s.open, FINDINGS_OPEN_MAX);
    assert_int_equal(s.evicted, 10);
}

static void test_weight_and_risk(void **state)
{
    struct bench *b = *state;
    assert_int_equal(finding_weigh(SEVERITY_HIGH, "exact", 0), SEVERITY_HIGH);
    assert_int_equal(finding_weigh(SEVERITY_HIGH, "unknown", 1), SEVERITY_MEDIUM);
    assert_int_equal(finding_weigh(SEVERITY_HIGH, "exact", 2), SEVERITY_CRITICAL);
    assert_int_equal(finding_weigh(SEVERITY_INFORMATIONAL, "stale", 0), SEVERITY_INFORMATIONAL);
    assert_int_equal(finding_weigh(SEVERITY_CRITICAL, "exact", 5), SEVERITY_CRITICAL);
    assert_int_equal(findings_risk(b->findings, span_str("host\nws-17"), noon), 0);
    note(b, about("rule", "a", "x.example"), noon);
    assert_int_equal(findings_risk(b->findings, span_str("host\nws-17"), noon), 40);
    assert_int_equal(findings_risk(b->findings, span_str("user\nalice"), noon + DAY_MS), 20);
    assert_int_equal(findings_risk(b->findings, span_str("sender\nb"), noon), 0);
}

static void test_bytes_and_back(void **state)
{
    (void)state;
    struct finding f = about("rule", "a \x01\xff", "x.example"), back;
    struct buf text;
    strcpy(f.uid, "1");
    f.status = FINDING_NEW;
    f.count = 3;
    f.first_ms = f.last_ms = noon;
    strcpy(f.records[f.record_count++], "r-1");
    buf_init(&text, FINDING_STATE_MAX_BYTES);
    assert_int_equal(finding_write(&text, &f), 0);
    assert_int_equal(finding_read(buf_span(&text), &back), PARSE_OK);
    assert_string_equal(back.title, f.title);
    assert_string_equal(back.records[0], "r-1");
    assert_string_equal(back.attacks[0], "T1573");
    assert_string_equal(back.evidence, f.evidence);
    assert_string_equal(back.history, f.history);
    assert_int_equal(back.count, 3);
    finding_clear(&back);
    finding_clear(&f);
    buf_free(&text);
    assert_int_equal(finding_read(span_str("{}"), &back), PARSE_BAD);
    assert_int_equal(finding_read(span_str("[]"), &back), PARSE_BAD);
    assert_int_equal(finding_read(span_str("{\"uid\":\"1\",\"rule\":\"r\",\"level\":9}"), &back), PARSE_BAD);
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    noon = (int64_t)(time(NULL) / 86400 * 86400 + 43200) * 1000;
    const struct CMUnitTest tests[] = {
        WITH(test_ten_thousand_matches_are_one_finding),
        WITH(test_a_test_ends_at_once),
        WITH(test_what_is_different_is_another),
        WITH(test_budget),
        WITH(test_suppressed_still_counts_and_another_hash_is_said),
        cmocka_unit_test(test_suppressions_file),
        WITH(test_an_agent_is_asked_to_keep),
        WITH(test_not_everything_is_kept),
        WITH(test_a_restart_goes_on),
        WITH(test_people_say),
        WITH(test_a_full_ledger_is_caught_up_with),
        WITH(test_bounded),
        WITH(test_weight_and_risk),
        cmocka_unit_test(test_bytes_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
