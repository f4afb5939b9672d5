/* chain_make.h: certificates made on the spot for the tests of chains: a plan says what differs from a good one. One P-256 key a
 * name, made once a process, so that equal names share keys and a thousand certificates cost little. */
#ifndef EXEAT_TESTS_CHAIN_MAKE_H
#define EXEAT_TESTS_CHAIN_MAKE_H

#include "base/must.h"
#include "base/rfc3339.h"
#include "tls/verify.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAKE_KEYS_MAX = 64, MAKE_CHAIN_MAX = 70 };

/* Zero or NULL: as in a good certificate of that kind. A string "-": without it. Names are "CN=a.test,O=x", without escapes, ""
 * for none. Keys have names; some names say which key: "rsa:1024", "rsa3" (its exponent), "dsa", "P-192", "P-521", "explicit",
 * "ed25519", "curve:NAME". Extensions are in OpenSSL's configuration forms. */
struct cert_plan {
    const char *subject;
    const char *issuer;       /* NULL: the subject (self-issued) */
    const char *signer;       /* a key; NULL: the issuer's */
    const char *key;          /* NULL: the subject's */
    const char *from, *until; /* RFC 3339; 2025-01-01T00:00:00Z and 2025-12-31T23:00:00Z */
    const char *san, *basic, *usage, *purpose, *skid, *akid;
    const char *constraints; /* name constraints */
    const char *policy;      /* policy constraints */
    const char *extra_oid;   /* one more extension, of NULL; "!" in front: critical */
    const char *serial;      /* hexadecimal, "-" in front allowed */
    const EVP_MD *digest;
    long version; /* 1 to 3 */
    bool is_ca;
    bool tbs_algorithm_differs, spoil_signature, twice_basic;
};

struct made_key {
    char name[64];
    EVP_PKEY *key;
};

static struct made_key made_keys[MAKE_KEYS_MAX];

static inline EVP_PKEY *make_dsa(void)
{
    EVP_PKEY *parameters = NULL, *key = NULL;
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, "DSA", NULL);
    must(EVP_PKEY_paramgen_init(c) == 1 && EVP_PKEY_CTX_set_dsa_paramgen_bits(c, 1024) == 1 &&
         EVP_PKEY_generate(c, &parameters) == 1);
    EVP_PKEY_CTX_free(c);
    c = EVP_PKEY_CTX_new(parameters, NULL);
    must(EVP_PKEY_keygen_init(c) == 1 && EVP_PKEY_generate(c, &key) == 1);
    EVP_PKEY_CTX_free(c);
    EVP_PKEY_free(parameters);
    return key;
}

static inline EVP_PKEY *make_explicit(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    must(key && EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_ENCODING,
                                               OSSL_PKEY_EC_ENCODING_EXPLICIT) == 1);
    return key;
}

static inline EVP_PKEY *make_rsa3(void)
{
    EVP_PKEY *key = NULL;
    BIGNUM *e = BN_new();
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    must(e && BN_set_word(e, 3) && EVP_PKEY_keygen_init(c) == 1 &&
         EVP_PKEY_CTX_set_rsa_keygen_bits(c, 2048) == 1 && EVP_PKEY_CTX_set1_rsa_keygen_pubexp(c, e) == 1 &&
         EVP_PKEY_generate(c, &key) == 1);
    EVP_PKEY_CTX_free(c);
    BN_free(e);
    return key;
}

static inline EVP_PKEY *make_key(const char *name)
{
    for (size_t i = 0; i < MAKE_KEYS_MAX; i++) {
        struct made_key *m = &made_keys[i];
        if (m->key && strncmp(m->name, name, sizeof m->name - 1) == 0)
            return m->key;
        if (m->key)
            continue;
        snprintf(m->name, sizeof m->name, "%s", name);
        m->key = strncmp(name, "rsa:", 4) == 0     ? EVP_RSA_gen((unsigned)atoi(name + 4))
                 : strncmp(name, "curve:", 6) == 0 ? EVP_EC_gen(name + 6)
                 : strcmp(name, "rsa3") == 0       ? make_rsa3()
                 : strcmp(name, "dsa") == 0        ? make_dsa()
                 : strcmp(name, "explicit") == 0   ? make_explicit()
                 : strcmp(name, "ed25519") == 0    ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")
                 : strcmp(name, "P-192") == 0      ? EVP_EC_gen("prime192v1")
                 : strcmp(name, "P-521") == 0      ? EVP_EC_gen("P-521")
                                                   : EVP_EC_gen("P-256");
        must(m->key);
        return m->key;
    }
    must_fail("too many keys", __FILE__, __LINE__);
}

