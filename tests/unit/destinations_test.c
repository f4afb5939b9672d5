/* destinations_test: the table of where anybody can have a place, and what the baseline and its proposals make of it. */
#include "rules/baseline.h"
#include "rules/proposal.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

static struct destinations *builtin(void)
{
    struct err err = {0};
    struct destinations *d = destinations_new(&err);
    if (!d)
        fail_msg("%s:%u:%u: %s", err.file, err.line, err.column, err.text);
    return d;
}

static struct host host_of(const char *name)
{
    struct host h;
    assert_int_equal(host_canonical_bare(span_str(name), &h), HOST_OK);
    return h;
}

static void finds_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *host, *kind;
        bool shared;
    } cases[] = {
        {"ours.s3.amazonaws.com", "cloud_storage", false},
        {"s3.amazonaws.com", "cloud_storage", true},
        {"hooks.slack.com", "webhook", true},
        {"x.hooks.slack.com", NULL, false},
        {"slack.com", NULL, false},
        {"pastebin.com", "paste", true},
        {"a.b.ngrok.io", "tunnel", false},
        {"me.duckdns.org", "dynamic_dns", false},
        {"dns.google", "doh", true},
        {"d111.cloudfront.net", "cdn", false},
        {"notamazonaws.com", NULL, false},
        {"storage.googleapis.com", "cloud_storage", true},
        {"b.storage.googleapis.com", "cloud_storage", false},
        {"192.0.2.1", NULL, false},
    };
    struct destinations *d = builtin();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct host h = host_of(cases[i].host);
        const struct destination_row *row = destinations_find(d, &h);
        if (!row != !cases[i].kind ||
            (row && (strcmp(row->kind, cases[i].kind) != 0 || row->shared != cases[i].shared)))
            fail_msg("%s is %s", cases[i].host, row ? row->kind : "nothing");
        assert_null(destinations_find(NULL, &h));
    }
    destinations_free(d);
}

static void own_ones_stand_beside_those_built_in_or_in_their_place(void **state)
{
    char text[256];
    (void)state;
    for (int beside = 0; beside < 2; beside++) {
        struct err err = {0};
        struct host ours = host_of("x.ours.example"), theirs = host_of("me.duckdns.org");
        snprintf(text, sizeof text,
                 "version: 1\nbeside_built_in: %s\nkinds: {own_kind: {tenants: [ours.example]}}\n",
                 beside ? "true" : "false");
        struct destinations *d = destinations_parse(span_str(text), "own.yaml", &err);
        assert_non_null(d);
        assert_string_equal(destinations_name(d), "own.yaml");
        assert_string_equal(destinations_find(d, &ours)->kind, "own_kind");
        assert_int_equal(destinations_find(d, &theirs) != NULL, beside);
        destinations_free(d);
    }
}

static void refuses_bad_tables(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "version: 1\n",
        "version: 2\nkinds: {}\n",
        "version: 1\nkinds: []\n",
        "version: 1\nkinds: {a: {others: [b.example]}}\n",
        "version: 1\nkinds: {a: {shared: b.example}}\n",
        "version: 1\nkinds: {a: {tenants: [192.0.2.1]}}\n",
        "version: 1\nkinds: {a: {tenants: [a b]}}\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct err err = {0};
        if (destinations_parse(span_str(texts[i]), "d.yaml", &err) || err.line == 0)
            fail_msg("text %zu is taken", i);
    }
}

/* The baseline with one item; NULL: refused, with the text of it in `err`. */
static bool takes(const char *item, struct err *err)
{
    char text[512];
    snprintf(text, sizeof text,
             "version: 1\nsenders:\n  - name: a\n    match: {executable: /opt/a}\n    allow: [%s]\n", item);
    struct baseline *b = baseline_parse(span_str(text), "b.yaml", err);
    baseline_free(b);
    return b != NULL;
}

