/* baseline_allow.c: the baseline's destinations: the items of a sender's `allow`, and the named sets of them. A part of the parser
 * (baseline_parse.c); what can never count, or would approve what anybody can have, is an error with its place. Pure. */
#include "rules/baseline_read.h"

#include "base/buf.h"
#include "base/must.h"

#include <libpsl.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    DESTINATIONS_MAX = 4096, /* of one entry, sets included */
    PORTS_MAX = 256
};

static int read_host(struct baseline_reader *r, const struct yaml_node *n, struct host *ret)
{
    const char *text;
    if (baseline_read_text(r, n, &text) != 0)
        return -1;
    enum host_fault fault = host_canonical_bare(span_str(text), ret);
    return fault == HOST_OK ? 0 : yaml_error(n, r->reterr, "not a host: %s", host_fault_text(fault));
}

/* What anybody can have a place in says nothing about who reads what is sent there. */
static int refuse_many(struct baseline_reader *r, const struct yaml_node *n, const struct host *h,
                       const struct destination_row *row)
{
    bool whole = strcmp(row->domain, h->name) == 0;
    return yaml_error(n, r->reterr, "%s %s %s (%s, %s), where anybody can have a place: %s", h->name,
                      whole                            ? "is"
                      : host_is_within(h, row->domain) ? "lies in"
                                                       : "holds",
                      row->domain, row->kind, destinations_name(r->kinds),
                      row->shared ? "only a `path` of it is approved" : "only one tenant's host is approved");
}

static int read_domain(struct baseline_reader *r, const struct yaml_node *n, struct host *ret)
{
    if (read_host(r, n, ret) != 0)
        return -1;
    if (ret->is_ip)
        return yaml_error(n, r->reterr, "an address has no domain: use host or network");
    if (psl_is_public_suffix(psl_builtin(), ret->name))
        return yaml_error(
            n, r->reterr,
            "%s is a public suffix: anyone can have a name below it; name a registrable domain, or a host",
            ret->name);
    const struct destination_row *row = destinations_find_within(r->kinds, ret);
    return row ? refuse_many(r, n, ret, row) : 0;
}

int baseline_read_network(struct baseline_reader *r, const struct yaml_node *n, struct ip_network *ret)
{
    const char *text;
    if (baseline_read_text(r, n, &text) != 0)
        return -1;
    if (!ip_network_parse(span_str(text), ret))
        return yaml_error(
            n, r->reterr,
            "a network is expected here, as 192.0.2.0/24 or 2001:db8::/32, with nothing behind its prefix");
    return 0;
}

static int compare_ports(const void *a, const void *b)
{
    return (int)*(const uint16_t *)a - (int)*(const uint16_t *)b;
}

static int read_ports(struct baseline_reader *r, const struct yaml_node *n, struct destination *d)
{
    if (yaml_want(n, YAML_SEQUENCE, r->reterr) != 0)
        return -1;
    if (n->count == 0 || n->count > PORTS_MAX)
        return yaml_error(n, r->reterr, "1 to %d ports are expected here", PORTS_MAX);
    uint16_t *ports = baseline_take(r, n, n->count * sizeof *ports);
    if (!ports)
        return -1;
    size_t count = 0;
    for (YAML_EACH(item, n)) {
        int64_t port;
        if (yaml_get_int(item, 1, 65535, &port, r->reterr) != 0)
            return -1;
        for (size_t i = 0; i < count; i++)
            if (ports[i] == port)
                return yaml_error(item, r->reterr, "port %u is given twice", ports[i]);
        ports[count++] = (uint16_t)port;
    }
    qsort(ports, count, sizeof *ports, compare_ports);
    d->ports = ports;
    d->port_count = count;
    return 0;
}

static int read_true(struct baseline_reader *r, const struct yaml_node *n)
{
    bool value;
    if (yaml_get_bool(n, &value, r->reterr) != 0)
        return -1;
    return value ? 0 : yaml_error(n, r->reterr, "%s is true, or isn't there", n->key);
}

