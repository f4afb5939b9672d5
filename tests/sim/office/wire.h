/* wire.h: what clients and servers of the office say on the wire until their application data: bytes that look as theirs do, with no
 * cryptography behind them. For play.c. */
#ifndef EXEAT_TESTS_SIM_OFFICE_WIRE_H
#define EXEAT_TESTS_SIM_OFFICE_WIRE_H

#include "base/buf.h"
#include "office.h"

/* Each appends to `out`. `name` NULL: no server name. `flavour` tells programs apart that use the same library. */
void wire_hello(struct buf *out, enum hello_kind kind, unsigned flavour, const char *name, struct rng *r);
void wire_server_hello13(struct buf *out, struct rng *r);
/* TLS 1.2: `certificates` DER, leaf first. */
void wire_server_hello12(struct buf *out, const struct span *certificates, size_t count, struct rng *r);
void wire_client_end12(struct buf *out, struct rng *r);
void wire_server_end12(struct buf *out, struct rng *r);
/* A record of application data. */
void wire_data(struct buf *out, size_t bytes, struct rng *r);
void wire_noise(struct buf *out, size_t bytes, struct rng *r);

/* ---- certificates ---- */

struct trust;
struct authorities; /* the office's CAs and what they have issued */
struct authorities *authorities_new(void);
void authorities_free(struct authorities *take_a);
const struct trust *authorities_trust(const struct authorities *a);
/* The chain that a server of this name shows; how many certificates there are. Views until authorities_free(). */
size_t authorities_chain(struct authorities *a, enum visit_kind kind, const char *name, struct span ret[2]);

#endif
