/* owner.c: who holds socket S now, by /proc/PID/fd.
 *
 * THE FULL LOOK at every process' descriptors finds all holders, at a price of about 25 us a process. It looks into each
 * thread whose descriptor table is its own, too (kcmp tells), and afterwards at the processes born meanwhile.
 *
 * THE SHORT WAY rests on the last full look, taken at T0: it remembers all sockets seen and the process number c0 given out
 * last before it began. Let c1 be the number given out last now. Numbers are given out in rising order. They come round at
 * pid_max; we look at the last one at each question and at each tick, always before a machine could have made that many
 * processes, and never saw it fall: so a process is NEW (born since T0 began) exactly if its number is in (c0, c1].
 *   1. S is not among the sockets seen at T0. Then no old process held S when it was looked at.
 *   2. A process that answered before and is OLD holds S now. Descriptors come by opening, by fork (or clone), and by passing.
 *      Fork gives them only to a new process; so it opened S itself, since T0.
 *   3. Any other holder, passing aside, got S by fork from it (or from a heir) and so is NEW. All new processes are
 *      looked at; what they hold is added.
 * If the holder is itself new, its maker may be an old process which still holds S: a full look, which becomes the next T0.
 * Likewise when S was seen at T0, nobody is found, too many processes are new, T0 is too old, or looking into the new
 * processes has cost as much by now as a full look, after which they are old.
 *
 * NOT SEEN, here or by any use of /proc: descriptors passed between old processes (SCM_RIGHTS, pidfd_getfd) since T0
 * in the short way; descriptors in flight in a Unix socket or registered with io_uring, in both; who called connect()
 * before an exec. Those need cooperation of a process that had the socket: it lends its identity or hides behind its child's.
 * The answer says basis holder_now for that reason. */
#include "agent/linux/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    INODES_MAX = 1 << 20,
    PIDS_MAX = 1 << 18,
    NEW_PIDS_MAX = 32,  /* more: a full look is cheaper than many short ways */
    CANDIDATES_MAX = 8, /* recent processes tried */
    SCAN_AGE_MAX_MS = 30000,
    FORKS_PER_MS_MAX = 100 /* no machine makes processes faster */
};

int64_t owner_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t read_pid_max(int procfd)
{
    char text[32];
    return proc_read_at(procfd, "sys/kernel/pid_max", text, sizeof text) > 0 ? strtoll(text, NULL, 10)
                                                                             : 32768;
}

int owner_init(struct owner *o)
{
    *o = (struct owner){.procfd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                        .loadavgfd = open("/proc/loadavg", O_RDONLY | O_CLOEXEC),
                        .scan = {.last_pid = -1}};
    if (o->procfd < 0 || o->loadavgfd < 0) {
        owner_free(o);
        return -1;
    }
    return 0;
}

void owner_free(struct owner *o)
{
    if (o->procfd >= 0)
        close(o->procfd);
    if (o->loadavgfd >= 0)
        close(o->loadavgfd);
    free(o->scan.inodes);
    *o = (struct owner){.procfd = -1, .loadavgfd = -1};
}

/* ---- one descriptor table ---- */

struct table_walk {
    int fdsfd;
    bool denied; /* the names may be listed, yet not read */
    void (*on_socket)(void *context, uint32_t inode);
    void *context;
};

static bool on_descriptor(void *context, int64_t fd)
{
    struct table_walk *w = context;
    char name[24], link[64];
    snprintf(name, sizeof name, "%" PRId64, fd);
    ssize_t n = proc_link_at(w->fdsfd, name, link, sizeof link);
    uint32_t inode = n > 0 ? proc_socket_inode(link, (size_t)n) : 0;
    if (inode)
        w->on_socket(w->context, inode);
    w->denied = n < 0 && (errno == EACCES || errno == EPERM);
    return !w->denied;
}

