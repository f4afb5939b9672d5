/* chain_describe.c: one certificate's facts out of OpenSSL's structures into the chain's arena. Pure. */
#include "tls/chain_private.h"

#include "base/hex.h"
#include "base/rfc3339.h"

#include <openssl/core_names.h>
#include <openssl/ct.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>

enum { TEXT_BYTES_MAX = 8192, RSA_BITS_MAX = 8192, CURVE_BITS_MAX = 521, DSA_BITS_MAX = 4096 };

/* What a BIO over memory holds, as a text of at most TEXT_BYTES_MAX; NULL without memory. Frees the BIO. */
static const char *take_text(BIO *take_bio, struct arena *a)
{
    char *data = NULL;
    long len = take_bio ? BIO_get_mem_data(take_bio, &data) : -1;
    const char *text =
        len < 0 ? NULL : arena_strndup(a, data, len < TEXT_BYTES_MAX ? (size_t)len : TEXT_BYTES_MAX);
    BIO_free(take_bio);
    return text;
}

static const char *describe_dn(const X509_NAME *name, struct arena *a)
{
    BIO *bio = BIO_new(BIO_s_mem());
    if (bio)
        X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB);
    return take_text(bio, a);
}

/* NULL when there is none (or it can't be text). */
static const char *describe_common_name(const X509_NAME *name, struct arena *a)
{
    int at = -1, last = -1;
    while ((at = X509_NAME_get_index_by_NID(name, NID_commonName, at)) >= 0)
        last = at;
    if (last < 0)
        return NULL;
    unsigned char *utf8 = NULL;
    int len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, last)));
    const char *text =
        len < 0 ? NULL : arena_strndup(a, (char *)utf8, len < TEXT_BYTES_MAX ? (size_t)len : TEXT_BYTES_MAX);
    OPENSSL_free(utf8);
    return text;
}

static const char *describe_serial(const ASN1_INTEGER *serial, struct arena *a)
{
    struct span octets = span_of(ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial));
    bool negative = ASN1_STRING_type(serial) == V_ASN1_NEG_INTEGER;
    if (octets.len > TEXT_BYTES_MAX / 2)
        octets.len = TEXT_BYTES_MAX / 2;
    char *text = arena_alloc(a, 2 * octets.len + 2);
    if (text) {
        text[0] = '-';
        hex_write(octets, text + negative);
    }
    return text;
}

static const char *describe_signature(const X509 *x, struct arena *a)
{
    const X509_ALGOR *algorithm;
    const ASN1_OBJECT *oid;
    char text[128];
    X509_get0_signature(NULL, &algorithm, x);
    X509_ALGOR_get0(&oid, NULL, NULL, algorithm);
    OBJ_obj2txt(text, sizeof text, oid, 0);
    return arena_strdup(a, text);
}

static const char *nist_name(const char *group)
{
    static const struct {
        const char *openssl, *usual;
    } names[] = {{"prime256v1", "P-256"},
                 {"secp384r1", "P-384"},
                 {"secp521r1", "P-521"},
                 {"secp224r1", "P-224"},
                 {"prime192v1", "P-192"}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(group, names[i].openssl) == 0)
            return names[i].usual;
    return group;
}

static int describe_key(X509 *x, struct arena *a, struct chain_certificate *f)
{
    EVP_PKEY *key = X509_get0_pubkey(x);
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned char *der = NULL;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
    if (len > 0 && EVP_Digest(der, (size_t)len, digest, NULL, EVP_sha256(), NULL) == 1)
        *hex_write(span_of(digest, 32), f->key_sha256) = '\0';
    OPENSSL_free(der);
    if (!key)
        return 0;
    char group[64];
    size_t group_len;
    const char *type = EVP_PKEY_get0_type_name(key);
    int bits = EVP_PKEY_get_bits(key);
    f->key_bits = bits > 0 ? (unsigned)bits : 0;
    f->key_type = type ? arena_strdup(a, type) : NULL;
    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
        EVP_PKEY_get_group_name(key, group, sizeof group, &group_len) == 1)
        f->curve = arena_strdup(a, nist_name(group));
    return type && !f->key_type ? -1 : 0;
}

/* YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ: no fractions, no offsets (RFC 5280, 4.1.2.5.1 and .2). */
bool chain_read_time(const ASN1_TIME *time, int64_t *ret_s)
{
    static const size_t utc_len = 13, generalized_len = 15;
    struct span s = span_of(ASN1_STRING_get0_data(time), (size_t)ASN1_STRING_length(time));
    bool utc = ASN1_STRING_type(time) == V_ASN1_UTCTIME;
    char text[32];
    if (s.len != (utc ? utc_len : generalized_len) || s.data[s.len - 1] != 'Z')
        return false;
    const char *d = (const char *)s.data, *rest = d + (utc ? 2 : 4);
    const char *century = !utc ? "" : d[0] >= '5' ? "19" : "20";
    snprintf(text, sizeof text, "%s%.*s-%.2s-%.2sT%.2s:%.2s:%.2sZ", century, utc ? 2 : 4, d, rest, rest + 2,
             rest + 4, rest + 6, rest + 8);
    return rfc3339_parse(span_str(text), ret_s);
}

