/* chain_sct_test.c: SCTs of logs of our own: what a listed log signed is valid, and OpenSSL says so too; another time, another log, a
 * retired one, none. And lists that can't be read. */
#include "chain_make.h"

#include <openssl/ct.h>
#include <openssl/ocsp.h>
#include <openssl/sha.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

static const uint64_t promised_ms = UINT64_C(1736470800000); /* 2025-01-10T01:00:00Z */

static int key_der(EVP_PKEY *key, unsigned char **ret)
{
    *ret = NULL;
    int len = i2d_PUBKEY(key, ret);
    must(len > 0);
    return len;
}

static const char *key_base64(const char *name)
{
    static char text[1024];
    unsigned char *der;
    int len = key_der(make_key(name), &der);
    EVP_EncodeBlock((unsigned char *)text, der, len);
    OPENSSL_free(der);
    return text;
}

static void put(uint8_t **at, uint64_t number, int bytes)
{
    while (bytes-- > 0)
        *(*at)++ = (uint8_t)(number >> 8 * bytes);
}

/* RFC 6962, 3.2, over a certificate that has no SCTs yet. */
static size_t to_be_signed(X509 *bare, EVP_PKEY *issuer, uint8_t *out)
{
    unsigned char *der, *tbs = NULL;
    uint8_t *at = out;
    int len = key_der(issuer, &der), tbs_len = i2d_re_X509_tbs(bare, &tbs);
    put(&at, 0, 2);
    put(&at, promised_ms, 8);
    put(&at, 1, 2);
    SHA256(der, (size_t)len, at);
    at += SHA256_DIGEST_LENGTH;
    put(&at, (uint64_t)tbs_len, 3);
    memcpy(at, tbs, (size_t)tbs_len);
    at += tbs_len;
    put(&at, 0, 2);
    OPENSSL_free(der), OPENSSL_free(tbs);
    return (size_t)(at - out);
}

static SCT *sign_sct(const uint8_t *text, size_t text_len, const char *log, uint64_t said_ms)
{
    static uint8_t signature[512];
    size_t len = sizeof signature;
    unsigned char *der, id[SHA256_DIGEST_LENGTH];
    int der_len = key_der(make_key(log), &der);
    SHA256(der, (size_t)der_len, id);
    OPENSSL_free(der);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    must(EVP_DigestSignInit(c, NULL, EVP_sha256(), NULL, make_key(log)) == 1 &&
         EVP_DigestSign(c, signature, &len, text, text_len) == 1);
    EVP_MD_CTX_free(c);
    int nid = EVP_PKEY_get_base_id(make_key(log)) == EVP_PKEY_RSA ? NID_sha256WithRSAEncryption
                                                                  : NID_ecdsa_with_SHA256;
    SCT *sct = SCT_new();
    SCT_set_timestamp(sct, said_ms);
    must(sct && SCT_set_version(sct, SCT_VERSION_V1) == 1 && SCT_set1_log_id(sct, id, sizeof id) == 1 &&
         SCT_set_signature_nid(sct, nid) == 1 && SCT_set1_signature(sct, signature, len) == 1);
    return sct;
}

static SCT *make_sct(X509 *bare, EVP_PKEY *issuer, const char *log, uint64_t said_ms)
{
    static uint8_t text[65536];
    SCT *sct = sign_sct(text, to_be_signed(bare, issuer, text), log, said_ms);
    must(SCT_set_log_entry_type(sct, CT_LOG_ENTRY_TYPE_PRECERT) == 1);
    return sct;
}

/* With an SCT of each of `logs` (NULL ends); the caller frees both. */
static X509 *make_logged(const char *const *logs, uint64_t said_ms)
{
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
    must(X509_sign(x, signer, EVP_sha256()) > 0);
    STACK_OF(SCT) *list = sk_SCT_new_null();
    for (size_t i = 0; logs[i]; i++)
        sk_SCT_push(list, make_sct(x, signer, logs[i], said_ms));
    must(X509_add1_ext_i2d(x, NID_ct_precert_scts, list, 0, X509V3_ADD_DEFAULT) == 1 &&
         X509_sign(x, signer, EVP_sha256()) > 0);
    SCT_LIST_free(list), X509_free(issuer);
    return x;
}

