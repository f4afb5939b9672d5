/* recall.c: see recall.h. */
#include "admin/recall.h"

#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>

struct recall {
    struct reply reply; /* the first member: what reply.c frees */
    struct net_keep ask;
};

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
    write_answer(&r->reply.text, kept);
    reply_done(&r->reply);
}

static void on_asked(const struct worker_view *view, void *argument)
{
    struct recall *r = argument;
    if (!net_keep_ask(view->env->net, &r->ask))
        on_kept(&r->ask, NULL);
}

struct reply *recall_begin(struct daemon *d, const char *sender_ref, uv_async_t *wake)
{
    struct recall *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->ask.done = on_kept;
    snprintf(r->ask.message.sender_ref, sizeof r->ask.message.sender_ref, "%s", sender_ref);
    return reply_begin(&r->reply, AGENT_HISTORY_ARENA_BYTES + AGENT_LINE_BYTES, d, wake, on_asked);
}
