/* rooted.c: see rooted.h. Whether a file system's data lies here is told by the name of its type in the mounts of that process: asking it
 * would be asking whoever serves it. */
#include "agent/linux/rooted.h"

#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, DEEP_BYTES = PATH_BYTES + 256 };

bool rooted_identity(int64_t pid, uint64_t *ret_mounts, uint64_t *ret_inode)
{
    char path[48];
    struct stat mounts, root;
    snprintf(path, sizeof path, "/proc/%" PRId64 "/ns/mnt", pid);
    bool known = stat(path, &mounts) == 0;
    snprintf(path, sizeof path, "/proc/%" PRId64 "/root", pid);
    if (!known || stat(path, &root) != 0)
        return false;
    *ret_mounts = mounts.st_ino;
    *ret_inode = root.st_ino;
    return true;
}

/* ---- its mounts ---- */

static bool is_local_type(const char *type, size_t len)
{
    static const char *const types[] = {"ext4",    "ext3", "ext2",  "xfs",      "btrfs", "tmpfs", "f2fs",
                                        "overlay", "vfat", "exfat", "ecryptfs", "zfs",   "ntfs3"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strlen(types[i]) == len && memcmp(types[i], type, len) == 0)
            return true;
    return false;
}

/* "\040" is a blank. */
static void unescape(const char *from, size_t len, char out[PATH_BYTES])
{
    size_t n = 0;
    for (size_t i = 0; i < len && n < PATH_BYTES - 1; i++, n++) {
        bool escaped = from[i] == '\\' && i + 3 < len;
        out[n] = escaped ? (char)((from[i + 1] - '0') * 64 + (from[i + 2] - '0') * 8 + (from[i + 3] - '0'))
                         : from[i];
        i += escaped ? 3 : 0;
    }
    out[n] = 0;
}

/* "36 35 98:0 /root /mounted rw,noatime master:1 - ext4 /dev/root rw": false for a file system that is not local. */
static bool read_mount(const char *line, uint64_t *ret_id, char path[PATH_BYTES])
{
    char *at;
    const char *type = strstr(line, " - ");
    *ret_id = strtoull(line, &at, 10);
    for (int i = 0; i < 4; i++) { /* parent, device, root; then comes where it is mounted */
        at += strcspn(at, " ");
        at += *at == ' ';
    }
    if (!type || at >= type)
        return false;
    unescape(at, strcspn(at, " "), path);
    return is_local_type(type + 3, strcspn(type + 3, " "));
}

static bool read_text(int64_t pid, char *text)
{
    char path[48];
    snprintf(path, sizeof path, "/proc/%" PRId64 "/mountinfo", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    ssize_t n = 0;
    while (fd >= 0 && len < ROOTED_TEXT_BYTES - 1 &&
           (n = read(fd, text + len, ROOTED_TEXT_BYTES - 1 - len)) > 0)
        len += (size_t)n;
    if (fd >= 0)
        close(fd);
    text[len] = 0;
    return len > 0;
}

/* The next line, ended by a NUL from here on; NULL: there is none. */
static char *next_line(char **at)
{
    char *line = *at, *end = strchr(line, '\n');
    if (!end)
        return NULL;
    *end = 0;
    *at = end + 1;
    return line;
}

bool rooted_open(int64_t pid, struct rooted *ret)
{
    char path[PATH_BYTES], *line;
    snprintf(path, sizeof path, "/proc/%" PRId64 "/root", pid);
    struct rooted r = {.fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC), .pid = pid};
    r.text = r.fd >= 0 ? malloc(ROOTED_TEXT_BYTES) : NULL;
    struct stat st;
    if (!r.text || fstat(r.fd, &st) != 0 || !rooted_identity(pid, &r.mounts, &r.inode) ||
        r.inode != st.st_ino || !read_text(pid, r.text)) {
        rooted_close(&r);
        return false;
    }
    for (char *at = r.text; (line = next_line(&at)) && r.local_count < ROOTED_MOUNTS_MAX;) {
        r.local_count += read_mount(line, &r.local[r.local_count], path);
        at[-1] = '\n';
    }
    *ret = r;
    return true;
}

void rooted_close(struct rooted *r)
{
    if (r->fd >= 0)
        close(r->fd);
    free(r->text);
    r->fd = -1;
    r->text = NULL;
}

static bool is_local(const struct rooted *r, int fd)
{
    struct statx st;
    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_MNT_ID, &st) != 0 ||
        !(st.stx_mask & STATX_MNT_ID))
        return false;
    for (size_t i = 0; i < r->local_count; i++)
        if (r->local[i] == st.stx_mnt_id)
            return true;
    return false;
}

