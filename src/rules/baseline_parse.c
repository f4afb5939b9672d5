/* baseline_parse.c: policy/baseline.yaml into struct baseline, strictly: what is unknown, mistyped, or can never count is an
 * error with its place. run/ calls in once per snapshot. Pure: malloc, libyaml, libpsl's built-in list. */
#include "rules/baseline.h"

#include "base/buf.h"
#include "base/must.h"
#include "base/yaml.h"
#include "rules/baseline_model.h"

#include <libpsl.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    TREE_BYTES = 256 * 1024 * 1024, /* budgets: YAML_BYTES_MAX bounds what is really used */
    BASELINE_BYTES = 256 * 1024 * 1024,
    ENTRIES_MAX = 4096,
    DESTINATIONS_MAX = 4096, /* of one entry, sets included */
    PORTS_MAX = 256,
    TEXT_MAX = 4096
};

/* A named list of destinations, while the file is read. */
struct set {
    const struct yaml_node *node; /* view into the tree */
    struct destination_list list;
    bool used;
};

struct reader {
    struct baseline *b;
    struct err *reterr; /* borrowed for the call */
    struct set *sets;   /* view into the baseline's arena */
    size_t set_count;
};

static void *take(struct reader *r, const struct yaml_node *n, size_t bytes)
{
    void *p = arena_alloc(&r->b->arena, bytes ? bytes : 1);
    if (!p)
        yaml_error(n, r->reterr, "the baseline is too large");
    return p;
}

static const char *keep(struct reader *r, const struct yaml_node *n, const char *text)
{
    size_t len = strlen(text);
    char *copy = take(r, n, len + 1);
    return copy ? memcpy(copy, text, len + 1) : NULL;
}

/* ---- texts ---- */

static bool is_printable(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return false;
    return true;
}

static int read_text(struct reader *r, const struct yaml_node *n, const char **ret)
{
    const char *text;
    if (yaml_get_string(n, &text, r->reterr) != 0)
        return -1;
    if (n->len > TEXT_MAX || !is_printable(text)) {
        yaml_error(n, r->reterr, "a text has at most %d characters, all of them printable", TEXT_MAX);
        return -1;
    }
    *ret = text;
    return 0;
}

/* As the kernel says it: absolute, every link resolved; so nothing else can ever be equal. */
static const char *check_path(const char *s)
{
    size_t len = strlen(s);
    if (s[0] != '/' || len < 2 || s[len - 1] == '/')
        return "an absolute path of a file is expected here";
    if (strstr(s, "//") || strstr(s, "/./") || strstr(s, "/../") || strcmp(s + len - 2, "/.") == 0 ||
        (len >= 3 && strcmp(s + len - 3, "/..") == 0))
        return "a path without //, /./ and /../ is expected here: nothing else is ever reported";
    if (strstr(s, "\xef\xbf\xbd"))
        return "U+FFFD stands for bytes that could not be read: such a path names no file for sure";
    return NULL;
}

static const char *check_sha256(const char *s)
{
    bool fine = strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64;
    return fine ? NULL : "64 lower-case hex digits are expected here";
}

