/* sockets.h: who holds a TCP connection, by a walk through all processes' descriptors. platform_macos.c calls in. */
#ifndef EXEAT_AGENT_MACOS_SOCKETS_H
#define EXEAT_AGENT_MACOS_SOCKETS_H

#include "base/ip.h"
#include "exeat/agent_protocol.h"

struct sockets_found {
    int pids[AGENT_HOLDERS_MAX]; /* that hold the client's end */
    size_t count;                /* more than AGENT_HOLDERS_MAX are not told */
    size_t denied;               /* processes that could not be looked into */
    bool listens;                /* somebody with `listener_uid`, or root, listens at the proxy's end */
};

/* False: the walk failed. */
bool sockets_find(const struct endpoint *client, const struct endpoint *proxy, int64_t listener_uid,
                  struct sockets_found *ret);

#endif
