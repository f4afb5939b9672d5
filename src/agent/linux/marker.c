/* marker.c: see marker.h. */
#include "agent/linux/marker.h"

#include "agent/linux/confine.h"
#include "agent/linux/rooted.h"
#include "base/must.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/capability.h>
#include <sys/fanotify.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WAIT_MS = 5000 };

struct marker {
    int fd; /* owned; -1: it does not answer any more */
    pid_t pid;
};

/* ---- in the process of its own ---- */

struct marking {
    int fanotify_fd, count;
};

static void mark_one(void *context, int fd, const char *path)
{
    struct marking *m = context;
    char link[40];
    (void)path;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    m->count += fanotify_mark(m->fanotify_fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_CLOSE_WRITE, AT_FDCWD,
                              link) == 0;
}

static int mark_all(int fanotify_fd, int64_t pid)
{
    struct marking m = {fanotify_fd, 0};
    struct rooted r;
    if (!rooted_open(pid, &r))
        return 0;
    rooted_each_mount(&r, mark_one, &m);
    rooted_close(&r);
    return m.count;
}

static int keep_one_right(void)
{
    static const cap_value_t needed[] = {CAP_SYS_ADMIN, CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH};
    cap_t caps = cap_init();
    int result = caps ? 0 : -1;
    for (int i = 0; prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++)
        prctl(PR_CAPBSET_DROP, i, 0, 0, 0); /* needs CAP_SETPCAP; what follows holds without */
    if (result == 0)
        result = cap_set_flag(caps, CAP_PERMITTED, ARRAY_LEN(needed), needed, CAP_SET) |
                 cap_set_flag(caps, CAP_EFFECTIVE, ARRAY_LEN(needed), needed, CAP_SET) | cap_set_proc(caps);
    cap_free(caps);
    return result | prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) | prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/* Does not return. What it inherited but these two is closed. */
static void serve(int fd, int fanotify_fd)
{
    int64_t pid;
    prctl(PR_SET_NAME, "exeat-marker");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int other = 3, most = getdtablesize(); other < most; other++)
        if (other != fd && other != fanotify_fd)
            close(other);
    bool confined = keep_one_right() == 0 && confine_marker() == 0;
    while (confined && recv(fd, &pid, sizeof pid, 0) == sizeof pid) {
        int count = mark_all(fanotify_fd, pid);
        if (send(fd, &count, sizeof count, MSG_NOSIGNAL) != sizeof count)
            break;
    }
    _exit(0);
}

/* ---- in the collector ---- */

struct marker *marker_new(int fanotify_fd)
{
    int ends[2];
    struct marker *m = calloc(1, sizeof *m);
    if (!m || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        free(m);
        return NULL;
    }
    m->fd = ends[0];
    m->pid = fork();
    if (m->pid == 0)
        serve(ends[1], fanotify_fd);
    close(ends[1]);
    if (m->pid > 0 && marker_mark(m, getpid()) > 0)
        return m;
    marker_free(m);
    return NULL;
}

void marker_free(struct marker *m)
{
    if (!m)
        return;
    if (m->fd >= 0)
        close(m->fd); /* it ends with that */
    if (m->pid > 0)
        waitpid(m->pid, NULL, WNOHANG);
    free(m);
}

int marker_mark(struct marker *m, int64_t pid)
{
    struct pollfd answered = {.fd = m->fd, .events = POLLIN};
    int count;
    if (m->fd < 0)
        return -1;
    if (send(m->fd, &pid, sizeof pid, MSG_NOSIGNAL) == sizeof pid && poll(&answered, 1, WAIT_MS) == 1 &&
        recv(m->fd, &count, sizeof count, 0) == sizeof count)
        return count;
    close(m->fd); /* a late answer would be taken for another question's */
    m->fd = -1;
    return -1;
}
