/* describe.c: see describe.h. Names, arguments and paths are hostile bytes: they are copied with bounds and escaped
 * when written. */
#include "agent/linux/describe.h"

#include "agent/linux/cgroup.h"
#include "agent/linux/who.h"
#include "agent/redact.h"
#include "agent/script.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { CMDLINE_BYTES = AGENT_ARGUMENTS_BYTES * 2, STAT_BYTES = 2048, ANSWER_HEAD_BYTES = 2048 };

int describer_init(struct describer *d, int procfd, const struct knowledge *know)
{
    struct timespec now, up;
    clock_gettime(CLOCK_REALTIME, &now);
    clock_gettime(CLOCK_BOOTTIME, &up);
    *d = (struct describer){.procfd = procfd, .know = *know};
    d->boot_ms = (now.tv_sec - up.tv_sec) * 1000 + (now.tv_nsec - up.tv_nsec) / 1000000;
    packages_init(&d->packages, "/var/lib/dpkg", (uint64_t)now.tv_nsec * 0x9e3779b97f4a7c15u);
    packages_refresh(&d->packages);
    return borrowed_looker_init(&d->looker) | job_finder_init(&d->jobs, procfd, "", know->seen);
}

void describer_free(struct describer *d)
{
    packages_free(&d->packages);
    borrowed_looker_free(&d->looker);
    job_finder_free(&d->jobs);
}

void process_unref(struct process *process)
{
    if (--process->refs > 0)
        return;
    sender_unref(process->sender);
    free(process);
}

/* Where the arguments come from, and what a path in them means. */
struct source {
    const struct entry *entry; /* borrowed for the call; NULL: the process is gone, or another program */
    const struct owner_image *image; /* borrowed for the call; NULL: not recorded */
    bool our_view;                   /* without an entry: it saw the files that we see */
};

static enum agent_provenance why_not(void)
{
    return errno == EACCES || errno == EPERM ? AGENT_PROVENANCE_DENIED : AGENT_PROVENANCE_UNAVAILABLE;
}

/* ---- the executable ---- */

static bool open_to_users(const struct stat *st)
{
    return st->st_uid != 0 ||
           (st->st_mode & (S_IWGRP | S_IWOTH)) != 0; /* an ACL's mask shows as the group's bits */
}

bool path_is_writable_by_user(const char *path)
{
    char part[AGENT_PATH_BYTES];
    struct stat st;
    int n = snprintf(part, sizeof part, "%s", path);
    if (n <= 0 || (size_t)n >= sizeof part || part[0] != '/')
        return true;
    for (;;) {
        if (lstat(part, &st) != 0 || S_ISLNK(st.st_mode) || open_to_users(&st))
            return true;
        char *slash = strrchr(part, '/');
        if (slash == part && part[1] == 0)
            return false;
        slash[slash == part ? 1 : 0] = 0;
    }
}

/* Does the path lead, in our own view of the file system, to the file that runs? In a mount namespace or a chroot of
 * the process' own it need not. */
static bool leads_to(const char *path, const struct identity *id)
{
    struct statx st;
    return statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &st) == 0 &&
           st.stx_ino == id->executable.inode &&
           ((uint64_t)st.stx_dev_major << 32 | st.stx_dev_minor) == id->executable.device;
}

static void take_package(struct describer *d, const char *path, struct process *process)
{
    process->sender->provenance[SENDER_FIELD_PACKAGE] = AGENT_PROVENANCE_CACHE;
    if (!packages_digest(&d->packages, path, process->package_md5))
        process->package_md5[0] = 0;
}

static void describe_executable(struct describer *d, const struct entry *e, const struct identity *id,
                                struct process *process)
{
    struct sender *s = process->sender;
    static const char deleted[] = " (deleted)";
    char path[AGENT_PATH_BYTES];
    ssize_t n = proc_link_at(e->dirfd, "exe", path, sizeof path);
    if (n <= 0 || n == (ssize_t)sizeof path - 1) {
        s->provenance[SENDER_FIELD_EXECUTABLE] = n <= 0 ? why_not() : AGENT_PROVENANCE_UNAVAILABLE;
        s->writable_by_user = 1;
        return;
    }
    bool ours = leads_to(path, id);
    size_t cut = sizeof deleted - 1;
    if (!ours && (size_t)n > cut && strcmp(path + n - cut, deleted) == 0) {
        path[(size_t)n - cut] = 0;
        s->executable_deleted = true;
    }
    s->executable = arena_strdup(&s->arena, path);
    s->provenance[SENDER_FIELD_EXECUTABLE] = AGENT_PROVENANCE_KERNEL;
    s->writable_by_user = !ours || path_is_writable_by_user(path);
    s->provenance[SENDER_FIELD_WRITABLE_BY_USER] = AGENT_PROVENANCE_KERNEL;
    if (ours && packages_find(&d->packages, path, &s->arena, &s->package_name, &s->package_version))
        take_package(d, path, process);
}

