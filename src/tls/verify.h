/* verify.h: is this chain good for that server, what is wrong with it, and what is odd? Everything is looked for, nothing ends the
 * search. flow/ (observed, probed and terminated chains) and `exeat inspect chain` call in. No OpenSSL type shows.
 *
 * The rules are those of RFC 5280 and, where clients of today agree on them, of the CA/Browser Forum's Baseline Requirements: the
 * name must be a subject alternative name (C07, C08), the leaf is no CA (C13), keys and signatures are strong (C10, C11), CAs and
 * leaves keep to the certificate profile (C25). What only the Baseline Requirements forbid about extended key usage (C15: missing,
 * of any purpose, critical, in a root) is refused in public chains and only told in private ones. A public root itself is taken as
 * its root programme vetted it: only its validity, critical extensions, constraints and path length count.
 *
 * Paths are built from every combination of the certificates sent, the cached ones and the anchors (RFC 4158): a bad path never
 * hides a good one. Bounded: CHAIN_PATH_MAX certificates a path, CHAIN_PATHS_MAX paths, CHAIN_SIGNATURES_MAX signature checks. */
#ifndef EXEAT_TLS_VERIFY_H
#define EXEAT_TLS_VERIFY_H

#include "tls/chain.h"
#include "tls/chain_anomaly.h"
#include "tls/chain_known.h"
#include "tls/ct_logs.h"

enum { CHAIN_PATH_MAX = 12, CHAIN_PATHS_MAX = 32, CHAIN_SIGNATURES_MAX = 128 };

/* ---- trust anchors: immutable after making, may be read by several threads ---- */

struct trust;

/* The system's roots (when `with_system`) and those of PEM files. A system root that an administrator added to the system (Debian:
 * /usr/local/share/ca-certificates, Red Hat: /etc/pki/ca-trust/source/anchors) counts as configured, not as public. The bundle is
 * $SSL_CERT_FILE, OpenSSL's default or a usual place. NULL with reterr: a file without a certificate, or one that can't be read. */
struct trust *trust_new(bool with_system, const char *const *files, size_t count, struct err *reterr);

/* The PEM file of the system's roots; NULL: there is none. */
const char *trust_system_file(void);

/* The same from memory: every certificate of `public_roots` and of `configured` (each may be NULL); copied. */
struct trust *trust_new_from(const struct chain *public_roots, const struct chain *configured,
                             struct err *reterr);
void trust_free(struct trust *take_t);
size_t trust_count(const struct trust *t);

/* ---- revocation lists ---- */

struct chain_crls; /* immutable */

/* PEM ("-----BEGIN X509 CRL-----") or one DER list. NULL with reterr. */
struct chain_crls *chain_crls_parse(struct span text, struct err *reterr);
void chain_crls_free(struct chain_crls *take_crls);

/* ---- the question and the answer ---- */

struct chain_question {
    const char *
        name; /* canonical host (wire/host.h) or address text; NULL: names are not checked; borrowed for the call */
    const char
        *connect_name; /* a second one, the host of CONNECT where `name` is the SNI; may be NULL; likewise */
    int64_t time_s;    /* since 1970, whole seconds */
    const struct trust *trust;     /* borrowed for the call, as are all below; NULL: nothing is trusted */
    const struct chain *cached;    /* intermediates seen before; may be NULL */
    const struct chain_crls *crls; /* may be NULL: C18 is not looked for in lists */
    struct span ocsp;              /* the stapled response (DER); empty: none */
    struct span scts; /* the list of timestamps that came in a TLS extension (RFC 6962, 3.3); empty: none */
    bool
        staple_counts; /* one that can't be relied on ends trust, as with the strictest clients; else it is told */
    const struct chain_known
        *known;                    /* kits and interception roots; may be NULL: C28, P08 are not looked for */
    const struct ct_logs *ct_logs; /* may be NULL: then SCTs are taken as they stand (C27, P04) */
    bool (*is_public_suffix)(
        const char *domain); /* lower case; may be NULL: then only "*.com" and "*" cover a public suffix */
};

enum chain_class { CHAIN_PUBLIC, CHAIN_PRIVATE_KNOWN, CHAIN_PRIVATE_UNKNOWN, CHAIN_SELF_SIGNED };

struct chain_report {
    enum chain_class class
        ; /* public: leads to a public system root; private_known: to a configured one; self_signed: the leaf alone */
    bool trusted;                         /* good for every name given, at that time */
    bool name_mismatch, connect_mismatch; /* which name C07 is about */
    struct chain_set found;               /* C and P */
    struct chain_set refused;             /* those of found for which it isn't trusted */
    size_t path_count; /* certificates of the best path, its anchor included; 0 without a readable leaf */
    int path[CHAIN_PATH_MAX]; /* index into the chain, leaf first; -1: from the cache or the trust */
    char path_sha256[CHAIN_PATH_MAX][CHAIN_SHA256_TEXT_BYTES];
    int64_t
        staple_until_s; /* until then the stapled response says good, INT64_MAX: it has no end; 0: none does */
    enum ct_result scts;
    const char *interceptor,
        *kit; /* names of known.h's entries that matched, or NULL; live as long as question.known */
};

/* 0, or -1 without memory (*ret is untouched): what can't be looked at isn't trusted. */
int chain_verify(const struct chain *c, const struct chain_question *q, struct chain_report *ret);

const char *chain_class_name(enum chain_class c); /* "public", "private_known", ... */

#endif
