/* programs.c: see programs.h. Everything that was read lives in one arena. Pure. */
#include "agent/programs.h"

#include "base/must.h"
#include "base/yaml.h"

#include <strings.h>

enum { ARENA_BYTES = 4 * 1024 * 1024, TEXT_MAX = 512 };

/* A list of words; views into the arena. */
struct words {
    const char **items;
    size_t count;
};

enum browser_options {
    OPTIONS_HEADLESS,
    OPTIONS_DEBUGGING,
    OPTIONS_PROFILE,
    OPTIONS_EXTENSION,
    OPTIONS_COUNT
};

struct who {
    struct words packages, executables;
};

struct browser {
    const char *name; /* view into the arena */
    struct who who;
    struct words options[OPTIONS_COUNT];
};

struct orders {
    struct who who;
    struct words options, words;
    const char *letters, *values; /* views into the arena; "" without */
};

struct programs {
    struct arena arena; /* owned: all of it, this struct too */
    struct who jit;
    struct browser *browsers; /* views into the arena */
    struct orders *orders;
    size_t browser_count, order_count;
};

struct reader {
    struct programs *p;
    struct err *reterr; /* borrowed for the call */
};

/* ---- reading ---- */

static void *take(struct reader *r, const struct yaml_node *n, size_t bytes)
{
    void *memory = arena_alloc(&r->p->arena, bytes ? bytes : 1);
    if (!memory)
        yaml_error(n, r->reterr, "the file is too large");
    return memory;
}

static int read_text(struct reader *r, const struct yaml_node *n, const char **ret)
{
    const char *text;
    if (!n)
        return 0;
    if (yaml_get_string(n, &text, r->reterr) != 0)
        return -1;
    if (n->len > TEXT_MAX)
        return yaml_error(n, r->reterr, "a text has at most %d bytes", TEXT_MAX);
    char *copy = take(r, n, n->len + 1);
    *ret = copy ? memcpy(copy, text, n->len + 1) : NULL;
    return copy ? 0 : -1;
}

static int read_words(struct reader *r, const struct yaml_node *n, struct words *ret)
{
    if (!n)
        return 0;
    if (yaml_want(n, YAML_SEQUENCE, r->reterr) != 0)
        return -1;
    struct words w = {.items = take(r, n, n->count * sizeof *w.items)};
    if (!w.items)
        return -1;
    for (YAML_EACH(item, n))
        if (read_text(r, item, &w.items[w.count++]) != 0)
            return -1;
    *ret = w;
    return 0;
}

static int read_who(struct reader *r, const struct yaml_node *n, struct who *ret)
{
    if (read_words(r, yaml_find(n, "packages"), &ret->packages) != 0 ||
        read_words(r, yaml_find(n, "executables"), &ret->executables) != 0)
        return -1;
    if (ret->packages.count + ret->executables.count == 0)
        return yaml_error(n, r->reterr, "packages or executables are missing here");
    for (size_t i = 0; i < ret->executables.count; i++)
        if (ret->executables.items[i][0] != '/')
            return yaml_error(yaml_find(n, "executables"), r->reterr, "%.100s: an absolute path is expected",
                              ret->executables.items[i]);
    return 0;
}

static int read_jit(struct reader *r, const struct yaml_node *n)
{
    static const char *const keys[] = {"packages", "executables"};
    if (!n)
        return 0;
    return yaml_check_keys(n, keys, ARRAY_LEN(keys), r->reterr) == 0 ? read_who(r, n, &r->p->jit) : -1;
}

static int read_browser(struct reader *r, const struct yaml_node *n, struct browser *b)
{
    static const char *const keys[] = {"name",      "packages", "executables", "headless",
                                       "debugging", "profile",  "extension"};
    if (yaml_check_keys(n, keys, ARRAY_LEN(keys), r->reterr) != 0 || read_who(r, n, &b->who) != 0 ||
        read_text(r, yaml_find(n, "name"), &b->name) != 0)
        return -1;
    for (size_t i = 0; i < OPTIONS_COUNT; i++)
        if (read_words(r, yaml_find(n, keys[3 + i]), &b->options[i]) != 0)
            return -1;
    return b->name ? 0 : yaml_error(n, r->reterr, "name is missing here");
}

static int read_orders(struct reader *r, const struct yaml_node *n, struct orders *o)
{
    static const char *const keys[] = {"packages", "executables", "options", "letters", "values", "words"};
    o->letters = o->values = "";
    if (yaml_check_keys(n, keys, ARRAY_LEN(keys), r->reterr) != 0 || read_who(r, n, &o->who) != 0 ||
        read_words(r, yaml_find(n, "options"), &o->options) != 0 ||
        read_words(r, yaml_find(n, "words"), &o->words) != 0 ||
        read_text(r, yaml_find(n, "letters"), &o->letters) != 0)
        return -1;
    return read_text(r, yaml_find(n, "values"), &o->values);
}

static int read_lists(struct reader *r, const struct yaml_node *top)
{
    const struct yaml_node *browsers = yaml_find(top, "browsers"), *orders = yaml_find(top, "orders");
    struct programs *p = r->p;
    if ((browsers && yaml_want(browsers, YAML_SEQUENCE, r->reterr) != 0) ||
        (orders && yaml_want(orders, YAML_SEQUENCE, r->reterr) != 0))
        return -1;
    p->browsers = take(r, top, (browsers ? browsers->count : 0) * sizeof *p->browsers);
    p->orders = take(r, top, (orders ? orders->count : 0) * sizeof *p->orders);
    if (!p->browsers || !p->orders)
        return -1;
    for (const struct yaml_node *n = browsers ? browsers->items : NULL; n; n = n->next)
        if (read_browser(r, n, &p->browsers[p->browser_count++]) != 0)
            return -1;
    for (const struct yaml_node *n = orders ? orders->items : NULL; n; n = n->next)
        if (read_orders(r, n, &p->orders[p->order_count++]) != 0)
            return -1;
    return 0;
}

