/* bypass.c: see bypass.h. */
#include "agent/linux/bypass.h"

#include "agent/linux/bypass_record.h"
#include "agent/linux/proc.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifdef EXEAT_BYPASS_OBJECT

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

/* The compiled program is a part of this one, as exec.c's. */
__asm__(".pushsection .rodata\n"
        ".balign 8\n"
        "exeat_bypass_object:\n"
        ".incbin \"" EXEAT_BYPASS_OBJECT "\"\n"
        "exeat_bypass_object_end:\n"
        ".popsection\n");
extern const char exeat_bypass_object[], exeat_bypass_object_end[];

enum {
    PROGRAMS_MAX = 4,
    RUNNERS_MAX = 1024,
    DRAIN_MAX = BYPASS_KEYS_MAX,
    SAID_MAX = 8,
    CGROUP2 = 0x63677270
};

/* What a process runs, looked up as soon as it was told: it may be gone when the counts are read. */
struct runner {
    uint32_t pid;
    char executable[AROUND_PATH_BYTES];
};

struct bypass {
    struct bpf_object *object;            /* owned */
    struct bpf_link *links[PROGRAMS_MAX]; /* owned */
    size_t link_count;
    struct ring_buffer *ring;           /* owned */
    int counts, proxies;                /* borrowed from the object */
    int procfd;                         /* owned */
    struct runner runners[RUNNERS_MAX]; /* by number */
    struct agent_around sum;
    unsigned said; /* in this round */
};

static int on_new(void *context, void *data, size_t size)
{
    struct bypass *b = context;
    struct bypass_key key;
    char path[AROUND_PATH_BYTES];
    if (size < sizeof key)
        return 0;
    memcpy(&key, data, sizeof key);
    struct runner *r = &b->runners[key.pid % RUNNERS_MAX];
    int dirfd = proc_open_pid(b->procfd, key.pid);
    ssize_t n = dirfd < 0 ? -1 : proc_link_at(dirfd, "exe", path, sizeof path);
    if (dirfd >= 0)
        close(dirfd);
    r->pid = key.pid;
    snprintf(r->executable, sizeof r->executable, "%s", n > 0 ? path : "");
    return 0;
}

/* ---- begin and end ---- */

