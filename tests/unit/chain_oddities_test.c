/* chain_oddities_test.c: for each P id that a chain alone shows, and for C27 and C28: a leaf that shows it, and near ones that
 * don't. The catalogue's rules about class are shown with one leaf under a public and under a configured root. */
#include "chain_make.h"

#include <openssl/ct.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum root { PUBLIC, CONFIGURED };

static struct chain_known *known;

static struct chain_report verify_plan(const struct cert_plan *leaf, enum root root, const char *time)
{
    const struct cert_plan sent[] = {*leaf, make_middle};
    struct chain *c = make_chain(sent, 2), *roots = make_chain(&make_root, 1);
    struct trust *trust =
        trust_new_from(root == PUBLIC ? roots : NULL, root == CONFIGURED ? roots : NULL, NULL);
    struct chain_question q = {.time_s = make_now(), .trust = trust, .known = known};
    struct chain_report r;
    assert_true(!time || rfc3339_parse(span_str(time), &q.time_s));
    assert_int_equal(chain_verify(c, &q, &r), 0);
    chain_free(c), chain_free(roots), trust_free(trust);
    return r;
}

/* P ids, and C27 and C28. */
static void expect_plan(const char *what, struct cert_plan leaf, enum root root, const char *ids)
{
    char text[512];
    leaf.subject = leaf.subject ? leaf.subject : make_leaf.subject;
    leaf.issuer = leaf.issuer ? leaf.issuer : make_leaf.issuer;
    leaf.signer = make_middle.subject;
    struct chain_report r = verify_plan(&leaf, root, NULL);
    struct chain_set looked_at = {0};
    for (unsigned a = CHAIN_C27; a < CHAIN_ANOMALY_COUNT; a++)
        if (chain_set_has(r.found, a))
            chain_set_add(&looked_at, a);
    if (strcmp(make_ids(looked_at, 0, text), ids) != 0)
        fail_msg("%s: \"%s\", not \"%s\"", what, text, ids);
}

static void test_good(void **state)
{
    (void)state;
    expect_plan("configured", (struct cert_plan){0}, CONFIGURED, "");
    expect_plan("public", (struct cert_plan){0}, PUBLIC, "C27");
    expect_plan("public, of 2017", (struct cert_plan){.from = "2017-01-01T00:00:00Z"}, PUBLIC, "");
}

/* Issue dates and the last second that each allows. */
static void test_validity(void **state)
{
    (void)state;
    static const struct {
        const char *from, *good, *bad;
    } limits[] = {
        {"2020-08-31T23:59:59Z", "2040-01-01T00:00:00Z", NULL},
        {"2020-09-01T00:00:00Z", "2021-10-03T23:59:59Z", "2021-10-04T00:00:00Z"},
        {"2026-03-14T23:59:59Z", "2027-04-16T23:59:58Z", "2027-04-16T23:59:59Z"},
        {"2026-03-15T00:00:00Z", "2026-09-30T23:59:59Z", "2026-10-01T00:00:00Z"},
        {"2027-03-15T00:00:00Z", "2027-06-22T23:59:59Z", "2027-06-23T00:00:00Z"},
        {"2029-03-15T00:00:00Z", "2029-04-30T23:59:59Z", "2029-05-01T00:00:00Z"},
    };
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        expect_plan(limits[i].from, (struct cert_plan){.from = limits[i].from, .until = limits[i].good},
                    PUBLIC, "C27");
        expect_plan("private", (struct cert_plan){.from = limits[i].from, .until = "2041-01-01T00:00:00Z"},
                    CONFIGURED, "");
        if (limits[i].bad)
            expect_plan(limits[i].bad, (struct cert_plan){.from = limits[i].from, .until = limits[i].bad},
                        PUBLIC, "C27 P01");
    }
}

