/* agent_peers.c: see agent_peers.h. The writing half, without jansson; agent_peers_decode.c reads. Pure. */
#include "wire/agent_peers.h"

#include "base/json.h"

#include <stdlib.h>

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
    json_array(j, key);
    for (size_t i = 0; i < p->count; i++) {
        const struct agent_peer *peer = &p->items[i];
        json_object(j, NULL);
        json_int(j, "pid", peer->pid);
        json_str(j, "via", via_names[peer->via]);
        json_str(j, "executable", peer->executable[0] ? peer->executable : NULL);
        json_end_object(j);
    }
    json_end_array(j);
}
