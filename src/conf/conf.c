/* conf.c: loading, and the small questions that are asked of a configuration. See conf.h. Called by exeatd, exeat and run/;
 * touches the configuration and password files. */
#include "conf/conf.h"

#include "base/must.h"
#include "conf/file.h"
#include "conf/option.h"

#include <stdlib.h>

enum { CONF_BYTES = 64 * 1024 * 1024, USERS_BYTES = 16 * 1024 * 1024 };

static struct conf *conf_new(const char *name, const char *folder)
{
    struct arena *arena = malloc(sizeof *arena);
    if (!arena)
        return NULL;
    arena_init(arena, CONF_BYTES);
    struct conf *c = arena_alloc(arena, sizeof *c);
    if (c) {
        c->arena = arena;
        c->file = arena_strdup(arena, name);
        c->folder = arena_strdup(arena, folder);
    }
    if (c && c->file && c->folder)
        return c;
    arena_reset(arena);
    free(arena);
    return NULL;
}

static void wipe(const char *secret)
{
    if (secret)
        explicit_bzero((char *)(uintptr_t)secret, strlen(secret)); /* ours: it lies in the arena */
}

void conf_free(struct conf *c)
{
    if (!c)
        return;
    struct arena *arena = c->arena;
    for (size_t i = 0; i < c->parent_count; i++)
        wipe(c->parents[i].password);
    for (size_t i = 0; i < c->user_count; i++)
        wipe(c->users[i].hash);
    arena_reset(arena); /* c goes with it */
    free(arena);
}

/* The defaults as a file of their own. */
static const char presets[] =
#define SECTION(name, doc)                                                #name ":\n"
#define OPTION(section, name, type, preset, min, max, apply, reader, doc) "  " #name ": " preset "\n"
#define SECTION_END(name)
#include "conf/options.def"
#undef SECTION
#undef OPTION
#undef SECTION_END
    ;

static const struct option *find_option(const char *section, const char *name)
{
    for (size_t i = 0; i < option_count; i++)
        if (strcmp(option_table[i].section, section) == 0 && strcmp(option_table[i].name, name) == 0)
            return &option_table[i];
    return NULL;
}

static int read_section(const struct yaml_node *section, struct conf *c, struct err *reterr)
{
    const char *names[64];
    size_t count = 0;
    if (yaml_is_null(section)) /* everything in it is commented out */
        return 0;
    for (size_t i = 0; i < option_count; i++) {
        if (strcmp(option_table[i].section, section->key) != 0)
            continue;
        must(count < ARRAY_LEN(names));
        names[count++] = option_table[i].name;
    }
    if (yaml_check_keys(section, names, count, reterr) != 0)
        return -1;
    for (YAML_EACH(n, section))
        if (option_read(find_option(section->key, n->key), n, c, reterr) != 0)
            return -1;
    return 0;
}

static int read_top(const struct yaml_node *top, struct conf *c, struct err *reterr)
{
    const char *names[64];
    must(option_section_count < ARRAY_LEN(names));
    for (size_t i = 0; i < option_section_count; i++)
        names[i] = option_sections[i].name;
    names[option_section_count] = "parents";
    if (yaml_is_null(top))
        return 0;
    if (yaml_check_keys(top, names, option_section_count + 1, reterr) != 0)
        return -1;
    for (YAML_EACH(n, top))
        if ((strcmp(n->key, "parents") == 0 ? parents_read(n, c, reterr) : read_section(n, c, reterr)) != 0)
            return -1;
    return 0;
}

/* Paths whose default lies in the state folder. */
static int fill_paths(struct conf *c, struct err *reterr)
{
    const struct {
        const char **field, *name;
    } paths[] = {{&c->process.pid_file, "exeatd.pid"},
                 {&c->admin.socket, "admin.sock"},
                 {&c->audit.file, "audit.jsonl"},
                 {&c->history.database, "history.db"}};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        if (*paths[i].field)
            continue;
        size_t folder_len = strlen(c->process.state_folder), name_len = strlen(paths[i].name);
        char *path = arena_alloc(c->arena, folder_len + 1 + name_len + 1);
        if (!path)
            return err_set(reterr, c->file, 0, 0, "the configuration is too large");
        memcpy(path, c->process.state_folder, folder_len);
        path[folder_len] = '/';
        memcpy(path + folder_len + 1, paths[i].name, name_len + 1);
        *paths[i].field = path;
    }
    return 0;
}

struct conf *conf_parse(struct span text, const char *name, const char *folder, struct err *reterr)
{
    struct conf *c = conf_new(name, folder);
    struct arena scratch;
    if (!c) {
        err_set(reterr, name, 0, 0, "no memory");
        return NULL;
    }
    arena_init(&scratch, (size_t)CONF_BYTES * 4);
    const struct yaml_node *top = yaml_read(&scratch, span_str(presets), "defaults", reterr);
    if (top && read_top(top, c, reterr) == 0)
        top = yaml_read(&scratch, text, name, reterr);
    else
        top = NULL;
    if (!top || read_top(top, c, reterr) != 0 || fill_paths(c, reterr) != 0 ||
        conf_check(c, top, reterr) != 0) {
        conf_free(c);
        c = NULL;
    }
    arena_reset(&scratch);
    return c;
}

static int load_users(struct conf *c, struct err *reterr)
{
    struct buf content;
    if (!c->auth.password_file)
        return 0;
    buf_init(&content, USERS_BYTES);
    int result = conf_file_read(c->auth.password_file, true, &content, reterr);
    if (result == 0)
        result = users_read(buf_span(&content), c->auth.password_file, c, reterr);
    if (content.data)
        explicit_bzero(content.data, content.cap);
    buf_free(&content);
    return result;
}

/* The folder that a path names its file in, absolute, so that a later chdir() changes nothing. NULL without one. Owned by
 * the caller. */
static char *folder_of(const char *path)
{
    char *copy = realpath(path, NULL); /* links resolved: the real file's neighbours are meant */
    char *slash = copy ? strrchr(copy, '/') : NULL;
    if (slash)
        slash[slash == copy] = '\0';
    return copy;
}

struct conf *conf_load(const char *path, struct err *reterr)
{
    struct buf content;
    struct conf *c = NULL;
    buf_init(&content, YAML_BYTES_MAX);
    char *folder = NULL;
    if (conf_file_read(path, false, &content, reterr) == 0) {
        folder = folder_of(path);
        if (folder)
            c = conf_parse(buf_span(&content), path, folder, reterr);
        else
            err_set(reterr, path, 0, 0, "its folder cannot be found");
    }
    if (c && (load_users(c, reterr) != 0 || parents_load_passwords(c, reterr) != 0)) {
        conf_free(c);
        c = NULL;
    }
    free(folder);
    buf_free(&content);
    return c;
}

bool conf_network_has(const struct conf_networks *networks, const struct ip *ip)
{
    for (size_t i = 0; i < networks->count; i++)
        if (ip_in(ip, &networks->items[i]))
            return true;
    return false;
}

bool conf_port_has(const struct conf_ports *ports, uint16_t port)
{
    for (size_t i = 0; i < ports->count; i++)
        if (ports->items[i] == port)
            return true;
    return false;
}
