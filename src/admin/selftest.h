/* selftest.h: has one worker run flow/selftest.c, which needs a worker's thread, and collects what it says. The asker waits no longer than it
 * likes, as with gather.h. server.c calls in. */
#ifndef EXEAT_ADMIN_SELFTEST_H
#define EXEAT_ADMIN_SELFTEST_H

#include "run/daemon.h"

#include <uv.h>

struct selftest;

/* `wake` is sent to when the answer is there. NULL without memory, or when no worker can be asked. */
struct selftest *selftest_begin(struct daemon *d, uv_async_t *wake);
bool selftest_is_done(const struct selftest *t);
void selftest_write(const struct selftest *t, struct buf *out); /* once it is done */
void selftest_end(struct selftest *take_t);                     /* the asker's last call; NULL is fine */

#endif
