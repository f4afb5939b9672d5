/* linked.c: see linked.h. */
#include "agent/linux/linked.h"

#include "agent/linux/elf_needed.h"
#include "agent/linux/packages.h"
#include "base/must.h"

#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FOLDERS_MAX = 64,
    NEEDED_MAX = 2048,  /* libraries in one closure */
    FILES_MAX = 20000,  /* of one source's packages */
    PACKAGES_MAX = 512, /* of one source */
    LINE_BYTES = 65536, /* of dpkg's status: dependencies are long */
    PATH_BYTES = 4096,
    ARENA_BYTES = 8 * 1024 * 1024
};

struct linked {
    struct packages packages;
    const char *dpkg;                 /* borrowed */
    const char *folders[FOLDERS_MAX]; /* borrowed, or in `own` */
    size_t folder_count;
    struct arena own;
};

/* One question. Texts are in the arena, or the caller's. */
struct search {
    struct linked *linked;
    struct arena arena, scratch;  /* scratch: of one file */
    const char *library, *soname; /* what is looked for: its real path, and by which name it is needed */
    const char *needed[NEEDED_MAX];
    size_t needed_count, next; /* those before `next` were looked into */
    size_t files;
    bool found, other,
        partial; /* other: that name, but another file; partial: something could not be looked at */
};

/* ---- where the dynamic linker looks ---- */

static void add_folder(struct linked *l, const char *folder)
{
    if (l->folder_count < FOLDERS_MAX && folder)
        l->folders[l->folder_count++] = folder;
}

static void read_conf(struct linked *l, const char *path)
{
    char line[PATH_BYTES];
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, " \t\n#")] = 0;
        if (line[0] == '/')
            add_folder(l, arena_strdup(&l->own, line));
    }
    if (f)
        fclose(f);
}

struct linked *linked_new(const char *dpkg, const char *const *folders, bool system)
{
    struct linked *l = calloc(1, sizeof *l);
    glob_t found;
    if (!l)
        return NULL;
    l->dpkg = dpkg;
    packages_init(&l->packages, dpkg, (uint64_t)(uintptr_t)l * 0x9e3779b97f4a7c15u);
    arena_init(&l->own, FOLDERS_MAX * PATH_BYTES);
    for (; *folders; folders++)
        add_folder(l, *folders);
    if (system && glob("/etc/ld.so.conf.d/*.conf", 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++)
            read_conf(l, found.gl_pathv[i]);
        globfree(&found);
    }
    return l;
}

void linked_free(struct linked *l)
{
    if (!l)
        return;
    packages_free(&l->packages);
    arena_reset(&l->own);
    free(l);
}

/* ---- what a file needs ---- */

static bool read_needed(struct search *s, const char *path, struct elf_needed *ret)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    bool read = fd >= 0 && elf_needed_read(fd, &s->scratch, ret) == 0;
    if (fd >= 0)
        close(fd);
    return read;
}

static void need(struct search *s, const char *name)
{
    for (size_t i = 0; i < s->needed_count; i++)
        if (strcmp(s->needed[i], name) == 0)
            return;
    if (s->needed_count < NEEDED_MAX)
        s->needed[s->needed_count++] = name;
    else
        s->partial = true;
}