static const char *check_package(const char *s)
{
    static const char set[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-._";
    return s[strspn(s, set)] == '\0' ? NULL : "a package's name without its architecture is expected here";
}

static const char *check_user(const char *s)
{
    return strpbrk(s, ": /\\") ? "a user's name is expected here" : NULL;
}

/* Only what root alone makes: a user names the units of his own manager as he likes, and a login's scope holds all that a
 * person runs. */
static const char *check_unit(const char *s)
{
    static const char end[] = ".service";
    size_t len = strlen(s);
    if (len < sizeof end || strcmp(s + len - (sizeof end - 1), end) != 0 || strchr(s, '/') ||
        strncmp(s, "user@", 5) == 0)
        return "a system service is expected here, as cron.service: users make scopes and units of their own";
    return NULL;
}

static const char *(*const checks[CONDITION_COUNT])(const char *) = {[CONDITION_EXECUTABLE] = check_path,
                                                                     [CONDITION_PACKAGE] = check_package,
                                                                     [CONDITION_USER] = check_user,
                                                                     [CONDITION_UNIT] = check_unit,
                                                                     [CONDITION_SCRIPT] = check_path,
                                                                     [CONDITION_SHA256] = check_sha256,
                                                                     [CONDITION_SCRIPT_SHA256] = check_sha256,
                                                                     [CONDITION_PARENT] = check_path};

static int read_mode(struct reader *r, const struct yaml_node *n, enum verdict_mode *ret)
{
    const char *const names[] = {verdict_mode_name(MODE_OPEN), verdict_mode_name(MODE_REPORT),
                                 verdict_mode_name(MODE_ENFORCE)};
    size_t mode;
    if (yaml_get_enum(n, names, ARRAY_LEN(names), &mode, r->reterr) != 0)
        return -1;
    *ret = (enum verdict_mode)mode;
    return 0;
}

static int read_handling(struct reader *r, const struct yaml_node *n, enum verdict_handling *ret)
{
    const char *const names[] = {verdict_handling_name(HANDLING_TUNNEL), verdict_handling_name(HANDLING_PEEK),
                                 verdict_handling_name(HANDLING_TERMINATE)};
    size_t which;
    if (yaml_get_enum(n, names, ARRAY_LEN(names), &which, r->reterr) != 0)
        return -1;
    *ret = (enum verdict_handling)(HANDLING_TUNNEL + which);
    if (*ret == HANDLING_TERMINATE && !r->b->terminate_line)
        r->b->terminate_line = n->line;
    return 0;
}

static int read_probe(struct reader *r, const struct yaml_node *n, enum verdict_probe *ret)
{
    const char *const names[] = {verdict_probe_name(PROBE_NEVER), verdict_probe_name(PROBE_BACKGROUND),
                                 verdict_probe_name(PROBE_WAIT)};
    size_t which;
    if (yaml_get_enum(n, names, ARRAY_LEN(names), &which, r->reterr) != 0)
        return -1;
    *ret = (enum verdict_probe)(PROBE_NEVER + which);
    return 0;
}

/* ---- destinations ---- */

static int read_host(struct reader *r, const struct yaml_node *n, struct host *ret)
{
    const char *text;
    if (read_text(r, n, &text) != 0)
        return -1;
    enum host_fault fault = host_canonical_bare(span_str(text), ret);
    return fault == HOST_OK ? 0 : yaml_error(n, r->reterr, "not a host: %s", host_fault_text(fault));
}

static int read_domain(struct reader *r, const struct yaml_node *n, struct host *ret)
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
    return 0;
}

static int read_network(struct reader *r, const struct yaml_node *n, struct ip_network *ret)
{
    const char *text;
    if (read_text(r, n, &text) != 0)
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

static int read_ports(struct reader *r, const struct yaml_node *n, struct destination *d)
{
    if (yaml_want(n, YAML_SEQUENCE, r->reterr) != 0)
        return -1;
    if (n->count == 0 || n->count > PORTS_MAX)
        return yaml_error(n, r->reterr, "1 to %d ports are expected here", PORTS_MAX);
    uint16_t *ports = take(r, n, n->count * sizeof *ports);
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

static int read_true(struct reader *r, const struct yaml_node *n)
{
    bool value;
    if (yaml_get_bool(n, &value, r->reterr) != 0)
        return -1;
    return value ? 0 : yaml_error(n, r->reterr, "%s is true, or isn't there", n->key);
}

static int read_selectors(struct reader *r, const struct yaml_node *item, struct destination *d)
{
    const struct yaml_node *host = yaml_find(item, "host"), *domain = yaml_find(item, "domain"),
                           *any = yaml_find(item, "any"), *network = yaml_find(item, "network"),
                           *asn = yaml_find(item, "asn"), *resolve = yaml_find(item, "resolve"),
                           *ports = yaml_find(item, "ports");
    int64_t number = 0;
    if ((host && read_host(r, host, &d->host) != 0) || (domain && read_domain(r, domain, &d->host) != 0) ||
        (any && read_true(r, any) != 0) || (network && read_network(r, network, &d->network) != 0) ||
        (asn && yaml_get_int(asn, 1, UINT32_MAX, &number, r->reterr) != 0) ||
        (resolve && read_true(r, resolve) != 0) || (ports && read_ports(r, ports, d) != 0))
        return -1;
    d->name = host     ? DESTINATION_HOST
              : domain ? DESTINATION_DOMAIN
              : any    ? DESTINATION_ANY
                       : DESTINATION_UNNAMED;
    d->has_network = network != NULL;
    d->asn = (uint32_t)number;
    if (d->asn && !r->b->asn_line)
        r->b->asn_line = asn->line;
    d->resolve = resolve != NULL;
    return 0;
}

static int check_combination(struct reader *r, const struct yaml_node *item, const struct destination *d)
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
    return 0;
}

static const char *describe(struct reader *r, const struct yaml_node *item, const struct destination *d)
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
    for (size_t i = 0; i < d->port_count && buf_len(&out) < 400; i++)
        buf_printf(&out, "%s%u", i == 0 ? ", port " : " ", d->ports[i]);
    struct span s = buf_span(&out);
    snprintf(text, sizeof text, "%.*s", (int)s.len, (const char *)s.data);
    buf_free(&out);
    return keep(r, item, text);
}

