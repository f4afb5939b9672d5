/* chain_crl.c: certificate revocation lists given by the caller (RFC 5280, 5 and 6.3). A list counts for the certificates of the
 * path whose issuer wrote it; a list that is there but can't be relied on is a finding, too: its absence may be what was wanted.
 * Pure. */
#include "tls/chain_private.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>

enum { CRLS_MAX = 256 };

struct chain_crls {
    X509_CRL *lists[CRLS_MAX]; /* owned */
    size_t count;
};

static int read_pem(struct chain_crls *c, BIO *bio, struct err *reterr)
{
    X509_CRL *crl;
    while ((crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL)) != NULL) {
        if (c->count == CRLS_MAX) {
            X509_CRL_free(crl);
            return err_set(reterr, NULL, 0, 0, "more than %d revocation lists", CRLS_MAX);
        }
        c->lists[c->count++] = crl;
    }
    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        return err_set(reterr, NULL, 0, 0, "revocation list %zu can't be read", c->count + 1);
    return 0;
}

static int read_lists(struct chain_crls *c, struct span text, struct err *reterr)
{
    const unsigned char *at = text.data;
    if (text.len == 0 || text.len > INT32_MAX)
        return err_set(reterr, NULL, 0, 0, "not a revocation list");
    X509_CRL *der = d2i_X509_CRL(NULL, &at, (long)text.len);
    if (der) {
        c->lists[c->count++] = der;
        return 0;
    }
    ERR_clear_error();
    BIO *bio = BIO_new_mem_buf(text.data, (int)text.len);
    int result = bio ? read_pem(c, bio, reterr) : -1;
    BIO_free(bio);
    return result == 0 && c->count == 0 ? err_set(reterr, NULL, 0, 0, "there is no revocation list in it")
                                        : result;
}

struct chain_crls *chain_crls_parse(struct span text, struct err *reterr)
{
    struct chain_crls *c = calloc(1, sizeof *c);
    bool good = c && read_lists(c, text, reterr) == 0;
    ERR_clear_error();
    if (good)
        return c;
    err_set(reterr, NULL, 0, 0, "no memory for the revocation list");
    chain_crls_free(c);
    return NULL;
}

void chain_crls_free(struct chain_crls *take_crls)
{
    for (size_t i = 0; take_crls && i < take_crls->count; i++)
        X509_CRL_free(take_crls->lists[i]);
    free(take_crls);
}

static bool times_are_good(const X509_CRL *crl, int64_t time_s)
{
    const ASN1_TIME *next = X509_CRL_get0_nextUpdate(crl);
    int64_t from_s, until_s;
    return chain_read_time(X509_CRL_get0_lastUpdate(crl), &from_s) && from_s <= time_s &&
           (!next || (chain_read_time(next, &until_s) && time_s <= until_s));
}

/* RFC 5280, 5.2: a number there must be, not critical; no other critical extension is understood (5.2.4, 5.2.5: parts of lists). */
static bool extensions_are_good(const X509_CRL *crl)
{
    bool number = false;
    for (int i = 0; i < X509_CRL_get_ext_count(crl); i++) {
        X509_EXTENSION *e = X509_CRL_get_ext(crl, i);
        number = number || OBJ_obj2nid(X509_EXTENSION_get_object(e)) == NID_crl_number;
        if (X509_EXTENSION_get_critical(e))
            return false;
    }
    return number;
}

static bool can_rely_on(X509_CRL *crl, X509 *issuer, int64_t time_s)
{
    uint32_t usage = X509_get_key_usage(issuer);
    EVP_PKEY *key = X509_get0_pubkey(issuer);
    return key && (usage == UINT32_MAX || usage & KU_CRL_SIGN) && times_are_good(crl, time_s) &&
           extensions_are_good(crl) && X509_CRL_verify(crl, key) == 1;
}

static bool is_revoked(X509_CRL *crl, X509 *x)
{
    X509_REVOKED *entry;
    return X509_CRL_get0_by_cert(crl, &entry, x) == 1; /* 2: removed from the list */
}

void chain_judge_revocation(const struct chain_question *q, struct chain_path *p)
{
    for (size_t i = 0; q->crls && i + 1 < p->count; i++) {
        X509 *x = p->certificates[i], *issuer = p->certificates[i + 1];
        for (size_t j = 0; j < q->crls->count; j++) {
            X509_CRL *crl = q->crls->lists[j];
            if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(issuer)) == 0 &&
                (!can_rely_on(crl, issuer, q->time_s) || is_revoked(crl, x)))
                chain_set_add(&p->findings.fatal, CHAIN_C18);
        }
    }
    ERR_clear_error();
}
