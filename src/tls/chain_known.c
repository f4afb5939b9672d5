/* chain_known.c: see chain_known.h. An entry fits when each of its fields does: subject and issuer by a part of the text (any
 * case), serial and sha256 as a whole. Pure. */
#include "tls/chain_known.h"

#include "base/must.h"
#include "base/yaml.h"

#include <stdlib.h>

enum { ARENA_BYTES_MAX = 16 * 1024 * 1024, PART_BYTES_MIN = 4, VERSION = 1 };

struct entry {
    const struct entry *next; /* view into the arena */
    const char *name, *subject, *issuer, *serial,
        *sha256; /* views into the arena; NULL: any (but the name) */
};

struct chain_known {
    struct arena arena;
    const struct entry *kits, *interceptors; /* views into the arena */
};

static struct entry *read_entry(struct arena *a, const struct yaml_node *n, struct err *reterr)
{
    static const char *const keys[] = {"name", "subject", "issuer", "serial", "sha256"};
    struct entry *e = arena_alloc(a, sizeof *e);
    if (!e)
        return yaml_error(n, reterr, "too much text"), NULL;
    if (yaml_want(n, YAML_MAPPING, reterr) != 0 || yaml_check_keys(n, keys, ARRAY_LEN(keys), reterr) != 0)
        return NULL;
    const char **const fields[] = {&e->name, &e->subject, &e->issuer, &e->serial, &e->sha256};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const struct yaml_node *value = yaml_find(n, keys[i]);
        if (value && yaml_get_string(value, fields[i], reterr) != 0)
            return NULL;
        bool part = fields[i] == &e->subject || fields[i] == &e->issuer;
        if (value && part && strlen(*fields[i]) < PART_BYTES_MIN)
            return yaml_error(value, reterr, "a part of a name has at least %d characters", PART_BYTES_MIN),
                   NULL;
    }
    if (e->name && n->count >= 2)
        return e;
    yaml_error(n, reterr, "an entry has a name and one of subject, issuer, serial, sha256");
    return NULL;
}

/* The list under `key`, in the file's order. */
static int read_list(struct arena *a, const struct yaml_node *top, const char *key, const struct entry **ret,
                     struct err *reterr)
{
    const struct yaml_node *list = yaml_find(top, key);
    const struct entry **at = ret;
    if (!list)
        return 0;
    if (yaml_want(list, YAML_SEQUENCE, reterr) != 0)
        return -1;
    for (YAML_EACH(n, list)) {
        struct entry *e = read_entry(a, n, reterr);
        if (!e)
            return -1;
        *at = e;
        at = &e->next;
    }
    return 0;
}

struct chain_known *chain_known_parse(struct span yaml, const char *name, struct err *reterr)
{
    static const char *const keys[] = {"version", "kits", "interceptors"};
    int64_t version = 0;
    struct chain_known *k = calloc(1, sizeof *k);
    if (!k)
        return err_set(reterr, name, 0, 0, "no memory"), NULL;
    arena_init(&k->arena, ARENA_BYTES_MAX);
    const struct yaml_node *top = yaml_read(&k->arena, yaml, name, reterr);
    const struct yaml_node *n =
        top && yaml_want(top, YAML_MAPPING, reterr) == 0 ? yaml_find(top, "version") : NULL;
    if (top && !n)
        yaml_error(top, reterr, "version: %d is missing", VERSION);
    if (n && yaml_check_keys(top, keys, ARRAY_LEN(keys), reterr) == 0 &&
        yaml_get_int(n, VERSION, VERSION, &version, reterr) == 0 &&
        read_list(&k->arena, top, "kits", &k->kits, reterr) == 0 &&
        read_list(&k->arena, top, "interceptors", &k->interceptors, reterr) == 0)
        return k;
    chain_known_free(k);
    return NULL;
}

void chain_known_free(struct chain_known *take_known)
{
    if (take_known)
        arena_reset(&take_known->arena);
    free(take_known);
}

static bool fits(const struct entry *e, const struct chain_certificate *c)
{
    if (e->sha256 && strcasecmp(e->sha256, c->sha256) != 0)
        return false;
    if (c->malformed)
        return e->sha256 && !e->subject && !e->issuer && !e->serial;
    return (!e->subject || strcasestr(c->subject, e->subject)) &&
           (!e->issuer || strcasestr(c->issuer, e->issuer)) &&
           (!e->serial || strcasecmp(e->serial, c->serial) == 0);
}

static const char *find(const struct entry *list, const struct chain_certificate *c)
{
    for (; list; list = list->next)
        if (fits(list, c))
            return list->name;
    return NULL;
}

const char *chain_known_kit(const struct chain_known *k, const struct chain_certificate *c)
{
    return find(k->kits, c);
}

const char *chain_known_interceptor(const struct chain_known *k, const struct chain_certificate *c)
{
    return find(k->interceptors, c);
}
