/* rules_load.c: see rules_load.h. */
#include "run/rules_load.h"

#include "base/buf.h"
#include "base/must.h"
#include "run/rules_child.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
    ARENA_BYTES = 1024 * 1024 * 1024,
    PATH_BYTES = 4096,
    DEPTH_MAX = 32,
    ROUNDS_MAX = 32,
    REPEATS_SUSPICIOUS = 32
};

void rules_load_init(struct rules_load *l)
{
    *l = (struct rules_load){0};
    arena_init(&l->arena, ARENA_BYTES);
}

void rules_load_free(struct rules_load *l)
{
    compiled_free(l->compiled);
    ruleset_free(l->set);
    free(l->entries);
    arena_reset(&l->arena);
    *l = (struct rules_load){0};
}

/* ---- files ---- */

static int fail_errno(const char *path, struct err *reterr)
{
    return err_set(reterr, path, 0, 0, "%s", strerror(errno));
}

/* The whole file; at most one byte more than YAML takes, so that the reader says what is too large. */
static int read_file(const char *path, struct buf *ret, struct err *reterr)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return fail_errno(path, reterr);
    buf_init(ret, YAML_BYTES_MAX + 1);
    for (;;) {
        size_t room;
        uint8_t *at = buf_reserve(ret, 65536, &room);
        size_t len = at ? fread(at, 1, room, f) : 0;
        if (len == 0)
            break;
        buf_commit(ret, len);
    }
    bool bad = ferror(f);
    if (bad)
        fail_errno(path, reterr);
    fclose(f);
    if (bad)
        buf_free(ret);
    return bad ? -1 : 0;
}

static void take_document(void *context, struct sigma_document *d, const struct err *why)
{
    struct rules_load *l = context;
    if (l->count == l->room) {
        size_t room = 2 * l->room + 64;
        struct rules_entry *entries = realloc(l->entries, room * sizeof *entries);
        must(entries); /* a command: there is nobody else to answer */
        l->entries = entries;
        l->room = room;
    }
    struct rules_entry *e = &l->entries[l->count];
    *e = (struct rules_entry){.document = d};
    if (why)
        e->err = *why;
    if (d)
        d->number = l->count;
    l->count++;
}

static int load_file(struct rules_load *l, const char *path, struct err *reterr)
{
    struct buf text = {0};
    if (read_file(path, &text, reterr) != 0)
        return -1;
    sigma_read(&l->arena, buf_span(&text), path, &l->options, take_document, l);
    buf_free(&text);
    return 0;
}

static bool is_rule_name(const char *name)
{
    size_t len = strlen(name);
    return name[0] != '.' && ((len > 4 && strcmp(name + len - 4, ".yml") == 0) ||
                              (len > 5 && strcmp(name + len - 5, ".yaml") == 0));
}

static int load_path(struct rules_load *l, const char *path, bool named, unsigned depth, struct err *reterr);

static int load_folder(struct rules_load *l, const char *path, unsigned depth, struct err *reterr)
{
    struct dirent **names;
    int count = scandir(path, &names, NULL, alphasort), result = 0;
    if (count < 0)
        return fail_errno(path, reterr);
    for (int i = 0; i < count; i++) {
        char below[PATH_BYTES];
        size_t len = strlen(path);
        int n = snprintf(below, sizeof below, "%s%s%s", path, len && path[len - 1] == '/' ? "" : "/",
                         names[i]->d_name);
        if (result == 0 && names[i]->d_name[0] != '.' && n > 0 && (size_t)n < sizeof below)
            result = load_path(l, below, false, depth + 1, reterr);
        free(names[i]);
    }
    free(names);
    return result;
}

static int load_path(struct rules_load *l, const char *path, bool named, unsigned depth, struct err *reterr)
{
    struct stat s;
    const char *slash = strrchr(path, '/');
    if (stat(path, &s) != 0)
        return named ? fail_errno(path, reterr) : 0; /* a link to nowhere in a folder is no rule */
    if (S_ISDIR(s.st_mode))
        return depth < DEPTH_MAX ? load_folder(l, path, depth, reterr) : 0;
    if (named || (S_ISREG(s.st_mode) && is_rule_name(slash ? slash + 1 : path)))
        return load_file(l, path, reterr);
    return 0;
}

int rules_load_path(struct rules_load *l, const char *path, struct err *reterr)
{
    return load_path(l, path, true, 0, reterr);
}

int rules_load_placeholders(struct rules_load *l, const char *path, struct err *reterr)
{
    struct buf text = {0};
    struct placeholder *list = NULL;
    if (read_file(path, &text, reterr) != 0)
        return -1;
    int count = sigma_read_placeholders(&l->arena, buf_span(&text), path, &list, reterr);
    buf_free(&text);
    if (count < 0)
        return -1;
    l->options = (struct sigma_options){list, (size_t)count};
    return 0;
}

/* ---- linking and compiling ---- */

void rules_load_reject(struct rules_load *l, size_t number, const struct err *why)
{
    if (!l->entries[number].err.text[0])
        l->entries[number].err = *why;
}

static void reject_document(void *context, const struct sigma_document *d, const struct err *why)
{
    rules_load_reject(context, d->number, why);
}

static void reject_atom(struct rules_load *l, size_t number, const struct atom *a, const char *why)
{
    struct err err = {0};
    err_set(&err, a->place.file, a->place.line, a->place.column, "%s", why);
    rules_load_reject(l, number, &err);
}

/* Costly patterns, each once, and what was found out about them. */
struct trials {
    struct names keys;
    const struct atom **atoms; /* owned */
    char **whys;               /* owned, each too; NULL: taken */
    size_t room;
};

