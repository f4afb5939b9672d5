/* rooted.h: looks into the root that another process has (a container's), as that process sees it. No link is followed, so nothing in there
 * leads out of it, and only file systems whose data lies here are entered: others (FUSE, NFS) can make whoever looks wait. files.c, keys.c
 * and the marker look in. Nothing is held open beyond a look: it would keep others from unmounting. */
#ifndef EXEAT_AGENT_LINUX_ROOTED_H
#define EXEAT_AGENT_LINUX_ROOTED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ROOTED_MOUNTS_MAX = 1024, ROOTED_TEXT_BYTES = 512 * 1024, ROOTED_ENTRIES_MAX = 16384 };

struct rooted {
    int fd; /* owned */
    int64_t pid;
    uint64_t mounts, inode;            /* the mount namespace's number, the root folder's */
    uint64_t local[ROOTED_MOUNTS_MAX]; /* ids of mounts */
    size_t local_count;
    char *text; /* owned: /proc/PID/mountinfo */
};

/* False: that process is gone, or may not be looked into. */
bool rooted_open(int64_t pid, struct rooted *ret);
void rooted_close(struct rooted *r);

/* A descriptor of O_PATH for the caller to close; -1: there is no such thing in there. */
int rooted_at(const struct rooted *r, const char *path);

/* What there is of this name, in which a part may have stars. `path` as seen in there; the descriptor (O_PATH) is a view. */
void rooted_glob(const struct rooted *r, const char *pattern,
                 void (*each)(void *context, int fd, const char *path), void *context);

/* Everything below a folder that rooted_glob() told of, at most so deep: folders before what is in them. */
void rooted_below(const struct rooted *r, int fd, const char *path, unsigned depth,
                  void (*each)(void *context, int fd, const char *path), void *context);

/* The root of each of its local file systems, likewise. */
void rooted_each_mount(const struct rooted *r, void (*each)(void *context, int fd, const char *path),
                       void *context);

/* Which mount namespace and root a process has now. False: it is gone. */
bool rooted_identity(int64_t pid, uint64_t *ret_mounts, uint64_t *ret_inode);

#endif
