/* keys.c: see keys.h. */
#include "agent/linux/keys.h"

#include "agent/crypto_names.h"
#include "agent/linux/keys_record.h"

#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *library, *function;
    enum agent_history_kind kind;
} calls[] = {
#define KEY_CALL(library, function, kind) {library, function, AGENT_HISTORY_##kind},
#include "agent/linux/key_calls.def"
#undef KEY_CALL
};

enum { CALLS = sizeof calls / sizeof calls[0] };

void key_record_take(struct history *h, const void *data, size_t size)
{
    struct keys_record r;
    char name[KEYS_NAME_BYTES + 1] = "";
    if (size < sizeof r)
        return;
    memcpy(&r, data, sizeof r);
    memcpy(name, r.name, sizeof r.name);
    if (r.call >= CALLS || crypto_name_of(name).family)
        return;
    struct history_seen seen = {.kind = calls[r.call].kind,
                                .class_name = calls[r.call].function,
                                .path = r.has_file ? name : "[no file]", /* code made at run time */
                                .bytes = -1,
                                .times = r.count};
    history_see(h, r.caller.pid, &seen, (int64_t)(r.now_ns / 1000000));
}

void key_library_patterns(void (*each)(void *context, const char *pattern), void *context)
{
    static const char *const folders[] = {"/usr/lib/*-linux-gnu", "/usr/lib64",      "/usr/lib", "/lib",
                                          "/usr/local/lib",       "/usr/local/lib64"};
    static const char *const names[] = {"libcrypto.so.*", "libgnutls.so.*", "libnss3.so", "libgcrypt.so.*"};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
            char text[64];
            snprintf(text, sizeof text, "%s/%s", folders[i], names[k]);
            each(context, text);
        }
    }
}

#ifdef EXEAT_KEYS_OBJECT

#include "agent/linux/elf_symbols.h"
#include "agent/linux/rooted.h"
#include "base/log.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

__asm__(".pushsection .rodata\n"
        ".balign 8\n"
        "exeat_keys_object:\n"
        ".incbin \"" EXEAT_KEYS_OBJECT "\"\n"
        "exeat_keys_object_end:\n"
        ".popsection\n");
extern const char exeat_keys_object[], exeat_keys_object_end[];

enum {
    LIBRARIES_MAX = 64,
    OWN_MAX = 16, /* of them our own; the others are containers' */
    PATH_BYTES = 256,
    LIBRARY_BYTES_MAX = 32 << 20,
    LINKS_A_SECOND = 16
};

/* Newer than the headers of Debian 12 (Linux 6.6). */
enum { TRACE_UPROBE_MULTI = 48 };

struct link_create_multi {
    uint32_t prog_fd, target_fd, attach_type, flags;
    uint64_t path, offsets, counters, cookies;
    uint32_t count, multi_flags, pid, pad;
};

struct library {
    char path[PATH_BYTES]; /* as it is seen where it lies */
    uint64_t mounts;       /* the container's mount namespace; 0: ours */
    uint64_t added;        /* the count of all then */
    dev_t device;
    ino_t inode;
    uint64_t offsets[CALLS], cookies[CALLS];
    uint32_t count;
};

struct key_watch {
    struct bpf_object *object;     /* owned */
    int program;                   /* borrowed from the object */
    struct ring_buffer *ring;      /* owned */
    const volatile uint64_t *lost; /* owned mapping of one page */
    struct library libraries[LIBRARIES_MAX];
    size_t library_count; /* of them, some may be empty: without offsets */
    uint64_t added;
    struct watched {
        int64_t pid;
        uint64_t mounts;
        int links[LIBRARIES_MAX]; /* owned; -1: none */
    } watched[KEYS_LINKS_MAX];    /* of SEEN; ALL has one, with pid 0 */
    size_t next;
    bool seen_only;
    time_t second;
    unsigned links_this_second;
    struct history *history; /* borrowed for a turn */
    unsigned left;
};

enum { STOP_TURN = -1 };

static int on_record(void *context, void *data, size_t size)
{
    struct key_watch *w = context;
    if (w->history)
        key_record_take(w->history, data, size);
    return --w->left == 0 ? STOP_TURN : 0;
}

/* ---- libraries ---- */

