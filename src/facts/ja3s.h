/* ja3s.h: the JA3S fingerprint of a ServerHello, "version,suite,extensions" as decimal numbers, and its MD5. Called by flow's CHAIN
 * step. Pure (libcrypto's digest). */
#ifndef EXEAT_FACTS_JA3S_H
#define EXEAT_FACTS_JA3S_H

#include "facts/ja3.h"
#include "wire/server_hello.h"

/* Appends the text; -1 (and out->failed) when it doesn't fit. */
int ja3s_write(const struct server_hello *h, struct buf *out);

/* The hash of that text; -1 without memory or without MD5 (FIPS), then `ret` is untouched. */
int ja3s_hash(const struct server_hello *h, char ret[JA3_HASH_BYTES]);

#endif
