/* digest.h: SHA-256 by whatever the system has: OpenSSL (digest_openssl.c), Windows' BCrypt, Apple's CommonCrypto. plain.c calls in. */
#ifndef EXEAT_AGENT_PLAIN_DIGEST_H
#define EXEAT_AGENT_PLAIN_DIGEST_H

#include "base/span.h"

enum { DIGEST_BYTES = 32, DIGEST_HEX_BYTES = 65 };

struct digest;

struct digest *digest_new(void); /* NULL: it cannot be had */
bool digest_add(struct digest *d, struct span bytes);
/* Frees it; false when anything failed. `hex` NULL: just frees. */
bool digest_finish(struct digest *take_d, char hex[DIGEST_HEX_BYTES]);

#endif
