/* mint.c: see mint.h. */
#include "tls/mint.h"

#include "base/must.h"
#include "tls/ca_private.h"
#include "tls/certificate.h"
#include "tls/session_private.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <stdlib.h>

enum {
    DAY_S = 24 * 3600,
    MAX_S = MINT_DAYS_MAX * DAY_S,
    PAST_S = 30 * DAY_S, /* a leaf begins no earlier than this: of the 197 days most lie ahead */
    CLOCKS_S = 3600,     /* how far clients' clocks may be behind */
    SUBJECT_MAX_BYTES = 4096,
};

struct mint_keys {
    atomic_uint refs;
    EVP_PKEY *leaf, *throwaway; /* owned */
};

/* ---- keys ---- */

struct mint_keys *mint_keys_new(void)
{
    struct mint_keys *k = calloc(1, sizeof *k);
    if (!k)
        return NULL;
    k->refs = 1;
    k->leaf = EVP_EC_gen("P-256");
    k->throwaway = EVP_EC_gen("P-256");
    if (k->leaf && k->throwaway)
        return k;
    ERR_clear_error();
    mint_keys_unref(k);
    return NULL;
}

struct mint_keys *mint_keys_ref(struct mint_keys *k)
{
    atomic_fetch_add_explicit(&k->refs, 1, memory_order_relaxed);
    return k;
}

void mint_keys_unref(struct mint_keys *take_k)
{
    if (!take_k || atomic_fetch_sub_explicit(&take_k->refs, 1, memory_order_acq_rel) != 1)
        return;
    EVP_PKEY_free(take_k->leaf);
    EVP_PKEY_free(take_k->throwaway);
    free(take_k);
}

/* ---- names ---- */

static GENERAL_NAME *name_of(const char *name, bool is_ip)
{
    GENERAL_NAME *g = GENERAL_NAME_new();
    ASN1_STRING *text = is_ip ? a2i_IPADDRESS(name) : ASN1_IA5STRING_new();
    if (g && text && (is_ip || ASN1_STRING_set(text, name, -1) == 1)) {
        GENERAL_NAME_set0_value(g, is_ip ? GEN_IPADD : GEN_DNS, text);
        return g;
    }
    GENERAL_NAME_free(g);
    ASN1_STRING_free(text);
    return NULL;
}

static bool push_copy(GENERAL_NAMES *out, const GENERAL_NAME *name)
{
    GENERAL_NAME *copy = GENERAL_NAME_dup((GENERAL_NAME *)(uintptr_t)name); /* not const in OpenSSL 3.0 */
    if (copy && sk_GENERAL_NAME_push(out, copy) > 0)
        return true;
    GENERAL_NAME_free(copy);
    return false;
}

/* The server's DNS and address names; with too many of them the one asked for comes first, which they were verified to hold. */
static GENERAL_NAMES *names_for(X509 *leaf, const struct mint_order *o, bool *ret_failed)
{
    GENERAL_NAMES *all = leaf ? X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL) : NULL;
    GENERAL_NAMES *out = sk_GENERAL_NAME_new_null();
    int count = all ? sk_GENERAL_NAME_num(all) : 0;
    bool ok = out != NULL;
    if (ok && (!leaf || count > MINT_NAMES_MAX)) {
        GENERAL_NAME *own = name_of(o->name, o->name_is_ip);
        ok = own && sk_GENERAL_NAME_push(out, own) > 0;
        if (!ok)
            GENERAL_NAME_free(own);
    }
    for (int i = 0; ok && i < count && sk_GENERAL_NAME_num(out) < MINT_NAMES_MAX; i++) {
        const GENERAL_NAME *n = sk_GENERAL_NAME_value(all, i);
        if (n->type == GEN_DNS || n->type == GEN_IPADD)
            ok = push_copy(out, n);
    }
    sk_GENERAL_NAME_pop_free(all, GENERAL_NAME_free);
    *ret_failed = !ok;
    if (ok)
        return out;
    sk_GENERAL_NAME_pop_free(out, GENERAL_NAME_free);
    return NULL;
}

