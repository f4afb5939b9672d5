/* owner_bpf.c: see owner_bpf.h. */
#include "agent/linux/owner_bpf.h"

#include <stdio.h>

#ifdef EXEAT_BPF_OBJECT

#include "base/log.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The compiled program is a part of this one: an object file that lies beside could be another's. */
__asm__(".pushsection .rodata\n"
        ".balign 8\n"
        "exeat_owner_object:\n"
        ".incbin \"" EXEAT_BPF_OBJECT "\"\n"
        "exeat_owner_object_end:\n"
        ".popsection\n");
extern const char exeat_owner_object[], exeat_owner_object_end[];

enum { PROGRAMS_MAX = 8, EVENTS_AT_ONCE = 256 };
#define SEEDED ((uint64_t)1 << 63) /* serial numbers that we give, not the kernel's program */

struct owner_bpf {
    struct bpf_object *object;            /* owned */
    struct bpf_link *links[PROGRAMS_MAX]; /* owned */
    int programs[PROGRAMS_MAX];           /* borrowed from the object: those whose skips are counted; -1 */
    size_t link_count;
    int owners, tuples, accepted, images, tags, ports, losses; /* descriptors, borrowed from the object */
    int look;                 /* likewise; -1: this kernel does not take it */
    int walk;                 /* borrowed from the links; -1 likewise */
    int wanted, suspects;     /* borrowed from the object */
    struct ring_buffer *ring; /* owned */
    struct owner_record own;  /* of a connection made to see whether it works */
    uint64_t seeded;
    void (*each)(void *context, const struct owner_event *event); /* while events are read */
    void *each_context;
};

static int on_libbpf_text(enum libbpf_print_level level, const char *format, va_list args)
{
    char text[512];
    vsnprintf(text, sizeof text, format, args);
    text[strcspn(text, "\n")] = 0;
    if (level != LIBBPF_DEBUG)
        log_debug("bpf", "%s", text);
    return 0;
}

static int on_event(void *context, void *data, size_t size)
{
    struct owner_bpf *b = context;
    struct owner_event event;
    if (size < sizeof event || !b->each)
        return 0;
    memcpy(&event, data, sizeof event);
    b->each(b->each_context, &event);
    return 0;
}

static int find_map(struct owner_bpf *b, const char *name)
{
    struct bpf_map *map = bpf_object__find_map_by_name(b->object, name);
    return map ? bpf_map__fd(map) : -1;
}

static int attach(struct owner_bpf *b)
{
    struct bpf_program *program;
    bpf_object__for_each_program(program, b->object)
    {
        if (bpf_program__type(program) == BPF_PROG_TYPE_SYSCALL || !bpf_program__autoload(program))
            continue;
        if (b->link_count == PROGRAMS_MAX)
            return -E2BIG;
        struct bpf_link *link = bpf_program__attach(program);
        if (!link)
            return -errno;
        /* of the others many occasions are none of ours, and a skipped one costs an answer, not its truth */
        const char *name = bpf_program__name(program);
        if (strcmp(name, "walk") == 0)
            b->walk = bpf_link__fd(link);
        bool counts = strcmp(name, "on_exec") == 0 || strcmp(name, "on_fork") == 0;
        b->programs[b->link_count] = counts ? bpf_program__fd(program) : -1;
        b->links[b->link_count++] = link;
    }
    return 0;
}

static int open_and_load(struct owner_bpf *b, bool with_newer)
{
    struct bpf_object_open_opts options = {.sz = sizeof options, .object_name = "exeat_owner"};
    b->object = bpf_object__open_mem(exeat_owner_object,
                                     (size_t)(exeat_owner_object_end - exeat_owner_object), &options);
    if (!b->object)
        return -errno;
    struct bpf_program *look = bpf_object__find_program_by_name(b->object, "look");
    bpf_program__set_autoload(look, with_newer);
    bpf_program__set_autoload(bpf_object__find_program_by_name(b->object, "walk"), with_newer);
    int result = bpf_object__load(b->object);
    b->look = result == 0 && with_newer ? bpf_program__fd(look) : -1;
    b->walk = -1;
    return result;
}

