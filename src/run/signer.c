/* signer.c: see signer.h. Touches processes, one socket pair, the CA's files. */
#include "run/signer.h"

#include "base/log.h"
#include "base/must.h"
#include "tls/mint.h"
#include "tls/staple.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    NUMBER_BYTES = 4,
    UNTIL_BYTES = 8,
    HEAD_BYTES = NUMBER_BYTES + CA_SHA256_BYTES + 1 + UNTIL_BYTES,
    ANSWER_HEAD_BYTES = NUMBER_BYTES + 1,
    PACKET_BYTES = HEAD_BYTES + SIGNER_CERTIFICATE_MAX_BYTES,
    EXIT_RELOAD = 10, /* the child's, when it was told to begin anew */
    PAUSE_MS = 1000,  /* between two children, when the first died early */
    ARGUMENTS = 5,    /* exeatd --signer CERTIFICATE KEY USER */
};

/* ---- the child ---- */

static void put_number(uint8_t *at, uint32_t number)
{
    memcpy(at, &number, NUMBER_BYTES); /* both ends are one machine's */
}

static int say(struct buf *ret, const uint8_t *number, enum signer_result result, const char *why)
{
    uint8_t code = (uint8_t)result;
    buf_clear(ret);
    buf_append(ret, number, NUMBER_BYTES);
    buf_append(ret, &code, 1);
    buf_append_str(ret, why);
    return 0;
}

/* 0, or -1 with *ret_why. */
static int work(const struct ca *ca, struct span packet, int64_t now_s, struct buf *ret, const char **ret_why)
{
    struct span certificate = span_from(packet, HEAD_BYTES);
    uint8_t which = packet.data[NUMBER_BYTES + CA_SHA256_BYTES];
    int64_t until_s;
    memcpy(&until_s, packet.data + HEAD_BYTES - UNTIL_BYTES, sizeof until_s);
    if (which == SIGNER_LEAF)
        return mint_sign(ca, certificate, now_s, ret, ret_why);
    if (which == SIGNER_STATUS)
        return staple_sign(ca, certificate, until_s, now_s, ret, ret_why);
    *ret_why = "nobody signs that";
    return -1;
}

int signing_answer(const struct ca *ca, struct span packet, int64_t now_s, struct buf *ret)
{
    static const uint8_t signed_code = SIGNER_SIGNED;
    static const uint8_t nothing[CA_SHA256_BYTES];
    const char *why = NULL;
    buf_clear(ret);
    if (packet.len < HEAD_BYTES)
        return 0;
    if (packet.len == HEAD_BYTES && memcmp(packet.data + NUMBER_BYTES, nothing, sizeof nothing) == 0)
        return 1;
    if (memcmp(packet.data + NUMBER_BYTES, ca_sha256(ca), CA_SHA256_BYTES) != 0)
        return say(ret, packet.data, SIGNER_REFUSED, "the signing process has another CA: reload");
    buf_append(ret, packet.data, NUMBER_BYTES);
    buf_append(ret, &signed_code, 1);
    if (work(ca, packet, now_s, ret, &why) == 0)
        return 0;
    return say(ret, packet.data, SIGNER_REFUSED, why);
}

#if defined(__SANITIZE_ADDRESS__)
enum { MEMORY_LOCKABLE = 0 }; /* terabytes of shadow */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
enum { MEMORY_LOCKABLE = 0 };
#else
enum { MEMORY_LOCKABLE = 1 };
#endif
#else
enum { MEMORY_LOCKABLE = 1 };
#endif

/* The key is in this process' memory: not in a core dump, not on the swap disk, not for a debugger. */
static void lock_memory(void)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0);
    if (MEMORY_LOCKABLE && mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
        log_warning("signer",
                    "its memory cannot be locked (%s): the CA's key may be swapped out; raise RLIMIT_MEMLOCK",
                    strerror(errno));
}

static int become(const char *user, struct err *reterr)
{
    struct identity who;
    if (privileges_find(user[0] ? user : NULL, NULL, NULL, &who, reterr) != 0)
        return -1;
    return privileges_drop(&who, reterr);
}

