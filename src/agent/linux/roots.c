/* roots.c: see roots.h. Of more roots than there is room for, the one in which nothing was executed for longest goes. */
#include "agent/linux/roots.h"

#include "agent/linux/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PREFIX_BYTES = 256 };

struct root {
    struct exec_place place;
    int64_t pid; /* 0: free */
    uint64_t noted;
    bool due;
    char prefix[PREFIX_BYTES]; /* its path for us, when it is a folder of our own root; "" else */
};

struct roots {
    pthread_mutex_t lock;
    struct root items[ROOTS_MAX];
    uint64_t count;
    struct exec_place own;
};

struct roots *roots_new(void)
{
    struct roots *r = calloc(1, sizeof *r);
    uint64_t mounts, inode;
    if (!r)
        return NULL;
    pthread_mutex_init(&r->lock, NULL);
    if (rooted_identity(getpid(), &mounts, &inode))
        r->own = (struct exec_place){.mounts = (uint32_t)mounts, .root_inode = inode};
    return r;
}

void roots_free(struct roots *r)
{
    if (r)
        pthread_mutex_destroy(&r->lock);
    free(r);
}

static bool is_same(const struct exec_place *a, const struct exec_place *b)
{
    return a->mounts == b->mounts && a->root_inode == b->root_inode;
}

static struct root *find(struct roots *r, const struct exec_place *place)
{
    for (size_t i = 0; i < ROOTS_MAX; i++)
        if (r->items[i].pid != 0 && is_same(&r->items[i].place, place))
            return &r->items[i];
    return NULL;
}

void roots_note(struct roots *r, int64_t pid, const struct exec_place *place)
{
    if (is_same(place, &r->own))
        return;
    pthread_mutex_lock(&r->lock);
    struct root *it = find(r, place);
    bool found = place->mounts_changed == 0, fresh = !it;
    for (size_t i = 0; fresh && i < ROOTS_MAX; i++)
        if (!it || r->items[i].noted < it->noted) /* a free one was never noted */
            it = &r->items[i];
    if (fresh)
        *it = (struct root){.place = *place, .due = true};
    else if (!found && it->place.mounts_changed != place->mounts_changed)
        it->due = true;
    if (!found)
        it->place.mounts_changed = place->mounts_changed;
    it->pid = pid;
    it->noted = ++r->count;
    pthread_mutex_unlock(&r->lock);
}

/* Its process ended: is another one there? */
static bool is_gone(struct root *it)
{
    it->due = it->due || (kill((pid_t)it->pid, 0) != 0 && errno == ESRCH);
    return it->due;
}

bool roots_wants_walk(struct roots *r)
{
    bool due = false;
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < ROOTS_MAX; i++)
        due = due || (r->items[i].pid != 0 && (r->items[i].due || is_gone(&r->items[i])));
    pthread_mutex_unlock(&r->lock);
    return due;
}

/* ---- walks ---- */

/* Is that process (still) there? */
static bool open_item(const struct root *it, struct rooted *ret)
{
    if (!rooted_open(it->pid, ret))
        return false;
    if ((uint32_t)ret->mounts == it->place.mounts && ret->inode == it->place.root_inode)
        return true;
    rooted_close(ret);
    return false;
}

static bool on_pid(void *context, int64_t pid)
{
    struct roots *r = context;
    uint64_t mounts, inode;
    if (!rooted_identity(pid, &mounts, &inode))
        return true;
    const struct exec_place place = {.mounts = (uint32_t)mounts, .root_inode = inode};
    roots_note(r, pid, &place);
    return true;
}

static void look_for_all(struct roots *r)
{
    int procfd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (procfd < 0)
        return;
    proc_each_number(procfd, on_pid, r);
    close(procfd);
}

static void set_prefix(struct root *it)
{
    char link[48], prefix[PREFIX_BYTES];
    snprintf(link, sizeof link, "/proc/%" PRId64 "/root", it->pid);
    ssize_t n = readlink(link, prefix, sizeof prefix - 1);
    if (n <= 1 || prefix[0] != '/')
        return;
    prefix[n] = 0;
    memcpy(it->prefix, prefix, (size_t)n + 1);
}

/* A copy of the place's, whose turn is over with it. False: not its turn. */
static bool take_turn(struct roots *r, size_t i, bool all, struct root *ret)
{
    pthread_mutex_lock(&r->lock);
    struct root *it = &r->items[i];
    bool wanted = it->pid != 0 && (all || it->due);
    it->due = false;
    if (wanted && !it->prefix[0])
        set_prefix(it);
    *ret = *it;
    pthread_mutex_unlock(&r->lock);
    return wanted;
}

/* Unless another process was noted there meanwhile. */
static void forget(struct roots *r, size_t i, const struct root *gone)
{
    pthread_mutex_lock(&r->lock);
    if (r->items[i].noted == gone->noted)
        r->items[i] = (struct root){.pid = 0};
    else
        r->items[i].due = r->items[i].pid != 0;
    pthread_mutex_unlock(&r->lock);
}

void roots_walk(struct roots *r, bool all, void (*each)(void *context, const struct rooted *root),
                void *context)
{
    struct root it;
    struct rooted root;
    bool looked = all;
    if (all)
        look_for_all(r);
    for (size_t i = 0; i < ROOTS_MAX; i++) {
        if (!take_turn(r, i, all, &it))
            continue;
        bool open = open_item(&it, &root);
        if (!open && !looked) { /* another one of its processes */
            look_for_all(r);
            looked = true;
        }
        open = open || (take_turn(r, i, true, &it) && open_item(&it, &root));
        if (open) {
            each(context, &root);
            rooted_close(&root);
        } else {
            forget(r, i, &it);
        }
    }
}

/* ---- questions ---- */

static bool copy_of(struct roots *r, uint64_t mounts, struct root *ret)
{
    bool known = false;
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; !known && i < ROOTS_MAX; i++) {
        known = r->items[i].pid != 0 && r->items[i].place.mounts == mounts;
        *ret = r->items[i];
    }
    pthread_mutex_unlock(&r->lock);
    return known;
}

bool roots_open(struct roots *r, uint64_t mounts, struct rooted *ret)
{
    struct root it;
    return copy_of(r, mounts, &it) && open_item(&it, ret);
}

bool roots_has(struct roots *r, uint64_t mounts)
{
    struct root it;
    return copy_of(r, mounts, &it);
}

const char *roots_seen_path(struct roots *r, const char *path)
{
    const char *seen = path;
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < ROOTS_MAX; i++) {
        const struct root *it = &r->items[i];
        size_t len = strlen(it->prefix);
        if (it->pid != 0 && len > 0 && strncmp(path, it->prefix, len) == 0 && path[len] == '/')
            seen = path + len;
    }
    pthread_mutex_unlock(&r->lock);
    return seen;
}
