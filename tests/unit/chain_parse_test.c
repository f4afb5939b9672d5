/* chain_parse_test.c: PEM and DER into facts: bounds, damage, what is described and how. */
#include "chain_make.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void append_pem(struct buf *b, struct span der)
{
    const unsigned char *at = der.data;
    X509 *x = d2i_X509(NULL, &at, (long)der.len);
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    must(x && PEM_write_bio_X509(bio, x) == 1);
    long len = BIO_get_mem_data(bio, &text);
    must(buf_append(b, text, (size_t)len) == 0);
    BIO_free(bio);
    X509_free(x);
}

static void free_der(struct span der)
{
    free((void *)(uintptr_t)der.data);
}

static void test_pem(void **state)
{
    (void)state;
    struct buf b;
    struct err err = {0};
    struct span leaf = make_certificate(&make_leaf), middle = make_certificate(&make_middle);
    buf_init(&b, 1024 * 1024);
    buf_append_str(&b, " 0 s:CN = a.test\n   i:CN = Test Middle\n");
    append_pem(&b, leaf);
    buf_append_str(&b, "---\r\n-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n");
    append_pem(&b, middle);
    struct chain *c = chain_parse_pem(buf_span(&b), &err);
    assert_non_null(c);
    assert_int_equal(chain_count(c), 2);
    assert_true(span_equal(chain_certificate_at(c, 0)->der, leaf));
    assert_true(span_equal(chain_certificate_at(c, 1)->der, middle));
    assert_null(chain_certificate_at(c, 2));
    assert_int_equal(chain_total_bytes(c), leaf.len + middle.len);
    chain_free(c);
    buf_free(&b);
    free_der(leaf), free_der(middle);
}

static void test_bad_pem(void **state)
{
    (void)state;
    static const struct {
        const char *pem;
        size_t count; /* 0: refused */
    } cases[] = {
        {"", 0},
        {"nothing", 0},
        {"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", 0},
        {"-----BEGIN CERTIFICATE-----", 1},
        {"-----BEGIN CERTIFICATE-----\nAAAA\n", 1},
        {"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", 1},
        {"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n", 1},
        {"-----BEGIN CERTIFICATE-----\nAAA\n-----END CERTIFICATE-----\n", 1},
        {"-----BEGIN CERTIFICATE-----\nAAAA\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
         2},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {0};
        struct chain *c = chain_parse_pem(span_str(cases[i].pem), &err);
        assert_int_equal(c ? chain_count(c) : 0, cases[i].count);
        assert_int_equal(err.text[0] != '\0', c == NULL);
        for (size_t j = 0; c && j < chain_count(c); j++)
            assert_true(chain_certificate_at(c, j)->malformed);
        chain_free(c);
    }
}

/* A file of nothing but beginnings takes a moment, not minutes. */
static void test_pem_of_beginnings(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4 * 1024 * 1024);
    while (buf_append_str(&b, "-----BEGIN CERTIFICATE-----\n") == 0)
        continue;
    struct chain *c = chain_parse_pem(buf_span(&b), NULL);
    assert_int_equal(chain_count(c), CHAIN_CERTIFICATES_MAX);
    assert_true(chain_total_count(c) > 100000);
    chain_free(c);
    buf_free(&b);
}

static void test_bounds(void **state)
{
    (void)state;
    static uint8_t big[CHAIN_BYTES_MAX];
    struct span many[70], leaf = make_certificate(&make_leaf);
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = leaf;
    struct chain *c = chain_parse_der(many, ARRAY_LEN(many), NULL);
    assert_int_equal(chain_count(c), CHAIN_CERTIFICATES_MAX);
    assert_int_equal(chain_total_count(c), ARRAY_LEN(many));
    assert_int_equal(chain_total_bytes(c), ARRAY_LEN(many) * leaf.len);
    chain_free(c);
    many[1] = span_of(big, sizeof big);
    c = chain_parse_der(many, 3, NULL);
    assert_int_equal(chain_count(c), 1); /* and nothing behind what was too much */
    assert_int_equal(chain_total_count(c), 3);
    chain_free(c);
    c = chain_parse_der(NULL, 0, NULL);
    assert_int_equal(chain_count(c), 0);
    chain_free(c);
    free_der(leaf);
}