static int read_path(struct baseline_reader *r, const struct yaml_node *n, struct destination *d)
{
    const char *text;
    if (baseline_read_text(r, n, &text) != 0)
        return -1;
    if (text[0] != '/' || text[1] == '\0' || strpbrk(text, "?#%\\ ") || strstr(text, "//") ||
        strstr(text, "/."))
        return yaml_error(n, r->reterr,
                          "a path as /services/OURS is expected: no query, no %%, no dots in front");
    d->path = baseline_keep(r, n, text);
    if (!r->b->terminate_line)
        r->b->terminate_line = n->line;
    return d->path ? 0 : -1;
}

static int read_selectors(struct baseline_reader *r, const struct yaml_node *item, struct destination *d)
{
    const struct yaml_node *host = yaml_find(item, "host"), *domain = yaml_find(item, "domain"),
                           *any = yaml_find(item, "any"), *network = yaml_find(item, "network"),
                           *asn = yaml_find(item, "asn"), *resolve = yaml_find(item, "resolve"),
                           *ports = yaml_find(item, "ports");
    int64_t number = 0;
    if ((host && read_host(r, host, &d->host) != 0) || (domain && read_domain(r, domain, &d->host) != 0) ||
        (any && read_true(r, any) != 0) || (network && baseline_read_network(r, network, &d->network) != 0) ||
        (asn && yaml_get_int(asn, 1, UINT32_MAX, &number, r->reterr) != 0) ||
        (resolve && read_true(r, resolve) != 0) || (ports && read_ports(r, ports, d) != 0))
        return -1;
    d->name = host     ? DESTINATION_HOST
              : domain ? DESTINATION_DOMAIN
              : any    ? DESTINATION_ANY
                       : DESTINATION_UNNAMED;
    d->many = (host || domain) && destinations_find(r->kinds, &d->host);
    const struct yaml_node *path = yaml_find(item, "path");
    if (path && read_path(r, path, d) != 0)
        return -1;
    if (path)
        d->handling = HANDLING_TERMINATE;
    d->has_network = network != NULL;
    d->asn = (uint32_t)number;
    if (d->asn && !r->b->asn_line)
        r->b->asn_line = asn->line;
    d->resolve = resolve != NULL;
    return 0;
}

static int check_combination(struct baseline_reader *r, const struct yaml_node *item,
                             const struct destination *d)
{
    const struct yaml_node *any = yaml_find(item, "any"), *resolve = yaml_find(item, "resolve");
    bool narrow = d->has_network || d->asn;
    int names = (yaml_find(item, "host") != NULL) + (yaml_find(item, "domain") != NULL) + (any != NULL);
    if (names > 1)
        return yaml_error(item, r->reterr, "one of host, domain and any, not several: write several items");
    if (names == 0 && !narrow)
        return yaml_error(item, r->reterr, "a destination needs host, domain, network, asn, any or use");
    if (any && narrow)
        return yaml_error_key(
            any, r->reterr,
            "any doesn't go with network or asn: resolve: true lets names be resolved for them");
    if (resolve && (names > 0 || !narrow))
        return yaml_error_key(resolve, r->reterr,
                              "resolve goes with network or asn alone: other names are resolved as they are");
    if (d->name == DESTINATION_HOST && d->host.is_ip && d->has_network)
        return yaml_error(item, r->reterr, "an address and a network in one item: write the narrower one");
    const struct yaml_node *path = yaml_find(item, "path"), *handling = yaml_find(item, "handling");
    if (path && (d->name != DESTINATION_HOST || narrow))
        return yaml_error_key(path, r->reterr, "path goes with one host");
    if (path && handling && strcmp(handling->text ? handling->text : "", "terminate") != 0)
        return yaml_error(handling, r->reterr, "paths are seen with handling: terminate only");
    const struct destination_row *row =
        d->name == DESTINATION_HOST && !path ? destinations_find(r->kinds, &d->host) : NULL;
    if (row && row->shared)
        return refuse_many(r, yaml_find(item, "host"), &d->host, row);
    return 0;
}

