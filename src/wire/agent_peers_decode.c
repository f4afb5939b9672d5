/* agent_peers_decode.c: the reading half of agent_peers.h. Pure. */
#include <jansson.h>

#include "wire/agent_peers.h"

#include "base/json.h"

#include <string.h>

static const char *const via_names[] = {
#define X(name, text) text,
    AGENT_PEER_VIAS(X)
#undef X
};

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
