/* policy/senders.yaml: what is built in, who an entry is about and who isn't it, what is refused. */
#include "base/must.h"
#include "rules/sender_kinds.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct sender_view exact = {.confidence = AGENT_CONFIDENCE_EXACT};

static struct sender_kinds *read(const char *text)
{
    struct err e = {.line = 0};
    struct sender_kinds *k = sender_kinds_parse(span_str(text), "senders.yaml", &e);
    assert_non_null(k);
    return k;
}

static struct sender_kinds *read_builtin(void)
{
    struct err e = {.line = 0};
    struct sender_kinds *k = sender_kinds_parse(sender_kinds_builtin(), SENDER_KINDS_BUILTIN_NAME, &e);
    assert_non_null(k);
    return k;
}

static struct host host_of(const char *name)
{
    struct host h;
    assert_int_equal(host_canonical_bare(span_str(name), &h), HOST_OK);
    return h;
}

static void the_builtin_knows_common_programs(void **state)
{
    static const struct {
        const char *package, *script, *kind, *expects;
    } known[] = {
        {"apt", NULL, "updater", "archive"},
        {"openssh-client", NULL, "transfer_tool", "ssh_key"},
        {"curl", NULL, "transfer_tool", NULL},
        {"chromium", NULL, "browser", "browser_profile"},
        {"nodejs", "/usr/share/nodejs/npm/bin/npm-cli.js", "transfer_tool", "archive"},
        {"python3.11-minimal", "/usr/bin/aws", "developer", "cloud_credentials"},
        {"python3.11-minimal", "/opt/own/x.py", "interpreter", NULL},
    };
    struct sender_kinds *k = read_builtin();
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        struct sender_view v = exact;
        v.package = known[i].package;
        v.script = known[i].script;
        v.interpreter = known[i].script != NULL;
        const struct sender_kind *kind = sender_kinds_find(k, &v);
        assert_non_null(kind);
        assert_string_equal(sender_kind_name(kind), known[i].kind);
        assert_true(!known[i].expects || sender_kind_expects(kind, span_str(known[i].expects)));
        assert_false(sender_kind_expects(kind, span_str("tls_key")));
    }
    struct sender_view other = exact;
    other.package = "sl";
    assert_null(sender_kinds_find(k, &other));
    sender_kinds_free(k);
}

static void an_excuse_is_for_whom_it_is_certain_to_be(void **state)
{
    struct sender_kinds *k =
        read("version: 1\nsenders:\n"
             "  - {kind: updater, packages: [p], executables: [/usr/bin/x], units: [x.service],"
             " scripts: [/usr/bin/s], home: [example.org], not_tls_ports: [22]}\n"
             "  - {kind: interpreter, packages: [i]}\n");
    struct sender_view v = exact;
    (void)state;
    v.package = "p";
    const struct sender_kind *kind = sender_kinds_find(k, &v);
    assert_non_null(kind);
    struct host home = host_of("deb.example.org"), away = host_of("notexample.org");
    assert_true(sender_kind_is_home(kind, &home));
    assert_false(sender_kind_is_home(kind, &away));
    assert_true(sender_kind_has_plain_port(kind, 22));
    assert_false(sender_kind_has_plain_port(kind, 443));

    v.borrowed = 1u << SENDER_BORROWED_PRELOAD;
    assert_null(sender_kinds_find(k, &v));
    v = exact;
    v.package = "p";
    v.confidence = AGENT_CONFIDENCE_STALE;
    assert_null(sender_kinds_find(k, &v));

    v = exact; /* a path that users can write is nobody's name */
    v.executable = "/usr/bin/x";
    assert_non_null(sender_kinds_find(k, &v));
    v.writable_by_user = true;
    assert_null(sender_kinds_find(k, &v));
    v.unit = "x.service";
    assert_non_null(sender_kinds_find(k, &v));

    v = exact; /* an interpreter is what it runs */
    v.package = "p";
    v.interpreter = true;
    v.script = "/tmp/s";
    assert_null(sender_kinds_find(k, &v));
    v.script = "/usr/bin/s";
    assert_non_null(sender_kinds_find(k, &v));
    v.script_writable = true;
    assert_null(sender_kinds_find(k, &v));
    v.package = "i";
    assert_string_equal(sender_kind_name(sender_kinds_find(k, &v)), "interpreter");
    sender_kinds_free(k);
}

static void own_ones_stand_before_those_built_in_or_in_their_place(void **state)
{
    static const char own[] = "  - {kind: security, packages: [fwupd, ours]}\n";
    char text[256];
    (void)state;
    for (int beside = 0; beside < 2; beside++) {
        snprintf(text, sizeof text, "version: 1\nbeside_built_in: %s\nsenders:\n%s",
                 beside ? "true" : "false", own);
        struct sender_kinds *k = read(text);
        struct sender_view v = exact;
        v.package = "ours";
        assert_string_equal(sender_kind_name(sender_kinds_find(k, &v)), "security");
        v.package = "fwupd"; /* an updater, if nobody says otherwise */
        assert_string_equal(sender_kind_name(sender_kinds_find(k, &v)), "security");
        v.package = "snapd";
        assert_int_equal(sender_kinds_find(k, &v) != NULL, beside);
        sender_kinds_free(k);
    }
}

static void what_is_wrong_is_refused_with_its_place(void **state)
{
    static const struct {
        const char *text;
        unsigned line, column;
    } bad[] = {
        {"version: 2\nsenders: []\n", 1, 10},
        {"version: 1\nsenders:\n  - {packages: [x]}\n", 3, 5},
        {"version: 1\nbeside_built_in: 1\nsenders: []\n", 2, 18},
        {"version: 1\nbuilt_in: true\nsenders: []\n", 2, 1},
        {"version: 1\nsenders:\n  - {kind: uploader, packages: [x]}\n", 3, 12},
        {"version: 1\nsenders:\n  - {kind: updater}\n", 3, 5},
        {"version: 1\nsenders:\n  - {kind: updater, executables: [x]}\n", 3, 35},
        {"version: 1\nsenders:\n  - {kind: updater, packages: [x], home: [Example.org]}\n", 3, 43},
        {"version: 1\nsenders:\n  - {kind: updater, packages: [x], not_tls_ports: [0]}\n", 3, 52},
        {"version: 1\nsenders:\n  - {kind: updater, package: [x]}\n", 3, 21},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err e = {.line = 0};
        assert_null(sender_kinds_parse(span_str(bad[i].text), "senders.yaml", &e));
        assert_int_equal(e.line, bad[i].line);
        assert_int_equal(e.column, bad[i].column);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_builtin_knows_common_programs),
        cmocka_unit_test(an_excuse_is_for_whom_it_is_certain_to_be),
        cmocka_unit_test(own_ones_stand_before_those_built_in_or_in_their_place),
        cmocka_unit_test(what_is_wrong_is_refused_with_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
