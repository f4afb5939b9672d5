/* chains.c: `exeat chains list`: which certificates were shown where, since when, how often, to whom. See chains.h. */
#include "cmd/chains.h"

#include "base/hex.h"
#include "base/must.h"
#include "base/rfc3339.h"
#include "cmd/cmd.h"
#include "cmd/place.h"
#include "cmd/terminal.h"
#include "store/kinds.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { SENDERS_SHOWN = 3, SHA256_DIGITS = 2 * STORE_SHA256_BYTES };

static const char list_help[] =
    "usage: exeat chains list [--host HOST[:PORT]] [--class CLASS] [--issuer TEXT] [--since TIME] [--json]\n"
    "                         [--state DIR | --config FILE]\n"
    "\n"
    "Lists the certificate chains that servers showed: where, of which class, since when, how often, to "
    "whom, and "
    "what had changed from the\n"
    "one before at that destination.\n"
    "\n"
    "  -H, --host HOST[:PORT]  of this destination\n"
    "      --class CLASS       public, private_known, private_unknown, self_signed, interceptor_known, ...\n"
    "      --issuer TEXT       whose leaf's issuer holds this text\n"
    "      --since TIME        seen since then: 2026-03-15, or 2026-03-15T12:00:00Z\n"
    "  -j, --json              one JSON object a line\n"
    "  -s, --state DIR         of the proxy with this state folder (default as for exeat run, then "
    "/etc/exeat)\n"
    "  -c, --config FILE       of the proxy with this configuration\n"
    "  -h, --help              this text\n"
    "\n"
    "exit codes: 0 done   1 the history can't be read   2 wrong configuration or usage\n"
    "example: exeat chains list --class private_unknown --json | jq -r .destination\n";

/* ---- arguments ---- */

static bool read_since(const char *text, int64_t *ret_s)
{
    char whole[40];
    snprintf(whole, sizeof whole, strlen(text) == 10 ? "%sT00:00:00Z" : "%.39s", text);
    return rfc3339_parse(span_str(whole), ret_s);
}

int chains_arguments(int argc, char **argv, const char *words, const char *help, struct chains_arguments *ret)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"state", required_argument, NULL, 's'},
                                            {"config", required_argument, NULL, 'c'},
                                            {"host", required_argument, NULL, 'H'},
                                            {"class", required_argument, NULL, 'C'},
                                            {"issuer", required_argument, NULL, 'i'},
                                            {"since", required_argument, NULL, 'S'},
                                            {"pem", required_argument, NULL, 'p'},
                                            {"der", required_argument, NULL, 'd'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    *ret = (struct chains_arguments){.since_s = INT64_MIN};
    const char **const texts[128] = {
        ['s'] = &ret->state,  ['c'] = &ret->config, ['H'] = &ret->host, ['C'] = &ret->class,
        ['i'] = &ret->issuer, ['S'] = &ret->since,  ['p'] = &ret->pem,  ['d'] = &ret->der};
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "js:c:H:h", options, NULL)) != -1;) {
        if (c == 'h')
            return fputs(help, stdout), CMD_OK;
        if (c == '?')
            return cmd_bad_option(words, argc, argv);
        if (c == 'j')
            ret->json = true;
        else
            *texts[c] = optarg;
    }
    if (ret->since && !read_since(ret->since, &ret->since_s))
        return cmd_usage(words, "%s is not a time as 2026-03-15 or 2026-03-15T12:00:00Z", ret->since);
    ret->rest = argv + optind;
    ret->rest_count = argc - optind;
    return -1;
}

/* ---- reading ---- */

struct reading {
    struct chains *chains;
    size_t room;
    bool no_memory;
};

static void clear(struct chains_item *i)
{
    for (size_t n = 0; n < i->sender_count; n++)
        free(i->senders[n].name);
    free(i->senders);
    free(i->destination);
    free(i->source);
    free(i->class);
    free(i->found);
    free(i->sha256s);
}

static void on_chain(void *owner, const struct store_chain *row)
{
    struct reading *r = owner;
    struct chains *c = r->chains;
    if (c->count == r->room) {
        size_t room = 2 * r->room + 64;
        struct chains_item *more = realloc(c->items, room * sizeof *more);
        r->no_memory |= !more;
        if (!more)
            return;
        c->items = more;
        r->room = room;
    }
    struct chains_item i = {.destination = strdup(row->destination),
                            .source = strdup(row->source),
                            .class = strdup(row->class),
                            .found = strdup(row->found),
                            .sha256s = malloc(row->sha256.len ? row->sha256.len : 1),
                            .certificate_count = row->sha256.len / STORE_SHA256_BYTES,
                            .first_s = row->first_s,
                            .last_s = row->last_s,
                            .count = row->count};
    if (!i.destination || !i.source || !i.class || !i.found || !i.sha256s) {
        r->no_memory = true;
        clear(&i);
        return;
    }
    if (row->sha256.len)
        memcpy(i.sha256s, row->sha256.data, row->sha256.len);
    c->items[c->count++] = i;
}