static void on_symbol(void *context, const char *name, uint64_t offset)
{
    struct library *l = context;
    const char *slash = strrchr(l->path, '/');
    for (uint64_t i = 0; i < CALLS && l->count < CALLS; i++) {
        size_t len = strlen(calls[i].library);
        if (strcmp(calls[i].function, name) != 0 || strncmp(slash + 1, calls[i].library, len) != 0)
            continue;
        for (uint32_t k = 0; k < l->count; k++)
            if (l->offsets[k] == offset) /* two names of one function */
                return;
        l->offsets[l->count] = offset;
        l->cookies[l->count++] = i;
    }
}

/* Reads what the descriptor is open on (not by mapping it: who can shorten the file could end us). False: nothing in it is to be watched. */
static bool read_library(struct library *l, int fd, size_t size)
{
    uint8_t *bytes = size <= LIBRARY_BYTES_MAX ? malloc(size) : NULL;
    ssize_t n = bytes ? pread(fd, bytes, size, 0) : -1;
    l->count = 0;
    if (n > 0)
        elf_symbols_each(span_of(bytes, (size_t)n), on_symbol, l);
    free(bytes);
    return l->count > 0;
}

static bool is_known(const struct key_watch *w, const struct stat *st)
{
    for (size_t i = 0; i < w->library_count; i++)
        if (w->libraries[i].count > 0 && w->libraries[i].inode == st->st_ino &&
            w->libraries[i].device == st->st_dev)
            return true;
    return false;
}

static void add_library(struct key_watch *w, const char *path)
{
    struct stat st;
    struct library *l = &w->libraries[w->library_count];
    int fd = w->library_count < OWN_MAX && strlen(path) < PATH_BYTES ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 && !is_known(w, &st)) {
        *l = (struct library){.device = st.st_dev, .inode = st.st_ino};
        memcpy(l->path, path, strlen(path) + 1);
        w->library_count += read_library(l, fd, (size_t)st.st_size);
    }
    close(fd);
}

static void find_own(void *context, const char *pattern)
{
    glob_t found = {.gl_pathc = 0};
    if (glob(pattern, 0, NULL, &found) == 0)
        for (size_t n = 0; n < found.gl_pathc; n++)
            add_library(context, found.gl_pathv[n]);
    globfree(&found);
}

/* ---- links ---- */

/* `pid` 0: every process. A descriptor, or -1. */
static int link_path(const struct key_watch *w, const struct library *l, const char *path, int64_t pid)
{
    struct link_create_multi a = {.prog_fd = (uint32_t)w->program,
                                  .attach_type = TRACE_UPROBE_MULTI,
                                  .path = (uint64_t)(uintptr_t)path,
                                  .offsets = (uint64_t)(uintptr_t)l->offsets,
                                  .cookies = (uint64_t)(uintptr_t)l->cookies,
                                  .count = l->count,
                                  .pid = (uint32_t)pid};
    return (int)syscall(SYS_bpf, BPF_LINK_CREATE, &a, sizeof a);
}

/* A container's: by the file that it is, whatever lies at its path by now. `in`: a process there. */
static int link_within(const struct key_watch *w, const struct library *l, int64_t in, int64_t pid)
{
    struct rooted root;
    struct stat st;
    char path[40];
    if (!rooted_open(in, &root))
        return -1;
    int fd = rooted_at(&root, l->path), result = -1;
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == l->device && st.st_ino == l->inode) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        result = link_path(w, l, path, pid);
    }
    if (fd >= 0)
        close(fd);
    rooted_close(&root);
    return result;
}

/* `mounts`: those of the process. */
static int link_library(const struct key_watch *w, const struct library *l, int64_t pid, uint64_t mounts)
{
    if (l->count == 0 || (l->mounts != 0 && l->mounts != mounts))
        return -1;
    return l->mounts == 0 ? link_path(w, l, l->path, pid) : link_within(w, l, pid, pid);
}

static void unlink_all(struct watched *p)
{
    for (size_t i = 0; i < LIBRARIES_MAX; i++) {
        if (p->links[i] >= 0)
            close(p->links[i]);
        p->links[i] = -1;
    }
    p->pid = -1;
}