static int read_top(struct reader *r, const struct yaml_node *top)
{
    static const char *const keys[] = {"version", "jit", "browsers", "orders"};
    int64_t version;
    if (yaml_check_keys(top, keys, ARRAY_LEN(keys), r->reterr) != 0)
        return -1;
    const struct yaml_node *n = yaml_find(top, "version");
    if (!n)
        return yaml_error(top, r->reterr, "version is missing here");
    if (yaml_get_int(n, 1, 1, &version, r->reterr) != 0 || read_jit(r, yaml_find(top, "jit")) != 0)
        return -1;
    return read_lists(r, top);
}

struct programs *programs_parse(struct span text, const char *name, struct err *reterr)
{
    struct arena arena, tree;
    arena_init(&arena, ARENA_BYTES);
    arena_init(&tree, ARENA_BYTES);
    struct programs *p = arena_alloc(&arena, sizeof *p);
    if (!p) {
        err_set(reterr, name, 0, 0, "no memory");
        return NULL;
    }
    p->arena = arena;
    struct reader r = {.p = p, .reterr = reterr};
    const struct yaml_node *top = yaml_read(&tree, text, name, reterr);
    bool fine = top && read_top(&r, top) == 0;
    arena_reset(&tree);
    if (fine)
        return p;
    programs_free(p);
    return NULL;
}

void programs_free(struct programs *p)
{
    if (!p)
        return;
    struct arena arena = p->arena; /* p lives in it */
    arena_reset(&arena);
}

/* ---- asking ---- */

static bool has_word(const struct words *w, const char *text)
{
    for (size_t i = 0; text && i < w->count; i++)
        if (strcmp(w->items[i], text) == 0)
            return true;
    return false;
}

static bool is_one(const struct who *who, const struct program_id *id)
{
    return has_word(&who->packages, id->package) || has_word(&who->executables, id->executable);
}

bool programs_is_jit(const struct programs *p, const struct program_id *id)
{
    return is_one(&p->jit, id);
}

static const struct browser *find_browser(const struct programs *p, const struct program_id *id)
{
    for (size_t i = 0; i < p->browser_count; i++)
        if (is_one(&p->browsers[i].who, id))
            return &p->browsers[i];
    return NULL;
}

const char *programs_browser(const struct programs *p, const struct program_id *id)
{
    const struct browser *b = find_browser(p, id);
    return b ? b->name : NULL;
}

/* Is the argument one of the options ("-name", "--name", either with "=value")? *ret_value: after the "=", or NULL. */
static bool is_option(const struct words *options, const char *argument, const char **ret_value)
{
    size_t dashes = strspn(argument, "-"), len = strcspn(argument, "=");
    if (dashes == 0 || dashes > 2)
        return false;
    for (size_t i = 0; i < options->count; i++) {
        const char *name = options->items[i];
        if (strlen(name) == len - dashes && strncmp(argument + dashes, name, len - dashes) == 0) {
            *ret_value = argument[len] ? argument + len + 1 : NULL;
            return true;
        }
    }
    return false;
}

static bool is_temporary(const char *folder)
{
    static const char *const places[] = {"/tmp/", "/var/tmp/", "/dev/shm/", "/run/user/"};
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        if (strncmp(folder, places[i], strlen(places[i])) == 0)
            return true;
    return folder[0] != '/'; /* wherever it was started: nobody's own profile */
}

uint32_t programs_not_browser(const struct programs *p, const struct program_id *id, const char *const *argv,
                              size_t argc)
{
    static const enum sender_not_browser whys[OPTIONS_COUNT] = {
        SENDER_NOT_BROWSER_HEADLESS, SENDER_NOT_BROWSER_DEBUGGING, SENDER_NOT_BROWSER_TEMPORARY_PROFILE,
        SENDER_NOT_BROWSER_EXTENSION};
    const struct browser *b = find_browser(p, id);
    uint32_t set = 0;
    for (size_t i = 1; b && i < argc; i++) {
        for (size_t o = 0; o < OPTIONS_COUNT; o++) {
            const char *value = NULL;
            if (!is_option(&b->options[o], argv[i], &value))
                continue;
            if (!value && o == OPTIONS_PROFILE && i + 1 < argc)
                value = argv[i + 1];
            if (o != OPTIONS_PROFILE || !value || is_temporary(value))
                set |= 1u << whys[o];
        }
    }
    return set;
}

/* "-sK" has the letter K; "-oK" does not, where o takes a value. */
static bool has_letter(const struct orders *o, const char *argument)
{
    if (argument[0] != '-' || argument[1] == '-')
        return false;
    for (const char *c = argument + 1; *c; c++) {
        if (strchr(o->letters, *c))
            return true;
        if (strchr(o->values, *c))
            return false;
    }
    return false;
}

const char *programs_orders(const struct programs *p, const struct program_id *id, const char *const *argv,
                            size_t argc)
{
    const char *value;
    for (size_t n = 0; n < p->order_count; n++) {
        const struct orders *o = &p->orders[n];
        for (size_t i = 1; is_one(&o->who, id) && i < argc; i++) {
            if (is_option(&o->options, argv[i], &value) || has_letter(o, argv[i]))
                return argv[i];
            for (size_t w = 0; w < o->words.count; w++)
                if (strcasestr(argv[i], o->words.items[w]))
                    return argv[i];
        }
    }
    return NULL;
}
