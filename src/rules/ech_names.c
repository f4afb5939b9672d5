/* ech_names.c: see ech_names.h. Asked only where a hidden name was met, so a walk is good enough. Pure. */
#include "rules/ech_names.h"

#include "base/arena.h"
#include "base/must.h"
#include "base/yaml.h"

#include <libpsl.h>
#include <stdlib.h>

enum { ARENA_BYTES_MAX = 16 * 1024 * 1024, VERSION = 1 };

/* One public name and one domain behind it. */
struct pair {
    const struct pair *next; /* view into the arena */
    struct host public_name, domain;
};

struct ech_names {
    struct arena arena;
    const struct pair *first; /* view into the arena */
};

static int read_name(const struct yaml_node *n, struct host *ret, struct err *reterr)
{
    const char *text;
    if (yaml_get_string(n, &text, reterr) != 0)
        return -1;
    enum host_fault fault = host_canonical_bare(span_str(text), ret);
    if (fault != HOST_OK || ret->is_ip)
        return yaml_error(n, reterr, "a host name is expected here: %s",
                          fault == HOST_OK ? "this is an address" : host_fault_text(fault));
    if (psl_is_public_suffix(psl_builtin(), ret->name))
        return yaml_error(n, reterr, "below %s anybody can have a name: name a domain of one owner", text);
    return 0;
}

static int read_entry(struct ech_names *all, const struct yaml_node *n, struct err *reterr)
{
    static const char *const keys[] = {"public_name", "domains"};
    struct host public_name;
    if (yaml_want(n, YAML_MAPPING, reterr) != 0 || yaml_check_keys(n, keys, ARRAY_LEN(keys), reterr) != 0)
        return -1;
    const struct yaml_node *name = yaml_find(n, "public_name"), *domains = yaml_find(n, "domains");
    if (!name || !domains)
        return yaml_error(n, reterr, "an entry has public_name and domains");
    if (read_name(name, &public_name, reterr) != 0 || yaml_want(domains, YAML_SEQUENCE, reterr) != 0)
        return -1;
    for (YAML_EACH(item, domains)) {
        struct pair *p = arena_alloc(&all->arena, sizeof *p);
        if (!p)
            return yaml_error(item, reterr, "too much text");
        *p = (struct pair){.next = all->first, .public_name = public_name};
        if (read_name(item, &p->domain, reterr) != 0)
            return -1;
        all->first = p;
    }
    return 0;
}

static int read_all(struct ech_names *all, const struct yaml_node *top, struct err *reterr)
{
    const struct yaml_node *list;
    if (yaml_get_list_document(top, "names", VERSION, ECH_NAMES_MAX, &list, reterr) != 0)
        return -1;
    for (YAML_EACH(n, list))
        if (read_entry(all, n, reterr) != 0)
            return -1;
    return 0;
}

struct ech_names *ech_names_parse(struct span yaml, const char *name, struct err *reterr)
{
    struct ech_names *all = calloc(1, sizeof *all);
    if (!all)
        return err_set(reterr, name, 0, 0, "no memory"), NULL;
    arena_init(&all->arena, ARENA_BYTES_MAX);
    const struct yaml_node *top = yaml_read(&all->arena, yaml, name, reterr);
    if (top && read_all(all, top, reterr) == 0)
        return all;
    ech_names_free(all);
    return NULL;
}

void ech_names_free(struct ech_names *take_n)
{
    if (take_n)
        arena_reset(&take_n->arena);
    free(take_n);
}

bool ech_names_has(const struct ech_names *n, const struct host *public_name, const struct host *host)
{
    for (const struct pair *p = n && !host->is_ip ? n->first : NULL; p; p = p->next)
        if (host_equal(&p->public_name, public_name) && host_is_within(host, p->domain.name))
            return true;
    return false;
}
