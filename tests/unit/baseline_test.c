/* baseline_test.c: what each selector approves alone and together, which entry decides, what waits for an address, and
 * where each error is. */
#include "base/buf.h"
#include "base/must.h"
#include "rules/baseline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SHA_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SHA_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static struct baseline *parse(const char *text)
{
    struct err err = {0};
    struct baseline *b = baseline_parse(span_str(text), "b.yaml", &err);
    if (!b) {
        char place[1024];
        fail_msg("%s\n%s", err_format(&err, place, sizeof place), text);
    }
    return b;
}

static const struct sender_view curl = {
    .confidence = AGENT_CONFIDENCE_EXACT,
    .executable = "/usr/bin/curl",
    .package = "curl",
    .user = "alice",
    .unit = "fetch.service",
    .sha256 = SHA_A,
    .hash_state = SENDER_HASH_DONE,
};

static const struct sender_view python = {
    .confidence = AGENT_CONFIDENCE_EXACT,
    .executable = "/usr/bin/python3.11",
    .package = "python3.11-minimal",
    .user = "alice",
    .script = "/opt/run.py",
    .script_sha256 = SHA_B,
    .sha256 = SHA_A,
    .hash_state = SENDER_HASH_DONE,
    .interpreter = true,
};

/* The same from a script that its user may write. */
static const struct sender_view edited = {
    .confidence = AGENT_CONFIDENCE_EXACT,
    .executable = "/usr/bin/python3.11",
    .user = "alice",
    .script = "/opt/run.py",
    .script_sha256 = SHA_B,
    .script_writable = true,
    .sha256 = SHA_A,
    .hash_state = SENDER_HASH_DONE,
    .interpreter = true,
};

/* One question and its answer; the defaults are curl, 443, the CONNECT phase. */
struct ask {
    const struct sender_view *sender;
    const char *host, *client, *proxy_user, *address, *role;
    uint16_t port;
    uint32_t asn;
};

static struct verdict decide(const struct baseline *b, struct ask a)
{
    struct host host;
    struct verdict v;
    if (host_canonical_bare(span_str(a.host), &host) != HOST_OK)
        fail_msg("%s is a host", a.host);
    const struct span roles[] = {span_str("cn:x"), span_str(a.role ? a.role : "")};
    struct baseline_question q = {.sender = a.sender,
                                  .roles = roles,
                                  .role_count = a.role ? ARRAY_LEN(roles) : 0,
                                  .proxy_user = a.proxy_user,
                                  .host = &host,
                                  .port = a.port ? a.port : 443,
                                  .phase = a.address ? BASELINE_ADDRESS : BASELINE_CONNECT,
                                  .asn = a.asn};
    assert_true(!a.client || ip_parse(span_str(a.client), &q.client));
    assert_true(!a.address || ip_parse(span_str(a.address), &q.address));
    baseline_decide(b, &q, &v);
    return v;
}

/* ---- senders ---- */

/* Does `match: {conditions}` hold for the sender? */
static struct verdict match(const char *conditions, struct ask a)
{
    char text[1024];
    snprintf(text, sizeof text,
             "version: 1\nsenders:\n  - name: it\n    match: {%s}\n    allow: [{any: true}]\n", conditions);
    struct baseline *b = parse(text);
    a.host = "example.com";
    struct verdict v = decide(b, a);
    v.entry = v.entry ? "it" : NULL; /* the baseline goes */
    v.selector = NULL;
    baseline_free(b);
    return v;
}

static bool holds(const char *conditions, struct ask a)
{
    struct verdict v = match(conditions, a);
    assert_true((v.action == VERDICT_ALLOW) == (v.reason == REASON_NONE));
    assert_true((v.entry != NULL) == (v.reason == REASON_NONE || v.reason == REASON_HASH_CHANGED));
    return v.reason == REASON_NONE;
}

static void a_signature(void **state)
{
    (void)state;
    struct sender_view chrome = {.confidence = AGENT_CONFIDENCE_EXACT,
                                 .executable = "/Users/ann/Applications/Chrome",
                                 .signature = "EQHXZ8M8AV/com.google.Chrome",
                                 .writable_by_user = true,
                                 .hash_state = SENDER_HASH_PENDING};
    struct verdict v = match("signature: EQHXZ8M8AV/com.google.Chrome", (struct ask){.sender = &chrome});
    assert_int_equal(v.reason, REASON_NONE);
    assert_string_equal(v.entry_by, "signature");
    assert_false(holds("signature: EQHXZ8M8AV/com.google.Keystone", (struct ask){.sender = &chrome}));
    assert_false(holds("signature: EQHXZ8M8AV/com.google.Chrome", (struct ask){.sender = &curl}));
    chrome.borrowed = 1u << SENDER_BORROWED_TRACER;
    v = match("signature: EQHXZ8M8AV/com.google.Chrome", (struct ask){.sender = &chrome});
    assert_int_equal(v.reason, REASON_SENDER_BORROWED);
    chrome.borrowed = 0;
    chrome.interpreter = true; /* what a signer's interpreter runs, he did not sign */
    assert_false(holds("signature: EQHXZ8M8AV/com.google.Chrome", (struct ask){.sender = &chrome}));
}

/* A signature that doesn't hold is none. */
static void a_signature_is_of_what_runs(void **state)
{
    (void)state;
    struct sender *s = sender_new();
    assert_non_null(s);
    s->who.signer = "EQHXZ8M8AV/com.google.Chrome";
    assert_null(baseline_view_sender(s, AGENT_CONFIDENCE_EXACT).signature);
    s->who.signature_valid = true;
    assert_string_equal(baseline_view_sender(s, AGENT_CONFIDENCE_EXACT).signature, s->who.signer);
    sender_unref(s);
}

/* ---- borrowed identities ---- */

static void a_borrowed_identity_suspends(void **state)
{
    (void)state;
    const uint32_t preload = 1u << SENDER_BORROWED_PRELOAD, tracer = 1u << SENDER_BORROWED_TRACER;
    struct sender_view own = curl, lent = curl, traced = curl;
    lent.borrowed = preload;
    traced.borrowed = preload | tracer;
    static const char *const programs[] = {"executable: /usr/bin/curl", "package: curl", ("sha256: " SHA_A),
                                           "unit: fetch.service, package: curl"};
    for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
        char more[256];
        assert_true(holds(programs[i], (struct ask){.sender = &own}));
        struct verdict v = match(programs[i], (struct ask){.sender = &lent});
        assert_int_equal(v.action, VERDICT_BLOCK);
        assert_int_equal(v.reason, REASON_SENDER_BORROWED);
        assert_int_equal(v.borrowed, preload);
        assert_int_equal(v.entry_line, 3);
        snprintf(more, sizeof more, "%s, borrowed: [preload]", programs[i]);
        assert_true(holds(more, (struct ask){.sender = &lent}));
        v = match(more, (struct ask){.sender = &traced});
        assert_int_equal(v.reason, REASON_SENDER_BORROWED);
        assert_int_equal(v.borrowed, tracer); /* only what it does not put up with */
    }
    /* whoever it is by other means is not borrowed */
    assert_true(holds("user: alice", (struct ask){.sender = &traced}));
    assert_true(holds("unit: fetch.service", (struct ask){.sender = &traced}));
}

static void refuse_match(const char *match, unsigned column, const char *says);

static void a_parent(void **state)
{
    (void)state;
    struct sender_view child = curl, orphan = curl;
    child.parent = "/usr/bin/backup";
    assert_true(holds("executable: /usr/bin/curl, parent: /usr/bin/backup", (struct ask){.sender = &child}));
    struct verdict v =
        match("executable: /usr/bin/curl, parent: /usr/bin/other", (struct ask){.sender = &child});
    assert_int_equal(v.reason, REASON_BASELINE_SENDER);
    v = match("executable: /usr/bin/curl, parent: /usr/bin/backup", (struct ask){.sender = &orphan});
    assert_int_equal(v.reason, REASON_BASELINE_SENDER);
    refuse_match("{package: a, parent: /usr/bin/bash}", 33, "says nothing");
    refuse_match("{package: a, parent: bash}", 33, "absolute path");
}

