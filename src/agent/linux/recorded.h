/* recorded.h: which of the kernel's records (owner_bpf.h) is the one of the connection that is asked about. Addresses and
 * ports come round, and anybody can make the same ones in a network namespace of his own; see recorded.c. caller.c calls in. */
#ifndef EXEAT_AGENT_LINUX_RECORDED_H
#define EXEAT_AGENT_LINUX_RECORDED_H

#include "agent/linux/owner_bpf.h"
#include "agent/platform.h"

/* LATER: the socket that has the addresses now is another than the one asked about, which is gone and not recorded. */
enum recorded_found { RECORDED_NONE, RECORDED_ONE, RECORDED_SEVERAL, RECORDED_LATER };

/* Of `count` sockets those that the proxy could have accepted at `accepted_ns` (monotonic; 0: not told, then until
 * `now_ns`). Pure. ONE fills ret. */
enum recorded_found recorded_choose(const struct owner_sockets *sockets, int64_t accepted_ns, int64_t now_ns,
                                    uint64_t *ret_cookie);

/* The addresses that are asked about, as the kernel's records say them. */
void recorded_tuple(const struct owner_bpf *b, const struct attribution *a, struct owner_tuple *ret);

/* Cookies of the sockets that have the addresses in our namespace now, 0 without: the client's, and the proxy's end. */
struct recorded_live {
    uint64_t client, proxy;
};

enum recorded_found recorded_find(const struct owner_bpf *b, const struct attribution *a,
                                  const struct recorded_live *live, struct owner_record *ret);

#endif
