/* reply.c: see reply.h. */
#include "admin/reply.h"

#include <stdlib.h>

static void reply_unref(struct reply *r)
{
    if (atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1)
        return;
    buf_free(&r->text);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

struct reply *reply_begin(struct reply *take_r, size_t text_bytes_max, struct daemon *d, uv_async_t *wake,
                          void (*ask)(const struct worker_view *view, void *r))
{
    take_r->refs = 2;
    take_r->wake = wake;
    pthread_mutex_init(&take_r->lock, NULL);
    buf_init(&take_r->text, text_bytes_max);
    for (unsigned i = 0; i < daemon_workers(d); i++)
        if (worker_ask(daemon_worker(d, i), ask, take_r) == 0)
            return take_r;
    take_r->refs = 1;
    reply_unref(take_r);
    return NULL;
}

void reply_done(struct reply *take_r)
{
    atomic_store_explicit(&take_r->done, true, memory_order_release);
    pthread_mutex_lock(&take_r->lock);
    if (take_r->wake)
        uv_async_send(take_r->wake);
    pthread_mutex_unlock(&take_r->lock);
    reply_unref(take_r);
}

bool reply_is_done(const struct reply *r)
{
    return atomic_load_explicit(&r->done, memory_order_acquire);
}

void reply_write(const struct reply *r, struct buf *out)
{
    buf_append(out, buf_span(&r->text).data, buf_len(&r->text));
}

void reply_end(struct reply *take_r)
{
    if (!take_r)
        return;
    pthread_mutex_lock(&take_r->lock);
    take_r->wake = NULL;
    pthread_mutex_unlock(&take_r->lock);
    reply_unref(take_r);
}