static void a_later_entry_may_take_a_borrowed_one(void **state)
{
    (void)state;
    struct sender_view lent = curl;
    lent.borrowed = 1u << SENDER_BORROWED_PRELOAD;
    struct baseline *b =
        parse("version: 1\nsenders:\n"
              "  - {name: own, mode: report, match: {package: curl}, allow: [{host: a.example}]}\n"
              "  - {name: lent, match: {package: curl, borrowed: [preload]}, allow: [{host: b.example}]}\n");
    struct verdict v = decide(b, (struct ask){.sender = &lent, .host = "b.example"});
    assert_int_equal(v.reason, REASON_NONE);
    assert_string_equal(v.entry, "lent");
    lent.borrowed |= 1u << SENDER_BORROWED_LOADER;
    v = decide(b, (struct ask){.sender = &lent, .host = "a.example"});
    assert_int_equal(v.reason, REASON_SENDER_BORROWED); /* the first one's, and its mode */
    assert_string_equal(v.entry, "own");
    assert_true(v.would_block);
    baseline_free(b);
}

static void each_condition(void **state)
{
    (void)state;
    static const struct {
        const char *conditions;
        const struct sender_view *sender;
        bool holds;
    } rows[] = {
        {"executable: /usr/bin/curl", &curl, true},
        {"executable: /usr/bin/cur", &curl, false},
        {"executable: /usr/bin/curl", &python, false},
        {"package: curl", &curl, true},
        {"package: wget", &curl, false},
        {"user: alice", &curl, true},
        {"user: bob", &curl, false},
        {"unit: fetch.service", &curl, true},
        {"unit: other.service", &curl, false},
        {"sha256: " SHA_A, &curl, true},
        {"sha256: " SHA_B, &curl, false},
        {"executable: /usr/bin/curl, user: alice, unit: fetch.service, package: curl, sha256: " SHA_A, &curl,
         true},
        {"executable: /usr/bin/curl, user: bob, unit: fetch.service, package: curl, sha256: " SHA_A, &curl,
         false},
        {"script: /opt/run.py", &python, true},
        {"script: /opt/other.py", &python, false},
        {"script: /opt/run.py", &curl, false},
        {"script: /opt/run.py", &edited, false}, /* who can write it can make it say anything */
        {"script: /opt/run.py, script_sha256: " SHA_B, &edited, true},
        {"script_sha256: " SHA_B, &edited, true},
        {"executable: /usr/bin/python3.11, script: /opt/run.py", &python, true},
        {"executable: /usr/bin/python3.11, script_sha256: " SHA_B, &python, true},
        {"executable: /usr/bin/python3.11, script_sha256: " SHA_A, &python, false},
        {"unit: fetch.service", &python, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (holds(rows[i].conditions, (struct ask){.sender = rows[i].sender}) != rows[i].holds)
            fail_msg("%s: not %d", rows[i].conditions, rows[i].holds);
}

static void client_conditions(void **state)
{
    (void)state;
    assert_true(holds("client_network: 10.0.0.0/8", (struct ask){.client = "10.1.2.3", .sender = &python}));
    assert_false(holds("client_network: 10.0.0.0/8", (struct ask){.client = "11.1.2.3"}));
    assert_false(holds("client_network: 10.0.0.0/8", (struct ask){0}));
    assert_true(
        holds("client_network: \"2001:db8::/32\"", (struct ask){.client = "2001:db8::1", .sender = &curl}));
    assert_true(holds("proxy_user: carol", (struct ask){.proxy_user = "carol", .sender = &python}));
    assert_false(holds("proxy_user: carol", (struct ask){.proxy_user = "dave", .sender = &curl}));
    assert_false(holds("proxy_user: carol", (struct ask){0}));
    assert_true(
        holds("proxy_user: carol, user: alice", (struct ask){.proxy_user = "carol", .sender = &curl}));
    assert_false(holds("proxy_user: carol, user: alice", (struct ask){.proxy_user = "carol"}));
    assert_false(holds("proxy_user: carol, user: alice", (struct ask){.sender = &curl}));
    assert_true(holds("role: \"dns:gw.test\"", (struct ask){.role = "dns:gw.test", .sender = &curl}));
    assert_true(holds("role: \"cn:x\"", (struct ask){.role = "dns:gw.test", .sender = &python}));
    assert_false(holds("role: \"dns:gw.test\"", (struct ask){.role = "cn:gw.test"}));
    assert_false(holds("role: \"dns:gw.test\"", (struct ask){.role = "dns:gw.test.evil"}));
    assert_false(holds("role: \"dns:gw.test\"", (struct ask){0}));
    assert_false(holds("role: \"dns:gw.test\", user: alice", (struct ask){.role = "dns:gw.test"}));
}

/* Unsure is not yes: what is about the client alone holds for who is not exact where it says so, and only there. */
static void unsure_matches_what_names_it(void **state)
{
    (void)state;
    static const char *const about_client[] = {"client_network: 10.0.0.0/8", "proxy_user: carol",
                                               "role: \"dns:gw.test\""};
    struct sender_view unsure = curl;
    char conditions[128];
    for (size_t i = 0; i < ARRAY_LEN(about_client); i++) {
        struct ask from = {.client = "10.1.2.3", .proxy_user = "carol", .role = "dns:gw.test"};
        assert_false(holds(about_client[i], from)); /* nobody knows who it is */
        snprintf(conditions, sizeof conditions, "%s, confidence: [exact, unknown]", about_client[i]);
        assert_true(holds(conditions, from));
        from.sender = &python; /* whoever it is: an interpreter, too */
        assert_true(holds(conditions, from));
        from.sender = &unsure;
        for (enum agent_confidence c = 0; c < AGENT_CONFIDENCE_COUNT; c++) {
            unsure.confidence = c;
            assert_true(holds(about_client[i], from) == (c == AGENT_CONFIDENCE_EXACT));
            assert_true(holds(conditions, from) ==
                        (c == AGENT_CONFIDENCE_EXACT || c == AGENT_CONFIDENCE_UNKNOWN));
        }
    }
}

/* What holds for less than it may seem to is told. */
static void hints(void **state)
{
    (void)state;
    struct baseline *b =
        parse("version: 1\nsenders:\n"
              "  - {name: a, match: {client_network: 10.0.0.0/8}, allow: [{host: x.example}]}\n"
              "  - {name: b, match: {user: b}, allow: [{host: x.example}, {any: true}]}\n"
              "  - {name: c, match: {proxy_user: c, confidence: [unknown]}, allow: [{asn: 7}]}\n"
              "  - name: d\n    match: {proxy_user: d}\n"
              "    allow: [{network: 192.0.2.0/24, resolve: true}]\n");
    struct baseline_hint h;
    size_t cursor = 0;
    const char *const names[] = {"a", "b", "d", "d"};
    const unsigned lines[] = {3, 4, 6, 8};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        assert_true(baseline_next_hint(b, &cursor, &h));
        assert_string_equal(h.name, names[i]);
        assert_int_equal(h.line, lines[i]);
    }
    assert_non_null(strstr(h.text, "places of many tenants"));
    assert_false(baseline_next_hint(b, &cursor, &h));
    baseline_free(b);
}

static void interpreters(void **state)
{
    (void)state;
    /* What names a program but not what it runs never holds for an interpreter, by whichever selector. */
    assert_false(holds("user: alice", (struct ask){.sender = &python}));
    assert_false(holds("sha256: " SHA_A, (struct ask){.sender = &python}));
    assert_false(holds("confidence: [exact]", (struct ask){.sender = &python}));
    assert_true(holds("confidence: [exact]", (struct ask){.sender = &curl}));
    struct sender_view told = curl; /* the agent knows one that the table doesn't */
    told.interpreter = true;
    assert_false(holds("executable: /usr/bin/curl", (struct ask){.sender = &told}));
    struct sender_view untold = python; /* and the other way round */
    untold.interpreter = false;
    assert_false(holds("user: alice", (struct ask){.sender = &untold}));
    struct sender_view in_unit = python;
    in_unit.unit = "report.service";
    assert_true(holds("unit: report.service", (struct ask){.sender = &in_unit}));
    static const char *const yes[] = {"/usr/bin/python3.11",
                                      "/usr/bin/python",
                                      "/bin/sh",
                                      "perl5.36.0",
                                      "/usr/bin/php8.2",
                                      "/usr/bin/node",
                                      "/x/python3.13t",
                                      "/lib64/ld-linux-x86-64.so.2",
                                      "openjdk-17-jre-headless",
                                      "bash",
                                      "/usr/bin/R"};
    static const char *const no[] = {"/usr/bin/curl",
                                     "/usr/bin/shred",
                                     "/usr/bin/node-gyp-x",
                                     "/python3/tool",
                                     "/usr/bin/nodemon",
                                     "/usr/bin/bashful",
                                     "",
                                     "/"};
    for (size_t i = 0; i < ARRAY_LEN(yes); i++)
        if (!baseline_is_interpreter(yes[i]))
            fail_msg("%s is one", yes[i]);
    for (size_t i = 0; i < ARRAY_LEN(no); i++)
        if (baseline_is_interpreter(no[i]))
            fail_msg("%s is none", no[i]);
}

static void weak_identities(void **state)
{
    (void)state;
    struct sender_view writable = curl;
    writable.writable_by_user = true;
    assert_false(holds("executable: /usr/bin/curl", (struct ask){.sender = &writable}));
    assert_false(holds("package: curl", (struct ask){.sender = &writable}));
    assert_false(holds("executable: /usr/bin/curl, user: alice", (struct ask){.sender = &writable}));
    assert_true(holds("executable: /usr/bin/curl, sha256: " SHA_A, (struct ask){.sender = &writable}));
    assert_true(holds("executable: /usr/bin/curl, unit: fetch.service", (struct ask){.sender = &writable}));
    struct sender_view fake =
        python; /* a copy of anything, called python3, that says it runs the approved script */
    fake.writable_by_user = true;
    assert_false(holds("script: /opt/run.py", (struct ask){.sender = &fake}));
    assert_false(holds("script_sha256: " SHA_B, (struct ask){.sender = &fake}));

    struct sender_view pending = curl;
    pending.hash_state = SENDER_HASH_PENDING;
    pending.sha256 = NULL;
    struct verdict v = match("sha256: " SHA_A, (struct ask){.sender = &pending});
    assert_int_equal(v.action, VERDICT_BLOCK);
    assert_int_equal(v.reason, REASON_HASH_PENDING);
    v = match("sha256: " SHA_A ", user: bob", (struct ask){.sender = &pending}); /* the hash would not help */
    assert_int_equal(v.reason, REASON_BASELINE_SENDER);
    /* another file where the entry names the program, too: told, and in the baseline's mode, whatever the entry's is */
    v = match("executable: /usr/bin/curl, sha256: " SHA_B, (struct ask){.sender = &curl});
    assert_int_equal(v.reason, REASON_HASH_CHANGED);
    assert_int_equal(v.action, VERDICT_BLOCK);
    v = match("sha256: " SHA_B, (struct ask){.sender = &curl});
    assert_int_equal(v.reason, REASON_BASELINE_SENDER);
    v = match("executable: /usr/bin/wget, sha256: " SHA_B, (struct ask){.sender = &curl});
    assert_int_equal(v.reason, REASON_BASELINE_SENDER);
    v = match("script: /opt/run.py, script_sha256: " SHA_A, (struct ask){.sender = &python});
    assert_int_equal(v.reason, REASON_HASH_CHANGED);
    v = match("executable: /usr/bin/python3.11, script_sha256: " SHA_A, (struct ask){.sender = &python});
    assert_int_equal(v.reason, REASON_BASELINE_SENDER); /* any other script would be */
    pending.hash_state = SENDER_HASH_FAILED;
    pending.sha256 = SHA_A; /* whatever it is, it isn't done */
    v = match("sha256: " SHA_A, (struct ask){.sender = &pending});
    assert_int_equal(v.reason, REASON_BASELINE_SENDER);
}

static void confidence(void **state)
{
    (void)state;
    struct sender_view s = curl;
    static const char *const names[] = {"unknown", "ambiguous", "stale", "exact"};
    static const enum agent_confidence all[] = {AGENT_CONFIDENCE_UNKNOWN, AGENT_CONFIDENCE_AMBIGUOUS,
                                                AGENT_CONFIDENCE_STALE, AGENT_CONFIDENCE_EXACT};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        char named[128];
        s.confidence = all[i];
        struct verdict v = match("executable: /usr/bin/curl", (struct ask){.sender = &s});
        assert_int_equal(v.reason, all[i] == AGENT_CONFIDENCE_EXACT ? REASON_NONE : REASON_SENDER_UNKNOWN);
        for (size_t k = 0; k < ARRAY_LEN(names); k++) {
            snprintf(named, sizeof named, "executable: /usr/bin/curl, confidence: [%s]", names[k]);
            assert_int_equal(holds(named, (struct ask){.sender = &s}), i == k);
        }
    }
    assert_true(holds("confidence: [unknown]", (struct ask){0}));
    assert_false(holds("executable: /usr/bin/curl, confidence: [unknown]", (struct ask){0}));
    assert_false(holds("confidence: [stale, ambiguous]", (struct ask){0}));
}

