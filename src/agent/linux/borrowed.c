/* borrowed.c: see borrowed.h. Everything that is read here was written by the process it is about. */
#include "agent/linux/borrowed.h"

#include "agent/linux/describe.h"
#include "agent/linux/owner.h"
#include "agent/redact.h"
#include "base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    KNOWN_FOR_MS = 5000,
    MAPS_EACH_MS = 1000,
    TRACER_EACH_MS = 10,
    MAPS_BYTES_MAX = 8 << 20,
    STATUS_BYTES = 2048
};

int borrowed_looker_init(struct borrowed_looker *l)
{
    struct stat st;
    *l = (struct borrowed_looker){.text = malloc(ENVIRONMENT_BYTES)};
    l->our_mounts = stat("/proc/self/ns/mnt", &st) == 0 ? st.st_ino : 0;
    return l->text ? 0 : -1;
}

void borrowed_looker_free(struct borrowed_looker *l)
{
    free(l->text);
}

/* The first evidence is kept; `detail` may be hostile bytes, secrets in it are not repeated. */
static void find(struct borrowed *b, enum sender_borrowed which, const char *label, const char *detail)
{
    struct buf out;
    b->set |= 1u << which;
    if (b->why[0])
        return;
    buf_init(&out, AGENT_PATH_BYTES * 2);
    redact_argument(NULL, detail, &out);
    struct span text = buf_span(&out);
    snprintf(b->why, sizeof b->why, "%s%.*s", label, out.failed ? 0 : (int)text.len,
             out.failed ? "" : (const char *)text.data);
    buf_free(&out);
}

/* ---- the start ---- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool borrowed_is_loader(const char *executable)
{
    static const char *const names[] = {"ld-linux", "ld-musl-", "ld.so", "ld64.so", "ld-2.", "ld-uClibc"};
    for (size_t i = 0; executable && i < ARRAY_LEN(names); i++)
        if (strncmp(base_name(executable), names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

/* ---- the environment ---- */

enum test { TEST_ANY, TEST_FOLDERS, TEST_FILES, TEST_GIT, TEST_JAVA };

static const struct variable {
    const char *name;
    enum sender_borrowed which;
    const char *programs;
    enum test test;
} variables[] = {
#define VARIABLE(name, which, programs, test) {name, SENDER_BORROWED_##which, programs, TEST_##test},
#include "agent/linux/environment.def"
#undef VARIABLE
};

/* "python3.11" reads what python does. */
static bool reads(const struct variable *v, const char *executable)
{
    const char *name = executable ? base_name(executable) : "";
    if (!v->programs[0])
        return true;
    for (const char *word = v->programs; *word;) {
        size_t len = strcspn(word, " ");
        const char *rest = name + len;
        if (strncmp(name, word, len) == 0 && (strspn(rest, "0123456789.-") == strlen(rest) || *rest == '-'))
            return true;
        word += len + (word[len] == ' ');
    }
    return false;
}

/* Could a user bring something here? What does not exist yet is as open as the first folder above it that does. */
static bool is_open_to_users(const char *path)
{
    char part[AGENT_PATH_BYTES];
    int n = snprintf(part, sizeof part, "%s", path);
    if (n <= 0 || (size_t)n >= sizeof part || part[0] != '/')
        return true;
    if (strcmp(part, "/dev/null") == 0)
        return false; /* anybody may write there, and nobody reads it */
    for (;;) {
        char *real = realpath(part, NULL);
        if (real) {
            bool open = path_is_writable_by_user(real);
            free(real);
            return open;
        }
        char *slash = strrchr(part, '/');
        if (errno != ENOENT || slash == part)
            return true;
        *slash = 0;
    }
}

static bool any_is_open(const char *list, const char *between)
{
    char part[AGENT_PATH_BYTES];
    for (;;) {
        size_t len = strcspn(list, between);
        if (len >= sizeof part)
            return true;
        memcpy(part, list, len);
        part[len] = 0;
        if (is_open_to_users(part))
            return true;
        if (!list[len])
            return false;
        list += len + 1;
    }
}

