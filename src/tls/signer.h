/* signer.h: the seam to whoever holds the inspection CA's key. run/signer.c asks the signing process; tests put a CA of their own
 * in its place. flow/'s jobs call in, from pool threads: sign() must be safe to call from several threads, and must come back
 * within SIGNER_WAIT_MS whatever happens to the other side. */
#ifndef EXEAT_TLS_SIGNER_H
#define EXEAT_TLS_SIGNER_H

#include "base/buf.h"

enum {
    SIGNER_WAIT_MS = 3000,
    SIGNER_CERTIFICATE_MAX_BYTES = 24 * 1024, /* a request, and what comes back */
    SIGNER_WHY_BYTES = 160,
};

enum signer_result {
    SIGNER_SIGNED,
    SIGNER_REFUSED, /* it won't: expired, the CA's name constraints, not a leaf */
    SIGNER_GONE,    /* no answer in time */
};

enum signer_work {
    SIGNER_LEAF,   /* `certificate` is a request (mint.h): the certificate comes back */
    SIGNER_STATUS, /* it is a leaf: an OCSP response comes back (staple.h) */
    SIGNER_WORK_COUNT
};

struct signer_request {
    enum signer_work work;
    int64_t until_s;         /* SIGNER_STATUS: it says "good" no longer than that */
    struct span certificate; /* DER */
};

struct signer {
    /* `ca_sha256`: of the CA that the caller means. Appends what comes back (DER) to *ret; `why` says what was wrong. */
    enum signer_result (*sign)(struct signer *s, const uint8_t ca_sha256[32], const struct signer_request *r,
                               struct buf *ret, char ret_why[SIGNER_WHY_BYTES]);
};

#endif