/* Whatever says who it is: without certainty it is not him, unless the entry says how unsure it may be. */
static void unsure_is_not_yes(void **state)
{
    (void)state;
    static const char *const conditions[] = {"executable: /usr/bin/curl", "package: curl", "user: alice",
                                             ("sha256: " SHA_A), "executable: /usr/bin/curl, user: alice"};
    static const enum agent_confidence unsure[] = {AGENT_CONFIDENCE_UNKNOWN, AGENT_CONFIDENCE_AMBIGUOUS,
                                                   AGENT_CONFIDENCE_STALE};
    for (size_t c = 0; c < ARRAY_LEN(conditions); c++) {
        struct sender_view s = curl;
        char named[256];
        assert_true(holds(conditions[c], (struct ask){.sender = &s}));
        snprintf(named, sizeof named, "%s, confidence: [exact, stale, ambiguous, unknown]", conditions[c]);
        for (size_t i = 0; i < ARRAY_LEN(unsure); i++) {
            s.confidence = unsure[i];
            assert_false(holds(conditions[c], (struct ask){.sender = &s}));
            assert_true(holds(named, (struct ask){.sender = &s}));
        }
    }
}

static void first_match_decides(void **state)
{
    (void)state;
    struct baseline *b = parse("version: 1\n"
                               "senders:\n"
                               "  - name: narrow\n"
                               "    match: {executable: /usr/bin/curl, user: alice}\n"
                               "    allow: [{host: a.example}]\n"
                               "  - name: wide\n"
                               "    match: {executable: /usr/bin/curl}\n"
                               "    allow: [{host: b.example}]\n");
    struct sender_view bob = curl;
    bob.user = "bob";
    struct verdict v = decide(b, (struct ask){.sender = &curl, .host = "a.example"});
    assert_int_equal(v.action, VERDICT_ALLOW);
    assert_string_equal(v.entry, "narrow");
    assert_int_equal(v.entry_line, 3);
    assert_string_equal(v.selector, "host a.example");
    assert_int_equal(v.selector_line, 5);
    v = decide(b, (struct ask){.sender = &curl, .host = "b.example"});
    assert_int_equal(v.action, VERDICT_BLOCK);
    assert_int_equal(v.reason, REASON_BASELINE_DESTINATION);
    assert_string_equal(v.entry, "narrow");
    assert_null(v.selector);
    v = decide(b, (struct ask){.sender = &bob, .host = "b.example"});
    assert_string_equal(v.entry, "wide");
    assert_int_equal(v.action, VERDICT_ALLOW);
    v = decide(b, (struct ask){.sender = &python, .host = "b.example"});
    assert_int_equal(v.reason, REASON_BASELINE_SENDER);
    assert_null(v.entry);
    baseline_free(b);
}