static uint32_t trial_number(struct trials *t, const struct atom *a, bool add)
{
    char flags[16];
    struct buf key;
    snprintf(flags, sizeof flags, "%u ", a->flags);
    buf_init(&key, 1024 * 1024);
    buf_append_str(&key, flags);
    buf_append_str(&key, a->pattern);
    uint32_t n = add ? names_add(&t->keys, buf_span(&key)) : names_find(&t->keys, buf_span(&key));
    buf_free(&key);
    return n;
}

static bool is_costly(const struct atom *a)
{
    return a->kind == ATOM_PATTERN && (a->flags & PATTERN_COSTLY);
}

/* Long repeats are what makes compiling endless: these are tried before anything else. */
static bool is_suspicious(const struct atom *a)
{
    for (const char *at = strchr(a->pattern, '{'); at; at = strchr(at + 1, '{'))
        for (const char *digit = at + 1; (*digit >= '0' && *digit <= '9') || *digit == ','; digit++)
            if (*digit != ',' && strtoul(digit, NULL, 10) >= REPEATS_SUSPICIOUS)
                return true;
    return false;
}

static void gather(struct rules_load *l, struct trials *t, bool all)
{
    for (size_t i = 0; i < l->count; i++) {
        for (const struct atom *a = l->entries[i].document ? l->entries[i].document->atoms : NULL; a;
             a = a->next) {
            uint32_t before = t->keys.count,
                     n = is_costly(a) && (all || is_suspicious(a)) ? trial_number(t, a, true) : NAMES_NONE;
            if (n == NAMES_NONE || n < before)
                continue;
            if (n == t->room) {
                t->room = 2 * t->room + 64;
                t->atoms = realloc(t->atoms, t->room * sizeof *t->atoms);
                must(t->atoms);
            }
            t->atoms[n] = a;
        }
    }
}

static int try_patterns(struct rules_load *l, bool all, struct err *reterr)
{
    struct trials t = {0};
    names_init(&t.keys, &l->arena);
    gather(l, &t, all);
    t.whys = calloc((size_t)t.keys.count + 1, sizeof *t.whys);
    must(t.whys);
    int result = rules_child_try(t.atoms, t.keys.count, t.whys, reterr);
    for (size_t i = 0; i < l->count && result == 0; i++) {
        for (const struct atom *a = l->entries[i].document ? l->entries[i].document->atoms : NULL; a;
             a = a->next) {
            uint32_t n = is_costly(a) ? trial_number(&t, a, false) : NAMES_NONE;
            if (n != NAMES_NONE && t.whys[n])
                reject_atom(l, i, a, t.whys[n]);
        }
    }
    for (uint32_t i = 0; i < t.keys.count; i++)
        free(t.whys[i]);
    free(t.whys);
    free(t.atoms);
    names_free(&t.keys);
    return result;
}

int rules_load_tables(struct rules_load *l, struct err *reterr)
{
    l->tables = logsource_read_all(&l->arena, reterr);
    if (!l->tables)
        return -1;
    for (size_t i = 0; i < l->count; i++) {
        struct err err = {0};
        if (l->entries[i].document && !l->entries[i].err.text[0] &&
            logsource_check(l->tables, l->entries[i].document, &err) != 0)
            rules_load_reject(l, i, &err);
    }
    return 0;
}

/* ruleset_name */
static const char *name_field(void *context, const struct sigma_document *d, const char *field)
{
    const struct rules_load *l = context;
    return l->tables ? logsource_name_field(l->tables, &d->logsource, field) : field;
}

static int link_documents(struct rules_load *l, struct err *reterr)
{
    struct sigma_document *first = NULL, **tail = &first;
    for (size_t i = 0; i < l->count; i++) {
        if (!l->entries[i].document || l->entries[i].err.text[0])
            continue;
        *tail = l->entries[i].document;
        tail = &l->entries[i].document->next;
        *tail = NULL;
    }
    ruleset_free(l->set);
    l->set = ruleset_link_named(first, name_field, reject_document, l);
    return l->set ? 0 : err_set(reterr, NULL, 0, 0, "out of memory");
}

/* Patterns that are harmless alone were too much together: their rules go. False when there is none to blame. */
static bool reject_field(struct rules_load *l, uint32_t field, const char *why)
{
    const char *name = field == RULESET_KEYWORD ? NULL : l->set->fields.texts[field];
    bool any = false;
    for (size_t i = 0; i < l->count; i++) {
        if (l->entries[i].err.text[0] || !l->entries[i].document)
            continue;
        for (const struct atom *a = l->entries[i].document->atoms; a; a = a->next) {
            const char *own = name_field(l, l->entries[i].document, a->field);
            if (!is_costly(a) || (name ? !own || strcmp(own, name) != 0 : own != NULL))
                continue;
            reject_atom(l, i, a, why);
            any = true;
        }
    }
    return any;
}

int rules_load_finish(struct rules_load *l, struct err *reterr)
{
    if (try_patterns(l, false, reterr) != 0)
        return -1;
    for (int round = 0; round < ROUNDS_MAX; round++) {
        uint32_t field = 0;
        char why[COMPILE_WHY_BYTES];
        if (link_documents(l, reterr) != 0)
            return -1;
        int result = rules_child_compile(l->set, &l->compiled, &field, why, reterr);
        if (result <= 0)
            return result;
        /* somebody is to blame: first whoever fails alone, then all that only fail together */
        if (round == 0 && try_patterns(l, true, reterr) != 0)
            return -1;
        if (round > 0 && !reject_field(l, field, why))
            return err_set(reterr, NULL, 0, 0, "the patterns of the field \"%.100s\": %s",
                           l->set->fields.texts[field], why);
    }
    return err_set(reterr, NULL, 0, 0, "the patterns don't compile, whatever is left out");
}
