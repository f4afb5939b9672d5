/* ca_private.h: the CA with OpenSSL's types, for ca.c and mint.c alone. */
#ifndef EXEAT_TLS_CA_PRIVATE_H
#define EXEAT_TLS_CA_PRIVATE_H

#include "tls/ca.h"

#include <openssl/x509v3.h>

struct ca {
    X509 *certificate;           /* owned */
    X509 *issuers[CA_CHAIN_MAX]; /* owned: sent behind it */
    unsigned issuer_count;
    EVP_PKEY *key;                 /* owned; NULL without */
    NAME_CONSTRAINTS *constraints; /* owned; NULL without */
    char *constraints_text;        /* owned; NULL without */
    char *subject;                 /* owned by OpenSSL's allocator */
    uint8_t sha256[CA_SHA256_BYTES];
    int64_t not_before_s, not_after_s;
    bool self_signed; /* a root: clients have it, it is not sent */
};

/* What a key signs with: Ed25519 and its like bring their own digest (NULL). */
const EVP_MD *ca_digest(EVP_PKEY *key);

#endif