static void modes(void **state)
{
    (void)state;
    static const char *const format =
        "version: 1\nmode: %s\nunknown_sender: {action: block, mode: report}\nsenders:\n"
        "  - {name: a, match: {user: alice}, allow: [{host: a.example}]}\n"
        "  - {name: b, match: {user: bob}, mode: open, allow: [{host: a.example}]}\n";
    static const struct {
        const char *mode;
        enum verdict_action action;
        bool would;
    } rows[] = {
        {"open", VERDICT_ALLOW, false}, {"report", VERDICT_ALERT, true}, {"enforce", VERDICT_BLOCK, false}};
    struct sender_view bob = curl, carol = curl;
    bob.user = "bob";
    carol.user = "carol";
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[1024];
        snprintf(text, sizeof text, format, rows[i].mode);
        struct baseline *b = parse(text);
        struct verdict v = decide(b, (struct ask){.sender = &curl, .host = "b.example"});
        assert_int_equal(v.action, rows[i].action);
        assert_int_equal(v.would_block, rows[i].would);
        assert_int_equal(v.reason, REASON_BASELINE_DESTINATION);
        v = decide(b, (struct ask){.sender = &carol, .host = "b.example"});
        assert_int_equal(v.action, rows[i].action);
        assert_int_equal(v.reason, REASON_BASELINE_SENDER);
        v = decide(b, (struct ask){.sender = &curl, .host = "a.example"});
        assert_int_equal(v.action, VERDICT_ALLOW);
        assert_false(v.would_block);
        v = decide(b, (struct ask){.sender = &bob, .host = "b.example"});
        assert_int_equal(v.action, VERDICT_ALLOW);
        assert_int_equal(v.mode, MODE_OPEN);
        v = decide(b, (struct ask){.host = "b.example"});
        assert_int_equal(v.action, VERDICT_ALERT);
        assert_int_equal(v.reason, REASON_SENDER_UNKNOWN);
        baseline_free(b);
    }
    struct baseline *b = parse("version: 1\nsenders: []\nunknown_sender: {action: allow}\n");
    struct verdict v = decide(b, (struct ask){.host = "b.example"});
    assert_int_equal(v.action, VERDICT_ALLOW);
    assert_int_equal(v.reason, REASON_NONE);
    assert_string_equal(v.entry, "unknown_sender");
    assert_int_equal(v.entry_line, 3);
    v = decide(b, (struct ask){.host = "b.example", .sender = &curl}); /* known and unlisted is not unknown */
    assert_int_equal(v.action, VERDICT_BLOCK);
    assert_int_equal(v.mode, MODE_ENFORCE);
    baseline_free(b);
}

/* ---- destinations ---- */

enum answer { NO, YES, MAYBE };

static enum answer reach(const char *items, struct ask a)
{
    char text[1024];
    snprintf(text, sizeof text,
             "version: 1\nsenders:\n  - name: it\n    match: {user: alice}\n    allow: [%s]\n", items);
    struct baseline *b = parse(text);
    a.sender = &curl;
    struct verdict v = decide(b, a);
    assert_true((v.selector != NULL) == (v.reason == REASON_NONE));
    assert_true(!v.needs_address || v.reason == REASON_NONE);
    baseline_free(b);
    return v.reason != REASON_NONE ? NO : v.needs_address ? MAYBE : YES;
}

static void destinations_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *items, *host;
        uint16_t port;
        enum answer answer;
    } rows[] = {
        {"{host: a.example}", "a.example", 443, YES},
        {"{host: A.Example.}", "a.EXAMPLE", 443, YES},
        {"{host: a.example}", "b.a.example", 443, NO},
        {"{host: a.example}", "example", 443, NO},
        {"{host: 192.0.2.1}", "192.0.2.1", 443, YES},
        {"{host: 192.0.2.1}", "192.0.2.2", 443, NO},
        {"{host: \"2001:db8::1\"}", "2001:DB8:0::1", 443, YES},
        {"{domain: example.co.uk}", "example.co.uk", 443, YES},
        {"{domain: example.co.uk}", "a.b.example.co.uk", 443, YES},
        {"{domain: example.co.uk}", "other.co.uk", 443, NO},
        {"{domain: example.co.uk}", "notexample.co.uk", 443, NO},
        {"{domain: deep.example.com}", "x.deep.example.com", 443, YES},
        {"{domain: deep.example.com}", "example.com", 443, NO},
        {"{domain: me.github.io}", "me.github.io", 443, YES},
        {"{domain: me.github.io}", "you.github.io", 443, NO},
        {"{any: true}", "x.example", 22, YES},
        {"{any: true}", "192.0.2.1", 22, YES},
        {"{any: true, ports: [443, 80]}", "x.example", 80, YES},
        {"{any: true, ports: [443, 80]}", "x.example", 81, NO},
        {"{host: a.example, ports: [8080]}, {host: a.example, ports: [443]}", "a.example", 443, YES},
        {"{host: a.example, ports: [8080]}, {host: b.example, ports: [443]}", "a.example", 443, NO},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (reach(rows[i].items, (struct ask){.host = rows[i].host, .port = rows[i].port}) != rows[i].answer)
            fail_msg("%s for %s:%u", rows[i].items, rows[i].host, rows[i].port);
}

