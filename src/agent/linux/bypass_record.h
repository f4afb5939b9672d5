/* bypass_record.h: what bypass.bpf.c counts and bypass.c reads; included by both sides. Fixed layouts. */
#ifndef EXEAT_AGENT_LINUX_BYPASS_RECORD_H
#define EXEAT_AGENT_LINUX_BYPASS_RECORD_H

#include <linux/types.h>

enum { BYPASS_KEYS_MAX = 4096, BYPASS_RING_BYTES = 256 * 1024, BYPASS_PROXIES_MAX = 64 };

/* Who tried to reach what; the key of the counts, and what the ring tells of a new one. */
struct bypass_key {
    __u32 pid, uid;
    __u16 port;     /* host order */
    __u8 transport; /* 6 TCP, 17 UDP */
    __u8 version;   /* 4, 6 */
    __u8 address[16];
};

struct bypass_count {
    __u64 count;
    char name[16]; /* comm of the thread that tried */
};

_Static_assert(sizeof(struct bypass_key) == 28, "a map's key has no holes");

#endif
