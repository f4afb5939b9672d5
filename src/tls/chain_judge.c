/* chain_judge.c: what is wrong with a path, certificate by certificate. Fatal findings end trust; told ones are only recorded.
 * Sources: RFC 5280 (profile and 6.1), the Baseline Requirements where verify.h says so. Pure. */
#include "tls/chain_private.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>

enum {
    RSA_BITS_MIN = 2048,
    RSA_EXPONENT_MIN = 65537,
    CURVE_BITS_MIN = 224,
    SERIAL_OCTETS_MAX = 20,
    EXTENSIONS_MAX = 128
};

/* One certificate in its place. */
struct place {
    struct chain_path *path;
    X509 *x509;   /* view into the path */
    size_t index; /* 0: the leaf */
    bool is_anchor;
    bool is_vetted; /* a public root: taken as its programme vetted it */
    bool self_issued;
};

static void fatal(struct place *p, enum chain_anomaly a)
{
    chain_set_add(&p->path->findings.fatal, a);
}

/* What only the Baseline Requirements forbid: public CAs have agreed to them. */
static void fatal_in_public(struct place *p, enum chain_anomaly a)
{
    const struct trust_anchor *anchor = p->path->anchor;
    chain_set_add(anchor && anchor->is_public ? &p->path->findings.fatal : &p->path->findings.told, a);
}

static bool is_critical(X509 *x, int nid)
{
    int at = X509_get_ext_by_NID(x, nid, -1);
    return at >= 0 && X509_EXTENSION_get_critical(X509_get_ext(x, at));
}

static bool is_there(X509 *x, int nid)
{
    return X509_get_ext_by_NID(x, nid, -1) >= 0;
}

/* ---- form ---- */

static void judge_times(const struct chain_question *q, struct place *p)
{
    int64_t from_s, until_s;
    if (!chain_read_time(X509_get0_notBefore(p->x509), &from_s) ||
        !chain_read_time(X509_get0_notAfter(p->x509), &until_s)) {
        fatal(p, CHAIN_C25);
        return;
    }
    if (q->time_s < from_s)
        fatal(p, CHAIN_C05);
    if (q->time_s > until_s)
        fatal(p, CHAIN_C04);
}

static void judge_algorithms(struct place *p)
{
    static const int weak[] = {NID_md2, NID_md4, NID_md5, NID_sha1, NID_md5_sha1, NID_mdc2, NID_ripemd160};
    const X509_ALGOR *outer;
    int digest = NID_undef;
    X509_get0_signature(NULL, &outer, p->x509);
    if (X509_ALGOR_cmp(outer, X509_get0_tbs_sigalg(p->x509)) != 0)
        fatal(p, CHAIN_C26);
    if (X509_get_version(p->x509) != X509_VERSION_3 && !p->is_vetted)
        fatal(p, CHAIN_C26);
    if (p->is_anchor || !X509_get_signature_info(p->x509, &digest, NULL, NULL, NULL))
        return; /* an anchor's own signature is never looked at */
    for (size_t i = 0; i < sizeof weak / sizeof weak[0]; i++)
        if (digest == weak[i])
            fatal(p, CHAIN_C10);
}

/* Decodes with what OpenSSL knows of this extension; true for those it doesn't know. */
static bool decodes(X509_EXTENSION *e)
{
    const X509V3_EXT_METHOD *method = X509V3_EXT_get(e);
    if (!method)
        return true;
    void *value = X509V3_EXT_d2i(e);
    if (value && method->it)
        ASN1_item_free(value, ASN1_ITEM_ptr(method->it));
    else if (value)
        method->ext_free(value);
    ERR_clear_error();
    return value != NULL;
}

static int compare_ids(const void *a, const void *b)
{
    return OBJ_cmp(*(ASN1_OBJECT *const *)a, *(ASN1_OBJECT *const *)b);
}

/* RFC 5280, 4.2: each at most once, the critical ones understood; and all that can be decoded decode. */
static void judge_extensions(struct place *p)
{
    int count = X509_get_ext_count(p->x509);
    ASN1_OBJECT *ids[EXTENSIONS_MAX];
    if (count > EXTENSIONS_MAX) {
        fatal(p, CHAIN_C25);
        return;
    }
    for (int i = 0; i < count; i++) {
        X509_EXTENSION *e = X509_get_ext(p->x509, i);
        ids[i] = X509_EXTENSION_get_object(e);
        if (X509_EXTENSION_get_critical(e) && !X509_supported_extension(e))
            fatal(p, CHAIN_C16);
        if (!p->is_vetted && !decodes(e))
            fatal(p, CHAIN_C25);
    }
    if (count > 0)
        qsort(ids, (size_t)count, sizeof ids[0], compare_ids);
    for (int i = 1; i < count; i++)
        if (OBJ_cmp(ids[i - 1], ids[i]) == 0)
            fatal(p, CHAIN_C25);
}

static bool is_empty(const X509_NAME *name)
{
    return X509_NAME_entry_count(name) == 0;
}

