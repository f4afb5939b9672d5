/* libraries.c: see libraries.h. */
#include "agent/linux/libraries.h"

#include "agent/crypto_names.h"
#include "agent/linux/exec.h"
#include "agent/linux/files.h"
#include "agent/linux/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum {
    CPUS_MAX = 512,
    RING_PAGES = 32, /* a power of two */
    NOTE_BYTES_MAX = 4096 + 128,
    MAPS_BYTES = 256 * 1024,
    BLOCK_BYTES = 1024 * 1024
};
static const off_t SCAN_BYTES_MAX = 512 * 1024 * 1024;

struct cpu_ring {
    int fd;                            /* owned */
    struct perf_event_mmap_page *page; /* owned mapping; the data follow */
};

struct library_watch {
    struct cpu_ring rings[CPUS_MAX];
    size_t count, page_bytes, next; /* next: where the following turn begins */
    uint64_t lost;
};

/* ---- what a note says ---- */

static void see_family(struct history *h, int64_t pid, const struct crypto_name *n, const char *path)
{
    struct history_seen seen = {
        .kind = AGENT_HISTORY_TLS_LIBRARY, .class_name = n->family, .path = path, .bytes = -1};
    if (n->is_tls)
        history_see(h, pid, &seen, exec_now_ms());
    seen.kind = AGENT_HISTORY_CRYPTO_LIBRARY;
    if (n->is_cipher)
        history_see(h, pid, &seen, exec_now_ms());
}

void library_see(struct history *h, int64_t pid, const char *path)
{
    struct crypto_name n = crypto_name_of(path);
    if (n.family)
        see_family(h, pid, &n, path);
}

/* PERF_RECORD_MMAP2 as perf_event_open(2) has it; the file's name follows. */
struct mmap2_note {
    struct perf_event_header header;
    uint32_t pid, tid;
    uint64_t address, length, offset;
    uint32_t major, minor;
    uint64_t inode, generation;
    uint32_t prot, flags;
};

struct lost_note {
    struct perf_event_header header;
    uint64_t id, lost;
};

uint64_t library_note_take(struct history *h, struct span note)
{
    struct mmap2_note mapped;
    struct lost_note lost;
    char path[NOTE_BYTES_MAX];
    if (note.len < sizeof mapped.header)
        return 0;
    memcpy(&mapped.header, note.data, sizeof mapped.header);
    if (mapped.header.type == PERF_RECORD_LOST && note.len >= sizeof lost) {
        memcpy(&lost, note.data, sizeof lost);
        return lost.lost;
    }
    if (mapped.header.type != PERF_RECORD_MMAP2 || note.len <= sizeof mapped || note.len >= sizeof path)
        return 0;
    memcpy(&mapped, note.data, sizeof mapped);
    struct span name = span_from(note, sizeof mapped);
    memcpy(path, name.data, name.len);
    path[name.len] = 0;
    if (path[0] == '/' && path[1] != '/') /* "//anon" is none */
        library_see(h, mapped.pid, path);
    return 0;
}

/* ---- the rings ---- */