static inline void make_free_keys(void)
{
    for (size_t i = 0; i < MAKE_KEYS_MAX; i++)
        EVP_PKEY_free(made_keys[i].key);
    memset(made_keys, 0, sizeof made_keys);
}

static inline void make_name(X509_NAME *name, const char *text)
{
    char copy[512], *at = copy;
    must(strlen(text) < sizeof copy);
    memcpy(copy, text, strlen(text) + 1);
    for (char *part; (part = strsep(&at, ",")) && *part;) {
        char *value = strchr(part, '=');
        must(value);
        *value++ = '\0';
        must(X509_NAME_add_entry_by_txt(name, part, MBSTRING_UTF8, (unsigned char *)value, -1, -1, 0) == 1);
    }
}

static inline void make_time(ASN1_TIME *t, const char *text)
{
    int64_t s = 0;
    must(rfc3339_parse(span_str(text), &s));
    must(ASN1_TIME_adj(t, (time_t)s, 0, 0));
}

static inline void make_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    if (!value || strcmp(value, "-") == 0)
        return;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    must(e && X509_add_ext(x, e, -1) == 1);
    X509_EXTENSION_free(e);
}

static inline void make_extra(X509 *x, const char *oid)
{
    static const uint8_t null[] = {5, 0};
    bool critical = oid[0] == '!';
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    ASN1_OBJECT *object = OBJ_txt2obj(oid + critical, 1);
    must(value && object && ASN1_OCTET_STRING_set(value, null, sizeof null) == 1);
    X509_EXTENSION *e = X509_EXTENSION_create_by_OBJ(NULL, object, critical, value);
    must(e && X509_add_ext(x, e, -1) == 1);
    X509_EXTENSION_free(e);
    ASN1_OBJECT_free(object);
    ASN1_OCTET_STRING_free(value);
}

/* A stand-in with the issuer's name and key, for the authority's key identifier. */
static inline X509 *make_issuer(const char *name, EVP_PKEY *key)
{
    X509 *x = X509_new();
    must(x && X509_set_version(x, X509_VERSION_3) == 1 && X509_set_pubkey(x, key) == 1);
    make_name(X509_get_subject_name(x), name);
    make_extension(x, x, NID_subject_key_identifier, "hash");
    return x;
}

static inline const char *or_default(const char *given, const char *usual)
{
    return given ? given : usual;
}

