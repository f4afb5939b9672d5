/* ca.c: see ca.h. */
#include "tls/ca_private.h"

#include "tls/certificate.h"

#include <errno.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/store.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* ---- keys ---- */

/* "pkcs11:...", "file:...": a scheme of two characters or more, then a colon (RFC 3986, 3.1). */
static bool is_uri(const char *key)
{
    size_t len = strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");
    return len >= 2 && key[len] == ':';
}

static EVP_PKEY *key_from_uri(const char *uri, struct err *reterr)
{
    EVP_PKEY *key = NULL;
    OSSL_STORE_CTX *store = OSSL_STORE_open(uri, NULL, NULL, NULL, NULL);
    if (store)
        OSSL_STORE_expect(store, OSSL_STORE_INFO_PKEY);
    while (store && !key && !OSSL_STORE_eof(store)) {
        OSSL_STORE_INFO *info = OSSL_STORE_load(store);
        if (info && OSSL_STORE_INFO_get_type(info) == OSSL_STORE_INFO_PKEY)
            key = OSSL_STORE_INFO_get1_PKEY(info);
        OSSL_STORE_INFO_free(info);
        if (!info)
            break;
    }
    if (!key)
        certificate_error(reterr, NULL, "no private key is found at the CA key's URI");
    ERR_clear_error();
    OSSL_STORE_close(store);
    return key;
}

/* Never asks at the terminal. */
static int no_pass_phrase(char *data, int size, int writing, void *unused)
{
    (void)data, (void)size, (void)writing, (void)unused;
    return -1;
}

/* A key that others could read is no secret any more: refused, so that somebody notices. */
static EVP_PKEY *key_from_file(const char *path, struct err *reterr)
{
    struct stat st;
    FILE *f = fopen(path, "re");
    if (!f || fstat(fileno(f), &st) != 0) {
        err_set(reterr, path, 0, 0, "the CA key cannot be read: %s", strerror(errno));
        if (f)
            fclose(f);
        return NULL;
    }
    EVP_PKEY *key = NULL;
    if (st.st_mode & 077)
        err_set(reterr, path, 0, 0, "the CA key can be read by others: it must be 0600");
    else if (!(key = PEM_read_PrivateKey(f, NULL, no_pass_phrase, NULL)))
        certificate_error(reterr, path, "the CA key cannot be read");
    fclose(f);
    return key;
}

static EVP_PKEY *key_read(const char *key, struct err *reterr)
{
    return is_uri(key) ? key_from_uri(key, reterr) : key_from_file(key, reterr);
}

/* ---- making ---- */

