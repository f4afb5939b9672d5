/* option.c: options.def at run time: one row an option, one reader and one writer a type. See option.h. Called by conf.c,
 * show.c; touches the conf's arena only. */
#include "conf/option.h"

#include "base/json.h"
#include "base/must.h"

/* The field that a type makes of an option's name. */
#define MEMBER_BOOL(n)               n
#define MEMBER_INT(n)                n
#define MEMBER_DURATION(n)           n##_ms
#define MEMBER_SIZE(n)               n##_bytes
#define MEMBER_STRING(n)             n
#define MEMBER_PATH(n)               n
#define MEMBER_ENDPOINTS(n)          n
#define MEMBER_SERVERS(n)            n
#define MEMBER_NETWORKS(n)           n
#define MEMBER_PORTS(n)              n
#define MEMBER_PATHS(n)              n
#define MEMBER_UNAVAILABLE(n)        n
#define MEMBER_SNI_MISMATCH(n)       n
#define MEMBER_HANDLING(n)           n
#define MEMBER_CHAIN(n)              n
#define MEMBER_LEVEL(n)              n
#define MEMBER_BAD_CHAIN(n)          n
#define MEMBER_CLIENT_CERTIFICATE(n) n
#define MEMBER_ON_REVOKE(n)          n
#define MEMBER_FULL(n)               n
#define MEMBER_LOG_LEVEL(n)          n

enum { RELOAD, RESTART };

