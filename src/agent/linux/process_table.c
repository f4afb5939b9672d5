/* process_table.c: see process_table.h. */
#include "agent/linux/process_table.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HINT_WINDOW = 2, STAT_BYTES = 2048 };

void process_table_init(struct process_table *t, int procfd)
{
    *t = (struct process_table){.procfd = procfd};
}

static void entry_free(struct entry *e)
{
    if (!e)
        return;
    if (e->image)
        process_unref(e->image);
    if (e->dirfd >= 0)
        close(e->dirfd);
    if (e->statfd >= 0)
        close(e->statfd);
    if (e->fdsfd >= 0)
        close(e->fdsfd);
    free(e);
}

void process_table_free(struct process_table *t)
{
    while (t->first)
        process_table_drop(t, t->first);
}

static void unlink_entry(struct process_table *t, struct entry *e)
{
    for (struct entry **at = &t->first; *at; at = &(*at)->next) {
        if (*at == e) {
            *at = e->next;
            t->count--;
            return;
        }
    }
}

static void link_first(struct process_table *t, struct entry *e)
{
    e->next = t->first;
    t->first = e;
    t->count++;
}

void process_table_drop(struct process_table *t, struct entry *e)
{
    unlink_entry(t, e);
    entry_free(e);
}

void process_table_touch(struct process_table *t, struct entry *e)
{
    if (t->first == e)
        return;
    unlink_entry(t, e);
    link_first(t, e);
}

static bool is_alive(const struct entry *e)
{
    char byte;
    return pread(e->statfd, &byte, 1, 0) == 1;
}

void process_table_purge(struct process_table *t)
{
    for (struct entry *e = t->first, *next; e; e = next) {
        next = e->next;
        if (!is_alive(e))
            process_table_drop(t, e);
    }
}

static struct entry *open_entry(int procfd, int64_t pid)
{
    struct entry *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->pid = pid;
    e->dirfd = proc_open_pid(procfd, pid);
    e->statfd = e->dirfd < 0 ? -1 : openat(e->dirfd, "stat", O_RDONLY | O_CLOEXEC);
    e->fdsfd = e->dirfd < 0 ? -1 : openat(e->dirfd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (e->statfd < 0 || e->fdsfd < 0 || !identity_read(e, &e->identity)) {
        int error = errno;
        entry_free(e);
        errno = error;
        return NULL;
    }
    return e;
}

struct entry *process_table_get(struct process_table *t, int64_t pid)
{
    struct entry *e = t->first, *last = NULL;
    while (e && e->pid != pid)
        e = e->next;
    if (e && !is_alive(e)) { /* the number may be another's now */
        process_table_drop(t, e);
        e = NULL;
    }
    if (e) {
        process_table_touch(t, e);
        return e;
    }
    for (last = t->first; last && last->next; last = last->next)
        ;
    if (t->count >= PROCESS_TABLE_MAX)
        process_table_drop(t, last);
    e = open_entry(t->procfd, pid);
    if (e)
        link_first(t, e);
    return e;
}

static int64_t nanoseconds(const struct statx_timestamp *t)
{
    return t->tv_sec * 1000000000 + t->tv_nsec;
}

struct file_key file_key_of(const struct statx *st)
{
    return (struct file_key){.device = (uint64_t)st->stx_dev_major << 32 | st->stx_dev_minor,
                             .inode = st->stx_ino,
                             .size = st->stx_size,
                             .mtime_ns = nanoseconds(&st->stx_mtime),
                             .ctime_ns = nanoseconds(&st->stx_ctime)};
}

bool identity_read(const struct entry *e, struct identity *ret)
{
    char text[STAT_BYTES];
    struct statx exe;
    struct stat dir;
    struct identity id = {.links = 0};
    ssize_t n = proc_reread(e->statfd, text, sizeof text);
    if (n <= 0 || !proc_stat_parse(span_of(text, (size_t)n), &id.stat) || id.stat.state == 'X')
        return errno = ESRCH, false;
    if (fstat(e->dirfd, &dir) != 0 ||
        statx(e->dirfd, "exe", AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &exe) != 0)
        return false;
    id.executable = file_key_of(&exe);
    id.links = exe.stx_nlink;
    id.uid = dir.st_uid;
    id.gid = dir.st_gid;
    *ret = id;
    return true;
}

bool identity_equal(const struct identity *a, const struct identity *b)
{
    const struct proc_stat *s = &a->stat, *t = &b->stat;
    return s->start_ticks == t->start_ticks && s->start_code == t->start_code && s->end_code == t->end_code &&
           s->start_stack == t->start_stack && s->start_data == t->start_data &&
           s->start_brk == t->start_brk && s->arg_start == t->arg_start && s->arg_end == t->arg_end &&
           s->env_start == t->env_start && s->env_end == t->env_end &&
           a->executable.device == b->executable.device && a->executable.inode == b->executable.inode &&
           a->executable.size == b->executable.size && a->executable.mtime_ns == b->executable.mtime_ns &&
           a->executable.ctime_ns == b->executable.ctime_ns && a->links == b->links && a->uid == b->uid &&
           a->gid == b->gid;
}

bool identity_is_random(const struct identity *id)
{
    uint64_t top = (id->stat.env_end >> 16) + 1;
    return id->stat.start_stack > UINT32_MAX && id->stat.arg_start > UINT32_MAX && (top & (top - 1)) != 0;
}

static bool descriptor_is(const struct entry *e, int64_t fd, uint32_t inode)
{
    char name[24], link[64];
    snprintf(name, sizeof name, "%" PRId64, fd);
    ssize_t n = proc_link_at(e->fdsfd, name, link, sizeof link);
    return n > 0 && proc_socket_inode(link, (size_t)n) == inode;
}

struct search {
    struct entry *entry;
    uint32_t inode;
    bool found;
};

static bool on_descriptor(void *context, int64_t fd)
{
    struct search *s = context;
    bool seen = fd >= s->entry->hint_fd && fd < s->entry->hint_fd + HINT_WINDOW;
    if (!seen && descriptor_is(s->entry, fd, s->inode)) {
        s->found = true;
        s->entry->hint_fd = (int)fd;
    }
    return !s->found;
}

bool entry_holds(struct entry *e, uint32_t inode)
{
    for (int fd = e->hint_fd; fd < e->hint_fd + HINT_WINDOW;
         fd++) { /* the same one again, or the next: most clients */
        if (descriptor_is(e, fd, inode)) {
            e->hint_fd = fd;
            return true;
        }
    }
    struct search s = {.entry = e, .inode = inode};
    proc_each_number(e->fdsfd, on_descriptor, &s);
    return s.found;
}

static bool on_thread(void *context, int64_t tid)
{
    struct search *s = context;
    char path[40];
    struct entry thread = {.fdsfd = -1};
    snprintf(path, sizeof path, "task/%" PRId64 "/fd", tid);
    thread.fdsfd = openat(s->entry->dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (thread.fdsfd >= 0) {
        s->found = entry_holds(&thread, s->inode);
        close(thread.fdsfd);
    }
    return !s->found;
}

bool entry_holds_anywhere(struct entry *e, uint32_t inode)
{
    if (entry_holds(e, inode))
        return true;
    struct search s = {.entry = e, .inode = inode};
    int tasks = openat(e->dirfd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (tasks < 0)
        return false;
    proc_each_number(tasks, on_thread, &s);
    close(tasks);
    return s.found;
}
