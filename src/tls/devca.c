/* devca.c: see devca.h. */
#include "tls/devca.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CA_DAYS = 3650, SERIAL_BITS = 127, DAY_S = 24 * 3600 };

struct devca {
    X509 *certificate; /* owned */
    EVP_PKEY *key;     /* owned */
};

static int openssl_error(struct err *reterr, const char *file, const char *what)
{
    const char *text = ERR_reason_error_string(ERR_peek_error());
    ERR_clear_error();
    return err_set(reterr, file, 0, 0, "%s: %s", what, text ? text : "an unknown error");
}

/* The file must be new: nothing of value is ever overwritten. */
static FILE *create_file(const char *path, unsigned mode, struct err *reterr)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
    if (f)
        return f;
    err_set(reterr, path, 0, 0, "cannot be created: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
    return NULL;
}

static int write_files(X509 *certificate, EVP_PKEY *key, const char *certificate_file, const char *key_file,
                       struct err *reterr)
{
    FILE *f = create_file(key_file, 0600, reterr);
    if (!f)
        return -1;
    bool ok = PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1;
    if ((fclose(f) != 0) | !ok)
        return err_set(reterr, key_file, 0, 0, "cannot be written");
    f = create_file(certificate_file, 0644, reterr);
    if (!f)
        return -1;
    ok = PEM_write_X509(f, certificate) == 1;
    if ((fclose(f) != 0) | !ok)
        return err_set(reterr, certificate_file, 0, 0, "cannot be written");
    return 0;
}

static bool add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool ok = e && X509_add_ext(certificate, e, -1) == 1;
    X509_EXTENSION_free(e);
    return ok;
}

static bool set_serial(X509 *certificate)
{
    BIGNUM *n = BN_new();
    bool ok = n && BN_rand(n, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
              BN_to_ASN1_INTEGER(n, X509_get_serialNumber(certificate)) != NULL;
    BN_free(n);
    return ok;
}

static bool set_subject(X509 *certificate, const char *common_name)
{
    X509_NAME *name = X509_get_subject_name(certificate);
    return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common_name, -1, -1,
                                      0) == 1;
}

/* A certificate with everything but extensions and signature; NULL on failure. */
static X509 *certificate_new(const char *common_name, EVP_PKEY *key, X509 *issuer, int from_days,
                             int until_days)
{
    X509 *c = X509_new();
    if (c && X509_set_version(c, X509_VERSION_3) == 1 && set_serial(c) && set_subject(c, common_name) &&
        X509_set_issuer_name(c, X509_get_subject_name(issuer ? issuer : c)) == 1 &&
        X509_time_adj_ex(X509_getm_notBefore(c), from_days, from_days ? 0 : -300, NULL) &&
        X509_time_adj_ex(X509_getm_notAfter(c), until_days, 0, NULL) && X509_set_pubkey(c, key) == 1)
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
    X509 *c = ca->certificate = ca->key ? certificate_new(name, ca->key, NULL, 0, CA_DAYS) : NULL;
    if (!c || !add_extension(c, c, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
        !add_extension(c, c, NID_key_usage, "critical,keyCertSign,cRLSign") ||
        !add_extension(c, c, NID_subject_key_identifier, "hash") || X509_sign(c, ca->key, EVP_sha256()) == 0)
        openssl_error(reterr, certificate_file, "the CA cannot be made");
    else if (write_files(c, ca->key, certificate_file, key_file, reterr) == 0)
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
    openssl_error(reterr, ca->certificate ? key_file : certificate_file, "the CA cannot be read");
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
    return add_extension(c, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(c, issuer, NID_key_usage, "critical,digitalSignature") &&
           add_extension(c, issuer, NID_ext_key_usage, "serverAuth") &&
           add_extension(c, issuer, NID_subject_key_identifier, "hash") &&
           (leaf->self_signed || add_extension(c, issuer, NID_authority_key_identifier, "keyid")) &&
           (!leaf->alt_names || add_extension(c, issuer, NID_subject_alt_name, leaf->alt_names));
}

int devca_issue(struct devca *ca, const struct devca_leaf *leaf, const char *certificate_file,
                const char *key_file, struct err *reterr)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *issuer = leaf->self_signed ? NULL : ca->certificate;
    X509 *c =
        key ? certificate_new(leaf->common_name, key, issuer, leaf->not_before_days, leaf->not_after_days)
            : NULL;
    int result;
    if (!c || !leaf_extensions(c, issuer ? issuer : c, leaf) ||
        X509_sign(c, issuer ? ca->key : key, EVP_sha256()) == 0)
        result = openssl_error(reterr, certificate_file, "the certificate cannot be made");
    else
        result = write_files(c, key, certificate_file, key_file, reterr);
    X509_free(c);
    EVP_PKEY_free(key);
    return result;
}