static size_t smaller(const struct chains_item *x, const struct chains_item *y)
{
    return x->certificate_count < y->certificate_count ? x->certificate_count : y->certificate_count;
}

/* Was something else seen there before it? Times are whole seconds, so two may have the same. */
static bool is_change(const struct chains_item *i)
{
    return strstr(i->found, "P14") != NULL;
}

static int by_place(const void *a, const void *b)
{
    const struct chains_item *x = a, *y = b;
    int order = strcmp(x->destination, y->destination);
    if (order == 0 && x->first_s != y->first_s)
        order = x->first_s < y->first_s ? -1 : 1;
    if (order == 0)
        order = (int)is_change(x) - (int)is_change(y);
    if (order == 0 && x->last_s != y->last_s)
        order = x->last_s < y->last_s ? -1 : 1;
    return order ? order : memcmp(x->sha256s, y->sha256s, smaller(x, y) * STORE_SHA256_BYTES);
}

/* The first item of a destination; NULL: there is none. */
static struct chains_item *find_destination(const struct chains *c, struct span name)
{
    size_t from = 0, to = c->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        const char *there = c->items[middle].destination;
        int order = strncmp(there, (const char *)name.data, name.len);
        if (order < 0 || (order == 0 && strlen(there) < name.len))
            from = middle + 1;
        else
            to = middle;
    }
    return from < c->count && span_is(name, c->items[from].destination) ? &c->items[from] : NULL;
}

/* Takes what stands before the next line feed off `rest`. */
static struct span take_line(struct span *rest)
{
    const uint8_t *lf = rest->len ? memchr(rest->data, '\n', rest->len) : NULL;
    struct span line = span_of(rest->data, lf ? (size_t)(lf - rest->data) : rest->len);
    *rest = span_from(*rest, line.len + (lf != NULL));
    return line;
}

static bool has_leaf(const struct chains_item *i, struct span hex)
{
    char digits[SHA256_DIGITS];
    if (i->certificate_count == 0 || hex.len != SHA256_DIGITS)
        return false;
    hex_write(span_of(i->sha256s, STORE_SHA256_BYTES), digits);
    return memcmp(digits, hex.data, SHA256_DIGITS) == 0;
}

/* Whatever is in the database was once sent by somebody: a name without its parts is passed over. */
static void each_of_leaf(struct reading *r, const struct store_sighting *row,
                         void (*take)(struct reading *r, struct chains_item *i,
                                      const struct store_sighting *row, struct span rest))
{
    const struct chains *c = r->chains;
    struct span rest = row->name, destination = take_line(&rest), hex = take_line(&rest);
    struct chains_item *i = destination.len ? find_destination(c, destination) : NULL;
    for (; i && i < c->items + c->count && span_is(destination, i->destination); i++)
        if (has_leaf(i, hex))
            take(r, i, row, rest);
}

/* What memory counted is newer than what was kept of the chain itself. */
static void take_count(struct reading *r, struct chains_item *i, const struct store_sighting *row,
                       struct span rest)
{
    (void)r;
    (void)rest;
    i->count = row->count;
    i->last_s = row->last_s > i->last_s ? row->last_s : i->last_s;
}

static void take_sender(struct reading *r, struct chains_item *i, const struct store_sighting *row,
                        struct span rest)
{
    struct chains_sender *more = realloc(i->senders, (i->sender_count + 1) * sizeof *more);
    char *name = strndup(rest.len ? (const char *)rest.data : "", rest.len);
    if (more)
        i->senders = more;
    if (!more || !name) {
        r->no_memory = true;
        free(name);
        return;
    }
    more[i->sender_count++] = (struct chains_sender){
        .name = name, .first_s = row->first_s, .last_s = row->last_s, .count = row->count};
}

static void on_count(void *owner, const struct store_sighting *row)
{
    each_of_leaf(owner, row, take_count);
}

static void on_sender(void *owner, const struct store_sighting *row)
{
    each_of_leaf(owner, row, take_sender);
}

/* ---- what changed ---- */

struct chain *chains_load(const struct chains *c, const struct chains_item *item)
{
    struct span ders[STORE_CHAIN_MAX] = {{0}};
    struct buf copies[STORE_CHAIN_MAX];
    struct err err = {0};
    size_t count = item->certificate_count < STORE_CHAIN_MAX ? item->certificate_count : STORE_CHAIN_MAX;
    for (size_t i = 0; i < count; i++) {
        struct store_certificate found = {0};
        buf_init(&copies[i], STORE_DER_MAX_BYTES);
        if (store_find_certificate(c->store, item->sha256s + i * STORE_SHA256_BYTES, &found))
            buf_append(&copies[i], found.der.data, found.der.len);
        ders[i] = buf_span(&copies[i]);
    }
    struct chain *chain = chain_parse_der(ders, count, &err);
    for (size_t i = 0; i < count; i++)
        buf_free(&copies[i]);
    return chain;
}

