/* inspect_host.h: asks a live server for its certificates, as `exeat inspect host` does before it judges them like `exeat inspect chain`.
 * Called by inspect_chain.c. Touches DNS, one connection and the clock. */
#ifndef EXEAT_CMD_INSPECT_HOST_H
#define EXEAT_CMD_INSPECT_HOST_H

#include "base/buf.h"
#include "tls/chain.h"
#include "wire/host.h"

struct inspect_target {
    struct host host;
    uint16_t port;
};

struct inspect_fetched {
    struct chain *chain; /* the caller's */
    struct buf ocsp;     /* the caller's: the stapled response; empty without */
    struct buf scts;     /* the caller's: timestamps beside the certificate; empty without */
};

/* 0, or -1 with reterr: nobody answers, or not with TLS. */
int inspect_host_fetch(const struct inspect_target *t, struct inspect_fetched *ret, struct err *reterr);

#endif
