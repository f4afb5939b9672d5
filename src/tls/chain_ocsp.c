/* chain_ocsp.c: a stapled OCSP response (RFC 6960) about the leaf of a path. It counts when its issuer signed it, or somebody whom the
 * issuer appointed for that, and it is about this certificate and this time. One that says "revoked" ends trust; one that can't be relied
 * on is told, or ends it where the question says so: whoever staples it either erred or wants it to be believed. Pure. */
#include "tls/chain_private.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>

enum { SKEW_S = 300 };

/* Anchored in the issuer alone, at the question's time. NULL without memory. */
static X509_STORE *store_of(X509 *issuer, int64_t time_s)
{
    X509_STORE *store = X509_STORE_new();
    X509_VERIFY_PARAM *param = store ? X509_STORE_get0_param(store) : NULL;
    if (!param || X509_STORE_add_cert(store, issuer) != 1) {
        X509_STORE_free(store);
        return NULL;
    }
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
    X509_VERIFY_PARAM_set_time(param, (time_t)time_s);
    return store;
}

/* The answer about `leaf` in it; NULL: there is none. */
static OCSP_SINGLERESP *find_single(OCSP_BASICRESP *basic, X509 *leaf, X509 *issuer)
{
    for (int i = 0; i < OCSP_resp_count(basic); i++) {
        OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);
        const OCSP_CERTID *theirs = OCSP_SINGLERESP_get0_id(single);
        ASN1_OBJECT *digest = NULL;
        if (OCSP_id_get0_info(NULL, &digest, NULL, NULL, (OCSP_CERTID *)(uintptr_t)theirs) != 1)
            continue;
        const EVP_MD *md = EVP_get_digestbyobj(digest);
        OCSP_CERTID *ours = md ? OCSP_cert_to_id(md, leaf, issuer) : NULL;
        bool same = ours && OCSP_id_cmp(ours, theirs) == 0;
        OCSP_CERTID_free(ours);
        if (same)
            return single;
    }
    return NULL;
}

static bool read_generalized(const ASN1_GENERALIZEDTIME *t, int64_t *ret_s)
{
    return t && chain_read_time(t, ret_s);
}

enum verdict { RELIED_ON, REVOKED, USELESS };

static enum verdict judge_single(OCSP_SINGLERESP *single, int64_t time_s, int64_t *ret_until_s)
{
    ASN1_GENERALIZEDTIME *from = NULL, *until = NULL;
    int64_t from_s, until_s = INT64_MAX;
    int reason = 0, status = OCSP_single_get0_status(single, &reason, NULL, &from, &until);
    if (!read_generalized(from, &from_s) || from_s - SKEW_S > time_s)
        return USELESS;
    if (until && (!read_generalized(until, &until_s) || until_s + SKEW_S < time_s))
        return USELESS;
    *ret_until_s = until_s;
    return status == V_OCSP_CERTSTATUS_REVOKED ? REVOKED
           : status == V_OCSP_CERTSTATUS_GOOD  ? RELIED_ON
                                               : USELESS;
}

static enum verdict judge(OCSP_BASICRESP *basic, X509 *leaf, X509 *issuer, int64_t time_s,
                          int64_t *ret_until_s)
{
    X509_STORE *store = store_of(issuer, time_s);
    STACK_OF(X509) *others = store ? sk_X509_new_null() : NULL;
    OCSP_SINGLERESP *single = find_single(basic, leaf, issuer);
    enum verdict v = USELESS;
    if (others && single && sk_X509_push(others, issuer) > 0 &&
        OCSP_basic_verify(basic, others, store, 0) == 1)
        v = judge_single(single, time_s, ret_until_s);
    sk_X509_free(others);
    X509_STORE_free(store);
    return v;
}

static OCSP_BASICRESP *read_response(const struct chain_question *q)
{
    const unsigned char *at = q->ocsp.data;
    OCSP_RESPONSE *response =
        q->ocsp.len && q->ocsp.len <= INT32_MAX ? d2i_OCSP_RESPONSE(NULL, &at, (long)q->ocsp.len) : NULL;
    OCSP_BASICRESP *basic = response && OCSP_response_status(response) == OCSP_RESPONSE_STATUS_SUCCESSFUL
                                ? OCSP_response_get1_basic(response)
                                : NULL;
    OCSP_RESPONSE_free(response);
    return basic;
}

STACK_OF(SCT) * chain_ocsp_scts(const struct chain_question *q, X509 *leaf, X509 *issuer)
{
    OCSP_BASICRESP *basic = issuer ? read_response(q) : NULL;
    OCSP_SINGLERESP *single = basic ? find_single(basic, leaf, issuer) : NULL;
    STACK_OF(SCT) *scts = single ? OCSP_SINGLERESP_get1_ext_d2i(single, NID_ct_cert_scts, NULL, NULL) : NULL;
    OCSP_BASICRESP_free(basic);
    return scts;
}

void chain_judge_ocsp(const struct chain_question *q, struct chain_path *p)
{
    if (q->ocsp.len == 0 || q->ocsp.len > INT32_MAX || p->count < 2)
        return; /* without an issuer nobody can say */
    OCSP_BASICRESP *basic = read_response(q);
    int64_t until_s = 0;
    enum verdict v =
        basic ? judge(basic, p->certificates[0], p->certificates[1], q->time_s, &until_s) : USELESS;
    if (v == REVOKED)
        chain_set_add(&p->findings.fatal, CHAIN_C18);
    else if (v == USELESS)
        chain_set_add(q->staple_counts ? &p->findings.fatal : &p->findings.told, CHAIN_C18);
    else
        p->staple_until_s = until_s;
    OCSP_BASICRESP_free(basic);
    ERR_clear_error();
}
