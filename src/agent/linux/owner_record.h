/* owner_record.h: what owner.bpf.c writes down in the kernel and owner_bpf.c reads: the maps' keys and values. Both sides are
 * compiled from the same tree, so there is no version; sizes are checked below. Only fixed-width types, no pointers. */
#ifndef EXEAT_AGENT_LINUX_OWNER_RECORD_H
#define EXEAT_AGENT_LINUX_OWNER_RECORD_H

#include <linux/types.h>

enum {
    OWNER_PARENTS = 6,
    OWNER_PATH_BYTES = 1024, /* a path's parts, the last one first, each with a NUL */
    OWNER_PART_BYTES = 256,  /* one of them at most; the field below is longer by that */
    OWNER_PARTS_MAX = 40,
    OWNER_ARGUMENTS_BYTES = 1024, /* a power of two */
    OWNER_SOCKETS = 4,            /* latest ones remembered for one tuple */

    OWNERS_MAX = 65536, /* sockets */
    TUPLES_MAX = 131072,
    ACCEPTED_MAX = 32768,
    IMAGES_MAX = 2048,
    EVENTS_BYTES = 64 * 1024,
    PORTS_WORDS = 65536 / 64
};

/* One execution of one program: a serial number never used twice. */
struct owner_tag {
    __u64 image;
    __u64 start_ns; /* when the process began, since boot */
    __u64 memory;   /* of the program, as an opaque number that exec changes; 0: not known yet */
    __u64 told;     /* whether its connecting to a proxy was told at once: the first time is enough */
};

struct owner_file {
    __u64 inode, size;
    __s64 ctime_ns;      /* -1: this kernel keeps it where we don't know */
    __u32 device;        /* the kernel's own form: major << 20 | minor */
    __u32 links;         /* 0: deleted, or never in a folder (memfd) */
    __u64 mount, dentry; /* of the root folder that paths begin at, as opaque numbers: equal means the same */
};

struct owner_parent {
    __u64 start_ns; /* since boot */
    __u32 pid, pad;
};

/* Of a process that connected to a proxy: the first time, and what it does afterwards. */
enum owner_event_kind { OWNER_EVENT_CONNECT, OWNER_EVENT_EXEC, OWNER_EVENT_EXIT };

struct owner_event {
    __u32 kind, pid;
    __u64 cookie; /* CONNECT */
};

enum owner_flags {
    OWNER_KERNEL = 1, /* a kernel thread connected it */
};

/* Who called connect() on a socket. Key: the socket's cookie. */
struct owner_record {
    __u64 cookie;
    __u64 connect_ns, established_ns; /* monotonic; 0: not yet */
    struct owner_tag tag;
    struct owner_file executable; /* what the process says it runs (PR_SET_MM_EXE_FILE can change it) */
    __u64 cgroup;
    __u32 pid, tid, uid, login_uid; /* of the host; login_uid ~0: none */
    __u32 netns;
    __u32 flags;
    __u32 descriptor; /* connect()'s first argument where that can be told: where to look first, no more */
    __u32 pad;
    struct owner_parent parents[OWNER_PARENTS]; /* nearest first; pid 0 ends */
    char name[16];                              /* comm of the first thread */
};

/* An IPv4 address is in the first 4 bytes, the rest is zero. Version OWNER_NUMBERS: not addresses, but the first sequence
 * numbers that both ends chose, in the first 4 bytes each, which only the two sockets of one connection share. */
struct owner_tuple {
    __u32 netns;
    __u32 version;                 /* 4, 6, OWNER_NUMBERS */
    __u16 client_port, proxy_port; /* host order */
    __u32 pad;
    __u8 client[16], proxy[16];
};

enum { OWNER_NUMBERS = 1 };

/* A connection that a proxy's listener took. Key: the accepted socket's cookie. */
struct owner_accepted {
    struct owner_tuple tuple, numbers;
};

/* The latest sockets of clients that had the tuple, as a ring. */
struct owner_sockets {
    __u64 next; /* counts them all */
    __u64 cookie[OWNER_SOCKETS], established_ns[OWNER_SOCKETS];
};

/* What was executed. Key: its serial. */
struct owner_image {
    struct owner_file executable;
    __u64 exec_ns;
    __u32 path_bytes, cwd_bytes; /* used; 0: could not be told */
    __u32 arguments_bytes;       /* used */
    __u32 from_proc; /* it began before us: read from /proc, where it could have changed its arguments */
    __u32 pad;
    __u32 arguments_whole; /* bytes there were */
    char path[OWNER_PATH_BYTES + OWNER_PART_BYTES];
    char cwd[OWNER_PATH_BYTES + OWNER_PART_BYTES];
    char arguments[OWNER_ARGUMENTS_BYTES];
};

/* HOLD: the descriptor of connect() is the socket now. ALONE: and nothing else refers to it, in no process. */
enum look_hold { LOOK_HOLD_UNSEEN, LOOK_HOLD, LOOK_HOLD_ALONE };
enum { LOOK_CHILDREN = 16, LOOK_HOLDERS = 8 };

/* One look at a connection, by the cookie of its accepted socket. */
struct owner_look {
    __u64 accepted;        /* asked */
    __u32 found;           /* 0: the rest means nothing */
    __u32 hold;            /* enum look_hold */
    __u64 image, start_ns; /* the tag of the process that has the number now; 0: none */
    __u32 holder_count, pad;
    __u32 holders[LOOK_HOLDERS]; /* children of it that have the same descriptor, as fork leaves them */
    struct owner_tuple tuple;    /* of the accepted socket */
    struct owner_record record;
};

/* What a walk through all descriptors finds: a process that has one of a socket that was sought; or, of a process that is looked
 * at, another one that connected to it, by a Unix socket or from this host. */
enum owner_walked_kind { OWNER_WALKED_HOLDER, OWNER_WALKED_UNIX, OWNER_WALKED_LOOPBACK };

struct owner_walked {
    __u64 cookie;
    __u32 kind, pid;
    __u32 other, pad; /* not of a HOLDER */
};

enum { WANTED_MAX = 1024 }; /* sockets sought, and processes looked at, in one walk */

enum owner_loss {
    OWNER_LOSS_OWNER, /* a connection's owner was not written down */
    OWNER_LOSS_TUPLE, /* likewise its addresses */
    OWNER_LOSS_IMAGE, /* what was executed */
    OWNER_LOSS_TAG,   /* a process' tag: its programs are told by /proc alone */
    OWNER_LOSS_EVENT, /* nobody was told at once: costs time, no answer */
    OWNER_LOSS_COUNT
};

_Static_assert(sizeof(struct owner_tuple) == 48, "a map's key has no holes");
_Static_assert(sizeof(struct owner_parent) == 16, "no holes");

#endif
