/* reply.h: what one worker is asked and writes when it can, for an asker that waits no longer than it likes: what selftest.h and recall.h have
 * in common. The admin thread asks and looks again when it is woken; the worker answers, once, on its own thread. server.c calls in. */
#ifndef EXEAT_ADMIN_REPLY_H
#define EXEAT_ADMIN_REPLY_H

#include "base/buf.h"
#include "run/daemon.h"

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

/* The first member of what each kind of question is. */
struct reply {
    atomic_uint refs; /* the asker's and the worker's */
    atomic_bool done; /* then `text` is fixed */
    pthread_mutex_t lock;
    uv_async_t *wake; /* the asker's; NULL once it lost interest; under `lock` */
    struct buf text;  /* owned; the worker's until it is done */
};

/* Hands it to a worker, whose thread calls `ask` with it. `take_r` came zeroed from calloc(); `wake` is sent to when it is done. NULL, and it
 * is freed, when no worker can be asked. */
struct reply *reply_begin(struct reply *take_r, size_t text_bytes_max, struct daemon *d, uv_async_t *wake,
                          void (*ask)(const struct worker_view *view, void *r));
void reply_done(struct reply *take_r); /* the worker's last call */

bool reply_is_done(const struct reply *r);
void reply_write(const struct reply *r, struct buf *out); /* once it is done: one JSON object, a line */
void reply_end(struct reply *take_r);                     /* the asker's last call; NULL is fine */

#endif
