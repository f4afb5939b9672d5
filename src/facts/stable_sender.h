/* stable_sender.h: what a sender is called so that it is the same sender tomorrow, on another host, after an update: what makes up its
 * history is kept under this name. Pure. */
#ifndef EXEAT_FACTS_STABLE_SENDER_H
#define EXEAT_FACTS_STABLE_SENDER_H

#include "wire/sender.h"

enum { STABLE_SENDER_BYTES = 256 }; /* with the NUL */

/* "package NAME PATH" of a file that its package vouches for, or that nobody has checked yet and users can't write; else "path PATH" where users can't write it; else "sha256 HEX"; else
 * "unsure PATH". Of an interpreter, what it runs stands behind it: " script PATH", " script sha256 HEX", " script command". Longer ones are
 * cut, and end in a digest of the whole. `s` may be NULL: "unknown". Returns out. */
char *stable_sender_name(const struct sender *s, char out[STABLE_SENDER_BYTES]);

#endif
