/* certificate.c: see certificate.h. Touches OpenSSL's random source and the files it is told to make. */
#include "tls/certificate.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>
#include <unistd.h>

enum { SERIAL_BITS = 127 };

int certificate_error(struct err *reterr, const char *file, const char *what)
{
    const char *text = ERR_reason_error_string(ERR_peek_error());
    ERR_clear_error();
    return err_set(reterr, file, 0, 0, "%s: %s", what, text ? text : "an unknown error");
}

bool certificate_add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool ok = e && X509_add_ext(certificate, e, -1) == 1;
    X509_EXTENSION_free(e);
    return ok;
}

bool certificate_set_serial(X509 *certificate)
{
    BIGNUM *n = BN_new();
    bool ok = n && BN_rand(n, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
              BN_to_ASN1_INTEGER(n, X509_get_serialNumber(certificate)) != NULL;
    BN_free(n);
    return ok;
}

X509 *certificate_new(const char *common_name, EVP_PKEY *key, X509 *issuer)
{
    X509 *c = X509_new();
    if (c && X509_set_version(c, X509_VERSION_3) == 1 && certificate_set_serial(c) &&
        X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN", MBSTRING_UTF8,
                                   (const unsigned char *)common_name, -1, -1, 0) == 1 &&
        X509_set_issuer_name(c, X509_get_subject_name(issuer ? issuer : c)) == 1 &&
        X509_set_pubkey(c, key) == 1)
        return c;
    X509_free(c);
    return NULL;
}

FILE *certificate_create_file(const char *path, unsigned mode, struct err *reterr)
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

int certificate_write_files(X509 *certificate, EVP_PKEY *key, const char *certificate_file,
                            const char *key_file, struct err *reterr)
{
    if (key && key_file) {
        FILE *f = certificate_create_file(key_file, 0600, reterr);
        if (!f)
            return -1;
        bool ok = PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1;
        if ((fclose(f) != 0) | !ok)
            return err_set(reterr, key_file, 0, 0, "cannot be written");
    }
    FILE *f = certificate_create_file(certificate_file, 0644, reterr);
    if (!f) {
        if (key && key_file)
            unlink(key_file); /* made a moment ago, and of no use alone */
        return -1;
    }
    bool ok = PEM_write_X509(f, certificate) == 1;
    if ((fclose(f) != 0) | !ok)
        return err_set(reterr, certificate_file, 0, 0, "cannot be written");
    return 0;
}
