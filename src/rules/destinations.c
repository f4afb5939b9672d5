/* destinations.c: see destinations.h. Pure. */
#include "rules/destinations.h"

#include "base/must.h"
#include "base/yaml.h"
#include "facts/domain.h"

#include <libpsl.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { BYTES_MAX = 16 * 1024 * 1024, ROWS_MAX = 100000, VERSION = 1 };

struct destinations {
    atomic_uint refs;
    struct arena arena;           /* owned: all rows and texts */
    const char *name;             /* view into the arena: of the file */
    struct destination_row *rows; /* view into the arena; by domain, what is shared first */
    size_t count;
};

/* ---- reading ---- */

static int compare(const void *a, const void *b)
{
    const struct destination_row *x = a, *y = b;
    int order = strcmp(x->domain, y->domain);
    return order ? order : (int)y->shared - (int)x->shared;
}

static int read_names(struct destinations *d, const struct yaml_node *list, const char *kind, bool shared,
                      struct err *reterr)
{
    if (yaml_want(list, YAML_SEQUENCE, reterr) != 0)
        return -1;
    for (YAML_EACH(n, list)) {
        struct host host;
        const char *text;
        if (yaml_get_string(n, &text, reterr) != 0)
            return -1;
        enum host_fault fault = host_canonical_bare(span_str(text), &host);
        if (fault != HOST_OK || host.is_ip)
            return yaml_error(n, reterr, "a domain is expected here: %s",
                              fault == HOST_OK ? "this is an address" : host_fault_text(fault));
        const char *domain = arena_strdup(&d->arena, host.name);
        if (!domain)
            return yaml_error(n, reterr, "the file is too large");
        d->rows[d->count++] = (struct destination_row){kind, domain, shared};
    }
    return 0;
}

static int read_kind(struct destinations *d, const struct yaml_node *n, struct err *reterr)
{
    static const char *const keys[] = {"tenants", "shared"};
    if (yaml_want(n, YAML_MAPPING, reterr) != 0 || yaml_check_keys(n, keys, ARRAY_LEN(keys), reterr) != 0)
        return -1;
    const struct yaml_node *tenants = yaml_find(n, "tenants"), *shared = yaml_find(n, "shared");
    const char *kind = arena_strdup(&d->arena, n->key);
    if (!kind)
        return yaml_error(n, reterr, "the file is too large");
    if (tenants && read_names(d, tenants, kind, false, reterr) != 0)
        return -1;
    return shared ? read_names(d, shared, kind, true, reterr) : 0;
}

static size_t count_names(const struct yaml_node *kinds)
{
    size_t count = 0;
    for (YAML_EACH(kind, kinds))
        for (YAML_EACH(list, kind))
            count += list->count;
    return count;
}

/* Another table's rows, behind those that are there, for which there is room. */
static int append_rows(struct destinations *d, const struct destinations *other, const struct yaml_node *top,
                       struct err *reterr)
{
    for (size_t i = 0; i < other->count; i++) {
        const struct destination_row *row = &other->rows[i];
        const char *kind = arena_strdup(&d->arena, row->kind), *domain = arena_strdup(&d->arena, row->domain);
        if (!kind || !domain)
            return yaml_error(top, reterr, "the file is too large");
        d->rows[d->count++] = (struct destination_row){kind, domain, row->shared};
    }
    return 0;
}

/* `other`: what is there beside it; NULL: nothing. */
static int read_kinds(struct destinations *d, const struct yaml_node *kinds, const struct destinations *other,
                      struct err *reterr)
{
    size_t count = count_names(kinds) + (other ? other->count : 0);
    if (count > ROWS_MAX)
        return yaml_error(kinds, reterr, "more than %d names", ROWS_MAX);
    d->rows = arena_alloc(&d->arena, (count + 1) * sizeof *d->rows);
    if (!d->rows)
        return yaml_error(kinds, reterr, "the file is too large");
    for (YAML_EACH(kind, kinds))
        if (read_kind(d, kind, reterr) != 0)
            return -1;
    if (other && append_rows(d, other, kinds, reterr) != 0)
        return -1;
    qsort(d->rows, d->count, sizeof *d->rows, compare);
    return 0;
}