const struct option option_table[] = {
#define SECTION(name, doc)
#define OPTION(section, name, type, preset, min, max, apply, reader, doc)                                    \
    {#section,                                                                                               \
     #name,                                                                                                  \
     CONF_TYPE_##type,                                                                                       \
     offsetof(struct conf, section.MEMBER_##type(name)),                                                     \
     preset,                                                                                                 \
     min,                                                                                                    \
     max,                                                                                                    \
     (apply) == RESTART,                                                                                     \
     doc},
#define SECTION_END(name)
#include "conf/options.def"
#undef SECTION
#undef OPTION
#undef SECTION_END
};
const size_t option_count = ARRAY_LEN(option_table);

const struct option_section option_sections[] = {
#define SECTION(name, doc) {#name, doc},
#define OPTION(section, name, type, preset, min, max, apply, reader, doc)
#define SECTION_END(name)
#include "conf/options.def"
#undef SECTION
#undef OPTION
#undef SECTION_END
};
const size_t option_section_count = ARRAY_LEN(option_sections);

/* ---- texts ---- */

static void *field_of(const struct option *o, struct conf *conf)
{
    return (char *)conf + o->offset;
}

static const void *field_in(const struct option *o, const struct conf *conf)
{
    return (const char *)conf + o->offset;
}

static int fail_memory(const struct yaml_node *n, struct err *reterr)
{
    return yaml_error(n, reterr, "the configuration is too large");
}

void option_quote(const char *text, struct buf *out)
{
    struct json j;
    json_init(&j, out);
    json_str(&j, NULL, text);
}

const char *conf_join_path(struct conf *conf, const char *path)
{
    if (path[0] == '/')
        return arena_strdup(conf->arena, path);
    size_t folder_len = strlen(conf->folder), len = folder_len + 1 + strlen(path) + 1;
    char *joined = arena_alloc(conf->arena, len);
    if (!joined)
        return NULL;
    memcpy(joined, conf->folder, folder_len);
    joined[folder_len] = '/';
    memcpy(joined + folder_len + 1, path, len - folder_len - 1);
    return joined;
}

static int get_text(const struct option *o, const struct yaml_node *n, const char **ret, struct err *reterr)
{
    const char *text;
    if (yaml_get_string(n, &text, reterr) != 0)
        return -1;
    size_t most = o->max > 0 ? (size_t)o->max : 1024;
    bool printable = true;
    for (const char *p = text; *p; p++)
        printable = printable && (unsigned char)*p >= 0x20 && *p != 0x7f;
    if (printable && n->len <= most) {
        *ret = text;
        return 0;
    }
    if (!printable)
        yaml_error(n, reterr, "a control character in a text");
    else
        yaml_error(n, reterr, "at most %zu characters are expected here", most);
    return -1;
}

static int read_text(const struct option *o, const struct yaml_node *n, struct conf *conf, struct err *reterr)
{
    const char *text = NULL, **field = field_of(o, conf);
    if (yaml_is_null(n) && o->min == 0) {
        *field = NULL;
        return 0;
    }
    if (get_text(o, n, &text, reterr) != 0)
        return -1;
    const char *kept =
        o->type == CONF_TYPE_PATH ? conf_join_path(conf, text) : arena_strdup(conf->arena, text);
    if (!kept)
        return fail_memory(n, reterr);
    *field = kept;
    return 0;
}

static void show_text(const struct option *o, const struct conf *conf, struct buf *out)
{
    const char *const *field = field_in(o, conf);
    if (*field)
        option_quote(*field, out);
    else
        buf_append_str(out, "null");
}

/* ---- numbers ---- */

struct unit {
    const char *name;
    int64_t factor;
};

/* Ascending, so that the writer finds the largest that fits from the end. */
static const struct unit time_units[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
static const struct unit size_units[] = {{"B", 1}, {"KiB", 1024}, {"MiB", 1048576}, {"GiB", 1073741824}};

static const struct unit *units_of(enum conf_type type, size_t *ret_count)
{
    *ret_count = type == CONF_TYPE_DURATION ? ARRAY_LEN(time_units) : ARRAY_LEN(size_units);
    return type == CONF_TYPE_DURATION ? time_units : size_units;
}

/* "10s" -> 10000. At most nine digits, so that nothing overflows. */
static bool parse_quantity(const char *text, const struct unit *units, size_t count, int64_t *ret)
{
    size_t digits = strspn(text, "0123456789");
    int64_t value = 0;
    if (digits == 0 || digits > 9 || (text[0] == '0' && digits > 1))
        return false;
    for (size_t i = 0; i < digits; i++)
        value = value * 10 + (text[i] - '0');
    for (size_t i = 0; i < count; i++) {
        if (strcmp(text + digits, units[i].name) == 0) {
            *ret = value * units[i].factor;
            return true;
        }
    }
    return false;
}

static void append_quantity(enum conf_type type, int64_t value, struct buf *out)
{
    size_t count;
    const struct unit *units = units_of(type, &count);
    size_t i = count - 1;
    while (i > 0 && (value == 0 || value % units[i].factor != 0))
        i--;
    buf_printf(out, "%lld%s", (long long)(value / units[i].factor), units[i].name);
}

static int read_quantity(const struct option *o, const struct yaml_node *n, struct conf *conf,
                         struct err *reterr)
{
    size_t count;
    const struct unit *units = units_of(o->type, &count);
    int64_t value = 0;
    bool fine = n->kind == YAML_SCALAR && !n->quoted && parse_quantity(n->text, units, count, &value);
    if (!fine || value < o->min || value > o->max) {
        struct buf text;
        buf_init(&text, 256);
        buf_append_str(&text, o->type == CONF_TYPE_DURATION ? "a time with its unit from "
                                                            : "a size with its unit from ");
        append_quantity(o->type, o->min, &text);
        buf_append_str(&text, " to ");
        append_quantity(o->type, o->max, &text);
        yaml_error(n, reterr, "%.*s is expected here", (int)buf_len(&text),
                   (const char *)buf_span(&text).data);
        buf_free(&text);
        return -1;
    }
    if (o->type == CONF_TYPE_SIZE)
        *(size_t *)field_of(o, conf) = (size_t)value;
    else
        *(int64_t *)field_of(o, conf) = value;
    return 0;
}

static void show_quantity(const struct option *o, const struct conf *conf, struct buf *out)
{
    const void *field = field_in(o, conf);
    append_quantity(o->type,
                    o->type == CONF_TYPE_SIZE ? (int64_t) * (const size_t *)field : *(const int64_t *)field,
                    out);
}

static int read_int(const struct option *o, const struct yaml_node *n, struct conf *conf, struct err *reterr)
{
    return yaml_get_int(n, o->min, o->max, field_of(o, conf), reterr);
}

static void show_int(const struct option *o, const struct conf *conf, struct buf *out)
{
    buf_printf(out, "%lld", (long long)*(const int64_t *)field_in(o, conf));
}

static int read_bool(const struct option *o, const struct yaml_node *n, struct conf *conf, struct err *reterr)
{
    return yaml_get_bool(n, field_of(o, conf), reterr);
}

static void show_bool(const struct option *o, const struct conf *conf, struct buf *out)
{
    buf_append_str(out, *(const bool *)field_in(o, conf) ? "true" : "false");
}

/* ---- words ---- */

#define X(id, word) word,
static const char *const unavailable_words[] = {CONF_UNAVAILABLE_VALUES(X)};
static const char *const sni_mismatch_words[] = {CONF_SNI_MISMATCH_VALUES(X)};
static const char *const handling_words[] = {CONF_HANDLING_VALUES(X)};
static const char *const chain_words[] = {CONF_CHAIN_VALUES(X)};
static const char *const level_words[] = {CONF_LEVEL_VALUES(X)};
static const char *const bad_chain_words[] = {CONF_BAD_CHAIN_VALUES(X)};
static const char *const client_certificate_words[] = {CONF_CLIENT_CERTIFICATE_VALUES(X)};
static const char *const on_revoke_words[] = {CONF_ON_REVOKE_VALUES(X)};
static const char *const full_words[] = {CONF_FULL_VALUES(X)};
static const char *const log_level_words[] = {CONF_LOG_LEVEL_VALUES(X)};
#undef X

const char *const *option_words(enum conf_type type, size_t *ret_count)
{
    static const struct {
        const char *const *words;
        size_t count;
    } all[CONF_TYPE_COUNT] = {
        [CONF_TYPE_UNAVAILABLE] = {unavailable_words, ARRAY_LEN(unavailable_words)},
        [CONF_TYPE_SNI_MISMATCH] = {sni_mismatch_words, ARRAY_LEN(sni_mismatch_words)},
        [CONF_TYPE_HANDLING] = {handling_words, ARRAY_LEN(handling_words)},
        [CONF_TYPE_CHAIN] = {chain_words, ARRAY_LEN(chain_words)},
        [CONF_TYPE_LEVEL] = {level_words, ARRAY_LEN(level_words)},
        [CONF_TYPE_BAD_CHAIN] = {bad_chain_words, ARRAY_LEN(bad_chain_words)},
        [CONF_TYPE_CLIENT_CERTIFICATE] = {client_certificate_words, ARRAY_LEN(client_certificate_words)},
        [CONF_TYPE_ON_REVOKE] = {on_revoke_words, ARRAY_LEN(on_revoke_words)},
        [CONF_TYPE_FULL] = {full_words, ARRAY_LEN(full_words)},
        [CONF_TYPE_LOG_LEVEL] = {log_level_words, ARRAY_LEN(log_level_words)},
    };
    *ret_count = all[type].count;
    return all[type].words;
}

_Static_assert(sizeof(enum conf_unavailable) == sizeof(int) && sizeof(enum log_level) == sizeof(int),
               "enum fields are written as int");

static int read_word(const struct option *o, const struct yaml_node *n, struct conf *conf, struct err *reterr)
{
    size_t count, which = 0;
    const char *const *words = option_words(o->type, &count);
    if (yaml_get_enum(n, words, count, &which, reterr) != 0)
        return -1;
    int value = (int)which;
    memcpy(field_of(o, conf), &value, sizeof value);
    return 0;
}

static void show_word(const struct option *o, const struct conf *conf, struct buf *out)
{
    size_t count;
    int value;
    const char *const *words = option_words(o->type, &count);
    memcpy(&value, field_in(o, conf), sizeof value);
    buf_append_str(out, words[value]);
}

/* ---- lists ---- */

struct item_type {
    size_t size;                                /* of an item, bytes */
    bool (*parse)(const char *text, void *ret); /* *ret untouched on failure */
    bool (*equal)(const void *a, const void *b);
    void (*show)(const void *item, struct buf *out);
    const char *wanted;
};

static bool parse_endpoint(const char *text, void *ret)
{
    return endpoint_parse(span_str(text), ret);
}

static bool parse_server(const char *text, void *ret)
{
    struct ip ip;
    if (!ip_parse(span_str(text), &ip))
        return endpoint_parse(span_str(text), ret);
    *(struct endpoint *)ret = (struct endpoint){.ip = ip, .port = 53};
    return true;
}

static bool endpoints_equal(const void *a, const void *b)
{
    const struct endpoint *x = a, *y = b;
    return x->port == y->port && ip_equal(&x->ip, &y->ip);
}

static void show_endpoint(const void *item, struct buf *out)
{
    char text[ENDPOINT_TEXT_BYTES];
    buf_printf(out, "\"%s\"", endpoint_format(item, text));
}

static bool parse_network(const char *text, void *ret)
{
    return ip_network_parse(span_str(text), ret);
}

static bool networks_equal(const void *a, const void *b)
{
    const struct ip_network *x = a, *y = b;
    return x->prefix == y->prefix && ip_equal(&x->ip, &y->ip);
}

static void show_network(const void *item, struct buf *out)
{
    const struct ip_network *net = item;
    char text[IP_TEXT_BYTES];
    buf_printf(out, "\"%s/%u\"", ip_format(&net->ip, text), net->prefix);
}

static bool parse_port(const char *text, void *ret)
{
    size_t len = strlen(text);
    unsigned value = 0;
    if (len == 0 || len > 5 || text[0] == '0' || strspn(text, "0123456789") != len)
        return false;
    for (; *text; text++)
        value = value * 10 + (unsigned)(*text - '0');
    if (value > 65535)
        return false;
    *(uint16_t *)ret = (uint16_t)value;
    return true;
}

static bool ports_equal(const void *a, const void *b)
{
    return *(const uint16_t *)a == *(const uint16_t *)b;
}

static void show_port(const void *item, struct buf *out)
{
    buf_printf(out, "%u", *(const uint16_t *)item);
}

/* As it is written; read_list() joins it to the folder. */
static bool parse_path(const char *text, void *ret)
{
    *(const char **)ret = text;
    return strlen(text) < 4096;
}

static bool paths_equal(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b) == 0;
}

static void show_path(const void *item, struct buf *out)
{
    option_quote(*(const char *const *)item, out);
}

static const struct item_type item_types[CONF_TYPE_COUNT] = {
    [CONF_TYPE_ENDPOINTS] = {sizeof(struct endpoint), parse_endpoint, endpoints_equal, show_endpoint,
                             "an address with its port, as 127.0.0.1:3128 or \"[::1]:3128\""},
    [CONF_TYPE_SERVERS] = {sizeof(struct endpoint), parse_server, endpoints_equal, show_endpoint,
                           "an address, as 192.0.2.1 or \"[2001:db8::1]:53\""},
    [CONF_TYPE_NETWORKS] = {sizeof(struct ip_network), parse_network, networks_equal, show_network,
                            "a network with nothing behind its prefix, as 192.0.2.0/24 or \"2001:db8::/32\""},
    [CONF_TYPE_PORTS] = {sizeof(uint16_t), parse_port, ports_equal, show_port, "a port from 1 to 65535"},
    [CONF_TYPE_PATHS] = {sizeof(const char *), parse_path, paths_equal, show_path, "a path"},
};

/* Every list type has these two members, in this order. */
struct any_list {
    char *items;
    size_t count;
};
_Static_assert(sizeof(struct any_list) == sizeof(struct conf_endpoints) &&
                   offsetof(struct conf_endpoints, count) == offsetof(struct any_list, count) &&
                   offsetof(struct conf_networks, count) == offsetof(struct any_list, count) &&
                   offsetof(struct conf_ports, count) == offsetof(struct any_list, count) &&
                   offsetof(struct conf_paths, count) == offsetof(struct any_list, count),
               "lists are read through struct any_list");

static int add_item(const struct item_type *type, const struct yaml_node *n, struct any_list *list,
                    struct err *reterr)
{
    char *at = list->items + list->count * type->size;
    const char *text;
    if (yaml_get_string(n, &text, reterr) != 0)
        return -1;
    if (!type->parse(text, at))
        return yaml_error(n, reterr, "%s is expected here", type->wanted);
    for (size_t i = 0; i < list->count; i++)
        if (type->equal(list->items + i * type->size, at))
            return yaml_error(n, reterr, "%.64s is given twice", text);
    list->count++;
    return 0;
}

static int read_list(const struct option *o, const struct yaml_node *n, struct conf *conf, struct err *reterr)
{
    const struct item_type *type = &item_types[o->type];
    if (yaml_want(n, YAML_SEQUENCE, reterr) != 0)
        return -1;
    if ((int64_t)n->count < o->min || (int64_t)n->count > o->max)
        return yaml_error(n, reterr, "%lld to %lld items are expected here", (long long)o->min,
                          (long long)o->max);
    struct any_list list = {.items = arena_alloc(conf->arena, n->count * type->size + 1)};
    if (!list.items)
        return fail_memory(n, reterr);
    for (YAML_EACH(item, n))
        if (add_item(type, item, &list, reterr) != 0)
            return -1;
    const char **paths = (const char **)(void *)list.items;
    for (size_t i = 0; o->type == CONF_TYPE_PATHS && i < list.count; i++) {
        paths[i] = conf_join_path(conf, paths[i]);
        if (!paths[i])
            return fail_memory(n, reterr);
    }
    memcpy(field_of(o, conf), &list, sizeof list);
    return 0;
}

static void show_list(const struct option *o, const struct conf *conf, struct buf *out)
{
    const struct item_type *type = &item_types[o->type];
    struct any_list list;
    memcpy(&list, field_in(o, conf), sizeof list);
    buf_append_str(out, "[");
    for (size_t i = 0; i < list.count; i++) {
        buf_append_str(out, i ? ", " : "");
        type->show(list.items + i * type->size, out);
    }
    buf_append_str(out, "]");
}

/* ---- types ---- */

static const struct {
    int (*read)(const struct option *, const struct yaml_node *, struct conf *, struct err *);
    void (*show)(const struct option *, const struct conf *, struct buf *);
} types[CONF_TYPE_COUNT] = {
    [CONF_TYPE_BOOL] = {read_bool, show_bool},
    [CONF_TYPE_INT] = {read_int, show_int},
    [CONF_TYPE_DURATION] = {read_quantity, show_quantity},
    [CONF_TYPE_SIZE] = {read_quantity, show_quantity},
    [CONF_TYPE_STRING] = {read_text, show_text},
    [CONF_TYPE_PATH] = {read_text, show_text},
    [CONF_TYPE_ENDPOINTS] = {read_list, show_list},
    [CONF_TYPE_SERVERS] = {read_list, show_list},
    [CONF_TYPE_NETWORKS] = {read_list, show_list},
    [CONF_TYPE_PORTS] = {read_list, show_list},
    [CONF_TYPE_PATHS] = {read_list, show_list},
    [CONF_TYPE_UNAVAILABLE] = {read_word, show_word},
    [CONF_TYPE_SNI_MISMATCH] = {read_word, show_word},
    [CONF_TYPE_HANDLING] = {read_word, show_word},
    [CONF_TYPE_CHAIN] = {read_word, show_word},
    [CONF_TYPE_LEVEL] = {read_word, show_word},
    [CONF_TYPE_BAD_CHAIN] = {read_word, show_word},
    [CONF_TYPE_CLIENT_CERTIFICATE] = {read_word, show_word},
    [CONF_TYPE_ON_REVOKE] = {read_word, show_word},
    [CONF_TYPE_FULL] = {read_word, show_word},
    [CONF_TYPE_LOG_LEVEL] = {read_word, show_word},
};

int option_read(const struct option *o, const struct yaml_node *n, struct conf *conf, struct err *reterr)
{
    return types[o->type].read(o, n, conf, reterr);
}

void option_show(const struct option *o, const struct conf *conf, struct buf *out)
{
    types[o->type].show(o, conf, out);
}

void option_describe(const struct option *o, struct buf *out)
{
    static const char *const texts[] = {
#define X(id, text) text,
        CONF_TYPES(X)
#undef X
    };
    size_t count;
    const char *const *words = option_words(o->type, &count);
    buf_append_str(out, texts[o->type]);
    for (size_t i = 0; i < count; i++)
        buf_printf(out, "%s%s", i == 0 ? "" : i + 1 == count ? " or " : ", ", words[i]);
    if (o->type == CONF_TYPE_INT)
        buf_printf(out, " from %lld to %lld", (long long)o->min, (long long)o->max);
    if (o->type == CONF_TYPE_DURATION || o->type == CONF_TYPE_SIZE) {
        buf_append_str(out, ", from ");
        append_quantity(o->type, o->min, out);
        buf_append_str(out, " to ");
        append_quantity(o->type, o->max, out);
    }
}
