/* holders.h: who has a descriptor of a socket, and who connected to a process, by the kernel's own walk through all
 * descriptors (owner_bpf.h): complete, and cheaper than /proc, yet its price grows with the number of processes: 1 to 3 ms at 300.
 *
 * AT ONCE for sockets that are older than the kernel's records: somebody waits for the answer. AROUND for connections that live:
 * what is asked for is noted, a walk finds it all, and the next one who asks hears; walking takes a hundredth of a processor
 * at most. platform_linux.c calls in.
 *
 * NOT SEEN: descriptors in flight in a Unix socket, and those that are registered with io_uring alone; peers that were gone
 * before a walk came by. */
#ifndef EXEAT_AGENT_LINUX_HOLDERS_H
#define EXEAT_AGENT_LINUX_HOLDERS_H

#include "agent/linux/owner_bpf.h"
#include "agent/platform.h"

enum { AROUND_SLOTS = 2048, AROUND_MAX = 16 };

/* What was found for one socket (its holders) or one process (its peers). */
struct around {
    uint64_t key; /* 0: free */
    int64_t asked_ms, found_ms;
    bool sought;                           /* in the walk under way */
    struct owner_walked found[AROUND_MAX]; /* each process once */
    size_t count;
};

struct holders {
    const struct owner_bpf *bpf; /* borrowed; NULL: none */
    int64_t not_before_ms;
    bool wanted;                       /* something was asked since the last walk */
    struct around slots[AROUND_SLOTS]; /* by key; who comes later takes the place: costs time only */
    uint64_t walks;                    /* counted for people and tests */
};

struct holders_question {
    uint64_t cookie;
    int64_t pids[AGENT_HOLDERS_MAX]; /* found; each once */
    size_t count;
};

/* Fills all questions by one walk. False: it cannot be had. */
bool holders_find(struct holders *h, struct holders_question *questions, size_t count);

/* What the last walk found, if that was lately; it is looked for again. NULL: not known yet. */
const struct around *holders_of_socket(struct holders *h, uint64_t cookie);
const struct around *holders_peers_of(struct holders *h, int64_t pid);

void holders_tick(struct holders *h); /* walks, if it is time and something is wanted */

#endif