/* Settings of git that run a command. */
static bool has_git_command(const char *value)
{
    static const char *const settings[] = {
        "core.sshcommand", "core.gitproxy", "core.fsmonitor", "core.hookspath", "core.askpass",
        "core.editor",     "credential",    "alias.",         "filter.",        "protocol.ext",
        ".uploadpack",     ".receivepack",  "packobjectshook"};
    for (size_t i = 0; i < ARRAY_LEN(settings); i++)
        if (strcasestr(value, settings[i]))
            return true;
    return false;
}

/* The virtual machine splits it at white space, whatever is quoted. */
static bool has_java_option(const char *value)
{
    static const char space[] = " \t\n\v\f\r", roots[] = "-Djavax.net.ssl.trustStore";
    for (value += strspn(value, space); *value; value += strspn(value, space)) {
        if (strncmp(value, roots, sizeof roots - 1) != 0)
            return true;
        value += strcspn(value, space);
    }
    return false;
}

static bool counts(enum test test, const char *value)
{
    switch (test) {
    case TEST_ANY:
        return true;
    case TEST_FOLDERS:
        return any_is_open(value, ":");
    case TEST_FILES:
        return any_is_open(value, ": ");
    case TEST_JAVA:
        return has_java_option(value);
    case TEST_GIT:
        break;
    }
    return has_git_command(value);
}

void borrowed_by_environment(struct span text, const char *executable, struct borrowed *b)
{
    while (text.len > 0) {
        const char *word = (const char *)text.data;
        size_t len = strnlen(word, text.len), name = 0;
        if (len == text.len)
            return; /* cut off: whoever read it knows */
        while (name < len && word[name] != '=')
            name++;
        for (size_t i = 0; name < len && i < ARRAY_LEN(variables); i++) {
            const struct variable *v = &variables[i];
            if (strlen(v->name) == name && memcmp(v->name, word, name) == 0 && word[name + 1] &&
                reads(v, executable) && counts(v->test, word + name + 1))
                find(b, v->which, "", word);
        }
        text = span_from(text, len + 1);
    }
}

void borrowed_look_fixed(struct borrowed_looker *l, const struct entry *e, const struct sender *s,
                         struct borrowed *b)
{
    if (borrowed_is_loader(s->executable))
        find(b, SENDER_BORROWED_LOADER, "started through ", s->executable);
    if (s->executable && strncmp(s->executable, "/memfd:", 7) == 0)
        find(b, SENDER_BORROWED_MEMFD, "the program is ", s->executable);
    ssize_t n = proc_read_at(e->dirfd, "environ", l->text, ENVIRONMENT_BYTES);
    if (n < 0)
        find(b, SENDER_BORROWED_UNOBSERVED, "its environment cannot be read", "");
    else if (n >= ENVIRONMENT_BYTES - 1)
        find(b, SENDER_BORROWED_ENVIRONMENT, "its environment is too long", "");
    borrowed_by_environment(span_of(l->text, n > 0 ? (size_t)n : 0), s->executable, b);
}

/* ---- mappings ---- */

/* A line of /proc/PID/maps. */
struct mapping {
    bool executable, writable;
    uint64_t inode;
    char path
        [AGENT_PATH_BYTES]; /* "" without one; octal escapes are left as they are: such a path is found nowhere */
    bool deleted;
};

/* The next of the words that spaces part; "" at the end. */
static char *take_word(char **text)
{
    char *word = *text + strspn(*text, " ");
    *text = word + strcspn(word, " ");
    if (**text)
        *(*text)++ = 0;
    return word;
}

/* "55d0-55e0 r-xp 00001000 fd:00 1234   /usr/bin/x". False when it is none. */
static bool read_mapping(struct span line, struct mapping *m)
{
    static const char deleted[] = " (deleted)";
    char text[AGENT_PATH_BYTES + 128], *at = text, *end;
    size_t len = line.len < sizeof text - 1 ? line.len : sizeof text - 1;
    memcpy(text, line.data, len);
    text[len] = 0;
    take_word(&at); /* addresses */
    const char *flags = take_word(&at);
    take_word(&at); /* offset and device */
    take_word(&at);
    const char *inode = take_word(&at);
    if (strlen(flags) != 4)
        return false;
    *m = (struct mapping){.executable = flags[2] == 'x', .writable = flags[1] == 'w'};
    m->inode = strtoull(inode, &end, 10);
    if (end == inode || *end)
        return false;
    snprintf(m->path, sizeof m->path, "%s", at + strspn(at, " "));
    size_t n = strlen(m->path), cut = sizeof deleted - 1;
    m->deleted = n > cut && strcmp(m->path + n - cut, deleted) == 0;
    if (m->deleted)
        m->path[n - cut] = 0;
    return true;
}