/* ---- subject alternative names ---- */

static struct span copy_string(const ASN1_STRING *s, struct arena *a)
{
    return arena_copy(a, span_of(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s)));
}

static struct chain_name describe_name(const GENERAL_NAME *name, struct arena *a)
{
    struct chain_name n = {.kind = CHAIN_NAME_OTHER};
    char text[IP_TEXT_BYTES];
    const char *dn;
    if (name->type == GEN_DNS || name->type == GEN_EMAIL || name->type == GEN_URI) {
        n.kind = name->type == GEN_DNS     ? CHAIN_NAME_DNS
                 : name->type == GEN_EMAIL ? CHAIN_NAME_EMAIL
                                           : CHAIN_NAME_URI;
        n.text = copy_string(name->d.ia5, a);
    } else if (name->type == GEN_IPADD) {
        int len = ASN1_STRING_length(name->d.iPAddress);
        if (len != 4 && len != 16)
            return n;
        struct ip ip = ip_from_bytes(ASN1_STRING_get0_data(name->d.iPAddress), (size_t)len);
        n.kind = CHAIN_NAME_IP;
        n.text = arena_copy(a, span_str(ip_format(&ip, text)));
    } else if (name->type == GEN_DIRNAME && (dn = describe_dn(name->d.directoryName, a))) {
        n.kind = CHAIN_NAME_DIRECTORY;
        n.text = span_str(dn);
    }
    return n;
}

static int describe_names(X509 *x, struct arena *a, struct chain_certificate *f)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    int count = names ? sk_GENERAL_NAME_num(names) : 0;
    f->name_count = (size_t)count;
    f->name_listed = count < CHAIN_NAMES_MAX ? (size_t)count : CHAIN_NAMES_MAX;
    struct chain_name *list = count ? arena_alloc(a, f->name_listed * sizeof *list) : NULL;
    for (size_t i = 0; list && i < f->name_listed; i++)
        list[i] = describe_name(sk_GENERAL_NAME_value(names, (int)i), a);
    f->names = list;
    GENERAL_NAMES_free(names);
    return count && !list ? -1 : 0;
}

static void describe_scts(X509 *x, struct chain_certificate *f)
{
    STACK_OF(SCT) *scts = X509_get_ext_d2i(x, NID_ct_precert_scts, NULL, NULL);
    f->has_scts = scts && sk_SCT_num(scts) > 0;
    for (int i = 0; scts && i < sk_SCT_num(scts); i++) {
        int64_t time_s = (int64_t)(SCT_get_timestamp(sk_SCT_value(scts, i)) / 1000);
        if (time_s > 0 && (f->earliest_sct_s == 0 || time_s < f->earliest_sct_s))
            f->earliest_sct_s = time_s;
    }
    SCT_LIST_free(scts);
}

bool chain_signature_verifies(X509 *x, EVP_PKEY *key)
{
    if (!key)
        return false;
    int type = EVP_PKEY_get_base_id(key), bits = EVP_PKEY_get_bits(key);
    int most = type == EVP_PKEY_EC ? CURVE_BITS_MAX : type == EVP_PKEY_DSA ? DSA_BITS_MAX : RSA_BITS_MAX;
    return bits <= most && X509_verify(x, key) == 1;
}

int chain_describe(X509 *x, struct arena *a, struct chain_certificate *f)
{
    f->version = (unsigned)X509_get_version(x) + 1;
    f->subject = describe_dn(X509_get_subject_name(x), a);
    f->issuer = describe_dn(X509_get_issuer_name(x), a);
    f->common_name = describe_common_name(X509_get_subject_name(x), a);
    f->serial = describe_serial(X509_get0_serialNumber(x), a);
    f->signature = describe_signature(x, a);
    f->is_ca = X509_get_extension_flags(x) & EXFLAG_CA;
    f->path_length = (int)X509_get_pathlen(x);
    f->self_issued = X509_NAME_cmp(X509_get_subject_name(x), X509_get_issuer_name(x)) == 0;
    f->self_signed = f->self_issued && chain_signature_verifies(x, X509_get0_pubkey(x));
    f->times_good = chain_read_time(X509_get0_notBefore(x), &f->not_before_s) &&
                    chain_read_time(X509_get0_notAfter(x), &f->not_after_s);
    int result = describe_key(x, a, f) == 0 && describe_names(x, a, f) == 0 ? 0 : -1;
    describe_scts(x, f);
    ERR_clear_error();
    return f->subject && f->issuer && f->serial && f->signature ? result : -1;
}