/* `path` is "PID/fd" or "PID/task/TID/fd". False when it may not be read. */
static bool walk_table(int procfd, const char *path, void (*on_socket)(void *, uint32_t), void *context)
{
    struct table_walk w = {.on_socket = on_socket, .context = context};
    w.fdsfd = openat(procfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (w.fdsfd < 0)
        return errno != EACCES && errno != EPERM;
    int result = proc_each_number(w.fdsfd, on_descriptor, &w);
    w.denied |= result < 0 && (errno == EACCES || errno == EPERM);
    close(w.fdsfd);
    return !w.denied;
}

struct thread_walk {
    int procfd;
    int64_t pid;
    void (*on_socket)(void *context, uint32_t inode);
    void *context;
};

static bool on_thread(void *context, int64_t tid)
{
    struct thread_walk *w = context;
    if (tid == w->pid || syscall(SYS_kcmp, (pid_t)w->pid, (pid_t)tid, KCMP_FILES, 0, 0) == 0)
        return true; /* the same table */
    char path[64];
    snprintf(path, sizeof path, "%" PRId64 "/task/%" PRId64 "/fd", w->pid, tid);
    walk_table(w->procfd, path, w->on_socket, w->context);
    return true;
}

/* All sockets of a process: of its first thread, and of threads with tables of their own (a first thread that has
 * ended has none). False when it may not be looked into. */
static bool walk_process(int procfd, int64_t pid, void (*on_socket)(void *, uint32_t), void *context)
{
    char path[64];
    struct stat tasks;
    snprintf(path, sizeof path, "%" PRId64 "/fd", pid);
    if (!walk_table(procfd, path, on_socket, context))
        return false;
    snprintf(path, sizeof path, "%" PRId64 "/task", pid);
    if (fstatat(procfd, path, &tasks, 0) != 0 || tasks.st_nlink <= 3) /* ".", "..", one thread */
        return true;
    int tasksfd = openat(procfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (tasksfd < 0)
        return true;
    struct thread_walk w = {.procfd = procfd, .pid = pid, .on_socket = on_socket, .context = context};
    proc_each_number(tasksfd, on_thread, &w);
    close(tasksfd);
    return true;
}

/* ---- the full look ---- */

struct pid_list {
    int64_t *pids; /* owned */
    size_t count, cap, max;
    int64_t above, upto; /* only numbers in (above, upto] */
    bool overflow;
};

static bool on_pid(void *context, int64_t pid)
{
    struct pid_list *l = context;
    if (pid <= l->above || pid > l->upto)
        return pid <= l->upto;
    if (l->count == l->max) {
        l->overflow = true;
        return false;
    }
    if (l->count == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 64;
        int64_t *pids = realloc(l->pids, cap * sizeof *pids);
        if (!pids) {
            l->overflow = true;
            return false;
        }
        l->pids = pids;
        l->cap = cap;
    }
    l->pids[l->count++] = pid;
    return true;
}

struct look {
    struct owner_scan *scan;
    struct owner_question *questions;
    size_t count;
    int64_t pid; /* being looked into */
};

static void add_holder(struct owner_question *q, int64_t pid)
{
    for (size_t i = 0; i < q->holder_count; i++)
        if (q->holders[i] == pid)
            return;
    if (q->holder_count < AGENT_HOLDERS_MAX)
        q->holders[q->holder_count++] = pid;
}

static void remember_inode(struct owner_scan *s, uint32_t inode)
{
    if (s->inode_count == s->inode_cap) {
        size_t cap = s->inode_cap ? s->inode_cap * 2 : 1024;
        uint32_t *inodes = cap <= INODES_MAX ? realloc(s->inodes, cap * sizeof *inodes) : NULL;
        if (!inodes) {
            s->overflow = true;
            return;
        }
        s->inodes = inodes;
        s->inode_cap = cap;
    }
    s->inodes[s->inode_count++] = inode;
}

static void on_socket(void *context, uint32_t inode)
{
    struct look *l = context;
    if (l->scan)
        remember_inode(l->scan, inode);
    for (size_t i = 0; i < l->count; i++)
        if (!l->questions[i].answered && l->questions[i].inode == inode)
            add_holder(&l->questions[i], l->pid);
}

/* A process of the socket's own user that we may not look into could be a holder: real, effective, saved, file uid.
 * Not the host's first process, which may be closed even to root: it is nobody's accomplice. Nor the proxy that asks: it
 * has the connection's other end, and keeps everyone but root from looking into it. */
static void note_denied(int procfd, int64_t pid, struct owner_question *questions, size_t count)
{
    char path[64], text[4096];
    unsigned uid[4] = {0};
    if (pid == 1)
        return;
    snprintf(path, sizeof path, "%" PRId64 "/status", pid);
    const char *line = proc_read_at(procfd, path, text, sizeof text) > 0 ? strstr(text, "\nUid:") : NULL;
    /* NOLINTNEXTLINE(cert-err34-c): the kernel's own numbers */
    bool known = line && sscanf(line, "\nUid: %u %u %u %u", &uid[0], &uid[1], &uid[2], &uid[3]) == 4;
    for (size_t q = 0; q < count; q++)
        for (size_t i = 0; i < 4; i++)
            if (pid != questions[q].proxy && (!known || uid[i] == questions[q].uid))
                questions[q].denied = true;
}

static void look_into(int procfd, struct look *l, const struct pid_list *pids)
{
    for (size_t i = 0; i < pids->count; i++) {
        l->pid = pids->pids[i];
        if (!walk_process(procfd, l->pid, on_socket, l))
            note_denied(procfd, l->pid, l->questions, l->count);
    }
}

static int compare_inodes(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static bool was_seen(const struct owner_scan *s, uint32_t inode)
{
    return s->inode_count && bsearch(&inode, s->inodes, s->inode_count, sizeof inode, compare_inodes);
}

void owner_find_all(struct owner *o, struct owner_question *questions, size_t count)
{
    struct owner_scan *s = &o->scan;
    struct look l = {.scan = s, .questions = questions, .count = count};
    struct pid_list all = {.max = PIDS_MAX, .above = -1, .upto = INT64_MAX};
    int64_t began_ns = cpu_ns();
    o->scans++;
    s->extra_ns = 0;
    s->inode_count = 0;
    s->overflow = false;
    s->taken_ms = s->sampled_ms = owner_now_ms();
    s->last_pid = s->sampled_pid = proc_last_pid(o->loadavgfd);
    s->wrap_ms = read_pid_max(o->procfd) / FORKS_PER_MS_MAX;
    s->offset = 0;
    int listed = proc_each_number_from(o->procfd, &s->offset, s->last_pid, on_pid, &all);
    look_into(o->procfd, &l, &all);
    /* Those born while we looked: a fork of a process already looked at may hold its parent's socket. */
    struct pid_list born = {.max = PIDS_MAX, .above = s->last_pid, .upto = proc_last_pid(o->loadavgfd)};
    off_t from = s->offset;
    proc_each_number_from(o->procfd, &from, s->last_pid, on_pid, &born);
    look_into(o->procfd, &l, &born);
    if (listed < 0 || all.overflow || born.overflow || s->overflow || born.upto < s->last_pid)
        s->last_pid = -1; /* nothing may be concluded from it */
    if (s->inode_count)
        qsort(s->inodes, s->inode_count, sizeof *s->inodes, compare_inodes);
    s->cost_ns = cpu_ns() - began_ns;
    free(all.pids);
    free(born.pids);
}

/* ---- the short way ---- */

/* An old process that answered before and holds the socket. */
static struct entry *find_old_holder(struct process_table *t, int64_t c0, int64_t c1,
                                     struct owner_question *q)
{
    int tried = 0;
    for (struct entry *e = t->first; e && tried < CANDIDATES_MAX; e = e->next) {
        bool born_since = e->pid > c0 && e->pid <= c1;
        if (born_since || e->identity.uid != q->uid)
            continue;
        tried++;
        if (entry_holds(e, q->inode))
            return e;
    }
    return NULL;
}

void owner_sample(struct owner *o)
{
    struct owner_scan *s = &o->scan;
    int64_t pid = proc_last_pid(o->loadavgfd), now = owner_now_ms();
    if (pid < s->sampled_pid || now - s->sampled_ms > s->wrap_ms || now - s->taken_ms > SCAN_AGE_MAX_MS)
        s->last_pid = -1; /* from here on nothing may be concluded from the look */
    s->sampled_pid = pid;
    s->sampled_ms = now;
}

bool owner_find_short(struct owner *o, struct process_table *t, struct owner_question *q)
{
    struct owner_scan *s = &o->scan;
    owner_sample(o);
    int64_t c0 = s->last_pid, c1 = s->sampled_pid;
    if (c0 < 0 || s->extra_ns > s->cost_ns || was_seen(s, q->inode))
        return false;
    struct entry *e = find_old_holder(t, c0, c1, q);
    if (!e)
        return false;
    struct pid_list born = {.max = NEW_PIDS_MAX, .above = c0, .upto = proc_last_pid(o->loadavgfd)};
    off_t from = s->offset;
    if (born.upto < c0 || (born.upto > c0 && proc_each_number_from(o->procfd, &from, c0, on_pid, &born) < 0))
        born.overflow = true;
    bool complete = !born.overflow;
    if (complete) {
        struct look l = {.questions = q, .count = 1};
        int64_t began_ns = born.count ? cpu_ns() : 0;
        add_holder(q, e->pid);
        look_into(o->procfd, &l, &born);
        s->extra_ns += born.count ? cpu_ns() - began_ns : 0;
        q->answered = true;
        process_table_touch(t, e);
        o->short_ways++;
    }
    free(born.pids);
    return complete;
}
