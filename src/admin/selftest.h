/* selftest.h: has one worker run flow/selftest.c, which needs a worker's thread. server.c calls in. */
#ifndef EXEAT_ADMIN_SELFTEST_H
#define EXEAT_ADMIN_SELFTEST_H

#include "admin/reply.h"

/* NULL without memory, or when no worker can be asked. */
struct reply *selftest_begin(struct daemon *d, uv_async_t *wake);

#endif