static const struct chain_certificate *leaf_of(const struct chain *c)
{
    const struct chain_certificate *leaf = c && chain_count(c) ? chain_certificate_at(c, 0) : NULL;
    return leaf && !leaf->malformed ? leaf : NULL;
}

static void compare(struct chains_item *i, const struct chains_item *before, const struct chain *chain,
                    const struct chain *earlier)
{
    const struct chain_certificate *now = leaf_of(chain), *then = leaf_of(earlier);
    i->changed_class = strcmp(i->class, before->class) != 0;
    i->changed_issuer = now && then && strcmp(now->issuer, then->issuer) != 0;
    i->changed_key = now && then && strcmp(now->key_sha256, then->key_sha256) != 0;
}

static void find_changes(struct chains *c)
{
    struct chain *earlier = NULL;
    for (size_t n = 0; n < c->count; n++) {
        struct chains_item *i = &c->items[n];
        i->first = n == 0 || strcmp(i->destination, c->items[n - 1].destination) != 0;
        bool compared = !i->first || (n + 1 < c->count && strcmp(i->destination, i[1].destination) == 0);
        struct chain *chain = compared ? chains_load(c, i) : NULL;
        if (!i->first)
            compare(i, i - 1, chain, earlier);
        chain_free(earlier);
        earlier = chain;
    }
    chain_free(earlier);
}

int chains_read(const struct chains_arguments *a, struct chains *ret, struct err *reterr)
{
    char path[PLACE_PATH_BYTES];
    struct reading r = {.chains = ret};
    *ret = (struct chains){0};
    struct conf *conf = conf_load(place_config(a->config, a->state, path), reterr);
    if (!conf)
        return CMD_USAGE;
    ret->store = store_open_to_read(conf->history.database, reterr);
    int result = ret->store ? store_each_chain(ret->store, NULL, on_chain, &r) : -1;
    if (result == 0 && ret->count > 0)
        qsort(ret->items, ret->count, sizeof *ret->items, by_place);
    if (result == 0)
        result = store_each_sighting(ret->store, STORE_KIND_CHAIN, on_count, &r);
    if (result == 0)
        result = store_each_sighting(ret->store, STORE_KIND_CHAIN_SENDER, on_sender, &r);
    if (ret->store && (result != 0 || r.no_memory))
        err_set(reterr, conf->history.database, 0, 0, "not all chains can be read");
    conf_free(conf);
    if (result != 0 || r.no_memory) {
        chains_free(ret);
        return CMD_FAILED;
    }
    find_changes(ret);
    return CMD_OK;
}

void chains_free(struct chains *c)
{
    for (size_t i = 0; i < c->count; i++)
        clear(&c->items[i]);
    free(c->items);
    store_close(c->store, 0);
    *c = (struct chains){0};
}

bool chains_is_at(const struct chains_item *item, const char *host)
{
    size_t len = strlen(host);
    const char *colon = strrchr(item->destination, ':');
    return strcasecmp(item->destination, host) == 0 || (colon && (size_t)(colon - item->destination) == len &&
                                                        strncasecmp(item->destination, host, len) == 0);
}

/* ---- writing ---- */

static void write_senders(struct json *j, const struct chains_item *item)
{
    char time[RFC3339_TEXT_BYTES];
    json_array(j, "senders");
    for (size_t i = 0; i < item->sender_count; i++) {
        json_object(j, NULL);
        json_str(j, "sender", item->senders[i].name);
        json_int(j, "count", (int64_t)item->senders[i].count);
        json_str(j, "first", rfc3339_format(item->senders[i].first_s, time));
        json_str(j, "last", rfc3339_format(item->senders[i].last_s, time));
        json_end_object(j);
    }
    json_end_array(j);
}

static void write_found(struct json *j, const char *found)
{
    json_array(j, "found");
    for (size_t len; *found; found += len + (found[len] == ' ')) {
        len = strcspn(found, " ");
        if (len)
            json_span(j, NULL, span_of(found, len));
    }
    json_end_array(j);
}

static void write_changed(struct json *j, const struct chains_item *i)
{
    json_array(j, "changed");
    if (i->changed_class)
        json_str(j, NULL, "class");
    if (i->changed_issuer)
        json_str(j, NULL, "issuer");
    if (i->changed_key)
        json_str(j, NULL, "key");
    json_end_array(j);
}