static int read_all(struct destinations *d, const struct yaml_node *top, struct err *reterr)
{
    static const char *const keys[] = {"version", "kinds", "beside_built_in"};
    int64_t number;
    bool beside = false;
    if (yaml_want(top, YAML_MAPPING, reterr) != 0 || yaml_check_keys(top, keys, ARRAY_LEN(keys), reterr) != 0)
        return -1;
    const struct yaml_node *version = yaml_find(top, "version"), *kinds = yaml_find(top, "kinds");
    if (!version || !kinds)
        return yaml_error(top, reterr, "version and kinds are expected here");
    if (yaml_get_int(version, VERSION, VERSION, &number, reterr) != 0 ||
        yaml_want(kinds, YAML_MAPPING, reterr) != 0)
        return -1;
    const struct yaml_node *flag = yaml_find(top, "beside_built_in");
    if (flag && yaml_get_bool(flag, &beside, reterr) != 0)
        return -1;
    struct destinations *other = beside ? destinations_new(reterr) : NULL;
    int result = beside && !other ? -1 : read_kinds(d, kinds, other, reterr);
    destinations_free(other);
    return result;
}

struct destinations *destinations_parse(struct span text, const char *name, struct err *reterr)
{
    struct arena tree;
    struct destinations *d = calloc(1, sizeof *d);
    if (!d)
        return err_set(reterr, name, 0, 0, "no memory"), NULL;
    atomic_init(&d->refs, 1);
    arena_init(&tree, BYTES_MAX);
    arena_init(&d->arena, BYTES_MAX);
    const struct yaml_node *top = yaml_read(&tree, text, name, reterr);
    d->name = arena_strdup(&d->arena, name);
    bool good = top && d->name && read_all(d, top, reterr) == 0;
    arena_reset(&tree);
    if (good)
        return d;
    destinations_free(d);
    return NULL;
}

struct destinations *destinations_new(struct err *reterr)
{
    return destinations_parse(destinations_builtin(), DESTINATIONS_FILE, reterr);
}

struct destinations *destinations_ref(struct destinations *d)
{
    atomic_fetch_add_explicit(&d->refs, 1, memory_order_relaxed);
    return d;
}

void destinations_free(struct destinations *take_d)
{
    if (!take_d || atomic_fetch_sub_explicit(&take_d->refs, 1, memory_order_acq_rel) != 1)
        return;
    arena_reset(&take_d->arena);
    free(take_d);
}

/* ---- asking ---- */

const char *destinations_name(const struct destinations *d)
{
    return d->name;
}

/* The first row of exactly this name: what is shared stands first. */
static const struct destination_row *find_exactly(const struct destinations *d, const char *name)
{
    size_t from = 0, to = d->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (strcmp(d->rows[middle].domain, name) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from < d->count && strcmp(d->rows[from].domain, name) == 0 ? &d->rows[from] : NULL;
}

/* The row of this name whose tenants are the names below it. */
static const struct destination_row *find_tenants(const struct destinations *d, const char *name)
{
    const struct destination_row *row = find_exactly(d, name), *end = d->rows + d->count;
    while (row && row < end && row->shared && strcmp(row->domain, name) == 0)
        row++;
    return row && row < end && strcmp(row->domain, name) == 0 ? row : NULL;
}

const struct destination_row *destinations_find(const struct destinations *d, const struct host *host)
{
    if (!d || host->is_ip)
        return NULL;
    const struct destination_row *row = find_exactly(d, host->name);
    for (const char *at = strchr(host->name, '.'); !row && at; at = strchr(at + 1, '.'))
        row = find_tenants(d, at + 1);
    return row;
}

/* Is `name` below `domain`? */
static bool is_below(const char *name, const char *domain)
{
    size_t len = strlen(name), above = strlen(domain);
    return len > above && name[len - above - 1] == '.' && strcmp(name + len - above, domain) == 0;
}

/* The public suffix list knows what below such a name is one tenant's: there `domain` is no more than he. */
static bool is_tenants_own(const struct host *domain, const struct destination_row *row)
{
    struct span own = domain_registrable(domain);
    return own.len > strlen(row->domain) && !psl_is_public_suffix(psl_builtin(), domain->name);
}

const struct destination_row *destinations_find_within(const struct destinations *d,
                                                       const struct host *domain)
{
    const struct destination_row *row = destinations_find(d, domain);
    if (row && !row->shared && is_tenants_own(domain, row))
        return NULL;
    for (size_t i = 0; d && !row && !domain->is_ip && i < d->count; i++)
        if (is_below(d->rows[i].domain, domain->name))
            row = &d->rows[i];
    return row;
}