/* ---- arguments and script ---- */

size_t arguments_split(struct arena *arena, const char *text, size_t len, const char *const **ret_argv,
                       bool *ret_truncated)
{
    const char **argv = arena_alloc(arena, AGENT_ARGUMENTS_MAX * sizeof *argv);
    size_t count = 0, at = 0;
    while (argv && at < len && count < AGENT_ARGUMENTS_MAX && at < AGENT_ARGUMENTS_BYTES) {
        size_t n = strnlen(text + at, len - at);
        size_t kept = n < AGENT_PATH_BYTES - 1 ? n : AGENT_PATH_BYTES - 1;
        if (kept > AGENT_ARGUMENTS_BYTES - at)
            kept = AGENT_ARGUMENTS_BYTES - at;
        argv[count] = arena_strndup(arena, text + at, kept);
        if (!argv[count])
            break;
        count++;
        at += n + 1;
        if (kept < n)
            break;
    }
    *ret_truncated = at < len || (at > len && text[len - 1] != 0);
    *ret_argv = argv;
    return argv ? count : 0;
}

/* Is the file at `path` as the process sees it the one that we see? False in a mount namespace or root of its own. */
static bool same_view(const struct source *from, const char *path, const struct stat *ours)
{
    char seen[AGENT_PATH_BYTES + 8];
    struct stat theirs;
    if (!from->entry)
        return from->our_view;
    snprintf(seen, sizeof seen, "root%s", path);
    return fstatat(from->entry->dirfd, seen, &theirs, 0) == 0 && theirs.st_dev == ours->st_dev &&
           theirs.st_ino == ours->st_ino;
}

/* Of a process that is gone: a file changed since it was executed may not be what it ran. */
static bool changed_since(const struct source *from, const struct stat *st)
{
    struct timespec wall, up;
    if (from->entry)
        return false;
    if (!from->image || from->image->exec_ns == 0)
        return true;
    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_MONOTONIC, &up);
    int64_t executed =
        (wall.tv_sec - up.tv_sec) * 1000000000 + (wall.tv_nsec - up.tv_nsec) + (int64_t)from->image->exec_ns;
    return st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec > executed;
}

/* The script's absolute path with every link followed. False when it is no file that we see as the process does. */
static bool resolve_script(const struct source *from, const char *script, const char *cwd,
                           struct process *process)
{
    char joined[AGENT_PATH_BYTES * 2];
    struct stat st;
    if (script[0] != '/' && !cwd)
        return false;
    snprintf(joined, sizeof joined, "%s%s%s", script[0] == '/' ? "" : cwd, script[0] == '/' ? "" : "/",
             script);
    char *path = realpath(joined, NULL);
    if (!path)
        return false;
    bool fits = strlen(path) < sizeof process->script_path && stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
                same_view(from, path, &st) && !changed_since(from, &st);
    if (fits)
        snprintf(process->script_path, sizeof process->script_path, "%s", path);
    free(path);
    return fits;
}

static bool is_terminal(const struct entry *e)
{
    char link[64];
    ssize_t n = e ? proc_link_at(e->dirfd, "fd/0", link, sizeof link) : 0;
    return n > 8 && (strncmp(link, "/dev/pts/", 9) == 0 || strncmp(link, "/dev/tty", 8) == 0);
}

