/* exec.c: see exec.h. */
#include "agent/linux/exec.h"

#include "agent/linux/cgroup.h"
#include "agent/linux/describe.h"
#include "agent/linux/proc.h"
#include "agent/linux/rooted.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { STAT_BYTES = 2048, CGROUP_BYTES = 4096 };

int64_t exec_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- by /proc ---- */

static bool read_stat(int procfd, int64_t pid, struct proc_stat *ret)
{
    char name[40], text[STAT_BYTES];
    snprintf(name, sizeof name, "%" PRId64 "/stat", pid);
    ssize_t n = proc_read_at(procfd, name, text, sizeof text);
    return n > 0 && proc_stat_parse(span_of(text, (size_t)n), ret) && ret->state != 'X';
}

/* Does this session's leader lead because the service manager started it? Login shells have a terminal, or another unit;
 * so have the managers of users, which start everything that those do. */
static bool is_service(int procfd, int64_t pid)
{
    static const char suffix[] = ".service";
    char name[40], text[CGROUP_BYTES];
    struct cgroup group;
    snprintf(name, sizeof name, "%" PRId64 "/cgroup", pid);
    ssize_t n = proc_read_at(procfd, name, text, sizeof text);
    if (n <= 0)
        return false;
    cgroup_parse(span_of(text, (size_t)n), &group);
    size_t len = strlen(group.unit), cut = sizeof suffix - 1;
    bool manager = strncmp(group.unit, "user@", 5) == 0 && !strchr(group.unit, '/');
    return len > cut && strcmp(group.unit + len - cut, suffix) == 0 && !manager;
}

void exec_learn(struct history *h, int procfd, int64_t pid)
{
    struct proc_stat s, up = {.start_ticks = 0};
    if (!read_stat(procfd, pid, &s))
        return;
    bool has_parent = s.ppid > 0 && read_stat(procfd, s.ppid, &up);
    struct history_process p = {.id = {pid, s.start_ticks},
                                .parent = {has_parent ? s.ppid : 0, up.start_ticks},
                                .session = s.session,
                                .is_service = s.session == pid && !s.terminal && is_service(procfd, pid),
                                .name = s.name};
    history_tell(h, &p, exec_now_ms());
}

struct learning {
    struct history *history;
    int procfd;
};

static bool on_pid(void *context, int64_t pid)
{
    struct learning *l = context;
    exec_learn(l->history, l->procfd, pid);
    return true;
}

void exec_learn_all(struct history *h, int procfd)
{
    struct learning l = {h, procfd};
    proc_each_number(procfd, on_pid, &l);
}

bool exec_look(int procfd, int64_t pid, struct executed *ret, char path[EXEC_PATH_BYTES],
               char arguments[EXEC_ARGUMENTS_BYTES])
{
    struct proc_stat s;
    struct statx exe;
    uint64_t mounts = 0, root = 0;
    int dirfd = read_stat(procfd, pid, &s) ? proc_open_pid(procfd, pid) : -1;
    if (dirfd < 0)
        return false;
    ssize_t n = proc_link_at(dirfd, "exe", path, EXEC_PATH_BYTES), len = 0;
    bool found = n > 0 && n < EXEC_PATH_BYTES - 1 &&
                 statx(dirfd, "exe", AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &exe) == 0 &&
                 (len = proc_read_at(dirfd, "cmdline", arguments, EXEC_ARGUMENTS_BYTES)) >= 0 &&
                 rooted_identity(pid, &mounts, &root);
    close(dirfd);
    if (!found)
        return false;
    *ret = (struct executed){.id = {pid, s.start_ticks},
                             .path = path,
                             .arguments = span_of(arguments, (size_t)len),
                             .device = (uint64_t)exe.stx_dev_major << 32 | exe.stx_dev_minor,
                             .inode = exe.stx_ino,
                             .size = exe.stx_size,
                             .ctime_ns = exe.stx_ctime.tv_sec * 1000000000 + exe.stx_ctime.tv_nsec,
                             .now_ms = exec_now_ms(),
                             .place = {.mounts = (uint32_t)mounts, .root_inode = root}};
    return true;
}

/* ---- by the kernel's records ---- */

