/* observer.c: see observer.h. What happened first is taken first: forks and executions before files, so that a process that did
 * something is known. A question takes in what is waiting, up to a bound: what came before a connection is told with it. */
#include "agent/linux/observer.h"

#include "agent/archive.h"
#include "agent/history.h"
#include "agent/linux/exec.h"
#include "agent/linux/files.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { RECORDS_A_TURN = 512, FILES_A_TURN = 32, AGE_EVERY_MS = 10000 };

struct observer {
    struct history *history;  /* owned, like the next two */
    struct exec_watch *execs; /* NULL: why_no_execs says why, like the other */
    struct file_watch *files;
    char why_no_execs[EXEC_WHY_BYTES], why_no_files[FILES_WHY_BYTES];
    int epollfd; /* owned */
    int procfd;  /* borrowed */
    int64_t aged_ms;
    uint64_t lost_said;
};

/* ---- begin and end ---- */

struct observer *observer_new(const struct history_options *options)
{
    struct observer *o = calloc(1, sizeof *o);
    struct globs *globs = calloc(1, sizeof *globs);
    if (o)
        o->history = history_new(options->depth, (int64_t)options->window_s * 1000);
    if (!globs || !o || !o->history) {
        free(globs);
        free(o);
        return NULL;
    }
    if (!options->no_default_watches)
        globs_add_defaults(globs);
    for (size_t i = 0; i < options->watch_count; i++)
        globs_add_text(globs, options->watches[i]);
    if (options->no_bpf)
        snprintf(o->why_no_execs, sizeof o->why_no_execs,
                 "history: processes are not followed: told to go without BPF");
    else
        o->execs = exec_watch_new(o->why_no_execs);
    o->files = file_watch_new(globs, o->why_no_files);
    o->epollfd = o->procfd = -1;
    free(globs);
    return o;
}

void observer_free(struct observer *o)
{
    if (!o)
        return;
    history_free(o->history);
    exec_watch_free(o->execs);
    file_watch_free(o->files);
    if (o->epollfd >= 0)
        close(o->epollfd);
    free(o);
}

static void poll_fd(const struct observer *o, int fd)
{
    struct epoll_event e = {.events = EPOLLIN};
    if (epoll_ctl(o->epollfd, EPOLL_CTL_ADD, fd, &e) != 0)
        log_warning("history", "a source cannot be waited for: it is looked at every second");
}

static void note_archiver(struct observer *o, const struct executed *e)
{
    struct history_seen seen = {.kind = AGENT_HISTORY_EXEC_ARCHIVER,
                                .class_name = archiver_kind(e->path, e->arguments),
                                .path = e->path,
                                .bytes = -1};
    if (seen.class_name)
        history_see(o->history, e->id.pid, &seen, e->now_ms);
}

static void on_executed(void *context, const struct executed *e)
{
    note_archiver(context, e);
}

void observer_begin(struct observer *o, int procfd)
{
    o->procfd = procfd;
    o->epollfd = epoll_create1(EPOLL_CLOEXEC);
    if (o->execs) {
        exec_watch_begin(o->execs, o->history, on_executed, o);
        poll_fd(o, exec_watch_fd(o->execs));
    } else {
        exec_learn_all(o->history, procfd);
        history_cannot_see(o->history, AGENT_HISTORY_EXEC_ARCHIVER);
    }
    if (o->files) {
        int fds[2];
        file_watch_fds(o->files, fds);
        poll_fd(o, fds[0]);
        poll_fd(o, fds[1]);
    } else {
        history_cannot_see(o->history, AGENT_HISTORY_ARCHIVE_WRITTEN);
        history_cannot_see(o->history, AGENT_HISTORY_SENSITIVE_ACCESS);
    }
    history_cannot_see(o->history, AGENT_HISTORY_TLS_LIBRARY);
    history_cannot_see(o->history, AGENT_HISTORY_CRYPTO_LIBRARY);
    history_cannot_see(o->history, AGENT_HISTORY_SYMMETRIC_OUTSIDE_TLS);
    history_cannot_see(o->history, AGENT_HISTORY_PUBLIC_KEY_OUTSIDE_TLS);
}

size_t observer_degraded(const struct observer *o, const char *ret[OBSERVER_SENTENCES_MAX])
{
    size_t count = 0;
    if (!o->execs)
        ret[count++] = o->why_no_execs;
    if (!o->files)
        ret[count++] = o->why_no_files;
    return count;
}

/* ---- turns ---- */

static void learn(void *context, int64_t pid)
{
    struct observer *o = context;
    exec_learn(o->history, o->procfd, pid);
}

static void say_losses(struct observer *o)
{
    uint64_t events = o->execs ? exec_watch_lost(o->execs) : 0,
             files = o->files ? file_watch_lost(o->files) : 0;
    history_lose(o->history, events, files);
    if (events + files <= o->lost_said)
        return;
    log_warning("history", "missed so far: %llu events of processes, %llu times some of files",
                (unsigned long long)events, (unsigned long long)files);
    o->lost_said = (events + files) * 2; /* not for each of a flood */
}

static void take_some(struct observer *o)
{
    if (o->execs)
        exec_watch_turn(o->execs, RECORDS_A_TURN);
    if (o->files)
        file_watch_turn(o->files, o->history, FILES_A_TURN, learn, o);
}

int observer_fd(const struct observer *o)
{
    return o->epollfd;
}

void observer_turn(struct observer *o)
{
    int64_t now_ms = exec_now_ms();
    take_some(o);
    if (now_ms - o->aged_ms < AGE_EVERY_MS)
        return;
    o->aged_ms = now_ms;
    history_age(o->history, now_ms);
    say_losses(o);
}

void observer_walk(struct observer *o)
{
    if (o->files)
        file_watch_walk(o->files);
}

bool observer_ask(struct observer *o, const struct sender *s, struct agent_history *ret)
{
    struct history_id id = {s->pid, s->start_ticks};
    take_some(o);
    if (!history_knows(o->history, id.pid))
        learn(o, id.pid);
    say_losses(o);
    history_ask(o->history, &id, exec_now_ms(), ret);
    history_connect(o->history, &id);
    return true;
}