static int serve(const struct ca *ca)
{
    static uint8_t packet[PACKET_BYTES];
    struct buf answer;
    buf_init(&answer, ANSWER_HEAD_BYTES + SIGNER_CERTIFICATE_MAX_BYTES);
    for (;;) {
        ssize_t n = recv(SIGNING_FD, packet, sizeof packet, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break; /* exeatd is gone */
        if (signing_answer(ca, span_of(packet, (size_t)n), (int64_t)time(NULL), &answer) != 0) {
            buf_free(&answer);
            return EXIT_RELOAD;
        }
        struct span out = buf_span(&answer);
        if (out.len > 0 && send(SIGNING_FD, out.data, out.len, MSG_NOSIGNAL) < 0 && errno != EINTR)
            break;
    }
    buf_free(&answer);
    return 0;
}

static int child_main(const char *certificate_file, const char *key, const char *user)
{
    struct err err = {0};
    char text[1024];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "exeat-signer");
    struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    setrlimit(RLIMIT_MEMLOCK, &all); /* where we may; lock_memory() says when it doesn't suffice */
    struct ca *ca = ca_read_with_key(certificate_file, key, &err);
    if (!ca || become(user, &err) != 0) {
        log_error("signer", "%s", err_format(&err, text, sizeof text));
        ca_free(ca);
        return 1;
    }
    lock_memory();
    int result = serve(ca);
    ca_free(ca);
    return result;
}

/* ---- the keeper ---- */

/* True: exeatd's end is closed. */
static bool is_over(int wait_ms)
{
    struct pollfd p = {.fd = SIGNING_FD, .events = 0};
    return poll(&p, 1, wait_ms) > 0 && (p.revents & (POLLHUP | POLLERR | POLLNVAL));
}