static void destinations_by_address(void **state)
{
    (void)state;
    static const struct {
        const char *items, *host, *address; /* address: the second phase */
        uint32_t asn;
        enum answer answer;
    } rows[] = {
        /* an unlisted name is never resolved because a network is listed */
        {"{network: 192.0.2.0/24}", "x.example", NULL, 0, NO},
        {"{network: 192.0.2.0/24}", "x.example", "192.0.2.1", 0, NO},
        {"{network: 192.0.2.0/24}", "192.0.2.1", NULL, 0, YES},
        {"{network: 192.0.2.0/24}", "192.0.2.1", "192.0.2.1", 0, YES},
        {"{network: 192.0.2.0/24}", "192.0.3.1", NULL, 0, NO},
        {"{network: \"::/0\"}", "192.0.2.1", NULL, 0, NO},
        {"{asn: 64500}", "x.example", NULL, 64500, NO},
        {"{asn: 64500}", "192.0.2.1", NULL, 64500, YES},
        {"{asn: 64500}", "192.0.2.1", NULL, 64501, NO},
        {"{asn: 64500}", "192.0.2.1", NULL, 0, MAYBE},
        {"{asn: 64500}", "192.0.2.1", "192.0.2.1", 0, NO},
        /* unless it says so */
        {"{network: 192.0.2.0/24, resolve: true}", "x.example", NULL, 0, MAYBE},
        {"{network: 192.0.2.0/24, resolve: true}", "x.example", "192.0.2.1", 0, YES},
        {"{network: 192.0.2.0/24, resolve: true}", "x.example", "192.0.3.1", 0, NO},
        {"{network: 192.0.2.0/24, resolve: true, ports: [80]}", "x.example", NULL, 0, NO},
        {"{asn: 64500, resolve: true}", "x.example", NULL, 0, MAYBE},
        {"{asn: 64500, resolve: true}", "x.example", "192.0.2.1", 64500, YES},
        {"{asn: 64500, resolve: true}", "x.example", "192.0.2.1", 64501, NO},
        {"{asn: 64500, resolve: true}", "x.example", "192.0.2.1", 0, NO},
        /* beside a name it narrows */
        {"{domain: example.com, network: 10.0.0.0/8}", "a.example.com", NULL, 0, MAYBE},
        {"{domain: example.com, network: 10.0.0.0/8}", "a.example.com", "10.1.1.1", 0, YES},
        {"{domain: example.com, network: 10.0.0.0/8}", "a.example.com", "11.1.1.1", 0, NO},
        {"{domain: example.com, network: 10.0.0.0/8}", "b.example", NULL, 0, NO},
        {"{domain: example.com, network: 10.0.0.0/8}", "10.1.1.1", NULL, 0, NO},
        {"{host: a.example, asn: 64500, network: 10.0.0.0/8}", "a.example", NULL, 0, MAYBE},
        {"{host: a.example, asn: 64500, network: 10.0.0.0/8}", "a.example", "10.1.1.1", 64500, YES},
        {"{host: a.example, asn: 64500, network: 10.0.0.0/8}", "a.example", "10.1.1.1", 1, NO},
        /* several items: yes is better than maybe, whatever the order */
        {"{host: a.example, network: 10.0.0.0/8}, {host: a.example, ports: [443]}", "a.example", NULL, 0,
         YES},
        {"{host: a.example, network: 10.0.0.0/8}, {host: b.example}", "a.example", NULL, 0, MAYBE},
        {"{host: a.example, network: 10.0.0.0/8}, {host: a.example, network: 11.0.0.0/8}", "a.example",
         "11.1.1.1", 0, YES},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (reach(rows[i].items,
                  (struct ask){.host = rows[i].host, .address = rows[i].address, .asn = rows[i].asn}) !=
            rows[i].answer)
            fail_msg("%s for %s (%s)", rows[i].items, rows[i].host, rows[i].address ? rows[i].address : "");
}

static void sets(void **state)
{
    (void)state;
    struct baseline *b = parse("version: 1\n"
                               "destination_sets:\n"
                               "  web:\n"
                               "    - {domain: example.com, ports: [443, 80]}\n"
                               "    - {host: a.example}\n"
                               "senders:\n"
                               "  - name: one\n"
                               "    match: {user: alice}\n"
                               "    allow: [{host: a.example}, {use: web}]\n"
                               "  - name: two\n"
                               "    match: {user: bob}\n"
                               "    allow: [{use: web}]\n");
    struct verdict v = decide(b, (struct ask){.sender = &curl, .host = "x.example.com", .port = 80});
    assert_int_equal(v.action, VERDICT_ALLOW);
    assert_string_equal(v.selector, "domain example.com, port 80 443");
    assert_int_equal(v.selector_line, 4);
    v = decide(b, (struct ask){.sender = &curl, .host = "a.example"});
    assert_int_equal(v.selector_line, 9);
    assert_false(baseline_needs_hash(b));
    baseline_free(b);
    b = parse("version: 1\nsenders: [{name: a, match: {sha256: " SHA_A "}, allow: [{any: true}]}]");
    assert_true(baseline_needs_hash(b));
    baseline_free(b);
    b = parse("version: 1\nsenders: [{name: a, match: {script_sha256: " SHA_A "}, allow: [{any: true}]}]");
    assert_true(baseline_needs_hash(b));
    baseline_free(b);
}

/* Long lists are filtered before they are read: nothing that holds may be lost. */
static void long_lists(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, 1 << 20);
    buf_append_str(&text, "version: 1\nsenders:\n");
    for (int i = 0; i < 300; i++)
        buf_printf(&text,
                   "  - {name: s%d, match: {executable: /opt/tool%d}, allow: [{host: own%d.example}]}\n", i,
                   i, i);
    buf_append_str(&text, "  - name: last\n    match: {user: alice}\n    allow:\n");
    for (int i = 0; i < 300; i++)
        buf_printf(&text, "      - {%s: d%d.example}\n", i % 2 ? "domain" : "host", i);
    buf_append(&text, "", 1);
    struct baseline *b = parse((const char *)buf_span(&text).data);
    for (int i = 0; i < 300; i++) {
        char host[64], executable[64];
        snprintf(host, sizeof host, "a.b.d%d.example", i);
        struct verdict v = decide(b, (struct ask){.sender = &curl, .host = host});
        assert_int_equal(v.action, i % 2 ? VERDICT_ALLOW : VERDICT_BLOCK);
        snprintf(host, sizeof host, "d%d.example", i);
        v = decide(b, (struct ask){.sender = &curl, .host = host});
        assert_int_equal(v.action, VERDICT_ALLOW);
        snprintf(host, sizeof host, "own%d.example", i);
        snprintf(executable, sizeof executable, "/opt/tool%d", i);
        struct sender_view tool = curl;
        tool.executable = executable;
        v = decide(b, (struct ask){.sender = &tool, .host = host});
        assert_int_equal(v.action, VERDICT_ALLOW);
        v = decide(b, (struct ask){.sender = &tool, .host = "d1.example"});
        assert_int_equal(v.action, VERDICT_BLOCK);
    }
    baseline_free(b);
    buf_free(&text);
}

/* ---- errors ---- */

static void refuse(const char *text, unsigned line, unsigned column, const char *part)
{
    struct err err = {0};
    struct baseline *b = baseline_parse(span_str(text), "b.yaml", &err);
    if (b)
        fail_msg("taken:\n%s", text);
    if (err.line != line || err.column != column || !strstr(err.text, part))
        fail_msg("%u:%u: %s (expected %u:%u %s)\n%s", err.line, err.column, err.text, line, column, part,
                 text);
    assert_string_equal(err.file, "b.yaml");
}

static void errors_at_the_top(void **state)
{
    (void)state;
    refuse("", 1, 1, "a mapping");
    refuse("[]", 1, 1, "a mapping");
    refuse("senders: []", 1, 1, "version is missing");
    refuse("version: 2\nsenders: []", 1, 10, "from 1 to 1");
    refuse("version: '1'\nsenders: []", 1, 10, "from 1 to 1");
    refuse("version: 1", 1, 1, "senders is missing");
    refuse("version: 1\nmod: open\nsenders: []", 2, 1, "did you mean \"mode\"?");
    refuse("version: 1\nmode: enforced\nsenders: []", 2, 7, "open, report or enforce");
    refuse("version: 1\nsenders: {}", 2, 10, "a list");
    refuse("version: 1\nsenders:\n", 2, 9, "a list");
    refuse("version: 1\nunknown_sender: block\nsenders: []", 2, 17, "a mapping");
    refuse("version: 1\nunknown_sender: {}\nsenders: []", 2, 17, "missing here");
    refuse("version: 1\nunknown_sender: {action: alow}\nsenders: []", 2, 26, "block or allow");
    refuse("version: 1\nunknown_sender: {mode: off}\nsenders: []", 2, 24, "open, report or enforce");
    refuse("version: 1\ndestination_sets: []\nsenders: []", 2, 19, "a mapping");
    refuse("version: 1\ndestination_sets:\n  web: []\nsenders: []", 3, 8, "allows nothing");
    refuse("version: 1\ndestination_sets:\n  web: [{host: a}]\nsenders: []", 3, 3, "no sender uses");
    refuse("version: 1\ndestination_sets:\n  web: [{use: web}]\nsenders: []", 3, 9, "use stands alone");
    refuse("version: 1\ndestination_sets:\n  web: [{host: a}]\n  web: [{host: a}]\nsenders: []", 4, 3,
           "given twice");
    refuse("version: 1\nsenders: []\nversion: 1\n", 3, 1, "given twice");
}