static struct ct_logs *list_of(const char *log, const char *state)
{
    static char text[4096];
    struct err err = {0};
    if (!log)
        return NULL;
    snprintf(
        text, sizeof text,
        "{\"operators\":[{\"name\":\"o\",\"logs\":[{\"description\":\"l\",\"key\":\"%s\",\"state\":%s}]}]}",
        key_base64(log), state);
    struct ct_logs *l = ct_logs_parse(span_str(text), "list", &err);
    if (!l)
        fail_msg("%s", err.text);
    assert_int_equal(ct_logs_count(l), 1);
    return l;
}

/* OpenSSL's own opinion of the first SCT, with `log` as the only one there is. */
static bool openssl_agrees(X509 *leaf, const char *log)
{
    char path[] = "/tmp/exeat-ct-XXXXXX";
    int fd = mkstemp(path);
    FILE *f = fdopen(fd, "w");
    must(f && fprintf(f, "enabled_logs = one\n[one]\ndescription = one\nkey = %s\n", key_base64(log)) > 0);
    must(fclose(f) == 0);
    CTLOG_STORE *store = CTLOG_STORE_new();
    CT_POLICY_EVAL_CTX *policy = CT_POLICY_EVAL_CTX_new();
    X509 *issuer = make_issuer(make_leaf.issuer, make_key(make_leaf.issuer));
    must(CTLOG_STORE_load_file(store, path) == 1 && unlink(path) == 0);
    CT_POLICY_EVAL_CTX_set_shared_CTLOG_STORE(policy, store);
    CT_POLICY_EVAL_CTX_set_time(policy, promised_ms + 1000);
    must(CT_POLICY_EVAL_CTX_set1_cert(policy, leaf) == 1 &&
         CT_POLICY_EVAL_CTX_set1_issuer(policy, issuer) == 1);
    STACK_OF(SCT) *list = X509_get_ext_d2i(leaf, NID_ct_precert_scts, NULL, NULL);
    must(list);
    SCT_set_source(sk_SCT_value(list, 0), SCT_SOURCE_X509V3_EXTENSION);
    bool good = SCT_validate(sk_SCT_value(list, 0), policy) == 1;
    SCT_LIST_free(list), X509_free(issuer), CT_POLICY_EVAL_CTX_free(policy), CTLOG_STORE_free(store);
    return good;
}

static void test_results(void **state)
{
    (void)state;
    static const struct {
        const char *logs[3], *listed, *state;
        int64_t later_ms;
        enum ct_result result;
        bool missing, backdated;
    } cases[] = {
        {{"log"}, "log", "{\"usable\":{\"timestamp\":\"2020-01-01T00:00:00Z\"}}", 0, CT_VALID, false, false},
        {{"rsa:2048"}, "rsa:2048", "{}", 0, CT_VALID, false, false},
        {{"other", "log"}, "log", "{}", 0, CT_VALID, false, false},
        {{"other"}, "log", "{}", 0, CT_UNKNOWN_LOG, true, false},
        {{"log"}, "log", "{}", 1, CT_INVALID, true, false},
        {{"log"}, "log", "{}", 72 * 3600 * INT64_C(1000), CT_INVALID, true, false},
        {{"log"}, NULL, NULL, 72 * 3600 * INT64_C(1000), CT_NOT_CHECKED, false, true},
        {{"log"}, "log", "{\"retired\":{\"timestamp\":\"2025-01-10T01:00:01Z\"}}", 0, CT_VALID, false, false},
        {{"log"},
         "log",
         "{\"retired\":{\"timestamp\":\"2025-01-10T01:00:00Z\"}}",
         0,
         CT_UNKNOWN_LOG,
         true,
         false},
    };
    struct chain *roots = make_chain(&make_middle, 1);
    struct trust *trust = trust_new_from(roots, NULL, NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        X509 *x = make_logged(cases[i].logs, promised_ms + (uint64_t)cases[i].later_ms);
        struct span der = make_der(x, &make_leaf);
        struct chain *c = chain_parse_der(&der, 1, NULL);
        struct ct_logs *logs = list_of(cases[i].listed, cases[i].state);
        const struct chain_question q = {.time_s = make_now(), .trust = trust, .ct_logs = logs};
        struct chain_report r;
        assert_int_equal(chain_verify(c, &q, &r), 0);
        assert_string_equal(ct_result_name(r.scts), ct_result_name(cases[i].result));
        assert_int_equal(chain_set_has(r.found, CHAIN_C27), cases[i].missing);
        assert_int_equal(chain_set_has(r.found, CHAIN_P04), cases[i].backdated);
        assert_true(r.trusted); /* logs are told of, trust doesn't hang on them */
        if (cases[i].logs[1] == NULL)
            assert_int_equal(openssl_agrees(x, cases[i].logs[0]), cases[i].later_ms == 0);
        ct_logs_free(logs), chain_free(c), X509_free(x);
        free((void *)(uintptr_t)der.data);
    }
    chain_free(roots), trust_free(trust);
}

