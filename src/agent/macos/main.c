/* main.c: exeat-agent of macOS: the plain core behind a Unix socket, one thread and poll(2). Root and the agent's own user may ask.
 * Exit: 0 ended by a signal, 1 could not start, 2 usage. Untested on a Mac: type-checked and linked only. */
#include "agent/macos/platform_macos.h"
#include "agent/plain/plain.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <fcntl.h>

enum { LINKS_MAX = 16, READ_BYTES = 16384, BACKLOG = 16, TURN_MS = 1000 };

static const char help[] =
    "exeat-agent: tells a local Exeat proxy which process is behind a connection\n"
    "\n"
    "usage: exeat-agent --socket PATH\n"
    "\n"
    "  --socket PATH   where the proxy connects, in a folder that nobody else can write\n"
    "  --version, --help\n";

struct instance {
    int fd; /* owned; -1: free */
    struct plain_link *link;
};

static struct instance instances[LINKS_MAX];
static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    stopped = number;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void end_link(struct instance *i)
{
    plain_link_close(i->link);
    close(i->fd);
    i->fd = -1;
}

static void take_peer(struct plain *core, int listener)
{
    uid_t uid;
    gid_t gid;
    int fd = accept(listener, NULL, NULL);
    size_t free_one = 0;
    while (free_one < LINKS_MAX && instances[free_one].fd >= 0)
        free_one++;
    bool good = fd >= 0 && free_one < LINKS_MAX && getpeereid(fd, &uid, &gid) == 0 &&
                (uid == 0 || uid == geteuid()) && fcntl(fd, F_SETFL, O_NONBLOCK) == 0;
    struct plain_link *link = good ? plain_link_open(core, (int64_t)uid, 0) : NULL;
    if (link)
        instances[free_one] = (struct instance){fd, link};
    else if (fd >= 0)
        close(fd);
}

static void move(struct instance *i, short events)
{
    static uint8_t in[READ_BYTES];
    struct buf *out = plain_link_out(i->link);
    ssize_t n = events & (POLLIN | POLLHUP | POLLERR) ? read(i->fd, in, sizeof in) : 1;
    bool good = n > 0;
    if (good && events & POLLIN)
        good = plain_link_take(i->link, span_of(in, (size_t)n), now_ms()) == 0;
    if (good && buf_len(out) > 0 && events & POLLOUT) {
        n = write(i->fd, buf_span(out).data, buf_len(out));
        good = n > 0;
        buf_consume(out, n > 0 ? (size_t)n : 0);
    }
    if (!good)
        end_link(i);
}

static void serve(struct plain *core, int listener)
{
    struct pollfd polled[LINKS_MAX + 1 + INTAKE_STREAMS];
    int streams[INTAKE_STREAMS];
    while (!stopped) {
        platform_macos_turn(plain_platform(core), now_ms());
        platform_macos_fds(plain_platform(core), streams);
        for (int i = 0; i < INTAKE_STREAMS; i++) /* poll() passes over what is -1 */
            polled[LINKS_MAX + 1 + i] = (struct pollfd){.fd = streams[i], .events = POLLIN};
        int wait_ms = plain_turn(core, now_ms());
        wait_ms = wait_ms < 0 || wait_ms > TURN_MS ? TURN_MS : wait_ms;
        polled[LINKS_MAX] = (struct pollfd){.fd = listener, .events = POLLIN};
        for (int i = 0; i < LINKS_MAX; i++) {
            bool writes = instances[i].fd >= 0 && buf_len(plain_link_out(instances[i].link)) > 0;
            polled[i] =
                (struct pollfd){.fd = instances[i].fd, .events = (short)(POLLIN | (writes ? POLLOUT : 0))};
        }
        if (poll(polled, LINKS_MAX + 1 + INTAKE_STREAMS, wait_ms) < 0)
            continue; /* a signal */
        for (int i = 0; i < LINKS_MAX; i++)
            if (polled[i].fd >= 0 && polled[i].revents)
                move(&instances[i], polled[i].revents);
        if (polled[LINKS_MAX].revents)
            take_peer(core, listener);
    }
}

/* Others must not be able to put theirs in its place. */
static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat folder;
    char above[sizeof address.sun_path];
    if (path[0] != '/' || strlen(path) >= sizeof address.sun_path)
        return -1;
    memcpy(address.sun_path, path, strlen(path));
    memcpy(above, address.sun_path, sizeof above);
    *strrchr(above, '/') = '\0';
    if (stat(above[0] ? above : "/", &folder) != 0 || (folder.st_mode & (S_IWGRP | S_IWOTH)) ||
        (folder.st_uid != 0 && folder.st_uid != geteuid()))
        return -1;
    unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && chmod(path, 0600) == 0 &&
        listen(fd, BACKLOG) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

int main(int argc, char **argv)
{
    const char *error = "the socket cannot be listened on";
    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return fputs(help, stdout) < 0;
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return puts("exeat-agent " EXEAT_VERSION) < 0;
    if (argc != 3 || strcmp(argv[1], "--socket") != 0) {
        fprintf(stderr, "%s", help);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    for (int i = 0; i < LINKS_MAX; i++)
        instances[i].fd = -1;
    int listener = listen_at(argv[2]);
    struct plain *core = listener >= 0 ? plain_new(NULL, &error) : NULL;
    if (!core) {
        fprintf(stderr, "exeat-agent: %s: %s\n", argv[2], error);
        return 1;
    }
    serve(core, listener);
    for (int i = 0; i < LINKS_MAX; i++)
        if (instances[i].fd >= 0)
            end_link(&instances[i]);
    plain_free(core);
    close(listener);
    unlink(argv[2]);
    return 0;
}
