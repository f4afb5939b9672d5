/* keeper.c: see keeper.h. */
#include "agent/keeper.h"

#include "base/log.h"
#include "base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    PAUSE_MS = 1000, /* between two starts of the same part */
    END_MS = 10000   /* to end in good order */
};

struct kept {
    pid_t pid; /* 0: none */
    uint32_t starts;
    int64_t started_ms;
};

struct keeper {
    const struct keeper_part *parts;
    void *context;
    int ends[KEEPER_PARTS]; /* of the pair, by whose it is */
    struct kept kept[KEEPER_PARTS];
    sigset_t waited, before;
    bool stopping;
    int status;
};

static pid_t keeper_pid; /* of a part: who must be its parent */

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void keeper_end_together(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (keeper_pid != 0 && getppid() != keeper_pid)
        raise(SIGKILL);
}

/* As if the one that is not there said it. */
static void say(const struct keeper *k, int of)
{
    struct buf out;
    const struct packet p = {.kind = k->parts[of].ended};
    buf_init(&out, PACKET_BYTES_MAX);
    must(packet_write(&out, &p) == 0);
    struct span bytes = buf_span(&out);
    while (send(k->ends[of], bytes.data, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno == EINTR)
        ;
    buf_free(&out);
}

/* In the new process; does not return. */
static void become(struct keeper *k, int which, pid_t parent)
{
    keeper_pid = parent;
    keeper_end_together();
    prctl(PR_SET_NAME, k->parts[which].name);
    close(k->ends[!which]);
    fcntl(k->ends[which], F_SETFL, O_NONBLOCK);
    sigprocmask(SIG_SETMASK, &k->before, NULL);
    exit(k->parts[which].run(k->context, k->ends[which], k->kept[which].starts));
}

static void start(struct keeper *k, int which)
{
    struct kept *it = &k->kept[which];
    pid_t parent = getpid();
    it->started_ms = now_ms();
    fflush(NULL);
    it->pid = fork();
    if (it->pid == 0)
        become(k, which, parent);
    if (it->pid < 0) {
        it->pid = 0;
        log_error("agent", "%s cannot be started: error %d", k->parts[which].name, errno);
    }
    it->starts++;
}

static void kill_all(const struct keeper *k, int number)
{
    for (int i = 0; i < KEEPER_PARTS; i++)
        if (k->kept[i].pid > 0)
            kill(k->kept[i].pid, number);
}

static void stop(struct keeper *k, int status)
{
    if (!k->stopping)
        k->status = status;
    k->stopping = true;
    kill_all(k, SIGTERM);
}

static void take_end(struct keeper *k, int which, int how)
{
    k->kept[which].pid = 0;
    if (k->stopping)
        return;
    if (WIFEXITED(how)) {
        stop(k, WEXITSTATUS(how));
        return;
    }
    log_error("agent", "%s was ended by signal %d; another is started", k->parts[which].name, WTERMSIG(how));
    say(k, which);
}

static void reap(struct keeper *k)
{
    int how;
    for (pid_t pid; (pid = waitpid(-1, &how, WNOHANG)) > 0;)
        for (int i = 0; i < KEEPER_PARTS; i++)
            if (k->kept[i].pid == pid)
                take_end(k, i, how);
}

/* How long until one is to be started: -1, nothing is to be. */
static int64_t start_due(struct keeper *k)
{
    int64_t next = -1, now = now_ms();
    for (int i = 0; i < KEEPER_PARTS && !k->stopping; i++) {
        const struct kept *it = &k->kept[i];
        int64_t left = it->starts == 0 ? 0 : it->started_ms + PAUSE_MS - now;
        if (it->pid > 0)
            continue;
        if (left <= 0)
            start(k, i);
        else if (next < 0 || left < next)
            next = left;
    }
    return next;
}

static void wait_signal(struct keeper *k, int64_t most_ms)
{
    const struct timespec most = {.tv_sec = most_ms / 1000, .tv_nsec = most_ms % 1000 * 1000000};
    int got = most_ms < 0 ? sigwaitinfo(&k->waited, NULL) : sigtimedwait(&k->waited, NULL, &most);
    if (got == SIGTERM || got == SIGINT)
        stop(k, 0);
    else if (got < 0 && errno == EAGAIN && k->stopping)
        kill_all(k, SIGKILL);
}

static bool is_over(const struct keeper *k)
{
    return k->stopping && k->kept[KEEPER_COLLECTOR].pid == 0 && k->kept[KEEPER_ANSWERER].pid == 0;
}

int keeper_keep(const struct keeper_part parts[KEEPER_PARTS], void *context)
{
    struct keeper k = {.parts = parts, .context = context};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, k.ends) != 0)
        return 1;
    sigemptyset(&k.waited);
    sigaddset(&k.waited, SIGCHLD);
    sigaddset(&k.waited, SIGTERM);
    sigaddset(&k.waited, SIGINT);
    sigprocmask(SIG_BLOCK, &k.waited, &k.before);
    while (!is_over(&k)) {
        int64_t due = start_due(&k);
        wait_signal(&k, k.stopping ? END_MS : due);
        reap(&k);
    }
    sigprocmask(SIG_SETMASK, &k.before, NULL);
    close(k.ends[0]);
    close(k.ends[1]);
    return k.status;
}