/* ---- its files ---- */

/* One part of a path. */
static int step(const struct rooted *r, int fd, const char *name)
{
    if (strcmp(name, "..") == 0 || strcmp(name, ".") == 0)
        return -1;
    int next = openat(fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (next >= 0 && is_local(r, next))
        return next;
    if (next >= 0)
        close(next);
    return -1;
}

struct look {
    const struct rooted *rooted;
    void (*each)(void *context, int fd, const char *path);
    void *context;
    unsigned left; /* entries of folders */
};

static void expand(struct look *l, int fd, const char *path, const char *pattern);

static void expand_part(struct look *l, int fd, const char *path, const char *name, const char *rest)
{
    char deeper[DEEP_BYTES];
    int next = step(l->rooted, fd, name);
    if (next >= 0 && snprintf(deeper, sizeof deeper, "%s/%s", path, name) < PATH_BYTES)
        expand(l, next, deeper, rest);
    if (next >= 0)
        close(next);
}

static void expand_stars(struct look *l, int fd, const char *path, const char *part, const char *rest)
{
    int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = again >= 0 ? fdopendir(again) : NULL;
    if (!dir && again >= 0)
        close(again);
    for (struct dirent *d; dir && l->left > 0 && (d = readdir(dir)); l->left--)
        if (fnmatch(part, d->d_name, 0) == 0)
            expand_part(l, fd, path, d->d_name, rest);
    if (dir)
        closedir(dir);
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the pattern has parts */
static void expand(struct look *l, int fd, const char *path, const char *pattern)
{
    char part[256];
    pattern += strspn(pattern, "/");
    size_t len = strcspn(pattern, "/");
    if (len == 0) {
        l->each(l->context, fd, path[0] ? path : "/");
        return;
    }
    if (len >= sizeof part)
        return;
    memcpy(part, pattern, len);
    part[len] = 0;
    if (strpbrk(part, "*?["))
        expand_stars(l, fd, path, part, pattern + len);
    else
        expand_part(l, fd, path, part, pattern + len);
}

void rooted_glob(const struct rooted *r, const char *pattern,
                 void (*each)(void *context, int fd, const char *path), void *context)
{
    struct look l = {r, each, context, ROOTED_ENTRIES_MAX};
    if (is_local(r, r->fd))
        expand(&l, r->fd, "", pattern);
}

/* NOLINTNEXTLINE(misc-no-recursion): bounded by `depth` */
static void walk(struct look *l, int fd, const char *path, unsigned depth)
{
    char deeper[DEEP_BYTES];
    int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = again >= 0 ? fdopendir(again) : NULL;
    if (!dir && again >= 0)
        close(again);
    for (struct dirent *d; dir && l->left > 0 && (d = readdir(dir)); l->left--) {
        bool wanted = d->d_type == DT_DIR || d->d_type == DT_REG;
        int next = wanted ? step(l->rooted, fd, d->d_name) : -1;
        if (next >= 0 && snprintf(deeper, sizeof deeper, "%s/%s", path, d->d_name) < PATH_BYTES) {
            l->each(l->context, next, deeper);
            if (d->d_type == DT_DIR && depth > 1)
                walk(l, next, deeper, depth - 1);
        }
        if (next >= 0)
            close(next);
    }
    if (dir)
        closedir(dir);
}

void rooted_below(const struct rooted *r, int fd, const char *path, unsigned depth,
                  void (*each)(void *context, int fd, const char *path), void *context)
{
    struct look l = {r, each, context, ROOTED_ENTRIES_MAX};
    walk(&l, fd, path, depth);
}

int rooted_at(const struct rooted *r, const char *path)
{
    char part[256];
    int fd = is_local(r, r->fd) ? openat(r->fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    while (fd >= 0 && *(path += strspn(path, "/"))) {
        size_t len = strcspn(path, "/");
        snprintf(part, sizeof part, "%.*s", (int)(len < sizeof part ? len : 0), path);
        int next = part[0] ? step(r, fd, part) : -1;
        close(fd);
        fd = next;
        path += len;
    }
    return fd;
}

void rooted_each_mount(const struct rooted *r, void (*each)(void *context, int fd, const char *path),
                       void *context)
{
    char path[PATH_BYTES], *line;
    uint64_t id;
    for (char *at = r->text; (line = next_line(&at));) {
        bool local = read_mount(line, &id, path);
        at[-1] = '\n';
        int fd = local ? rooted_at(r, path) : -1;
        if (fd < 0)
            continue;
        each(context, fd, path);
        close(fd);
    }
}
