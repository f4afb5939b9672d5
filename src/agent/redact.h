/* redact.h: takes what looks like a secret out of an argument list before it leaves the agent. It errs on the side of
 * hiding: an argument lost is a nuisance, a password in a ledger is a breach. The back ends call in. Pure. */
#ifndef EXEAT_AGENT_REDACT_H
#define EXEAT_AGENT_REDACT_H

#include "base/buf.h"

#define REDACTED "[redacted]"

/* Appends `argument` to `out` without its secrets. `previous` is the argument before it, or NULL: "--password" makes the next
 * one a secret. out->failed tells when it did not fit. */
void redact_argument(const char *previous, const char *argument, struct buf *out);

#endif