/* Every length cut off, and every byte of the frame changed: malformed, or the same certificate, never a crash. */
static void test_damage(void **state)
{
    (void)state;
    struct span leaf = make_certificate(&make_leaf);
    uint8_t *copy = malloc(leaf.len + 1);
    must(copy);
    for (size_t len = 0; len < leaf.len; len++) {
        struct span cut = {leaf.data, len};
        struct chain *c = chain_parse_der(&cut, 1, NULL);
        assert_true(chain_certificate_at(c, 0)->malformed);
        chain_free(c);
    }
    memcpy(copy, leaf.data, leaf.len);
    copy[leaf.len] = 0;
    struct span longer = {copy, leaf.len + 1};
    struct chain *c = chain_parse_der(&longer, 1, NULL);
    assert_true(chain_certificate_at(c, 0)->malformed);
    chain_free(c);
    struct chain_question q = {.name = "a.test", .time_s = make_now()};
    for (size_t i = 0; i < leaf.len; i++) {
        struct span spoilt = {copy, leaf.len};
        struct chain_report r;
        copy[i] ^= 0x81;
        c = chain_parse_der(&spoilt, 1, NULL);
        assert_int_equal(chain_verify(c, &q, &r), 0);
        assert_false(r.trusted);
        chain_free(c);
        copy[i] ^= 0x81;
    }
    free(copy);
    free_der(leaf);
}

/* X.690, 10.1: what BER allows and DER doesn't. */
static void test_ber(void **state)
{
    (void)state;
    struct span leaf = make_certificate(&make_leaf);
    must(leaf.data[0] == 0x30 && leaf.data[1] == 0x82);
    uint8_t *ber = malloc(leaf.len + 8);
    must(ber);
    static const uint8_t longer[] = {0x30, 0x83, 0}, indefinite[] = {0x30, 0x80};
    memcpy(ber, longer, 3);
    memcpy(ber + 3, leaf.data + 2, leaf.len - 2);
    struct span long_form = {ber, leaf.len + 1};
    struct chain *c = chain_parse_der(&long_form, 1, NULL);
    assert_true(chain_certificate_at(c, 0)->malformed);
    chain_free(c);
    memcpy(ber, indefinite, 2);
    memcpy(ber + 2, leaf.data + 4, leaf.len - 4);
    memset(ber + leaf.len - 2, 0, 2);
    struct span endless = {ber, leaf.len};
    const unsigned char *at = ber;
    X509 *x = d2i_X509(NULL, &at, (long)endless.len);
    assert_non_null(x); /* OpenSSL takes it */
    X509_free(x);
    c = chain_parse_der(&endless, 1, NULL);
    assert_true(chain_certificate_at(c, 0)->malformed);
    chain_free(c);
    free(ber);
    free_der(leaf);
}

static void test_facts(void **state)
{
    (void)state;
    const struct cert_plan plan = {
        .subject = "CN=a.test,O=Ünï \"Co\"",
        .issuer = make_middle.subject,
        .san = "DNS:a.test,IP:192.0.2.1,IP:2001:db8::1,email:a@b.test,URI:https://a.test/,RID:1.2.3",
        .serial = "-2f8ae1c09b7d46350001",
    };
    const struct cert_plan plans[] = {plan, make_middle, make_root};
    struct chain *c = make_chain(plans, 3);
    const struct chain_certificate *f = chain_certificate_at(c, 0);
    assert_string_equal(f->subject, "O=Ünï \\\"Co\\\",CN=a.test");
    assert_string_equal(f->issuer, "O=T,CN=Test Middle");
    assert_string_equal(f->common_name, "a.test");
    assert_string_equal(f->serial, "-2f8ae1c09b7d46350001");
    assert_string_equal(f->signature, "ecdsa-with-SHA256");
    assert_string_equal(f->key_type, "EC");
    assert_string_equal(f->curve, "P-256");
    assert_int_equal(f->key_bits, 256);
    assert_int_equal(f->version, 3);
    assert_int_equal(f->path_length, -1);
    assert_int_equal(f->not_before_s, 1735689600);
    assert_true(f->times_good && !f->is_ca && !f->self_issued && !f->self_signed && !f->has_scts);
    assert_int_equal(strlen(f->sha256), 64);
    assert_int_equal(strlen(f->key_sha256), 64);
    static const struct {
        enum chain_name_kind kind;
        const char *text;
    } names[] = {{CHAIN_NAME_DNS, "a.test"},          {CHAIN_NAME_IP, "192.0.2.1"},
                 {CHAIN_NAME_IP, "2001:db8::1"},      {CHAIN_NAME_EMAIL, "a@b.test"},
                 {CHAIN_NAME_URI, "https://a.test/"}, {CHAIN_NAME_OTHER, ""}};
    assert_int_equal(f->name_count, ARRAY_LEN(names));
    assert_int_equal(f->name_listed, ARRAY_LEN(names));
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        assert_int_equal(f->names[i].kind, names[i].kind);
        assert_true(span_is(f->names[i].text, names[i].text));
    }
    f = chain_certificate_at(c, 2);
    assert_true(f->is_ca && f->self_issued && f->self_signed);
    chain_free(c);
}

