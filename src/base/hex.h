/* hex.h: bytes as hexadecimal digits and back. Pure. */
#ifndef EXEAT_BASE_HEX_H
#define EXEAT_BASE_HEX_H

#include "base/span.h"

/* Lower case, two digits a byte, no NUL: `out` has room for 2 * bytes.len. Returns the end of what was written. */
char *hex_write(struct span bytes, char *out);

/* 0..15, or -1 when `digit` isn't a hexadecimal digit. */
int hex_value(int digit);

#endif
