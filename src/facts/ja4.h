/* ja4.h: the JA4 fingerprint of a hello over TCP (the method of FoxIO's JA4, BSD licensed), hashed and raw. Called by flow/
 * and `exeat inspect hello`. GREASE is left out everywhere; suites and extensions are sorted, signature algorithms keep the
 * client's order; SNI and ALPN are counted but not listed. Pure (libcrypto's digest). */
#ifndef EXEAT_FACTS_JA4_H
#define EXEAT_FACTS_JA4_H

#include "base/buf.h"
#include "wire/client_hello.h"

enum {
    JA4_BYTES = 37, /* "t13d1516h2_8daaf6152771_02713d6af862" and the NUL */
    JA4_PREFIX_BYTES = 11,
    JA4_RAW_BYTES_MAX = 4 * HELLO_BYTES_MAX, /* the longest raw text a hello can have stays below */
};

/* The first part alone ("t13d1516h2"). Never fails. */
void ja4_prefix(const struct client_hello *h, char ret[JA4_PREFIX_BYTES]);

/* -1 without memory or without a digest; then `ret` is untouched. */
int ja4_hash(const struct client_hello *h, char ret[JA4_BYTES]);

/* JA4_r: the lists themselves in place of their hashes. -1 (and out->failed) when it doesn't fit: give `out` a limit of
 * JA4_RAW_BYTES_MAX. */
int ja4_write_raw(const struct client_hello *h, struct buf *out);

#endif