/* One sender whose match (at 4:12) or allow (at 5:12) is wrong. */
static void refuse_match(const char *match_text, unsigned column, const char *part)
{
    char text[1024];
    snprintf(text, sizeof text,
             "version: 1\nsenders:\n  - name: it\n    match: %s\n    allow: [{any: true}]\n", match_text);
    refuse(text, 4, column, part);
}

static void refuse_allow(const char *allow_text, unsigned column, const char *part)
{
    char text[1024];
    snprintf(text, sizeof text, "version: 1\nsenders:\n  - name: it\n    match: {user: a}\n    allow: %s\n",
             allow_text);
    refuse(text, 5, column, part);
}

static void errors_of_a_match(void **state)
{
    (void)state;
    refuse_match("{}", 12, "an empty match");
    refuse_match("x", 12, "a mapping");
    refuse_match("{exe: /bin/x}", 13, "unknown key \"exe\"");
    refuse_match("{executables: /bin/x}", 13, "did you mean \"executable\"?");
    refuse_match("{executable: curl}", 25, "an absolute path");
    refuse_match("{executable: /usr/bin/}", 25, "an absolute path");
    refuse_match("{executable: /}", 25, "an absolute path");
    refuse_match("{executable: //bin/x}", 25, "without //");
    refuse_match("{executable: /a/../bin/x}", 25, "without //");
    refuse_match("{executable: /a/.}", 25, "without //");
    refuse_match("{executable: [/bin/x]}", 25, "a single value");
    refuse_match("{executable: true}", 25, "a text");
    refuse_match("{executable: }", 25, "not nothing");
    refuse_match("{executable: \"/bin/\\x07x\"}", 25, "printable");
    refuse_match("{executable: \"/bin/\\uFFFD\"}", 25, "U+FFFD");
    refuse_match("{signature: EQHXZ8M8AV}", 24, "as TEAM/IDENTIFIER");
    refuse_match("{sha256: abc}", 21, "64 lower-case hex");
    refuse_match("{sha256: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA}", 21,
                 "64 lower-case hex");
    refuse_match("{package: \"curl:amd64\"}", 22, "without its architecture");
    refuse_match("{user: \"a b\"}", 19, "a user's name");
    refuse_match("{unit: cron}", 19, "a system service");
    refuse_match("{unit: .service}", 19, "a system service");
    refuse_match("{unit: session-3.scope}", 19, "a system service");
    refuse_match("{unit: user@1000.service}", 19, "a system service");
    refuse_match("{unit: user@1000.service/cron.service}", 19, "a system service");
    refuse_match("{client_network: 10.0.0.1/8}", 29, "a network");
    refuse_match("{confidence: []}", 25, "matches nothing");
    refuse_match("{confidence: exact}", 25, "a list");
    refuse_match("{confidence: [sure]}", 26, "unknown, ambiguous, stale or exact");
    refuse_match("{confidence: [exact, exact]}", 33, "twice");
    refuse_match("{package: a, borrowed: [preload, preload]}", 45, "twice");
    refuse_match("{package: a, borrowed: [sure]}", 36, "preload");
    refuse_match("{user: a, borrowed: [preload]}", 32, "never counts");
    refuse_match("{executable: /usr/bin/python3.11}", 25, "not approved as a whole");
    refuse_match("{executable: /bin/bash, user: a}", 25, "not approved as a whole");
    refuse_match("{package: nodejs}", 22, "not approved as a whole");
    refuse_match("{package: python3.11-minimal, proxy_user: x}", 22, "not approved as a whole");
    refuse_match("{role: gw.test}", 19, "as the certificate has it");
    refuse_match("{role: \"cn:\"}", 19, "as the certificate has it");
    refuse_match("{role: \"dns:GW.test\"}", 19, "lower case");
    refuse_match("{role: \"ip:::0:1\"}", 19, "usual form");
    refuse_match("{role: \"sha256:ab\"}", 19, "64 lower-case");
    baseline_free(parse("version: 1\nsenders: [{name: a, match: {executable: /bin/bash, unit: a.service}, "
                        "allow: [{any: true}]}]"));
    baseline_free(parse("version: 1\nsenders: [{name: a, match: {executable: /bin/bash, script: /a}, allow: "
                        "[{any: true}]}]"));
}

static void errors_of_a_destination(void **state)
{
    (void)state;
    refuse_allow("[]", 12, "allows nothing");
    refuse_allow("{any: true}", 12, "a list");
    refuse_allow("[any]", 13, "a mapping");
    refuse_allow("[{}]", 13, "a destination needs");
    refuse_allow("[{ports: [80]}]", 13, "a destination needs");
    refuse_allow("[{hosts: a}]", 14, "did you mean \"host\"?");
    refuse_allow("[{host: a b}]", 20, "not a host: a character");
    refuse_allow("[{host: \"b\xc3\xbc\"}]", 20, "A-label");
    refuse_allow("[{host: 127.1}]", 20, "four plain decimals");
    refuse_allow("[{host: \"fe80::1%1\"}]", 20, "zone");
    refuse_allow("[{domain: 192.0.2.1}]", 22, "has no domain");
    refuse_allow("[{domain: co.uk}]", 22, "co.uk is a public suffix");
    refuse_allow("[{domain: com}]", 22, "public suffix");
    refuse_allow("[{domain: github.io}]", 22, "public suffix");
    refuse_allow("[{domain: internal}]", 22, "public suffix");
    refuse_allow("[{domain: a.example, host: a.example}]", 13, "one of host, domain and any");
    refuse_allow("[{any: true, host: a}]", 13, "one of host, domain and any");
    refuse_allow("[{any: false}]", 19, "any is true, or isn't there");
    refuse_allow("[{any: 1}]", 19, "true or false");
    refuse_allow("[{any: true, network: 10.0.0.0/8}]", 14, "doesn't go with network");
    refuse_allow("[{network: 10.0.0.0/33}]", 23, "a network");
    refuse_allow("[{network: 10.1.0.0/8}]", 23, "nothing behind its prefix");
    refuse_allow("[{asn: 0}]", 19, "from 1 to 4294967295");
    refuse_allow("[{asn: AS1}]", 19, "from 1 to");
    refuse_allow("[{host: a, resolve: true}]", 23, "resolve goes with");
    refuse_allow("[{network: 10.0.0.0/8, resolve: false}]", 44, "resolve is true");
    refuse_allow("[{host: 10.0.0.1, network: 10.0.0.0/8}]", 13, "in one item");
    refuse_allow("[{host: a, ports: 80}]", 30, "a list");
    refuse_allow("[{host: a, ports: []}]", 30, "1 to 256 ports");
    refuse_allow("[{host: a, ports: [0]}]", 31, "from 1 to 65535");
    refuse_allow("[{host: a, ports: [80, 80]}]", 35, "given twice");
    refuse_allow("[{use: web}]", 19, "no destination set \"web\"");
    refuse_allow("[{use: web, ports: [80]}]", 13, "use stands alone");
}

/* `second` never counts after `first`: the error is at the second item, column 13 of line 6. */
static bool covers(const char *first, const char *second)
{
    char text[1024];
    struct err err = {0};
    snprintf(text, sizeof text,
             "version: 1\nsenders:\n  - {name: it, match: {user: a}, allow: [\n      {%s},\n      {%s}]}\n",
             first, second);
    struct baseline *b = baseline_parse(span_str(text), "b.yaml", &err);
    baseline_free(b);
    if (b)
        return false;
    if (err.line != 5 || err.column != 7 || !strstr(err.text, "never counts: line 4"))
        fail_msg("%u:%u: %s\n%s", err.line, err.column, err.text, text);
    return true;
}