/* The library of that name in a folder: true when there is one. */
static bool try_folder(const char *folder, const char *name, char real[PATH_BYTES])
{
    char path[4 * PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return realpath(path, real) != NULL;
}

/* DT_RUNPATH of the file at `path`: folders with ':' between them, $ORIGIN is the file's own. */
static bool try_runpath(const char *runpath, const char *path, const char *name, char real[PATH_BYTES])
{
    static const char *const origins[] = {"$ORIGIN", "${ORIGIN}"};
    const char *slash = strrchr(path, '/');
    while (runpath && *runpath && slash) {
        char folder[2 * PATH_BYTES];
        int len = (int)strcspn(runpath, ":");
        size_t skip = 0;
        for (size_t i = 0; i < ARRAY_LEN(origins); i++)
            if (strncmp(runpath, origins[i], strlen(origins[i])) == 0)
                skip = strlen(origins[i]);
        if (skip > 0)
            snprintf(folder, sizeof folder, "%.*s%.*s", (int)(slash - path), path, len - (int)skip,
                     runpath + skip);
        else
            snprintf(folder, sizeof folder, "%.*s", len, runpath);
        if (try_folder(folder, name, real))
            return true;
        runpath += len + (runpath[len] == ':');
    }
    return false;
}

/* A name that `path` needs: what it stands for is looked for at once where it is the one, later otherwise. */
static void take_name(struct search *s, const struct elf_needed *of, const char *path, const char *name)
{
    char real[PATH_BYTES];
    bool there = try_runpath(of->runpath, path, name, real);
    for (size_t i = 0; i < s->linked->folder_count && !there; i++)
        there = try_folder(s->linked->folders[i], name, real);
    if (strcmp(name, s->soname) == 0) {
        if (there && strcmp(real, s->library) == 0)
            s->found = true;
        else
            s->other = true;
    }
    const char *copy = there ? arena_strdup(&s->arena, real) : NULL;
    if (copy)
        need(s, copy); /* by its file: one name may be two */
    else
        s->partial = s->partial || there;
}

static void look_into(struct search *s, const char *path)
{
    struct elf_needed of;
    if (!read_needed(s, path, &of))
        return;
    for (size_t i = 0; i < of.count && !s->found; i++)
        take_name(s, &of, path, of.names[i]);
    arena_reset(&s->scratch);
}

/* Everything that what is needed needs. */
static void close_over(struct search *s)
{
    while (!s->found && s->next < s->needed_count)
        look_into(s, s->needed[s->next++]);
}

/* ---- what a package brings ---- */

static bool may_be_elf(const char *path)
{
    static const char *const never[] = {"/usr/share/", "/etc/", "/usr/include/", "/var/"};
    for (size_t i = 0; i < ARRAY_LEN(never); i++)
        if (strncmp(path, never[i], strlen(never[i])) == 0)
            return false;
    return true;
}

static bool is_name(const char *listed, const char *name)
{
    size_t len = strlen(name);
    return strncmp(listed, name, len) == 0 && (listed[len] == 0 || listed[len] == ':');
}

/* /usr/lib/x and /lib/x are one where the folders are merged: by real path. */
static bool is_library(const struct search *s, const char *path)
{
    char real[PATH_BYTES];
    const char *name = strrchr(path, '/'), *wanted = strrchr(s->library, '/');
    return name && wanted && strcmp(name, wanted) == 0 && realpath(path, real) &&
           strcmp(real, s->library) == 0;
}

static void look_into_list(struct search *s, const char *listed)
{
    char path[PATH_BYTES];
    struct stat st;
    snprintf(path, sizeof path, "%s/info/%s.list", s->linked->dpkg, listed);
    FILE *f = fopen(path, "re");
    s->partial = s->partial || !f;
    while (f && !s->found && fgets(path, sizeof path, f)) {
        path[strcspn(path, "\n")] = 0;
        if (!may_be_elf(path) || lstat(path, &st) != 0 || !S_ISREG(st.st_mode))
            continue;
        if (++s->files > FILES_MAX) {
            s->partial = true;
            break;
        }
        s->found = is_library(s, path);
        look_into(s, path);
    }
    if (f)
        fclose(f);
}

static void look_into_package(struct search *s, const char *name)
{
    const struct packages *p = &s->linked->packages;
    for (size_t i = 0; i < p->name_count && !s->found; i++)
        if (is_name(p->names[i], name))
            look_into_list(s, p->names[i]);
}

/* ---- which packages belong together ---- */

/* A paragraph of dpkg's status, as far as it matters. */
struct paragraph {
    char name[256], source[256];
    bool names_library; /* a dependency is the package that the library is of */
};

/* Is `name` one of the words of a list of dependencies: "libc6 (>= 2.34), libssl3 | libssl1.1"? */
static bool has_word(const char *list, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = strstr(list, name); at; at = strstr(at + 1, name)) {
        bool begins = at == list || strchr(" ,|", at[-1]), ends = strchr(" ,|:(", at[len]) != NULL;
        if (begins && ends) /* strchr finds the end of the text, too */
            return true;
    }
    return false;
}

static void take_line(struct paragraph *p, char *line, const char *library_package)
{
    static const char *const lists[] = {"Depends: ", "Pre-Depends: ", "Recommends: ", "Suggests: "};
    line[strcspn(line, "\n")] = 0;
    if (strncmp(line, "Package: ", 9) == 0) {
        *p = (struct paragraph){.names_library = false};
        snprintf(p->name, sizeof p->name, "%s", line + 9);
        snprintf(p->source, sizeof p->source, "%s", line + 9);
    } else if (strncmp(line, "Source: ", 8) == 0) {
        snprintf(p->source, sizeof p->source, "%.*s", (int)strcspn(line + 8, " "), line + 8);
    }
    for (size_t i = 0; library_package && i < ARRAY_LEN(lists); i++)
        if (strncmp(line, lists[i], strlen(lists[i])) == 0 &&
            has_word(line + strlen(lists[i]), library_package))
            p->names_library = true;
}

/* What is asked of the paragraphs: the source of one package, then all packages of that source. */
struct family {
    const char *name, *library_package;
    char source[256];
    const char *names[PACKAGES_MAX]; /* in the arena */
    size_t count;
    bool names_library, all; /* all: there were no more than there is room for */
};

