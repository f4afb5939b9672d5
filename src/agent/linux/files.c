/* files.c: see files.h. Paths are those that the kernel gives for the descriptor that comes with an event; content is read from
 * that descriptor, so a rename or an unlink after the close changes nothing. */
#include "agent/linux/files.h"

#include "agent/archive.h"
#include "agent/linux/exec.h"
#include "agent/linux/marker.h"
#include "agent/linux/renames.h"
#include "agent/linux/roots.h"
#include "agent/linux/watched.h"
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
#include <time.h>
#include <dirent.h>
#include <unistd.h>

enum {
    MARKS_MAX = 8192,
    DEEP_MARKS_MAX = MARKS_MAX / 2, /* of a walk: files below folders have no more of them */
    WALK_DEPTH_MAX = 8,
    WALK_ALL_EVERY_S = 50, /* observe.c has it walk every minute, and when something is new */
    ROOT_MARKS_MAX = 1024,
    LOOKS_A_TURN = 8,
    EVENTS_AT_ONCE = 32,
    NAMES_BYTES = 64, /* for an event of that kind */
    NAMES_AT_ONCE = 256,
    NAMES_TURNS_MAX = 8,
    PATH_BYTES = 4096,
    DEEP_PATH_BYTES = PATH_BYTES + 256
};

/* Seen by our mark, yet nobody knows under which name that was put there. */
static const char moved_class[] = "moved";

