/* chain_sct.c: see ct_logs.h. A list of logs is read, and SCTs are checked: of those that a certificate holds, what a log signed is the certificate
 * without them (RFC 6962, 3.2), together with a digest of its issuer's key; of those beside it, the certificate as it is. Pure. */
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
    ENTRY_X509 = 0,
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

/* What a log signed: an entry of one of two kinds. */
struct entry {
    X509 *issuer; /* NULL: the certificate as it is; else without its SCTs, and its issuer's key */
    struct span body;
};

static int put_issuer(struct buf *b, X509 *issuer)
{
    unsigned char *key = NULL, digest[SHA256_DIGEST_LENGTH];
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(issuer), &key);
    if (len <= 0)
        return -1;
    SHA256(key, (size_t)len, digest);
    OPENSSL_free(key);
    return buf_append(b, digest, sizeof digest);
}

static int put_signed(struct buf *b, const SCT *sct, const struct entry *e)
{
    unsigned char *extensions = NULL;
    size_t extensions_len = SCT_get0_extensions(sct, &extensions);
    put_number(b, 0, 1); /* v1 */
    put_number(b, 0, 1); /* certificate_timestamp */
    put_number(b, SCT_get_timestamp(sct), 8);
    put_number(b, e->issuer ? ENTRY_PRECERT : ENTRY_X509, 2);
    if (e->issuer && put_issuer(b, e->issuer) != 0)
        return -1;
    put_number(b, e->body.len, 3);
    buf_append(b, e->body.data, e->body.len);
    put_number(b, extensions_len, 2);
    if (extensions_len)
        buf_append(b, extensions, extensions_len);
    return b->failed ? -1 : 0;
}

static bool is_signed(const SCT *sct, const struct ct_log *log, const struct entry *e)
{
    int nid = SCT_get_signature_nid(sct), type = EVP_PKEY_get_base_id(log->key);
    bool fits = (nid == NID_ecdsa_with_SHA256 && type == EVP_PKEY_EC) ||
                (nid == NID_sha256WithRSAEncryption && type == EVP_PKEY_RSA);
    unsigned char *signature;
    size_t len = SCT_get0_signature(sct, &signature);
    struct buf text;
    buf_init(&text, SIGNED_BYTES_MAX);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool good = c && fits && put_signed(&text, sct, e) == 0 &&
                EVP_DigestVerifyInit(c, NULL, EVP_sha256(), NULL, log->key) == 1 &&
                EVP_DigestVerify(c, signature, len, buf_span(&text).data, buf_len(&text)) == 1;
    EVP_MD_CTX_free(c);
    buf_free(&text);
    return good;
}

/* What is known so far: the more telling result stays. */
struct tally {
    enum ct_result result;
    int64_t earliest_s; /* of those that count; 0: none */
};

static void take_result(struct tally *t, enum ct_result result)
{
    static const enum ct_result order[] = {CT_NONE, CT_UNKNOWN_LOG, CT_NOT_CHECKED, CT_VALID, CT_INVALID};
    size_t have = 0, come = 0;
    while (order[have] != t->result)
        have++;
    while (order[come] != result)
        come++;
    t->result = order[come > have ? come : have];
}

static void take_time(struct tally *t, const SCT *sct)
{
    int64_t time_s = (int64_t)(SCT_get_timestamp(sct) / 1000);
    if (time_s > 0 && (t->earliest_s == 0 || time_s < t->earliest_s))
        t->earliest_s = time_s;
}

static void check_one(struct tally *t, const SCT *sct, const struct ct_logs *logs, const struct entry *e)
{
    const struct ct_log *log = SCT_get_version(sct) == SCT_VERSION_V1 ? find_log(logs, sct) : NULL;
    if (!log || SCT_get_timestamp(sct) >= log->until_ms) {
        take_result(t, CT_UNKNOWN_LOG);
    } else if (!is_signed(sct, log, e)) {
        take_result(t, CT_INVALID);
    } else {
        take_result(t, CT_VALID);
        take_time(t, sct);
    }
}

/* `e` NULL: what was signed isn't known. */
static void check(struct tally *t, const STACK_OF(SCT) * scts, const struct ct_logs *logs,
                  const struct entry *e)
{
    int count = scts ? sk_SCT_num(scts) : 0;
    for (int i = 0; i < count && i < SCTS_CHECKED; i++) {
        const SCT *sct = sk_SCT_value(scts, i);
        if (logs && e) {
            check_one(t, sct, logs, e);
        } else {
            take_result(t, CT_NOT_CHECKED);
            take_time(t, sct);
        }
    }
}

static void check_embedded(struct tally *t, const STACK_OF(SCT) * scts, const struct ct_logs *logs,
                           X509 *leaf, X509 *issuer)
{
    struct span tbs = logs && issuer ? make_tbs(leaf) : span_of(NULL, 0);
    const struct entry e = {.issuer = issuer, .body = tbs};
    if (logs && issuer && !tbs.len)
        take_result(t, CT_INVALID);
    else
        check(t, scts, logs, issuer ? &e : NULL);
    OPENSSL_free((void *)(uintptr_t)tbs.data);
}

static void check_beside(struct tally *t, const STACK_OF(SCT) * scts, const struct ct_logs *logs, X509 *leaf)
{
    unsigned char *der = NULL;
    int len = scts && logs ? i2d_X509(leaf, &der) : 0;
    const struct entry e = {.body = span_of(der, len > 0 ? (size_t)len : 0)};
    if (len >= 0 && len <= TBS_BYTES_MAX)
        check(t, scts, logs, &e);
    OPENSSL_free(der);
}

enum ct_result chain_check_scts(const struct chain_question *q, X509 *leaf, X509 *issuer,
                                int64_t *ret_earliest_s)
{
    struct tally t = {.result = CT_NONE};
    const unsigned char *at = q->scts.data;
    STACK_OF(SCT) *embedded = X509_get_ext_d2i(leaf, NID_ct_precert_scts, NULL, NULL);
    STACK_OF(SCT) *beside = q->scts.len ? o2i_SCT_LIST(NULL, &at, q->scts.len) : NULL;
    STACK_OF(SCT) *stapled = chain_ocsp_scts(q, leaf, issuer);
    bool inside = embedded && sk_SCT_num(embedded) > 0;
    if (inside)
        check_embedded(&t, embedded, q->ct_logs, leaf, issuer);
    check_beside(&t, beside, q->ct_logs, leaf);
    check_beside(&t, stapled, q->ct_logs, leaf);
    *ret_earliest_s = inside && t.result != CT_INVALID ? t.earliest_s : 0;
    SCT_LIST_free(embedded);
    SCT_LIST_free(beside);
    SCT_LIST_free(stapled);
    ERR_clear_error();
    return t.result;
}
