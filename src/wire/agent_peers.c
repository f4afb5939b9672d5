/* agent_peers.c: see agent_peers.h. */
#include <jansson.h>

#include "wire/agent_peers.h"

#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JSON_BYTES_MAX = AGENT_PEERS_MAX * (AGENT_PEER_PATH_BYTES * 6 + 64) };

static const char *const via_names[] = {
#define X(name, text) text,
    AGENT_PEER_VIAS(X)
#undef X
};

struct agent_peers *agent_peers_new(void)
{
    struct agent_peers *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    atomic_init(&p->refs, 1);
    buf_init(&p->json, JSON_BYTES_MAX);
    return p;
}

struct agent_peers *agent_peers_ref(struct agent_peers *p)
{
    if (p)
        atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    return p;
}

void agent_peers_unref(struct agent_peers *p)
{
    if (!p || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
        return;
    buf_free(&p->json);
    free(p);
}

bool agent_peers_equal(const struct agent_peers *a, const struct agent_peers *b)
{
    size_t a_count = a ? a->count : 0, b_count = b ? b->count : 0;
    for (size_t i = 0; a_count == b_count && i < a_count; i++)
        if (a->items[i].pid != b->items[i].pid || a->items[i].via != b->items[i].via)
            return false;
    return a_count == b_count;
}

void agent_peers_write(const struct agent_peers *p, struct json *j, const char *key)
{
    json_write_array(j, key);
    for (size_t i = 0; i < p->count; i++) {
        const struct agent_peer *peer = &p->items[i];
        json_write_object(j, NULL);
        json_int(j, "pid", peer->pid);
        json_str(j, "via", via_names[peer->via]);
        json_str(j, "executable", peer->executable[0] ? peer->executable : NULL);
        json_end_object(j);
    }
    json_end_array(j);
}

/* A way that is not known yet is the one that can come from anywhere. */
static enum agent_peer_via decode_via(const json_t *value)
{
    const char *text = json_string_value(value);
    for (int i = 0; text && i < AGENT_PEER_VIA_COUNT; i++)
        if (strcmp(via_names[i], text) == 0)
            return (enum agent_peer_via)i;
    return AGENT_PEER_LOOPBACK;
}

static bool decode_peer(const json_t *object, struct agent_peer *ret)
{
    const json_t *executable = json_object_get(object, "executable");
    const json_t *pid = json_object_get(object, "pid");
    if (!json_is_integer(pid) || json_integer_value(pid) <= 0 || json_integer_value(pid) > INT32_MAX)
        return false;
    ret->pid = json_integer_value(pid);
    ret->via = decode_via(json_object_get(object, "via"));
    if (!executable || json_is_null(executable))
        return true;
    if (!json_is_string(executable) || json_string_length(executable) >= sizeof ret->executable)
        return false;
    memcpy(ret->executable, json_string_value(executable), json_string_length(executable));
    return true;
}

struct agent_peers *agent_peers_decode(const struct json_t *list)
{
    struct agent_peers *p = agent_peers_new();
    size_t i;
    const json_t *value;
    bool good = p && json_is_array(list) && json_array_size(list) <= AGENT_PEERS_MAX;
    json_array_foreach(list, i, value)
    {
        if (!good)
            break;
        good = decode_peer(value, &p->items[i]);
        p->count = i + 1;
    }
    if (good) {
        struct json j;
        json_init(&j, &p->json);
        agent_peers_write(p, &j, NULL);
        good = buf_append(&p->json, "", 1) == 0; /* ends as a string does */
    }
    if (good)
        return p;
    agent_peers_unref(p);
    return NULL;
}