static void test_without(void **state)
{
    (void)state;
    struct ct_logs *logs = list_of("log", "{}");
    struct chain *c = make_chain(&make_leaf, 1), *roots = make_chain(&make_middle, 1);
    struct trust *trust = trust_new_from(roots, NULL, NULL);
    const struct chain_question q = {.time_s = make_now(), .trust = trust, .ct_logs = logs};
    struct chain_report r;
    assert_int_equal(chain_verify(c, &q, &r), 0);
    assert_int_equal(r.scts, CT_NONE);
    assert_true(chain_set_has(r.found, CHAIN_C27));
    ct_logs_free(logs), chain_free(c), chain_free(roots), trust_free(trust);
}

/* ---- beside the certificate: what is signed is the certificate as it is ---- */

static size_t sign_beside(X509 *leaf, uint8_t *out)
{
    uint8_t *at = out;
    unsigned char *der = NULL;
    int len = i2d_X509(leaf, &der);
    must(len > 0);
    put(&at, 0, 2);
    put(&at, promised_ms, 8);
    put(&at, 0, 2);
    put(&at, (uint64_t)len, 3);
    memcpy(at, der, (size_t)len);
    at += len;
    put(&at, 0, 2);
    OPENSSL_free(der);
    return (size_t)(at - out);
}

static STACK_OF(SCT) * make_beside(X509 *leaf, const char *log)
{
    static uint8_t text[65536];
    STACK_OF(SCT) *list = sk_SCT_new_null();
    must(list && sk_SCT_push(list, sign_sct(text, sign_beside(leaf, text), log, promised_ms)) > 0);
    return list;
}

/* A response about a certificate, which holds the list. */
static struct span make_stapled(X509 *about, STACK_OF(SCT) * scts)
{
    X509 *issuer = make_issuer(make_leaf.issuer, make_key(make_leaf.issuer));
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    ASN1_TIME *now = ASN1_TIME_set(NULL, (time_t)make_now());
    OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), about, issuer);
    OCSP_SINGLERESP *single = OCSP_basic_add1_status(basic, id, V_OCSP_CERTSTATUS_GOOD, 0, NULL, now, now);
    must(single && OCSP_SINGLERESP_add1_ext_i2d(single, NID_ct_cert_scts, scts, 0, 0) == 1);
    must(OCSP_basic_sign(basic, issuer, make_key(make_leaf.issuer), EVP_sha256(), NULL, OCSP_NOCERTS) == 1);
    OCSP_RESPONSE *response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    unsigned char *der = NULL;
    int len = i2d_OCSP_RESPONSE(response, &der);
    must(len > 0);
    OCSP_RESPONSE_free(response), OCSP_BASICRESP_free(basic), OCSP_CERTID_free(id);
    ASN1_TIME_free(now), X509_free(issuer);
    return span_of(der, (size_t)len);
}

static struct chain_report ask_beside(const struct chain *c, struct span scts, struct span ocsp,
                                      const struct ct_logs *logs)
{
    struct chain *roots = make_chain(&make_middle, 1);
    struct trust *trust = trust_new_from(roots, NULL, NULL);
    const struct chain_question q = {
        .time_s = make_now(), .trust = trust, .ct_logs = logs, .scts = scts, .ocsp = ocsp};
    struct chain_report r;
    assert_int_equal(chain_verify(c, &q, &r), 0);
    chain_free(roots), trust_free(trust);
    return r;
}

static X509 *read_first(const struct chain *c)
{
    struct span der = chain_certificate_at(c, 0)->der;
    const unsigned char *at = der.data;
    return d2i_X509(NULL, &at, (long)der.len);
}

