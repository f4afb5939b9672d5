/* recall.c: see recall.h. */
#include "admin/recall.h"

#include "base/json.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct recall {
    atomic_uint refs; /* the asker's and the worker's */
    atomic_bool done; /* then `answer` is fixed */
    pthread_mutex_t lock;
    uv_async_t *wake; /* the asker's; NULL once it lost interest; under `lock` */
    struct net_keep ask;
    struct buf answer; /* owned */
};

static void recall_unref(struct recall *r)
{
    if (atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1)
        return;
    buf_free(&r->answer);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

static void write_answer(struct buf *out, const struct agent_kept *kept)
{
    struct json j;
    json_init(&j, out);
    json_object(&j, NULL);
    json_str(&j, "outcome", kept ? agent_keep_outcome_name(kept->outcome) : "no_answer");
    json_str(&j, "text",
             kept ? agent_keep_outcome_text(kept->outcome)
                  : "no agent that keeps histories answers, or not in time");
    if (kept)
        json_str(&j, "host", kept->host);
    if (kept && kept->until_ms > 0)
        json_int(&j, "until_ms", kept->until_ms);
    if (kept && kept->history)
        json_raw(&j, "history", span_str(kept->history->json));
    json_end_object(&j);
    buf_append_str(out, "\n");
}

/* On the worker's thread, like what follows. */
static void on_kept(struct net_keep *ask, const struct agent_kept *kept)
{
    struct recall *r = (struct recall *)((char *)ask - offsetof(struct recall, ask));
    write_answer(&r->answer, kept);
    atomic_store_explicit(&r->done, true, memory_order_release);
    pthread_mutex_lock(&r->lock);
    if (r->wake)
        uv_async_send(r->wake);
    pthread_mutex_unlock(&r->lock);
    recall_unref(r);
}

static void on_asked(const struct worker_view *view, void *argument)
{
    struct recall *r = argument;
    if (!net_keep_ask(view->env->net, &r->ask))
        on_kept(&r->ask, NULL);
}

struct recall *recall_begin(struct daemon *d, const char *sender_ref, uv_async_t *wake)
{
    struct recall *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->refs = 2;
    r->wake = wake;
    r->ask.done = on_kept;
    snprintf(r->ask.message.sender_ref, sizeof r->ask.message.sender_ref, "%s", sender_ref);
    pthread_mutex_init(&r->lock, NULL);
    buf_init(&r->answer, AGENT_HISTORY_ARENA_BYTES + AGENT_LINE_BYTES);
    for (unsigned i = 0; i < daemon_workers(d); i++)
        if (worker_ask(daemon_worker(d, i), on_asked, r) == 0)
            return r;
    r->refs = 1;
    recall_unref(r);
    return NULL;
}

bool recall_is_done(const struct recall *r)
{
    return atomic_load_explicit(&r->done, memory_order_acquire);
}

void recall_write(const struct recall *r, struct buf *out)
{
    buf_append(out, buf_span(&r->answer).data, buf_len(&r->answer));
}

void recall_end(struct recall *take_r)
{
    if (!take_r)
        return;
    pthread_mutex_lock(&take_r->lock);
    take_r->wake = NULL;
    pthread_mutex_unlock(&take_r->lock);
    recall_unref(take_r);
}
