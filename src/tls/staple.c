/* staple.c: see staple.h. */
#include "tls/staple.h"

#include "base/must.h"
#include "tls/ca_private.h"
#include "tls/certificate.h"
#include "tls/session_private.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>

enum { CLOCKS_S = 300 }; /* how far clients' clocks may be behind */

/* The leaf, if this CA signed it and it is valid now. */
static X509 *own_leaf(const struct ca *ca, struct span der, int64_t now_s)
{
    const unsigned char *at = der.data;
    time_t now = (time_t)now_s;
    X509 *leaf = der.len > 0 && der.len < INT32_MAX ? d2i_X509(NULL, &at, (long)der.len) : NULL;
    if (leaf && at == der.data + der.len && X509_check_ca(leaf) == 0 &&
        X509_verify(leaf, X509_get0_pubkey(ca->certificate)) == 1 &&
        X509_cmp_time(X509_get0_notBefore(leaf), &now) < 0 &&
        X509_cmp_time(X509_get0_notAfter(leaf), &now) > 0)
        return leaf;
    X509_free(leaf);
    return NULL;
}

static bool add_status(OCSP_BASICRESP *basic, const struct ca *ca, X509 *leaf, int64_t from_s,
                       int64_t until_s)
{
    OCSP_CERTID *id =
        OCSP_cert_to_id(EVP_sha1(), leaf, ca->certificate); /* a name, not a signature: what clients ask by */
    ASN1_TIME *from = ASN1_TIME_set(NULL, (time_t)from_s), *until = ASN1_TIME_set(NULL, (time_t)until_s);
    bool good = id && from && until &&
                OCSP_basic_add1_status(basic, id, V_OCSP_CERTSTATUS_GOOD, 0, NULL, from, until);
    OCSP_CERTID_free(id);
    ASN1_TIME_free(from);
    ASN1_TIME_free(until);
    return good;
}

static bool sign(OCSP_BASICRESP *basic, const struct ca *ca)
{
    return OCSP_basic_sign(basic, ca->certificate, ca->key, ca_digest(ca->key), NULL, OCSP_NOCERTS) == 1;
}

static int write_response(OCSP_BASICRESP *basic, struct buf *ret)
{
    unsigned char *der = NULL;
    OCSP_RESPONSE *response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    int len = response ? i2d_OCSP_RESPONSE(response, &der) : -1;
    int result = len > 0 && len <= STAPLE_MAX_BYTES ? buf_append(ret, der, (size_t)len) : -1;
    OPENSSL_free(der);
    OCSP_RESPONSE_free(response);
    return result;
}

int staple_sign(const struct ca *ca, struct span der, int64_t until_s, int64_t now_s, struct buf *ret,
                const char **ret_why)
{
    must(ca->key);
    struct tm end = {0};
    X509 *leaf = own_leaf(ca, der, now_s);
    OCSP_BASICRESP *basic = leaf ? OCSP_BASICRESP_new() : NULL;
    const char *why = leaf ? NULL : "this is no leaf of this CA";
    if (leaf && ASN1_TIME_to_tm(X509_get0_notAfter(leaf), &end) == 1 && (int64_t)timegm(&end) < until_s)
        until_s = (int64_t)timegm(&end);
    if (until_s > now_s + STAPLE_LIFE_MAX_S)
        until_s = now_s + STAPLE_LIFE_MAX_S;
    if (!why && until_s <= now_s)
        why = "what the server said has ended";
    if (!why && (!basic || !add_status(basic, ca, leaf, now_s - CLOCKS_S, until_s) || !sign(basic, ca) ||
                 write_response(basic, ret) != 0))
        why = "the CA's key cannot sign a response";
    OCSP_BASICRESP_free(basic);
    X509_free(leaf);
    ERR_clear_error();
    if (why)
        *ret_why = why;
    return why ? -1 : 0;
}

/* Called for clients that ask. */
static int on_status(SSL *ssl, void *context)
{
    const struct tls_context *c = context;
    unsigned char *copy = OPENSSL_memdup(c->staple, c->staple_len);
    if (!copy)
        return SSL_TLSEXT_ERR_NOACK;
    SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)c->staple_len); /* takes it */
    return SSL_TLSEXT_ERR_OK;
}

int staple_show(struct tls_context *c, struct span response, const struct ca *ca, struct err *reterr)
{
    must(c->server && !c->staple);
    c->staple = OPENSSL_memdup(response.data, response.len);
    c->staple_len = response.len;
    if (!c->staple || (ca->self_signed && SSL_CTX_add1_chain_cert(c->ctx, ca->certificate) != 1))
        return certificate_error(reterr, NULL, "an OCSP response cannot be shown");
    SSL_CTX_set_tlsext_status_cb(c->ctx, on_status);
    SSL_CTX_set_tlsext_status_arg(c->ctx, c);
    return 0;
}
