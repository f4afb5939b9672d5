/* siphash.h: SipHash-2-4 with 128 bits of output (Aumasson and Bernstein): a keyed digest that is cheap for short names and whose
 * collisions nobody can make who doesn't know the key. For names of tables, not for secrets. Pure. */
#ifndef EXEAT_BASE_SIPHASH_H
#define EXEAT_BASE_SIPHASH_H

#include "base/span.h"

enum { SIPHASH_KEY_BYTES = 16, SIPHASH_BYTES = 16 };

void siphash(const uint8_t key[SIPHASH_KEY_BYTES], struct span bytes, uint8_t ret[SIPHASH_BYTES]);

#endif
