/* exec_record.h: what exec.bpf.c tells exec.c through a ring: one record for each fork, execution and end of a process. Both
 * sides are compiled from the same tree. Only fixed-width types, no pointers. */
#ifndef EXEAT_AGENT_LINUX_EXEC_RECORD_H
#define EXEAT_AGENT_LINUX_EXEC_RECORD_H

#include <linux/types.h>

enum {
    EXEC_PATH_BYTES = 1024, /* like OWNER_PATH_BYTES, and longer by OWNER_PART_BYTES */
    EXEC_ARGUMENTS_BYTES = 256,
    EXEC_FILES_MAX = 4096,
    EXEC_PLACES_MAX = 256,         /* that were told of: a new one is at once */
    EXEC_LARGE_BYTES = 512 * 1024, /* TLS does not fit into less, with all that it needs */
    EXEC_RING_BYTES = 1024 * 1024,
    EXEC_WAKE_BYTES =
        EXEC_RING_BYTES / 8 /* the reader is woken when so much waits; else it looks by itself */
};

struct exec_file {
    __u64 inode;
    __u32 device, pad; /* as the kernel writes it */
};

/* What the reader said of a file: it wants to hear of its executions at once, or knows what is inside. Of large ones about which
 * it said nothing it hears at once. */
enum exec_said { EXEC_SAID_URGENT = 1, EXEC_SAID_KNOWN };

enum exec_type { EXEC_FORK = 1, EXEC_EXEC, EXEC_EXIT };

/* Which files a process sees: by its mount namespace, how often something was mounted there, and its root folder. */
struct exec_place {
    __u64 mounts_changed, root_inode;
    __u32 mounts, pad;
};

struct exec_record {
    __u32 type, pid;
    __u64 start_ns; /* since boot */
    __u64 parent_start_ns;
    __u64 now_ns; /* monotonic */
    __u32 parent, session;
    __u32 has_terminal;
    __u32 device; /* of the executable, as the kernel writes it */
    __u64 inode, size;
    __s64 ctime_ns;
    char name[16];
    __u32 path_bytes, arguments_bytes;
    /* what follows comes with EXEC_EXEC alone */
    struct exec_place place;
    char arguments[EXEC_ARGUMENTS_BYTES];
    char path[EXEC_PATH_BYTES + 256]; /* its parts, the last one first; only path_bytes of it are sent */
};

enum { EXEC_SHORT_BYTES = __builtin_offsetof(struct exec_record, place) };

#endif
