/* chain_private.h: what the files about chains share among themselves, with OpenSSL's types. Nobody else includes it. */
#ifndef EXEAT_TLS_CHAIN_PRIVATE_H
#define EXEAT_TLS_CHAIN_PRIVATE_H

#include "base/arena.h"
#include "base/ip.h"
#include "tls/chain.h"
#include "tls/chain_anomaly.h"
#include "tls/verify.h"

#include <openssl/ct.h>
#include <openssl/x509v3.h>

struct chain_item {
    X509 *x509; /* owned; NULL when malformed */
    struct chain_certificate facts;
};

struct chain {
    struct arena arena;
    size_t count, total_count, total_bytes;
    struct chain_item items[CHAIN_CERTIFICATES_MAX];
};

/* ---- chain_der.c ---- */

/* One DER value and nothing behind it: definite, minimal lengths all through (X.690, 10.1), at most 32 deep. */
bool chain_der_valid(struct span bytes);

/* ---- chain_describe.c ---- */

/* Fills facts from x509; texts go into the arena. 0, or -1 without memory. */
int chain_describe(X509 *x509, struct arena *a, struct chain_certificate *facts);

/* Does `key` verify x509's signature? Never when the key is larger than anybody's (RSA 8192 bits, a curve of 521): whoever sends
 * sixty of those wants our time. */
bool chain_signature_verifies(X509 *x509, EVP_PKEY *key);

/* Both times in seconds since 1970; false when a time isn't in the forms of RFC 5280, 4.1.2.5. */
bool chain_read_time(const ASN1_TIME *time, int64_t *ret_s);

/* ---- chain_hosts.c ---- */

/* Does a dNSName match a canonical host name? Wildcards: the whole left-most label, one label, at least two labels below it and
 * not a public suffix (when that can be asked). Others match nothing. */
bool chain_dns_matches(struct span pattern, const char *name, bool (*is_public_suffix)(const char *domain));
/* A name with a "*" that can't match. */
bool chain_dns_bad_wildcard(struct span pattern, bool (*is_public_suffix)(const char *domain));
/* Letters, digits, hyphens, underscores in labels of 1 to 63, "*." in front allowed. */
bool chain_dns_well_formed(struct span name);
/* Does this common name name a host that the subject alternative names don't hold exactly as it is written? */
bool chain_common_name_stands_alone(struct span common_name, const struct chain_certificate *facts);
/* Looks as if letters had been drawn by lot. */
bool chain_label_random(struct span label);

/* ---- trust.c ---- */

struct trust_anchor {
    X509 *x509;         /* owned */
    unsigned long hash; /* of the subject */
    bool is_public;     /* of the system's public roots */
};

/* Anchors whose subject is `name`: the index of the first of *ret_count. */
size_t trust_find(const struct trust *t, const X509_NAME *name, size_t *ret_count);
const struct trust_anchor *trust_at(const struct trust *t, size_t i);
/* The anchor that is this very certificate, or NULL. */
const struct trust_anchor *trust_find_exact(const struct trust *t, X509 *x509);

/* ---- chain_path.c ---- */

enum { PATH_MAX_CERTIFICATES = CHAIN_PATH_MAX };

/* Breaks of trust are fatal; what is only told isn't. */
struct chain_findings {
    struct chain_set fatal, told;
};

struct chain_path {
    X509 *certificates[PATH_MAX_CERTIFICATES]; /* views into chain, extra chain or trust; leaf first */
    size_t count;
    const struct trust_anchor
        *anchor; /* view into the trust, the last certificate's; NULL when it ends elsewhere */
    struct chain_findings findings;
    int64_t staple_until_s; /* as in struct chain_report */
};

/* The best of the paths from the leaf: a trusted one, else an anchored one, else the one with the least wrong. */
void chain_path_find(const struct chain *c, const struct trust *t, const struct chain_question *q,
                     struct chain_path *ret);

/* ---- chain_judge.c, chain_constraints.c, chain_crl.c ---- */

void chain_judge_path(const struct chain_question *q, struct chain_path *p); /* adds to p->findings */
void chain_judge_constraints(struct chain_path *p);
void chain_judge_revocation(const struct chain_question *q, struct chain_path *p);
void chain_judge_ocsp(const struct chain_question *q, struct chain_path *p); /* chain_ocsp.c */
/* Whether OpenSSL's own verification of exactly this path agrees; what it finds is added. */
void chain_judge_openssl(struct chain_path *p);

/* ---- chain_sct.c ---- */

/* Those in `leaf` and those that came beside it; `issuer` may be NULL. *ret_earliest_s: when the first of those that count was made (without
 * question->ct_logs: all do); 0: there is none, or none is in the leaf: what is beside it may have been made at any time. */
enum ct_result chain_check_scts(const struct chain_question *q, X509 *leaf, X509 *issuer,
                                int64_t *ret_earliest_s);
/* chain_ocsp.c: those in the stapled response about this leaf, the caller's to SCT_LIST_free(); NULL: none. */
STACK_OF(SCT) * chain_ocsp_scts(const struct chain_question *q, X509 *leaf, X509 *issuer);

/* ---- chain_oddities.c ---- */

void chain_find_oddities(const struct chain *c, const struct chain_question *q, const struct chain_path *p,
                         struct chain_report *r);

#endif
