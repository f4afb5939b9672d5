/* child.c: see child.h. */
#include "cmd/child.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOOK_MS = 20, EXIT_NOT_STARTED = 127 };

static bool try_program(const char *folder, size_t folder_len, const char *name, char ret[CHILD_PATH_BYTES])
{
    int len = snprintf(ret, CHILD_PATH_BYTES, "%.*s/%s", (int)folder_len, folder, name);
    return len > 0 && len < CHILD_PATH_BYTES && access(ret, X_OK) == 0;
}

int child_find_program(const char *name, char ret[CHILD_PATH_BYTES], struct err *reterr)
{
    char self[CHILD_PATH_BYTES];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    if (len > 0) {
        self[len] = '\0';
        char *slash = strrchr(self, '/');
        if (slash && try_program(self, (size_t)(slash - self), name, ret))
            return 0;
    }
    const char *path = getenv("PATH");
    for (const char *at = path ? path : ""; *at;) {
        size_t n = strcspn(at, ":");
        if (n > 0 && try_program(at, n, name, ret))
            return 0;
        at += n + (at[n] == ':');
    }
    return err_set(reterr, NULL, 0, 0, "the program %s is neither beside this one nor in PATH", name);
}

/* After fork(): what must be right before exec. */
static void become(const char *path, char *const argv[], char *environment, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() == parent && (!environment || putenv(environment) == 0)) {
        sigprocmask(SIG_SETMASK, &none, NULL);
        execv(path, argv);
        fprintf(stderr, "exeat: %s: %s\n", path, strerror(errno));
    }
    _exit(EXIT_NOT_STARTED);
}

int child_start(struct child *c, const char *path, char *const argv[], char *environment, struct err *reterr)
{
    pid_t parent = getpid(), pid = fork();
    if (pid < 0)
        return err_set(reterr, path, 0, 0, "cannot be started: %s", strerror(errno));
    if (pid == 0)
        become(path, argv, environment, parent);
    setpgid(pid, pid); /* whoever comes first */
    c->pid = pid;
    return 0;
}

bool child_has_ended(struct child *c)
{
    if (c->pid > 0 && !c->ended && waitpid(c->pid, &c->status, WNOHANG) == c->pid)
        c->ended = true;
    return c->ended || c->pid == 0;
}

void child_signal(const struct child *c, int number)
{
    if (c->pid > 0 && !c->ended)
        kill(c->pid, number);
}

const char *child_describe_end(const struct child *c)
{
    static char text[96];
    if (WIFSIGNALED(c->status))
        snprintf(text, sizeof text, "was killed by signal %d (%s)", WTERMSIG(c->status),
                 strsignal(WTERMSIG(c->status)));
    else
        snprintf(text, sizeof text, "ended with status %d", WEXITSTATUS(c->status));
    return text;
}

void child_end(struct child *c, unsigned grace_ms)
{
    child_signal(c, SIGTERM);
    for (unsigned waited = 0; !child_has_ended(c) && waited < grace_ms; waited += LOOK_MS)
        usleep(LOOK_MS * 1000);
    while (!child_has_ended(c)) {
        child_signal(c, SIGKILL);
        usleep(LOOK_MS * 1000);
    }
}