static const char *describe(struct baseline_reader *r, const struct yaml_node *item,
                            const struct destination *d)
{
    static const char *const words[] = {"", "any", "host ", "domain "};
    char ip[IP_TEXT_BYTES], text[512];
    struct buf out;
    buf_init(&out, sizeof text - 1);
    buf_printf(&out, "%s%s", words[d->name], d->host.name);
    if (d->has_network)
        buf_printf(&out, "%snetwork %s/%u", buf_len(&out) ? ", " : "", ip_format(&d->network.ip, ip),
                   d->network.prefix);
    if (d->asn)
        buf_printf(&out, "%sasn %u", buf_len(&out) ? ", " : "", d->asn);
    if (d->path)
        buf_printf(&out, ", path %.100s", d->path);
    for (size_t i = 0; i < d->port_count && buf_len(&out) < 400; i++)
        buf_printf(&out, "%s%u", i == 0 ? ", port " : " ", d->ports[i]);
    struct span s = buf_span(&out);
    snprintf(text, sizeof text, "%.*s", (int)s.len, (const char *)s.data);
    buf_free(&out);
    return baseline_keep(r, item, text);
}

/* Only where the destination is named: anybody can ask for a certificate. */
static int read_client_certificate(struct baseline_reader *r, const struct yaml_node *n,
                                   struct destination *d)
{
    static const char *const names[] = {"refuse", "tunnel"};
    size_t which;
    if (yaml_get_enum(n, names, ARRAY_LEN(names), &which, r->reterr) != 0)
        return -1;
    d->client_certificate = (enum verdict_client_certificate)(CLIENT_CERTIFICATE_REFUSE + which);
    if (d->client_certificate == CLIENT_CERTIFICATE_TUNNEL && d->name != DESTINATION_HOST &&
        d->name != DESTINATION_DOMAIN)
        return yaml_error_key(n, r->reterr, "client_certificate: tunnel goes with host or domain only");
    return 0;
}

static const struct destination *read_destination(struct baseline_reader *r, const struct yaml_node *item)
{
    static const char *const keys[] = {
        "host", "domain",   "any",  "network",           "asn", "resolve", "ports",
        "use",  "handling", "path", "client_certificate"};
    struct destination *d = baseline_take(r, item, sizeof *d);
    if (!d || yaml_check_keys(item, keys, ARRAY_LEN(keys), r->reterr) != 0)
        return NULL;
    if (yaml_find(item, "use")) {
        yaml_error(item, r->reterr, "use stands alone in an item, in a sender's allow list");
        return NULL;
    }
    d->line = item->line;
    const struct yaml_node *handling = yaml_find(item, "handling"),
                           *certificate = yaml_find(item, "client_certificate");
    if (read_selectors(r, item, d) != 0 || check_combination(r, item, d) != 0 ||
        (handling && baseline_read_handling(r, handling, &d->handling) != 0) ||
        (certificate && read_client_certificate(r, certificate, d) != 0))
        return NULL;
    d->text = describe(r, item, d);
    return d->text ? d : NULL;
}

/* There is room: size_list() counted. */
static void append_destination(struct destination_list *list, const struct destination *d)
{
    bool named = d->name == DESTINATION_HOST || d->name == DESTINATION_DOMAIN;
    list->filters[list->count] = named ? filter_of(d->host.name) : FILTER_NONE;
    list->items[list->count++] = d;
}

static int add_destination(struct baseline_reader *r, const struct yaml_node *item,
                           struct destination_list *list)
{
    const struct destination *d = read_destination(r, item);
    if (!d)
        return -1;
    const struct destination *cover = destination_find_cover(list->items, list->count, d);
    if (cover)
        return yaml_error(item, r->reterr, "never counts: line %u (%s) already covers it", cover->line,
                          cover->text);
    append_destination(list, d);
    return 0;
}