void chains_write(struct json *j, const struct chains_item *item, const struct chain *chain)
{
    char time[RFC3339_TEXT_BYTES];
    const struct chain_certificate *leaf = leaf_of(chain);
    json_str(j, "destination", item->destination);
    json_str(j, "class", item->class);
    json_str(j, "source", item->source);
    write_found(j, item->found);
    json_int(j, "count", (int64_t)item->count);
    json_str(j, "first", rfc3339_format(item->first_s, time));
    json_str(j, "last", rfc3339_format(item->last_s, time));
    json_str(j, "subject", leaf ? leaf->subject : NULL);
    json_str(j, "issuer", leaf ? leaf->issuer : NULL);
    json_array(j, "sha256");
    for (size_t i = 0; i < item->certificate_count; i++) {
        char digits[SHA256_DIGITS];
        hex_write(span_of(item->sha256s + i * STORE_SHA256_BYTES, STORE_SHA256_BYTES), digits);
        json_span(j, NULL, span_of(digits, sizeof digits));
    }
    json_end_array(j);
    write_changed(j, item);
    write_senders(j, item);
}

static void print_senders(const struct chains_item *item)
{
    fputs("    to ", stdout);
    for (size_t i = 0; i < item->sender_count && i < SENDERS_SHOWN; i++) {
        fputs(i ? ", " : "", stdout);
        terminal_print(stdout, item->senders[i].name);
    }
    if (item->sender_count > SENDERS_SHOWN)
        printf(", and %zu more", item->sender_count - SENDERS_SHOWN);
    puts(item->sender_count ? "" : "senders that are not kept any more");
}

void chains_print(const struct chains_item *item, const struct chain *chain)
{
    char first[RFC3339_TEXT_BYTES], last[RFC3339_TEXT_BYTES], digits[SHA256_DIGITS + 1] = "";
    const struct chain_certificate *leaf = leaf_of(chain);
    if (item->certificate_count)
        hex_write(span_of(item->sha256s, STORE_SHA256_BYTES), digits);
    terminal_print(stdout, item->destination);
    printf("  %s%s%s", item->class, item->found[0] ? "  " : "", item->found);
    printf("  %" PRIu64 "x, %s to %s, %s\n    ", item->count, rfc3339_format(item->first_s, first),
           rfc3339_format(item->last_s, last), item->source);
    terminal_print(stdout,
                   leaf ? leaf->subject : "a certificate that cannot be read or is not kept any more");
    printf("  %.16s\n", digits);
    if (leaf) {
        fputs("    by ", stdout);
        terminal_print(stdout, leaf->issuer);
        putchar('\n');
    }
    print_senders(item);
    if (item->changed_class || item->changed_issuer || item->changed_key)
        printf("    changed from the one before:%s%s%s\n", item->changed_class ? " class" : "",
               item->changed_issuer ? " issuer" : "", item->changed_key ? " key" : "");
}

/* ---- list ---- */

static bool is_wanted(const struct chains_arguments *a, const struct chains_item *i,
                      const struct chain *chain)
{
    const struct chain_certificate *leaf = leaf_of(chain);
    return (!a->host || chains_is_at(i, a->host)) && (!a->class || strcmp(a->class, i->class) == 0) &&
           i->last_s >= a->since_s && (!a->issuer || (leaf && strcasestr(leaf->issuer, a->issuer)));
}

static int list_one(const struct chains_item *i, const struct chain *chain, bool as_json)
{
    struct buf text;
    struct json j;
    if (!as_json)
        return chains_print(i, chain), 0;
    buf_init(&text, CHAINS_OUTPUT_BYTES_MAX);
    json_init(&j, &text);
    json_object(&j, NULL);
    chains_write(&j, i, chain);
    json_end_object(&j);
    int result = text.failed ? -1 : printf("%.*s\n", (int)buf_len(&text), (const char *)buf_span(&text).data);
    buf_free(&text);
    return result < 0 ? -1 : 0;
}

int cmd_chains_list(int argc, char **argv)
{
    struct chains_arguments a;
    struct chains all;
    struct err err = {0};
    int code = chains_arguments(argc, argv, "chains list", list_help, &a);
    if (code >= 0)
        return code;
    if (a.rest_count > 0 || a.pem || a.der)
        return cmd_usage("chains list", "unexpected: %s", a.rest_count > 0 ? a.rest[0] : "--pem or --der");
    code = chains_read(&a, &all, &err);
    if (code != CMD_OK)
        return cmd_fail(&err, code);
    for (size_t i = 0; i < all.count; i++) {
        if (a.host && !chains_is_at(&all.items[i], a.host))
            continue;
        struct chain *chain = chains_load(&all, &all.items[i]);
        if (is_wanted(&a, &all.items[i], chain) && list_one(&all.items[i], chain, a.json) != 0)
            code = CMD_FAILED;
        chain_free(chain);
    }
    chains_free(&all);
    return code;
}
