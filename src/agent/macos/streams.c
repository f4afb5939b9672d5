/* streams.c: see streams.h. */
#include "agent/macos/streams.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TURN_BYTES = 1024 * 1024 };

struct stream {
    const char *const *command; /* borrowed; NULL: not wanted */
    int fd;                     /* owned; -1: it does not run */
    pid_t pid;
    char *line; /* owned: STREAMS_LINE_BYTES, of which `len` are read */
    size_t len;
    bool too_long; /* the rest of this line is dropped, too */
    int64_t retry_ms;
};

struct streams {
    struct intake *intake; /* borrowed */
    struct stream streams[INTAKE_STREAMS];
};

struct streams *streams_new(struct intake *in, const char *const *const commands[INTAKE_STREAMS])
{
    struct streams *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->intake = in;
    for (int i = 0; i < INTAKE_STREAMS; i++) {
        s->streams[i] = (struct stream){.command = commands[i], .fd = -1, .line = malloc(STREAMS_LINE_BYTES)};
        if (!s->streams[i].line)
            s->streams[i].command = NULL;
    }
    return s;
}

/* ---- programs ---- */

static void end(struct stream *s)
{
    close(s->fd);
    s->fd = -1;
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
}

void streams_free(struct streams *s)
{
    for (int i = 0; s && i < INTAKE_STREAMS; i++) {
        if (s->streams[i].fd >= 0)
            end(&s->streams[i]);
        free(s->streams[i].line);
    }
    free(s);
}

/* It gets the pipe and nothing else that is open here. */
static int spawn(const char *const *command, int out, pid_t *ret_pid)
{
    static char path[] = "PATH=/usr/bin:/bin:/usr/sbin:/sbin";
    char *environment[] = {path, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    if (posix_spawn_file_actions_init(&actions) != 0)
        return -1;
    if (posix_spawnattr_init(&attributes) != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return -1;
    }
    int result = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0) |
                 posix_spawn_file_actions_adddup2(&actions, out, 1) |
                 posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
#ifdef POSIX_SPAWN_CLOEXEC_DEFAULT
    result |= posix_spawnattr_setflags(&attributes, POSIX_SPAWN_CLOEXEC_DEFAULT);
#endif
    if (result == 0)
        result = posix_spawn(ret_pid, command[0], &actions, &attributes, (char *const *)(uintptr_t)command,
                             environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return result == 0 ? 0 : -1;
}

static void begin(struct stream *s)
{
    int ends[2];
    if (pipe(ends) != 0)
        return;
    bool good = fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0 && fcntl(ends[0], F_SETFD, FD_CLOEXEC) == 0 &&
                spawn(s->command, ends[1], &s->pid) == 0;
    close(ends[1]);
    if (!good) {
        close(ends[0]);
        return;
    }
    s->fd = ends[0];
    s->len = 0;
    s->too_long = false;
}

/* ---- lines ---- */

/* What was read, line by line; a piece of one stays. */
static void take_lines(struct streams *all, enum intake_stream which, int64_t now_ms)
{
    struct stream *s = &all->streams[which];
    char *at = s->line, *line_end;
    size_t left = s->len;
    while ((line_end = memchr(at, '\n', left))) {
        size_t len = (size_t)(line_end - at);
        if (!s->too_long) {
            intake_running(all->intake, which, true);
            intake_take(all->intake, which, span_of(at, len), now_ms);
        }
        s->too_long = false;
        at += len + 1;
        left -= len + 1;
    }
    if (left == STREAMS_LINE_BYTES || s->too_long) {
        if (!s->too_long)
            intake_lose(all->intake, 1);
        s->too_long = true;
        left = 0;
    }
    memmove(s->line, at, left);
    s->len = left;
}

static void read_some(struct streams *all, enum intake_stream which, int64_t now_ms)
{
    struct stream *s = &all->streams[which];
    for (size_t taken = 0; taken < TURN_BYTES;) {
        ssize_t n = read(s->fd, s->line + s->len, STREAMS_LINE_BYTES - s->len);
        if (n < 0)
            return; /* nothing more now; a signal: soon again */
        if (n == 0) {
            end(s);
            s->retry_ms = now_ms + STREAMS_RETRY_MS;
            intake_running(all->intake, which, false);
            intake_lose(all->intake, 1);
            return;
        }
        s->len += (size_t)n;
        taken += (size_t)n;
        take_lines(all, which, now_ms);
    }
}

void streams_fds(const struct streams *s, int ret[INTAKE_STREAMS])
{
    for (int i = 0; i < INTAKE_STREAMS; i++)
        ret[i] = s->streams[i].fd;
}

void streams_turn(struct streams *s, int64_t now_ms)
{
    for (int i = 0; i < INTAKE_STREAMS; i++) {
        struct stream *one = &s->streams[i];
        if (one->fd < 0 && one->command && now_ms >= one->retry_ms) {
            one->retry_ms = now_ms + STREAMS_RETRY_MS;
            begin(one);
        }
        if (one->fd >= 0)
            read_some(s, (enum intake_stream)i, now_ms);
    }
}
