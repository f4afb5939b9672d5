/* privileges.h: who exeatd is and what it may use: the user it becomes, its folders, the lock that keeps a second exeatd away,
 * descriptors. Main thread, before any other thread is there. Touches files and the process' credentials. */
#ifndef EXEAT_RUN_PRIVILEGES_H
#define EXEAT_RUN_PRIVILEGES_H

#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>

struct identity {
    bool change; /* started as root: become this */
    uid_t uid;
    gid_t gid;
    char user[64]; /* for initgroups() */
};

/* From process.user and process.group: nothing to change without a user, or when we aren't root. -1 fills reterr. */
int privileges_find(const char *user, const char *group, const char *config_file, struct identity *ret,
                    struct err *reterr);

/* Made 0750 with its owner when it is not there; refused when others may write to it. */
int privileges_make_folder(const char *path, const struct identity *who, struct err *reterr);

/* Raises NOFILE to the hard limit (as root to `wanted` at least); returns the limit now in force. */
unsigned long privileges_raise_descriptors(unsigned long wanted);

/* Becomes `who` for good; no new privileges, no core dumps with other people's secrets. */
int privileges_drop(const struct identity *who, struct err *reterr);

/* Creates and locks the file and writes our pid into it. The descriptor keeps the lock; -1 when another holds it. */
int privileges_lock_pid_file(const char *path, struct err *reterr);

#endif