/* RFC 5280, 4.1.2.6: without a subject the names are critical. A certificate that had none gets none. */
static bool add_names(X509 *c, X509 *leaf, const struct mint_order *o)
{
    bool failed;
    GENERAL_NAMES *names = names_for(leaf, o, &failed);
    bool ok = !failed;
    if (ok && sk_GENERAL_NAME_num(names) > 0)
        ok = X509_add1_ext_i2d(c, NID_subject_alt_name, names,
                               X509_NAME_entry_count(X509_get_subject_name(c)) == 0, X509V3_ADD_DEFAULT) == 1;
    sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
    return ok;
}

static bool set_subject(X509 *c, X509 *leaf, const struct mint_order *o)
{
    if (!leaf) {
        enum { COMMON_NAME_MAX = 64 }; /* RFC 5280, ub-common-name */
        return strlen(o->name) > COMMON_NAME_MAX ||
               X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN", MBSTRING_UTF8,
                                          (const unsigned char *)o->name, -1, -1, 0) == 1;
    }
    const unsigned char *der;
    size_t len;
    X509_NAME *subject = X509_get_subject_name(leaf);
    return X509_NAME_get0_der(subject, &der, &len) != 1 || len > SUBJECT_MAX_BYTES ||
           X509_set_subject_name(c, subject) == 1;
}

/* ---- times ---- */

static int64_t seconds_of(const ASN1_TIME *time, int64_t otherwise)
{
    struct tm tm = {0};
    return ASN1_TIME_to_tm(time, &tm) == 1 ? (int64_t)timegm(&tm) : otherwise;
}

static bool set_times(X509 *c, X509 *leaf, const struct mint_order *o, const struct ca *ca)
{
    int64_t now = o->now_s, from = now - CLOCKS_S, until = now + PAST_S;
    if (leaf) {
        from = seconds_of(X509_get0_notBefore(leaf), from);
        until = seconds_of(X509_get0_notAfter(leaf), until);
        if (from <= now && until >= now && from < now - PAST_S)
            from = now - PAST_S;
        if (until < now && from < until - MAX_S) /* expired: that is what must be seen */
            from = until - MAX_S;
    }
    if (ca && from < ca->not_before_s)
        from = ca->not_before_s;
    if (ca && until > ca->not_after_s)
        until = ca->not_after_s;
    if (until > from + MAX_S - 1)
        until = from + MAX_S - 1; /* both ends count */
    return ASN1_TIME_set(X509_getm_notBefore(c), (time_t)from) &&
           ASN1_TIME_set(X509_getm_notAfter(c), (time_t)until);
}

/* ---- making ---- */

