/* rules_child.c: see rules_child.h. The parent writes all patterns, then reads; the child reads all, then writes one message for each thing it
 * has done; whatever it was at when it ended without one, or when its time was over, is to blame. */
#include "run/rules_child.h"

#include "base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif

enum {
    ENDS_MAX = 64,
    LOOK_MS = 100,                   /* how often a wait looks whether this process is to end */
    TEXT_BYTES_MAX = 64 << 20,       /* of one request's patterns; what rules may be written in bounds it */
    DATABASE_BYTES_MAX = 1000 << 20, /* less than the child's memory */
};

static const char argument[] = "--compile-patterns";

/* ---- what is said ---- */

/* A request: this, then `count` times struct item and its text. `half` COMPILE_HALVES: each item is tried alone. */
struct request {
    uint32_t count, half;
};
struct item {
    uint32_t id, flags, len;
};

/* How one pattern or one database went; after it, for databases, `bytes` bytes. */
struct answer {
    uint32_t number, failed;
    uint64_t bytes;
    char why[COMPILE_WHY_BYTES];
};

static bool write_all(int fd, const void *data, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = send(fd, (const char *)data + at, len - at, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            return false;
        at += n > 0 ? (size_t)n : 0;
    }
    return true;
}

/* ---- the child ---- */

static bool read_whole(int fd, void *data, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = read(fd, (char *)data + at, len - at);
        if (n == 0 || (n < 0 && errno != EINTR))
            return false;
        at += n > 0 ? (size_t)n : 0;
    }
    return true;
}

/* `seconds` more of CPU time for this process; the kernel kills at the limit. */
static void limit_cpu(unsigned seconds)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    rlim_t total = (rlim_t)used.ru_utime.tv_sec + (rlim_t)used.ru_stime.tv_sec + seconds + 1;
    setrlimit(RLIMIT_CPU, &(struct rlimit){total, RLIM_INFINITY});
}

static void limit_memory(void)
{
#ifndef SANITIZED /* a sanitizer maps more than any limit */
    setrlimit(RLIMIT_AS, &(struct rlimit){RULES_CHILD_MIB * 1024UL * 1024, RULES_CHILD_MIB * 1024UL * 1024});
#endif
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
}

/* The items of a request; NULL when it breaks off. What is read here is freed with the process. */
static struct compile_item *read_items(int fd, const struct request *r)
{
    struct compile_item *items = calloc((size_t)r->count + 1, sizeof *items);
    for (uint32_t i = 0; items && i < r->count; i++) {
        struct item head;
        bool good = read_whole(fd, &head, sizeof head) && head.len <= TEXT_BYTES_MAX;
        char *text = good ? calloc(1, head.len + 1) : NULL;
        if (!text || !read_whole(fd, text, head.len)) {
            free(text);
            free(items);
            return NULL;
        }
        items[i] = (struct compile_item){text, head.len, head.flags, head.id};
    }
    return items;
}

static bool answer_tries(int fd, const struct compile_item *items, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct answer a = {.number = i};
        limit_cpu(RULES_CHILD_TRY_SECONDS);
        a.failed = compile_try(&items[i], a.why) != 0;
        if (!write_all(fd, &a, sizeof a))
            return false;
    }
    return true;
}

static bool answer_database(int fd, const struct compile_item *items, uint32_t count, enum compile_half half)
{
    struct answer a = {0};
    char *bytes = NULL;
    size_t len = 0;
    limit_cpu(RULES_CHILD_FIELD_SECONDS);
    a.failed = compile_items(items, count, half, &bytes, &len, a.why) != 0;
    a.bytes = a.failed ? 0 : len;
    bool good = write_all(fd, &a, sizeof a) && write_all(fd, bytes, (size_t)a.bytes);
    free(bytes);
    return good;
}

int rules_child_main(int argc, char **argv)
{
    struct request r;
    if (argc != 2 || strcmp(argv[1], argument) != 0)
        return -1;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGXCPU, SIG_DFL);
    limit_memory();
    while (read_whole(STDIN_FILENO, &r, sizeof r)) {
        struct compile_item *items = read_items(STDIN_FILENO, &r);
        if (!items || !(r.half < COMPILE_HALVES
                            ? answer_database(STDIN_FILENO, items, r.count, (enum compile_half)r.half)
                            : answer_tries(STDIN_FILENO, items, r.count)))
            _exit(1);
    }
    _exit(0);
}

/* ---- the parent ---- */

struct child {
    pid_t pid;
    int fd; /* owned */
};

static int start(struct child *c, struct err *reterr)
{
    int ends[2];
    char name[] = "exeat-rules", wanted[sizeof argument];
    char *const argv[] = {name, wanted, NULL};
    posix_spawn_file_actions_t actions;
    memcpy(wanted, argument, sizeof argument);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return err_set(reterr, NULL, 0, 0, "no socket: %s", strerror(errno));
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDIN_FILENO);
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    int error = posix_spawn(&c->pid, "/proc/self/exe", &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    c->fd = ends[0];
    if (error == 0)
        return 0;
    close(c->fd);
    return err_set(reterr, NULL, 0, 0, "no process: %s", strerror(error));
}

