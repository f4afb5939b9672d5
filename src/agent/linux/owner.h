/* owner.h: which processes hold a socket. See owner.c for what is sound about the short way and what is not seen. */
#ifndef EXEAT_AGENT_LINUX_OWNER_H
#define EXEAT_AGENT_LINUX_OWNER_H

#include "agent/linux/process_table.h"

/* The last look at all processes: what a later question may conclude from. */
struct owner_scan {
    int64_t last_pid;                /* number given out last before the look; -1: there was no look */
    int64_t taken_ms;                /* monotonic */
    int64_t sampled_pid, sampled_ms; /* the number given out last, when we last looked at it */
    int64_t wrap_ms;                 /* numbers cannot come round within */
    int64_t cost_ns;                 /* CPU time that the look took */
    int64_t extra_ns;                /* CPU time that new processes cost in short ways since */
    off_t offset;                    /* in /proc, where numbers above last_pid begin */
    uint32_t *inodes;                /* owned; sorted; all sockets that were seen */
    size_t inode_count, inode_cap;
    bool overflow; /* there were more than are kept */
};

struct owner {
    int procfd, loadavgfd; /* owned */
    struct owner_scan scan;
    uint64_t scans, short_ways; /* counted for people and tests */
};

/* One question; a batch shares one look. */
struct owner_question {
    uint32_t inode, uid; /* as sock_diag says; uid of whoever made the socket */
    int64_t proxy;       /* the process that asks */
    int64_t holders[AGENT_HOLDERS_MAX];
    size_t holder_count; /* found; at most AGENT_HOLDERS_MAX are kept */
    bool denied;         /* a process of that user could not be looked into */
    bool answered;       /* by the short way */
};

int owner_init(struct owner *o); /* 0 or -1 */
void owner_free(struct owner *o);

/* Looks at the number given out last; often enough, or the next question needs a full look. */
void owner_sample(struct owner *o);

/* True when the question could be answered without a look at all processes: holders are filled. */
bool owner_find_short(struct owner *o, struct process_table *t, struct owner_question *q);

/* Looks at all processes and fills every question that is not answered yet. */
void owner_find_all(struct owner *o, struct owner_question *questions, size_t count);

int64_t owner_now_ms(void);

#endif