static void describe_script(const struct source *from, struct process *process, const char *const *argv,
                            size_t argc, bool truncated)
{
    struct sender *s = process->sender;
    const char *script = NULL;
    s->script_kind = s->executable ? script_find(s->executable, argv, argc, &script) : SENDER_SCRIPT_UNCLEAR;
    if (s->script_kind == SENDER_SCRIPT_STDIN && is_terminal(from->entry))
        s->script_kind = SENDER_SCRIPT_INTERACTIVE;
    if (s->script_kind != SENDER_SCRIPT_FILE)
        return;
    if (truncated && argc == 0)
        s->script_kind = SENDER_SCRIPT_UNCLEAR;
    else if (resolve_script(from, script, s->cwd, process)) {
        s->script = arena_strdup(&s->arena, process->script_path);
        s->script_writable_by_user = path_is_writable_by_user(process->script_path);
        process->has_script_file = true;
    } else
        s->script_kind = SENDER_SCRIPT_UNCLEAR;
}

static void redact_arguments(struct sender *s, const char *const *argv, size_t argc)
{
    struct buf out;
    buf_init(&out, AGENT_PATH_BYTES * 2);
    s->arguments = arena_alloc(&s->arena, (argc + 1) * sizeof *s->arguments);
    for (size_t i = 0; s->arguments && i < argc; i++) {
        buf_clear(&out);
        redact_argument(i ? argv[i - 1] : NULL, argv[i], &out);
        struct span text = buf_span(&out);
        size_t len = text.len < AGENT_PATH_BYTES - 1 ? text.len : AGENT_PATH_BYTES - 1;
        s->arguments[i] = out.failed ? REDACTED : arena_strndup(&s->arena, (const char *)text.data, len);
        if (!s->arguments[i])
            break;
        s->argument_count = i + 1;
    }
    buf_free(&out);
}

/* The text of the arguments. What the kernel wrote down at exec counts; the rest of a longer list comes from the process, if
 * it still begins with that. The length, or -1 with errno. */
static ssize_t read_command(const struct source *from, char *text, enum agent_provenance *ret_provenance)
{
    const struct owner_image *image = from->image;
    size_t known = image && !image->from_proc ? image->arguments_bytes : 0;
    *ret_provenance = AGENT_PROVENANCE_KERNEL;
    if (known > 0 && known == image->arguments_whole) {
        memcpy(text, image->arguments, known);
        return (ssize_t)known;
    }
    *ret_provenance = AGENT_PROVENANCE_PROC;
    ssize_t n = from->entry ? proc_read_at(from->entry->dirfd, "cmdline", text, CMDLINE_BYTES) : -1;
    if (n >= (ssize_t)known && memcmp(text, image ? image->arguments : "", known) == 0 && n > 0)
        return n;
    if (image && image->arguments_bytes > 0) {
        memcpy(text, image->arguments, image->arguments_bytes);
        return (ssize_t)image->arguments_bytes;
    }
    return n;
}

static void describe_arguments(struct describer *d, const struct source *from, struct process *process)
{
    struct sender *s = process->sender;
    char *text = malloc(CMDLINE_BYTES);
    struct arena arena; /* the plain arguments live only here */
    arena_init(&arena, CMDLINE_BYTES * 4);
    enum agent_provenance provenance = AGENT_PROVENANCE_UNAVAILABLE;
    ssize_t n = text ? read_command(from, text, &provenance) : -1;
    const char *const *argv = NULL;
    size_t argc = 0;
    if (n >= 0) {
        argc = arguments_split(&arena, text, (size_t)n, &argv, &s->arguments_truncated);
        s->arguments_truncated |= from->image && (size_t)n < from->image->arguments_whole && !from->entry;
        redact_arguments(s, argv, argc);
    } else {
        provenance = why_not();
    }
    s->provenance[SENDER_FIELD_ARGUMENTS] = s->provenance[SENDER_FIELD_SCRIPT] = provenance;
    describe_script(from, process, argv, argc, s->arguments_truncated);
    who_describe_arguments(d, process, argv, argc);
    arena_reset(&arena);
    free(text);
}

/* ---- user, parents, unit ---- */

/* Local accounts only: asking a directory service here could block every answer. */
static const char *user_name(struct sender *s, int64_t uid)
{
    FILE *f = uid >= 0 ? fopen("/etc/passwd", "re") : NULL;
    const char *name = NULL;
    for (struct passwd *p; f && !name && (p = fgetpwent(f));)
        if ((int64_t)p->pw_uid == uid)
            name = arena_strdup(&s->arena, p->pw_name);
    if (f)
        fclose(f);
    return name;
}