static struct baseline_set *find_set(struct baseline_reader *r, const char *name)
{
    for (size_t i = 0; i < r->set_count; i++)
        if (strcmp(r->sets[i].node->key, name) == 0)
            return &r->sets[i];
    return NULL;
}

/* The set that an item uses; NULL with `*ret_failed` when there is something wrong with it, else NULL: it uses none. */
static struct baseline_set *used_set(struct baseline_reader *r, const struct yaml_node *item,
                                     bool *ret_failed)
{
    const char *name;
    *ret_failed = true;
    if (yaml_want(item, YAML_MAPPING, r->reterr) != 0)
        return NULL;
    const struct yaml_node *use = yaml_find(item, "use");
    if (!use || item->count > 1) {
        *ret_failed = false;
        return NULL;
    }
    if (baseline_read_text(r, use, &name) != 0)
        return NULL;
    struct baseline_set *set = find_set(r, name);
    if (!set)
        yaml_error(use, r->reterr, "there is no destination set \"%.100s\"", name);
    *ret_failed = !set;
    return set;
}

/* Adds what the list doesn't cover yet. */
static int add_set(struct baseline_reader *r, const struct yaml_node *item, const struct baseline_set *set,
                   struct destination_list *list)
{
    size_t before = list->count;
    for (size_t i = 0; i < set->list.count; i++)
        if (!destination_find_cover(list->items, before, set->list.items[i]))
            append_destination(list, set->list.items[i]);
    if (list->count == before)
        return yaml_error(item, r->reterr, "never counts: everything in \"%.100s\" is already covered",
                          set->node->key);
    return 0;
}

/* Room for the list's items, sets included. */
static int size_list(struct baseline_reader *r, const struct yaml_node *n, bool may_use, size_t *ret)
{
    size_t count = 0;
    bool failed = false;
    if (yaml_want(n, YAML_SEQUENCE, r->reterr) != 0)
        return -1;
    if (n->count == 0)
        return yaml_error(n, r->reterr, "an empty list allows nothing: leave it out");
    for (YAML_EACH(item, n)) {
        struct baseline_set *set = may_use ? used_set(r, item, &failed) : NULL;
        if (failed)
            return -1;
        count += set ? set->list.count : 1;
        if (count > DESTINATIONS_MAX)
            return yaml_error(item, r->reterr, "more than %d destinations in one list", DESTINATIONS_MAX);
    }
    *ret = count;
    return 0;
}

int baseline_read_destinations(struct baseline_reader *r, const struct yaml_node *n, bool may_use,
                               struct destination_list *ret)
{
    size_t room = 0;
    if (size_list(r, n, may_use, &room) != 0)
        return -1;
    struct destination_list list = {.items = baseline_take(r, n, room * sizeof *list.items),
                                    .filters = baseline_take(r, n, room)};
    if (!list.items || !list.filters)
        return -1;
    for (YAML_EACH(item, n)) {
        bool failed = false;
        struct baseline_set *set = may_use ? used_set(r, item, &failed) : NULL;
        must(!failed); /* size_list() looked at it */
        if ((set ? add_set(r, item, set, &list) : add_destination(r, item, &list)) != 0)
            return -1;
        if (set)
            set->used = true;
    }
    *ret = list;
    return 0;
}

int baseline_read_sets(struct baseline_reader *r, const struct yaml_node *n)
{
    if (yaml_want(n, YAML_MAPPING, r->reterr) != 0)
        return -1;
    r->sets = baseline_take(r, n, n->count * sizeof *r->sets);
    if (!r->sets)
        return -1;
    for (YAML_EACH(item, n)) {
        struct baseline_set *set = &r->sets[r->set_count++];
        set->node = item;
        if (baseline_read_destinations(r, item, false, &set->list) != 0)
            return -1;
    }
    return 0;
}
