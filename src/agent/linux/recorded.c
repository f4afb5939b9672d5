/* recorded.c: see recorded.h.
 *
 * BY THE ACCEPTED SOCKET. Its first sequence numbers, 64 bits that both ends' kernels drew, are those of exactly one client's
 * socket, in whatever namespace and behind whatever translation of addresses. The proxy says which socket it accepted, or
 * sock_diag does while it lives. Who wants to be taken for another would have to draw the same numbers.
 *
 * BY ADDRESSES, where the accepted socket is not known (it came before we watched the port). Addresses and ports prove
 * nothing in other namespaces, where anybody can make them; in the proxy's own two sockets never have the same at the
 * same time, only one after the other. A socket counts that was answered in the WINDOW before the proxy accepted (a client's
 * end is established before the server's can be accepted), or that exists now and called connect() before. Two that
 * count: nobody is named. */
#include "agent/linux/recorded.h"

#include <string.h>
#include <time.h>

static const int64_t WINDOW_NS = 2000000000; /* a connection waits this long to be accepted, at most */
static const int64_t SLACK_NS = 250000000;   /* the proxy's clock is that of its loop's turn */

enum recorded_found recorded_choose(const struct owner_sockets *sockets, int64_t accepted_ns, int64_t now_ns,
                                    uint64_t *ret_cookie)
{
    int64_t last = accepted_ns ? accepted_ns + SLACK_NS : now_ns;
    int64_t first = (accepted_ns ? accepted_ns : now_ns) - WINDOW_NS;
    size_t count = 0;
    uint64_t cookie = 0;
    for (size_t i = 0; i < OWNER_SOCKETS && i < sockets->next; i++) {
        int64_t at = (int64_t)sockets->established_ns[i];
        if (at < first || at > last || sockets->cookie[i] == cookie)
            continue;
        cookie = sockets->cookie[i];
        count++;
    }
    if (count == 1)
        *ret_cookie = cookie;
    return count == 0 ? RECORDED_NONE : count == 1 ? RECORDED_ONE : RECORDED_SEVERAL;
}

static int64_t monotonic_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000 + t.tv_nsec;
}

void recorded_tuple(const struct owner_bpf *b, const struct attribution *a, struct owner_tuple *t)
{
    memset(t, 0, sizeof *t);
    t->netns = owner_bpf_netns(b);
    t->version = a->client.ip.version;
    t->client_port = a->client.port;
    t->proxy_port = a->proxy.port;
    memcpy(t->client, a->client.ip.bytes, sizeof t->client);
    memcpy(t->proxy, a->proxy.ip.bytes, sizeof t->proxy);
}

static enum recorded_found find_by_tuple(const struct owner_bpf *b, const struct attribution *a,
                                         uint64_t *ret_cookie)
{
    struct owner_tuple t;
    struct owner_sockets sockets;
    recorded_tuple(b, a, &t);
    if (!owner_bpf_sockets(b, &t, &sockets))
        return RECORDED_NONE;
    return recorded_choose(&sockets, a->accepted_ns, monotonic_ns(), ret_cookie);
}

static enum recorded_found find_by_addresses(const struct owner_bpf *b, const struct attribution *a,
                                             uint64_t live, uint64_t *ret_cookie)
{
    struct owner_record record;
    uint64_t cookie = 0;
    enum recorded_found found = find_by_tuple(b, a, &cookie);
    if (live && owner_bpf_record(b, live, &record)) {
        bool older = a->accepted_ns == 0 || (int64_t)record.connect_ns <= a->accepted_ns + SLACK_NS;
        if (a->accepted_ns == 0)
            found = RECORDED_ONE, cookie = live;
        else if (!older && found == RECORDED_NONE)
            found = RECORDED_LATER;
        else if (older && found != RECORDED_SEVERAL && cookie != live)
            found = found == RECORDED_ONE ? RECORDED_SEVERAL : RECORDED_ONE, cookie = live;
    }
    *ret_cookie = cookie;
    return found;
}

/* The accepted socket must be one of the connection asked about: a proxy is told about its own clients only. */
static enum recorded_found find_by_numbers(const struct owner_bpf *b, const struct attribution *a,
                                           uint64_t accepted, uint64_t *ret_cookie)
{
    struct owner_accepted have;
    struct owner_tuple asked;
    struct owner_sockets sockets;
    recorded_tuple(b, a, &asked);
    if (!accepted || !owner_bpf_accepted(b, accepted, &have) ||
        memcmp(&have.tuple, &asked, sizeof asked) != 0 || !owner_bpf_sockets(b, &have.numbers, &sockets))
        return RECORDED_NONE;
    *ret_cookie = sockets.cookie[0];
    return sockets.next == 1 ? RECORDED_ONE : RECORDED_SEVERAL;
}

enum recorded_found recorded_find(const struct owner_bpf *b, const struct attribution *a,
                                  const struct recorded_live *live, struct owner_record *ret)
{
    uint64_t cookie = 0;
    struct owner_record record;
    enum recorded_found found =
        find_by_numbers(b, a, a->accepted_cookie ? a->accepted_cookie : live->proxy, &cookie);
    if (found == RECORDED_NONE)
        found = find_by_addresses(b, a, live->client, &cookie);
    if (found != RECORDED_ONE)
        return found;
    if (!owner_bpf_record(b, cookie, &record))
        return RECORDED_NONE;
    *ret = record;
    return RECORDED_ONE;
}
