/* daemon.c: see daemon.h. */
#include "agent/daemon.h"

#include "base/must.h"

#include <errno.h>
#include <stdbool.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

int daemon_find_user(const char *name, struct daemon_user *ret, struct err *reterr)
{
    const struct passwd *p = getpwnam(name);
    if (!p)
        return err_set(reterr, NULL, 0, 0, "no user is named %s", name);
    *ret = (struct daemon_user){p->pw_uid, p->pw_gid};
    return 0;
}

static int folder_of(const char *path, char *out, size_t size, struct err *reterr)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash == path ? 1 : slash ? (size_t)(slash - path) : 0;
    if (path[0] != '/' || len >= size || strlen(path) >= sizeof((struct sockaddr_un *)NULL)->sun_path - 5)
        return err_set(reterr, path, 0, 0, "the socket needs an absolute path of at most %zu bytes",
                       sizeof((struct sockaddr_un *)NULL)->sun_path - 6);
    memcpy(out, path, len);
    out[len] = 0;
    return 0;
}

int daemon_make_folder(const char *socket_path, uid_t owner, gid_t group, struct err *reterr)
{
    char folder[256];
    struct stat st;
    if (folder_of(socket_path, folder, sizeof folder, reterr) != 0)
        return -1;
    bool made = mkdir(folder, 0750) == 0;
    if (!made && errno != EEXIST)
        return err_set(reterr, folder, 0, 0, "the folder cannot be made: %s", strerror(errno));
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        int error = errno;
        if (fd >= 0)
            close(fd);
        return err_set(reterr, folder, 0, 0, "not a folder: %s", strerror(error));
    }
    int result = 0;
    bool ours = made || st.st_uid == owner;
    if (made && (fchown(fd, owner, group) != 0 || fchmod(fd, 0750) != 0))
        result = err_set(reterr, folder, 0, 0, "cannot be given to its owner: %s", strerror(errno));
    else if (!made && ((!ours && st.st_uid != 0) || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0))
        result =
            err_set(reterr, folder, 0, 0, "others can write in this folder: the socket could be replaced");
    else if (!made && !ours)
        result = err_set(reterr, folder, 0, 0, "belongs to root, and the agent is to run as another user");
    close(fd);
    return result;
}

int daemon_make_state(const char *folder, uid_t owner, gid_t group, struct err *reterr)
{
    struct stat st;
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return err_set(reterr, folder, 0, 0, "the folder cannot be made: %s", strerror(errno));
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        int error = errno;
        if (fd >= 0)
            close(fd);
        return err_set(reterr, folder, 0, 0, "not a folder: %s", strerror(error));
    }
    int result = 0;
    if (st.st_uid != owner && st.st_uid != geteuid())
        result = err_set(reterr, folder, 0, 0, "belongs to somebody else");
    else if ((st.st_uid != owner && fchown(fd, owner, group) != 0) || fchmod(fd, 0700) != 0)
        result = err_set(reterr, folder, 0, 0, "cannot be given to its owner: %s", strerror(errno));
    close(fd);
    return result;
}

/* What the collector needs, or nothing. What the system did not give us in the first place cannot be kept. */
static int set_capabilities(bool keep)
{
    static const cap_value_t needed[] = {CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH};
    cap_t had = cap_get_proc(), caps = cap_init();
    int result = had && caps ? 0 : -1;
    for (size_t i = 0; keep && result == 0 && i < ARRAY_LEN(needed); i++) {
        cap_flag_value_t has = CAP_CLEAR;
        cap_get_flag(had, needed[i], CAP_PERMITTED, &has);
        result = has == CAP_CLEAR ? 0
                                  : cap_set_flag(caps, CAP_PERMITTED, 1, &needed[i], CAP_SET) |
                                        cap_set_flag(caps, CAP_EFFECTIVE, 1, &needed[i], CAP_SET);
    }
    if (result == 0)
        result = cap_set_proc(caps);
    cap_free(had);
    cap_free(caps);
    return result;
}

static int become(const char *name, const struct daemon_user *user, struct err *reterr)
{
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0 || initgroups(name, user->gid) != 0 ||
        setresgid(user->gid, user->gid, user->gid) != 0 || setresuid(user->uid, user->uid, user->uid) != 0)
        return err_set(reterr, NULL, 0, 0, "cannot become %s: %s", name, strerror(errno));
    return 0;
}

int daemon_drop_privileges(const char *name, const struct daemon_user *user, bool keep, struct err *reterr)
{
    bool root = geteuid() == 0;
    for (int i = 0; root && !keep && prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++)
        prctl(PR_CAPBSET_DROP, i, 0, 0, 0); /* needs CAP_SETPCAP; what follows holds without */
    if (name && user->uid != geteuid() && become(name, user, reterr) != 0)
        return -1;
    if ((root || !keep) && set_capabilities(keep) != 0)
        return err_set(reterr, NULL, 0, 0, "cannot change capabilities: %s", strerror(errno));
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || (user->uid != 0 && setuid(0) == 0))
        return err_set(reterr, NULL, 0, 0, "privileges could be had again");
    return 0;
}

int daemon_borrow_user(const struct daemon_user *user, struct err *reterr)
{
    uid_t uid = geteuid();
    if (uid == user->uid || (setegid(user->gid) == 0 && seteuid(user->uid) == 0))
        return 0;
    return err_set(reterr, NULL, 0, 0, "cannot become another user: %s", strerror(errno));
}

void daemon_give_back_user(uid_t uid, gid_t gid)
{
    must(geteuid() == uid || (seteuid(uid) == 0 && setegid(gid) == 0));
}

static int take_lock(const char *socket_path, struct err *reterr)
{
    char path[256];
    snprintf(path, sizeof path, "%s.lock", socket_path);
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(reterr, path, 0, 0, "the lock cannot be opened: %s", strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        close(fd);
        return err_set(reterr, socket_path, 0, 0, "another agent is serving this socket");
    }
    return fd;
}

static int bind_socket(const char *socket_path, bool shared, struct err *reterr)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat st;
    snprintf(address.sun_path, sizeof address.sun_path, "%s", socket_path);
    if (lstat(socket_path, &st) == 0 && (!S_ISSOCK(st.st_mode) || unlink(socket_path) != 0))
        return err_set(reterr, socket_path, 0, 0, "is in the way and no dead agent's socket");
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t before = umask(0177);
    int bound = fd < 0 ? -1 : bind(fd, (struct sockaddr *)&address, sizeof address);
    int error = errno;
    umask(before);
    if (bound == 0 && shared &&
        chmod(socket_path, 0666) != 0) { /* the folder's group is the gate, SO_PEERCRED the guard */
        bound = -1;
        error = errno;
    }
    if (bound == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return err_set(reterr, socket_path, 0, 0, "cannot be bound: %s", strerror(error));
}

int daemon_bind(const char *socket_path, bool shared, int *ret_lock, struct err *reterr)
{
    char folder[256];
    if (folder_of(socket_path, folder, sizeof folder, reterr) != 0)
        return -1;
    int lock = take_lock(socket_path, reterr);
    if (lock < 0)
        return -1;
    int fd = bind_socket(socket_path, shared, reterr);
    if (fd < 0) {
        close(lock);
        return -1;
    }
    *ret_lock = lock;
    return fd;
}
