/* chain_sct.c: see ct_logs.h. A list of logs is read, and SCTs that a certificate holds are checked: what a log signed is the certificate
 * without them (RFC 6962, 3.2), together with a digest of its issuer's key. Pure. */
#include "tls/chain_private.h"

#include "base/base64.h"
#include "base/buf.h"
#include "base/must.h"
#include "base/rfc3339.h"

#include <jansson.h>
#include <openssl/ct.h>
#include <openssl/err.h>
#include <openssl/sha.h>
#include <stdlib.h>

enum {
    KEY_BYTES_MAX = 1024,
    SIGNED_BYTES_MAX = 1 << 20,
    SCTS_CHECKED = 16, /* of a leaf: whoever sends more wants our time */
    ENTRY_PRECERT = 1,
    TBS_BYTES_MAX = (1 << 24) - 1, /* three bytes of length */
};

struct ct_log {
    uint8_t id[SHA256_DIGEST_LENGTH]; /* of its key */
    EVP_PKEY *key;                    /* owned */
    uint64_t until_ms;                /* what it promised from then on doesn't count; UINT64_MAX: all does */
};

struct ct_logs {
    struct ct_log *logs; /* owned */
    size_t count;
};

const char *ct_result_name(enum ct_result r)
{
    static const char *const names[] = {"none", "not_checked", "valid", "unknown_log", "invalid"};
    must((unsigned)r < ARRAY_LEN(names));
    return names[r];
}

void ct_logs_free(struct ct_logs *take_logs)
{
    if (!take_logs)
        return;
    for (size_t i = 0; i < take_logs->count; i++)
        EVP_PKEY_free(take_logs->logs[i].key);
    free(take_logs->logs);
    free(take_logs);
}

size_t ct_logs_count(const struct ct_logs *l)
{
    return l->count;
}

/* ---- the list ---- */

static bool counts(const json_t *log, uint64_t *ret_until_ms)
{
    const json_t *state = json_object_get(log, "state"), *retired = json_object_get(state, "retired");
    const char *since = json_string_value(json_object_get(retired, "timestamp"));
    int64_t since_s;
    *ret_until_ms = UINT64_MAX;
    if (json_object_get(state, "rejected") || json_object_get(state, "pending"))
        return false;
    if (retired && (!since || !rfc3339_parse(span_str(since), &since_s) || since_s < 0))
        return false;
    if (retired)
        *ret_until_ms = (uint64_t)since_s * 1000;
    return true;
}

static int read_key(const json_t *log, struct ct_log *ret)
{
    char der[KEY_BYTES_MAX];
    const char *text = json_string_value(json_object_get(log, "key"));
    int len = text ? base64_decode(span_str(text), der, sizeof der) : -1;
    const unsigned char *at = (const unsigned char *)der;
    ret->key = len > 0 ? d2i_PUBKEY(NULL, &at, len) : NULL;
    ERR_clear_error();
    if (!ret->key)
        return -1;
    SHA256((const unsigned char *)der, (size_t)len, ret->id);
    const char *id = json_string_value(json_object_get(log, "log_id"));
    bool same = !id || (base64_decode(span_str(id), der, sizeof der) == SHA256_DIGEST_LENGTH &&
                        memcmp(der, ret->id, SHA256_DIGEST_LENGTH) == 0);
    if (!same)
        EVP_PKEY_free(ret->key);
    return same ? 0 : -1;
}

/* The logs of one list of one operator. */
static int add_logs(struct ct_logs *l, const json_t *list, const char *name, struct err *reterr)
{
    size_t i;
    json_t *log;
    json_array_foreach(list, i, log)
    {
        struct ct_log one = {0};
        const char *what = json_string_value(json_object_get(log, "description"));
        if (!counts(log, &one.until_ms))
            continue;
        if (l->count == CT_LOGS_MAX)
            return err_set(reterr, name, 0, 0, "more than %d logs", CT_LOGS_MAX);
        if (read_key(log, &one) != 0)
            return err_set(reterr, name, 0, 0,
                           "log \"%.80s\" has no key that can be read, or another's log_id",
                           what ? what : "");
        l->logs[l->count++] = one;
    }
    return 0;
}

static int add_operators(struct ct_logs *l, const json_t *top, const char *name, struct err *reterr)
{
    const json_t *operators = json_object_get(top, "operators");
    size_t i;
    json_t *o;
    if (!json_is_array(operators))
        return err_set(reterr, name, 0, 0, "no list of logs: \"operators\" is missing");
    json_array_foreach(operators, i,
                       o) if (add_logs(l, json_object_get(o, "logs"), name, reterr) != 0 ||
                              add_logs(l, json_object_get(o, "tiled_logs"), name, reterr) != 0) return -1;
    return l->count ? 0 : err_set(reterr, name, 0, 0, "no log in it counts");
}

struct ct_logs *ct_logs_parse(struct span text, const char *name, struct err *reterr)
{
    json_error_t error;
    json_t *top = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, &error);
    if (!top)
        return err_set(reterr, name, (unsigned)error.line, (unsigned)error.column, "%s", error.text), NULL;
    struct ct_logs *l = calloc(1, sizeof *l);
    if (l)
        l->logs = calloc(CT_LOGS_MAX, sizeof *l->logs);
    int result =
        l && l->logs ? add_operators(l, top, name, reterr) : err_set(reterr, name, 0, 0, "no memory");
    json_decref(top);
    if (result == 0)
        return l;
    ct_logs_free(l);
    return NULL;
}

