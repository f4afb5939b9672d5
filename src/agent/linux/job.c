/* job.c: see job.h. In the order: a cron above it, the session's autostart, the unit. */
#include "agent/linux/job.h"

#include "agent/linux/describe.h"
#include "base/must.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES_MAX = 256, DROP_INS_MAX = 32, CMDLINE_BYTES = 8192 };

int job_finder_init(struct job_finder *f, int procfd, const char *root, struct seen *seen)
{
    *f = (struct job_finder){.procfd = procfd, .root = root, .seen = seen, .text = malloc(JOB_FILE_BYTES)};
    f->known = calloc(JOBS_KNOWN, sizeof *f->known);
    return f->text && f->known ? 0 : -1;
}

void job_finder_free(struct job_finder *f)
{
    free(f->text);
    free(f->known);
}

/* ---- files ---- */

/* The file's text, with its state; never waits, follows links (units are made of them). A view until the next call. */
static bool read_file(struct job_finder *f, const char *path, struct span *ret, struct stat *ret_st)
{
    char full[JOB_PATH_BYTES * 2];
    snprintf(full, sizeof full, "%s%s", f->root, path);
    int fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    size_t len = 0;
    ssize_t n = -1;
    if (fd >= 0 && fstat(fd, ret_st) == 0 && S_ISREG(ret_st->st_mode))
        while (len < JOB_FILE_BYTES && (n = read(fd, f->text + len, JOB_FILE_BYTES - len)) > 0)
            len += (size_t)n;
    if (fd >= 0)
        close(fd);
    *ret = span_of(f->text, len);
    return n >= 0;
}

static bool exists(const struct job_finder *f, const char *path)
{
    char full[JOB_PATH_BYTES * 2];
    struct stat st;
    snprintf(full, sizeof full, "%s%s", f->root, path);
    return stat(full, &st) == 0 && S_ISREG(st.st_mode);
}

/* The names in a folder that end so, in the order of the alphabet. */
struct names {
    char *items[FILES_MAX]; /* owned */
    size_t count;
};

