/* rules_child.c: see rules_child.h. The child writes one message for each thing it has done; whatever it was at when it ended without
 * one is to blame. */
#include "run/rules_child.h"

#include "base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
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

enum { ENDS_MAX = 64 };

/* How one pattern or one field went; after it, for fields, `bytes` bytes. */
struct message {
    uint32_t number, failed;
    uint64_t bytes;
    char why[COMPILE_WHY_BYTES];
};

struct child {
    pid_t pid;
    int in; /* owned: what it writes */
};

static bool write_all(int fd, const void *data, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = write(fd, (const char *)data + at, len - at);
        if (n < 0 && errno != EINTR)
            return false;
        at += n > 0 ? (size_t)n : 0;
    }
    return true;
}

static bool read_all(int fd, void *data, size_t len)
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

/* In the child *ret_out is where to write and 1 is returned; in the parent 0; -1 fills reterr. */
static int start(struct child *c, int *ret_out, struct err *reterr)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_set(reterr, NULL, 0, 0, "no pipe: %s", strerror(errno));
    fflush(NULL);
    c->pid = fork();
    if (c->pid < 0) {
        err_set(reterr, NULL, 0, 0, "no process: %s", strerror(errno));
        close(ends[0]);
        close(ends[1]);
        return -1;
    }
    if (c->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGPIPE, SIG_DFL);
        signal(SIGXCPU, SIG_DFL);
        close(ends[0]);
        limit_memory();
        *ret_out = ends[1];
        return 1;
    }
    close(ends[1]);
    c->in = ends[0];
    return 0;
}

static void end(struct child *c)
{
    close(c->in);
    kill(c->pid, SIGKILL);
    while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

_Noreturn static void try_in_child(const struct atom *const *atoms, uint32_t from, uint32_t count, int out)
{
    for (uint32_t i = from; i < count; i++) {
        struct message m = {.number = i};
        limit_cpu(RULES_CHILD_TRY_SECONDS);
        m.failed = compile_try(atoms[i], m.why) != 0;
        if (!write_all(out, &m, sizeof m))
            break;
    }
    _exit(0);
}

int rules_child_try(const struct atom *const *atoms, uint32_t count, char **ret_whys, struct err *reterr)
{
    char costly[COMPILE_WHY_BYTES];
    snprintf(costly, sizeof costly, "compiling this pattern takes more than %d seconds or %d MiB",
             RULES_CHILD_TRY_SECONDS, RULES_CHILD_MIB);
    unsigned ends = 0;
    for (uint32_t next = 0; next < count; next++) { /* next: the first nothing is known of */
        struct child c = {.in = -1};
        struct message m = {0};
        int out = -1;
        int side = ends < ENDS_MAX ? start(&c, &out, reterr) : 0;
        if (side < 0)
            return -1;
        if (side == 1)
            try_in_child(atoms, next, count, out);
        while (ends < ENDS_MAX && next < count && read_all(c.in, &m, sizeof m) && m.number == next) {
            m.why[sizeof m.why - 1] = '\0';
            ret_whys[next++] = m.failed ? strdup(m.why) : NULL;
        }
        if (ends < ENDS_MAX)
            end(&c);
        if (next < count)
            ret_whys[next] =
                strdup(ends++ < ENDS_MAX ? costly : "not tried: too many patterns before it took too long");
    }
    return 0;
}

_Noreturn static void compile_in_child(const struct ruleset *s, int out)
{
    for (uint32_t n = 0; n < COMPILE_HALVES * s->fields.count; n++) {
        struct message m = {.number = n};
        char *bytes = NULL;
        size_t len = 0;
        limit_cpu(RULES_CHILD_FIELD_SECONDS);
        m.failed = compile_field(s, n / COMPILE_HALVES, (enum compile_half)(n % COMPILE_HALVES), &bytes, &len,
                                 m.why) != 0;
        m.bytes = m.failed ? 0 : len;
        if (!write_all(out, &m, sizeof m) || !write_all(out, bytes, (size_t)m.bytes))
            break;
        free(bytes);
    }
    _exit(0);
}

/* The next database; 0, 1 or -1 as rules_child_compile(). */
static int take_field(struct child *c, struct compiled *to, uint32_t number, char ret_why[COMPILE_WHY_BYTES],
                      struct err *reterr)
{
    struct message m = {0};
    if (!read_all(c->in, &m, sizeof m) || m.number != number) {
        snprintf(ret_why, COMPILE_WHY_BYTES,
                 "compiling this pattern with the field's others takes more than %d seconds or %d MiB",
                 RULES_CHILD_FIELD_SECONDS, RULES_CHILD_MIB);
        return 1;
    }
    m.why[sizeof m.why - 1] = '\0';
    snprintf(ret_why, COMPILE_WHY_BYTES, "%s", m.why);
    if (m.failed || m.bytes == 0)
        return m.failed != 0;
    char *bytes = malloc(m.bytes);
    bool good = bytes && read_all(c->in, bytes, m.bytes) &&
                compiled_add(to, number / COMPILE_HALVES, (enum compile_half)(number % COMPILE_HALVES), bytes,
                             m.bytes) == 0;
    free(bytes);
    return good ? 0 : err_set(reterr, NULL, 0, 0, "a database was lost on its way: out of memory");
}

int rules_child_compile(const struct ruleset *s, struct compiled **ret, uint32_t *ret_field,
                        char ret_why[COMPILE_WHY_BYTES], struct err *reterr)
{
    struct child c = {.in = -1};
    int out = -1, result = 0;
    struct compiled *to = compiled_new(s);
    if (!to)
        return err_set(reterr, NULL, 0, 0, "out of memory");
    int side = start(&c, &out, reterr);
    if (side == 1)
        compile_in_child(s, out);
    if (side < 0) {
        compiled_free(to);
        return -1;
    }
    for (uint32_t n = 0; n < COMPILE_HALVES * s->fields.count && result == 0; n++) {
        result = take_field(&c, to, n, ret_why, reterr);
        *ret_field = n / COMPILE_HALVES;
    }
    end(&c);
    if (result == 0)
        *ret = to;
    else
        compiled_free(to);
    return result;
}
