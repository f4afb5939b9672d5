/* process_table.h: processes that answered for a socket lately, kept open: a directory descriptor of /proc/PID stays
 * with that process even when its number is given to another, so a kept entry can vanish but never name somebody else.
 *
 * What can change behind an open entry is the program it runs (exec). Nothing in /proc counts execs, so an identity is
 * compared: start time, the executable's file, owner, and the addresses of code, stack, arguments and environment, which
 * the kernel chooses anew at each exec. Where it did not choose at random (ADDR_NO_RANDOMIZE: the environment then ends
 * within the last 64 KiB below a power of two; 32-bit processes: too few bits; addresses that we may not see) an exec of
 * the same file would look the same, so such an entry is described anew for each answer. */
#ifndef EXEAT_AGENT_LINUX_PROCESS_TABLE_H
#define EXEAT_AGENT_LINUX_PROCESS_TABLE_H

#include "agent/linux/proc.h"
#include "agent/platform.h"

#include <sys/stat.h>

enum { PROCESS_TABLE_MAX = 512 };

struct identity {
    struct proc_stat stat; /* name, state, ppid, threads are not compared */
    struct file_key executable;
    uint64_t links;
    uint32_t uid, gid; /* of /proc/PID: effective, or root's when the process can't be dumped */
};

struct entry {
    struct entry *next; /* owned by the table; most recently used first */
    int64_t pid;
    int dirfd, statfd, fdsfd; /* owned */
    int hint_fd;              /* the process' descriptor that was the last hit */
    struct identity identity;
    struct process *image; /* counted; NULL until described */
    int64_t described_ms;
};

struct process_table {
    int procfd; /* borrowed until the table is freed */
    struct entry *first;
    size_t count;
};

void process_table_init(struct process_table *t, int procfd);
void process_table_free(struct process_table *t);

/* An entry for the process that has this number now, made if there is none; moved to the front. A view until the next
 * call of get, touch or purge. NULL when it is gone or denied (errno). */
struct entry *process_table_get(struct process_table *t, int64_t pid);
void process_table_touch(struct process_table *t, struct entry *e);
void process_table_drop(struct process_table *t, struct entry *e);
void process_table_purge(struct process_table *t); /* drops what is dead */

struct file_key file_key_of(const struct statx *st);

bool identity_read(const struct entry *e, struct identity *ret);
bool identity_equal(const struct identity *a, const struct identity *b);
bool identity_is_random(const struct identity *id); /* an exec would show */

/* Does the process hold this socket (in its first thread's table)? The last hit's neighbourhood is looked at first. */
bool entry_holds(struct entry *e, uint32_t inode);
/* In any thread's table. */
bool entry_holds_anywhere(struct entry *e, uint32_t inode);

#endif
