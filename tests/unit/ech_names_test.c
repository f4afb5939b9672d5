/* ech_names_test.c: policy/ech_names.yaml is read; which public name stands for which host; and what is refused, with its place. */
#include "rules/ech_names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
/* after these: */
#include <cmocka.h>

static struct host host_of(const char *name)
{
    struct host h;
    assert_int_equal(host_canonical_bare(span_str(name), &h), HOST_OK);
    return h;
}

static bool has(const struct ech_names *n, const char *public_name, const char *name)
{
    struct host shown = host_of(public_name), host = host_of(name);
    return ech_names_has(n, &shown, &host);
}

static void which_stands_for_which(void **state)
{
    (void)state;
    struct err err = {0};
    struct ech_names *n = ech_names_parse(
        span_str(
            "version: 1\nnames:\n  - {public_name: ECH.cdn.example, domains: [shop.example, a.b.example]}\n"
            "  - {public_name: front.example, domains: [other.example]}\n"),
        "names", &err);
    assert_non_null(n);
    assert_true(has(n, "ech.cdn.example", "shop.example"));
    assert_true(has(n, "ech.cdn.example", "www.SHOP.example"));
    assert_true(has(n, "ech.cdn.example", "a.b.example"));
    assert_false(has(n, "ech.cdn.example", "b.example"));
    assert_false(has(n, "ech.cdn.example", "notshop.example"));
    assert_false(has(n, "ech.cdn.example", "other.example"));
    assert_false(has(n, "www.ech.cdn.example", "shop.example"));
    assert_false(has(n, "shop.example", "ech.cdn.example"));
    assert_false(has(n, "ech.cdn.example", "192.0.2.1"));
    assert_false(has(NULL, "ech.cdn.example", "shop.example"));
    ech_names_free(n);
}

static void what_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned line;
    } bad[] = {
        {"", 1},
        {"version: 2\nnames: []\n", 1},
        {"version: 1\n", 1},
        {"version: 1\nnames: {}\n", 2},
        {"version: 1\nnames: [a]\n", 2},
        {"version: 1\nnames:\n  - {public_name: a.example}\n", 3},
        {"version: 1\nnames:\n  - {public_name: a.example, domains: b.example}\n", 3},
        {"version: 1\nnames:\n  - {public_name: a.example, domains: [co.uk]}\n", 3},
        {"version: 1\nnames:\n  - {public_name: 192.0.2.1, domains: [b.example]}\n", 3},
        {"version: 1\nnames:\n  - {public_name: a.example, domains: [b.example], any: true}\n", 3},
        {"version: 1\nnames:\n  - {public_name: a.example, domains:\n     [b.example,\n     "
         "\"b..example\"]}\n",
         5},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err err = {0};
        if (ech_names_parse(span_str(bad[i].text), "names", &err))
            fail_msg("%s", bad[i].text);
        assert_string_equal(err.file, "names");
        if (err.line != bad[i].line)
            fail_msg("%s: %u: %s", bad[i].text, err.line, err.text);
    }
}

static void the_file_in_policy(void **state)
{
    (void)state;
    static char text[65536];
    FILE *f = fopen(EXEAT_SOURCE_DIR "/policy/ech_names.yaml", "rb");
    struct err err = {0};
    assert_non_null(f);
    size_t len = fread(text, 1, sizeof text, f);
    fclose(f);
    struct ech_names *n = ech_names_parse(span_of(text, len), "ech_names.yaml", &err);
    if (!n)
        fail_msg("%u: %s", err.line, err.text);
    ech_names_free(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(which_stands_for_which),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(the_file_in_policy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