/* Times that X.509 forbids (RFC 5280, 4.1.2.5) are told, wherever OpenSSL would read them. */
static void test_times(void **state)
{
    (void)state;
    struct span der = make_certificate(&make_leaf);
    static const char good[] = "250101000000Z";
    uint8_t *at = memmem(der.data, der.len, good, sizeof good - 1);
    assert_non_null(at);
    static const struct {
        const char *text;
        bool good;
    } cases[] = {{"250101000000Z", true},  {"2501010000+0", false}, {"251301000000Z", false},
                 {"250101240000Z", false}, {"500101000000Z", true}, {"250229000000Z", false},
                 {"240229000000Z", true}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        memcpy(at, cases[i].text, strlen(cases[i].text));
        struct chain *c = chain_parse_der(&der, 1, NULL);
        assert_int_equal(chain_certificate_at(c, 0)->times_good, cases[i].good);
        if (cases[i].text[0] == '5')
            assert_true(chain_certificate_at(c, 0)->not_before_s < 0); /* 1950 */
        chain_free(c);
    }
    free_der(der);
}

/* ---- trust ---- */

static void test_trust_files(void **state)
{
    (void)state;
    char path[] = "/tmp/exeat-trust-XXXXXX";
    const char *files[] = {path};
    struct err err = {0};
    struct buf b;
    struct span root = make_certificate(&make_root), middle = make_certificate(&make_middle);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *f = fdopen(fd, "w");
    buf_init(&b, 65536);
    append_pem(&b, root);
    append_pem(&b, middle);
    fwrite(buf_span(&b).data, 1, buf_len(&b), f);
    fflush(f);
    struct trust *t = trust_new(false, files, 1, &err);
    assert_non_null(t);
    assert_int_equal(trust_count(t), 2);
    trust_free(t);
    t = trust_new(false, NULL, 0, &err);
    assert_int_equal(trust_count(t), 0);
    trust_free(t);
    setenv("SSL_CERT_FILE", path, 1);
    t = trust_new(true, files, 1, &err);
    assert_int_equal(trust_count(t), 4);
    trust_free(t);
    assert_string_equal(err.text, "");
    fputs("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", f);
    fclose(f);
    assert_null(trust_new(false, files, 1, &err));
    assert_string_equal(err.file, path);
    err = (struct err){0};
    setenv("SSL_CERT_FILE", "/nowhere", 1);
    assert_null(trust_new(true, NULL, 0, &err));
    unsetenv("SSL_CERT_FILE");
    remove(path);
    err = (struct err){0};
    assert_null(trust_new(false, files, 1, &err));
    assert_string_equal(err.file, path);
    buf_free(&b);
    free_der(root), free_der(middle);
}

static int tear_down(void **state)
{
    (void)state;
    make_free_keys();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pem),
        cmocka_unit_test(test_bad_pem),
        cmocka_unit_test(test_pem_of_beginnings),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_ber),
        cmocka_unit_test(test_facts),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_trust_files),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