/* RFC 5280, 4.1.2.2: positive, at most 20 octets (those of its DER: a high first bit needs one more). */
static bool serial_is_good(const ASN1_INTEGER *serial)
{
    int len = ASN1_STRING_length(serial);
    const uint8_t *octets = ASN1_STRING_get0_data(serial);
    bool zero = len == 0 || (len == 1 && octets[0] == 0);
    return ASN1_STRING_type(serial) != V_ASN1_NEG_INTEGER && !zero &&
           len + (octets[0] >= 0x80) <= SERIAL_OCTETS_MAX;
}

static void judge_profile(struct place *p)
{
    X509 *x = p->x509;
    bool subject_empty = is_empty(X509_get_subject_name(x)), san = is_there(x, NID_subject_alt_name);
    if (is_empty(X509_get_issuer_name(x)) || (subject_empty && p->index > 0))
        fatal(p, CHAIN_C25);
    if (p->index == 0 && san && is_critical(x, NID_subject_alt_name) != subject_empty)
        fatal(p, CHAIN_C25); /* 4.2.1.6 */
    if (!p->is_anchor && !serial_is_good(X509_get0_serialNumber(x)))
        fatal(p, CHAIN_C25);
    if (is_critical(x, NID_info_access) || is_critical(x, NID_subject_key_identifier) ||
        is_critical(x, NID_authority_key_identifier))
        fatal(p, CHAIN_C25); /* 4.2.2.1, 4.2.1.2, 4.2.1.1 */
    if (is_there(x, NID_policy_constraints) && !is_critical(x, NID_policy_constraints))
        fatal(p, CHAIN_C25); /* 4.2.1.11 */
}

/* RFC 5280, 4.2.1.1 and 4.2.1.2; for a root the Baseline Requirements' 7.1.2.1.3. */
static void judge_identifiers(struct place *p)
{
    X509 *x = p->x509;
    const ASN1_OCTET_STRING *authority = X509_get0_authority_key_id(x), *own = X509_get0_subject_key_id(x);
    if (p->index > 0 && !own)
        fatal(p, CHAIN_C25);
    if (!authority && (!p->self_issued || is_there(x, NID_authority_key_identifier)) &&
        !(p->is_anchor && p->index > 0 && !p->self_issued))
        fatal(p, CHAIN_C25);
    if (!p->is_anchor || !p->self_issued || !is_there(x, NID_authority_key_identifier))
        return;
    if (X509_get0_authority_issuer(x) || X509_get0_authority_serial(x) ||
        (authority && own && ASN1_OCTET_STRING_cmp(authority, own) != 0))
        fatal(p, CHAIN_C25);
}

/* ---- keys ---- */

static bool rsa_exponent_is_small(EVP_PKEY *key)
{
    BIGNUM *e = NULL;
    bool small = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) != 1 || !BN_is_odd(e) ||
                 (BN_num_bits(e) <= 32 && BN_get_word(e) < RSA_EXPONENT_MIN);
    BN_free(e);
    return small;
}

static bool key_is_weak(EVP_PKEY *key, bool is_vetted)
{
    int bits = EVP_PKEY_get_bits(key), written_out = 0;
    switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
    case EVP_PKEY_RSA_PSS:
        return bits < RSA_BITS_MIN || (!is_vetted && (bits % 8 != 0 || rsa_exponent_is_small(key)));
    case EVP_PKEY_EC:
        return bits < CURVE_BITS_MIN ||
               (EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &written_out) ==
                    1 &&
                written_out);
    case EVP_PKEY_ED25519:
    case EVP_PKEY_ED448:
        return false;
    case EVP_PKEY_DSA:
        return true;
    default: /* nothing that signs in TLS */
        return EVP_PKEY_get_security_bits(key) < 112;
    }
}

static void judge_key(struct place *p)
{
    EVP_PKEY *key = X509_get0_pubkey(p->x509);
    if (!key)
        fatal(p, CHAIN_C25);
    else if (key_is_weak(key, p->is_vetted))
        fatal(p, CHAIN_C11);
}

/* ---- roles ---- */

/* Certificates between this issuer and the leaf that count (RFC 5280, 4.2.1.9). */
static long issuers_below(const struct place *p)
{
    long count = 0;
    for (size_t i = 1; i < p->index; i++) {
        X509 *x = p->path->certificates[i];
        count += X509_NAME_cmp(X509_get_subject_name(x), X509_get_issuer_name(x)) != 0;
    }
    return count;
}

static void judge_issuer(struct place *p)
{
    uint32_t flags = X509_get_extension_flags(p->x509), usage = X509_get_key_usage(p->x509);
    long length = X509_get_pathlen(p->x509);
    bool constraints = flags & EXFLAG_BCONS,
         may_lack = p->is_vetted && X509_get_version(p->x509) == X509_VERSION_1;
    if (!may_lack && (!constraints || !(flags & EXFLAG_CA)))
        fatal(p, CHAIN_C14);
    if (constraints && !p->is_vetted && !is_critical(p->x509, NID_basic_constraints))
        fatal(p, CHAIN_C14);
    if (usage != UINT32_MAX && !(usage & KU_KEY_CERT_SIGN)) /* absent is no limit (6.1.4 n) */
        fatal(p, CHAIN_C14);
    if (length >= 0 && issuers_below(p) > length)
        fatal(p, CHAIN_C14);
}