static bool is_anonymous(const struct mapping *m)
{
    static const char *const kernels[] = {"[vdso]", "[vsyscall]", "[uprobes]"};
    static const char *const nothings[] = {"/dev/zero", "/SYSV", "/anon_hugepage"};
    for (size_t i = 0; i < ARRAY_LEN(kernels); i++)
        if (strcmp(m->path, kernels[i]) == 0)
            return false;
    for (size_t i = 0; m->deleted && i < ARRAY_LEN(nothings); i++)
        if (strncmp(m->path, nothings[i], strlen(nothings[i])) == 0)
            return true;
    return m->path[0] != '/' && strncmp(m->path, "[v", 2) != 0;
}

static uint64_t hash_text(uint64_t hash, const char *text)
{
    for (; *text; text++)
        hash = (hash ^ (uint8_t)*text) * 0x100000001b3u;
    return hash;
}

/* The file, or a folder above it, in the process' own view of the file system. `deleted`: its folder. */
static bool chain_is_open(const struct entry *e, const struct mapping *m)
{
    char part[AGENT_PATH_BYTES + 8];
    struct stat st;
    snprintf(part, sizeof part, "root%s", m->path);
    char *first = part + 4; /* its slash */
    if (m->deleted)
        *strrchr(part, '/') = 0;
    else if (fstatat(e->dirfd, part, &st, AT_SYMLINK_NOFOLLOW) != 0 || st.st_ino != m->inode)
        return true; /* what lies there is not what is mapped */
    for (;;) {
        char *slash = strrchr(part, '/');
        bool top = slash <= first;
        if (fstatat(e->dirfd, part[4] ? part : "root/", &st, AT_SYMLINK_NOFOLLOW) != 0)
            return true;
        if (S_ISCHR(st.st_mode))
            return false; /* a device's memory, no code of a user */
        if (st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
            return true;
        if (!part[4] || !slash)
            return false;
        *slash = 0;
        if (top)
            part[4] = 0;
    }
}

static bool is_writable(struct borrowed_looker *l, const struct entry *e, const struct mapping *m,
                        uint64_t mounts, int64_t now_ms)
{
    uint64_t key = hash_text(m->inode ^ mounts << 20 ^ m->deleted, m->path) | 1;
    struct writable_known *k = &l->known[(key >> 32) % WRITABLE_KNOWN];
    if (k->key == key && now_ms - k->checked_ms < KNOWN_FOR_MS)
        return k->writable;
    *k = (struct writable_known){key, now_ms, chain_is_open(e, m)};
    return k->writable;
}

static void judge(struct borrowed_looker *l, const struct entry *e, const struct process *p,
                  const struct mapping *m, uint64_t mounts, struct borrowed *b)
{
    const char *own = p->sender->executable;
    bool memory = strncmp(m->path, "/memfd:", 7) == 0;
    if (strcmp(m->path, "[vdso]") == 0 || (p->is_jit && (memory || m->writable || is_anonymous(m))))
        return;
    if (memory)
        find(b, SENDER_BORROWED_MEMFD, "code in ", m->path);
    else if (is_anonymous(m))
        find(b, SENDER_BORROWED_ANONYMOUS_EXEC, "code in memory ", m->path[0] ? m->path : "that has no file");
    else if (m->path[0] != '/')
        return;
    else if (m->writable)
        find(b, SENDER_BORROWED_ANONYMOUS_EXEC, "code that is being written in memory over ", m->path);
    else if (own && m->inode == p->executable.inode && strcmp(m->path, own) == 0)
        return; /* itself: writable_by_user tells */
    else if (is_writable(l, e, m, mounts, owner_now_ms()))
        find(b, m->deleted ? SENDER_BORROWED_DELETED_EXEC : SENDER_BORROWED_WRITABLE_EXEC, "code in ",
             m->path);
}

void borrowed_by_maps(struct borrowed_looker *l, const struct entry *e, const struct process *p,
                      struct span text, struct borrowed *b)
{
    struct stat st;
    uint64_t mounts = fstatat(e->dirfd, "ns/mnt", &st, 0) == 0 ? st.st_ino : (uint64_t)e->pid << 32;
    while (text.len > 0) {
        const uint8_t *end = memchr(text.data, '\n', text.len);
        struct span line = span_of(text.data, end ? (size_t)(end - text.data) : text.len);
        text = span_from(text, line.len < text.len ? line.len + 1 : line.len);
        const uint8_t *flags = memchr(line.data, ' ', line.len);
        struct mapping m;
        if (flags && flags + 3 < line.data + line.len && flags[3] == 'x' && read_mapping(line, &m) &&
            m.executable)
            judge(l, e, p, &m, mounts, b);
    }
}

/* ---- again ---- */

/* 0: none; -1: cannot be told. */
static int64_t tracer_of(const struct entry *e)
{
    char text[STATUS_BYTES];
    const char *line =
        proc_read_at(e->dirfd, "status", text, sizeof text) > 0 ? strstr(text, "\nTracerPid:") : NULL;
    return line ? strtoll(line + 11, NULL, 10) : -1;
}

/* The whole text of the mappings, in pieces that end with a line; false when it cannot be read. */
static bool look_at_maps(struct borrowed_looker *l, const struct entry *e, struct process *p,
                         struct borrowed *b)
{
    int fd = openat(e->dirfd, "maps", O_RDONLY | O_CLOEXEC);
    size_t have = 0, total = 0;
    ssize_t n = fd < 0 ? -1 : 0;
    while (fd >= 0 && total < MAPS_BYTES_MAX &&
           (n = read(fd, l->text + have, ENVIRONMENT_BYTES - have)) > 0) {
        have += (size_t)n;
        total += (size_t)n;
        const char *last = memrchr(l->text, '\n', have);
        size_t whole = last ? (size_t)(last - l->text) + 1 : have;
        borrowed_by_maps(l, e, p, span_of(l->text, whole), b);
        memmove(l->text, l->text + whole, have - whole);
        have -= whole;
    }
    if (fd >= 0)
        close(fd);
    return total > 0 && n == 0; /* one that has too many hides something in the crowd */
}

static void settle(struct process *p, uint32_t set, const char *why)
{
    struct sender_who *w = &p->sender->who;
    if (w->borrowed == set && w->borrowed_known)
        return;
    w->borrowed = set;
    w->borrowed_known = true;
    w->borrowed_why = set && why[0] ? arena_strdup(&p->sender->arena, why) : NULL;
    p->revision++;
}

void borrowed_look_again(struct borrowed_looker *l, const struct entry *e, struct process *p, int64_t now_ms)
{
    struct borrowed found = {.set = p->fixed_borrowed};
    if (p->looked && now_ms - p->traced_ms < TRACER_EACH_MS)
        return; /* one of a burst: nothing of this could be told apart from just before */
    p->traced_ms = now_ms;
    snprintf(found.why, sizeof found.why, "%s", p->fixed_why);
    int64_t tracer = tracer_of(e);
    if (tracer > 0) {
        char number[32];
        snprintf(number, sizeof number, "process %lld", (long long)tracer);
        find(&found, SENDER_BORROWED_TRACER, "traced by ", number);
    }
    if (!p->looked || now_ms - p->looked_ms >= MAPS_EACH_MS) {
        struct borrowed maps = {.set = 0};
        if (look_at_maps(l, e, p, &maps)) {
            p->mapped_borrowed = maps.set;
            snprintf(p->mapped_why, sizeof p->mapped_why, "%s", maps.why);
        } else if (!p->looked) {
            p->mapped_borrowed = 1u << SENDER_BORROWED_UNOBSERVED;
            snprintf(p->mapped_why, sizeof p->mapped_why, "its mappings cannot be read");
        }
        p->looked = true;
        p->looked_ms = now_ms;
    }
    settle(p, found.set | p->mapped_borrowed, found.why[0] ? found.why : p->mapped_why);
}