static void describe_user(const struct entry *e, struct sender *s)
{
    char text[4096];
    const char *line =
        proc_read_at(e->dirfd, "status", text, sizeof text) > 0 ? strstr(text, "\nUid:") : NULL;
    if (line) {
        s->uid = strtoll(line + 5, NULL, 10);
        s->user = user_name(s, s->uid);
        s->provenance[SENDER_FIELD_USER] = AGENT_PROVENANCE_KERNEL;
    }
    if (proc_read_at(e->dirfd, "loginuid", text, sizeof text) > 0) {
        int64_t login = strtoll(text, NULL, 10);
        s->login_uid = login == UINT32_MAX ? -1 : login;
        s->login_user = user_name(s, s->login_uid);
        s->provenance[SENDER_FIELD_LOGIN_UID] = AGENT_PROVENANCE_KERNEL;
    } else {
        s->provenance[SENDER_FIELD_LOGIN_UID] = why_not();
    }
}

/* Is what the process runs a file that users can write, or none that we see at this path? */
static int is_open_file(int dirfd, const char *path)
{
    struct stat runs, ours;
    bool same = fstatat(dirfd, "exe", &runs, 0) == 0 && stat(path, &ours) == 0 &&
                runs.st_dev == ours.st_dev && runs.st_ino == ours.st_ino;
    return !same || path_is_writable_by_user(path);
}

/* One parent; returns its own parent's number, or 0 at the end. */
static int64_t describe_parent(int procfd, int64_t pid, int64_t child_start, struct sender *s,
                               int64_t *ret_start)
{
    char text[STAT_BYTES], path[AGENT_PATH_BYTES];
    struct proc_stat stat;
    int dirfd = proc_open_pid(procfd, pid);
    if (dirfd < 0)
        return 0;
    ssize_t n = proc_read_at(dirfd, "stat", text, sizeof text);
    ssize_t link = proc_link_at(dirfd, "exe", path, sizeof path);
    bool nearest = s->parent_count == 0;
    int writable = !nearest ? -1 : link > 0 ? is_open_file(dirfd, path) : 1;
    close(dirfd);
    if (n <= 0 || !proc_stat_parse(span_of(text, (size_t)n), &stat) || stat.start_ticks > child_start)
        return 0; /* a parent is older than its child: the number was given to another */
    struct sender_parent *p = &s->parents[s->parent_count++];
    p->pid = pid;
    p->name = arena_strdup(&s->arena, stat.name);
    p->executable = link > 0 ? arena_strdup(&s->arena, path) : NULL;
    p->writable_by_user = writable;
    *ret_start = stat.start_ticks;
    return stat.ppid;
}

static void describe_parents(struct describer *d, int64_t pid, int64_t start, struct sender *s)
{
    s->parents = arena_alloc(&s->arena, AGENT_PARENTS_MAX * sizeof *s->parents);
    while (s->parents && pid > 0 && s->parent_count < AGENT_PARENTS_MAX)
        pid = describe_parent(d->procfd, pid, start, s, &start);
    s->provenance[SENDER_FIELD_PARENTS] = AGENT_PROVENANCE_PROC;
}

static void describe_unit(const struct entry *e, struct sender *s)
{
    char text[8192];
    struct cgroup cgroup;
    ssize_t n = proc_read_at(e->dirfd, "cgroup", text, sizeof text);
    if (n < 0) {
        s->provenance[SENDER_FIELD_UNIT] = why_not();
        return;
    }
    cgroup_parse(span_of(text, (size_t)n), &cgroup);
    s->unit = cgroup.unit[0] ? arena_strdup(&s->arena, cgroup.unit) : NULL;
    s->container = cgroup.container[0] ? arena_strdup(&s->arena, cgroup.container) : NULL;
    s->provenance[SENDER_FIELD_UNIT] = AGENT_PROVENANCE_KERNEL;
}

static void describe_cwd(const struct entry *e, struct sender *s)
{
    char path[AGENT_PATH_BYTES];
    ssize_t n = proc_link_at(e->dirfd, "cwd", path, sizeof path);
    s->cwd = n > 0 ? arena_strdup(&s->arena, path) : NULL;
    s->provenance[SENDER_FIELD_CWD] = n > 0 ? AGENT_PROVENANCE_PROC : why_not();
}