int signing_main(int argc, char **argv)
{
    if (argc != ARGUMENTS)
        return 2;
    log_init("exeatd", LOG_LEVEL_NOTICE);
    prctl(PR_SET_NAME, "exeat-keeper");
    signal(SIGINT, SIG_IGN); /* Ctrl-C is exeatd's: it ends us when it has ended its flows */
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    while (!is_over(0)) {
        pid_t child = fork();
        if (child == 0)
            _exit(child_main(argv[2], argv[3], argv[4]));
        int status = 0;
        while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
            ;
        if (child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_RELOAD)
            continue;
        if (is_over(0))
            break;
        log_error("signer", "the signing process ended (%s %d); another is started",
                  WIFSIGNALED(status) ? "signal" : "status",
                  WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        is_over(PAUSE_MS);
    }
    return 0;
}

/* ---- exeatd's end ---- */

struct signing {
    struct signer signer; /* first: the workers' view */
    pthread_mutex_t lock; /* one question at a time */
    int fd;               /* -1: the last start failed */
    pid_t keeper;         /* 0: none */
    uint32_t number;
    int64_t next_start_ms;
    char *certificate_file, *key, *user; /* owned: what it is started with */
    atomic_bool reload;
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void end_keeper(struct signing *s);
static int start_keeper(struct signing *s, struct err *reterr);

/* The keeper is gone (its child is replaced by itself): once a second another start is tried, which works where the key may still
 * be read. */
static void start_again(struct signing *s)
{
    struct err err = {0};
    if (now_ms() < s->next_start_ms)
        return;
    s->next_start_ms = now_ms() + PAUSE_MS;
    log_error("signer", "the signing process is gone; it is started again");
    end_keeper(s);
    if (start_keeper(s, &err) != 0)
        log_error("signer", "%s", err.text);
}

static bool ask(struct signing *s, const uint8_t *ca, const struct signer_request *r, int64_t until_ms)
{
    uint8_t head[HEAD_BYTES];
    put_number(head, ++s->number);
    memcpy(head + NUMBER_BYTES, ca, CA_SHA256_BYTES);
    head[NUMBER_BYTES + CA_SHA256_BYTES] = (uint8_t)r->work;
    memcpy(head + HEAD_BYTES - UNTIL_BYTES, &r->until_s, UNTIL_BYTES);
    struct iovec parts[] = {{head, sizeof head},
                            {(void *)(uintptr_t)r->certificate.data, r->certificate.len}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = ARRAY_LEN(parts)};
    for (;;) {
        if (sendmsg(s->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
            return true;
        int64_t left = until_ms - now_ms();
        struct pollfd p = {.fd = s->fd, .events = POLLOUT};
        if ((errno != EAGAIN && errno != EINTR) || left <= 0 || poll(&p, 1, (int)left) < 0)
            return false;
    }
}

/* Answers to questions that nobody waits for any more are passed over. */
static ssize_t hear(struct signing *s, uint8_t *data, size_t size, int64_t until_ms)
{
    for (;;) {
        int64_t left = until_ms - now_ms();
        struct pollfd p = {.fd = s->fd, .events = POLLIN};
        if (left <= 0 || (poll(&p, 1, (int)left) < 0 && errno != EINTR))
            return -1;
        ssize_t n = recv(s->fd, data, size, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            return 0; /* nobody is at the other end */
        if (n >= ANSWER_HEAD_BYTES && memcmp(data, &s->number, NUMBER_BYTES) == 0)
            return n;
    }
}

static enum signer_result understand(const uint8_t *answer, size_t len, struct buf *ret,
                                     char ret_why[SIGNER_WHY_BYTES])
{
    struct span rest = span_of(answer + ANSWER_HEAD_BYTES, len - ANSWER_HEAD_BYTES);
    if (answer[NUMBER_BYTES] == SIGNER_SIGNED)
        return buf_append(ret, rest.data, rest.len) == 0 ? SIGNER_SIGNED : SIGNER_GONE;
    snprintf(ret_why, SIGNER_WHY_BYTES, "%.*s", (int)rest.len, (const char *)rest.data);
    return SIGNER_REFUSED;
}

static enum signer_result sign(struct signer *signer, const uint8_t ca[32], const struct signer_request *r,
                               struct buf *ret, char ret_why[SIGNER_WHY_BYTES])
{
    static const uint8_t nothing[CA_SHA256_BYTES];
    static const struct signer_request reload = {.work = SIGNER_LEAF};
    struct signing *s = (struct signing *)signer;
    uint8_t *answer = malloc(PACKET_BYTES);
    enum signer_result result = SIGNER_GONE;
    int64_t until_ms = now_ms() + SIGNER_WAIT_MS;
    struct timespec patience;
    snprintf(ret_why, SIGNER_WHY_BYTES, "the signing process does not answer");
    clock_gettime(CLOCK_REALTIME, &patience);
    patience.tv_sec += SIGNER_WAIT_MS / 1000;
    if (r->certificate.len > SIGNER_CERTIFICATE_MAX_BYTES || !answer ||
        pthread_mutex_timedlock(&s->lock, &patience) != 0) {
        free(answer);
        return SIGNER_GONE;
    }
    if (atomic_exchange(&s->reload, false))
        ask(s, nothing, &reload, until_ms);
    ssize_t n = ask(s, ca, r, until_ms) ? hear(s, answer, PACKET_BYTES, until_ms) : 0;
    if (n == 0)
        start_again(s);
    if (n > 0)
        result = understand(answer, (size_t)n, ret, ret_why);
    pthread_mutex_unlock(&s->lock);
    free(answer);
    return result;
}

/* Only its end of the socket, as descriptor SIGNING_FD, and nothing else of ours. */
static int execute(struct signing *s, int theirs, char *const argv[], struct err *reterr)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    extern char **environ;
    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attributes, &none);
    int error = posix_spawn_file_actions_adddup2(&actions, theirs, SIGNING_FD);
    if (error == 0)
        error = posix_spawn_file_actions_addclosefrom_np(&actions, SIGNING_FD + 1);
    if (error == 0)
        error = posix_spawn(&s->keeper, "/proc/self/exe", &actions, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error ? err_set(reterr, NULL, 0, 0, "the signing process cannot be started: %s", strerror(error))
                 : 0;
}

static int start_keeper(struct signing *s, struct err *reterr)
{
    char program[] = "exeatd", option[] = "--signer";
    char *argv[ARGUMENTS + 1] = {program, option, s->certificate_file, s->key, s->user, NULL};
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return err_set(reterr, NULL, 0, 0, "the signing process cannot be started: %s", strerror(errno));
    s->fd = pair[0];
    int result = execute(s, pair[1], argv, reterr);
    close(pair[1]);
    return result;
}

static void end_keeper(struct signing *s)
{
    if (s->fd >= 0)
        close(s->fd); /* both processes see it */
    s->fd = -1;
    if (s->keeper > 0)
        waitpid(s->keeper, NULL, 0);
    s->keeper = 0;
}

struct signing *signing_start(const char *certificate_file, const char *key, const struct identity *who,
                              struct err *reterr)
{
    struct ca *tried = ca_read_with_key(certificate_file, key, reterr); /* so that a mistake is told now */
    if (!tried)
        return NULL;
    ca_free(tried);
    struct signing *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(reterr, NULL, 0, 0, "no memory"), NULL;
    pthread_mutex_init(&s->lock, NULL);
    s->signer.sign = sign;
    s->fd = -1;
    s->certificate_file = strdup(certificate_file);
    s->key = strdup(key);
    s->user = strdup(who->change ? who->user : "");
    if (s->certificate_file && s->key && s->user && start_keeper(s, reterr) == 0)
        return s;
    err_set(reterr, NULL, 0, 0, "no memory");
    signing_stop(s);
    return NULL;
}

struct signer *signing_signer(struct signing *s)
{
    return s ? &s->signer : NULL;
}

void signing_reload(struct signing *s)
{
    if (s)
        atomic_store(&s->reload, true);
}

void signing_stop(struct signing *take_s)
{
    if (!take_s)
        return;
    end_keeper(take_s);
    pthread_mutex_destroy(&take_s->lock);
    free(take_s->certificate_file);
    free(take_s->key);
    free(take_s->user);
    free(take_s);
}
