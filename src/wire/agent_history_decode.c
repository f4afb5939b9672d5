/* agent_history_decode.c: the reading half of agent_history.h: jansson parses; every bound and type is checked here. Pure. */
#include "wire/member.h"

#include "wire/agent_history.h"

#include "base/json.h"

#include <stdlib.h>

enum { NAME_BYTES = 256, JSON_BYTES = 64 * 1024 };

/* 0..2^53, `absent` without; *bad when it is something else. */
static int64_t number(const json_t *object, const char *key, int64_t absent, bool *bad)
{
    const json_t *value = member_get(object, key);
    json_int_t n = json_integer_value(value);
    if (!value)
        return absent;
    if (!json_is_integer(value) || n < 0 || n > (json_int_t)1 << 53)
        *bad = true;
    return n;
}

static const char *text(struct agent_history *h, const json_t *object, const char *key, size_t limit,
                        bool *bad)
{
    const json_t *value = member_get(object, key);
    const char *copy = NULL;
    if (!value)
        return NULL;
    if (json_is_string(value) && json_string_length(value) < limit)
        copy = arena_strndup(&h->arena, json_string_value(value), json_string_length(value));
    if (!copy)
        *bad = true;
    return copy;
}

/* AGENT_HISTORY_KIND_COUNT for one that we don't know. */
static enum agent_history_kind kind_of(const json_t *value)
{
    const char *name = json_string_value(value);
    unsigned i = 0;
    while (name && i < AGENT_HISTORY_KIND_COUNT &&
           strcmp(agent_history_kind_name((enum agent_history_kind)i), name) != 0)
        i++;
    return name ? (enum agent_history_kind)i : AGENT_HISTORY_KIND_COUNT;
}

static void decode_row(struct agent_history *h, const json_t *object, bool *bad)
{
    struct agent_history_row *r = &h->rows[h->row_count];
    r->kind = kind_of(member_get(object, "kind"));
    if (r->kind == AGENT_HISTORY_KIND_COUNT)
        return;
    r->class_name = text(h, object, "class", NAME_BYTES, bad);
    r->name = text(h, object, "name", NAME_BYTES, bad);
    r->path = text(h, object, "path", AGENT_PATH_BYTES, bad);
    r->count = (uint64_t)number(object, "count", 1, bad);
    r->at_least = json_is_true(member_get(object, "at_least"));
    r->first_s = number(object, "first_s", 0, bad);
    r->last_s = number(object, "last_s", 0, bad);
    r->pid = number(object, "pid", -1, bad);
    r->bytes = number(object, "bytes", -1, bad);
    h->row_count++;
    if (r->kind == AGENT_HISTORY_SENSITIVE_ACCESS && r->class_name)
        h->sensitive[h->sensitive_count++] = span_str(r->class_name);
}

static void decode_usage(struct agent_history *h, const json_t *object, bool *bad)
{
    const json_t *executions = member_get(object, "executions"),
                 *connections = member_get(object, "connections"), *recent = member_get(object, "recent");
    h->has_usage = true;
    h->usage = (struct agent_usage){.executions = number(executions, "count", 0, bad),
                                    .executions_first_ms = number(executions, "first_ms", 0, bad),
                                    .executions_last_ms = number(executions, "last_ms", 0, bad),
                                    .connections = number(connections, "count", 0, bad),
                                    .connections_first_ms = number(connections, "first_ms", 0, bad),
                                    .connections_last_ms = number(connections, "last_ms", 0, bad),
                                    .connected_executions = number(object, "connected_executions", 0, bad),
                                    .recent_days = number(recent, "days", 0, bad),
                                    .recent_executions = number(recent, "executions", 0, bad),
                                    .recent_connected = number(recent, "connected_executions", 0, bad)};
}

unsigned agent_history_decode_kinds(const json_t *list)
{
    const json_t *item;
    unsigned kinds = 0;
    size_t i;
    json_array_foreach(list, i, item)
    {
        enum agent_history_kind kind = kind_of(item);
        if (kind != AGENT_HISTORY_KIND_COUNT)
            kinds |= 1u << kind;
    }
    return kinds;
}

static void decode_members(struct agent_history *h, const json_t *object, bool *bad)
{
    const json_t *losses = member_get(object, "losses"), *usage = member_get(object, "usage"), *item;
    size_t i;
    h->window_s = number(object, "window_s", 0, bad);
    h->lost_events = number(losses, "events", 0, bad);
    h->lost_files = number(losses, "files", 0, bad);
    h->forgotten = number(losses, "forgotten", 0, bad);
    json_array_foreach(member_get(object, "seen"), i, item)
    {
        if (h->row_count == AGENT_HISTORY_ROWS_MAX || *bad)
            break;
        decode_row(h, item, bad);
    }
    h->not_observable = agent_history_decode_kinds(member_get(object, "not_observable"));
    if (usage)
        decode_usage(h, usage, bad);
}

static bool render(struct agent_history *h)
{
    struct buf out;
    struct json j;
    buf_init(&out, JSON_BYTES);
    json_init(&j, &out);
    agent_history_write(h, &j, NULL);
    struct span written = buf_span(&out);
    h->json = out.failed ? NULL : arena_strndup(&h->arena, (const char *)written.data, written.len);
    buf_free(&out);
    return h->json != NULL;
}

struct agent_history *agent_history_decode(const struct json_t *object)
{
    struct agent_history *h = calloc(1, sizeof *h);
    bool bad = !json_is_object(object);
    if (!h)
        return NULL;
    atomic_init(&h->refs, 1);
    arena_init(&h->arena, AGENT_HISTORY_ARENA_BYTES);
    if (!bad)
        decode_members(h, object, &bad);
    if (!bad && render(h))
        return h;
    agent_history_unref(h);
    return NULL;
}