static void fill_executed(const struct exec_record *r, size_t size, char path[EXEC_PATH_BYTES],
                          struct executed *out)
{
    size_t sent = size > offsetof(struct exec_record, path) ? size - offsetof(struct exec_record, path) : 0;
    size_t used = r->path_bytes < sent ? r->path_bytes : sent;
    size_t len = used ? recorded_path_read(r->path, used, path, EXEC_PATH_BYTES) : 0;
    path[len] = 0;
    out->path = path;
    out->arguments = span_of(r->arguments, r->arguments_bytes < sizeof r->arguments ? r->arguments_bytes
                                                                                    : sizeof r->arguments);
    out->device = (uint64_t)(r->device >> 20) << 32 | (r->device & 0xfffff);
    out->inode = r->inode;
    out->size = r->size;
    out->ctime_ns = r->ctime_ns;
    out->place = r->place;
}

bool exec_record_take(struct history *h, int procfd, const void *data, size_t size,
                      struct executed *ret_executed, char path[EXEC_PATH_BYTES])
{
    const struct exec_record *r = data;
    if (size < EXEC_SHORT_BYTES || (r->type == EXEC_EXEC && size < offsetof(struct exec_record, path)))
        return false;
    char name[sizeof r->name + 1] = "";
    memcpy(name, r->name, sizeof r->name);
    struct history_id id = {r->pid, describe_ticks(r->start_ns)};
    int64_t now_ms = (int64_t)(r->now_ns / 1000000);
    if (r->type == EXEC_EXIT) {
        history_end(h, &id, now_ms);
        return false;
    }
    bool leads = r->session == r->pid && !r->has_terminal;
    struct history_process p = {.id = id,
                                .parent = {r->parent, describe_ticks(r->parent_start_ns)},
                                .session = r->session,
                                .is_service = leads && r->type == EXEC_EXEC && is_service(procfd, r->pid),
                                .name = name};
    history_tell(h, &p, now_ms);
    if (r->type != EXEC_EXEC)
        return false;
    *ret_executed = (struct executed){.id = id, .now_ms = now_ms};
    fill_executed(r, size, path, ret_executed);
    return true;
}

#ifdef EXEAT_EXEC_OBJECT

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <sys/mman.h>

/* The compiled program is a part of this one: an object file that lies beside could be another's. */
__asm__(".pushsection .rodata\n"
        ".balign 8\n"
        "exeat_exec_object:\n"
        ".incbin \"" EXEAT_EXEC_OBJECT "\"\n"
        "exeat_exec_object_end:\n"
        ".popsection\n");
extern const char exeat_exec_object[], exeat_exec_object_end[];

enum { PROGRAMS_MAX = 4 };
static const ino_t INIT_PID_NAMESPACE = 0xEFFFFFFC; /* the inode of the first one, fixed by the kernel */

struct exec_watch {
    struct bpf_object *object;            /* owned */
    struct bpf_link *links[PROGRAMS_MAX]; /* owned */
    size_t link_count;
    struct ring_buffer *ring;      /* owned */
    const volatile uint64_t *lost; /* owned mapping of one page: the kernel counts there */
    struct history *history;       /* borrowed until freed */
    int files;                     /* borrowed from the object */
    int procfd;                    /* owned */
    void (*each)(void *context, const struct executed *e);
    void *context; /* borrowed, the caller's */
    unsigned left; /* records of this turn */
};

enum { STOP_TURN = -1 };

/* Its result below 0 ends the turn, after this record. */
static int on_record(void *context, void *data, size_t size)
{
    struct exec_watch *w = context;
    struct executed e;
    char path[EXEC_PATH_BYTES];
    if (w->history && exec_record_take(w->history, w->procfd, data, size, &e, path) && w->each)
        w->each(w->context, &e);
    return --w->left == 0 ? STOP_TURN : 0;
}

static int attach(struct exec_watch *w)
{
    struct bpf_program *program;
    bpf_object__for_each_program(program, w->object)
    {
        if (w->link_count == PROGRAMS_MAX)
            return -E2BIG;
        struct bpf_link *link = bpf_program__attach(program);
        if (!link)
            return -errno;
        w->links[w->link_count++] = link;
    }
    return 0;
}

