/* parents.c: the list `parents`: which destinations are reached through which other proxy. Called by conf.c, and by flow/ for
 * each destination. Touches the conf's arena, and at the load the password files. */
#include "base/must.h"
#include "conf/file.h"
#include "conf/option.h"

enum { PARENTS_MAX = 64, MATCHES_MAX = 1024, PROXIES_MAX = 16, PASSWORD_BYTES = 1024 };

static void *take(struct conf *conf, const struct yaml_node *n, size_t bytes, struct err *reterr)
{
    void *p = arena_alloc(conf->arena, bytes + 1);
    if (!p)
        yaml_error(n, reterr, "the configuration is too large");
    return p;
}

static int want_items(const struct yaml_node *n, size_t most, struct err *reterr)
{
    if (yaml_want(n, YAML_SEQUENCE, reterr) != 0)
        return -1;
    if (n->count == 0 || n->count > most)
        return yaml_error(n, reterr, "1 to %zu items are expected here", most);
    return 0;
}

static int read_destination(const struct yaml_node *n, struct conf *conf, struct conf_destination *ret,
                            struct err *reterr)
{
    const char *text;
    struct host host;
    if (yaml_get_string(n, &text, reterr) != 0)
        return -1;
    if (strcmp(text, "any") == 0) {
        ret->kind = CONF_ANY;
        return 0;
    }
    if (ip_network_parse(span_str(text), &ret->network)) {
        ret->kind = CONF_NETWORK;
        return 0;
    }
    enum host_fault fault = host_canonical(span_str(text), &host);
    if (fault != HOST_OK)
        return yaml_error(n, reterr, "any, a domain or a network is expected here: %s",
                          host_fault_text(fault));
    ret->kind = CONF_DOMAIN;
    ret->domain = arena_strdup(conf->arena, host.name);
    return ret->domain ? 0 : yaml_error(n, reterr, "the configuration is too large");
}

static int read_matches(const struct yaml_node *n, struct conf *conf, struct conf_parent *p,
                        struct err *reterr)
{
    if (want_items(n, MATCHES_MAX, reterr) != 0)
        return -1;
    p->match = take(conf, n, n->count * sizeof *p->match, reterr);
    if (!p->match)
        return -1;
    for (YAML_EACH(item, n)) {
        if (read_destination(item, conf, &p->match[p->match_count], reterr) != 0)
            return -1;
        p->match_count++;
    }
    return 0;
}

static int read_proxies(const struct yaml_node *n, struct conf *conf, struct conf_parent *p,
                        struct err *reterr)
{
    if (want_items(n, PROXIES_MAX, reterr) != 0)
        return -1;
    p->proxies = take(conf, n, n->count * sizeof *p->proxies, reterr);
    if (!p->proxies)
        return -1;
    for (YAML_EACH(item, n)) {
        struct conf_proxy *proxy = &p->proxies[p->proxy_count];
        const char *text;
        if (yaml_get_string(item, &text, reterr) != 0)
            return -1;
        enum host_fault fault = host_port_parse(span_str(text), 0, &proxy->host, &proxy->port, NULL);
        if (fault != HOST_OK)
            return yaml_error(item, reterr, "a proxy is host:port: %s", host_fault_text(fault));
        p->proxy_count++;
    }
    return 0;
}

static int read_credentials(const struct yaml_node *n, struct conf *conf, struct conf_parent *p,
                            struct err *reterr)
{
    const struct yaml_node *user = yaml_find(n, "user"), *file = yaml_find(n, "password_file");
    const char *user_text, *file_text;
    if (!user && !file)
        return 0;
    if (!user || !file)
        return yaml_error(n, reterr, "user and password_file go together");
    if (yaml_get_string(user, &user_text, reterr) != 0 || yaml_get_string(file, &file_text, reterr) != 0)
        return -1;
    if (strchr(user_text, ':') || user->len > 255)
        return yaml_error(user, reterr, "a user's name has no colon and at most 255 characters");
    p->user = arena_strdup(conf->arena, user_text);
    p->password_file = conf_join_path(conf, file_text);
    return p->user && p->password_file ? 0 : yaml_error(n, reterr, "the configuration is too large");
}

static int read_parent(const struct yaml_node *n, struct conf *conf, struct conf_parent *p,
                       struct err *reterr)
{
    static const char *const keys[] = {"match", "proxies", "direct", "user", "password_file"};
    if (yaml_check_keys(n, keys, ARRAY_LEN(keys), reterr) != 0)
        return -1;
    const struct yaml_node *match = yaml_find(n, "match"), *proxies = yaml_find(n, "proxies"),
                           *direct = yaml_find(n, "direct");
    bool is_direct = false;
    p->line = n->line;
    if (!match)
        return yaml_error(n, reterr, "match is missing here");
    if (direct && yaml_get_bool(direct, &is_direct, reterr) != 0)
        return -1;
    if (is_direct == (proxies != NULL))
        return yaml_error(n, reterr, "either proxies or direct: true is expected here");
    if (read_matches(match, conf, p, reterr) != 0 ||
        (proxies && read_proxies(proxies, conf, p, reterr) != 0) || read_credentials(n, conf, p, reterr) != 0)
        return -1;
    return p->user && is_direct ? yaml_error(n, reterr, "direct connections have no credentials") : 0;
}