static bool fill(X509 *c, const struct ca_plan *plan)
{
    return X509_time_adj_ex(X509_getm_notBefore(c), 0, -300, NULL) &&
           X509_time_adj_ex(X509_getm_notAfter(c), plan->days, 0, NULL) &&
           certificate_add_extension(c, c, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
           certificate_add_extension(c, c, NID_key_usage, "critical,keyCertSign,cRLSign") &&
           certificate_add_extension(c, c, NID_subject_key_identifier, "hash");
}

/* RFC 5280, 4.2.1.10: critical. */
static bool constrain(X509 *c, const char *constraints)
{
    char value[2048];
    int len = snprintf(value, sizeof value, "critical,%s", constraints);
    return len > 0 && (size_t)len < sizeof value &&
           certificate_add_extension(c, c, NID_name_constraints, value);
}

const EVP_MD *ca_digest(EVP_PKEY *key)
{
    int nid = 0;
    return EVP_PKEY_get_default_digest_nid(key, &nid) == 2 && nid == NID_undef ? NULL : EVP_sha256();
}

int ca_create(const struct ca_plan *plan, const char *certificate_file, const char *key_file,
              struct err *reterr)
{
    EVP_PKEY *key = plan->key ? key_read(plan->key, reterr) : EVP_EC_gen("P-256");
    if (!key)
        return plan->key ? -1 : certificate_error(reterr, key_file, "a key cannot be made");
    X509 *c = certificate_new(plan->name, key, NULL);
    int result = -1;
    if (!c || !fill(c, plan))
        certificate_error(reterr, certificate_file, "the CA cannot be made");
    else if (plan->constraints && !constrain(c, plan->constraints))
        certificate_error(reterr, certificate_file, "these name constraints cannot be used");
    else if (X509_sign(c, key, ca_digest(key)) == 0)
        certificate_error(reterr, certificate_file, "the CA cannot be signed");
    else
        result = certificate_write_files(c, plan->key ? NULL : key, certificate_file, key_file, reterr);
    X509_free(c);
    EVP_PKEY_free(key);
    return result;
}

/* ---- reading ---- */

static int64_t seconds_of(const ASN1_TIME *time)
{
    struct tm tm = {0};
    return ASN1_TIME_to_tm(time, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

static char *constraints_as_text(X509 *c)
{
    int at = X509_get_ext_by_NID(c, NID_name_constraints, -1);
    BIO *out = at >= 0 ? BIO_new(BIO_s_mem()) : NULL;
    char *data = NULL, *text = NULL;
    if (out && X509V3_EXT_print(out, X509_get_ext(c, at), 0, 0) == 1) {
        long len = BIO_get_mem_data(out, &data);
        text = strndup(data, len > 0 ? (size_t)len : 0);
    }
    size_t kept = 0;
    for (char *p = text; p && *p; p++) {
        char one = *p == '\n' ? ' ' : *p;
        if (one != ' ' || (kept > 0 && text[kept - 1] != ' '))
            text[kept++] = one;
    }
    if (text)
        text[kept] = '\0';
    BIO_free(out);
    return text;
}

/* What OpenSSL takes for a CA that may sign leaves. */
static bool may_sign(X509 *c)
{
    return X509_check_ca(c) == 1 && (X509_get_key_usage(c) & KU_KEY_CERT_SIGN) != 0;
}

static int describe(struct ca *ca, const char *file, struct err *reterr)
{
    unsigned len = 0;
    if (!may_sign(ca->certificate))
        return err_set(reterr, file, 0, 0, "this certificate is no CA: it may not sign others");
    ca->not_before_s = seconds_of(X509_get0_notBefore(ca->certificate));
    ca->not_after_s = seconds_of(X509_get0_notAfter(ca->certificate));
    ca->self_signed = X509_self_signed(ca->certificate, 0) == 1;
    ca->subject = X509_NAME_oneline(X509_get_subject_name(ca->certificate), NULL, 0);
    ca->constraints = X509_get_ext_d2i(ca->certificate, NID_name_constraints, NULL, NULL);
    ca->constraints_text = constraints_as_text(ca->certificate);
    if (!ca->subject || X509_digest(ca->certificate, EVP_sha256(), ca->sha256, &len) != 1)
        return certificate_error(reterr, file, "the CA cannot be read");
    ERR_clear_error();
    return 0;
}

struct ca *ca_read(const char *certificate_file, struct err *reterr)
{
    FILE *f = fopen(certificate_file, "re");
    if (!f)
        return err_set(reterr, certificate_file, 0, 0, "the CA cannot be read: %s", strerror(errno)), NULL;
    struct ca *ca = calloc(1, sizeof *ca);
    if (ca)
        ca->certificate = PEM_read_X509(f, NULL, NULL, NULL);
    while (ca && ca->certificate && ca->issuer_count < CA_CHAIN_MAX &&
           (ca->issuers[ca->issuer_count] = PEM_read_X509(f, NULL, NULL, NULL)))
        ca->issuer_count++;
    fclose(f);
    if (!ca || !ca->certificate)
        certificate_error(reterr, certificate_file, "the CA cannot be read");
    else if (describe(ca, certificate_file, reterr) == 0)
        return ca;
    ca_free(ca);
    return NULL;
}

struct ca *ca_read_with_key(const char *certificate_file, const char *key, struct err *reterr)
{
    struct ca *ca = ca_read(certificate_file, reterr);
    if (!ca || !(ca->key = key_read(key, reterr))) {
        ca_free(ca);
        return NULL;
    }
    if (X509_check_private_key(ca->certificate, ca->key) == 1)
        return ca;
    ERR_clear_error();
    err_set(reterr, is_uri(key) ? NULL : key, 0, 0, "the key is not that of the CA's certificate %s",
            certificate_file);
    ca_free(ca);
    return NULL;
}

void ca_free(struct ca *take_ca)
{
    struct ca *ca = take_ca;
    if (!ca)
        return;
    X509_free(ca->certificate);
    for (unsigned i = 0; i < ca->issuer_count; i++)
        X509_free(ca->issuers[i]);
    EVP_PKEY_free(ca->key);
    NAME_CONSTRAINTS_free(ca->constraints);
    free(ca->constraints_text);
    OPENSSL_free(ca->subject);
    free(ca);
}

const uint8_t *ca_sha256(const struct ca *ca)
{
    return ca->sha256;
}

const char *ca_subject(const struct ca *ca)
{
    return ca->subject;
}

const char *ca_constraints(const struct ca *ca)
{
    return ca->constraints_text;
}

void ca_validity(const struct ca *ca, int64_t *ret_not_before_s, int64_t *ret_not_after_s)
{
    *ret_not_before_s = ca->not_before_s;
    *ret_not_after_s = ca->not_after_s;
}
