/* passwords.h: the proxy's user file: `name:hash` a line, hash as crypt(3) writes it ($6$, $y$, ...), '#' comments. Immutable
 * once read. Checking a password takes crypt's time (tens of ms by design): flow/auth.c does it off the loop. */
#ifndef EXEAT_CONF_PASSWORDS_H
#define EXEAT_CONF_PASSWORDS_H

#include "base/err.h"
#include "base/span.h"

struct passwords;

/* NULL with reterr: unreadable, readable by others (mode & 007), a malformed line, a duplicate name, a hash that crypt doesn't
 * know or that is weak (DES, MD5). */
struct passwords *passwords_load(const char *path, struct err *reterr);
void passwords_free(struct passwords *take_p);

/* The hash, a view; for a name that is not there a fixed dummy hash (so that time tells nothing) and *ret_known = false. */
const char *passwords_hash(const struct passwords *p, struct span name, bool *ret_known);

#endif