/* ---- checking ---- */

static const struct ct_log *find_log(const struct ct_logs *l, const SCT *sct)
{
    unsigned char *id;
    size_t len = SCT_get0_log_id(sct, &id);
    for (size_t i = 0; len == SHA256_DIGEST_LENGTH && i < l->count; i++)
        if (memcmp(l->logs[i].id, id, len) == 0)
            return &l->logs[i];
    return NULL;
}

/* The certificate without its SCTs; empty when that can't be had. The caller frees it. */
static struct span make_tbs(const X509 *leaf)
{
    X509 *bare = X509_dup(leaf);
    int at = bare ? X509_get_ext_by_NID(bare, NID_ct_precert_scts, -1) : -1, len = 0;
    unsigned char *der = NULL;
    if (at >= 0) {
        X509_EXTENSION_free(X509_delete_ext(bare, at));
        len = i2d_re_X509_tbs(bare, &der);
    }
    X509_free(bare);
    return span_of(der, len > 0 && len <= TBS_BYTES_MAX ? (size_t)len : 0);
}

static void put_number(struct buf *b, uint64_t number, int bytes)
{
    while (bytes-- > 0) {
        uint8_t byte = (uint8_t)(number >> 8 * bytes);
        buf_append(b, &byte, 1);
    }
}

static int put_signed(struct buf *b, const SCT *sct, X509 *issuer, struct span tbs)
{
    unsigned char *key = NULL, *extensions = NULL, digest[SHA256_DIGEST_LENGTH];
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(issuer), &key);
    size_t extensions_len = SCT_get0_extensions(sct, &extensions);
    if (len <= 0)
        return -1;
    SHA256(key, (size_t)len, digest);
    OPENSSL_free(key);
    put_number(b, 0, 1); /* v1 */
    put_number(b, 0, 1); /* certificate_timestamp */
    put_number(b, SCT_get_timestamp(sct), 8);
    put_number(b, ENTRY_PRECERT, 2);
    buf_append(b, digest, sizeof digest);
    put_number(b, tbs.len, 3);
    buf_append(b, tbs.data, tbs.len);
    put_number(b, extensions_len, 2);
    if (extensions_len)
        buf_append(b, extensions, extensions_len);
    return b->failed ? -1 : 0;
}

static bool is_signed(const SCT *sct, const struct ct_log *log, X509 *issuer, struct span tbs)
{
    int nid = SCT_get_signature_nid(sct), type = EVP_PKEY_get_base_id(log->key);
    bool fits = (nid == NID_ecdsa_with_SHA256 && type == EVP_PKEY_EC) ||
                (nid == NID_sha256WithRSAEncryption && type == EVP_PKEY_RSA);
    unsigned char *signature;
    size_t len = SCT_get0_signature(sct, &signature);
    struct buf text;
    buf_init(&text, SIGNED_BYTES_MAX);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool good = c && fits && put_signed(&text, sct, issuer, tbs) == 0 &&
                EVP_DigestVerifyInit(c, NULL, EVP_sha256(), NULL, log->key) == 1 &&
                EVP_DigestVerify(c, signature, len, buf_span(&text).data, buf_len(&text)) == 1;
    EVP_MD_CTX_free(c);
    buf_free(&text);
    return good;
}

static enum ct_result check(const STACK_OF(SCT) * scts, const struct ct_logs *logs, X509 *issuer,
                            struct span tbs, int64_t *ret_earliest_s)
{
    enum ct_result result = CT_UNKNOWN_LOG;
    *ret_earliest_s = 0;
    for (int i = 0; i < sk_SCT_num(scts) && i < SCTS_CHECKED; i++) {
        const SCT *sct = sk_SCT_value(scts, i);
        const struct ct_log *log = SCT_get_version(sct) == SCT_VERSION_V1 ? find_log(logs, sct) : NULL;
        int64_t time_s = (int64_t)(SCT_get_timestamp(sct) / 1000);
        if (!log || SCT_get_timestamp(sct) >= log->until_ms)
            continue;
        if (!is_signed(sct, log, issuer, tbs)) {
            *ret_earliest_s = 0;
            return CT_INVALID;
        }
        result = CT_VALID;
        if (*ret_earliest_s == 0 || time_s < *ret_earliest_s)
            *ret_earliest_s = time_s;
    }
    return result;
}

enum ct_result chain_check_scts(const struct ct_logs *logs, X509 *leaf, X509 *issuer, int64_t *ret_earliest_s)
{
    enum ct_result result = CT_NOT_CHECKED;
    STACK_OF(SCT) *scts = X509_get_ext_d2i(leaf, NID_ct_precert_scts, NULL, NULL);
    if (!scts || sk_SCT_num(scts) == 0) {
        result = CT_NONE;
    } else if (logs && issuer) {
        struct span tbs = make_tbs(leaf);
        int64_t earliest_s = 0;
        result = tbs.len ? check(scts, logs, issuer, tbs, &earliest_s) : CT_INVALID;
        *ret_earliest_s = earliest_s;
        OPENSSL_free((void *)(uintptr_t)tbs.data);
    }
    SCT_LIST_free(scts);
    ERR_clear_error();
    return result;
}
