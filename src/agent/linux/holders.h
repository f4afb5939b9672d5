/* holders.h: who has a descriptor of a socket, by the kernel's own walk through all of them (owner_bpf.h): complete, and cheaper
 * than /proc, yet its price grows with the number of processes: 1 to 3 ms at 300. platform_linux.c asks: for sockets that are
 * older than the kernel's records, and for those that somebody beside the caller must have, where a look in passing didn't say who.
 *
 * NOT SEEN: descriptors in flight in a Unix socket, and those that are registered with io_uring alone. */
#ifndef EXEAT_AGENT_LINUX_HOLDERS_H
#define EXEAT_AGENT_LINUX_HOLDERS_H

#include "agent/linux/owner_bpf.h"
#include "agent/platform.h"

struct holders {
    const struct owner_bpf *bpf; /* borrowed; NULL: none */
    int64_t not_before_ms; /* what can wait does, so that walking takes a hundredth of a processor at most */
    uint64_t walks;        /* counted for people and tests */
};

struct holders_question {
    uint64_t cookie;
    int64_t pids[AGENT_HOLDERS_MAX]; /* found; each once */
    size_t count;
};

/* Fills all questions by one walk. False: it cannot be had, or was had too lately for what can wait. */
bool holders_find(struct holders *h, struct holders_question *questions, size_t count, bool can_wait);

#endif