static void judge_issuer_purpose(struct place *p)
{
    uint32_t purpose = X509_get_extended_key_usage(p->x509);
    if (purpose == UINT32_MAX || p->is_vetted)
        return;
    if (!(purpose & (XKU_SSL_SERVER | XKU_ANYEKU | XKU_SGC)))
        fatal(p, CHAIN_C15);
    else if (p->is_anchor)
        fatal_in_public(p, CHAIN_C15);
}

static void judge_leaf(struct place *p)
{
    uint32_t flags = X509_get_extension_flags(p->x509), usage = X509_get_key_usage(p->x509);
    uint32_t purpose = X509_get_extended_key_usage(p->x509);
    if (flags & EXFLAG_CA || (usage != UINT32_MAX && usage & KU_KEY_CERT_SIGN))
        fatal(p, CHAIN_C13);
    if (is_there(p->x509, NID_name_constraints))
        fatal(p, CHAIN_C17); /* 4.2.1.10: only in a CA's */
    if (purpose != UINT32_MAX && !(purpose & XKU_SSL_SERVER))
        fatal(p, CHAIN_C15);
    else if (purpose == UINT32_MAX || purpose & XKU_ANYEKU || is_critical(p->x509, NID_ext_key_usage))
        fatal_in_public(p, CHAIN_C15);
}

static void judge_place(const struct chain_question *q, struct place *p)
{
    judge_times(q, p);
    judge_algorithms(p);
    judge_extensions(p);
    judge_key(p);
    if (!p->is_vetted) {
        judge_profile(p);
        judge_identifiers(p);
    }
    if (X509_get_extension_flags(p->x509) & EXFLAG_INVALID) {
        fatal(p, CHAIN_C25); /* and what OpenSSL makes of its usages and purposes says nothing */
    } else if (p->index > 0) {
        judge_issuer(p);
        judge_issuer_purpose(p);
    } else {
        judge_leaf(p);
    }
}

void chain_judge_path(const struct chain_question *q, struct chain_path *path)
{
    for (size_t i = 0; i < path->count; i++) {
        X509 *x = path->certificates[i];
        struct place p = {.path = path, .x509 = x, .index = i};
        p.is_anchor = path->anchor && i == path->count - 1;
        p.is_vetted = p.is_anchor && path->anchor->is_public;
        p.self_issued = X509_NAME_cmp(X509_get_subject_name(x), X509_get_issuer_name(x)) == 0;
        judge_place(q, &p);
    }
    ERR_clear_error();
}

/* ---- OpenSSL's second opinion ---- */

struct opinion {
    struct chain_path *path;
};

static int on_verify(int good, X509_STORE_CTX *context)
{
    static const struct {
        int error;
        enum chain_anomaly anomaly;
    } rows[] = {
#define VERIFY_ERROR(error, id) {X509_V_ERR_##error, CHAIN_##id},
#include "tls/verify_errors.def"
#undef VERIFY_ERROR
    };
    struct opinion *o = X509_STORE_CTX_get_app_data(context);
    enum chain_anomaly anomaly = CHAIN_C25;
    if (good)
        return 1;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].error == X509_STORE_CTX_get_error(context))
            anomaly = rows[i].anomaly;
    chain_set_add(&o->path->findings.fatal, anomaly);
    return 1; /* all of them */
}

/* Only the anchor is in the store and only this path is offered, so this is the path that is verified. Times are ours: OpenSSL 3.0
 * takes the last second for expired. */
void chain_judge_openssl(struct chain_path *path)
{
    struct opinion opinion = {path};
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    STACK_OF(X509) *between = sk_X509_new_null();
    bool good = store && context && between &&
                X509_STORE_add_cert(store, path->certificates[path->count - 1]) == 1 &&
                X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_NO_CHECK_TIME |
                                                X509_V_FLAG_POLICY_CHECK) == 1;
    for (size_t i = 1; good && i + 1 < path->count; i++)
        good = sk_X509_push(between, path->certificates[i]) > 0;
    good = good && X509_STORE_CTX_init(context, store, path->certificates[0], between) == 1;
    if (good) {
        X509_STORE_CTX_set_app_data(context, &opinion);
        X509_STORE_CTX_set_verify_cb(context, on_verify);
        X509_STORE_CTX_set_depth(context, CHAIN_PATH_MAX);
        good = X509_verify_cert(context) == 1;
    }
    if (!good)
        chain_set_add(&path->findings.fatal, CHAIN_C25); /* no memory, or no verdict: not trusted */
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    sk_X509_free(between);
    ERR_clear_error();
}