static void approves_no_place_of_many(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{domain: amazonaws.com}",
        "{domain: ours.amazonaws.com}",
        "{domain: windows.net}",
        "{domain: slack.com}",
        "{domain: pastebin.com}",
        "{domain: cloudflare-dns.com}",
        "{domain: google.com}",
        "{domain: trycloudflare.com}",
        "{domain: eu-west-1.amazonaws.com}",
        "{host: hooks.slack.com}",
        "{host: pastebin.com, ports: [443]}",
        "{host: dns.google}",
    };
    static const char *const good[] = {"{host: ours.s3.amazonaws.com}",
                                       "{host: me.duckdns.org}",
                                       "{domain: me.duckdns.org}",
                                       "{domain: ours.s3.amazonaws.com}",
                                       "{domain: example.com}",
                                       "{host: slack.com}",
                                       "{host: github.com}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err err = {0};
        if (takes(bad[i], &err))
            fail_msg("%s is taken", bad[i]);
        if (err.line != 5 || err.column == 0 ||
            !(strstr(err.text, DESTINATIONS_FILE) || strstr(err.text, "public suffix")))
            fail_msg("%s: %u:%u: %s", bad[i], err.line, err.column, err.text);
    }
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct err err = {0};
        if (!takes(good[i], &err))
            fail_msg("%s: %s", good[i], err.text);
    }
}

/* ---- paths ---- */

static void takes_paths_of_what_is_shared(void **state)
{
    (void)state;
    static const struct {
        const char *item, *why; /* NULL: taken */
    } cases[] = {
        {"{host: hooks.slack.com, path: /services/T000/}", NULL},
        {"{host: hooks.slack.com, path: /services/T000, handling: terminate, ports: [443]}", NULL},
        {"{host: hooks.slack.com, path: /services/T000, handling: tunnel}", "terminate only"},
        {"{domain: example.com, path: /a}", "one host"},
        {"{network: 192.0.2.0/24, path: /a}", "one host"},
        {"{host: hooks.slack.com, path: /}", "a path as"},
        {"{host: hooks.slack.com, path: services}", "a path as"},
        {"{host: hooks.slack.com, path: /a/../b}", "a path as"},
        {"{host: hooks.slack.com, path: /a%2e}", "a path as"},
        {"{host: hooks.slack.com, path: /a?b}", "a path as"},
        {"{host: a.example, path: /a}, {host: a.example, path: /a/b}", "never counts"},
        {"{host: a.example, path: /a/b}, {host: a.example, path: /a}", NULL},
        {"{host: a.example, path: /a}, {host: a.example}", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = {0};
        bool taken = takes(cases[i].item, &err);
        if (taken != !cases[i].why || (!taken && !strstr(err.text, cases[i].why)))
            fail_msg("%s: %s", cases[i].item, taken ? "taken" : err.text);
    }
}

static void decides_by_path(void **state)
{
    (void)state;
    static const struct {
        const char *path; /* NULL: a tunnel */
        bool ours;
    } cases[] = {
        {NULL, true},
        {"/ours", true},
        {"/ours/", true},
        {"/ours/a/b?c", true},
        {"/oursandmore", false},
        {"/", false},
        {"*", false},
        {"", false},
        {"/theirs", false},
        {"/ours/../theirs", false},
        {"/ours/%2e%2e/theirs", false},
        {"/ours/..;/theirs", false},
        {"/ours\\..\\theirs", false},
        {"/ours//theirs", false},
        {"/ours/%2ftheirs", false},
        {"/ours/%5ctheirs", false},
        {"/OURS", false},
        {"//ours", false},
    };
    static const char text[] = "version: 1\nsenders:\n  - name: a\n    match: {executable: /opt/a}\n"
                               "    allow: [{host: shared.example, path: /ours}]\n";
    struct err err = {0};
    struct baseline *b = baseline_parse(span_str(text), "b.yaml", &err);
    struct sender_view s = {.confidence = AGENT_CONFIDENCE_EXACT, .executable = "/opt/a"};
    struct host h = host_of("shared.example");
    assert_non_null(b);
    assert_int_equal(baseline_terminate_line(b), 5);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct baseline_question q = {.sender = &s, .host = &h, .port = 443};
        struct verdict v;
        if (cases[i].path)
            q.path = span_str(cases[i].path);
        baseline_decide(b, &q, &v);
        if ((v.action == VERDICT_ALLOW) != cases[i].ours)
            fail_msg("%s", cases[i].path);
        assert_int_equal(v.needs_path, !cases[i].path);
        if (cases[i].ours)
            assert_int_equal(v.handling, HANDLING_TERMINATE);
    }
    baseline_free(b);
}

