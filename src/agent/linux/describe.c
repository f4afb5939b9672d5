/* describe.c: see describe.h. Names, arguments and paths are hostile bytes: they are copied with bounds and escaped
 * when written. */
#include "agent/linux/describe.h"

#include "agent/linux/cgroup.h"
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

void describer_init(struct describer *d, int procfd)
{
    struct timespec now, up;
    clock_gettime(CLOCK_REALTIME, &now);
    clock_gettime(CLOCK_BOOTTIME, &up);
    *d = (struct describer){.procfd = procfd};
    d->boot_ms = (now.tv_sec - up.tv_sec) * 1000 + (now.tv_nsec - up.tv_nsec) / 1000000;
    packages_init(&d->packages, "/var/lib/dpkg", (uint64_t)now.tv_nsec * 0x9e3779b97f4a7c15u);
    packages_refresh(&d->packages);
}

void describer_free(struct describer *d)
{
    packages_free(&d->packages);
}

void process_unref(struct process *process)
{
    if (--process->refs > 0)
        return;
    sender_unref(process->sender);
    free(process);
}

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

static void describe_executable(struct describer *d, const struct entry *e, const struct identity *id,
                                struct sender *s)
{
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
        s->provenance[SENDER_FIELD_PACKAGE] = AGENT_PROVENANCE_CACHE;
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
static bool same_view(const struct entry *e, const char *path, const struct stat *ours)
{
    char seen[AGENT_PATH_BYTES + 8];
    struct stat theirs;
    snprintf(seen, sizeof seen, "root%s", path);
    return fstatat(e->dirfd, seen, &theirs, 0) == 0 && theirs.st_dev == ours->st_dev &&
           theirs.st_ino == ours->st_ino;
}

/* The script's absolute path with every link followed. False when it is no file that we see as the process does. */
static bool resolve_script(const struct entry *e, const char *script, const char *cwd,
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
                same_view(e, path, &st);
    if (fits)
        snprintf(process->script_path, sizeof process->script_path, "%s", path);
    free(path);
    return fits;
}

static void describe_script(const struct entry *e, struct process *process, const char *const *argv,
                            size_t argc, bool truncated)
{
    struct sender *s = process->sender;
    const char *script = NULL;
    s->provenance[SENDER_FIELD_SCRIPT] = AGENT_PROVENANCE_PROC;
    s->script_kind = s->executable ? script_find(s->executable, argv, argc, &script) : SENDER_SCRIPT_UNCLEAR;
    if (s->script_kind == SENDER_SCRIPT_STDIN) {
        char link[64];
        ssize_t n = proc_link_at(e->dirfd, "fd/0", link, sizeof link);
        if (n > 8 && (strncmp(link, "/dev/pts/", 9) == 0 || strncmp(link, "/dev/tty", 8) == 0))
            s->script_kind = SENDER_SCRIPT_INTERACTIVE;
    }
    if (s->script_kind != SENDER_SCRIPT_FILE)
        return;
    if (truncated && argc == 0)
        s->script_kind = SENDER_SCRIPT_UNCLEAR;
    else if (resolve_script(e, script, s->cwd, process)) {
        s->script = arena_strdup(&s->arena, process->script_path);
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

static void describe_arguments(const struct entry *e, struct process *process)
{
    struct sender *s = process->sender;
    char *text = malloc(CMDLINE_BYTES);
    struct arena arena; /* the plain arguments live only here */
    arena_init(&arena, CMDLINE_BYTES * 4);
    ssize_t n = text ? proc_read_at(e->dirfd, "cmdline", text, CMDLINE_BYTES) : -1;
    const char *const *argv = NULL;
    size_t argc = 0;
    if (n >= 0) {
        argc = arguments_split(&arena, text, (size_t)n, &argv, &s->arguments_truncated);
        redact_arguments(s, argv, argc);
        s->provenance[SENDER_FIELD_ARGUMENTS] = AGENT_PROVENANCE_PROC;
    } else {
        s->provenance[SENDER_FIELD_ARGUMENTS] = why_not();
    }
    describe_script(e, process, argv, argc, s->arguments_truncated);
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
    close(dirfd);
    if (n <= 0 || !proc_stat_parse(span_of(text, (size_t)n), &stat) || stat.start_ticks > child_start)
        return 0; /* a parent is older than its child: the number was given to another */
    struct sender_parent *p = &s->parents[s->parent_count++];
    p->pid = pid;
    p->name = arena_strdup(&s->arena, stat.name);
    p->executable = link > 0 ? arena_strdup(&s->arena, path) : NULL;
    *ret_start = stat.start_ticks;
    return stat.ppid;
}

static void describe_parents(struct describer *d, const struct identity *id, struct sender *s)
{
    int64_t pid = id->stat.ppid, start = id->stat.start_ticks;
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

struct process *describe(struct describer *d, const struct entry *e, const struct identity *id)
{
    static const int64_t fallback_hz = 100;
    struct process *process = calloc(1, sizeof *process);
    struct sender *s = process ? sender_new() : NULL;
    if (!s) {
        free(process);
        return NULL;
    }
    process->refs = 1;
    process->serial = ++d->serial;
    process->sender = s;
    process->executable = id->executable;
    int64_t hz = sysconf(_SC_CLK_TCK) > 0 ? sysconf(_SC_CLK_TCK) : fallback_hz;
    char ref[AGENT_REF_BYTES];
    snprintf(ref, sizeof ref, "%" PRId64 ".%" PRId64 ".%" PRIu64, e->pid, id->stat.start_ticks,
             process->serial);
    s->ref = arena_strdup(&s->arena, ref);
    s->pid = e->pid;
    s->start_ticks = id->stat.start_ticks;
    s->start_ms = d->boot_ms + id->stat.start_ticks * 1000 / hz;
    s->name = arena_strdup(&s->arena, id->stat.name);
    describe_executable(d, e, id, s);
    describe_cwd(e, s);
    describe_arguments(e, process);
    describe_user(e, s);
    describe_parents(d, id, s);
    describe_unit(e, s);
    make_fit(s);
    if (!s->ref) {
        process_unref(process);
        return NULL;
    }
    return process;
}