static int open_cgroups(void)
{
    static const char *const places[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
    for (size_t i = 0; i < 2; i++) {
        struct statfs fs;
        if (statfs(places[i], &fs) == 0 && fs.f_type == CGROUP2)
            return open(places[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    errno = ENOENT;
    return -1;
}

static int attach(struct bypass *b)
{
    struct bpf_program *program;
    int fd = open_cgroups(), result = fd < 0 ? -ENOTSUP : 0;
    bpf_object__for_each_program(program, b->object)
    {
        struct bpf_link *link = result ? NULL : bpf_program__attach_cgroup(program, fd);
        if (!link && !result)
            result = -errno;
        if (link)
            b->links[b->link_count++] = link;
    }
    if (fd >= 0)
        close(fd);
    return result;
}

static int load(struct bypass *b)
{
    struct bpf_object_open_opts options = {.sz = sizeof options, .object_name = "exeat_bypass"};
    b->object = bpf_object__open_mem(exeat_bypass_object,
                                     (size_t)(exeat_bypass_object_end - exeat_bypass_object), &options);
    int result = b->object ? bpf_object__load(b->object) : -errno;
    if (result != 0)
        return result;
    int ring = bpf_object__find_map_fd_by_name(b->object, "ring");
    b->counts = bpf_object__find_map_fd_by_name(b->object, "counts");
    b->proxies = bpf_object__find_map_fd_by_name(b->object, "proxies");
    b->ring = ring < 0 ? NULL : ring_buffer__new(ring, on_new, b, NULL);
    return b->ring && b->counts >= 0 && b->proxies >= 0 ? attach(b) : -ENOENT;
}

struct bypass *bypass_new(char why[AROUND_WHY_BYTES])
{
    struct bypass *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->procfd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = load(b);
    if (result == 0)
        return b;
    snprintf(why, AROUND_WHY_BYTES, "what goes around the proxy is not seen: %s",
             result == -ENOTSUP ? "no cgroup2 file system"
             : result == -EPERM || result == -EACCES
                 ? "CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN are needed at the start"
                 : strerror(-result));
    bypass_free(b);
    return NULL;
}

void bypass_free(struct bypass *b)
{
    if (!b)
        return;
    for (size_t i = 0; i < b->link_count; i++)
        bpf_link__destroy(b->links[i]);
    ring_buffer__free(b->ring);
    bpf_object__close(b->object);
    if (b->procfd >= 0)
        close(b->procfd);
    free(b);
}

int bypass_fd(const struct bypass *b)
{
    return ring_buffer__epoll_fd(b->ring);
}

void bypass_take_in(struct bypass *b)
{
    ring_buffer__consume(b->ring);
}

void bypass_except(struct bypass *b, int64_t pid, bool is_proxy)
{
    uint32_t key = (uint32_t)pid;
    uint8_t yes = 1;
    if (pid > 0 && is_proxy)
        bpf_map_update_elem(b->proxies, &key, &yes, BPF_ANY);
    else if (pid > 0)
        bpf_map_delete_elem(b->proxies, &key);
}

/* ---- adding up ---- */

/* The sender's place, moved to the front; the one that was seen longest ago gives way. */
static struct around_sender *place_of(struct agent_around *a, const struct around_sender *s)
{
    size_t at = 0;
    while (at < a->sender_count && !(a->senders[at].uid == s->uid && a->senders[at].udp == s->udp &&
                                     strcmp(a->senders[at].executable, s->executable) == 0 &&
                                     (s->executable[0] || strcmp(a->senders[at].name, s->name) == 0)))
        at++;
    if (at == a->sender_count && at < AROUND_SENDERS_MAX)
        a->senders[a->sender_count++] = (struct around_sender){.count = 0};
    else if (at == a->sender_count)
        a->senders[--at] = (struct around_sender){.count = 0};
    struct around_sender found = a->senders[at];
    memmove(a->senders + 1, a->senders, at * sizeof *a->senders);
    a->senders[0] = found;
    return &a->senders[0];
}

static void say(struct bypass *b, const struct around_sender *s)
{
    if (++b->said > SAID_MAX) /* whoever wants to drown it in names stands in the sum */
        return;
    char place[ENDPOINT_TEXT_BYTES];
    log_warning("around", "%s (%s, pid %" PRId64 ", uid %" PRId64 ") goes around the proxy: %s to %s",
                s->executable[0] ? s->executable : "a program that is gone", s->name, s->pid, s->uid,
                s->udp ? "udp" : "tcp", endpoint_format(&s->last, place));
}

static void add(struct bypass *b, const struct bypass_key *key, const struct bypass_count *count,
                int64_t wall_ms)
{
    struct agent_around *a = &b->sum;
    const struct runner *r = &b->runners[key->pid % RUNNERS_MAX];
    struct around_sender s = {
        .pid = key->pid, .uid = key->uid, .last_ms = wall_ms, .udp = key->transport != 6};
    s.last = (struct endpoint){.ip = {.version = key->version}, .port = key->port};
    memcpy(s.last.ip.bytes, key->address, key->version == 4 ? 4 : 16);
    if (ip_special_range(&s.last.ip))
        return; /* no place outside */
    snprintf(s.name, sizeof s.name, "%.16s", count->name);
    if (r->pid == key->pid)
        snprintf(s.executable, sizeof s.executable, "%s", r->executable);
    struct around_sender *place = place_of(a, &s);
    s.count = place->count + count->count;
    if (place->count == 0)
        say(b, &s);
    *place = s;
    *(s.udp ? &a->udp : &a->tcp) += count->count;
}

bool bypass_sum_up(struct bypass *b, struct agent_around *ret, int64_t wall_ms)
{
    struct bypass_key key, next;
    struct bypass_count count;
    uint64_t before = b->sum.tcp + b->sum.udp;
    bypass_take_in(b);
    b->said = 0;
    for (int i = 0; i < DRAIN_MAX && bpf_map_get_next_key(b->counts, NULL, &next) == 0; i++) {
        key = next;
        if (bpf_map_lookup_and_delete_elem(b->counts, &key, &count) == 0)
            add(b, &key, &count, wall_ms);
        else if (bpf_map_delete_elem(b->counts, &key) != 0)
            break;
    }
    int lock = ret->lock;
    *ret = b->sum;
    ret->lock = lock;
    ret->observed = true;
    return b->sum.tcp + b->sum.udp != before;
}

#else /* built without libbpf: there is never one */

struct bypass *bypass_new(char why[AROUND_WHY_BYTES])
{
    snprintf(why, AROUND_WHY_BYTES,
             "what goes around the proxy is not seen: this agent was built without BPF");
    return NULL;
}

void bypass_free(struct bypass *b)
{
    (void)b;
}

int bypass_fd(const struct bypass *b)
{
    (void)b;
    return -1;
}

void bypass_take_in(struct bypass *b)
{
    (void)b;
}

void bypass_except(struct bypass *b, int64_t pid, bool is_proxy)
{
    (void)b, (void)pid, (void)is_proxy;
}

bool bypass_sum_up(struct bypass *b, struct agent_around *ret, int64_t wall_ms)
{
    (void)b, (void)ret, (void)wall_ms;
    return false;
}

#endif
