/* digest.h: SHA-256 of some bytes, for whoever must compare without keeping (remembered credentials). Pure. */
#ifndef EXEAT_TLS_DIGEST_H
#define EXEAT_TLS_DIGEST_H

#include "base/span.h"

enum { DIGEST_SHA256_BYTES = 32 };

/* Of all parts in order, each preceded by its length (so that no two lists of parts look alike). 0, or -1 without memory. */
int digest_sha256(const struct span *parts, size_t count, uint8_t ret[DIGEST_SHA256_BYTES]);

#endif