static inline void make_extensions(X509 *x, X509 *issuer, const struct cert_plan *p)
{
    bool ca = p->is_ca, root = !p->issuer && ca;
    const char *basic = or_default(p->basic, ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
    make_extension(x, issuer, NID_basic_constraints, basic);
    if (p->twice_basic)
        make_extension(x, issuer, NID_basic_constraints, basic);
    make_extension(x, issuer, NID_key_usage,
                   or_default(p->usage, ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature"));
    make_extension(x, issuer, NID_ext_key_usage, or_default(p->purpose, ca ? "-" : "serverAuth"));
    make_extension(x, issuer, NID_subject_key_identifier, or_default(p->skid, "hash"));
    make_extension(x, issuer, NID_authority_key_identifier, or_default(p->akid, root ? "-" : "keyid"));
    make_extension(x, issuer, NID_subject_alt_name, or_default(p->san, ca ? "-" : "DNS:a.test"));
    make_extension(x, issuer, NID_name_constraints, p->constraints);
    make_extension(x, issuer, NID_policy_constraints, p->policy);
    if (p->extra_oid)
        make_extra(x, p->extra_oid);
}

static inline void make_serial(X509 *x, const char *hex)
{
    static unsigned counter;
    char text[64];
    BIGNUM *n = NULL;
    snprintf(text, sizeof text, "2f8ae1c09b7d4635%08x", ++counter);
    must(BN_hex2bn(&n, hex ? hex : text) > 0 && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)));
    BN_free(n);
}

static inline struct span make_der(X509 *x, const struct cert_plan *p)
{
    unsigned char *der = NULL;
    int len = i2d_X509(x, &der);
    must(len > 0);
    uint8_t *copy = malloc((size_t)len);
    must(copy);
    memcpy(copy, der, (size_t)len);
    OPENSSL_free(der);
    if (p->spoil_signature)
        copy[len - 1] ^= 1;
    if (p->tbs_algorithm_differs) { /* ecdsa-with-SHA256 outside becomes ecdsa-with-SHA384 */
        static const uint8_t oid[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2};
        uint8_t *last = NULL;
        for (uint8_t *at = copy; (at = memmem(at, (size_t)(copy + len - at), oid, sizeof oid)); at++)
            last = at;
        must(last);
        last[7] = 3;
    }
    return span_of(copy, (size_t)len);
}

/* The certificate's DER; the caller frees .data. */
static inline struct span make_certificate(const struct cert_plan *p)
{
    X509 *x = X509_new();
    const char *issuer_name = or_default(p->issuer, p->subject);
    EVP_PKEY *key = make_key(or_default(p->key, p->subject));
    EVP_PKEY *signer =
        make_key(or_default(p->signer, p->issuer ? p->issuer : or_default(p->key, p->subject)));
    must(x && X509_set_version(x, (p->version ? p->version : 3) - 1) == 1 && X509_set_pubkey(x, key) == 1);
    make_name(X509_get_subject_name(x), p->subject);
    make_name(X509_get_issuer_name(x), issuer_name);
    make_serial(x, p->serial);
    make_time(X509_getm_notBefore(x), or_default(p->from, "2025-01-01T00:00:00Z"));
    make_time(X509_getm_notAfter(x), or_default(p->until, "2025-12-31T23:00:00Z"));
    X509 *issuer = make_issuer(issuer_name, signer);
    if (p->version != 1)
        make_extensions(x, issuer, p);
    bool no_digest = EVP_PKEY_get_base_id(signer) == EVP_PKEY_ED25519;
    must(X509_sign(x, signer, no_digest ? NULL : p->digest ? p->digest : EVP_sha256()) > 0);
    struct span der = make_der(x, p);
    X509_free(issuer);
    X509_free(x);
    return der;
}

/* ---- chains of plans ---- */

/* Parses what `count` plans make, leaf first. */
static inline struct chain *make_chain(const struct cert_plan *plans, size_t count)
{
    struct span ders[MAKE_CHAIN_MAX] = {{NULL, 0}};
    must(count <= MAKE_CHAIN_MAX);
    for (size_t i = 0; i < count; i++)
        ders[i] = make_certificate(&plans[i]);
    struct chain *c = chain_parse_der(ders, count, NULL);
    must(c);
    for (size_t i = 0; i < count; i++)
        free((void *)(uintptr_t)ders[i].data);
    return c;
}

static const struct cert_plan make_root = {
    .subject = "CN=Test Root,O=T", .is_ca = true, .until = "2045-01-01T00:00:00Z"};
static const struct cert_plan make_middle = {.subject = "CN=Test Middle,O=T",
                                             .issuer = "CN=Test Root,O=T",
                                             .is_ca = true,
                                             .until = "2040-01-01T00:00:00Z"};
static const struct cert_plan make_leaf = {.subject = "CN=a.test", .issuer = "CN=Test Middle,O=T"};

static inline int64_t make_now(void)
{
    int64_t now_s = 0;
    must(rfc3339_parse(span_str("2025-06-15T12:00:00Z"), &now_s));
    return now_s;
}

/* "C04 P05" in the catalogue's order. */
static inline const char *make_ids(struct chain_set set, char kind, char out[512])
{
    out[0] = '\0';
    for (enum chain_anomaly a = chain_set_next(set, 0); a != CHAIN_ANOMALY_NONE;
         a = chain_set_next(set, a + 1))
        if (!kind || chain_anomaly_table[a].id[0] == kind)
            snprintf(out + strlen(out), 512 - strlen(out), "%s%s", out[0] ? " " : "",
                     chain_anomaly_table[a].id);
    return out;
}

#endif
