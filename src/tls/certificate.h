/* certificate.h: what the makers of certificates (devca, ca, mint) share among themselves, with OpenSSL's types. Nobody else
 * includes it. */
#ifndef EXEAT_TLS_CERTIFICATE_H
#define EXEAT_TLS_CERTIFICATE_H

#include "base/err.h"

#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>

/* Fills reterr with `what` and OpenSSL's first reason; empties its queue. Returns -1. */
int certificate_error(struct err *reterr, const char *file, const char *what);

/* `value` in OpenSSL's configuration form. */
bool certificate_add_extension(X509 *certificate, X509 *issuer, int nid, const char *value);

/* 127 random bits, positive. */
bool certificate_set_serial(X509 *certificate);

/* Version 3, a serial, one common name, its issuer's name (NULL: its own) and its key; without times, extensions, signature.
 * NULL on failure. */
X509 *certificate_new(const char *common_name, EVP_PKEY *key, X509 *issuer);

/* The file must be new: nothing of value is ever overwritten. */
FILE *certificate_create_file(const char *path, unsigned mode, struct err *reterr);

/* Both files new, the key's 0600; key or key_file may be NULL. 0, or -1 with reterr. */
int certificate_write_files(X509 *certificate, EVP_PKEY *key, const char *certificate_file,
                            const char *key_file, struct err *reterr);

#endif