static int by_name(const void *a, const void *b)
{
    char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

static void list_folder(const struct job_finder *f, const char *folder, const char *end, struct names *ret)
{
    char full[JOB_PATH_BYTES * 2];
    snprintf(full, sizeof full, "%s%s", f->root, folder);
    DIR *dir = opendir(full);
    ret->count = 0;
    for (struct dirent *d; dir && ret->count < FILES_MAX && (d = readdir(dir));) {
        size_t len = strlen(d->d_name), m = strlen(end);
        if (d->d_name[0] != '.' && len > m && strcmp(d->d_name + len - m, end) == 0 &&
            (ret->items[ret->count] = strdup(d->d_name)))
            ret->count++;
    }
    if (dir)
        closedir(dir);
    if (ret->count > 0)
        qsort(ret->items, ret->count, sizeof *ret->items, by_name);
}

static void free_names(struct names *n)
{
    for (size_t i = 0; i < n->count; i++)
        free(n->items[i]);
}

struct user {
    char name[64], home[JOB_PATH_BYTES / 2];
};

/* Of a local account. */
static bool find_user(const struct job_finder *f, int64_t uid, struct user *ret)
{
    char path[JOB_PATH_BYTES];
    bool found = false;
    snprintf(path, sizeof path, "%s/etc/passwd", f->root);
    FILE *in = uid >= 0 ? fopen(path, "re") : NULL;
    for (struct passwd *p; in && !found && (p = fgetpwent(in));) {
        found = (int64_t)p->pw_uid == uid;
        if (found) {
            snprintf(ret->name, sizeof ret->name, "%s", p->pw_name);
            snprintf(ret->home, sizeof ret->home, "%s", p->pw_dir);
        }
    }
    if (in)
        fclose(in);
    return found;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void digest_text(EVP_MD_CTX *md, struct span text, const struct stat *st, struct job_found *found)
{
    EVP_DigestUpdate(md, text.data, text.len);
    found->changed_ms = later(found->changed_ms, st->st_ctim.tv_sec * 1000 + st->st_ctim.tv_nsec / 1000000);
}

/* Hash, owner and last change of found->file; a unit's drop-ins belong to it, in their order. */
static void describe_file(struct job_finder *f, struct job_found *found)
{
    struct span text;
    struct stat st;
    struct user owner;
    struct names drops;
    char folder[JOB_PATH_BYTES], path[JOB_PATH_BYTES * 2];
    uint8_t digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    found->owner_uid = found->changed_ms = -1;
    if (md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 && read_file(f, found->file, &text, &st)) {
        found->owner_uid = st.st_uid;
        digest_text(md, text, &st, found);
        snprintf(folder, sizeof folder, "%.1000s.d", found->file);
        list_folder(f, folder, ".conf", &drops);
        for (size_t i = 0; i < drops.count && i < DROP_INS_MAX; i++) {
            snprintf(path, sizeof path, "%s/%s", folder, drops.items[i]);
            if (read_file(f, path, &text, &st))
                digest_text(md, text, &st, found);
        }
        free_names(&drops);
        EVP_DigestFinal_ex(md, digest, NULL);
        for (size_t i = 0; i < 32; i++)
            snprintf(found->sha256 + i * 2, 3, "%02x", digest[i]);
        if (find_user(f, found->owner_uid, &owner))
            snprintf(found->owner, sizeof found->owner, "%s", owner.name);
    }
    EVP_MD_CTX_free(md);
}

/* ---- units ---- */

/* Where a manager looks, first things first. %H stands for the user's home, %R for his folder in /run/user. */
static const char *const system_folders[] = {
    "/run/systemd/transient",  "/run/systemd/generator.early", "/etc/systemd/system",
    "/run/systemd/system",     "/run/systemd/generator",       "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system", "/lib/systemd/system",          "/run/systemd/generator.late",
};
static const char *const user_folders[] = {
    "%R/systemd/transient",        "%H/.config/systemd/user", "/etc/systemd/user",
    "/run/systemd/user",           "%R/systemd/generator",    "%H/.local/share/systemd/user",
    "/usr/local/lib/systemd/user", "/usr/lib/systemd/user",   "%R/systemd/generator.late",
};

struct folders {
    char items[ARRAY_LEN(system_folders)][JOB_PATH_BYTES / 2 + 64];
    size_t count;
};

static void make_folders(struct folders *ret, int64_t uid, const struct user *user)
{
    const char *const *list = user ? user_folders : system_folders;
    ret->count = ARRAY_LEN(system_folders);
    for (size_t i = 0; i < ret->count; i++) {
        char *out = ret->items[i];
        size_t size = sizeof ret->items[i];
        if (strncmp(list[i], "%H", 2) == 0)
            snprintf(out, size, "%s%s", user ? user->home : "", list[i] + 2);
        else if (strncmp(list[i], "%R", 2) == 0)
            snprintf(out, size, "/run/user/%" PRId64 "%s", uid, list[i] + 2);
        else
            snprintf(out, size, "%s", list[i]);
    }
}

/* The first folder that has it; an instance "a@b.service" may be made of "a@.service". */
static bool find_unit_file(const struct job_finder *f, const struct folders *folders, const char *unit,
                           char ret[JOB_PATH_BYTES])
{
    const char *at = strchr(unit, '@'), *dot = strrchr(unit, '.');
    for (int template = 0; template <(at && dot && dot > at ? 2 : 1); template ++) {
        for (size_t i = 0; i < folders->count; i++) {
            if (template)
                snprintf(ret, JOB_PATH_BYTES, "%s/%.*s@%s", folders->items[i], (int)(at - unit), unit, dot);
            else
                snprintf(ret, JOB_PATH_BYTES, "%s/%s", folders->items[i], unit);
            if (exists(f, ret))
                return true;
        }
    }
    return false;
}

static const struct trigger {
    const char *end, *keys;
    enum sender_job_kind kind;
} triggers[] = {
    {".timer", "OnCalendar OnBootSec OnStartupSec OnUnitActiveSec OnUnitInactiveSec OnActiveSec",
     SENDER_JOB_TIMER},
    {".path", "PathExists PathChanged PathModified DirectoryNotEmpty", SENDER_JOB_UNIT},
    {".socket", "ListenStream ListenDatagram ListenSequentialPacket ListenFIFO", SENDER_JOB_UNIT},
};

static bool take_trigger(struct job_finder *f, const struct trigger *t, const char *path,
                         struct job_found *found)
{
    struct span text;
    struct stat st;
    if (!read_file(f, path, &text, &st) || !jobs_read_trigger(text, t->keys, found->trigger))
        return false;
    snprintf(found->trigger_file, sizeof found->trigger_file, "%s", path);
    found->kind = t->kind;
    return true;
}

/* One of the same name, or any that names the unit. */
static bool find_trigger(struct job_finder *f, const struct folders *folders, const struct trigger *t,
                         const char *unit, struct job_found *found)
{
    char name[256], path[JOB_PATH_BYTES];
    const char *dot = strrchr(unit, '.');
    snprintf(name, sizeof name, "%.*s%s", (int)(dot ? dot - unit : 0), unit, t->end);
    if (find_unit_file(f, folders, name, path) && take_trigger(f, t, path, found))
        return true;
    bool done = false;
    for (size_t i = 0; i < folders->count && !done; i++) {
        struct names n;
        struct span text;
        struct stat st;
        list_folder(f, folders->items[i], t->end, &n);
        for (size_t k = 0; k < n.count && !done; k++) {
            snprintf(path, sizeof path, "%.500s/%.255s", folders->items[i], n.items[k]);
            done = read_file(f, path, &text, &st) && jobs_names_unit(text, unit) &&
                   take_trigger(f, t, path, found);
        }
        free_names(&n);
    }
    return done;
}

/* A target that wants it: "multi-user.target". */
static bool find_target(const struct job_finder *f, const struct folders *folders, const char *unit,
                        struct job_found *found)
{
    bool done = false;
    for (size_t i = 0; i < folders->count && !done; i++) {
        struct names n;
        list_folder(f, folders->items[i], ".wants", &n);
        for (size_t k = 0; k < n.count && !done; k++) {
            char path[JOB_PATH_BYTES];
            snprintf(path, sizeof path, "%.500s/%.255s/%.255s", folders->items[i], n.items[k], unit);
            done = exists(f, path);
            if (done)
                snprintf(found->trigger, sizeof found->trigger, "%.*s", (int)strlen(n.items[k]) - 6,
                         n.items[k]);
        }
        free_names(&n);
    }
    return done;
}

static void find_unit(struct job_finder *f, const char *unit, int64_t uid, const struct user *user,
                      struct job_found *found)
{
    struct folders folders;
    make_folders(&folders, uid, user);
    if (!find_unit_file(f, &folders, unit, found->file))
        return;
    found->kind = SENDER_JOB_UNIT;
    snprintf(found->name, sizeof found->name, "%s", unit);
    describe_file(f, found);
    for (size_t i = 0; i < ARRAY_LEN(triggers); i++)
        if (find_trigger(f, &folders, &triggers[i], unit, found))
            return;
    find_target(f, &folders, unit, found);
}

/* ---- cron ---- */

static const char *base_name(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    return slash ? slash + 1 : path ? path : "";
}

/* Not whatever a user calls so. */
static bool is_cron(const char *executable)
{
    static const char *const paths[] = {"/usr/sbin/cron", "/usr/sbin/crond", "/usr/sbin/anacron",
                                        "/usr/bin/crond"};
    for (size_t i = 0; executable && i < ARRAY_LEN(paths); i++)
        if (strcmp(executable, paths[i]) == 0)
            return true;
    return false;
}

/* Arguments of a process above; `text` is theirs. The count, 0: gone. */
static size_t read_arguments(const struct job_finder *f, int64_t pid, struct arena *arena,
                             const char *const **ret)
{
    char text[CMDLINE_BYTES];
    bool truncated;
    int dirfd = proc_open_pid(f->procfd, pid);
    ssize_t n = dirfd < 0 ? -1 : proc_read_at(dirfd, "cmdline", text, sizeof text);
    if (dirfd >= 0)
        close(dirfd);
    return n > 0 ? arguments_split(arena, text, (size_t)n, ret, &truncated) : 0;
}

/* run-parts was told a folder, and its child is a file in there. */
static bool take_parts(const char *const *argv, size_t argc, struct job_found *found)
{
    for (size_t i = 0; i < argc && i < 4; i++) {
        const char *rest = strncmp(argv[i], "/etc/cron.", 10) == 0 ? argv[i] + 10 : "d/";
        size_t word = strcspn(rest, "/");
        if (rest[word] != '/' || !rest[word + 1] || strchr(rest + word + 1, '/') ||
            strncmp(rest, "d/", 2) == 0)
            continue;
        snprintf(found->file, sizeof found->file, "%s", argv[i]);
        snprintf(found->trigger, sizeof found->trigger, "cron.%.*s", (int)word, rest);
        snprintf(found->name, sizeof found->name, "%.255s", rest + word + 1);
        return true;
    }
    return false;
}

static bool take_crontab(struct job_finder *f, const char *path, bool with_user, const char *user,
                         const char *const *argv, size_t argc, struct job_found *found)
{
    struct span text;
    struct stat st;
    if (!read_file(f, path, &text, &st) ||
        !jobs_match_crontab(text, with_user, user, argv, argc, found->trigger))
        return false;
    snprintf(found->file, sizeof found->file, "%s", path);
    snprintf(found->name, sizeof found->name, "%.255s", base_name(path));
    snprintf(found->trigger_file, sizeof found->trigger_file, "%s", path);
    return true;
}

static bool find_crontab(struct job_finder *f, const char *user, const char *const *argv, size_t argc,
                         struct job_found *found)
{
    char path[JOB_PATH_BYTES];
    struct names n;
    snprintf(path, sizeof path, "/var/spool/cron/crontabs/%.64s", user ? user : "root");
    if (!strchr(user ? user : "", '/') && take_crontab(f, path, false, user, argv, argc, found))
        return true;
    if (take_crontab(f, "/etc/crontab", true, user, argv, argc, found))
        return true;
    list_folder(f, "/etc/cron.d", "", &n);
    bool done = false;
    for (size_t i = 0; i < n.count && !done; i++) {
        snprintf(path, sizeof path, "/etc/cron.d/%.255s", n.items[i]);
        done = take_crontab(f, path, true, user, argv, argc, found);
    }
    free_names(&n);
    return done;
}

/* What cron started: the process below it, `argv` when that is the sender itself. */
static bool find_cron(struct job_finder *f, const struct sender *s, const char *const *argv, size_t argc,
                      struct job_found *found)
{
    size_t below = 0;
    while (below < s->parent_count && !is_cron(s->parents[below].executable))
        below++;
    if (below == s->parent_count)
        return false;
    struct arena arena;
    arena_init(&arena, CMDLINE_BYTES * 64);
    found->kind = SENDER_JOB_CRON;
    snprintf(found->name, sizeof found->name, "%s", base_name(s->parents[below].executable));
    bool done = take_parts(argv, argc, found);
    for (size_t i = 0; i < below && !done; i++) {
        const char *const *above = NULL;
        size_t count = read_arguments(f, s->parents[i].pid, &arena, &above);
        done = take_parts(above, count, found);
        if (i + 1 == below)
            argv = above, argc = count;
    }
    if (done || find_crontab(f, s->user, argv, argc, found))
        describe_file(f, found);
    arena_reset(&arena);
    return true;
}

/* ---- autostart ---- */

static bool take_desktop(struct job_finder *f, const char *path, const char *executable, const char *argv0,
                         struct job_found *found)
{
    struct span text;
    struct stat st;
    if (!read_file(f, path, &text, &st) || (executable && !jobs_match_desktop(text, executable, argv0)))
        return false;
    found->kind = SENDER_JOB_AUTOSTART;
    snprintf(found->name, sizeof found->name, "%.255s", base_name(path));
    snprintf(found->file, sizeof found->file, "%s", path);
    snprintf(found->trigger, sizeof found->trigger, "session");
    describe_file(f, found);
    return true;
}

static bool is_session(const char *name)
{
    static const char *const names[] = {"gnome-session",    "xfce4-session",  "lxsession",
                                        "mate-session",     "ksmserver",      "lxqt-session",
                                        "cinnamon-session", "plasma_session", "openbox"};
    for (size_t i = 0; name && i < ARRAY_LEN(names); i++)
        if (strncmp(base_name(name), names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

/* By the entry's name, which systemd made the unit of; or what the session's manager started itself. */
static bool find_autostart(struct job_finder *f, const struct sender *s, const char *argv0,
                           struct job_found *found)
{
    char name[256] = "", path[JOB_PATH_BYTES],
         folder[2][JOB_PATH_BYTES / 2 + 32] = {"", "/etc/xdg/autostart"};
    struct user user;
    size_t below = 0;
    while (below < s->parent_count && !is_session(s->parents[below].executable))
        below++;
    bool named = s->unit && jobs_desktop_name(s->unit, name, sizeof name);
    if (!named && below == s->parent_count)
        return false;
    bool local = find_user(f, s->uid, &user);
    snprintf(folder[0], sizeof folder[0], "%s/.config/autostart", local ? user.home : "/nobody");
    if (named) {
        for (size_t i = 0; i < 2; i++) {
            snprintf(path, sizeof path, "%.560s/%.255s.desktop", folder[i], name);
            if (take_desktop(f, path, NULL, NULL, found))
                return true;
        }
    }
    if (below == s->parent_count)
        return false;
    const char *executable = below ? s->parents[below - 1].executable : s->executable;
    bool done = false;
    for (size_t i = 0; i < 2 && !done && executable; i++) {
        struct names n;
        list_folder(f, folder[i], ".desktop", &n);
        for (size_t k = 0; k < n.count && !done; k++) {
            snprintf(path, sizeof path, "%.560s/%.255s", folder[i], n.items[k]);
            done = take_desktop(f, path, executable, below ? NULL : argv0, found);
        }
        free_names(&n);
    }
    return done;
}

/* ---- all ---- */

/* A unit of the system's is looked for once in a while, for all of its processes. */
static void find_system_unit(struct job_finder *f, const char *unit, int64_t now_ms, struct job_found *found)
{
    for (size_t i = 0; i < JOBS_KNOWN; i++) {
        const struct job_known *k = &f->known[i];
        if (strcmp(k->unit, unit) == 0 && now_ms - k->found_ms < JOB_FOR_MS) {
            *found = k->found;
            return;
        }
    }
    find_unit(f, unit, -1, NULL, found);
    struct job_known *k = &f->known[f->turn++ % JOBS_KNOWN];
    k->found_ms = now_ms;
    k->found = *found;
    snprintf(k->unit, sizeof k->unit, "%s", unit);
}

/* "user@1000.service/it.service" */
static void find_user_unit(struct job_finder *f, const char *unit, struct job_found *found)
{
    const char *slash = strchr(unit, '/');
    struct user user;
    int64_t uid = strncmp(unit, "user@", 5) == 0 ? strtoll(unit + 5, NULL, 10) : -1;
    if (slash && find_user(f, uid, &user))
        find_unit(f, slash + 1, uid, &user, found);
}

/* A scope is where somebody works; nothing starts it again. */
static bool is_job(const char *unit)
{
    size_t len = unit ? strlen(unit) : 0;
    return len > 8 && strcmp(unit + len - 8, ".service") == 0;
}

static const char *keep(struct sender *s, const char *text)
{
    return text[0] ? arena_strdup(&s->arena, text) : NULL;
}

static void fill(struct job_finder *f, struct sender *s, const struct job_found *found, int64_t wall_ms)
{
    struct sender_job *job = &s->who.job;
    *job = (struct sender_job){.kind = found->kind,
                               .name = keep(s, found->name),
                               .file = keep(s, found->file),
                               .sha256 = keep(s, found->sha256),
                               .owner = keep(s, found->owner),
                               .trigger = keep(s, found->trigger),
                               .trigger_file = keep(s, found->trigger_file),
                               .owner_uid = found->owner_uid,
                               .changed_ms = found->changed_ms,
                               .first_seen_ms = -1};
    const struct span key[] = {span_str("job"), span_str(found->file), span_str(found->trigger)};
    if (f->seen && found->file[0])
        job->first_seen_ms = seen_note(f->seen, key, ARRAY_LEN(key), wall_ms);
}

void job_find(struct job_finder *f, struct sender *s, const char *const *argv, size_t argc, int64_t now_ms,
              int64_t wall_ms)
{
    struct job_found found = {.kind = SENDER_JOB_NONE, .owner_uid = -1, .changed_ms = -1};
    if (!find_cron(f, s, argv, argc, &found) && !find_autostart(f, s, argc ? argv[0] : NULL, &found) &&
        is_job(s->unit)) {
        if (strchr(s->unit, '/'))
            find_user_unit(f, s->unit, &found);
        else if (strlen(s->unit) < sizeof f->known->unit)
            find_system_unit(f, s->unit, now_ms, &found);
    }
    if (found.kind != SENDER_JOB_NONE)
        fill(f, s, &found, wall_ms);
}
