/* sockets.c: see sockets.h. */
#include "agent/macos/sockets.h"

#include "agent/macos/declarations.h"

#include <stdlib.h>

enum { PIDS_MAX = 16384, FDS_MAX = 16384 };

struct search {
    const struct endpoint *client, *proxy;
    int64_t listener_uid;
    struct sockets_found *found;
};

/* Ports are in network order in the lower half. */
static uint16_t port_of(int32_t port)
{
    return (uint16_t)((port & 0xff) << 8 | (port >> 8 & 0xff));
}

static struct endpoint end_of(const struct mac_inet *inet, const uint8_t address[16], int32_t port)
{
    enum { V4_OFFSET = 12 };
    bool is_v4 = (inet->version & MAC_INI_IPV4) != 0;
    return (struct endpoint){ip_from_bytes(is_v4 ? address + V4_OFFSET : address, is_v4 ? 4 : 16),
                             port_of(port)};
}

static bool same_end(const struct endpoint *a, const struct endpoint *b)
{
    return a->port == b->port && ip_equal(&a->ip, &b->ip);
}

static bool is_any(const struct ip *ip)
{
    static const uint8_t zero[16];
    return memcmp(ip->bytes, zero, sizeof zero) == 0;
}

static void look_at(const struct search *s, int pid, const struct mac_socket *socket)
{
    struct mac_process info;
    struct sockets_found *found = s->found;
    struct endpoint local = end_of(&socket->inet, socket->inet.local, socket->inet.local_port);
    if (socket->tcp_state == MAC_TCPS_LISTEN) {
        bool there =
            local.port == s->proxy->port && (ip_equal(&local.ip, &s->proxy->ip) || is_any(&local.ip));
        if (there && proc_pidinfo(pid, MAC_PIDTBSDINFO, 0, &info, sizeof info) == (int)sizeof info)
            found->listens = found->listens || info.uid == 0 || (int64_t)info.uid == s->listener_uid;
        return;
    }
    struct endpoint remote = end_of(&socket->inet, socket->inet.foreign, socket->inet.foreign_port);
    bool counted = found->count > 0 && found->pids[found->count - 1] == pid; /* by another descriptor */
    if (!counted && found->count < AGENT_HOLDERS_MAX && same_end(&local, s->client) &&
        same_end(&remote, s->proxy))
        found->pids[found->count++] = pid;
}

static void look_into(const struct search *s, int pid, struct mac_fd *fds)
{
    struct mac_socket socket;
    int bytes = proc_pidinfo(pid, MAC_PIDLISTFDS, 0, fds, FDS_MAX * (int)sizeof *fds);
    if (bytes <= 0) {
        s->found->denied++;
        return;
    }
    for (size_t i = 0; i < (size_t)bytes / sizeof *fds; i++)
        if (fds[i].type == MAC_FDTYPE_SOCKET &&
            proc_pidfdinfo(pid, fds[i].fd, MAC_PIDFDSOCKETINFO, &socket, sizeof socket) ==
                (int)sizeof socket &&
            socket.kind == MAC_SOCKINFO_TCP)
            look_at(s, pid, &socket);
}

bool sockets_find(const struct endpoint *client, const struct endpoint *proxy, int64_t listener_uid,
                  struct sockets_found *ret)
{
    const struct search s = {client, proxy, listener_uid, ret};
    *ret = (struct sockets_found){.count = 0};
    int *pids = malloc(PIDS_MAX * sizeof *pids);
    struct mac_fd *fds = malloc(FDS_MAX * sizeof *fds);
    int bytes = pids && fds ? proc_listpids(MAC_PROC_ALL_PIDS, 0, pids, PIDS_MAX * (int)sizeof *pids) : -1;
    for (size_t i = 0; bytes > 0 && i < (size_t)bytes / sizeof *pids; i++)
        if (pids[i] > 0)
            look_into(&s, pids[i], fds);
    free(pids);
    free(fds);
    return bytes > 0;
}
