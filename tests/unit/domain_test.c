/* domain_test.c: registrable domains, stable names of senders, lists of popular domains, whose JA4 it is. */
#include "base/must.h"
#include "facts/domain.h"
#include "facts/ja4_known.h"
#include "facts/popularity.h"
#include "facts/stable_sender.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void expect_domain(const char *text, const char *domain)
{
    struct host host;
    assert_int_equal(host_canonical_bare(span_str(text), &host), HOST_OK);
    struct span got = domain_registrable(&host);
    assert_int_equal(got.len, strlen(domain));
    assert_memory_equal(got.data, domain, got.len);
}

static void test_registrable_domains(void **state)
{
    (void)state;
    expect_domain("www.example.com", "example.com");
    expect_domain("a.b.example.co.uk", "example.co.uk");
    expect_domain("EXAMPLE.com.", "example.com");
    expect_domain("tenant.github.io", "tenant.github.io"); /* the private section */
    expect_domain("x.tenant.github.io", "tenant.github.io");
    expect_domain("github.io", "github.io"); /* a suffix itself */
    expect_domain("localhost", "localhost");
    expect_domain("host.unknown-tld", "host.unknown-tld");
    expect_domain("192.0.2.1", "192.0.2.1");
    expect_domain("2001:db8::1", "2001:db8::1");
}

/* ---- senders ---- */

static void expect_name(const struct sender *s, const char *name)
{
    char out[STABLE_SENDER_BYTES];
    assert_string_equal(stable_sender_name(s, out), name);
}

static void test_stable_names(void **state)
{
    (void)state;
    static const char digest[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    struct sender *s = sender_new();
    expect_name(NULL, "unknown");
    s->executable = "/usr/bin/curl";
    expect_name(s, "unsure /usr/bin/curl");
    s->sha256 = digest;
    s->hash_state = SENDER_HASH_DONE;
    expect_name(s, "sha256 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    s->writable_by_user = 0;
    expect_name(s, "path /usr/bin/curl");
    s->package_name = "curl";
    expect_name(s, "package curl /usr/bin/curl"); /* not checked yet */
    s->package_verified = 1;
    expect_name(s, "package curl /usr/bin/curl");
    s->writable_by_user = 1;
    expect_name(s, "package curl /usr/bin/curl");
    s->package_verified = 0; /* it isn't the package's any more */
    expect_name(s, "sha256 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    s->package_verified = 1;
    s->script_kind = SENDER_SCRIPT_COMMAND;
    expect_name(s, "package curl /usr/bin/curl script command");
    s->script_kind = SENDER_SCRIPT_FILE;
    s->script = "/opt/a.py";
    s->script_sha256 = "bb";
    expect_name(s, "package curl /usr/bin/curl script sha256 bb");
    s->script_writable_by_user = 0;
    expect_name(s, "package curl /usr/bin/curl script /opt/a.py");
    sender_unref(s);
}

static void test_long_names_stay_different(void **state)
{
    (void)state;
    char path[4000], one[STABLE_SENDER_BYTES], other[STABLE_SENDER_BYTES];
    struct sender *s = sender_new();
    memset(path, 'a', sizeof path);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    s->executable = path;
    s->script_kind = SENDER_SCRIPT_FILE;
    s->script = path;
    s->script_writable_by_user = 0;
    stable_sender_name(s, one);
    path[sizeof path - 2] = 'b';
    stable_sender_name(s, other);
    assert_int_equal(strlen(one), STABLE_SENDER_BYTES - 1);
    assert_string_not_equal(one, other);
    assert_memory_equal(one, other, 200);
    sender_unref(s);
}

/* ---- popularity ---- */

static const uint8_t key[SIPHASH_KEY_BYTES] = {1};

static void test_ranks(void **state)
{
    (void)state;
    struct err e = {0};
    struct popularity *p = popularity_parse(
        span_str("# a list\n1,example.com\r\n\n7,example.co.uk\nplain.org\n9,example.com"), key, "list", &e);
    assert_non_null(p);
    assert_int_equal(popularity_rank(p, span_str("example.com")), 1); /* the better one of two */
    assert_int_equal(popularity_rank(p, span_str("example.co.uk")), 7);
    assert_int_equal(popularity_rank(p, span_str("plain.org")), 5); /* the line's number */
    assert_int_equal(popularity_rank(p, span_str("www.example.com")), 0);
    assert_int_equal(popularity_rank(p, span_str("")), 0);
    popularity_free(p);
    p = popularity_parse(span_of("", 0), key, "list", &e);
    assert_int_equal(popularity_rank(p, span_str("example.com")), 0);
    popularity_free(p);
}

static void test_lists_that_are_none(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned line;
    } bad[] = {{"a.com\nB.com\n", 2},    {"x,a.com", 1},          {"0,a.com", 1},  {"1,", 1},
               {"99999999999,a.com", 1}, {"a.com\n\nb com\n", 3}, {"<html>\n", 1}, {"1,a.com,b", 1}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err e = {0};
        assert_null(popularity_parse(span_str(bad[i].text), key, "list", &e));
        assert_string_equal(e.file, "list");
        assert_int_equal(e.line, bad[i].line);
    }
}

/* ---- JA4 ---- */

static void test_whose_hello(void **state)
{
    (void)state;
    const struct ja4_known *chromium = ja4_known_find(span_str("t13d1517h2_8daaf6152771_cb7bf5808d99"));
    const struct ja4_known *openssl = ja4_known_find(span_str("t13d3112h2_e8f1e7e78f70_b26ce05bbdd6"));
    const struct ja4_known *firefox = ja4_known_find(span_str("t13d1715h2_5b57614c22b0_7121afd63204"));
    assert_string_equal(chromium->name, "chromium");
    assert_false(openssl->browser);
    static const char *const unknown[] = {"",
                                          "t13d1517h2",
                                          "t13d1517h2_8daaf6152771",
                                          "_",
                                          "__",
                                          "a__b",
                                          "t13d1517h2_000000000000_cb7bf5808d99"};
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
        assert_null(ja4_known_find(span_str(unknown[i])));
    assert_false(ja4_contradicts(chromium, true, true, true));
    assert_true(ja4_contradicts(chromium, false, true, true));
    assert_true(ja4_contradicts(chromium, true, false, true));
    assert_true(ja4_contradicts(chromium, true, true, false));
    assert_false(ja4_contradicts(firefox, true, false, true));
    assert_true(ja4_contradicts(openssl, true, true, true));
    assert_false(ja4_contradicts(openssl, false, false, false));
    assert_false(ja4_contradicts(NULL, false, true, true));
    assert_false(ja4_contradicts(NULL, true, true, true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registrable_domains),       cmocka_unit_test(test_stable_names),
        cmocka_unit_test(test_long_names_stay_different), cmocka_unit_test(test_ranks),
        cmocka_unit_test(test_lists_that_are_none),       cmocka_unit_test(test_whose_hello),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
