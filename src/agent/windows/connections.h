/* connections.h: Windows' tables of TCP connections: whose is this one, is there such a listener. platform_windows.c calls in. */
#ifndef EXEAT_AGENT_WINDOWS_CONNECTIONS_H
#define EXEAT_AGENT_WINDOWS_CONNECTIONS_H

#include "agent/windows/system.h"

struct connection {
    DWORD pid;              /* who made the socket; 0: nobody any more */
    uint64_t created_ticks; /* of 100 ns since 1601; 0: not told */
};

enum connection_answer { CONNECTION_FOUND, CONNECTION_NONE, CONNECTION_SEVERAL, CONNECTION_FAILED };

/* The client's end of a connection, by both its addresses. */
enum connection_answer connection_find(const struct endpoint *client, const struct endpoint *proxy,
                                       struct connection *ret);

/* Who listens at `proxy` (or at any address of its port). */
enum connection_answer connection_listener(const struct endpoint *proxy, struct connection *ret);

#endif