static int load(struct exec_watch *w)
{
    struct bpf_object_open_opts options = {.sz = sizeof options, .object_name = "exeat_exec"};
    w->object = bpf_object__open_mem(exeat_exec_object, (size_t)(exeat_exec_object_end - exeat_exec_object),
                                     &options);
    if (!w->object)
        return -errno;
    int result = bpf_object__load(w->object);
    if (result != 0)
        return result;
    struct bpf_map *map = bpf_object__find_map_by_name(w->object, "ring");
    struct bpf_map *counts = bpf_object__find_map_by_name(w->object, ".bss");
    void *page =
        counts ? mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ, MAP_SHARED, bpf_map__fd(counts), 0)
               : MAP_FAILED;
    w->lost = page == MAP_FAILED ? NULL : page;
    if (!map || !w->lost)
        return -ENOENT;
    struct bpf_map *files = bpf_object__find_map_by_name(w->object, "files");
    w->files = files ? bpf_map__fd(files) : -1;
    w->ring = ring_buffer__new(bpf_map__fd(map), on_record, w, NULL);
    return w->ring ? attach(w) : -errno;
}

struct exec_watch *exec_watch_new(char why[EXEC_WHY_BYTES])
{
    struct stat st;
    struct exec_watch *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->procfd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = -EXDEV;
    if (w->procfd >= 0 && stat("/proc/self/ns/pid", &st) == 0 && st.st_ino == INIT_PID_NAMESPACE)
        result = load(w);
    if (result == 0)
        return w;
    snprintf(why, EXEC_WHY_BYTES, "history: processes are not followed: %s",
             result == -EXDEV                        ? "inside a pid namespace"
             : result == -EPERM || result == -EACCES ? "CAP_BPF and CAP_PERFMON are needed at the start"
                                                     : strerror(-result));
    exec_watch_free(w);
    return NULL;
}

void exec_watch_free(struct exec_watch *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->link_count; i++)
        bpf_link__destroy(w->links[i]);
    ring_buffer__free(w->ring);
    bpf_object__close(w->object);
    if (w->lost)
        munmap((void *)(uintptr_t)w->lost, (size_t)sysconf(_SC_PAGESIZE));
    if (w->procfd >= 0)
        close(w->procfd);
    free(w);
}

void exec_watch_begin(struct exec_watch *w, struct history *h,
                      void (*each)(void *context, const struct executed *e), void *context)
{
    w->history = h;
    w->each = each;
    w->context = context;
    exec_learn_all(h, w->procfd);
}

int exec_watch_fd(const struct exec_watch *w)
{
    return ring_buffer__epoll_fd(w->ring);
}

bool exec_watch_turn(struct exec_watch *w, unsigned max)
{
    w->left = max;
    return ring_buffer__consume(w->ring) == STOP_TURN;
}

void exec_watch_say(struct exec_watch *w, uint64_t device, uint64_t inode, enum exec_said said)
{
    struct exec_file key = {.inode = inode, .device = (uint32_t)(device >> 32 << 20 | (device & 0xfffff))};
    uint8_t value = (uint8_t)said;
    bpf_map_update_elem(w->files, &key, &value, said == EXEC_SAID_URGENT ? BPF_ANY : BPF_NOEXIST);
}

uint64_t exec_watch_lost(const struct exec_watch *w)
{
    return *w->lost;
}

#else /* built without libbpf: there is never one */

struct exec_watch *exec_watch_new(char why[EXEC_WHY_BYTES])
{
    snprintf(why, EXEC_WHY_BYTES, "history: processes are not followed: this agent was built without BPF");
    return NULL;
}

void exec_watch_free(struct exec_watch *w)
{
    (void)w;
}

void exec_watch_begin(struct exec_watch *w, struct history *h,
                      void (*each)(void *context, const struct executed *e), void *context)
{
    (void)w, (void)h, (void)each, (void)context;
}

int exec_watch_fd(const struct exec_watch *w)
{
    return w ? 0 : -1;
}

bool exec_watch_turn(struct exec_watch *w, unsigned max)
{
    return w && max == 0;
}

void exec_watch_say(struct exec_watch *w, uint64_t device, uint64_t inode, enum exec_said said)
{
    (void)w, (void)device, (void)inode, (void)said;
}

uint64_t exec_watch_lost(const struct exec_watch *w)
{
    return w != NULL;
}

#endif
