/* files.c: see files.h. Paths are those that the kernel gives for the descriptor that comes with an event; content is read from
 * that descriptor, so a rename or an unlink after the close changes nothing. */
#include "agent/linux/files.h"

#include "agent/archive.h"
#include "agent/linux/exec.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/magic.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <dirent.h>
#include <unistd.h>

enum { MARKS_MAX = 8192, WALK_DEPTH_MAX = 8, EVENTS_AT_ONCE = 32, PATH_BYTES = 4096 };

/* Seen by our mark, yet under a path that none of the globs names: renamed, or a hard link. */
static const char moved_class[] = "moved";

struct file_watch {
    int opened, written; /* owned */
    struct globs globs;
    atomic_uint marks;
    unsigned marking; /* of the walk */
    uint64_t lost;
    pid_t own;
    char before
        [PATH_BYTES]; /* path of the last folder that was opened and marked: opened again, it has its mark */
};

/* ---- marks ---- */

bool file_is_local(int fd)
{
    static const long types[] = {
        EXT4_SUPER_MAGIC,  XFS_SUPER_MAGIC,       BTRFS_SUPER_MAGIC, TMPFS_MAGIC,
        F2FS_SUPER_MAGIC,  OVERLAYFS_SUPER_MAGIC, MSDOS_SUPER_MAGIC, ECRYPTFS_SUPER_MAGIC,
        EXFAT_SUPER_MAGIC, 0x2fc12fc1 /* zfs */,  0x7366746e /* ntfs3 */};
    struct statfs fs;
    if (fstatfs(fd, &fs) != 0)
        return false;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (fs.f_type == types[i])
            return true;
    return false;
}

/* What a descriptor of O_PATH is open on, not what lies at some path by now. */
static bool mark_fd(struct file_watch *w, int fd)
{
    char path[40];
    struct stat st;
    if (fstat(fd, &st) != 0 || (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode)) || !file_is_local(fd))
        return false;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    uint64_t mask = S_ISDIR(st.st_mode) ? FAN_OPEN | FAN_EVENT_ON_CHILD | FAN_ONDIR : FAN_OPEN;
    return fanotify_mark(w->opened, FAN_MARK_ADD, mask, AT_FDCWD, path) == 0;
}

static int mark_at(struct file_watch *w, int dirfd, const char *name)
{
    if (w->marking >= MARKS_MAX)
        return -1;
    int fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -1;
    if (mark_fd(w, fd)) {
        w->marking++;
        return fd;
    }
    close(fd);
    return -1;
}

static void walk_below(struct file_watch *w, int fd, unsigned depth)
{
    int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = again >= 0 ? fdopendir(again) : NULL;
    if (!dir && again >= 0)
        close(again);
    for (struct dirent *d; dir && depth < WALK_DEPTH_MAX && (d = readdir(dir));) {
        if (d->d_type != DT_DIR || strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        int child = mark_at(w, dirfd(dir), d->d_name);
        if (child < 0)
            continue;
        walk_below(w, child, depth + 1);
        close(child);
    }
    if (dir)
        closedir(dir);
}

static void mark_glob(struct file_watch *w, const char *text, bool below)
{
    glob_t found = {.gl_pathc = 0};
    if (glob(text, GLOB_NOSORT, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++) {
            int fd = mark_at(w, AT_FDCWD, found.gl_pathv[i]);
            if (fd < 0)
                continue;
            if (below)
                walk_below(w, fd, 0);
            close(fd);
        }
    }
    globfree(&found);
}

void file_watch_walk(struct file_watch *w)
{
    w->marking = 0;
    for (size_t i = 0; i < w->globs.count; i++) {
        const struct glob_row *row = &w->globs.rows[i];
        if (!row->class_name[0])
            continue;
        mark_glob(w, row->folder, row->below);
        if (!row->below)
            mark_glob(w, row->text, false); /* the files, too: they keep their mark under another name */
    }
    atomic_store(&w->marks, w->marking);
}

/* The file systems that are mounted now, one mark each. The count. */
static unsigned mark_file_systems(const struct file_watch *w)
{
    unsigned count = 0;
    char line[PATH_BYTES * 2], path[PATH_BYTES];
    FILE *mounts = fopen("/proc/self/mountinfo", "re");
    while (mounts && fgets(line, sizeof line, mounts)) {
        if (sscanf(line, "%*s %*s %*s %*s %4095s", path) != 1)
            continue;
        int fd =
            open(path, O_PATH | O_CLOEXEC); /* a path with escapes is not found: told by the count alone */
        if (fd >= 0 && file_is_local(fd) &&
            fanotify_mark(w->written, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_CLOSE_WRITE, AT_FDCWD, path) ==
                0)
            count++;
        if (fd >= 0)
            close(fd);
    }
    if (mounts)
        fclose(mounts);
    return count;
}

/* ---- begin and end ---- */

static int open_group(void)
{
    return fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK,
                         O_RDONLY | O_LARGEFILE | O_CLOEXEC | O_NOATIME | O_NONBLOCK);
}

