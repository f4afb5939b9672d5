/* bundle_test.c: names in a bundle, its manifest, its bounds. Whether tar and gzip read it is shown by tests/e2e/test_case.py. */
#include "cmd/bundle.h"

#include "base/must.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void names_are_harmless_and_different(void **state)
{
    (void)state;
    struct err err = {0};
    struct buf manifest;
    char longer[300], text[1024];
    struct bundle *b = bundle_new("case", 1700000000);
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(bundle_add(b, "rules/a b\n\x1b.yml", span_str("abc"), &err), 0);
    assert_int_equal(bundle_add(b, "rules/a b\n\x1b.yml", span_of(NULL, 0), &err), 0);
    assert_int_equal(bundle_add(b, longer, span_str("abc"), &err), 0);
    assert_int_equal(bundle_add(b, longer, span_str("abc"), &err), 0);
    buf_init(&manifest, 4096);
    assert_int_equal(bundle_write_manifest(b, &manifest), 0);
    snprintf(text, sizeof text, "%.*s", (int)buf_len(&manifest), (const char *)buf_span(&manifest).data);
    assert_non_null(
        strstr(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  rules/a_b__.yml\n"));
    assert_non_null(strstr(
        text, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  rules/a_b__.yml.2\n"));
    assert_non_null(strstr(text, "xxx.2\n"));
    buf_free(&manifest);
    bundle_free(b);
}

static void there_is_an_end_to_it(void **state)
{
    (void)state;
    struct err err = {0};
    char name[16];
    struct bundle *b = bundle_new("case", 1700000000);
    for (int i = 0; i < BUNDLE_FILES_MAX; i++) {
        snprintf(name, sizeof name, "%d", i);
        assert_int_equal(bundle_add(b, name, span_str("x"), &err), 0);
    }
    assert_int_equal(bundle_add(b, "more", span_str("x"), &err), -1);
    bundle_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names_are_harmless_and_different),
                                       cmocka_unit_test(there_is_an_end_to_it)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
