/* agent_history.c: see agent_history.h. The writing half, without jansson; agent_history_decode.c reads. Pure. */
#include "wire/agent_history.h"

#include "base/json.h"

#include <stdlib.h>

static const char *const kind_names[] = {
#define X(name, text, doc) text,
    AGENT_HISTORY_KINDS(X)
#undef X
};

const char *agent_history_kind_name(enum agent_history_kind kind)
{
    return kind_names[kind];
}

static void write_number(struct json *j, const char *key, int64_t value)
{
    if (value < 0)
        json_null(j, key);
    else
        json_int(j, key, value);
}

static void write_row(struct json *j, const struct agent_history_row *r)
{
    json_object(j, NULL);
    json_str(j, "kind", kind_names[r->kind]);
    if (r->class_name)
        json_str(j, "class", r->class_name);
    json_int(j, "count", (int64_t)r->count);
    if (r->at_least)
        json_bool(j, "at_least", true);
    json_int(j, "first_s", r->first_s);
    json_int(j, "last_s", r->last_s);
    write_number(j, "pid", r->pid);
    json_str(j, "name", r->name);
    json_str(j, "path", r->path);
    if (r->bytes >= 0)
        json_int(j, "bytes", r->bytes);
    json_end_object(j);
}

static void write_times(struct json *j, const char *key, int64_t count, int64_t first_ms, int64_t last_ms)
{
    json_object(j, key);
    json_int(j, "count", count);
    json_int(j, "first_ms", first_ms);
    json_int(j, "last_ms", last_ms);
    json_end_object(j);
}

static void write_usage(struct json *j, const struct agent_usage *u)
{
    json_object(j, "usage");
    write_times(j, "executions", u->executions, u->executions_first_ms, u->executions_last_ms);
    write_times(j, "connections", u->connections, u->connections_first_ms, u->connections_last_ms);
    json_int(j, "connected_executions", u->connected_executions);
    if (u->recent_days > 0) {
        json_object(j, "recent");
        json_int(j, "days", u->recent_days);
        json_int(j, "executions", u->recent_executions);
        json_int(j, "connected_executions", u->recent_connected);
        json_end_object(j);
    }
    json_end_object(j);
}

void agent_history_write_kinds(unsigned kinds, struct json *j, const char *key)
{
    json_array(j, key);
    for (unsigned i = 0; i < AGENT_HISTORY_KIND_COUNT; i++)
        if (kinds >> i & 1)
            json_str(j, NULL, kind_names[i]);
    json_end_array(j);
}

void agent_history_write(const struct agent_history *h, struct json *j, const char *key)
{
    json_object(j, key);
    json_int(j, "window_s", h->window_s);
    json_array(j, "seen");
    for (size_t i = 0; i < h->row_count; i++)
        write_row(j, &h->rows[i]);
    json_end_array(j);
    json_object(j, "losses");
    json_int(j, "events", h->lost_events);
    json_int(j, "files", h->lost_files);
    json_int(j, "forgotten", h->forgotten);
    json_end_object(j);
    agent_history_write_kinds(h->not_observable, j, "not_observable");
    if (h->has_usage)
        write_usage(j, &h->usage);
    json_end_object(j);
}

uint64_t agent_history_signature(const struct agent_history *h)
{
    uint64_t sum = 0; /* their order does not matter */
    for (size_t i = 0; h && i < h->row_count; i++) {
        uint64_t x = 0xcbf29ce484222325u + h->rows[i].kind;
        for (const char *c = h->rows[i].class_name; c && *c; c++)
            x = (x ^ (uint8_t)*c) * 0x100000001b3u;
        sum += x ^ x >> 31;
    }
    return sum;
}

struct agent_history *agent_history_ref(struct agent_history *h)
{
    if (h)
        atomic_fetch_add_explicit(&h->refs, 1, memory_order_relaxed);
    return h;
}

void agent_history_unref(struct agent_history *h)
{
    if (!h || atomic_fetch_sub_explicit(&h->refs, 1, memory_order_acq_rel) != 1)
        return;
    arena_reset(&h->arena);
    free(h);
}