static int open_cpu(int cpu)
{
    struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE,
                                   .size = sizeof attr,
                                   .config = PERF_COUNT_SW_DUMMY,
                                   .mmap = 1,
                                   .mmap2 = 1,
                                   .exclude_kernel = 1,
                                   .watermark = 1,
                                   .wakeup_watermark = RING_PAGES * 4096 / 2};
    return (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

static int add_cpu(struct library_watch *w, int cpu)
{
    struct cpu_ring *r = &w->rings[w->count];
    r->fd = open_cpu(cpu);
    if (r->fd < 0)
        return errno == ENODEV ? 0 : -1; /* that CPU is off */
    r->page = mmap(NULL, (RING_PAGES + 1) * w->page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
    if (r->page == MAP_FAILED) {
        close(r->fd);
        return -1;
    }
    w->count++;
    return 0;
}

struct library_watch *library_watch_new(char why[LIBRARIES_WHY_BYTES])
{
    struct library_watch *w = calloc(1, sizeof *w);
    long cpus = sysconf(_SC_NPROCESSORS_CONF);
    if (!w)
        return NULL;
    w->page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    int result = 0;
    for (int i = 0; i < cpus && i < CPUS_MAX && result == 0; i++)
        result = add_cpu(w, i);
    if (result == 0 && w->count > 0)
        return w;
    snprintf(why, LIBRARIES_WHY_BYTES,
             "history: libraries are seen only when a sender is asked about again: %s",
             errno == EPERM || errno == EACCES ? "CAP_PERFMON is needed at the start" : strerror(errno));
    library_watch_free(w);
    return NULL;
}

void library_watch_free(struct library_watch *w)
{
    for (size_t i = 0; w && i < w->count; i++) {
        munmap(w->rings[i].page, (RING_PAGES + 1) * w->page_bytes);
        close(w->rings[i].fd);
    }
    free(w);
}

size_t library_watch_fd_count(const struct library_watch *w)
{
    return w->count;
}

int library_watch_fd(const struct library_watch *w, size_t i)
{
    return w->rings[i].fd;
}

uint64_t library_watch_lost(const struct library_watch *w)
{
    return w->lost;
}

static void copy_out(const uint8_t *data, size_t size, uint64_t at, void *out, size_t len)
{
    size_t offset = (size_t)(at % size), first = len < size - offset ? len : size - offset;
    memcpy(out, data + offset, first);
    memcpy((uint8_t *)out + first, data, len - first);
}

/* Takes up to `max` notes; the count. */
static unsigned drain(struct library_watch *w, struct cpu_ring *r, struct history *h, unsigned max)
{
    uint8_t note[NOTE_BYTES_MAX];
    struct perf_event_header header;
    const uint8_t *data = (const uint8_t *)r->page + w->page_bytes;
    size_t size = RING_PAGES * w->page_bytes;
    uint64_t head = __atomic_load_n(&r->page->data_head, __ATOMIC_ACQUIRE), tail = r->page->data_tail;
    unsigned count = 0;
    while (count < max && tail < head) {
        copy_out(data, size, tail, &header, sizeof header);
        if (header.size < sizeof header)
            break; /* cannot be */
        size_t len = header.size < sizeof note ? header.size : 0;
        copy_out(data, size, tail, note, len);
        w->lost += library_note_take(h, span_of(note, len));
        tail += header.size;
        count++;
    }
    __atomic_store_n(&r->page->data_tail, tail, __ATOMIC_RELEASE);
    return count;
}

bool library_watch_turn(struct library_watch *w, struct history *h, unsigned max)
{
    unsigned left = max;
    for (size_t i = 0; i < w->count && left > 0; i++)
        left -= drain(w, &w->rings[(w->next + i) % w->count], h, left);
    w->next++; /* no CPU is always the last */
    return left == 0;
}

/* ---- what is mapped now ---- */

/* "address perms offset dev inode   path" */
static void take_line(struct history *h, int64_t pid, struct span line)
{
    char path[NOTE_BYTES_MAX];
    const uint8_t *slash = line.len ? memchr(line.data, '/', line.len) : NULL;
    const uint8_t *perms = line.len ? memchr(line.data, ' ', line.len) : NULL;
    if (!slash || !perms || perms + 4 >= slash || perms[3] != 'x')
        return;
    size_t len = (size_t)(line.data + line.len - slash);
    if (len >= sizeof path)
        return;
    memcpy(path, slash, len);
    path[len] = 0;
    library_see(h, pid, path);
}

void library_maps_take(struct history *h, int64_t pid, struct span maps)
{
    while (maps.len > 0) {
        const uint8_t *end = memchr(maps.data, '\n', maps.len);
        struct span line = span_of(maps.data, end ? (size_t)(end - maps.data) : maps.len);
        take_line(h, pid, line);
        maps = span_from(maps, line.len + 1);
    }
}

void library_look(struct history *h, int procfd, int64_t pid)
{
    char name[40], *text = malloc(MAPS_BYTES);
    snprintf(name, sizeof name, "%" PRId64 "/maps", pid);
    ssize_t n = text ? proc_read_at(procfd, name, text, MAPS_BYTES) : -1;
    if (n > 0)
        library_maps_take(h, pid, span_of(text, (size_t)n));
    free(text);
}

/* ---- what is inside ---- */

static const char *scan(int fd)
{
    uint8_t *block = malloc(BLOCK_BYTES);
    const char *family = NULL;
    off_t at = 0;
    while (block && !family && at < SCAN_BYTES_MAX) {
        ssize_t n = pread(fd, block, BLOCK_BYTES, at);
        if (n <= 0)
            break;
        family = crypto_mark_in(span_of(block, (size_t)n));
        if (n < BLOCK_BYTES)
            break;
        at += n - CRYPTO_MARK_BYTES;
    }
    free(block);
    return family;
}

/* A descriptor of O_PATH on the job's file, -1 when something else is there. */
static int open_job(int dirfd, const char *path, const struct history_scan *job)
{
    struct stat st;
    int fd = openat(dirfd, path, O_PATH | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_ino == job->inode &&
        ((uint64_t)major(st.st_dev) << 32 | minor(st.st_dev)) == job->device &&
        (uint64_t)st.st_size == job->size && file_is_local(fd))
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

void library_scan(int procfd, struct history_scan *job)
{
    char name[40];
    snprintf(name, sizeof name, "%" PRId64 "/exe", job->pid);
    int fd = open_job(procfd, name, job);
    if (fd < 0 && job->path[0])
        fd = open_job(AT_FDCWD, job->path, job);
    if (fd < 0)
        return;
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    int file = open(name, O_RDONLY | O_CLOEXEC);
    if (file >= 0) {
        job->family = scan(file);
        job->looked = true;
        close(file);
    }
    close(fd);
}