static void end(struct child *c)
{
    close(c->fd);
    kill(c->pid, SIGKILL);
    while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

/* A daemon blocks these and takes them in its own time: long compiling must not make it deaf to them. */
static bool is_told_to_end(void)
{
    sigset_t pending;
    sigpending(&pending);
    return sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1;
}

/* False: it ended, or `seconds` passed, or this process is to end. */
static bool read_in_time(int fd, void *data, size_t len, unsigned seconds)
{
    int left_ms = (int)seconds * 1000;
    for (size_t at = 0; at < len;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int ready = poll(&p, 1, LOOK_MS);
        left_ms -= ready > 0 ? 0 : LOOK_MS;
        if (is_told_to_end() || left_ms < 0)
            return false;
        if (ready <= 0)
            continue;
        ssize_t n = read(fd, (char *)data + at, len - at);
        if (n == 0 || (n < 0 && errno != EINTR))
            return false;
        at += n > 0 ? (size_t)n : 0;
    }
    return true;
}

static bool send_items(int fd, const struct compile_item *items, uint32_t count, uint32_t half)
{
    const struct request r = {count, half};
    bool good = write_all(fd, &r, sizeof r);
    for (uint32_t i = 0; i < count && good; i++) {
        const struct item head = {items[i].id, items[i].flags, (uint32_t)items[i].len};
        good = items[i].len <= TEXT_BYTES_MAX && write_all(fd, &head, sizeof head) &&
               write_all(fd, items[i].text, items[i].len);
    }
    return good;
}

static int told_to_end(struct err *reterr)
{
    return err_set(reterr, NULL, 0, 0, "told to end while patterns were compiled");
}

/* Tries from `next` on until the child ends; returns the first nothing is known of. */
static uint32_t try_from(struct child *c, const struct compile_item *items, uint32_t next, uint32_t count,
                         char **ret_whys)
{
    struct answer a;
    uint32_t first = next;
    if (!send_items(c->fd, items + next, count - next, COMPILE_HALVES))
        return next;
    while (next < count && read_in_time(c->fd, &a, sizeof a, RULES_CHILD_TRY_SECONDS * RULES_CHILD_WALL) &&
           a.number == next - first) {
        a.why[sizeof a.why - 1] = '\0';
        ret_whys[next++] = a.failed ? strdup(a.why) : NULL;
    }
    return next;
}

int rules_child_try(const struct atom *const *atoms, uint32_t count, char **ret_whys, struct err *reterr)
{
    char costly[COMPILE_WHY_BYTES];
    snprintf(costly, sizeof costly, "compiling this pattern takes more than %d seconds or %d MiB",
             RULES_CHILD_TRY_SECONDS, RULES_CHILD_MIB);
    struct compile_item *items = calloc((size_t)count + 1, sizeof *items);
    if (!items)
        return err_set(reterr, NULL, 0, 0, "out of memory");
    for (uint32_t i = 0; i < count; i++) /* all are tried as patterns, literals too */
        items[i] = compile_item_of(atoms[i], i);
    unsigned ends = 0;
    int result = 0;
    for (uint32_t next = 0; next < count && result == 0; next++) {
        struct child c = {0};
        if (ends < ENDS_MAX) {
            result = start(&c, reterr);
            if (result == 0) {
                next = try_from(&c, items, next, count, ret_whys);
                end(&c);
            }
        }
        if (result == 0 && is_told_to_end())
            result = told_to_end(reterr);
        if (result == 0 && next < count)
            ret_whys[next] =
                strdup(ends++ < ENDS_MAX ? costly : "not tried: too many patterns before it took too long");
    }
    free(items);
    return result;
}

/* The next database; 0, 1 or -1 as rules_child_compile(). */
static int take_field(struct child *c, const struct ruleset *s, struct compiled *to, uint32_t number,
                      char ret_why[COMPILE_WHY_BYTES], struct err *reterr)
{
    struct answer a = {0};
    struct compile_item *items = NULL;
    enum compile_half half = (enum compile_half)(number % COMPILE_HALVES);
    int64_t count = compile_items_of(s, number / COMPILE_HALVES, half, &items);
    if (count < 0)
        return err_set(reterr, NULL, 0, 0, "out of memory");
    bool answered = count > 0 && send_items(c->fd, items, (uint32_t)count, half) &&
                    read_in_time(c->fd, &a, sizeof a, RULES_CHILD_FIELD_SECONDS * RULES_CHILD_WALL);
    free(items);
    if (count == 0)
        return 0;
    if (!answered && is_told_to_end())
        return told_to_end(reterr);
    if (!answered) {
        snprintf(ret_why, COMPILE_WHY_BYTES,
                 "compiling this pattern with the field's others takes more than %d seconds or %d MiB",
                 RULES_CHILD_FIELD_SECONDS, RULES_CHILD_MIB);
        return 1;
    }
    a.why[sizeof a.why - 1] = '\0';
    snprintf(ret_why, COMPILE_WHY_BYTES, "%s", a.why);
    if (a.failed || a.bytes == 0)
        return a.failed != 0;
    char *bytes = a.bytes <= DATABASE_BYTES_MAX ? malloc(a.bytes) : NULL;
    bool good = bytes && read_in_time(c->fd, bytes, a.bytes, RULES_CHILD_FIELD_SECONDS) &&
                compiled_add(to, number / COMPILE_HALVES, half, bytes, a.bytes) == 0;
    free(bytes);
    return good ? 0 : err_set(reterr, NULL, 0, 0, "a database was lost on its way: out of memory");
}

int rules_child_compile(const struct ruleset *s, struct compiled **ret, uint32_t *ret_field,
                        char ret_why[COMPILE_WHY_BYTES], struct err *reterr)
{
    struct child c = {0};
    int result = 0;
    struct compiled *to = compiled_new(s);
    if (!to)
        return err_set(reterr, NULL, 0, 0, "out of memory");
    if (start(&c, reterr) != 0) {
        compiled_free(to);
        return -1;
    }
    for (uint32_t n = 0; n < COMPILE_HALVES * s->fields.count && result == 0; n++) {
        result = take_field(&c, s, to, n, ret_why, reterr);
        *ret_field = n / COMPILE_HALVES;
    }
    end(&c);
    if (result == 0)
        *ret = to;
    else
        compiled_free(to);
    return result;
}
