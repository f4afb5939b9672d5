/* sender_kinds.c: see sender_kinds.h. Everything that was read lives in one arena. Pure. */
#include "rules/sender_kinds.h"

#include "base/must.h"
#include "base/yaml.h"

#include <stdlib.h>

enum { BYTES_MAX = 8 * 1024 * 1024, WORDS_MAX = 1024, VERSION = 1 };

/* Views into the arena. */
struct words {
    const char **items;
    size_t count;
};

enum list { PACKAGES, EXECUTABLES, SCRIPTS, UNITS, HOME, EXPECTS, LIST_COUNT };

enum kind {
#define X(name) KIND_##name,
    SENDER_KINDS(X)
#undef X
};

struct sender_kind {
    size_t kind; /* of enum kind */
    struct words lists[LIST_COUNT];
    uint16_t *ports; /* view into the arena */
    size_t port_count;
};

struct sender_kinds {
    struct arena arena;
    struct sender_kind *entries; /* view into the arena */
    size_t count;
    struct sender_kinds
        *built_in; /* owned: asked where none of its own is about a sender; NULL: they are in its place */
};

static const char *const kind_names[] = {
#define X(name) #name,
    SENDER_KINDS(X)
#undef X
};

static const char *const keys[] = {"kind",    "not_tls_ports", "packages", "executables",
                                   "scripts", "units",         "home",     "expects"};
enum { LISTS_AT = 2 }; /* where in `keys` the lists begin, in the order of enum list */

/* ---- reading ---- */

/* Paths are absolute, domains in their one form. */
static int check_word(const struct yaml_node *n, enum list list, const char *text, struct err *reterr)
{
    struct host host;
    if ((list == EXECUTABLES || list == SCRIPTS) && text[0] != '/')
        return yaml_error(n, reterr, "an absolute path is expected");
    if (list == HOME &&
        (host_canonical_bare(span_str(text), &host) != HOST_OK || host.is_ip || strcmp(host.name, text) != 0))
        return yaml_error(n, reterr, "a domain in lower case is expected");
    return 0;
}

static int read_words(struct arena *a, const struct yaml_node *mapping, enum list list, struct words *ret,
                      struct err *reterr)
{
    const struct yaml_node *n = yaml_find(mapping, keys[LISTS_AT + list]);
    const char *text;
    if (!n)
        return 0;
    if (yaml_want(n, YAML_SEQUENCE, reterr) != 0)
        return -1;
    if (n->count > WORDS_MAX)
        return yaml_error(n, reterr, "at most %d items are expected", WORDS_MAX);
    ret->items = arena_alloc(a, (n->count + 1) * sizeof *ret->items);
    for (const struct yaml_node *item = ret->items ? n->items : NULL; item; item = item->next) {
        if (yaml_get_string(item, &text, reterr) != 0 || check_word(item, list, text, reterr) != 0)
            return -1;
        if (!(ret->items[ret->count++] = arena_strdup(a, text)))
            return yaml_error(item, reterr, "the file is too large");
    }
    return ret->items ? 0 : yaml_error(n, reterr, "the file is too large");
}

static int read_ports(struct arena *a, const struct yaml_node *mapping, struct sender_kind *k,
                      struct err *reterr)
{
    const struct yaml_node *n = yaml_find(mapping, "not_tls_ports");
    int64_t port;
    if (!n)
        return 0;
    if (yaml_want(n, YAML_SEQUENCE, reterr) != 0)
        return -1;
    k->ports = arena_alloc(a, (n->count + 1) * sizeof *k->ports);
    for (const struct yaml_node *item = k->ports ? n->items : NULL; item; item = item->next) {
        if (yaml_get_int(item, 1, 65535, &port, reterr) != 0)
            return -1;
        k->ports[k->port_count++] = (uint16_t)port;
    }
    return k->ports ? 0 : yaml_error(n, reterr, "the file is too large");
}

static int read_entry(struct arena *a, const struct yaml_node *n, struct sender_kind *k, struct err *reterr)
{
    if (yaml_want(n, YAML_MAPPING, reterr) != 0 || yaml_check_keys(n, keys, ARRAY_LEN(keys), reterr) != 0)
        return -1;
    const struct yaml_node *kind = yaml_find(n, "kind");
    if (!kind)
        return yaml_error(n, reterr, "kind is missing here");
    if (yaml_get_enum(kind, kind_names, ARRAY_LEN(kind_names), &k->kind, reterr) != 0)
        return -1;
    for (enum list list = 0; list < LIST_COUNT; list++)
        if (read_words(a, n, list, &k->lists[list], reterr) != 0)
            return -1;
    if (k->lists[PACKAGES].count + k->lists[EXECUTABLES].count + k->lists[SCRIPTS].count +
            k->lists[UNITS].count ==
        0)
        return yaml_error(n, reterr, "packages, executables, scripts or units are expected: about whom?");
    return read_ports(a, n, k, reterr);
}