struct file_watch {
    int opened, written;   /* owned */
    struct marker *marker; /* owned; NULL: what is mounted later is not watched for archives */
    struct roots *roots;   /* owned */
    struct renames *names; /* owned */
    struct watched *files; /* owned */
    struct globs globs;
    atomic_uint marks;
    unsigned looks; /* into other roots, of a turn */
    atomic_bool walk_wanted, marker_said;
    time_t walked;    /* of the walk's thread: all */
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

/* Marks what a descriptor of O_PATH is open on, not what lies at some path by now. A file is known from here on by its class, a folder
 * listened at by its path. */
static bool mark_fd(struct file_watch *w, int fd, const char *path, const char *class_name, uint64_t root)
{
    char link[40];
    struct watched_file file;
    if (!watched_file_of(fd, &file) || (!S_ISDIR(file.mode) && !S_ISREG(file.mode)) || !file_is_local(fd))
        return false;
    if (S_ISREG(file.mode) && !class_name)
        return false;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    uint64_t mask = S_ISDIR(file.mode) ? FAN_OPEN | FAN_EVENT_ON_CHILD | FAN_ONDIR : FAN_OPEN;
    if (fanotify_mark(w->opened, FAN_MARK_ADD, mask, AT_FDCWD, link) != 0)
        return false;
    if (S_ISDIR(file.mode))
        renames_add(w->names, fd, path, root);
    else
        watched_add(w->files, &file, class_name);
    return true;
}

/* A descriptor on it, of O_PATH; -1: it has no mark. */
static int mark_at(struct file_watch *w, int dirfd, const char *name, const char *path,
                   const char *class_name)
{
    if (w->marking >= MARKS_MAX)
        return -1;
    int fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -1;
    if (mark_fd(w, fd, path, class_name, 0)) {
        w->marking++;
        return fd;
    }
    close(fd);
    return -1;
}

static void walk_below(struct file_watch *w, int fd, const char *path, unsigned depth);

static void walk_entry(struct file_watch *w, int dirfd, const struct dirent *d, const char *folder,
                       unsigned depth)
{
    char path[DEEP_PATH_BYTES];
    bool in_folder, is_folder = d->d_type == DT_DIR;
    int len = snprintf(path, sizeof path, "%s/%s", folder, d->d_name);
    if (len >= PATH_BYTES || strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
        return;
    const char *class_name = is_folder ? NULL : globs_class(&w->globs, path, &in_folder);
    if (!is_folder && (!class_name || d->d_type != DT_REG || w->marking >= DEEP_MARKS_MAX))
        return;
    int child = mark_at(w, dirfd, d->d_name, path, class_name);
    if (child < 0)
        return;
    if (is_folder)
        walk_below(w, child, path, depth + 1);
    close(child);
}

static void walk_below(struct file_watch *w, int fd, const char *path, unsigned depth)
{
    int again =
        depth < WALK_DEPTH_MAX ? openat(fd, ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    DIR *dir = again >= 0 ? fdopendir(again) : NULL;
    if (!dir && again >= 0)
        close(again);
    for (struct dirent *d; dir && (d = readdir(dir));)
        walk_entry(w, dirfd(dir), d, path, depth);
    if (dir)
        closedir(dir);
}

static void mark_glob(struct file_watch *w, const char *text, bool below)
{
    glob_t found = {.gl_pathc = 0};
    bool in_folder;
    if (glob(text, GLOB_NOSORT, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++) {
            const char *path = found.gl_pathv[i], *class_name = globs_class(&w->globs, path, &in_folder);
            int fd = mark_at(w, AT_FDCWD, path, path, class_name);
            if (fd < 0)
                continue;
            if (below)
                walk_below(w, fd, path, 0);
            close(fd);
        }
    }
    globfree(&found);
}

/* ---- in other roots ---- */

struct root_walk {
    struct file_watch *watch;
    const struct rooted *root;
    const struct glob_row *row;
    unsigned marking;
    bool is_ours; /* the root folder is: what lies below was walked */
};

static void mark_in_root(void *context, int fd, const char *path)
{
    struct root_walk *walk = context;
    struct file_watch *w = walk->watch;
    bool in_folder;
    const char *class_name = globs_class(&w->globs, path, &in_folder);
    if (walk->marking < ROOT_MARKS_MAX && mark_fd(w, fd, path, class_name, walk->root->mounts))
        walk->marking++;
}

static void mark_folder_in_root(void *context, int fd, const char *path)
{
    struct root_walk *walk = context;
    mark_in_root(walk, fd, path);
    if (walk->row->below && !walk->is_ours)
        rooted_below(walk->root, fd, path, WALK_DEPTH_MAX, mark_in_root, walk);
}

static void walk_root(void *context, const struct rooted *root)
{
    struct file_watch *w = context;
    struct stat ours, its;
    struct root_walk walk = {.watch = w, .root = root};
    walk.is_ours = stat("/", &ours) == 0 && fstat(root->fd, &its) == 0 && ours.st_dev == its.st_dev &&
                   ours.st_ino == its.st_ino;
    if (w->marker && marker_mark(w->marker, root->pid) < 0 && !atomic_exchange(&w->marker_said, true))
        log_warning("history",
                    "archives on what is mounted from here on are not seen: no answer from exeat-marker");
    for (size_t i = 0; i < w->globs.count; i++) {
        walk.row = &w->globs.rows[i];
        if (!walk.row->class_name[0])
            continue;
        rooted_glob(root, walk.row->folder, mark_folder_in_root, &walk);
        if (!walk.row->below)
            rooted_glob(root, walk.row->text, mark_in_root, &walk);
    }
    atomic_fetch_add(&w->marks, walk.marking);
}

struct roots *file_watch_roots(const struct file_watch *w)
{
    return w->roots;
}

static void walk_own(struct file_watch *w)
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
    if (w->marker)
        marker_mark(w->marker, w->own);
}

struct each_root {
    struct file_watch *watch;
    void (*each)(void *context, const struct rooted *root);
    void *context;
};

static void on_root_walked(void *context, const struct rooted *root)
{
    const struct each_root *e = context;
    walk_root(e->watch, root);
    e->each(e->context, root);
}

void file_watch_walk(struct file_watch *w, void (*on_root)(void *context, const struct rooted *root),
                     void *context)
{
    struct each_root each = {w, on_root, context};
    time_t now = time(NULL);
    bool all =
        atomic_exchange(&w->walk_wanted, false) || now - w->walked >= WALK_ALL_EVERY_S || now < w->walked;
    if (all) {
        w->walked = now;
        walk_own(w);
    }
    roots_walk(w->roots, all, on_root_walked, &each);
}

bool file_watch_wants_walk(struct file_watch *w)
{
    return atomic_load(&w->walk_wanted) || roots_wants_walk(w->roots);
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
    w->files = watched_new();
    w->roots = roots_new();
    w->names = renames_new(&w->globs);
    w->opened = open_group();
    int error = errno;
    w->written = open_group();
    if (w->files && w->names && w->roots && w->opened >= 0 && w->written >= 0 && mark_file_systems(w) > 0) {
        w->marker = marker_new(w->written);
        if (!w->marker)
            snprintf(why, FILES_WHY_BYTES,
                     "history: archives on what is mounted later, in containers too, are not seen");
        return w;
    }
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
    marker_free(w->marker);
    renames_free(w->names);
    roots_free(w->roots);
    watched_free(w->files);
    free(w);
}

void file_watch_fds(const struct file_watch *w, int ret[FILES_FDS])
{
    ret[0] = w->opened;
    ret[1] = w->written;
    ret[2] = renames_fd(w->names);
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

/* A path as it is seen in that root; 0: in ours. */
static int open_seen(struct file_watch *w, uint64_t root, const char *path)
{
    struct rooted other;
    if (root == 0)
        return open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (w->looks++ >= LOOKS_A_TURN) { /* somebody in a container makes many: the walk finds them */
        atomic_store(&w->walk_wanted, true);
        return -1;
    }
    if (!roots_open(w->roots, root, &other))
        return -1;
    int fd = rooted_at(&other, path);
    rooted_close(&other);
    return fd;
}

/* A new folder has its mark before anybody lists it, a file before it is renamed to something that no glob names. */
static void on_name(void *context, const struct name_appeared *a)
{
    struct file_watch *w = context;
    bool in_folder, is_watched = a->is_folder ? globs_class(&w->globs, a->path, &in_folder) != NULL
                                              : a->class_name != NULL;
    int fd = is_watched ? open_seen(w, a->root, a->path) : -1;
    if (fd < 0)
        return;
    mark_fd(w, fd, a->path, a->class_name, a->root);
    if (a->is_folder) /* what it brought along */
        atomic_store(&w->walk_wanted, true);
    close(fd);
}

static bool take_names(struct file_watch *w, unsigned max)
{
    return renames_turn(w->names, max * NAMES_BYTES, &w->lost, on_name, w);
}

/* The class that the file was found under. A rename before it was opened is told elsewhere, and may not have been heard of. */
static const char *class_before(struct file_watch *w, const struct watched_file *file, bool ask_again)
{
    const char *class_name = watched_class(w->files, file);
    for (int i = 0; !class_name && ask_again && i < NAMES_TURNS_MAX; i++) {
        ask_again = take_names(w, NAMES_AT_ONCE);
        class_name = watched_class(w->files, file);
    }
    return class_name;
}

/* Somebody looks into a folder that may be new. */
static void on_folder_opened(const struct turn *t, int fd, const char *path)
{
    bool in_folder;
    if (strcmp(path, t->watch->before) != 0 && globs_class(&t->watch->globs, path, &in_folder) &&
        mark_fd(t->watch, fd, path, NULL, 0))
        snprintf(t->watch->before, sizeof t->watch->before, "%s", path);
}

static void on_opened(const struct turn *t, int fd, int64_t pid, const struct watched_file *file)
{
    char path[PATH_BYTES];
    bool in_folder;
    if (!path_of(fd, path))
        return;
    if (S_ISDIR(file->mode)) {
        on_folder_opened(t, fd, path);
        return;
    }
    const char *seen_path = roots_seen_path(t->watch->roots, path);
    const char *by_name = globs_class(&t->watch->globs, path, &in_folder);
    if (!by_name && seen_path != path)
        by_name = globs_class(&t->watch->globs, seen_path, &in_folder);
    const char *before = class_before(t->watch, file, !by_name && in_folder);
    if (!by_name && !before && in_folder)
        return;
    if (by_name && !before)
        mark_fd(t->watch, fd, path, by_name, 0); /* whatever it is called later */
    struct history_seen seen = {.kind = AGENT_HISTORY_SENSITIVE_ACCESS,
                                .class_name = by_name  ? by_name
                                              : before ? before
                                                       : moved_class,
                                .path = path,
                                .bytes = (int64_t)file->size};
    history_see(t->history, pid, &seen, exec_now_ms());
}

static void on_written(const struct turn *t, int fd, int64_t pid, const struct watched_file *file)
{
    char path[PATH_BYTES];
    uint8_t head[ARCHIVE_HEAD_BYTES];
    if (!S_ISREG(file->mode))
        return;
    ssize_t n = pread(fd, head, sizeof head, 0);
    const char *kind = n > 0 ? archive_kind(span_of(head, (size_t)n)) : NULL;
    if (!kind || !path_of(fd, path))
        return;
    struct history_seen seen = {.kind = AGENT_HISTORY_ARCHIVE_WRITTEN,
                                .class_name = kind,
                                .path = path,
                                .bytes = (int64_t)file->size};
    history_see(t->history, pid, &seen, exec_now_ms());
}

static void on_event(const struct turn *t, bool opened, const struct fanotify_event_metadata *m)
{
    struct watched_file file;
    if (m->mask & FAN_Q_OVERFLOW)
        t->watch->lost++;
    if (m->fd < 0)
        return;
    if (m->pid != t->watch->own && m->pid > 0 && watched_file_of(m->fd, &file)) {
        if (opened)
            on_opened(t, m->fd, m->pid, &file);
        else
            on_written(t, m->fd, m->pid, &file);
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

bool file_watch_turn(struct file_watch *w, struct history *h, unsigned max)
{
    struct turn t = {w, h};
    w->looks = 0;
    bool more_names = take_names(w, max);
    bool more_opened = read_some(&t, true, max), more_written = read_some(&t, false, max);
    return more_names || more_opened || more_written;
}