static bool add_usage(X509 *c, X509 *issuer)
{
    return certificate_add_extension(c, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
           certificate_add_extension(c, issuer, NID_key_usage, "critical,digitalSignature") &&
           certificate_add_extension(c, issuer, NID_ext_key_usage, "serverAuth");
}

/* Does it demand that a response is stapled (RFC 7633, status_request)? */
static bool demands_staple(X509 *leaf)
{
    TLS_FEATURE *features = leaf ? X509_get_ext_d2i(leaf, NID_tlsfeature, NULL, NULL) : NULL;
    bool found = false;
    for (int i = 0; features && i < sk_ASN1_INTEGER_num(features); i++)
        found = found || ASN1_INTEGER_get(sk_ASN1_INTEGER_value(features, i)) == TLSEXT_TYPE_status_request;
    TLS_FEATURE_free(features);
    return found;
}

static bool add_must_staple(X509 *c, X509 *leaf, const struct mint_order *o)
{
    return !o->must_staple || !demands_staple(leaf) ||
           certificate_add_extension(c, c, NID_tlsfeature, "status_request");
}

/* Everything but issuer and signature; NULL on failure. */
static X509 *leaf_new(const struct mint_keys *k, X509 *leaf, const struct mint_order *o, const struct ca *ca)
{
    X509 *c = X509_new();
    if (c && X509_set_version(c, X509_VERSION_3) == 1 && certificate_set_serial(c) &&
        set_subject(c, leaf, o) && set_times(c, leaf, o, ca) && X509_set_pubkey(c, k->leaf) == 1 &&
        add_usage(c, c) && add_names(c, leaf, o) && add_must_staple(c, leaf, o))
        return c;
    X509_free(c);
    return NULL;
}

static X509 *parse(struct span der)
{
    const unsigned char *at = der.data;
    X509 *c = der.len > 0 && der.len < INT32_MAX ? d2i_X509(NULL, &at, (long)der.len) : NULL;
    if (c && at == der.data + der.len)
        return c;
    X509_free(c);
    return NULL;
}

static int write_der(X509 *c, struct buf *ret)
{
    unsigned char *der = NULL;
    int len = i2d_X509(c, &der);
    int result = len > 0 && len <= MINT_CERTIFICATE_MAX_BYTES ? buf_append(ret, der, (size_t)len) : -1;
    OPENSSL_free(der);
    return result;
}

static int failed(struct err *reterr)
{
    return certificate_error(reterr, NULL, "a certificate for the client cannot be made");
}

int mint_request(const struct ca *ca, const struct mint_keys *k, const struct mint_order *o, struct buf *ret,
                 struct err *reterr)
{
    X509 *leaf = parse(o->leaf), *c = NULL;
    int result = -1;
    if (o->leaf.len == 0 || leaf)
        c = leaf_new(k, leaf, o, ca);
    /* signed by the leaf's own key: only a form that every reader understands; mint_sign() signs it again */
    if (c && X509_set_issuer_name(c, X509_get_subject_name(ca->certificate)) == 1 &&
        certificate_add_extension(c, ca->certificate, NID_authority_key_identifier, "keyid") &&
        X509_sign(c, k->leaf, EVP_sha256()) > 0)
        result = write_der(c, ret);
    X509_free(leaf);
    X509_free(c);
    return result == 0 ? 0 : failed(reterr);
}

int mint_distrusted(const struct mint_keys *k, const struct mint_order *o, struct buf *ret,
                    struct err *reterr)
{
    X509 *leaf = parse(o->leaf), *c = leaf ? leaf_new(k, leaf, o, NULL) : NULL;
    int result = -1;
    bool own = c && X509_NAME_cmp(X509_get_subject_name(leaf), X509_get_issuer_name(leaf)) == 0;
    if (c && X509_set_issuer_name(c, X509_get_issuer_name(leaf)) == 1 &&
        X509_sign(c, own ? k->leaf : k->throwaway, EVP_sha256()) > 0)
        result = write_der(c, ret);
    X509_free(leaf);
    X509_free(c);
    return result == 0 ? 0 : failed(reterr);
}

/* ---- signing ---- */

static bool is_p256(X509 *c)
{
    char group[32];
    size_t len;
    EVP_PKEY *key = X509_get0_pubkey(c);
    return key && EVP_PKEY_is_a(key, "EC") == 1 &&
           EVP_PKEY_get_group_name(key, group, sizeof group, &len) == 1 && strcmp(group, "prime256v1") == 0;
}

static bool only_known_extensions(X509 *c)
{
    static const int known[] = {
        NID_basic_constraints,        NID_key_usage, NID_ext_key_usage, NID_subject_alt_name,
        NID_authority_key_identifier, NID_tlsfeature};
    unsigned seen = 0;
    for (int i = 0; i < X509_get_ext_count(c); i++) {
        int nid = OBJ_obj2nid(X509_EXTENSION_get_object(X509_get_ext(c, i)));
        size_t k = 0;
        while (k < ARRAY_LEN(known) && known[k] != nid)
            k++;
        if (k == ARRAY_LEN(known) || seen & 1u << k)
            return false;
        seen |= 1u << k;
    }
    return (seen & 0xf) == 0xf;
}

/* Of the features that a leaf may demand, the one that we know how to give. */
static bool only_stapling(X509 *c)
{
    static const uint8_t status_request[] = {0x30, 3, 2, 1, TLSEXT_TYPE_status_request};
    int at = X509_get_ext_by_NID(c, NID_tlsfeature, -1);
    const ASN1_OCTET_STRING *value = at >= 0 ? X509_EXTENSION_get_data(X509_get_ext(c, at)) : NULL;
    return at < 0 || (value && ASN1_STRING_length(value) == (int)sizeof status_request &&
                      memcmp(ASN1_STRING_get0_data(value), status_request, sizeof status_request) == 0);
}

static bool only_hosts(X509 *c)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(c, NID_subject_alt_name, NULL, NULL);
    int count = names ? sk_GENERAL_NAME_num(names) : 0;
    bool ok = count > 0 && count <= MINT_NAMES_MAX;
    for (int i = 0; ok && i < count; i++) {
        int type = sk_GENERAL_NAME_value(names, i)->type;
        ok = type == GEN_DNS || type == GEN_IPADD;
    }
    sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
    return ok;
}

