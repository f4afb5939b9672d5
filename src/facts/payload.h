/* payload.h: what the first bytes of a conversation are like when nobody says what they are: the published fully-encrypted test,
 * entropy beside what random bytes of the same length would have, chi-square, and the protocol they begin with.
 *
 * flow/ calls in with the sample of each direction, `exeat inspect payload` with lines of hexadecimal. Pure. */
#ifndef EXEAT_FACTS_PAYLOAD_H
#define EXEAT_FACTS_PAYLOAD_H

#include "base/span.h"

/* Why a first payload is not taken for a fully encrypted one: the first that holds, in this order ("How the Great Firewall of
 * China Detects and Blocks Fully Encrypted Traffic", USENIX Security 2023, algorithm 1). */
enum payload_exemption {
    PAYLOAD_EXEMPT_NONE,     /* none holds: fully encrypted */
    PAYLOAD_EXEMPT_POPCOUNT, /* bits set per byte <= 3.4 or >= 4.6 */
    PAYLOAD_EXEMPT_PREFIX,   /* the first six bytes are printable, 0x20..0x7e */
    PAYLOAD_EXEMPT_HALF,     /* more than half of the bytes are */
    PAYLOAD_EXEMPT_RUN,      /* more than 20 in a row are */
    PAYLOAD_EXEMPT_PROTOCOL, /* a TLS record's header or an HTTP method */
    PAYLOAD_EXEMPT_COUNT
};

struct payload {
    size_t len;              /* bytes judged */
    double entropy;          /* bits per byte, 0..8 */
    double entropy_expected; /* of `len` random bytes */
    double chi_square;       /* against equally frequent bytes; 255 degrees of freedom */
    enum payload_exemption exempt;
    bool
        fully_encrypted; /* NONE, and there were bytes at all. Misses 18 % of random 16-byte payloads; flags gzip */
    const char *kind; /* "tls", a name of wire/openings.def, or "unknown"; lives for ever */
};

/* Judges the whole span; linear in its length. */
void payload_judge(struct span bytes, struct payload *ret);

/* "popcount", ...; NULL for NONE. Lives for ever. */
const char *payload_exemption_name(enum payload_exemption e);

/* The mean Shannon entropy of `len` uniformly random bytes, exact: in bits per byte. */
double payload_entropy_expected(size_t len);

/* Does it look like noise: entropy within 0.1 bit of what random bytes have, and a chi-square that they could have? Compressed
 * data seldom does, encrypted data does. Of a few bytes anything does: ask for 200 or more. */
bool payload_is_random(const struct payload *p);

/* The same of at least 256 bytes, without the cost where chi-square alone says no. */
bool payload_looks_random(struct span bytes);

/* Do the media type or the content encoding of an HTTP body say why it may look random? Both may be empty. */
bool payload_is_explained(struct span media_type, struct span content_encoding);

/* T02, encrypted content inside decrypted HTTP: true when the sample looks random (at least 256 bytes of it) and neither its media
 * type nor its content encoding explains that. */
bool payload_is_unexplained(const struct payload *p, struct span media_type, struct span content_encoding);

#endif