static const struct destination *read_destination(struct reader *r, const struct yaml_node *item)
{
    static const char *const keys[] = {"host",    "domain", "any", "network", "asn",
                                       "resolve", "ports",  "use", "handling"};
    struct destination *d = take(r, item, sizeof *d);
    if (!d || yaml_check_keys(item, keys, ARRAY_LEN(keys), r->reterr) != 0)
        return NULL;
    if (yaml_find(item, "use")) {
        yaml_error(item, r->reterr, "use stands alone in an item, in a sender's allow list");
        return NULL;
    }
    d->line = item->line;
    const struct yaml_node *handling = yaml_find(item, "handling");
    if (read_selectors(r, item, d) != 0 || check_combination(r, item, d) != 0 ||
        (handling && read_handling(r, handling, &d->handling) != 0))
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

static int add_destination(struct reader *r, const struct yaml_node *item, struct destination_list *list)
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

static struct set *find_set(struct reader *r, const char *name)
{
    for (size_t i = 0; i < r->set_count; i++)
        if (strcmp(r->sets[i].node->key, name) == 0)
            return &r->sets[i];
    return NULL;
}

/* The set that an item uses; NULL with `*ret_failed` when there is something wrong with it, else NULL: it uses none. */
static struct set *used_set(struct reader *r, const struct yaml_node *item, bool *ret_failed)
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
    if (read_text(r, use, &name) != 0)
        return NULL;
    struct set *set = find_set(r, name);
    if (!set)
        yaml_error(use, r->reterr, "there is no destination set \"%.100s\"", name);
    *ret_failed = !set;
    return set;
}