static void test_beside(void **state)
{
    (void)state;
    static const struct span nothing = {NULL, 0};
    struct chain *c = make_chain(&make_leaf, 1), *middle = make_chain(&make_middle, 1);
    X509 *leaf = read_first(c), *other = read_first(middle);
    struct ct_logs *logs = list_of("log", "{}"), *others = list_of("other", "{}");
    STACK_OF(SCT) *good = make_beside(leaf, "log"), *bad = make_beside(other, "log");
    const struct {
        STACK_OF(SCT) * scts;
        X509 *about;
        const struct ct_logs *logs;
        enum ct_result sent, stapled;
    } cases[] = {
        {good, leaf, logs, CT_VALID, CT_VALID},
        {good, leaf, others, CT_UNKNOWN_LOG, CT_UNKNOWN_LOG},
        {good, leaf, NULL, CT_NOT_CHECKED, CT_NOT_CHECKED},
        {bad, leaf, logs, CT_INVALID, CT_INVALID},
        {good, other, logs, CT_VALID, CT_NONE}, /* the response is about another certificate */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        unsigned char *list = NULL;
        int len = i2o_SCT_LIST(cases[i].scts, &list);
        must(len > 0);
        struct span ocsp = make_stapled(cases[i].about, cases[i].scts);
        struct chain_report r = ask_beside(c, span_of(list, (size_t)len), nothing, cases[i].logs);
        assert_string_equal(ct_result_name(r.scts), ct_result_name(cases[i].sent));
        assert_int_equal(chain_set_has(r.found, CHAIN_C27),
                         cases[i].sent == CT_UNKNOWN_LOG || cases[i].sent == CT_INVALID);
        assert_false(chain_set_has(r.found, CHAIN_P04)); /* what is beside it may be as late as it likes */
        r = ask_beside(c, nothing, ocsp, cases[i].logs);
        assert_string_equal(ct_result_name(r.scts), ct_result_name(cases[i].stapled));
        r = ask_beside(c, span_of(list, (size_t)len - 1), nothing, cases[i].logs); /* cut short */
        assert_int_equal(r.scts, CT_NONE);
        OPENSSL_free(list), OPENSSL_free((void *)(uintptr_t)ocsp.data);
    }
    SCT_LIST_free(good), SCT_LIST_free(bad), X509_free(leaf), X509_free(other);
    ct_logs_free(logs), ct_logs_free(others), chain_free(c), chain_free(middle);
}

static void test_lists(void **state)
{
    (void)state;
    char text[4096], good[1024];
    snprintf(good, sizeof good, "%s", key_base64("log"));
    static const char *const bad[] = {
        "",
        "[]",
        "{",
        "{}",
        "{\"operators\":[]}",
        "{\"operators\":[{\"logs\":[{}]}]}",
        "{\"operators\":[{\"logs\":[{\"key\":\"AAAA\"}]}]}",
        "{\"operators\":[{\"logs\":[{\"key\":\"%s\",\"log_id\":\"AAAA\"}]}]}",
        "{\"operators\":[{\"logs\":[{\"key\":\"%s\",\"state\":{\"rejected\":{}}}]}]}",
        "{\"operators\":[{\"logs\":[{\"key\":\"%s\",\"state\":{\"pending\":{}}}]}]}",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        const char *hole = strstr(bad[i], "%s");
        int before = hole ? (int)(hole - bad[i]) : (int)strlen(bad[i]);
        snprintf(text, sizeof text, "%.*s%s%s", before, bad[i], hole ? good : "", hole ? hole + 2 : "");
        struct err err = {0};
        assert_null(ct_logs_parse(span_str(text), "list", &err));
        assert_string_equal(err.file, "list");
        assert_true(err.text[0] != '\0');
    }
    snprintf(text, sizeof text, "{\"operators\":[{\"tiled_logs\":[{\"key\":\"%s\"}]}]}", good);
    struct err err = {0};
    struct ct_logs *l = ct_logs_parse(span_str(text), "list", &err);
    assert_non_null(l);
    ct_logs_free(l);
}

static int tear_down(void **state)
{
    (void)state;
    make_free_keys();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_results), cmocka_unit_test(test_without),
                                       cmocka_unit_test(test_beside), cmocka_unit_test(test_lists)};
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
