/* chain_known.h: known certificates by what stands in them: default certificates of command-and-control kits and roots of products
 * that intercept TLS. The lists are data (policy/chain/known.yaml), read by run/ and commands, used as memory here. */
#ifndef EXEAT_TLS_CHAIN_KNOWN_H
#define EXEAT_TLS_CHAIN_KNOWN_H

#include "base/err.h"
#include "tls/chain.h"

struct chain_known; /* immutable; may be read by several threads */

/* `name` is what places are told with. NULL with reterr. */
struct chain_known *chain_known_parse(struct span yaml, const char *name, struct err *reterr);
void chain_known_free(struct chain_known *take_known);

/* The name of the first entry that fits, or NULL. */
const char *chain_known_kit(const struct chain_known *k, const struct chain_certificate *c);
const char *chain_known_interceptor(const struct chain_known *k, const struct chain_certificate *c);

#endif
