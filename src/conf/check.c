/* check.c: what no single option shows to be wrong. Called at the end of conf_parse(). Pure. */
#include "base/must.h"
#include "conf/option.h"

struct place {
    const struct yaml_node *top; /* borrowed: the file's tree */
    const char *file;
    struct err *reterr;
};

/* An error at the first of the two options that the file has, else at the file. */
static int fail(const struct place *p, const char *section, const char *name, const char *other,
                const char *text)
{
    const char *const names[] = {name, other};
    const struct yaml_node *s = p->top->kind == YAML_MAPPING ? yaml_find(p->top, section) : NULL;
    for (size_t i = 0; s && i < ARRAY_LEN(names); i++) {
        const struct yaml_node *n = names[i] ? yaml_find(s, names[i]) : NULL;
        if (n)
            return yaml_error(n, p->reterr, "%s", text);
    }
    return err_set(p->reterr, p->file, 0, 0, "%s.%s: %s", section, name, text);
}

static bool share_port(const struct endpoint *a, const struct endpoint *b)
{
    return a->port == b->port && ip_equal(&a->ip, &b->ip);
}

static int check_listen(const struct conf *c, const struct place *p)
{
    bool tls = c->listen.tls_addresses.count > 0;
    if (c->listen.addresses.count == 0 && !tls)
        return fail(p, "listen", "addresses", "tls_addresses", "there is no address to listen on");
    if (tls && (!c->listen.tls_certificate || !c->listen.tls_key))
        return fail(p, "listen", "tls_addresses", NULL, "tls_certificate and tls_key are needed for it");
    if (!tls && c->listen.tls_client_ca)
        return fail(p, "listen", "tls_client_ca", NULL, "without tls_addresses nothing uses it");
    if (!c->listen.tls_client_ca && (c->listen.tls_client_required || c->listen.tls_client_crl))
        return fail(p, "listen", "tls_client_required", "tls_client_crl", "tls_client_ca is needed for it");
    if (!tls && (c->listen.tls_certificate || c->listen.tls_key))
        return fail(p, "listen", "tls_certificate", "tls_key", "without tls_addresses nothing uses it");
    for (size_t i = 0; i < c->listen.tls_addresses.count; i++)
        for (size_t k = 0; k < c->listen.addresses.count; k++)
            if (share_port(&c->listen.tls_addresses.items[i], &c->listen.addresses.items[k]))
                return fail(p, "listen", "tls_addresses", NULL, "one of them is in addresses as well");
    for (size_t i = 0; i < c->listen.proxy_protocol_from.count; i++)
        if (c->listen.proxy_protocol_from.items[i].prefix == 0)
            return fail(p, "listen", "proxy_protocol_from", NULL,
                        "a whole address family: then anyone may say to be anyone; list the load balancers");
    return 0;
}

/* RFC 9110, 5.6.2. */
static bool is_token(const char *s)
{
    static const char set[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    return *s && s[strspn(s, set)] == '\0';
}

static bool is_quotable(const char *s)
{
    for (; *s; s++)
        if (*s < 0x20 || *s > 0x7e || *s == '"' || *s == '\\')
            return false;
    return true;
}

static int check_http(const struct conf *c, const struct place *p)
{
    if (!is_token(c->http.via))
        return fail(p, "http", "via", NULL, "a token is expected here: letters, digits, hyphens and dots");
    if (!is_quotable(c->auth.realm))
        return fail(p, "auth", "realm", NULL,
                    "printable ASCII without quotes and backslashes is expected here");
    if (c->auth.required && !c->auth.password_file)
        return fail(p, "auth", "required", NULL, "without password_file nobody can authenticate");
    return 0;
}

static int check_limits(const struct conf *c, const struct place *p)
{
    if (c->limits.flows_per_client > c->limits.flows)
        return fail(p, "limits", "flows_per_client", "flows", "flows_per_client is larger than flows");
    if (c->limits.target_bytes > c->limits.head_bytes)
        return fail(p, "limits", "target", "head", "target is larger than head, of which it is a part");
    if (c->dial.attempt_delay_ms >= c->dial.timeout_ms)
        return fail(p, "dial", "attempt_delay", "timeout", "attempt_delay is not smaller than timeout");
    if (c->process.group && !c->process.user)
        return fail(p, "process", "group", NULL, "a group without a user");
    return 0;
}

/* A Unix socket's path has room for 107 bytes (unix(7)). */
static int check_sockets(const struct conf *c, const struct place *p)
{
    enum { SOCKET_PATH_MAX = 107 };
    if (strlen(c->admin.socket) > SOCKET_PATH_MAX)
        return fail(p, "admin", "socket", NULL, "a socket's path has at most 107 bytes");
    if (c->agent.socket && strlen(c->agent.socket) > SOCKET_PATH_MAX)
        return fail(p, "agent", "socket", NULL, "a socket's path has at most 107 bytes");
    if (!c->agent.socket && c->agent.when_unavailable == CONF_UNAVAILABLE_REFUSE)
        return fail(p, "agent", "when_unavailable", "socket", "without an agent every flow would be refused");
    return 0;
}

static int check_policy(const struct conf *c, const struct place *p)
{
    const char *certificate = c->inspection.ca_certificate, *key = c->inspection.ca_key;
    if ((certificate == NULL) != (key == NULL))
        return fail(p, "inspection", key ? "ca_key" : "ca_certificate", NULL,
                    "ca_certificate and ca_key are needed together");
    if (c->policy.handling == CONF_HANDLING_TERMINATE && !certificate)
        return fail(p, "policy", "handling", NULL, "terminate needs inspection.ca_certificate and ca_key");
    return 0;
}

int conf_check(const struct conf *conf, const struct yaml_node *top, struct err *reterr)
{
    struct place p = {.top = top, .file = conf->file, .reterr = reterr};
    if (check_listen(conf, &p) != 0 || check_http(conf, &p) != 0 || check_limits(conf, &p) != 0 ||
        check_policy(conf, &p) != 0)
        return -1;
    return check_sockets(conf, &p);
}
