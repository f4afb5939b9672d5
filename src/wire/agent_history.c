/* agent_history.c: see agent_history.h. jansson parses; every bound and type is checked here. Pure. */
#include <jansson.h>

#include "wire/agent_history.h"

#include "base/json.h"

#include <stdlib.h>

enum { NAME_BYTES = 256, JSON_BYTES = 64 * 1024 };

static const char *const kind_names[] = {
#define X(name, text, doc) text,
    AGENT_HISTORY_KINDS(X)
#undef X
};

const char *agent_history_kind_name(enum agent_history_kind kind)
{
    return kind_names[kind];
}

/* ---- writing ---- */

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
    json_end_object(j);
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
    json_array(j, "not_observable");
    for (unsigned i = 0; i < AGENT_HISTORY_KIND_COUNT; i++)
        if (h->not_observable >> i & 1)
            json_str(j, NULL, kind_names[i]);
    json_end_array(j);
    if (h->has_usage)
        write_usage(j, &h->usage);
    json_end_object(j);
}

/* ---- reading ---- */

/* Absent and null are the same. */
static const json_t *member(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

/* 0..2^53, `absent` without; *bad when it is something else. */
static int64_t number(const json_t *object, const char *key, int64_t absent, bool *bad)
{
    const json_t *value = member(object, key);
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
    const json_t *value = member(object, key);
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
    while (name && i < AGENT_HISTORY_KIND_COUNT && strcmp(kind_names[i], name) != 0)
        i++;
    return name ? (enum agent_history_kind)i : AGENT_HISTORY_KIND_COUNT;
}

static void decode_row(struct agent_history *h, const json_t *object, bool *bad)
{
    struct agent_history_row *r = &h->rows[h->row_count];
    r->kind = kind_of(member(object, "kind"));
    if (r->kind == AGENT_HISTORY_KIND_COUNT)
        return;
    r->class_name = text(h, object, "class", NAME_BYTES, bad);
    r->name = text(h, object, "name", NAME_BYTES, bad);
    r->path = text(h, object, "path", AGENT_PATH_BYTES, bad);
    r->count = (uint64_t)number(object, "count", 1, bad);
    r->at_least = json_is_true(member(object, "at_least"));
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
    const json_t *executions = member(object, "executions"), *connections = member(object, "connections");
    h->has_usage = true;
    h->usage = (struct agent_usage){.executions = number(executions, "count", 0, bad),
                                    .executions_first_ms = number(executions, "first_ms", 0, bad),
                                    .executions_last_ms = number(executions, "last_ms", 0, bad),
                                    .connections = number(connections, "count", 0, bad),
                                    .connections_first_ms = number(connections, "first_ms", 0, bad),
                                    .connections_last_ms = number(connections, "last_ms", 0, bad),
                                    .connected_executions = number(object, "connected_executions", 0, bad)};
}

static void decode_members(struct agent_history *h, const json_t *object, bool *bad)
{
    const json_t *losses = member(object, "losses"), *usage = member(object, "usage"), *item;
    size_t i;
    h->window_s = number(object, "window_s", 0, bad);
    h->lost_events = number(losses, "events", 0, bad);
    h->lost_files = number(losses, "files", 0, bad);
    h->forgotten = number(losses, "forgotten", 0, bad);
    json_array_foreach(member(object, "seen"), i, item)
    {
        if (h->row_count == AGENT_HISTORY_ROWS_MAX || *bad)
            break;
        decode_row(h, item, bad);
    }
    json_array_foreach(member(object, "not_observable"), i, item)
    {
        enum agent_history_kind kind = kind_of(item);
        if (kind != AGENT_HISTORY_KIND_COUNT)
            h->not_observable |= 1u << kind;
    }
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