/* What only newer kernels take is left out if need be. */
static int load(struct owner_bpf *b)
{
    int result = open_and_load(b, true);
    if (result != 0) {
        bpf_object__close(b->object);
        result = open_and_load(b, false);
    }
    if (result != 0)
        return result;
    b->owners = find_map(b, "owners");
    b->tuples = find_map(b, "tuples");
    b->accepted = find_map(b, "accepted");
    b->images = find_map(b, "images");
    b->tags = find_map(b, "tags");
    b->ports = find_map(b, "ports");
    b->losses = find_map(b, "losses");
    b->wanted = find_map(b, "wanted");
    b->suspects = find_map(b, "suspects");
    b->ring = ring_buffer__new(find_map(b, "events"), on_event, b, NULL);
    return b->ring ? attach(b) : -errno;
}

/* A connection of our own on loopback, which must be found again under its cookie. */
static const char *try_own(struct owner_bpf *b)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address, cookie_len = sizeof(uint64_t);
    uint64_t cookie = 0;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool tried = listener >= 0 && client >= 0 &&
                 bind(listener, (struct sockaddr *)&address, sizeof address) == 0 &&
                 listen(listener, 1) == 0 && getsockname(listener, (struct sockaddr *)&address, &len) == 0 &&
                 (connect(client, (struct sockaddr *)&address, len) == 0 || errno == EINPROGRESS) &&
                 getsockopt(client, SOL_SOCKET, SO_COOKIE, &cookie, &cookie_len) == 0;
    if (listener >= 0)
        close(listener);
    if (client >= 0)
        close(client);
    if (!tried)
        return "no BPF: a connection on loopback, to see whether it works, cannot be made";
    if (!owner_bpf_record(b, cookie, &b->own))
        return "no BPF: it was loaded, yet a connection of our own was not written down";
    if (b->own.pid != (uint32_t)getpid())
        return "no BPF: inside a pid namespace, where process numbers are not the kernel's";
    return NULL;
}

struct owner_bpf *owner_bpf_new(char why[OWNER_BPF_WHY_BYTES])
{
    struct owner_bpf *b = calloc(1, sizeof *b);
    libbpf_set_print(on_libbpf_text);
    int result = b ? load(b) : -ENOMEM;
    const char *wrong = result == 0 ? try_own(b) : NULL;
    if (result == 0 && !wrong)
        return b;
    if (wrong)
        snprintf(why, OWNER_BPF_WHY_BYTES, "%s", wrong);
    else if (result == -EPERM || result == -EACCES)
        snprintf(why, OWNER_BPF_WHY_BYTES, "no BPF: CAP_BPF and CAP_PERFMON are needed at the start");
    else if (access("/sys/kernel/btf/vmlinux", R_OK) != 0)
        snprintf(why, OWNER_BPF_WHY_BYTES, "no BPF: this kernel has no /sys/kernel/btf/vmlinux");
    else
        snprintf(why, OWNER_BPF_WHY_BYTES, "no BPF: this kernel does not take it (Linux 5.12 is needed): %s",
                 strerror(-result));
    owner_bpf_free(b);
    return NULL;
}

void owner_bpf_free(struct owner_bpf *b)
{
    if (!b)
        return;
    for (size_t i = 0; i < b->link_count; i++)
        bpf_link__destroy(b->links[i]);
    ring_buffer__free(b->ring);
    bpf_object__close(b->object);
    free(b);
}

bool owner_bpf_is_readable(const struct owner_bpf *b)
{
    uint32_t zero = 0;
    uint64_t bits;
    return bpf_map_lookup_elem(b->ports, &zero, &bits) == 0;
}

bool owner_bpf_record(const struct owner_bpf *b, uint64_t cookie, struct owner_record *ret)
{
    struct owner_record record;
    if (bpf_map_lookup_elem(b->owners, &cookie, &record) != 0 || record.cookie != cookie)
        return false;
    *ret = record;
    return true;
}

bool owner_bpf_sockets(const struct owner_bpf *b, const struct owner_tuple *tuple, struct owner_sockets *ret)
{
    return bpf_map_lookup_elem(b->tuples, tuple, ret) == 0;
}

bool owner_bpf_accepted(const struct owner_bpf *b, uint64_t cookie, struct owner_accepted *ret)
{
    return bpf_map_lookup_elem(b->accepted, &cookie, ret) == 0;
}

bool owner_bpf_image(const struct owner_bpf *b, uint64_t image, struct owner_image *ret)
{
    return bpf_map_lookup_elem(b->images, &image, ret) == 0;
}

void owner_bpf_put_image(const struct owner_bpf *b, uint64_t image, const struct owner_image *what)
{
    bpf_map_update_elem(b->images, &image, what, BPF_NOEXIST);
}

