/* pem.h: a certificate as text that every program reads. Touches its buffer only. */
#ifndef EXEAT_CMD_PEM_H
#define EXEAT_CMD_PEM_H

#include "base/buf.h"

/* RFC 7468. -1: `out` is full. */
int pem_write(struct buf *out, struct span der);

#endif
