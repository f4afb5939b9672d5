/* ca.h: the inspection CA: made, read, and asked about. `exeat ca` makes it; run/'s signing process alone reads it with its key;
 * everyone else holds the certificate. No OpenSSL type shows. A struct ca is immutable and may be read by several threads.
 * Touches the files named, the key's provider, OpenSSL's random source, and the clock in ca_create(). */
#ifndef EXEAT_TLS_CA_H
#define EXEAT_TLS_CA_H

#include "base/err.h"
#include "base/span.h"

enum { CA_SHA256_BYTES = 32, CA_DAYS_DEFAULT = 3650, CA_CHAIN_MAX = 8 };

struct ca;

struct ca_plan {
    const char *name; /* common name */
    int days;         /* valid from now */
    const char *
        constraints; /* name constraints in OpenSSL's form ("permitted;DNS:a.test,excluded;DNS:b.a.test"); NULL: none */
    const char *key; /* an existing key: file or provider URI; NULL: a new P-256 key */
};

/* Writes the certificate, and a new key 0600; neither file may exist. key_file is not used with plan->key. 0, or -1 with reterr. */
int ca_create(const struct ca_plan *plan, const char *certificate_file, const char *key_file,
              struct err *reterr);

/* The certificate alone: the first of a PEM file; those behind it are sent to clients with each leaf (an intermediate CA has its
 * issuers there, not the root). Refused: what is no CA. NULL with reterr. */
struct ca *ca_read(const char *certificate_file, struct err *reterr);
/* With its key: a PEM file, which others may not read, or a provider URI ("pkcs11:...", "file:..."). Must fit the certificate. */
struct ca *ca_read_with_key(const char *certificate_file, const char *key, struct err *reterr);
void ca_free(struct ca *take_ca); /* NULL is fine */

const uint8_t *ca_sha256(const struct ca *ca);   /* CA_SHA256_BYTES, of the certificate */
const char *ca_subject(const struct ca *ca);     /* for people: "/CN=..." */
const char *ca_constraints(const struct ca *ca); /* as text, one line; NULL: none */
void ca_validity(const struct ca *ca, int64_t *ret_not_before_s, int64_t *ret_not_after_s);

#endif
