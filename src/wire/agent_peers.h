/* agent_peers.h: other processes that connected to a sender lately, as an answer's member `relaying_for` tells them
 * (agent_protocol.h): whom the sender may speak for. Written by the agent, decoded by the proxy's link; never changed afterwards.
 * Pure. */
#ifndef EXEAT_WIRE_AGENT_PEERS_H
#define EXEAT_WIRE_AGENT_PEERS_H

#include "base/buf.h"
#include "exeat/agent_protocol.h"

#include <stdatomic.h>

struct json;   /* base/json.h */
struct json_t; /* jansson.h */

enum agent_peer_via {
#define X(name, text) AGENT_PEER_##name,
    AGENT_PEER_VIAS(X)
#undef X
        AGENT_PEER_VIA_COUNT
};

struct agent_peer {
    int64_t pid;
    enum agent_peer_via via;
    char executable[AGENT_PEER_PATH_BYTES]; /* "" when not known; a longer path is cut */
};

struct agent_peers {
    atomic_uint refs;
    size_t count;
    struct agent_peer items[AGENT_PEERS_MAX];
    struct buf json; /* of a decoded one: the same as one JSON array, for records */
};

struct agent_peers *agent_peers_new(void); /* one reference, empty; NULL without memory */
struct agent_peers *agent_peers_ref(struct agent_peers *p);
void agent_peers_unref(struct agent_peers *p); /* NULL is fine */
bool agent_peers_equal(const struct agent_peers *a,
                       const struct agent_peers *b); /* NULL equals an empty one */

void agent_peers_write(const struct agent_peers *p, struct json *j, const char *key);

/* One reference, or NULL: the list breaks the protocol. */
struct agent_peers *agent_peers_decode(const struct json_t *list);

#endif