static void test_times(void **state)
{
    (void)state;
    static const struct {
        const char *from, *until;
        enum root root;
        const char *ids;
    } cases[] = {
        {"2025-06-01T00:00:00Z", "2025-06-07T23:59:59Z", CONFIGURED, "P02"},
        {"2025-06-01T00:00:00Z", "2025-06-08T00:00:00Z", CONFIGURED, ""},
        {"2025-06-01T00:00:00Z", "2025-06-07T23:59:59Z", PUBLIC, "C27"},
        {"2025-06-15T11:00:00Z", "2025-09-01T00:00:00Z", CONFIGURED, "P03"},
        {"2025-06-08T12:00:01Z", "2025-09-01T00:00:00Z", CONFIGURED, "P03"},
        {"2025-06-08T12:00:00Z", "2025-09-01T00:00:00Z", CONFIGURED, ""},
        {"2025-06-16T00:00:00Z", "2025-09-01T00:00:00Z", CONFIGURED, ""},
        {"2025-01-01T10:20:30Z", "2026-01-01T10:20:30Z", CONFIGURED, "P05"},
        {"2025-01-01T10:20:30Z", "2026-01-01T10:20:29Z", CONFIGURED, ""},
        {"2025-01-01T10:20:30Z", "2034-12-30T10:20:30Z", CONFIGURED, "P05"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect_plan(cases[i].until, (struct cert_plan){.from = cases[i].from, .until = cases[i].until},
                    cases[i].root, cases[i].ids);
}

static void test_leaf(void **state)
{
    (void)state;
    static const struct {
        struct cert_plan plan;
        enum root root;
        const char *ids;
    } cases[] = {
        {{.serial = "1"}, CONFIGURED, "P06"},
        {{.serial = "0"}, CONFIGURED, "P06"},
        {{.serial = "-2f8ae1c09b7d46350001"}, CONFIGURED, "P06"},
        {{.serial = "2f8ae1c09b7d463"}, CONFIGURED, ""}, /* 15 digits are 8 octets */
        {{.serial = "2f8ae1c09b7d46"}, CONFIGURED, "P06"},
        {{.serial = "7f8ae1c09b7d46352f8ae1c09b7d46352f8ae1c0"}, CONFIGURED, ""},
        {{.serial = "8f8ae1c09b7d46352f8ae1c09b7d46352f8ae1c0"}, CONFIGURED, "P06"},
        {{.serial = "1111111111111111111111"}, CONFIGURED, "P06"},
        {{.subject = "", .key = "a", .san = "critical,DNS:a.test"}, CONFIGURED, "P07"},
        {{.subject = "", .key = "a", .san = "critical,DNS:a.test"}, PUBLIC, "C27"},
        {{.subject = "CN=a.test,O=Internet Widgits Pty Ltd"}, CONFIGURED, "P07"},
        {{.subject = "CN=a.test,ST=Some-State"}, CONFIGURED, "P07"},
        {{.subject = "CN=localhost", .san = "DNS:localhost"}, CONFIGURED, "P07"},
        {{.subject = "CN=192.0.2.1", .san = "DNS:a.test,IP:192.0.2.1"}, CONFIGURED, "P07"},
        {{.subject = "CN=xkqzvbtrwp.com", .san = "DNS:xkqzvbtrwp.com"}, CONFIGURED, "P07"},
        {{.subject = "CN=www.ab3d5fg7h2.net", .san = "DNS:www.ab3d5fg7h2.net"}, CONFIGURED, "P07"},
        {{.subject = "CN=encyclopaedia.com", .san = "DNS:encyclopaedia.com"}, CONFIGURED, ""},
        {{.subject = "CN=cloudfront.net", .san = "DNS:cloudfront.net"}, CONFIGURED, ""},
        {{.subject = "CN=stackoverflow.com", .san = "DNS:stackoverflow.com"}, CONFIGURED, ""},
        {{.subject = "CN=x", .san = "-"}, CONFIGURED, "P10"},
        {{.subject = "CN=x", .san = "IP:192.0.2.1"}, CONFIGURED, "P10"},
        {{.subject = "CN=x", .san = "IP:192.0.2.1,DNS:a.test"}, CONFIGURED, ""},
        {{.usage = "-", .purpose = "-"}, CONFIGURED, "P11"},
        {{.usage = "-"}, CONFIGURED, ""},
        {{.purpose = "-"}, CONFIGURED, ""},
        {{.key = "rsa:2048"}, CONFIGURED, ""},
        {{.key = "rsa:2056"}, CONFIGURED, "P12"},
        {{.key = "P-521"}, CONFIGURED, "P12"},
        {{.key = "ed25519"}, CONFIGURED, "P12"},
        {{.key = "dsa"}, CONFIGURED, "P12"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char what[32];
        snprintf(what, sizeof what, "case %zu", i);
        expect_plan(what, cases[i].plan, cases[i].root, cases[i].ids);
    }
}

static void test_many_names(void **state)
{
    (void)state;
    char san[4096] = "DNS:a.test";
    for (int i = 1; i < 100; i++)
        snprintf(san + strlen(san), sizeof san - strlen(san), ",DNS:a%d.test", i);
    expect_plan("100 names", (struct cert_plan){.san = san}, CONFIGURED, "");
    strcat(san, ",DNS:b.test");
    expect_plan("101 names", (struct cert_plan){.san = san}, CONFIGURED, "P10");
}

/* What Tor and its like make: both names by lot. */
static void test_random_names(void **state)
{
    (void)state;
    static const struct {
        const char *subject, *issuer, *ids;
    } cases[] = {{"CN=www.xk3qzv7btr.net", "CN=www.qzj4tkx9wv.com", "P07 P09 P10"},
                 {"CN=www.example.net", "CN=www.qzj4tkx9wv.com", "P10"},
                 {"CN=www.xk3qzv7btr.net", "CN=www.example.com", "P07 P10"},
                 {"CN=www.xk3qzv7btr.net", "CN=www.qzj4tkx9wv.org", "P07 P10"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect_plan(cases[i].issuer,
                    (struct cert_plan){.subject = cases[i].subject, .issuer = cases[i].issuer, .san = "-"},
                    CONFIGURED, cases[i].ids);
}

static void test_known(void **state)
{
    (void)state;
    struct cert_plan leaf = {.subject = "CN=major cobalt strike,O=cobaltstrike", .issuer = make_leaf.issuer};
    struct chain_report r = verify_plan(&leaf, CONFIGURED, NULL);
    assert_string_equal(r.kit, "Cobalt Strike");
    assert_null(r.interceptor);
    assert_true(chain_set_has(r.found, CHAIN_P08) && !chain_set_has(r.found, CHAIN_C28));
    leaf = (struct cert_plan){.subject = "CN=a.test", .issuer = "CN=Zscaler Root CA,O=Zscaler Inc."};
    r = verify_plan(&leaf, CONFIGURED, NULL);
    assert_string_equal(r.interceptor, "Zscaler");
    assert_true(!chain_set_has(r.found, CHAIN_P08) && chain_set_has(r.found, CHAIN_C28));
    r = verify_plan(&make_leaf, CONFIGURED, NULL);
    assert_null(r.kit);
    assert_null(r.interceptor);
}

/* The root isn't sent, only trusted. */
static void test_known_root(void **state)
{
    (void)state;
    const struct cert_plan root = {
        .subject = "CN=mitmproxy,O=mitmproxy", .is_ca = true, .until = "2040-01-01T00:00:00Z"};
    struct cert_plan leaf = make_leaf, middle = make_middle;
    middle.issuer = root.subject;
    const struct cert_plan sent[] = {leaf, middle};
    struct chain *c = make_chain(sent, 2), *roots = make_chain(&root, 1);
    struct trust *trust = trust_new_from(NULL, roots, NULL);
    struct chain_question q = {.name = "a.test", .time_s = make_now(), .trust = trust, .known = known};
    struct chain_report r;
    assert_int_equal(chain_verify(c, &q, &r), 0);
    assert_true(r.trusted); /* told, not refused */
    assert_string_equal(r.interceptor, "mitmproxy");
    chain_free(c), chain_free(roots), trust_free(trust);
}

static void test_known_is_checked(void **state)
{
    (void)state;
    static const char *const bad[] = {"kits: []",
                                      "version: 2",
                                      "version: 1\nkits: {}",
                                      "version: 1\nkits: [{name: a}]",
                                      "version: 1\nkits: [{subject: abcd}]",
                                      "version: 1\nkits: [{name: a, subject: abc}]",
                                      "version: 1\nkits: [{name: a, colour: blue}]",
                                      "version: 1\nroots: []"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err err = {0};
        assert_null(chain_known_parse(span_str(bad[i]), "bad.yaml", &err));
        assert_string_equal(err.file, "bad.yaml");
        assert_true(err.line > 0);
    }
}

/* ---- timestamps: a certificate with an SCT list of our own ---- */

static struct span with_sct(const char *time)
{
    int64_t time_s = 0;
    uint8_t sct[2 + 2 + 1 + 32 + 8 + 2 + 4 + 2] = {0};
    assert_true(rfc3339_parse(span_str(time), &time_s));
    uint64_t time_ms = (uint64_t)time_s * 1000;
    sct[1] = sizeof sct - 2; /* the list */
    sct[3] = sizeof sct - 4; /* one SCT, version 1, a log's name of zeros */
    for (int i = 0; i < 8; i++)
        sct[37 + i] = (uint8_t)(time_ms >> (56 - 8 * i));
    sct[47] = 4, sct[48] = 3; /* SHA-256, ECDSA */
    sct[50] = 2;
    X509 *x = X509_new();
    struct cert_plan plan = make_leaf;
    EVP_PKEY *signer = make_key(plan.issuer);
    must(x && X509_set_version(x, X509_VERSION_3) && X509_set_pubkey(x, make_key("a")));
    make_name(X509_get_subject_name(x), plan.subject);
    make_name(X509_get_issuer_name(x), plan.issuer);
    make_serial(x, NULL);
    make_time(X509_getm_notBefore(x), "2025-01-10T00:00:00Z");
    make_time(X509_getm_notAfter(x), "2025-09-01T00:00:00Z");
    X509 *issuer = make_issuer(plan.issuer, signer);
    make_extensions(x, issuer, &plan);
    ASN1_OCTET_STRING *inner = ASN1_OCTET_STRING_new(), *outer = ASN1_OCTET_STRING_new();
    unsigned char *der = NULL;
    must(ASN1_OCTET_STRING_set(inner, sct, sizeof sct) == 1);
    int len = i2d_ASN1_OCTET_STRING(inner, &der);
    must(ASN1_OCTET_STRING_set(outer, der, len) == 1);
    X509_EXTENSION *e = X509_EXTENSION_create_by_NID(NULL, NID_ct_precert_scts, 0, outer);
    must(e && X509_add_ext(x, e, -1) == 1 && X509_sign(x, signer, EVP_sha256()) > 0);
    struct span result = make_der(x, &plan);
    OPENSSL_free(der);
    X509_EXTENSION_free(e), ASN1_OCTET_STRING_free(inner), ASN1_OCTET_STRING_free(outer), X509_free(issuer),
        X509_free(x);
    return result;
}

static void test_scts(void **state)
{
    (void)state;
    static const struct {
        const char *sct;
        bool odd;
    } cases[] = {{"2025-01-10T01:00:00Z", false},
                 {"2025-01-08T00:00:00Z", false},
                 {"2025-01-01T00:00:00Z", false},
                 {"2025-01-12T00:00:00Z", false},
                 {"2025-01-12T00:00:01Z", true}};
    struct chain *roots = make_chain(&make_middle, 1);
    struct trust *trust = trust_new_from(roots, NULL, NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct span der = with_sct(cases[i].sct);
        struct chain *c = chain_parse_der(&der, 1, NULL);
        struct chain_question q = {.time_s = make_now(), .trust = trust};
        struct chain_report r;
        int64_t sct_s = 0;
        assert_int_equal(chain_verify(c, &q, &r), 0);
        assert_true(rfc3339_parse(span_str(cases[i].sct), &sct_s));
        assert_true(chain_certificate_at(c, 0)->has_scts);
        assert_int_equal(chain_certificate_at(c, 0)->earliest_sct_s, sct_s);
        assert_false(chain_set_has(r.found, CHAIN_C27));
        assert_int_equal(chain_set_has(r.found, CHAIN_P04), cases[i].odd);
        chain_free(c);
        free((void *)(uintptr_t)der.data);
    }
    chain_free(roots), trust_free(trust);
}

static int set_up(void **state)
{
    (void)state;
    static char text[65536];
    FILE *f = fopen(EXEAT_SOURCE_DIR "/policy/chain/known.yaml", "r");
    size_t len = f ? fread(text, 1, sizeof text, f) : 0;
    struct err err = {0};
    if (f)
        fclose(f);
    known = chain_known_parse(span_of(text, len), "known.yaml", &err);
    if (!known)
        print_error("%s:%u: %s\n", err.file, err.line, err.text);
    return known ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    chain_known_free(known);
    make_free_keys();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_validity),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_leaf),
        cmocka_unit_test(test_many_names),
        cmocka_unit_test(test_random_names),
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_known_root),
        cmocka_unit_test(test_known_is_checked),
        cmocka_unit_test(test_scts),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