/* How many libraries are watched. */
static size_t link_all(struct key_watch *w, struct watched *p, int64_t pid)
{
    size_t count = 0;
    uint64_t root;
    unlink_all(p);
    p->pid = pid;
    p->mounts = 0;
    rooted_identity(pid, &p->mounts, &root);
    for (size_t i = 0; i < w->library_count; i++) {
        p->links[i] = link_library(w, &w->libraries[i], pid, p->mounts);
        count += p->links[i] >= 0;
    }
    return count;
}

/* Finding the libraries' users costs the kernel a while each time: of a crowd of short-lived ones some are watched. */
static bool may_link(struct key_watch *w)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    w->links_this_second = now.tv_sec == w->second ? w->links_this_second + 1 : 0;
    w->second = now.tv_sec;
    return w->links_this_second < LINKS_A_SECOND;
}

void key_watch_process(struct key_watch *w, int64_t pid)
{
    if (!w->seen_only || !may_link(w))
        return;
    for (size_t i = 0; i < KEYS_LINKS_MAX; i++)
        if (w->watched[i].pid == pid)
            return;
    if (link_all(w, &w->watched[w->next], pid) == 0)
        log_debug("history", "calls of process %lld cannot be watched: %s", (long long)pid, strerror(errno));
    w->next = (w->next + 1) % KEYS_LINKS_MAX;
}

/* ---- containers ---- */

static void drop_library(struct key_watch *w, size_t i)
{
    for (size_t k = 0; k < KEYS_LINKS_MAX; k++) {
        if (w->watched[k].links[i] >= 0)
            close(w->watched[k].links[i]);
        w->watched[k].links[i] = -1;
    }
    w->libraries[i] = (struct library){.count = 0};
}

/* An empty place, or the one of the container's library that was added longest ago. */
static size_t place_of_library(struct key_watch *w)
{
    size_t oldest = LIBRARIES_MAX;
    if (w->library_count < LIBRARIES_MAX)
        return w->library_count++;
    for (size_t i = 0; i < LIBRARIES_MAX; i++) {
        const struct library *l = &w->libraries[i];
        if (l->count == 0)
            return i;
        if (l->mounts != 0 && (oldest == LIBRARIES_MAX || l->added < w->libraries[oldest].added))
            oldest = i;
    }
    drop_library(w, oldest); /* ours are OWN_MAX at most */
    return oldest;
}

static void take_library(struct key_watch *w, const struct library *l, int64_t pid)
{
    size_t i = place_of_library(w);
    w->libraries[i] = *l;
    w->libraries[i].added = ++w->added;
    if (!w->seen_only)
        w->watched[0].links[i] = link_within(w, l, pid, 0);
    for (size_t k = 0; w->seen_only && k < KEYS_LINKS_MAX; k++)
        if (w->watched[k].pid > 0 && w->watched[k].mounts == l->mounts)
            w->watched[k].links[i] = link_within(w, l, w->watched[k].pid, w->watched[k].pid);
}

void key_watch_add(struct key_watch *w, int64_t pid, uint64_t mounts, const char *path)
{
    struct rooted root;
    struct stat st;
    struct library l = {.mounts = mounts};
    char link[40];
    if (strlen(path) >= sizeof l.path || !rooted_open(pid, &root))
        return;
    int fd = root.mounts == mounts ? rooted_at(&root, path) : -1, file = -1;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 && !is_known(w, &st))
        file = open(link, O_RDONLY | O_CLOEXEC);
    if (file >= 0) {
        memcpy(l.path, path, strlen(path) + 1);
        l.device = st.st_dev;
        l.inode = st.st_ino;
        if (read_library(&l, file, (size_t)st.st_size))
            take_library(w, &l, pid);
        close(file);
    }
    if (fd >= 0)
        close(fd);
    rooted_close(&root);
}

void key_watch_forget(struct key_watch *w, bool (*has_processes)(void *context, uint64_t mounts),
                      void *context)
{
    for (size_t i = 0; i < w->library_count; i++)
        if (w->libraries[i].mounts != 0 && !has_processes(context, w->libraries[i].mounts))
            drop_library(w, i);
}

/* ---- begin and end ---- */

