/* selftest.c: see selftest.h. */
#include "admin/selftest.h"

#include "flow/selftest.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { SELFTEST_BYTES_MAX = 256 * 1024 };

struct selftest {
    atomic_uint refs; /* the asker's and the worker's */
    atomic_bool done; /* then `answer` is fixed */
    pthread_mutex_t lock;
    uv_async_t *wake;  /* the asker's; NULL once it lost interest; under `lock` */
    struct buf answer; /* owned */
};

static void selftest_unref(struct selftest *t)
{
    if (atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
        return;
    buf_free(&t->answer);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

/* On the worker's thread. */
static void on_asked(const struct worker_view *view, void *argument)
{
    struct selftest *t = argument;
    struct net_stats stats;
    struct selftest_agent agent = {0};
    net_stats(view->net, &stats);
    agent.connected = stats.agent_connected != 0;
    agent.not_observable = stats.agent.not_observable;
    snprintf(agent.name, sizeof agent.name, "%s", stats.agent.host);
    selftest_run(view->env, &agent, &t->answer);
    buf_append(&t->answer, "\n", 1);
    atomic_store_explicit(&t->done, true, memory_order_release);
    pthread_mutex_lock(&t->lock);
    if (t->wake)
        uv_async_send(t->wake);
    pthread_mutex_unlock(&t->lock);
    selftest_unref(t);
}

struct selftest *selftest_begin(struct daemon *d, uv_async_t *wake)
{
    struct selftest *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->refs = 2;
    t->wake = wake;
    pthread_mutex_init(&t->lock, NULL);
    buf_init(&t->answer, SELFTEST_BYTES_MAX);
    for (unsigned i = 0; i < daemon_workers(d); i++)
        if (worker_ask(daemon_worker(d, i), on_asked, t) == 0)
            return t;
    t->refs = 1;
    selftest_unref(t);
    return NULL;
}

bool selftest_is_done(const struct selftest *t)
{
    return atomic_load_explicit(&t->done, memory_order_acquire);
}

void selftest_write(const struct selftest *t, struct buf *out)
{
    buf_append(out, buf_span(&t->answer).data, buf_len(&t->answer));
}

void selftest_end(struct selftest *take_t)
{
    if (!take_t)
        return;
    pthread_mutex_lock(&take_t->lock);
    take_t->wake = NULL;
    pthread_mutex_unlock(&take_t->lock);
    selftest_unref(take_t);
}