enum owner_bpf_tagged owner_bpf_tag(const struct owner_bpf *b, int64_t pid, struct owner_tag *ret)
{
    int fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
    if (fd < 0)
        return OWNER_BPF_GONE;
    struct owner_tag tag = {.image = 0};
    int result = bpf_map_lookup_elem(b->tags, &fd, &tag);
    close(fd);
    if (result != 0)
        return result == -ESRCH ? OWNER_BPF_GONE : OWNER_BPF_UNTAGGED;
    *ret = tag;
    return OWNER_BPF_TAGGED;
}

bool owner_bpf_seed(struct owner_bpf *b, int64_t pid, uint64_t start_ns, const struct owner_image *image)
{
    struct owner_tag tag = {.image = SEEDED | ++b->seeded, .start_ns = start_ns};
    int fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
    if (fd < 0)
        return false;
    bool seeded = bpf_map_update_elem(b->images, &tag.image, image, BPF_ANY) == 0 &&
                  bpf_map_update_elem(b->tags, &fd, &tag, BPF_NOEXIST) == 0;
    if (!seeded)
        bpf_map_delete_elem(b->images, &tag.image);
    close(fd);
    return seeded;
}

bool owner_bpf_look(const struct owner_bpf *b, uint64_t accepted, struct owner_look *ret)
{
    struct owner_look look = {.accepted = accepted};
    struct bpf_test_run_opts run = {
        .sz = sizeof run, .ctx_in = &look, .ctx_size_in = sizeof look}; /* out, too */
    if (b->look < 0 || bpf_prog_test_run_opts(b->look, &run) != 0 || !look.found)
        return false;
    *ret = look;
    return true;
}

int owner_bpf_look_fd(const struct owner_bpf *b)
{
    return b->look;
}

static bool walk(const struct owner_bpf *b, void (*each)(void *context, const struct owner_walked *found),
                 void *context)
{
    struct owner_walked some[256];
    int fd = bpf_iter_create(b->walk);
    ssize_t n = fd < 0 ? -1 : 0;
    while (fd >= 0 && ((n = read(fd, some, sizeof some)) > 0 || (n < 0 && errno == EAGAIN)))
        for (size_t i = 0; n > 0 && i < (size_t)n / sizeof *some; i++) /* whole ones: the kernel writes so */
            each(context, &some[i]);
    if (fd >= 0)
        close(fd);
    return n == 0;
}

bool owner_bpf_walk(const struct owner_bpf *b, const struct owner_wanted *w,
                    void (*each)(void *context, const struct owner_walked *found), void *context)
{
    uint32_t one = 1;
    bool walked = b->walk >= 0 && w->cookie_count <= WANTED_MAX && w->pid_count <= WANTED_MAX;
    for (size_t i = 0; i < w->cookie_count && walked; i++)
        walked = bpf_map_update_elem(b->wanted, &w->cookies[i], &one, BPF_ANY) == 0;
    for (size_t i = 0; i < w->pid_count && walked; i++)
        walked = bpf_map_update_elem(b->suspects, &w->pids[i], &one, BPF_ANY) == 0;
    walked = walked && walk(b, each, context);
    for (size_t i = 0; i < w->cookie_count && b->walk >= 0; i++)
        bpf_map_delete_elem(b->wanted, &w->cookies[i]);
    for (size_t i = 0; i < w->pid_count && b->walk >= 0; i++)
        bpf_map_delete_elem(b->suspects, &w->pids[i]);
    return walked;
}

uint32_t owner_bpf_netns(const struct owner_bpf *b)
{
    return b->own.netns;
}

bool owner_bpf_is_our_root(const struct owner_bpf *b, const struct owner_file *file)
{
    return file->mount == b->own.executable.mount && file->dentry == b->own.executable.dentry;
}

void owner_bpf_tell_port(struct owner_bpf *b, uint16_t port)
{
    uint32_t word = port / 64;
    uint64_t bits;
    if (bpf_map_lookup_elem(b->ports, &word, &bits) != 0 || (bits >> port % 64 & 1))
        return;
    bits |= (uint64_t)1 << port % 64;
    bpf_map_update_elem(b->ports, &word, &bits, BPF_ANY);
}

int owner_bpf_events_fd(const struct owner_bpf *b)
{
    return ring_buffer__epoll_fd(b->ring);
}

