/* domains.c: see domains.h. */
#include "rules/domains.h"

#include <stdlib.h>

struct domains {
    char **items; /* owned, and each; sorted */
    size_t count, room;
};

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add(struct domains *d, const char *name)
{
    if (d->count == d->room) {
        size_t room = 2 * d->room + 64;
        char **more = realloc(d->items, room * sizeof *more);
        if (!more)
            return -1;
        d->items = more;
        d->room = room;
    }
    d->items[d->count] = strdup(name);
    return d->items[d->count] ? (d->count++, 0) : -1;
}

static struct span trim(struct span line)
{
    const uint8_t *comment = line.len ? memchr(line.data, '#', line.len) : NULL;
    if (comment)
        line.len = (size_t)(comment - line.data);
    while (line.len > 0 && (line.data[line.len - 1] == ' ' || line.data[line.len - 1] == '\t' ||
                            line.data[line.len - 1] == '\r'))
        line.len--;
    while (line.len > 0 && (line.data[0] == ' ' || line.data[0] == '\t'))
        line = span_from(line, 1);
    return line;
}

/* -1 with reterr. */
static int add_line(struct domains *d, struct span line, const char *name, unsigned number,
                    struct err *reterr)
{
    struct host host;
    line = trim(line);
    if (line.len == 0)
        return 0;
    enum host_fault fault = host_canonical_bare(line, &host);
    if (fault != HOST_OK || host.is_ip)
        return err_set(reterr, name, number, 1, "a domain is expected here: %s",
                       fault == HOST_OK ? "this is an address" : host_fault_text(fault));
    return add(d, host.name) == 0 ? 0 : err_set(reterr, name, number, 0, "no memory");
}

struct domains *domains_parse(struct domains *take_d, struct span text, const char *name, struct err *reterr)
{
    struct domains *d = take_d ? take_d : calloc(1, sizeof *d);
    unsigned number = 0;
    bool good = d != NULL;
    if (!good)
        err_set(reterr, name, 0, 0, "no memory");
    while (good && text.len > 0) {
        const uint8_t *end = memchr(text.data, '\n', text.len);
        size_t len = end ? (size_t)(end - text.data) : text.len;
        good = add_line(d, span_of(text.data, len), name, ++number, reterr) == 0;
        text = span_from(text, len + 1);
    }
    if (!good) {
        domains_free(d);
        return NULL;
    }
    if (d->count > 1)
        qsort(d->items, d->count, sizeof *d->items, compare);
    return d;
}

void domains_free(struct domains *take_d)
{
    if (!take_d)
        return;
    for (size_t i = 0; i < take_d->count; i++)
        free(take_d->items[i]);
    free(take_d->items);
    free(take_d);
}

bool domains_has(const struct domains *d, const struct host *host)
{
    if (!d || d->count == 0 || host->is_ip)
        return false;
    for (const char *at = host->name; at; at = strchr(at, '.') ? strchr(at, '.') + 1 : NULL)
        if (bsearch(&at, d->items, d->count, sizeof *d->items, compare))
            return true;
    return false;
}
