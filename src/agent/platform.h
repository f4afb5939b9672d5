/* platform.h: what the agent's core asks of an operating system. One back end is linked: linux/ today. Everything
 * here is called from the loop's thread and answers at once; reading files to hash them is the core's (hash.h).
 *
 * The core gathers the asks that wait at one moment and hands them over together, so that they share one look at the
 * system's processes. */
#ifndef EXEAT_AGENT_PLATFORM_H
#define EXEAT_AGENT_PLATFORM_H

#include "wire/agent_message.h"

/* Names the bytes of a file: equal keys, equal content. */
struct file_key {
    uint64_t device, inode, size;
    int64_t mtime_ns, ctime_ns;
};

enum { PROCESS_WHY_BYTES = 256 };

/* What the agent knows beyond the system it looks at. */
struct knowledge {
    const struct programs *programs; /* agent/programs.h */
    struct seen *seen;               /* agent/seen.h */
};

/* A process image that was asked for: one execution of one program. Counted; the loop's thread only. The core may
 * fill the hashes of `sender` (and count `revision` up); nobody else sees it change, for answers are written at once. */
struct process {
    unsigned refs;
    uint64_t serial;                     /* never used twice */
    unsigned revision;                   /* counts changes of `sender` */
    struct sender *sender;               /* owned */
    bool has_script_file, script_failed; /* failed: it could not be hashed */
    struct file_key executable, script;
    char script_path[AGENT_PATH_BYTES]; /* to open it; "" without one */
    /* what borrows its identity: how it was started, and what is looked at again */
    bool is_jit, looked;
    char package_md5[33]; /* what its package says of the executable; "" when it says nothing */
    uint32_t fixed_borrowed, mapped_borrowed; /* sets of enum sender_borrowed */
    char fixed_why[PROCESS_WHY_BYTES], mapped_why[PROCESS_WHY_BYTES];
    int64_t looked_ms, traced_ms; /* at its mappings, at its tracer; monotonic */
};

/* What the kernel said of a process that connected, runs what it ran then and holds its socket alone. Who has the same numbers is
 * the same program: what is known of the one is known of the other. */
struct known_caller {
    uint64_t image; /* 0: it was not that simple */
    int64_t start_ticks;
    uint32_t pid, uid, netns;
};

struct attribution {
    /* asked */
    struct endpoint client, proxy;
    int64_t peer_uid;         /* who asks */
    int64_t peer_pid;         /* 0: it is in another pid namespace */
    uint64_t accepted_cookie; /* of the socket that the proxy accepted; 0: not told */
    int64_t accepted_ns;      /* when the proxy accepted, monotonic; 0: not told */
    bool again; /* nobody waits: who else holds it may be looked for, and what costs much left undone */
    /* answered */
    enum agent_confidence confidence;
    enum agent_reason reason;
    enum agent_basis basis;
    struct agent_connect connect; /* with basis CONNECT */
    uint64_t cookie;              /* likewise: of the client's socket */
    struct known_caller caller;   /* likewise */
    int64_t holders[AGENT_HOLDERS_MAX];
    size_t holder_count;
    struct agent_peers *peers; /* counted for the caller; of `again`, NULL: not known */
    struct process *process;   /* counted for the caller when exact or stale, else NULL */
};

/* Whose use of ciphers and keys is watched: nobody's, that of programs seen at the proxy, everybody's. */
enum history_keys { HISTORY_KEYS_OFF, HISTORY_KEYS_SEEN, HISTORY_KEYS_ALL };

/* What is remembered of processes (agent/history.h). */
struct history_options {
    enum history_keys keys;
    unsigned depth, window_s;
    const char **watches; /* borrowed for the call: "CLASS=GLOB" each */
    size_t watch_count;
    bool no_default_watches, no_bpf;
    _Atomic uint64_t *
        turns; /* rises before anything is taken in; NULL: nobody looks. Borrowed until the platform is freed */
    unsigned restarts; /* how often somebody before us remembered, and was lost */
    const char
        *state_folder; /* borrowed until the platform is freed: where counts outlive us; NULL: nowhere */
};

/* Does the package of a program link a library that it loaded? */
enum history_linked { HISTORY_LINKED_UNKNOWN, HISTORY_LINKED_YES, HISTORY_LINKED_NO };

/* A look through an executable for a TLS library inside; or, with a `library`, whether the package of the executable links that. */
struct history_scan {
    int64_t pid;
    int64_t start_ticks; /* with a library */
    char library[1024];  /* "": none is asked about */
    enum history_linked linked;
    uint64_t device, inode, size;
    int64_t ctime_ns;
    char path[1024];
    bool looked;        /* it could be read */
    const char *family; /* a literal; NULL: none */
};

struct platform;
struct platform_early;

/* What needs rights that are given up later: called once, before they are. Never fails: what could not be had is told by
 * platform_degraded(). The process that called it must be the one that goes on (no fork in between). */
