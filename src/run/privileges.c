/* privileges.c: see privileges.h. */
#include "run/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define LEAK_CHECKED 1 /* the leak checker must be able to trace the process */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LEAK_CHECKED 1
#endif
#endif
#ifndef LEAK_CHECKED
#define LEAK_CHECKED 0
#endif

int privileges_find(const char *user, const char *group, const char *config_file, struct identity *ret,
                    struct err *reterr)
{
    struct identity who = {.uid = geteuid(), .gid = getegid()};
    if (who.uid != 0) {
        *ret = who; /* a start by systemd's User=, or by hand: there is nothing to drop */
        return 0;
    }
    if (!user) {
        *ret = who;
        return 0; /* as configured; the daemon warns */
    }
    const struct passwd *p = getpwnam(user);
    if (!p)
        return err_set(reterr, config_file, 0, 0, "process.user: there is no user %s", user);
    who = (struct identity){.change = true, .uid = p->pw_uid, .gid = p->pw_gid};
    snprintf(who.user, sizeof who.user, "%s", user);
    if (who.uid == 0)
        return err_set(reterr, config_file, 0, 0, "process.user: %s is root by another name", user);
    if (group) {
        const struct group *g = getgrnam(group);
        if (!g)
            return err_set(reterr, config_file, 0, 0, "process.group: there is no group %s", group);
        who.gid = g->gr_gid;
    }
    *ret = who;
    return 0;
}

int privileges_make_folder(const char *path, const struct identity *who, struct err *reterr)
{
    bool made = mkdir(path, 0750) == 0;
    if (!made && errno != EEXIST)
        return err_set(reterr, path, 0, 0, "this folder cannot be made: %s", strerror(errno));
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        int error = errno;
        if (fd >= 0)
            close(fd);
        return err_set(reterr, path, 0, 0, "this folder cannot be used: %s", strerror(error));
    }
    int result = 0;
    if (made && who->change && fchown(fd, who->uid, who->gid) != 0)
        result = err_set(reterr, path, 0, 0, "this folder cannot be given to its user: %s", strerror(errno));
    else if (!made && (st.st_mode & 002) && !(st.st_mode & S_ISVTX))
        result = err_set(reterr, path, 0, 0, "everyone may write to this folder: make it 0750");
    close(fd);
    return result;
}

unsigned long privileges_raise_descriptors(unsigned long wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 1024;
    rlim_t before = limit.rlim_cur;
    if (limit.rlim_max < wanted && geteuid() == 0) {
        struct rlimit more = {wanted, wanted};
        if (setrlimit(RLIMIT_NOFILE, &more) == 0)
            return wanted;
    }
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : before;
}

int privileges_drop(const struct identity *who, struct err *reterr)
{
    int parent_death_signal = 0;
    pid_t parent = getppid();
    prctl(PR_GET_PDEATHSIG, &parent_death_signal);
    if (who->change) {
        if (initgroups(who->user, who->gid) != 0 || setresgid(who->gid, who->gid, who->gid) != 0 ||
            setresuid(who->uid, who->uid, who->uid) != 0)
            return err_set(reterr, NULL, 0, 0, "cannot become user %s: %s", who->user, strerror(errno));
        if (setuid(0) == 0)
            return err_set(reterr, NULL, 0, 0, "the change to user %s can be undone", who->user);
    }
    /* the kernel forgets it when the user changes, and `exeat run` counts on it */
    if (parent_death_signal && (prctl(PR_SET_PDEATHSIG, parent_death_signal) != 0 || getppid() != parent))
        return err_set(reterr, NULL, 0, 0, "the program that started exeatd is gone");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return err_set(reterr, NULL, 0, 0, "PR_SET_NO_NEW_PRIVS: %s", strerror(errno));
    if (!LEAK_CHECKED && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return err_set(reterr, NULL, 0, 0, "PR_SET_DUMPABLE: %s", strerror(errno));
    return 0;
}

int privileges_lock_pid_file(const char *path, struct err *reterr)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return err_set(reterr, path, 0, 0, "the pid file cannot be used: %s", strerror(errno));
    char text[32] = "";
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int error = errno;
        ssize_t n = pread(fd, text, sizeof text - 1, 0);
        text[n > 0 ? n : 0] = '\0';
        text[strcspn(text, "\n")] = '\0';
        close(fd);
        if (error == EWOULDBLOCK)
            return err_set(reterr, path, 0, 0, "another exeatd is running (pid %s)",
                           text[0] ? text : "unknown");
        return err_set(reterr, path, 0, 0, "the pid file cannot be locked: %s", strerror(error));
    }
    int len = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)len, 0) == len)
        return fd;
    int error = errno;
    close(fd);
    return err_set(reterr, path, 0, 0, "the pid file cannot be written: %s", strerror(error));
}
