/* keystore.h: certificates as Java takes them. `exeat ca export` calls in; touches nothing but bytes. */
#ifndef EXEAT_TLS_KEYSTORE_H
#define EXEAT_TLS_KEYSTORE_H

#include "base/buf.h"

#define KEYSTORE_PASSWORD                                                                                    \
    "changeit" /* Java's own default: it guards against damage, there is no key inside */

/* Appends a Java keystore (JKS, version 2: sun.security.provider.JavaKeyStore) in which every certificate of `pem` is trusted.
 * `made_ms`: milliseconds since 1970, which Java shows as its date. Returns how many there were, or -1: `out` is full, or no memory. */
int keystore_write_jks(struct span pem, uint64_t made_ms, struct buf *out);

#endif