static void destinations_that_never_count(void **state)
{
    (void)state;
    static const struct {
        const char *first, *second;
        bool covered;
    } rows[] = {
        {"host: a", "host: a", true},
        {"host: a", "host: A.", true},
        {"host: a", "host: b", false},
        {"domain: example.com", "host: a.example.com", true},
        {"host: a.example.com", "domain: example.com", false},
        {"domain: example.com", "domain: a.example.com", true},
        {"domain: a.example.com", "domain: example.com", false},
        {"any: true", "host: a", true},
        {"any: true", "network: 10.0.0.0/8", true},
        {"any: true, ports: [443]", "host: a", false},
        {"any: true, ports: [443]", "host: a, ports: [443, 80]", false},
        {"any: true, ports: [443, 80]", "host: a, ports: [80]", true},
        {"host: a", "any: true", false},
        {"network: 10.0.0.0/8", "network: 10.1.0.0/16", true},
        {"network: 10.1.0.0/16", "network: 10.0.0.0/8", false},
        {"network: 10.0.0.0/8", "network: 10.1.0.0/16, resolve: true", false},
        {"network: 10.0.0.0/8, resolve: true", "network: 10.1.0.0/16", true},
        {"network: 10.0.0.0/8", "host: 10.1.1.1", true},
        {"network: 10.0.0.0/8", "host: 11.1.1.1", false},
        {"network: 10.0.0.0/8", "host: a, network: 10.0.0.0/8", false},
        {"network: 10.0.0.0/8, resolve: true", "host: a, network: 10.1.0.0/16", true},
        {"host: a", "host: a, network: 10.0.0.0/8", true},
        {"host: a, network: 10.0.0.0/8", "host: a", false},
        {"asn: 1", "asn: 1", true},
        {"asn: 1", "asn: 2", false},
        {"asn: 1", "asn: 1, network: 10.0.0.0/8", true},
        {"asn: 1, network: 10.0.0.0/8", "asn: 1", false},
        {"asn: 1", "host: 10.0.0.1", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (covers(rows[i].first, rows[i].second) != rows[i].covered)
            fail_msg("%s, then %s", rows[i].first, rows[i].second);
    refuse("version: 1\ndestination_sets:\n  s: [{host: a}, {host: b}, {host: a}]\nsenders: []", 3, 29,
           "never counts: line 3 (host a)");
    refuse("version: 1\ndestination_sets:\n  s: [{host: a}]\nsenders:\n"
           "  - {name: x, match: {user: u}, allow: [{host: a}, {use: s}]}\n",
           5, 52, "everything in \"s\" is already covered");
    refuse("version: 1\ndestination_sets:\n  s: [{host: a}]\nsenders:\n"
           "  - {name: x, match: {user: u}, allow: [{use: s}, {host: a}]}\n",
           5, 51, "never counts: line 3");
}

static bool shadows(const char *first, const char *second)
{
    char text[1024];
    struct err err = {0};
    snprintf(text, sizeof text,
             "version: 1\nsenders:\n  - {name: one, match: {%s}, allow: [{any: true}]}\n"
             "  - {name: two, match: {%s}, allow: [{any: true}]}\n",
             first, second);
    struct baseline *b = baseline_parse(span_str(text), "b.yaml", &err);
    baseline_free(b);
    if (b)
        return false;
    if (err.line != 4 || err.column != 5 || !strstr(err.text, "never counts: \"one\" (line 3)"))
        fail_msg("%u:%u: %s\n%s", err.line, err.column, err.text, text);
    return true;
}

static void senders_that_never_count(void **state)
{
    (void)state;
    static const struct {
        const char *first, *second;
        bool shadowed;
    } rows[] = {
        {"user: a", "user: a", true},
        {"user: a", "user: b", false},
        {"executable: /bin/x", "executable: /bin/x, user: a", true},
        {"executable: /bin/x, user: a", "executable: /bin/x", false},
        {"user: a", "user: a, executable: /bin/x", true},
        {"client_network: 10.0.0.0/8", "client_network: 10.1.0.0/16, user: a", true},
        {"client_network: 10.1.0.0/16", "client_network: 10.0.0.0/8", false},
        {"client_network: 10.0.0.0/8", "user: a", false},
        {"proxy_user: p", "proxy_user: p, executable: /bin/python3, script: /s", true},
        {"proxy_user: p", "proxy_user: q", false},
        {"role: \"cn:p\"", "role: \"cn:p\", user: a", true},
        {"role: \"cn:p\"", "role: \"dns:p\"", false},
        {"role: \"cn:p\"", "user: a", false},
        {"user: a", "user: a, confidence: [stale]", false},
        {"user: a, confidence: [exact, stale]", "user: a", true},
        {"confidence: [unknown]", "client_network: 10.0.0.0/8", false},
        /* the first doesn't hold for interpreters or writable files, the second does */
        {"user: a", "user: a, script: /s", false},
        {"executable: /bin/x", "executable: /bin/x, sha256: " SHA_A, false},
        {"executable: /bin/x, user: a", "executable: /bin/x, user: a, unit: a.service", false},
        {"sha256: " SHA_A, "executable: /bin/x, sha256: " SHA_A, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (shadows(rows[i].first, rows[i].second) != rows[i].shadowed)
            fail_msg("%s, then %s", rows[i].first, rows[i].second);
    refuse("version: 1\nsenders:\n"
           "  - {name: x, match: {user: a}, allow: [{any: true}]}\n"
           "  - {name: x, match: {user: b}, allow: [{any: true}]}\n",
           4, 12, "already taken by line 3");
}

static void errors_of_a_sender(void **state)
{
    (void)state;
    refuse("version: 1\nsenders: [a]", 2, 11, "a mapping");
    refuse("version: 1\nsenders: [{match: {user: a}, allow: [{any: true}]}]", 2, 11, "name is missing");
    refuse("version: 1\nsenders: [{name: a, allow: [{any: true}]}]", 2, 11, "match is missing");
    refuse("version: 1\nsenders: [{name: a, match: {user: a}}]", 2, 11, "allow is missing");
    refuse("version: 1\nsenders: [{name: [], match: {user: a}, allow: [{any: true}]}]", 2, 18,
           "a single value");
    refuse("version: 1\nsenders: [{nam: a, match: {user: a}, allow: [{any: true}]}]", 2, 12,
           "did you mean \"name\"?");
    refuse("version: 1\nsenders: [{name: a, match: {user: a}, allow: [{any: true}], mode: on}]", 2, 67,
           "open, report or enforce");
    refuse("version: 1\nsenders: [{name: a, owner: {}, match: {user: a}, allow: [{any: true}]}]", 2, 28,
           "a single value");
}

static void the_starting_baseline(void **state)
{
    (void)state;
    static char text[65536];
    FILE *f = fopen(EXEAT_SOURCE_DIR "/policy/baseline.yaml", "rb");
    assert_non_null(f);
    size_t len = fread(text, 1, sizeof text, f);
    fclose(f);
    struct err err = {0};
    struct baseline *b = baseline_parse(span_of(text, len), "baseline.yaml", &err);
    if (!b)
        fail_msg("%u:%u: %s", err.line, err.column, err.text);
    struct sender_view apt = {.confidence = AGENT_CONFIDENCE_EXACT,
                              .executable = "/usr/lib/apt/methods/http",
                              .package = "apt",
                              .user = "_apt"};
    struct verdict v = decide(b, (struct ask){.sender = &apt, .host = "deb.debian.org", .port = 80});
    assert_int_equal(v.action, VERDICT_ALLOW);
    v = decide(b, (struct ask){.sender = &apt, .host = "example.com", .port = 80});
    assert_int_equal(v.action, VERDICT_BLOCK);
    v = decide(b, (struct ask){.sender = &python, .host = "deb.debian.org", .port = 80});
    assert_int_equal(v.reason, REASON_BASELINE_SENDER);
    baseline_free(b);
}

static void handling_by_destination_then_sender(void **state)
{
    (void)state;
    static const char text[] =
        "version: 1\nsenders:\n"
        "  - name: c\n    match: {executable: /usr/bin/curl}\n    handling: peek\n    chain: wait\n"
        "    allow:\n      - {host: plain.test, handling: tunnel}\n      - {host: other.test}\n"
        "  - name: g\n    match: {executable: /usr/bin/git}\n    allow: [{host: other.test}]\n";
    struct err err = {0};
    struct baseline *b = baseline_parse(span_str(text), "b", &err);
    assert_non_null(b);
    struct sender_view he = {.confidence = AGENT_CONFIDENCE_EXACT, .executable = "/usr/bin/curl"},
                       she = {.confidence = AGENT_CONFIDENCE_EXACT, .executable = "/usr/bin/git"};
    struct verdict v = decide(b, (struct ask){.sender = &he, .host = "plain.test", .port = 443});
    assert_int_equal(v.handling, HANDLING_TUNNEL);
    assert_int_equal(v.probe, PROBE_WAIT);
    v = verdict_tighten(v, decide(b, (struct ask){.sender = &he, .host = "other.test", .port = 443}));
    assert_int_equal(v.handling, HANDLING_PEEK); /* it only rises */
    v = decide(b, (struct ask){.sender = &she, .host = "other.test", .port = 443});
    assert_int_equal(v.handling, HANDLING_UNSET);
    assert_int_equal(v.probe, PROBE_UNSET);
    baseline_free(b);
    assert_null(baseline_parse(span_str("version: 1\nsenders:\n  - name: c\n    match: {user: a}\n"
                                        "    handling: look\n    allow: [{any: true}]\n"),
                               "b", &err));
    assert_int_equal(err.line, 5);
}

static void client_certificates(void **state)
{
    (void)state;
    static const char text[] = "version: 1\nsenders:\n  - name: c\n    match: {executable: /usr/bin/curl}\n"
                               "    allow:\n      - {host: a.test, client_certificate: tunnel}\n"
                               "      - {host: b.test, client_certificate: refuse}\n      - {host: c.test}\n";
    struct err err = {0};
    struct baseline *b = baseline_parse(span_str(text), "b", &err);
    assert_non_null(b);
    struct sender_view he = {.confidence = AGENT_CONFIDENCE_EXACT, .executable = "/usr/bin/curl"};
    struct verdict v[3];
    static const char *const hosts[] = {"a.test", "b.test", "c.test"};
    for (size_t i = 0; i < 3; i++)
        v[i] = decide(b, (struct ask){.sender = &he, .host = hosts[i], .port = 443});
    assert_int_equal(v[0].client_certificate, CLIENT_CERTIFICATE_TUNNEL);
    assert_int_equal(v[1].client_certificate, CLIENT_CERTIFICATE_REFUSE);
    assert_int_equal(v[2].client_certificate, CLIENT_CERTIFICATE_UNSET);
    assert_int_equal(verdict_tighten(v[0], v[0]).client_certificate, CLIENT_CERTIFICATE_TUNNEL);
    assert_int_equal(verdict_tighten(v[0], v[2]).client_certificate, CLIENT_CERTIFICATE_UNSET);
    assert_int_equal(verdict_tighten(v[2], v[0]).client_certificate, CLIENT_CERTIFICATE_UNSET);
    assert_int_equal(verdict_tighten(v[0], v[1]).client_certificate, CLIENT_CERTIFICATE_REFUSE);
    baseline_free(b);
    assert_null(baseline_parse(span_str("version: 1\nsenders:\n  - name: c\n    match: {user: a}\n"
                                        "    allow: [{any: true, client_certificate: tunnel}]\n"),
                               "b", &err));
    assert_int_equal(err.line, 5);
}

static void verdicts_only_tighten(void **state)
{
    (void)state;
    struct verdict allow = {.action = VERDICT_ALLOW, .needs_address = true, .selector = "a"},
                   alert = {.action = VERDICT_ALERT, .would_block = true, .reason = REASON_BASELINE_SENDER},
                   block = {.action = VERDICT_BLOCK, .reason = REASON_BASELINE_DESTINATION},
                   later = {.selector = "b"};
    struct verdict v = verdict_tighten(allow, later);
    assert_int_equal(v.action, VERDICT_ALLOW);
    assert_false(v.needs_address);
    assert_string_equal(v.selector, "b");
    v = verdict_tighten(alert, later);
    assert_int_equal(v.action, VERDICT_ALERT);
    assert_int_equal(v.reason, REASON_BASELINE_SENDER);
    v = verdict_tighten(alert, block);
    assert_int_equal(v.action, VERDICT_BLOCK);
    assert_int_equal(v.reason, REASON_BASELINE_DESTINATION);
    assert_true(v.would_block);
    v = verdict_tighten(block, alert);
    assert_int_equal(v.action, VERDICT_BLOCK);
    v = verdict_tighten(block, later);
    assert_int_equal(v.reason, REASON_BASELINE_DESTINATION);
    assert_string_equal(verdict_action_name(VERDICT_ALERT), "alert");
    assert_string_equal(verdict_mode_name(MODE_REPORT), "report");
}

static void views_of_senders(void **state)
{
    (void)state;
    struct sender s = {.executable = "/usr/bin/curl",
                       .package_name = "curl",
                       .package_verified = -1,
                       .writable_by_user = 0,
                       .script = "/opt/run.py",
                       .script_kind = SENDER_SCRIPT_UNCLEAR};
    struct sender_view v = baseline_view_sender(&s, AGENT_CONFIDENCE_EXACT);
    assert_string_equal(v.package, "curl");
    assert_null(v.script); /* only a script that is known for sure */
    assert_true(v.interpreter);
    assert_false(v.writable_by_user);
    assert_false(v.script_writable);
    s.script_writable_by_user = -1;
    s.package_verified = 0; /* altered: no longer the package's */
    s.writable_by_user = -1;
    s.script_kind = SENDER_SCRIPT_FILE;
    v = baseline_view_sender(&s, AGENT_CONFIDENCE_STALE);
    assert_null(v.package);
    assert_true(v.writable_by_user);
    assert_true(v.script_writable); /* not known is no promise */
    assert_string_equal(v.script, "/opt/run.py");
    assert_int_equal(v.confidence, AGENT_CONFIDENCE_STALE);
    v = baseline_view_sender(NULL, AGENT_CONFIDENCE_AMBIGUOUS);
    assert_int_equal(v.confidence, AGENT_CONFIDENCE_AMBIGUOUS);
    assert_null(v.executable);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_borrowed_identity_suspends),
        cmocka_unit_test(a_parent),
        cmocka_unit_test(a_later_entry_may_take_a_borrowed_one),
        cmocka_unit_test(a_signature),
        cmocka_unit_test(a_signature_is_of_what_runs),
        cmocka_unit_test(each_condition),
        cmocka_unit_test(client_conditions),
        cmocka_unit_test(unsure_matches_what_names_it),
        cmocka_unit_test(hints),
        cmocka_unit_test(interpreters),
        cmocka_unit_test(weak_identities),
        cmocka_unit_test(confidence),
        cmocka_unit_test(unsure_is_not_yes),
        cmocka_unit_test(first_match_decides),
        cmocka_unit_test(modes),
        cmocka_unit_test(destinations_by_name),
        cmocka_unit_test(destinations_by_address),
        cmocka_unit_test(sets),
        cmocka_unit_test(long_lists),
        cmocka_unit_test(errors_at_the_top),
        cmocka_unit_test(errors_of_a_match),
        cmocka_unit_test(errors_of_a_destination),
        cmocka_unit_test(destinations_that_never_count),
        cmocka_unit_test(senders_that_never_count),
        cmocka_unit_test(errors_of_a_sender),
        cmocka_unit_test(the_starting_baseline),
        cmocka_unit_test(handling_by_destination_then_sender),
        cmocka_unit_test(client_certificates),
        cmocka_unit_test(verdicts_only_tighten),
        cmocka_unit_test(views_of_senders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