static int load(struct key_watch *w)
{
    struct bpf_object_open_opts options = {.sz = sizeof options, .object_name = "exeat_keys"};
    w->object = bpf_object__open_mem(exeat_keys_object, (size_t)(exeat_keys_object_end - exeat_keys_object),
                                     &options);
    struct bpf_program *program = w->object ? bpf_object__find_program_by_name(w->object, "on_call") : NULL;
    if (!program)
        return -EINVAL;
    bpf_program__set_expected_attach_type(program, (enum bpf_attach_type)TRACE_UPROBE_MULTI);
    int result = bpf_object__load(w->object);
    if (result != 0)
        return result;
    struct bpf_map *map = bpf_object__find_map_by_name(w->object, "ring");
    struct bpf_map *counts = bpf_object__find_map_by_name(w->object, ".bss");
    void *page =
        counts ? mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ, MAP_SHARED, bpf_map__fd(counts), 0)
               : MAP_FAILED;
    w->lost = page == MAP_FAILED ? NULL : page;
    w->program = bpf_program__fd(program);
    w->ring = map && w->lost ? ring_buffer__new(bpf_map__fd(map), on_record, w, NULL) : NULL;
    return w->ring ? 0 : -ENOENT;
}

struct key_watch *key_watch_new(enum history_keys whose, char why[KEYS_WHY_BYTES])
{
    struct key_watch *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    for (size_t i = 0; i < KEYS_LINKS_MAX; i++) {
        memset(w->watched[i].links, -1, sizeof w->watched[i].links);
        w->watched[i].pid = -1;
    }
    w->seen_only = whose == HISTORY_KEYS_SEEN;
    key_library_patterns(find_own, w);
    int result = w->library_count ? load(w) : -ENOENT;
    if (result == 0 &&
        link_all(w, &w->watched[0], w->seen_only ? getpid() : 0) == 0) /* SEEN: does it work at all? */
        result = -errno;
    if (result == 0)
        return w;
    snprintf(why, KEYS_WHY_BYTES, "history: the use of keys is not watched: %s",
             result == -ENOENT                       ? "no library was found"
             : result == -EPERM || result == -EACCES ? "CAP_BPF and CAP_PERFMON are needed at the start"
             : result == -EINVAL                     ? "this kernel does not take it (Linux 6.6 is needed)"
                                                     : strerror(-result));
    key_watch_free(w);
    return NULL;
}

void key_watch_free(struct key_watch *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < KEYS_LINKS_MAX; i++)
        unlink_all(&w->watched[i]);
    ring_buffer__free(w->ring);
    bpf_object__close(w->object);
    if (w->lost)
        munmap((void *)(uintptr_t)w->lost, (size_t)sysconf(_SC_PAGESIZE));
    free(w);
}

int key_watch_fd(const struct key_watch *w)
{
    return ring_buffer__epoll_fd(w->ring);
}

bool key_watch_turn(struct key_watch *w, struct history *h, unsigned max)
{
    w->history = h;
    w->left = max;
    bool more = ring_buffer__consume(w->ring) == STOP_TURN;
    w->history = NULL;
    return more;
}

uint64_t key_watch_lost(const struct key_watch *w)
{
    return *w->lost;
}

#else /* built without libbpf, or for a processor whose registers keys.bpf.c does not know: there is never one */

struct key_watch *key_watch_new(enum history_keys whose, char why[KEYS_WHY_BYTES])
{
    (void)whose;
    snprintf(why, KEYS_WHY_BYTES, "history: the use of keys is not watched: this agent was built without it");
    return NULL;
}

void key_watch_free(struct key_watch *w)
{
    (void)w;
}

int key_watch_fd(const struct key_watch *w)
{
    return w ? 0 : -1;
}

bool key_watch_turn(struct key_watch *w, struct history *h, unsigned max)
{
    return w && h && max == 0;
}

uint64_t key_watch_lost(const struct key_watch *w)
{
    return w != NULL;
}

void key_watch_process(struct key_watch *w, int64_t pid)
{
    (void)w, (void)pid;
}

void key_watch_add(struct key_watch *w, int64_t pid, uint64_t mounts, const char *path)
{
    (void)w, (void)pid, (void)mounts, (void)path;
}

void key_watch_forget(struct key_watch *w, bool (*has_processes)(void *context, uint64_t mounts),
                      void *context)
{
    (void)w, (void)has_processes, (void)context;
}

#endif