/* Adds what the list doesn't cover yet. */
static int add_set(struct reader *r, const struct yaml_node *item, const struct set *set,
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
static int size_list(struct reader *r, const struct yaml_node *n, bool may_use, size_t *ret)
{
    size_t count = 0;
    bool failed = false;
    if (yaml_want(n, YAML_SEQUENCE, r->reterr) != 0)
        return -1;
    if (n->count == 0)
        return yaml_error(n, r->reterr, "an empty list allows nothing: leave it out");
    for (YAML_EACH(item, n)) {
        struct set *set = may_use ? used_set(r, item, &failed) : NULL;
        if (failed)
            return -1;
        count += set ? set->list.count : 1;
        if (count > DESTINATIONS_MAX)
            return yaml_error(item, r->reterr, "more than %d destinations in one list", DESTINATIONS_MAX);
    }
    *ret = count;
    return 0;
}

static int read_destinations(struct reader *r, const struct yaml_node *n, bool may_use,
                             struct destination_list *ret)
{
    size_t room = 0;
    if (size_list(r, n, may_use, &room) != 0)
        return -1;
    struct destination_list list = {.items = take(r, n, room * sizeof *list.items),
                                    .filters = take(r, n, room)};
    if (!list.items || !list.filters)
        return -1;
    for (YAML_EACH(item, n)) {
        bool failed = false;
        struct set *set = may_use ? used_set(r, item, &failed) : NULL;
        must(!failed); /* size_list() looked at it */
        if ((set ? add_set(r, item, set, &list) : add_destination(r, item, &list)) != 0)
            return -1;
        if (set)
            set->used = true;
    }
    *ret = list;
    return 0;
}

static int read_sets(struct reader *r, const struct yaml_node *n)
{
    if (yaml_want(n, YAML_MAPPING, r->reterr) != 0)
        return -1;
    r->sets = take(r, n, n->count * sizeof *r->sets);
    if (!r->sets)
        return -1;
    for (YAML_EACH(item, n)) {
        struct set *set = &r->sets[r->set_count++];
        set->node = item;
        if (read_destinations(r, item, false, &set->list) != 0)
            return -1;
    }
    return 0;
}

/* ---- senders ---- */

static int read_confidences(struct reader *r, const struct yaml_node *n, struct entry *e)
{
    static const char *const names[] = {
#define X(id, name) name,
        AGENT_CONFIDENCES(X)
#undef X
    };
    if (yaml_want(n, YAML_SEQUENCE, r->reterr) != 0)
        return -1;
    if (n->count == 0)
        return yaml_error(n, r->reterr, "an empty list matches nothing: leave it out");
    for (YAML_EACH(item, n)) {
        size_t which;
        if (yaml_get_enum(item, names, ARRAY_LEN(names), &which, r->reterr) != 0)
            return -1;
        if (e->confidences & 1u << which)
            return yaml_error(item, r->reterr, "%s is given twice", names[which]);
        e->confidences |= 1u << which;
    }
    return 0;
}

static int read_borrowed(struct reader *r, const struct yaml_node *n, struct entry *e)
{
    static const char *const names[] = {
#define X(id, name, text) name,
        AGENT_BORROWED(X)
#undef X
    };
    if (yaml_want(n, YAML_SEQUENCE, r->reterr) != 0)
        return -1;
    if (n->count == 0)
        return yaml_error(n, r->reterr, "an empty list puts up with nothing: leave it out");
    for (YAML_EACH(item, n)) {
        size_t which;
        if (yaml_get_enum(item, names, ARRAY_LEN(names), &which, r->reterr) != 0)
            return -1;
        if (e->borrowed & 1u << which)
            return yaml_error(item, r->reterr, "%s is given twice", names[which]);
        e->borrowed |= 1u << which;
    }
    return 0;
}

static const char *const condition_keys[] = {
#define X(id, field) #field,
    BASELINE_CONDITIONS(X)
#undef X
        "client_network",
    "proxy_user", "confidence", "borrowed"};

static int read_conditions(struct reader *r, const struct yaml_node *match, struct entry *e)
{
    for (int c = 0; c < CONDITION_COUNT; c++) {
        const struct yaml_node *n = yaml_find(match, condition_keys[c]);
        const char *text, *wrong;
        if (!n)
            continue;
        if (read_text(r, n, &text) != 0)
            return -1;
        if ((wrong = checks[c](text)) != NULL)
            return yaml_error(n, r->reterr, "%s", wrong);
        e->conditions[c] = keep(r, n, text);
        if (!e->conditions[c])
            return -1;
    }
    return 0;
}

static int read_client(struct reader *r, const struct yaml_node *match, struct entry *e)
{
    const struct yaml_node *network = yaml_find(match, "client_network"),
                           *user = yaml_find(match, "proxy_user");
    const char *text;
    e->has_client = network != NULL;
    if (network && read_network(r, network, &e->client) != 0)
        return -1;
    if (!user)
        return 0;
    if (read_text(r, user, &text) != 0)
        return -1;
    e->proxy_user = keep(r, user, text);
    return e->proxy_user ? 0 : -1;
}

/* What goes without saying in a match, and depends on what it says. See baseline.h. */
static void set_reservations(struct entry *e, bool names_confidence)
{
    const char *const *c = e->conditions;
    bool path =
        c[CONDITION_EXECUTABLE] || c[CONDITION_PACKAGE] || c[CONDITION_SCRIPT] || c[CONDITION_SCRIPT_SHA256];
    bool script = c[CONDITION_SCRIPT] || c[CONDITION_SCRIPT_SHA256];
    e->by_process = names_confidence;
    for (int i = 0; i < CONDITION_COUNT; i++)
        e->by_process = e->by_process || c[i];
    e->names_program = path || c[CONDITION_SHA256];
    e->wants_fixed_path = path && !c[CONDITION_SHA256] && !c[CONDITION_UNIT];
    e->wants_no_interpreter = e->by_process && !script && !c[CONDITION_UNIT];
    if (!names_confidence)
        e->confidences = e->by_process ? 1u << AGENT_CONFIDENCE_EXACT : CONFIDENCES_ALL;
}

static int check_interpreter(struct reader *r, const struct yaml_node *match, const struct entry *e)
{
    static const enum condition programs[] = {CONDITION_EXECUTABLE, CONDITION_PACKAGE};
    for (size_t i = 0; e->wants_no_interpreter && i < ARRAY_LEN(programs); i++) {
        const char *program = e->conditions[programs[i]];
        if (program && baseline_is_interpreter(program))
            return yaml_error(yaml_find(match, condition_keys[programs[i]]), r->reterr,
                              "%s runs whatever it is given, so it is not approved as a whole: add script, "
                              "script_sha256 or unit",
                              program);
    }
    return 0;
}

/* Whatever a shell was told to do has the shell as its parent. */
static int check_parent(struct reader *r, const struct yaml_node *match, const struct entry *e)
{
    const char *parent = e->conditions[CONDITION_PARENT];
    if (!parent || !baseline_is_interpreter(parent))
        return 0;
    return yaml_error(yaml_find(match, "parent"), r->reterr,
                      "%s runs whatever it is given, so being its child says nothing", parent);
}

static int read_match(struct reader *r, const struct yaml_node *match, struct entry *e)
{
    if (yaml_check_keys(match, condition_keys, ARRAY_LEN(condition_keys), r->reterr) != 0)
        return -1;
    if (match->count == 0)
        return yaml_error(match, r->reterr, "an empty match: say which senders are meant");
    const struct yaml_node *confidence = yaml_find(match, "confidence");
    if (read_conditions(r, match, e) != 0 || read_client(r, match, e) != 0)
        return -1;
    const struct yaml_node *borrowed = yaml_find(match, "borrowed");
    if ((confidence && read_confidences(r, confidence, e) != 0) ||
        (borrowed && read_borrowed(r, borrowed, e) != 0))
        return -1;
    set_reservations(e, confidence != NULL);
    if (borrowed && !e->names_program)
        return yaml_error(borrowed, r->reterr,
                          "never counts: this match names no program whose identity could be borrowed");
    if (e->conditions[CONDITION_SHA256] || e->conditions[CONDITION_SCRIPT_SHA256])
        r->b->needs_hash = true;
    return check_parent(r, match, e) == 0 ? check_interpreter(r, match, e) : -1;
}

static int check_entry(struct reader *r, const struct yaml_node *n, size_t index)
{
    const struct entry *entries = r->b->entries, *e = &entries[index];
    for (size_t i = 0; i < index; i++)
        if (strcmp(entries[i].name, e->name) == 0)
            return yaml_error(yaml_find(n, "name"), r->reterr,
                              "the name \"%.100s\" is already taken by line %u", e->name, entries[i].line);
    for (size_t i = 0; i < index; i++)
        if (entry_shadows(&entries[i], e))
            return yaml_error(n, r->reterr,
                              "never counts: \"%.100s\" (line %u) already matches all of its senders",
                              entries[i].name, entries[i].line);
    return 0;
}

/* The value of a key that must be there, or NULL with an error at the mapping. */
static const struct yaml_node *need(struct reader *r, const struct yaml_node *mapping, const char *key)
{
    const struct yaml_node *n = yaml_find(mapping, key);
    if (!n)
        yaml_error(mapping, r->reterr, "%s is missing here", key);
    return n;
}

static int read_entry(struct reader *r, const struct yaml_node *n, size_t index)
{
    static const char *const keys[] = {"name", "owner",    "purpose", "match",
                                       "mode", "handling", "chain",   "allow"};
    struct entry *e = &r->b->entries[index];
    if (yaml_check_keys(n, keys, ARRAY_LEN(keys), r->reterr) != 0)
        return -1;
    const struct yaml_node *name = need(r, n, "name"), *match = need(r, n, "match"),
                           *allow = need(r, n, "allow"), *mode = yaml_find(n, "mode"),
                           *owner = yaml_find(n, "owner"), *purpose = yaml_find(n, "purpose"),
                           *handling = yaml_find(n, "handling"), *chain = yaml_find(n, "chain");
    const char *text;
    if ((handling && read_handling(r, handling, &e->handling) != 0) ||
        (chain && read_probe(r, chain, &e->probe) != 0))
        return -1;
    if (!name || !match || !allow || (owner && read_text(r, owner, &text) != 0) ||
        (purpose && read_text(r, purpose, &text) != 0) || read_text(r, name, &text) != 0)
        return -1;
    e->name = keep(r, name, text);
    e->line = n->line;
    e->has_mode = mode != NULL;
    if (!e->name || (mode && read_mode(r, mode, &e->mode) != 0) || read_match(r, match, e) != 0 ||
        check_entry(r, n, index) != 0)
        return -1;
    return read_destinations(r, allow, true, &e->allow);
}

static int read_senders(struct reader *r, const struct yaml_node *n)
{
    if (yaml_want(n, YAML_SEQUENCE, r->reterr) != 0)
        return -1;
    if (n->count > ENTRIES_MAX)
        return yaml_error(n, r->reterr, "more than %d senders", ENTRIES_MAX);
    r->b->entries = take(r, n, n->count * sizeof *r->b->entries);
    r->b->filters = take(r, n, n->count);
    if (!r->b->entries || !r->b->filters)
        return -1;
    for (YAML_EACH(item, n)) {
        if (read_entry(r, item, r->b->entry_count) != 0)
            return -1;
        const char *executable = r->b->entries[r->b->entry_count].conditions[CONDITION_EXECUTABLE];
        r->b->filters[r->b->entry_count++] = executable ? filter_of(executable) : FILTER_NONE;
    }
    return 0;
}

/* ---- the file ---- */

static int read_unknown(struct reader *r, const struct yaml_node *n)
{
    static const char *const keys[] = {"mode", "action"};
    static const char *const actions[] = {"block", "allow"};
    size_t action = 0;
    r->b->unknown_mode = r->b->mode;
    if (!n)
        return 0;
    r->b->unknown_line = n->key_line;
    if (yaml_check_keys(n, keys, ARRAY_LEN(keys), r->reterr) != 0)
        return -1;
    const struct yaml_node *mode = yaml_find(n, "mode"), *wanted = yaml_find(n, "action");
    if (!mode && !wanted)
        return yaml_error(n, r->reterr, "action (block or allow) or mode is missing here");
    if (wanted && yaml_get_enum(wanted, actions, ARRAY_LEN(actions), &action, r->reterr) != 0)
        return -1;
    r->b->unknown_allowed = action == 1;
    return mode ? read_mode(r, mode, &r->b->unknown_mode) : 0;
}

static int read_head(struct reader *r, const struct yaml_node *top)
{
    static const char *const keys[] = {"version", "mode", "unknown_sender", "destination_sets", "senders"};
    int64_t number;
    if (yaml_check_keys(top, keys, ARRAY_LEN(keys), r->reterr) != 0)
        return -1;
    const struct yaml_node *version = need(r, top, "version"), *mode = yaml_find(top, "mode");
    if (!version || yaml_get_int(version, 1, 1, &number, r->reterr) != 0)
        return -1;
    r->b->mode = MODE_ENFORCE;
    if (mode && read_mode(r, mode, &r->b->mode) != 0)
        return -1;
    return read_unknown(r, yaml_find(top, "unknown_sender"));
}

static int read_top(struct reader *r, const struct yaml_node *top)
{
    const struct yaml_node *sets, *senders;
    if (read_head(r, top) != 0)
        return -1;
    sets = yaml_find(top, "destination_sets");
    senders = need(r, top, "senders");
    if (!senders || (sets && read_sets(r, sets) != 0) || read_senders(r, senders) != 0)
        return -1;
    for (size_t i = 0; i < r->set_count; i++)
        if (!r->sets[i].used)
            return yaml_error_key(r->sets[i].node, r->reterr, "no sender uses the destination set \"%.100s\"",
                                  r->sets[i].node->key);
    return 0;
}

static struct baseline *baseline_new(void)
{
    struct arena arena;
    arena_init(&arena, BASELINE_BYTES);
    struct baseline *b = arena_alloc(&arena, sizeof *b);
    if (b)
        b->arena = arena;
    return b;
}

struct baseline *baseline_parse(struct span text, const char *name, struct err *reterr)
{
    struct reader r = {.b = baseline_new(), .reterr = reterr};
    struct arena tree;
    if (!r.b) {
        err_set(reterr, name, 0, 0, "no memory");
        return NULL;
    }
    arena_init(&tree, TREE_BYTES);
    const struct yaml_node *top = yaml_read(&tree, text, name, reterr);
    bool fine = top && read_top(&r, top) == 0;
    arena_reset(&tree);
    if (fine)
        return r.b;
    baseline_free(r.b);
    return NULL;
}

void baseline_free(struct baseline *b)
{
    if (!b)
        return;
    struct arena arena = b->arena; /* b lives in it */
    arena_reset(&arena);
}
