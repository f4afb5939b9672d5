/* env.c: all flows of a worker at once: a new policy, draining, status. Called by run/ on the worker's own thread. */
#include "flow/inside.h"
#include "flow/probe.h"
#include "flow/streams.h"

#include "base/must.h"

#include <stdlib.h>

enum {
    IN_TIME_BATCH = 256,     /* flows that an exception's end may end in one go */
    IN_TIME_LOOK_MS = 60000, /* the wall clock may be set meanwhile: never wait for longer */
    IN_TIME_AGAIN_MS = 1
};

static void wait_for_change(struct flow_env *env)
{
    int64_t now_ms = (int64_t)net_wall_ms(env->net);
    int64_t next_s = baseline_next_change(env->snapshot->baseline, now_ms / 1000);
    net_deadline_clear(&env->in_time);
    if (next_s == INT64_MAX)
        return;
    bool soon = next_s < now_ms / 1000 + IN_TIME_LOOK_MS / 1000;
    net_deadline_set(env->net, &env->in_time,
                     soon ? (uint64_t)(next_s * 1000 - now_ms) : (uint64_t)IN_TIME_LOOK_MS);
}

/* Whatever an exception let out and doesn't any more is decided again. */
static void on_in_time(struct net_deadline *d)
{
    struct flow_env *env = (struct flow_env *)(void *)((char *)d - offsetof(struct flow_env, in_time));
    unsigned left = IN_TIME_BATCH;
    for (struct flow *f = env->flows, *next; f && left > 0; f = next) {
        next = f->next; /* deciding may end the flow, and free it */
        left -= decide_in_time(f);
    }
    wait_for_change(env);
    if (left == 0)
        net_deadline_set(env->net, d, IN_TIME_AGAIN_MS);
}

void flow_env_init(struct flow_env *env)
{
    must(env->net && env->ledger && env->limits && env->sightings && env->pairs && env->habits &&
         env->snapshot);
    env->flows = NULL;
    env->flow_count = 0;
    env->stopping = false;
    env->in_time.expired = on_in_time;
    wait_for_change(env);
}

void flow_env_publish(struct flow_env *env, struct snapshot *take_snapshot)
{
    snapshot_unref(env->snapshot);
    env->snapshot = take_snapshot;
    wait_for_change(env);
}

bool flow_env_redecide(struct flow_env *env, unsigned batch)
{
    uint64_t newest = env->snapshot->generation;
    for (struct flow *f = env->flows, *next; f; f = next) {
        next = f->next; /* deciding may end the flow, and free it */
        if (f->decided_generation == newest)
            continue;
        if (batch-- == 0)
            return true;
        decide_again(f);
    }
    judges_keep(env, env->snapshot); /* what else is still needed is made again */
    return false;
}

void flow_env_stop(struct flow_env *env)
{
    env->stopping = true;
    for (struct flow *f = env->flows, *next; f; f = next) {
        next = f->next;
        flow_wake(f); /* an idle connection ends; others see `stopping` at their next request */
    }
}

void flow_env_abort(struct flow_env *env)
{
    for (struct flow *f = env->flows, *next; f; f = next) {
        next = f->next;
        f->answer = ANSWER_NONE; /* no time to be polite */
        if (f->streams)
            streams_abandon(f);
        if (f->state < FLOW_CUT)
            flow_fail(f, REASON_STOPPING, NULL);
        if (f->state == FLOW_CLOSING)
            flow_goto(f, FLOW_DONE);
        flow_wake(f);
    }
}

void flow_env_close(struct flow_env *env)
{
    must(env->flow_count == 0);
    net_deadline_clear(&env->in_time);
    probes_free(env);
    auth_cache_free(env->auth_cache);
    env->auth_cache = NULL;
    judges_keep(env, NULL);
    mint_room_free(env->mint);
    env->mint = NULL;
    resume_room_free(env->resume);
    env->resume = NULL;
    free(env->asked);
    env->asked = NULL;
    snapshot_unref(env->snapshot);
    env->snapshot = NULL;
}

static void describe(const struct flow *f, struct json *out)
{
    char text[ENDPOINT_TEXT_BYTES];
    const struct exchange *x = f->x;
    json_object(out, NULL);
    json_str(out, "state", flow_state_name(f->state));
    json_int(out, "age_ms", (int64_t)(net_now_ms(f->env->net) - f->accepted_ms));
    json_str(out, "client", endpoint_format(&f->client_endpoint, text));
    if (f->attribution.sender) {
        json_int(out, "pid", f->attribution.sender->pid);
        json_str(out, "executable", f->attribution.sender->executable);
    }
    json_str(out, "confidence", agent_confidence_name(f->attribution.confidence));
    if (x) {
        json_str(out, "record", x->id);
        json_str(out, "host", x->port ? x->host.name : NULL);
        json_int(out, "port", x->port);
        json_str(out, "verdict", x->decided ? verdict_action_name(x->verdict.action) : NULL);
        json_int(out, "bytes_out", (int64_t)(x->bytes_out + relay_bytes_out(f)));
        json_int(out, "bytes_in", (int64_t)(x->bytes_in + relay_bytes_in(f)));
    }
    json_end_object(out);
}

void flow_env_describe(const struct flow_env *env, struct json *out, unsigned most)
{
    for (const struct flow *f = env->flows; f && most > 0; f = f->next, most--)
        describe(f, out);
}