/* ---- tools that go wherever they are told ---- */

static struct baseline *narrow(const char *match, const char *allow, struct err *err)
{
    char text[1024];
    snprintf(text, sizeof text,
             "version: 1\ntransfer_tools: narrow\nsenders:\n  - name: a\n    match: %s\n    allow: %s\n",
             match, allow);
    return baseline_parse(span_str(text), "b.yaml", err);
}

#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void transfer_tools_are_somebodys(void **state)
{
    (void)state;
    static const struct {
        const char *match, *allow, *why; /* NULL: taken */
        unsigned line;
    } cases[] = {
        {"{executable: /usr/bin/curl}", "[{host: a.example}]", "as a whole", 5},
        {"{executable: /usr/bin/curl, user: alice}", "[{host: a.example}]", "as a whole", 5},
        {"{package: openssh-client}", "[{host: a.example}]", "as a whole", 5},
        {"{executable: /usr/bin/ssh, sha256: " HASH "}", "[{host: a.example}]", "as a whole", 5},
        {"{executable: /usr/bin/curl, parent: /opt/app}", "[{domain: a.example}]", "exact hosts", 6},
        {"{executable: /usr/bin/curl, unit: app.service}", "[{host: b.example}, {any: true}]", "exact hosts",
         6},
        {"{executable: /usr/bin/curl, parent: /opt/app}", "[{host: a.example}]", NULL, 0},
        {"{executable: /usr/bin/rclone, unit: backup.service}", "[{host: a.example, ports: [443]}]", NULL, 0},
        {"{executable: /usr/bin/python3.11, script: /usr/bin/pip3}", "[{host: a.example}]", "as a whole", 5},
        {"{executable: /usr/bin/python3.11, script_sha256: " HASH "}", "[{host: a.example}]", NULL, 0},
        {"{executable: /opt/curling}", "[{domain: a.example}]", NULL, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = {0};
        struct baseline *b = narrow(cases[i].match, cases[i].allow, &err);
        if (!b != !!cases[i].why ||
            (!b && (err.line != cases[i].line || err.column == 0 || !strstr(err.text, cases[i].why))))
            fail_msg("%s: %u:%u: %s", cases[i].match, err.line, err.column, err.text);
        baseline_free(b);
    }
}

/* Neither does an entry that doesn't name the tool let it out. */
static void transfer_tools_are_not_let_out_in_passing(void **state)
{
    (void)state;
    static const struct {
        const char *match;
        bool curl, other;
    } cases[] = {{"{user: alice}", false, true},
                 {"{user: alice, confidence: [exact]}", false, true},
                 {"{user: alice, unit: app.service}", true, true},
                 {"{user: alice, parent: /opt/app}", true, true},
                 {"{client_network: 192.0.2.0/24}", true, true}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = {0};
        struct baseline *b = narrow(cases[i].match, "[{host: a.example}]", &err);
        assert_non_null(b);
        struct host h = host_of("a.example");
        for (int tool = 0; tool < 2; tool++) {
            struct sender_view s = {.confidence = AGENT_CONFIDENCE_EXACT,
                                    .executable = tool ? "/usr/bin/curl" : "/usr/bin/other",
                                    .user = "alice",
                                    .unit = "app.service",
                                    .parent = "/opt/app"};
            struct baseline_question q = {.sender = &s, .host = &h, .port = 443};
            struct verdict v;
            assert_true(ip_parse(span_str("192.0.2.7"), &q.client));
            baseline_decide(b, &q, &v);
            if ((v.action == VERDICT_ALLOW) != (tool ? cases[i].curl : cases[i].other))
                fail_msg("%s: %d", cases[i].match, tool);
        }
        baseline_free(b);
    }
}

/* Who may go anywhere may not for that reason go to whoever has a place among many: those are named, one by one. */
static void nothing_wider_lets_out_to_places_of_many(void **state)
{
    (void)state;
#define WIDE "{any: true}"
#define INTO "{network: 192.0.2.0/24, resolve: true}, {asn: 64500, resolve: true}"
    static const struct {
        const char *items, *host, *path;
        enum reason reason;
    } rows[] = {
        {WIDE, "x.example", NULL, REASON_NONE},
        {WIDE, "slack.com", NULL, REASON_NONE}, /* the firm's own */
        {WIDE, "192.0.2.1", NULL, REASON_NONE},
        {WIDE, "hooks.slack.com", NULL, REASON_MANY_TENANTS},
        {WIDE, "theirs.s3.amazonaws.com", NULL, REASON_MANY_TENANTS},
        {WIDE, "theirs.github.io", NULL, REASON_MANY_TENANTS},
        {"{any: true, ports: [80]}", "theirs.github.io", NULL, REASON_BASELINE_DESTINATION},
        {INTO, "x.example", NULL, REASON_NONE},
        {INTO, "theirs.s3.amazonaws.com", NULL, REASON_MANY_TENANTS},
        {INTO, "192.0.2.1", NULL, REASON_NONE},
        /* how they are approved, beside it */
        {WIDE ", {host: ours.s3.amazonaws.com}", "ours.s3.amazonaws.com", NULL, REASON_NONE},
        {WIDE ", {host: ours.s3.amazonaws.com}", "theirs.s3.amazonaws.com", NULL, REASON_MANY_TENANTS},
        {WIDE ", {domain: ours.github.io}", "x.ours.github.io", NULL, REASON_NONE},
        {INTO ", {domain: ours.github.io}", "ours.github.io", NULL, REASON_NONE},
        {WIDE ", {host: hooks.slack.com, path: /services/OURS}", "hooks.slack.com", "/services/OURS/x",
         REASON_NONE},
        {WIDE ", {host: hooks.slack.com, path: /services/OURS}", "hooks.slack.com", "/services/THEIRS",
         REASON_MANY_TENANTS},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct err err = {0};
        char list[256];
        snprintf(list, sizeof list, "[%s]", rows[i].items);
        struct baseline *b = narrow("{user: alice}", list, &err);
        if (!b)
            fail_msg("%s: %s", rows[i].items, err.text);
        struct host h = host_of(rows[i].host);
        struct sender_view s = {
            .confidence = AGENT_CONFIDENCE_EXACT, .executable = "/usr/bin/other", .user = "alice"};
        struct baseline_question q = {.sender = &s, .host = &h, .port = 443};
        if (rows[i].path)
            q.path = span_str(rows[i].path);
        struct verdict v;
        baseline_decide(b, &q, &v);
        if (v.reason != rows[i].reason)
            fail_msg("%s for %s: reason %d", rows[i].items, rows[i].host, v.reason);
        baseline_free(b);
    }
    struct err err = {0};
    assert_null(narrow("{user: alice}", "[" WIDE ", {host: x.example}]", &err)); /* nothing new: covered */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_kinds),
        cmocka_unit_test(refuses_bad_tables),
        cmocka_unit_test(own_ones_stand_beside_those_built_in_or_in_their_place),
        cmocka_unit_test(approves_no_place_of_many),
        cmocka_unit_test(takes_paths_of_what_is_shared),
        cmocka_unit_test(decides_by_path),
        cmocka_unit_test(nothing_wider_lets_out_to_places_of_many),
        cmocka_unit_test(transfer_tools_are_somebodys),
        cmocka_unit_test(transfer_tools_are_not_let_out_in_passing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
