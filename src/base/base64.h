/* base64.h: RFC 4648, strict, for credentials. Pure. */
#ifndef EXEAT_BASE_BASE64_H
#define EXEAT_BASE_BASE64_H

#include "base/span.h"

/* NUL-terminated; 0, or -1 when `size` is too small. */
int base64_encode(struct span data, char *ret, size_t size);

/* The decoded length, NUL-terminated beside it; -1 when it isn't base64 (padding is needed) or doesn't fit. */
int base64_decode(struct span text, char *ret, size_t size);

#endif