static int read_all(struct sender_kinds *k, const struct yaml_node *top, struct err *reterr)
{
    const struct yaml_node *list;
    bool beside;
    if (yaml_get_list_document_with(top, "senders", VERSION, SENDER_KINDS_MAX, "beside_built_in", &beside,
                                    &list, reterr) != 0)
        return -1;
    if (beside) {
        k->built_in = sender_kinds_parse(sender_kinds_builtin(), SENDER_KINDS_BUILTIN_NAME, reterr);
        if (!k->built_in)
            return -1;
    }
    if (!list)
        return 0;
    k->entries = arena_alloc(&k->arena, (list->count + 1) * sizeof *k->entries);
    if (!k->entries)
        return yaml_error(list, reterr, "the file is too large");
    for (YAML_EACH(n, list)) {
        struct sender_kind *entry = &k->entries[k->count++];
        *entry = (struct sender_kind){.kind = 0};
        if (read_entry(&k->arena, n, entry, reterr) != 0)
            return -1;
    }
    return 0;
}

struct sender_kinds *sender_kinds_parse(struct span text, const char *name, struct err *reterr)
{
    struct arena tree;
    struct sender_kinds *k = calloc(1, sizeof *k);
    if (!k)
        return err_set(reterr, name, 0, 0, "no memory"), NULL;
    arena_init(&tree, BYTES_MAX);
    arena_init(&k->arena, BYTES_MAX);
    const struct yaml_node *top = yaml_read(&tree, text, name, reterr);
    bool good = top && read_all(k, top, reterr) == 0;
    arena_reset(&tree);
    if (good)
        return k;
    sender_kinds_free(k);
    return NULL;
}

void sender_kinds_free(struct sender_kinds *take_k)
{
    if (!take_k)
        return;
    sender_kinds_free(take_k->built_in);
    arena_reset(&take_k->arena);
    free(take_k);
}

/* ---- asking ---- */

static bool has(const struct words *w, struct span text)
{
    for (size_t i = 0; i < w->count; i++)
        if (span_is(text, w->items[i]))
            return true;
    return false;
}

static bool has_text(const struct words *w, const char *text)
{
    return text && has(w, span_str(text));
}

/* Who runs a script is what the script is: the program's own name only says that it is an interpreter. */
static bool is_about(const struct sender_kind *k, const struct sender_view *v)
{
    if (has_text(&k->lists[UNITS], v->unit))
        return true;
    if (v->interpreter && !v->script_writable && has_text(&k->lists[SCRIPTS], v->script))
        return true;
    if (v->writable_by_user || (v->interpreter && k->kind != KIND_interpreter))
        return false;
    return has_text(&k->lists[PACKAGES], v->package) || has_text(&k->lists[EXECUTABLES], v->executable);
}

const struct sender_kind *sender_kinds_find(const struct sender_kinds *k, const struct sender_view *v)
{
    bool certain = v->confidence == AGENT_CONFIDENCE_EXACT && v->borrowed == 0;
    for (size_t i = 0; k && certain && i < k->count; i++)
        if (is_about(&k->entries[i], v))
            return &k->entries[i];
    return k && k->built_in ? sender_kinds_find(k->built_in, v) : NULL;
}

const char *sender_kind_name(const struct sender_kind *kind)
{
    return kind_names[kind->kind];
}

bool sender_kind_is_home(const struct sender_kind *kind, const struct host *h)
{
    const struct words *w = &kind->lists[HOME];
    for (size_t i = 0; i < w->count; i++)
        if (host_is_within(h, w->items[i]))
            return true;
    return false;
}

bool sender_kind_expects(const struct sender_kind *kind, struct span what)
{
    return has(&kind->lists[EXPECTS], what);
}

bool sender_kind_has_plain_port(const struct sender_kind *kind, uint16_t port)
{
    for (size_t i = 0; i < kind->port_count; i++)
        if (kind->ports[i] == port)
            return true;
    return false;
}
