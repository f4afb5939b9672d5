/* connections.c: see connections.h. The tables are copied whole with each question: some hundred rows, as a rule. */
#include "agent/windows/connections.h"

#include <stdlib.h>

enum { TRIES = 4, TABLE_BYTES_MAX = 64 * 1024 * 1024 };

/* One row of either table. */
struct row {
    struct endpoint local, remote;
    DWORD state;
    struct connection connection;
};

static uint16_t port_of(DWORD port)
{
    return ntohs((u_short)port);
}

static struct row row_v4(const MIB_TCPROW_OWNER_MODULE *r)
{
    return (struct row){
        .local = {ip_from_bytes((const uint8_t *)&r->dwLocalAddr, 4), port_of(r->dwLocalPort)},
        .remote = {ip_from_bytes((const uint8_t *)&r->dwRemoteAddr, 4), port_of(r->dwRemotePort)},
        .state = r->dwState,
        .connection = {r->dwOwningPid, (uint64_t)r->liCreateTimestamp.QuadPart}};
}

static struct row row_v6(const MIB_TCP6ROW_OWNER_MODULE *r)
{
    return (struct row){.local = {ip_from_bytes(r->ucLocalAddr, 16), port_of(r->dwLocalPort)},
                        .remote = {ip_from_bytes(r->ucRemoteAddr, 16), port_of(r->dwRemotePort)},
                        .state = r->dwState,
                        .connection = {r->dwOwningPid, (uint64_t)r->liCreateTimestamp.QuadPart}};
}

/* malloc'd; NULL when it cannot be had. */
static void *read_table(ULONG family)
{
    DWORD size = 64 * 1024;
    for (int i = 0; i < TRIES && size < TABLE_BYTES_MAX; i++) {
        void *table = malloc(size);
        if (!table)
            return NULL;
        DWORD error = GetExtendedTcpTable(table, &size, FALSE, family, TCP_TABLE_OWNER_MODULE_ALL, 0);
        if (error == NO_ERROR)
            return table;
        free(table);
        if (error != ERROR_INSUFFICIENT_BUFFER)
            return NULL;
        size += 16 * 1024; /* it grows meanwhile */
    }
    return NULL;
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

static bool is_client(const struct row *r, const struct endpoint *client, const struct endpoint *proxy)
{
    return r->state != MIB_TCP_STATE_LISTEN && same_end(&r->local, client) && same_end(&r->remote, proxy);
}

static bool is_listener(const struct row *r, const struct endpoint *client, const struct endpoint *proxy)
{
    (void)client;
    return r->state == MIB_TCP_STATE_LISTEN && r->local.port == proxy->port &&
           (ip_equal(&r->local.ip, &proxy->ip) || is_any(&r->local.ip));
}

typedef bool is_wanted(const struct row *r, const struct endpoint *client, const struct endpoint *proxy);

static void look(const struct row *r, is_wanted *wanted, const struct endpoint *client,
                 const struct endpoint *proxy, size_t *count, struct connection *ret)
{
    if (!wanted(r, client, proxy))
        return;
    if (*count == 0 || ret->pid != r->connection.pid)
        ++*count;
    *ret = r->connection;
}

static enum connection_answer find(is_wanted *wanted, const struct endpoint *client,
                                   const struct endpoint *proxy, struct connection *ret)
{
    size_t count = 0;
    struct connection found = {0};
    MIB_TCPTABLE_OWNER_MODULE *v4 = read_table(AF_INET);
    MIB_TCP6TABLE_OWNER_MODULE *v6 = read_table(AF_INET6);
    if (!v4 && !v6)
        return CONNECTION_FAILED;
    for (DWORD i = 0; v4 && i < v4->dwNumEntries; i++) {
        struct row r = row_v4(&v4->table[i]);
        look(&r, wanted, client, proxy, &count, &found);
    }
    for (DWORD i = 0; v6 && i < v6->dwNumEntries; i++) {
        struct row r = row_v6(&v6->table[i]);
        look(&r, wanted, client, proxy, &count, &found);
    }
    free(v4);
    free(v6);
    if (count != 1)
        return count ? CONNECTION_SEVERAL : CONNECTION_NONE;
    *ret = found;
    return CONNECTION_FOUND;
}

enum connection_answer connection_find(const struct endpoint *client, const struct endpoint *proxy,
                                       struct connection *ret)
{
    return find(is_client, client, proxy, ret);
}

enum connection_answer connection_listener(const struct endpoint *proxy, struct connection *ret)
{
    return find(is_listener, proxy, proxy, ret);
}