struct platform_early *platform_early_new(bool want_bpf);
void platform_early_watch(struct platform_early *early, const struct history_options *options);
void platform_early_free(struct platform_early *early); /* only if no platform took it; NULL is fine */

/* NULL when the system lacks what cannot be done without; *ret_error says what. `take_early` NULL: none.
 * What `know` points to is borrowed until platform_free(). */
struct platform *platform_new(struct platform_early *take_early, const struct knowledge *know,
                              const char **ret_error);
void platform_free(struct platform *p);

/* How connections are attributed here: "bpf" or "proc". */
const char *platform_owner(const struct platform *p);

/* A proxy listens here: its clients may be looked at before it asks about them. */
void platform_expect(struct platform *p, const struct endpoint *proxy);

/* A descriptor that becomes readable when such a client connects, or executes or ends later; -1 without. Then
 * platform_look_ahead(), which tells of the latter two. */
int platform_events_fd(const struct platform *p);
void platform_look_ahead(struct platform *p, void (*on_process)(void *context, int64_t pid, bool ended),
                         void *context);

/* How many connections can be asked about again and again. */
size_t platform_watch_max(const struct platform *p);

/* What does not work here, one sentence each, for hello and log. Views into the platform. */
size_t platform_degraded(const struct platform *p, const char *const **ret_sentences);

/* "linux", ... */
const char *platform_name(void);
/* Kinds of history that will never be seen here, a bit for each enum agent_history_kind. */
unsigned platform_not_observable(const struct platform *p);

/* Fills every attribution of the batch. */
void platform_attribute(struct platform *p, struct attribution *const *batch, size_t count);

/* What processes did. The descriptor (-1: there is no history) becomes readable when there is something to take in, a part at a
 * time; platform_history_turn() then, and every second. platform_history_walk() looks through folders: on any thread, one at a
 * time. */
int platform_history_fd(const struct platform *p);
void platform_history_turn(struct platform *p);
void platform_history_walk(struct platform *p);
bool platform_history_wants_walk(struct platform *p); /* sooner than usual */

/* Looks that wait: the next one (false: none), the work itself on any thread, its result. */
bool platform_history_scan_next(struct platform *p, struct history_scan *ret);
void platform_history_scan(const struct platform *p, struct history_scan *job);
void platform_history_scan_done(struct platform *p, const struct history_scan *job);

/* What the lineage of an attributed sender did, as far as it is known now. False: there is no history. *ret's strings are views
 * until the next call of anything here. `a`: its connection is counted, once; NULL: just a look. */
bool platform_history(struct platform *p, const struct sender *s, const struct attribution *a,
                      struct agent_history *ret);

/* What the history misses since it began. False: there is none. */
bool platform_history_losses(struct platform *p, struct agent_losses *ret);

/* A proxy of that user wants the lineage of a sender that it was told of to be remembered for longer. *ret (strings as above) is filled for
 * KEPT and NOT_KEPT, *ret_until_ms (Unix time) for KEPT. */
enum agent_keep_outcome platform_keep(struct platform *p, const struct agent_keep *keep, int64_t peer_uid,
                                      struct agent_history *ret, int64_t *ret_until_ms);
unsigned platform_keep_max(const struct platform *p); /* lineages; 0: none */
bool platform_keep_is_full(const struct platform *p);

/* Its connection (the proxy's end has this cookie) was answered for elsewhere: it is counted, once. */
void platform_count(struct platform *p, const struct sender *s, uint64_t accepted_cookie, int64_t peer_uid);

/* The descriptor by which quick_look() (linux/quick.h) asks the kernel in another process of ours; -1: that can't be. */
int platform_quick_fd(const struct platform *p);

/* A descriptor on the bytes that run (or of the script), for the caller to close; -1 when they cannot be had. */
int platform_open_executable(struct process *process);
int platform_open_script(struct process *process);
bool platform_file_key(int fd, struct file_key *ret); /* false when it is no regular file */

/* What goes around the proxies. The descriptor (-1: nothing is seen) is readable when there is somebody new: then take_in(), and after
 * a moment platform_around(), which adds up and looks at the lock; true when something was counted. What the process `pid`
 * does is no way around while it is a proxy's. */
int platform_around_fd(const struct platform *p);
void platform_around_take_in(struct platform *p);
bool platform_around(struct platform *p, struct agent_around *ret);
void platform_except(struct platform *p, int64_t pid, bool is_proxy);

void process_unref(struct process *process);

/* Host name and a stable id ("" without one). */
void platform_host(char name[AGENT_NAME_BYTES], char id[AGENT_NAME_BYTES]);

/* Every PLATFORM_TICK_MS while asks come, and some time after: keeps what is known of the processes fit for use, and
 * gives back what belongs to those that are gone. Late or missing ticks cost time, never soundness. */
enum { PLATFORM_TICK_MS = 100 };
void platform_tick(struct platform *p);

#endif