void owner_bpf_each_event(struct owner_bpf *b, void (*each)(void *context, const struct owner_event *event),
                          void *context)
{
    b->each = each;
    b->each_context = context;
    ring_buffer__consume(b->ring);
    b->each = NULL;
}

void owner_bpf_losses(const struct owner_bpf *b, uint64_t ret[OWNER_LOSS_COUNT + 1])
{
    int cpus = libbpf_num_possible_cpus();
    uint64_t *each = cpus > 0 ? calloc((size_t)cpus, sizeof *each) : NULL;
    memset(ret, 0, (OWNER_LOSS_COUNT + 1) * sizeof *ret);
    for (uint32_t i = 0; each && i < OWNER_LOSS_COUNT; i++)
        if (bpf_map_lookup_elem(b->losses, &i, each) == 0)
            for (int cpu = 0; cpu < cpus; cpu++)
                ret[i] += each[cpu];
    for (size_t i = 0; i < b->link_count; i++) {
        struct bpf_prog_info info = {.type = 0};
        uint32_t len = sizeof info;
        if (b->programs[i] >= 0 && bpf_obj_get_info_by_fd(b->programs[i], &info, &len) == 0)
            ret[OWNER_LOSS_COUNT] += info.recursion_misses;
    }
    free(each);
}

#else /* built without libbpf: there is never one, so none of the others is called */

struct owner_bpf *owner_bpf_new(char why[OWNER_BPF_WHY_BYTES])
{
    snprintf(why, OWNER_BPF_WHY_BYTES, "no BPF: this agent was built without it");
    return NULL;
}

void owner_bpf_free(struct owner_bpf *b)
{
    (void)b;
}

bool owner_bpf_is_readable(const struct owner_bpf *b)
{
    return b != NULL;
}

bool owner_bpf_record(const struct owner_bpf *b, uint64_t cookie, struct owner_record *ret)
{
    (void)cookie, (void)ret;
    return b != NULL;
}

bool owner_bpf_sockets(const struct owner_bpf *b, const struct owner_tuple *tuple, struct owner_sockets *ret)
{
    (void)tuple, (void)ret;
    return b != NULL;
}

bool owner_bpf_accepted(const struct owner_bpf *b, uint64_t cookie, struct owner_accepted *ret)
{
    (void)cookie, (void)ret;
    return b != NULL;
}

bool owner_bpf_image(const struct owner_bpf *b, uint64_t image, struct owner_image *ret)
{
    (void)image, (void)ret;
    return b != NULL;
}

void owner_bpf_put_image(const struct owner_bpf *b, uint64_t image, const struct owner_image *what)
{
    (void)b, (void)image, (void)what;
}

enum owner_bpf_tagged owner_bpf_tag(const struct owner_bpf *b, int64_t pid, struct owner_tag *ret)
{
    (void)b, (void)pid, (void)ret;
    return OWNER_BPF_UNTAGGED;
}

bool owner_bpf_seed(struct owner_bpf *b, int64_t pid, uint64_t start_ns, const struct owner_image *image)
{
    (void)pid, (void)start_ns, (void)image;
    return b != NULL;
}

bool owner_bpf_look(const struct owner_bpf *b, uint64_t accepted, struct owner_look *ret)
{
    (void)accepted, (void)ret;
    return b != NULL;
}

int owner_bpf_look_fd(const struct owner_bpf *b)
{
    return b ? 0 : -1;
}

bool owner_bpf_walk(const struct owner_bpf *b, const struct owner_wanted *w,
                    void (*each)(void *context, const struct owner_walked *found), void *context)
{
    (void)w, (void)each, (void)context;
    return b != NULL;
}

uint32_t owner_bpf_netns(const struct owner_bpf *b)
{
    return b != NULL;
}

bool owner_bpf_is_our_root(const struct owner_bpf *b, const struct owner_file *file)
{
    (void)file;
    return b != NULL;
}

void owner_bpf_tell_port(struct owner_bpf *b, uint16_t port)
{
    (void)b, (void)port;
}

int owner_bpf_events_fd(const struct owner_bpf *b)
{
    return b ? 0 : -1;
}

void owner_bpf_each_event(struct owner_bpf *b, void (*each)(void *context, const struct owner_event *event),
                          void *context)
{
    (void)b, (void)each, (void)context;
}

void owner_bpf_losses(const struct owner_bpf *b, uint64_t ret[OWNER_LOSS_COUNT + 1])
{
    (void)b, (void)ret;
}

#endif
