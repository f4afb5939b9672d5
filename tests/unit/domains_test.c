/* domains_test.c: lists of domains, the built-in ones too. */
#include "rules/domains.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static bool has(const struct domains *d, const char *name)
{
    struct host host;
    assert_int_equal(host_canonical(span_str(name), &host), HOST_OK);
    return domains_has(d, &host);
}

static void names_and_what_is_below(void **state)
{
    (void)state;
    struct err err = {0};
    struct domains *d =
        domains_parse(NULL, span_str("# a comment\n\nBank\n  example.com  # ours\r\nz.test"), "list", &err);
    assert_non_null(d);
    assert_true(has(d, "example.com") && has(d, "www.example.com") && has(d, "my.bank") &&
                has(d, "a.b.z.test"));
    assert_false(has(d, "notexample.com") || has(d, "com") || has(d, "bank.test") || has(d, "192.0.2.1"));
    d = domains_parse(d, span_str("more.test"), "second", &err);
    assert_true(has(d, "more.test") && has(d, "example.com"));
    domains_free(d);
    assert_false(has(NULL, "example.com"));
}

static void mistakes_have_a_place(void **state)
{
    (void)state;
    struct err err = {0};
    assert_null(domains_parse(NULL, span_str("good.test\nb_d..test\n"), "list", &err));
    assert_string_equal(err.file, "list");
    assert_int_equal(err.line, 2);
    err = (struct err){0};
    assert_null(domains_parse(NULL, span_str("192.0.2.1"), "list", &err));
}

static void the_built_in_lists_can_be_read(void **state)
{
    (void)state;
    struct err err = {0};
    struct domains *d = NULL;
    for (const struct domains_file *f = domains_private; f->name; f++)
        assert_non_null(d = domains_parse(d, span_of(f->bytes, f->len), f->name, &err));
    assert_true(has(d, "www.paypal.com") && has(d, "www.doctolib.fr") && has(d, "first.bank"));
    assert_false(has(d, "example.com"));
    domains_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_what_is_below),
        cmocka_unit_test(mistakes_have_a_place),
        cmocka_unit_test(the_built_in_lists_can_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