/* Escapes make hostile names up to six times longer: what identifies least goes first until the answer fits a line. */
static void make_fit(struct sender *s)
{
    for (int step = 0; step < 4; step++) {
        struct agent_answer answer = {.sender = s};
        struct buf out;
        buf_init(&out, AGENT_LINE_BYTES - ANSWER_HEAD_BYTES);
        bool fits = agent_answer_write(&out, &answer) == 0;
        buf_free(&out);
        if (fits)
            return;
        if (step == 0)
            s->parent_count = 0;
        else if (step == 1)
            s->argument_count = 0, s->arguments_truncated = true;
        else
            s->cwd = NULL;
    }
}

static int64_t ticks_per_second(void)
{
    static const int64_t fallback_hz = 100;
    int64_t hz = sysconf(_SC_CLK_TCK);
    return hz > 0 ? hz : fallback_hz;
}

int64_t describe_ticks(uint64_t start_ns)
{
    return (int64_t)(start_ns / (1000000000 / (uint64_t)ticks_per_second()));
}

/* With its numbers, name and ref; one reference. */
static struct process *new_process(struct describer *d, int64_t pid, int64_t start_ticks, const char *name)
{
    struct process *process = calloc(1, sizeof *process);
    struct sender *s = process ? sender_new() : NULL;
    if (!s) {
        free(process);
        return NULL;
    }
    process->refs = 1;
    process->serial = ++d->serial;
    process->sender = s;
    char ref[AGENT_REF_BYTES];
    snprintf(ref, sizeof ref, "%" PRId64 ".%" PRId64 ".%" PRIu64, pid, start_ticks, process->serial);
    s->ref = arena_strdup(&s->arena, ref);
    s->pid = pid;
    s->start_ticks = start_ticks;
    s->start_ms = d->boot_ms + start_ticks * 1000 / ticks_per_second();
    s->name = arena_strdup(&s->arena, name);
    return process;
}

static struct process *finish(struct process *process)
{
    make_fit(process->sender);
    if (process->sender->ref)
        return process;
    process_unref(process);
    return NULL;
}

struct process *describe(struct describer *d, const struct entry *e, const struct identity *id,
                         const struct owner_image *image)
{
    struct source from = {.entry = e, .image = image};
    struct process *process = new_process(d, e->pid, id->stat.start_ticks, id->stat.name);
    if (!process)
        return NULL;
    struct sender *s = process->sender;
    process->executable = id->executable;
    describe_executable(d, e, id, process);
    describe_cwd(e, s);
    describe_user(e, s);
    describe_parents(d, id->stat.ppid, id->stat.start_ticks, s);
    describe_unit(e, s);
    describe_arguments(d, &from, process);
    who_describe(d, e, process);
    return finish(process);
}

/* ---- what is gone ---- */

size_t recorded_path_read(const char *parts, size_t used, char *out, size_t size)
{
    size_t at = size - 1;
    if (used == 0 || used > OWNER_PATH_BYTES + OWNER_PART_BYTES || parts[used - 1] != 0)
        return 0;
    out[at] = 0;
    for (size_t i = 0; i < used;) { /* the first one comes last */
        size_t len = strlen(parts + i);
        if (len == 0 || at < len + 1)
            return 0;
        at -= len;
        memcpy(out + at, parts + i, len);
        out[--at] = '/';
        i += len + 1;
    }
    memmove(out, out + at, size - at);
    return size - 1 - at;
}

size_t recorded_path_write(const char *path, char *parts, size_t size)
{
    size_t used = 0, end = strlen(path);
    while (end > 0) {
        size_t begin = end;
        while (begin > 0 && path[begin - 1] != '/')
            begin--;
        size_t len = end - begin;
        if (len == 0 || begin == 0 || used + len + 1 > size)
            return 0;
        memcpy(parts + used, path + begin, len);
        parts[used + len] = 0;
        used += len + 1;
        end = begin - 1;
    }
    return used;
}

/* Is the file at the path still the one that was executed? */
static bool is_recorded_file(const struct owner_file *file, const struct statx *st)
{
    int64_t ctime_ns = st->stx_ctime.tv_sec * 1000000000 + st->stx_ctime.tv_nsec;
    return st->stx_ino == file->inode && st->stx_dev_major == file->device >> 20 &&
           st->stx_dev_minor == (file->device & 0xfffff) && st->stx_size == file->size &&
           ctime_ns == file->ctime_ns;
}