struct file_watch *file_watch_new(const struct globs *globs, char why[FILES_WHY_BYTES])
{
    struct file_watch *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->globs = *globs;
    w->own = getpid();
    w->opened = open_group();
    int error = errno;
    w->written = open_group();
    if (w->opened >= 0 && w->written >= 0 && mark_file_systems(w) > 0)
        return w;
    if (w->opened >= 0)
        error = errno;
    snprintf(why, FILES_WHY_BYTES, "history: files are not watched: %s",
             error == EPERM ? "CAP_SYS_ADMIN is needed at the start" : strerror(error));
    file_watch_free(w);
    return NULL;
}

void file_watch_free(struct file_watch *w)
{
    if (!w)
        return;
    if (w->opened >= 0)
        close(w->opened);
    if (w->written >= 0)
        close(w->written);
    free(w);
}

void file_watch_fds(const struct file_watch *w, int ret[2])
{
    ret[0] = w->opened;
    ret[1] = w->written;
}

uint64_t file_watch_lost(const struct file_watch *w)
{
    return w->lost;
}

unsigned file_watch_marks(const struct file_watch *w)
{
    return atomic_load(&w->marks);
}

/* ---- events ---- */

struct turn {
    struct file_watch *watch;
    struct history *history;
    void (*learn)(void *context, int64_t pid);
    void *context;
};

static bool path_of(int fd, char path[PATH_BYTES])
{
    static const char deleted[] = " (deleted)";
    char name[40];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(name, path, PATH_BYTES - 1);
    if (n <= 0 || path[0] != '/')
        return false;
    path[n] = 0;
    size_t cut = sizeof deleted - 1;
    if ((size_t)n > cut && strcmp(path + (size_t)n - cut, deleted) == 0)
        path[(size_t)n - cut] = 0;
    return true;
}

static void see(const struct turn *t, int64_t pid, const struct history_seen *seen)
{
    if (!history_knows(t->history, pid))
        t->learn(t->context, pid);
    history_see(t->history, pid, seen, exec_now_ms());
}

static void on_opened(const struct turn *t, int fd, int64_t pid, const struct stat *st)
{
    char path[PATH_BYTES];
    bool in_folder;
    if (!path_of(fd, path))
        return;
    if (S_ISDIR(st->st_mode)) { /* somebody looks into a folder that may be new */
        if (strcmp(path, t->watch->before) != 0 && globs_class(&t->watch->globs, path, &in_folder) &&
            mark_fd(t->watch, fd))
            memcpy(t->watch->before, path, sizeof path);
        return;
    }
    const char *class_name = globs_class(&t->watch->globs, path, &in_folder);
    if (!class_name && in_folder)
        return;
    struct history_seen seen = {.kind = AGENT_HISTORY_SENSITIVE_ACCESS,
                                .class_name = class_name ? class_name : moved_class,
                                .path = path,
                                .bytes = st->st_size};
    see(t, pid, &seen);
}

static void on_written(const struct turn *t, int fd, int64_t pid, const struct stat *st)
{
    char path[PATH_BYTES];
    uint8_t head[ARCHIVE_HEAD_BYTES];
    if (!S_ISREG(st->st_mode))
        return;
    ssize_t n = pread(fd, head, sizeof head, 0);
    const char *kind = n > 0 ? archive_kind(span_of(head, (size_t)n)) : NULL;
    if (!kind || !path_of(fd, path))
        return;
    struct history_seen seen = {
        .kind = AGENT_HISTORY_ARCHIVE_WRITTEN, .class_name = kind, .path = path, .bytes = st->st_size};
    see(t, pid, &seen);
}

static void on_event(const struct turn *t, bool opened, const struct fanotify_event_metadata *m)
{
    struct stat st;
    if (m->mask & FAN_Q_OVERFLOW)
        t->watch->lost++;
    if (m->fd < 0)
        return;
    if (m->pid != t->watch->own && m->pid > 0 && fstat(m->fd, &st) == 0) {
        if (opened)
            on_opened(t, m->fd, m->pid, &st);
        else
            on_written(t, m->fd, m->pid, &st);
    }
    close(m->fd);
}

/* A short buffer bounds how many there can be. */
static bool read_some(const struct turn *t, bool opened, unsigned max)
{
    struct fanotify_event_metadata events[EVENTS_AT_ONCE];
    size_t room = (max < EVENTS_AT_ONCE ? max : EVENTS_AT_ONCE) * sizeof events[0];
    ssize_t n = read(opened ? t->watch->opened : t->watch->written, events, room);
    if (n < 0 && errno != EAGAIN) /* the file of the first one cannot be opened: it is skipped */
        t->watch->lost++;
    long left = n > 0 ? n : 0;
    for (struct fanotify_event_metadata *m = events; FAN_EVENT_OK(m, left); m = FAN_EVENT_NEXT(m, left))
        on_event(t, opened, m);
    return n == (ssize_t)room;
}

bool file_watch_turn(struct file_watch *w, struct history *h, unsigned max,
                     void (*learn)(void *context, int64_t pid), void *context)
{
    struct turn t = {w, h, learn, context};
    bool more_opened = read_some(&t, true, max), more_written = read_some(&t, false, max);
    return more_opened || more_written;
}
