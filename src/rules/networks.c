/* networks.c: see networks.h. Pure. */
#include "rules/networks.h"

#include <stdlib.h>

static int compare_rows(const void *a, const void *b)
{
    const struct network_row *x = a, *y = b;
    if (x->field != y->field)
        return x->field < y->field ? -1 : 1;
    if (x->network.ip.version != y->network.ip.version)
        return x->network.ip.version < y->network.ip.version ? -1 : 1;
    if (x->network.prefix != y->network.prefix)
        return x->network.prefix < y->network.prefix ? -1 : 1;
    return memcmp(x->network.ip.bytes, y->network.ip.bytes, sizeof x->network.ip.bytes);
}

bool networks_init(struct networks *n, const struct ruleset *s)
{
    *n = (struct networks){.rows = calloc(s->atom_count + 1, sizeof *n->rows)};
    if (!n->rows)
        return false;
    for (uint32_t i = 0; i < s->atom_count; i++)
        if (s->atoms[i].atom->kind == ATOM_CIDR && s->atoms[i].count > 0)
            n->rows[n->count++] = (struct network_row){s->atoms[i].field, i, s->atoms[i].atom->network};
    if (n->count > 1)
        qsort(n->rows, n->count, sizeof *n->rows, compare_rows);
    return true;
}

void networks_free(struct networks *n)
{
    free(n->rows);
    *n = (struct networks){0};
}

/* The first row that is not before `key`. */
static size_t lower_bound(const struct networks *n, const struct network_row *key)
{
    size_t low = 0, high = n->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_rows(&n->rows[middle], key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool networks_has(const struct networks *n, uint32_t field)
{
    struct network_row key = {.field = field};
    size_t at = lower_bound(n, &key);
    return at < n->count && n->rows[at].field == field;
}

static struct ip_network cut(const struct ip *ip, uint8_t prefix)
{
    struct ip_network net = {*ip, prefix};
    for (size_t i = 0; i < sizeof net.ip.bytes; i++) {
        size_t bits = prefix > 8 * i ? prefix - 8 * i : 0;
        net.ip.bytes[i] &= bits >= 8 ? 0xff : (uint8_t)(0xff00u >> bits);
    }
    return net;
}

size_t networks_find(const struct networks *n, uint32_t field, const struct ip *ip,
                     uint32_t ret[NETWORKS_FOUND_MAX])
{
    size_t found = 0;
    struct network_row key = {.field = field, .network = {.ip = {.version = ip->version}}};
    for (size_t at = lower_bound(n, &key); at < n->count && found < NETWORKS_FOUND_MAX;) {
        const struct network_row *row = &n->rows[at];
        if (row->field != field || row->network.ip.version != ip->version)
            break;
        key.network = cut(ip, row->network.prefix);
        size_t hit = lower_bound(n, &key);
        if (hit < n->count && compare_rows(&n->rows[hit], &key) == 0)
            ret[found++] = n->rows[hit].atom;
        /* on to the next length: an address with all bits set sorts last in this one */
        memset(key.network.ip.bytes, 0xff, sizeof key.network.ip.bytes);
        at = lower_bound(n, &key);
        at += at < n->count && compare_rows(&n->rows[at], &key) == 0;
    }
    return found;
}