static void take_paragraph(struct family *f, const struct paragraph *p, struct arena *arena)
{
    if (!f->source[0]) { /* the first reading */
        if (strcmp(p->name, f->name) == 0)
            memcpy(f->source, p->source, sizeof f->source);
        return;
    }
    if (strcmp(p->source, f->source) != 0)
        return;
    f->all = f->all && f->count < PACKAGES_MAX;
    if (f->count == PACKAGES_MAX)
        return;
    f->names_library = f->names_library || p->names_library;
    if ((f->names[f->count] = arena_strdup(arena, p->name)))
        f->count++;
}

static bool read_status(struct search *s, struct family *family)
{
    char path[512], *line = malloc(LINE_BYTES);
    struct paragraph p = {.names_library = false};
    bool second = family->source[0] != 0;
    snprintf(path, sizeof path, "%s/status", s->linked->dpkg);
    FILE *f = line ? fopen(path, "re") : NULL;
    while (f && (second || !family->source[0]) && fgets(line, LINE_BYTES, f)) {
        if (line[0] != '\n') {
            take_line(&p, line, family->library_package);
            continue;
        }
        take_paragraph(family, &p, &s->arena);
        p.name[0] = 0;
    }
    if (f && p.name[0])
        take_paragraph(family, &p, &s->arena);
    if (f)
        fclose(f);
    free(line);
    return f != NULL;
}

/* ---- the question ---- */

static bool loads_modules(const char *package)
{
    static const char *const names[] = {
#define MODULES_OF(name) name,
#define MODULE(glob)
#include "agent/linux/modules.def"
#undef MODULES_OF
#undef MODULE
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(names[i], package) == 0)
            return true;
    return false;
}

static void look_into_modules(struct search *s)
{
    static const char *const globs[] = {
#define MODULES_OF(name)
#define MODULE(glob) glob,
#include "agent/linux/modules.def"
#undef MODULES_OF
#undef MODULE
    };
    for (size_t i = 0; i < ARRAY_LEN(globs); i++) {
        glob_t found;
        if (glob(globs[i], GLOB_NOSORT, NULL, &found) != 0)
            continue;
        for (size_t k = 0; k < found.gl_pathc && !s->found; k++)
            look_into(s, found.gl_pathv[k]);
        globfree(&found);
    }
}

/* Anybody but root could have put it there. */
static bool is_foreign(const char *library)
{
    struct stat st;
    return stat(library, &st) != 0 || st.st_uid != 0 || (st.st_mode & 022) != 0;
}

static void find_soname(struct search *s)
{
    struct elf_needed of;
    const char *slash = strrchr(s->library, '/');
    s->soname = slash ? slash + 1 : s->library;
    const char *told =
        read_needed(s, s->library, &of) && of.soname ? arena_strdup(&s->arena, of.soname) : NULL;
    if (told)
        s->soname = told;
    arena_reset(&s->scratch);
}

/* The program's own needs first: for most, that is all. */
static enum history_linked judge(struct search *s, const char *executable)
{
    struct packages *packages = &s->linked->packages;
    const char *package, *version, *library_package = NULL;
    if (!packages_find(packages, executable, &s->arena, &package, &version))
        return HISTORY_LINKED_UNKNOWN;
    find_soname(s);
    look_into(s, executable);
    close_over(s);
    if (s->found)
        return HISTORY_LINKED_YES;
    struct family *family = arena_alloc(&s->arena, sizeof *family);
    if (!family)
        return HISTORY_LINKED_UNKNOWN;
    packages_find(packages, s->library, &s->arena, &library_package, &version);
    family->name = package;
    family->library_package = library_package;
    family->all = true;
    if (!read_status(s, family) || !family->source[0] || !read_status(s, family))
        return HISTORY_LINKED_UNKNOWN;
    for (size_t i = 0; i < family->count && !s->found; i++)
        look_into_package(s, family->names[i]);
    if (!s->found && !family->names_library)
        look_into_modules(s);
    close_over(s);
    if (s->found || family->names_library)
        return HISTORY_LINKED_YES;
    bool unsure =
        s->partial || !family->all || loads_modules(package) || (s->other && !is_foreign(s->library));
    return unsure ? HISTORY_LINKED_UNKNOWN : HISTORY_LINKED_NO;
}

enum history_linked linked_judge(struct linked *l, const char *executable, const char *library)
{
    char real[PATH_BYTES];
    struct search *s = calloc(1, sizeof *s);
    enum history_linked answer = HISTORY_LINKED_UNKNOWN;
    if (!s)
        return answer;
    s->linked = l;
    s->library = real; /* one that is gone again says nothing */
    arena_init(&s->arena, ARENA_BYTES);
    arena_init(&s->scratch, ARENA_BYTES);
    if (realpath(library, real) && packages_refresh(&l->packages) == 0)
        answer = judge(s, executable);
    arena_reset(&s->arena);
    arena_reset(&s->scratch);
    free(s);
    return answer;
}
