/* signature.h: signatures over files that leave the house (`exeat case export`), by a key of P-256 that is made when it is first needed, kept 0600
 * and never printed. ECDSA with SHA-256 in DER (RFC 3279, 2.2.3), which `openssl dgst -sha256 -verify` checks. cmd/ calls in; touches the
 * key's file. */
#ifndef EXEAT_TLS_SIGNATURE_H
#define EXEAT_TLS_SIGNATURE_H

#include "base/buf.h"
#include "base/err.h"

enum { SIGNATURE_MAX_BYTES = 80, SIGNATURE_PUBLIC_MAX_BYTES = 512, SIGNATURE_FINGERPRINT_BYTES = 65 };

struct signature_key;

/* Reads the key, or makes it where there is none (*ret_made). Refused: a file that others than its owner may read, or that is no key of P-256.
 * NULL with reterr. */
struct signature_key *signature_key_open(const char *path, bool *ret_made, struct err *reterr);
void signature_key_free(struct signature_key *take_k); /* NULL is fine */

/* The public half as PEM, and its fingerprint: SHA-256 of its DER, in hexadecimal. 0, or -1 with reterr. */
int signature_key_public(const struct signature_key *k, struct buf *ret_pem,
                         char ret_fingerprint[SIGNATURE_FINGERPRINT_BYTES], struct err *reterr);

/* Appends the signature over `data`. 0, or -1 with reterr. */
int signature_make(const struct signature_key *k, struct span data, struct buf *ret, struct err *reterr);

#endif
