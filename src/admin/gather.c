/* gather.c: see gather.h. */
#include "admin/gather.h"

#include <pthread.h>
#include <stdlib.h>

static void gather_unref(struct gather *g)
{
    if (atomic_fetch_sub_explicit(&g->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (unsigned i = 0; i < g->count; i++)
        buf_free(&g->slots[i].flows_json);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

/* On the worker's thread. */
static void on_asked(const struct worker_view *view, void *argument)
{
    struct gather *g = argument;
    struct gather_slot *slot = &g->slots[view->index];
    slot->flows = view->env->flow_count;
    for (int i = 0; i < COUNTER_COUNT; i++)
        slot->counters[i] = counter_get(&view->env->counters, (enum counter)i);
    net_stats(view->net, &slot->net);
    if (g->flows_most > 0) {
        struct json j;
        json_init(&j, &slot->flows_json);
        flow_env_describe(view->env, &j, g->flows_most);
    }
    atomic_store_explicit(&slot->answered, true, memory_order_release);
    pthread_mutex_lock(&g->lock);
    if (g->wake)
        uv_async_send(g->wake);
    pthread_mutex_unlock(&g->lock);
    gather_unref(g);
}

struct gather *gather_start(struct daemon *d, unsigned flows_most, uv_async_t *wake)
{
    unsigned count = daemon_workers(d);
    struct gather *g = calloc(1, sizeof *g + count * sizeof g->slots[0]);
    if (!g)
        return NULL;
    g->refs = 1;
    pthread_mutex_init(&g->lock, NULL);
    g->wake = wake;
    g->flows_most = flows_most < GATHER_FLOWS_MAX ? flows_most : GATHER_FLOWS_MAX;
    g->count = count;
    for (unsigned i = 0; i < count; i++)
        buf_init(&g->slots[i].flows_json, GATHER_FLOWS_BYTES);
    for (unsigned i = 0; i < count; i++) {
        atomic_fetch_add_explicit(&g->refs, 1, memory_order_relaxed);
        g->slots[i].asked = worker_ask(daemon_worker(d, i), on_asked, g) == 0;
        if (!g->slots[i].asked)
            gather_unref(g);
    }
    return g;
}

bool gather_is_complete(const struct gather *g)
{
    for (unsigned i = 0; i < g->count; i++)
        if (g->slots[i].asked && !atomic_load_explicit(&g->slots[i].answered, memory_order_acquire))
            return false;
    return true;
}

void gather_end(struct gather *take_g)
{
    if (!take_g)
        return;
    pthread_mutex_lock(&take_g->lock);
    take_g->wake = NULL;
    pthread_mutex_unlock(&take_g->lock);
    gather_unref(take_g);
}
