/* caller.h: the sender as who called connect(): the kernel's record of the connection, a description of the process as it was
 * then, and what became of both since. platform_linux.c asks it first; where there is no record, owner.c is asked. */
#ifndef EXEAT_AGENT_LINUX_CALLER_H
#define EXEAT_AGENT_LINUX_CALLER_H

#include "agent/linux/describe.h"
#include "agent/linux/recorded.h"
#include "agent/linux/sock_diag.h"

enum { CALLER_SETS = 256, CALLER_WAYS = 4, CALLER_PENDING = 8 };

/* One process as one program under one user. */
struct caller_key {
    uint64_t image;
    int64_t start_ticks;
    uint32_t pid, uid;
};

struct caller_known {
    struct caller_key key;
    struct process *process; /* counted; NULL: free */
    int64_t described_ms, used_ms;
};

struct caller {
    struct owner_bpf *bpf;       /* owned; NULL: there is none, and nothing here is called */
    struct describer *describer; /* borrowed until the caller is freed, like the next two */
    struct process_table *table;
    int diagfd;
    struct caller_known known[CALLER_SETS][CALLER_WAYS];
    uint64_t pending[CALLER_PENDING]; /* cookies: connections to look ahead at */
    size_t pending_count;
    void (*on_process)(void *context, int64_t pid, bool ended); /* while events are read */
    void *process_context;
    uint64_t described, recorded, lost; /* counted for people and tests */
};

void caller_init(struct caller *c, struct owner_bpf *take_bpf, struct describer *d, struct process_table *t,
                 int diagfd);
void caller_free(struct caller *c);

/* Processes that began before us are told apart from here on, and so are their children. */
void caller_seed(struct caller *c);

/* The usual case, without asking which socket it is. False: that must be asked, then the next one. */
bool caller_attribute_at_once(struct caller *c, struct attribution *a);

/* `seen` NULL: the socket is not in our namespace, or gone. False: nothing was recorded about it. */
bool caller_attribute(struct caller *c, struct attribution *a, const struct sock_seen *seen);

/* Describes who just connected, before anybody asks and while they live. Tells which of those executed something, or ended. */
void caller_look_ahead(struct caller *c, void (*on_process)(void *context, int64_t pid, bool ended),
                       void *context);

void caller_say_losses(struct caller *c); /* to the log, when there are new ones */

#endif
