/* keys_record.h: what keys.bpf.c tells keys.c: somebody called a function of key_calls.def. Both sides are compiled from the same
 * tree. Only fixed-width types, no pointers. */
#ifndef EXEAT_AGENT_LINUX_KEYS_RECORD_H
#define EXEAT_AGENT_LINUX_KEYS_RECORD_H

#include <linux/types.h>

enum { KEYS_NAME_BYTES = 64, KEYS_RING_BYTES = 256 * 1024, KEYS_CALLERS_MAX = 8192 };

/* One place of one process that calls. */
struct keys_caller {
    __u64 start_ns; /* of the process, since boot */
    __u64 address;  /* where the call returns to */
    __u32 pid, pad;
};

/* Its function is the one that was entered first: others that return there were jumped to from it. */
struct keys_called {
    __u64 count;
    __u32 call, pad; /* index in key_calls.def */
};

/* Told for the first call, and then each time their number has doubled. */
struct keys_record {
    struct keys_caller caller;
    __u64 count; /* since the last record of this caller, this one included */
    __u64 now_ns;
    __u64 inode;
    __u32 device, has_file, call, pad;
    char name[KEYS_NAME_BYTES]; /* of the file that holds the caller's code */
};

#endif
