/* chain.h: certificates as a server sent them: PEM or DER into parsed certificates and their plain facts. flow/ and
 * `exeat inspect chain` call in; verify.h judges the result. No OpenSSL type shows. A chain is immutable after parsing and may be
 * read by several threads. Bounded: CHAIN_CERTIFICATES_MAX certificates, CHAIN_BYTES_MAX of DER; more is counted, not kept.
 * Touches memory only. */
#ifndef EXEAT_TLS_CHAIN_H
#define EXEAT_TLS_CHAIN_H

#include "base/err.h"
#include "base/span.h"

enum {
    CHAIN_CERTIFICATES_MAX = 64,
    CHAIN_BYTES_MAX = 256 * 1024,
    CHAIN_NAMES_MAX = 4096, /* subject alternative names listed a certificate; name_count counts all */
    CHAIN_SHA256_TEXT_BYTES = 65,
};

struct chain;

enum chain_name_kind {
    CHAIN_NAME_DNS,
    CHAIN_NAME_IP,
    CHAIN_NAME_EMAIL,
    CHAIN_NAME_URI,
    CHAIN_NAME_DIRECTORY,
    CHAIN_NAME_OTHER
};

struct chain_name {
    enum chain_name_kind kind;
    struct span
        text; /* view into the chain: as sent (DNS, e-mail, URI), canonical text (IP), RFC 2253 (directory), else empty */
};

/* One certificate's facts. All pointers are views into the chain (or live for ever); texts are NUL-terminated, may hold any byte
 * but control characters, and are cut at 8 KiB. Of a malformed one only der, sha256 and malformed are set. */
struct chain_certificate {
    bool malformed;
    bool is_ca, self_issued, self_signed; /* self_signed: and its own key verifies the signature */
    struct span der;
    char sha256[CHAIN_SHA256_TEXT_BYTES];     /* of the DER, lower-case hexadecimal */
    char key_sha256[CHAIN_SHA256_TEXT_BYTES]; /* of the SubjectPublicKeyInfo; "" when that can't be read */
    const char *subject, *issuer;             /* RFC 2253 */
    const char *common_name;                  /* the last one; NULL without */
    const char *serial;                       /* hexadecimal, "-" in front when negative */
    const char *signature;                    /* algorithm, OpenSSL's long name, or the OID */
    const char *key_type; /* "RSA", "RSA-PSS", "EC", "DSA", "ED25519", ... or NULL: unreadable */
    const char *curve;    /* "P-256" or OpenSSL's name; NULL unless a named EC curve */
    unsigned key_bits;
    unsigned version;                  /* 1 to 3, as people count */
    int path_length;                   /* of the basic constraints; -1 without */
    bool times_good;                   /* both times could be read */
    int64_t not_before_s, not_after_s; /* since 1970; both inclusive (RFC 5280, 4.1.2.5) */
    const struct chain_name *names;    /* subject alternative names; at most CHAIN_NAMES_MAX listed */
    size_t name_listed, name_count;
    bool has_scts;          /* signed certificate timestamps inside (RFC 6962, 3.3) */
    int64_t earliest_sct_s; /* 0 when none can be read; as they stand, see ct_logs.h */
};

/* Reads every "-----BEGIN CERTIFICATE-----" block, leaf first; other text is skipped. NULL with reterr when there is no such block
 * or no memory; a block that can't be read is a malformed certificate. */
struct chain *chain_parse_pem(struct span pem, struct err *reterr);

/* As in a Certificate message (RFC 8446, 4.4.2), leaf first; `count` may be 0. NULL only without memory. The bytes are copied. */
struct chain *chain_parse_der(const struct span *certificates, size_t count, struct err *reterr);

void chain_free(struct chain *take_chain);

size_t chain_count(const struct chain *c); /* kept */
const struct chain_certificate *chain_certificate_at(const struct chain *c,
                                                     size_t i); /* lives as long as the chain */
size_t chain_total_count(const struct chain *c);                /* sent, kept or not */
size_t chain_total_bytes(const struct chain *c);                /* of DER, kept or not */

#endif
