/* devca.c: see devca.h. */
#include "tls/devca.h"

#include "tls/certificate.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <stdlib.h>

enum { CA_DAYS = 3650 };

struct devca {
    X509 *certificate; /* owned */
    EVP_PKEY *key;     /* owned */
};

/* With its times, without extensions and signature; NULL on failure. */
static X509 *dated_new(const char *common_name, EVP_PKEY *key, X509 *issuer, int from_days, int until_days)
{
    X509 *c = certificate_new(common_name, key, issuer);
    if (c && X509_time_adj_ex(X509_getm_notBefore(c), from_days, from_days ? 0 : -300, NULL) &&
        X509_time_adj_ex(X509_getm_notAfter(c), until_days, 0, NULL))
        return c;
    X509_free(c);
    return NULL;
}

struct devca *devca_create(const char *name, const char *certificate_file, const char *key_file,
                           struct err *reterr)
{
    struct devca *ca = calloc(1, sizeof *ca);
    if (!ca)
        return err_set(reterr, NULL, 0, 0, "no memory"), NULL;
    ca->key = EVP_EC_gen("P-256");
    X509 *c = ca->certificate = ca->key ? dated_new(name, ca->key, NULL, 0, CA_DAYS) : NULL;
    if (!c || !certificate_add_extension(c, c, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
        !certificate_add_extension(c, c, NID_key_usage, "critical,keyCertSign,cRLSign") ||
        !certificate_add_extension(c, c, NID_subject_key_identifier, "hash") ||
        X509_sign(c, ca->key, EVP_sha256()) == 0)
        certificate_error(reterr, certificate_file, "the CA cannot be made");
    else if (certificate_write_files(c, ca->key, certificate_file, key_file, reterr) == 0)
        return ca;
    devca_free(ca);
    return NULL;
}

struct devca *devca_open(const char *certificate_file, const char *key_file, struct err *reterr)
{
    struct devca *ca = calloc(1, sizeof *ca);
    if (!ca)
        return err_set(reterr, NULL, 0, 0, "no memory"), NULL;
    FILE *f = fopen(certificate_file, "re");
    ca->certificate = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;
    if (f)
        fclose(f);
    f = fopen(key_file, "re");
    ca->key = f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;
    if (f)
        fclose(f);
    if (ca->certificate && ca->key && X509_check_private_key(ca->certificate, ca->key) == 1)
        return ca;
    certificate_error(reterr, ca->certificate ? key_file : certificate_file, "the CA cannot be read");
    devca_free(ca);
    return NULL;
}

void devca_free(struct devca *take_ca)
{
    if (!take_ca)
        return;
    X509_free(take_ca->certificate);
    EVP_PKEY_free(take_ca->key);
    free(take_ca);
}

static bool leaf_extensions(X509 *c, X509 *issuer, const struct devca_leaf *leaf)
{
    return certificate_add_extension(c, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
           certificate_add_extension(c, issuer, NID_key_usage, "critical,digitalSignature") &&
           certificate_add_extension(c, issuer, NID_ext_key_usage, "serverAuth") &&
           certificate_add_extension(c, issuer, NID_subject_key_identifier, "hash") &&
           (leaf->self_signed ||
            certificate_add_extension(c, issuer, NID_authority_key_identifier, "keyid")) &&
           (!leaf->alt_names || certificate_add_extension(c, issuer, NID_subject_alt_name, leaf->alt_names));
}

int devca_issue(struct devca *ca, const struct devca_leaf *leaf, const char *certificate_file,
                const char *key_file, struct err *reterr)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *issuer = leaf->self_signed ? NULL : ca->certificate;
    X509 *c =
        key ? dated_new(leaf->common_name, key, issuer, leaf->not_before_days, leaf->not_after_days) : NULL;
    int result;
    if (!c || !leaf_extensions(c, issuer ? issuer : c, leaf) ||
        X509_sign(c, issuer ? ca->key : key, EVP_sha256()) == 0)
        result = certificate_error(reterr, certificate_file, "the certificate cannot be made");
    else
        result = certificate_write_files(c, key, certificate_file, key_file, reterr);
    X509_free(c);
    EVP_PKEY_free(key);
    return result;
}