static void describe_recorded_executable(struct describer *d, const struct owner_image *image, bool our_view,
                                         struct process *process)
{
    struct sender *s = process->sender;
    char path[AGENT_PATH_BYTES];
    struct statx st;
    const struct owner_file *file = &image->executable;
    s->writable_by_user = 1;
    if (recorded_path_read(image->path, image->path_bytes, path, sizeof path) == 0)
        return;
    bool ours = our_view && statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &st) == 0 &&
                is_recorded_file(file, &st);
    s->executable = arena_strdup(&s->arena, path);
    s->executable_deleted = file->links == 0;
    s->provenance[SENDER_FIELD_EXECUTABLE] = AGENT_PROVENANCE_KERNEL;
    s->provenance[SENDER_FIELD_WRITABLE_BY_USER] = AGENT_PROVENANCE_KERNEL;
    process->executable = (struct file_key){.inode = file->inode, .size = file->size};
    if (!ours)
        return;
    process->executable = file_key_of(&st);
    s->writable_by_user = path_is_writable_by_user(path);
    if (packages_find(&d->packages, path, &s->arena, &s->package_name, &s->package_version))
        take_package(d, path, process);
}

void describe_recorded_user(struct sender *s, const struct owner_record *record)
{
    int64_t login = record->login_uid == UINT32_MAX ? -1 : (int64_t)record->login_uid;
    if (s->uid != record->uid || !s->user)
        s->user = user_name(s, record->uid);
    if (s->login_uid != login || !s->login_user)
        s->login_user = user_name(s, login);
    s->uid = record->uid;
    s->login_uid = login;
    s->provenance[SENDER_FIELD_USER] = s->provenance[SENDER_FIELD_LOGIN_UID] = AGENT_PROVENANCE_KERNEL;
}

/* The parents as they were at connect(): those that still live are described, of the others the number is known. */
static void describe_recorded_parents(struct describer *d, const struct owner_record *record,
                                      struct sender *s)
{
    int64_t next = 0, start = 0;
    s->parents = arena_alloc(&s->arena, AGENT_PARENTS_MAX * sizeof *s->parents);
    for (size_t i = 0; s->parents && i < OWNER_PARENTS && record->parents[i].pid != 0; i++) {
        size_t before = s->parent_count;
        start = describe_ticks(record->parents[i].start_ns);
        next = describe_parent(d->procfd, record->parents[i].pid, start, s, &start);
        if (s->parent_count > before && start == describe_ticks(record->parents[i].start_ns))
            continue;
        s->parent_count = before;
        s->parents[s->parent_count++] =
            (struct sender_parent){.pid = record->parents[i].pid, .writable_by_user = -1};
        next = 0;
    }
    while (s->parents && next > 0 && s->parent_count < AGENT_PARENTS_MAX)
        next = describe_parent(d->procfd, next, start, s, &start);
    s->provenance[SENDER_FIELD_PARENTS] = AGENT_PROVENANCE_KERNEL;
}

struct process *describe_recorded(struct describer *d, const struct owner_record *record,
                                  const struct owner_image *image, bool our_view)
{
    struct source from = {.image = image, .our_view = our_view};
    char name[sizeof record->name + 1] = "", cwd[AGENT_PATH_BYTES];
    memcpy(name, record->name, sizeof record->name);
    struct process *process = new_process(d, record->pid, describe_ticks(record->tag.start_ns), name);
    if (!process)
        return NULL;
    struct sender *s = process->sender;
    s->writable_by_user = 1;
    s->script_kind = SENDER_SCRIPT_UNCLEAR;
    if (image) {
        describe_recorded_executable(d, image, our_view, process);
        if (recorded_path_read(image->cwd, image->cwd_bytes, cwd, sizeof cwd) > 0) {
            s->cwd = arena_strdup(&s->arena, cwd);
            s->provenance[SENDER_FIELD_CWD] = AGENT_PROVENANCE_KERNEL;
        }
    }
    describe_recorded_user(s, record);
    describe_recorded_parents(d, record, s);
    if (image)
        describe_arguments(d, &from, process);
    who_describe_gone(process);
    return finish(process);
}