static bool has_any(const struct conf_parent *p)
{
    for (size_t i = 0; i < p->match_count; i++)
        if (p->match[i].kind == CONF_ANY)
            return true;
    return false;
}

int parents_read(const struct yaml_node *n, struct conf *conf, struct err *reterr)
{
    if (yaml_is_null(n))
        return 0;
    if (yaml_want(n, YAML_SEQUENCE, reterr) != 0)
        return -1;
    if (n->count > PARENTS_MAX)
        return yaml_error(n, reterr, "at most %d items are expected here", PARENTS_MAX);
    conf->parents = take(conf, n, n->count * sizeof *conf->parents, reterr);
    if (!conf->parents)
        return -1;
    for (YAML_EACH(item, n)) {
        if (conf->parent_count > 0 && has_any(&conf->parents[conf->parent_count - 1]))
            return yaml_error(item, reterr, "never counts: line %u already matches any destination",
                              conf->parents[conf->parent_count - 1].line);
        if (read_parent(item, conf, &conf->parents[conf->parent_count], reterr) != 0)
            return -1;
        conf->parent_count++;
    }
    return 0;
}

static void show_destination(const struct conf_destination *d, struct buf *out)
{
    char text[IP_TEXT_BYTES];
    if (d->kind == CONF_ANY)
        buf_append_str(out, "any");
    else if (d->kind == CONF_DOMAIN)
        option_quote(d->domain, out);
    else
        buf_printf(out, "\"%s/%u\"", ip_format(&d->network.ip, text), d->network.prefix);
}

static void show_parent(const struct conf_parent *p, struct buf *out)
{
    buf_append_str(out, "  - match: [");
    for (size_t i = 0; i < p->match_count; i++) {
        buf_append_str(out, i ? ", " : "");
        show_destination(&p->match[i], out);
    }
    buf_append_str(out, p->proxy_count ? "]\n    proxies: [" : "]\n    direct: true\n");
    for (size_t i = 0; i < p->proxy_count; i++) {
        bool v6 = p->proxies[i].host.ip.version == 6;
        buf_printf(out, "%s\"%s%s%s:%u\"", i ? ", " : "", v6 ? "[" : "", p->proxies[i].host.name,
                   v6 ? "]" : "", p->proxies[i].port);
    }
    buf_append_str(out, p->proxy_count ? "]\n" : "");
    if (!p->user)
        return;
    buf_append_str(out, "    user: ");
    option_quote(p->user, out);
    buf_append_str(out, "\n    password_file: ");
    option_quote(p->password_file, out);
    buf_append_str(out, "\n");
}

void parents_show(const struct conf *conf, struct buf *out)
{
    buf_append_str(out, conf->parent_count ? "parents:\n" : "parents: []\n");
    for (size_t i = 0; i < conf->parent_count; i++)
        show_parent(&conf->parents[i], out);
}

static int take_password(struct conf *conf, struct conf_parent *p, struct span text, struct err *reterr)
{
    if (text.len > 0 && text.data[text.len - 1] == '\n')
        text.len--;
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < 0x20 || text.data[i] == 0x7f)
            return err_set(reterr, p->password_file, 0, 0,
                           "a control character in a password: one line is expected");
    if (text.len == 0)
        return err_set(reterr, p->password_file, 0, 0, "holds no password");
    p->password = arena_strndup(conf->arena, (const char *)text.data, text.len);
    return p->password ? 0 : err_set(reterr, p->password_file, 0, 0, "the configuration is too large");
}

int parents_load_passwords(struct conf *conf, struct err *reterr)
{
    for (size_t i = 0; i < conf->parent_count; i++) {
        struct conf_parent *p = &conf->parents[i];
        if (!p->user)
            continue;
        struct buf content;
        buf_init(&content, PASSWORD_BYTES);
        int result = conf_file_read(p->password_file, true, &content, reterr);
        if (result == 0)
            result = take_password(conf, p, buf_span(&content), reterr);
        if (content.data)
            explicit_bzero(content.data, content.cap);
        buf_free(&content);
        if (result != 0)
            return -1;
    }
    return 0;
}

static bool destination_has(const struct conf_destination *d, const struct host *h)
{
    if (d->kind == CONF_DOMAIN)
        return host_is_within(h, d->domain);
    return d->kind == CONF_ANY || (h->is_ip && ip_in(&h->ip, &d->network));
}

const struct conf_parent *conf_find_parent(const struct conf *conf, const struct host *host)
{
    for (size_t i = 0; i < conf->parent_count; i++)
        for (size_t m = 0; m < conf->parents[i].match_count; m++)
            if (destination_has(&conf->parents[i].match[m], host))
                return &conf->parents[i];
    return NULL;
}