/* Why this must not be signed, or NULL. Whoever asks may be a worker that was taken over. */
static const char *refusal(const struct ca *ca, X509 *c, int64_t now_s)
{
    int64_t from = seconds_of(X509_get0_notBefore(c), INT64_MAX),
            until = seconds_of(X509_get0_notAfter(c), INT64_MAX);
    if (now_s < ca->not_before_s)
        return "the inspection CA is not valid yet";
    if (now_s > ca->not_after_s)
        return "the inspection CA has expired";
    if (X509_get_version(c) != X509_VERSION_3 || !only_known_extensions(c) || !only_stapling(c) ||
        X509_check_ca(c) != 0 || X509_get_key_usage(c) != KU_DIGITAL_SIGNATURE ||
        X509_get_extended_key_usage(c) != XKU_SSL_SERVER)
        return "this is no server's leaf";
    if (!only_hosts(c))
        return "it names no hosts, or more than those";
    if (!is_p256(c))
        return "its key is not P-256";
    if (X509_NAME_cmp(X509_get_issuer_name(c), X509_get_subject_name(ca->certificate)) != 0)
        return "its issuer is another CA";
    if (from == INT64_MAX || until == INT64_MAX || from > now_s + CLOCKS_S || until < now_s ||
        until > ca->not_after_s || until - from >= MAX_S || until < from)
        return "it is not valid now, or for too long";
    if (ca->constraints && NAME_CONSTRAINTS_check(c, ca->constraints) != X509_V_OK)
        return "the inspection CA's name constraints do not cover this server";
    return NULL;
}

int mint_sign(const struct ca *ca, struct span request, int64_t now_s, struct buf *ret, const char **ret_why)
{
    must(ca->key);
    X509 *c = request.len <= MINT_CERTIFICATE_MAX_BYTES ? parse(request) : NULL;
    const char *why = c ? refusal(ca, c, now_s) : "this is no certificate";
    if (!why && (X509_sign(c, ca->key, ca_digest(ca->key)) <= 0 || write_der(c, ret) != 0))
        why = "the CA's key cannot sign";
    X509_free(c);
    ERR_clear_error();
    if (!why)
        return 0;
    *ret_why = why;
    return -1;
}

/* ---- the context ---- */

struct tls_context *mint_context(struct span certificate, const struct mint_keys *k, const struct ca *ca,
                                 struct err *reterr)
{
    struct tls_context *t = tls_context_new(true, reterr);
    X509 *c = t ? parse(certificate) : NULL;
    bool ok = c && SSL_CTX_use_certificate(t->ctx, c) == 1 && SSL_CTX_use_PrivateKey(t->ctx, k->leaf) == 1;
    if (ok && ca && !ca->self_signed)
        ok = SSL_CTX_add1_chain_cert(t->ctx, ca->certificate) == 1;
    for (unsigned i = 0; ok && ca && i < ca->issuer_count; i++)
        ok = SSL_CTX_add1_chain_cert(t->ctx, ca->issuers[i]) == 1;
    X509_free(c);
    if (ok)
        return t;
    tls_context_free(t);
    failed(reterr);
    return NULL;
}
