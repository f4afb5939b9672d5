/* role.h: who the client of a TLS listener is by the certificate that it showed (tls/clients.h): facts, and what the baseline's `role`
 * compares. preface.c takes it, exchange.c sets its facts, decide.c asks. */
#ifndef EXEAT_FLOW_ROLE_H
#define EXEAT_FLOW_ROLE_H

#include "flow/flow.h"

/* After the handshake, also one that failed. 0; -1 without memory. */
int role_take(struct flow *f);
void role_set_facts(struct flow *f);

/* By which names it is known now: none when the certificate was refused, has ended since, or was accepted under another policy about
 * clients. A view into the flow. */
const struct span *role_names(const struct flow *f, size_t *ret_count);

/* Policy wants a certificate, and the one shown counts no more. */
bool role_is_missing(const struct flow *f);

void role_free(struct flow *f);

#endif
