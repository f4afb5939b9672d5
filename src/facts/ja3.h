/* ja3.h: the JA3 fingerprint of a hello: version, suites, extensions, groups and point formats in decimal, in the order sent,
 * GREASE left out; and the MD5 of that text. Called by flow/ and `exeat inspect hello`. Pure (libcrypto's digest). */
#ifndef EXEAT_FACTS_JA3_H
#define EXEAT_FACTS_JA3_H

#include "base/buf.h"
#include "wire/client_hello.h"

enum {
    JA3_HASH_BYTES = 33,                      /* 32 hexadecimal digits and the NUL */
    JA3_TEXT_BYTES_MAX = 4 * HELLO_BYTES_MAX, /* the longest text a hello can have stays below */
};

/* Appends the text; -1 (and out->failed) when it doesn't fit: give `out` a limit of JA3_TEXT_BYTES_MAX. */
int ja3_write(const struct client_hello *h, struct buf *out);

/* The hash of the hello's text; -1 without memory or without MD5 (FIPS), then `ret` is untouched. */
int ja3_hash(const struct client_hello *h, char ret[JA3_HASH_BYTES]);

/* The same from a text that ja3_write() made. */
int ja3_hash_text(struct span text, char ret[JA3_HASH_BYTES]);

#endif
