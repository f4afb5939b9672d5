/* request.c: one request head: read within its limits, judged by wire/http1, its destination made canonical. Nothing is
 * decided here but what the request alone shows to be wrong.
 * A step of the hub; touches its flow, the client's side and the facts. */
#include "flow/inside.h"

#include <stdio.h>

enum { USER_AGENT_BYTES_MAX = 4096, URL_BYTES_MAX = 4096 };

/* ---- reading ---- */

static enum step close_quietly(struct flow *f)
{
    return flow_goto(f, FLOW_CLOSING);
}

static enum step refuse_fault(struct flow *f, const struct http1_fault_at *fault)
{
    enum reason reason = REASON_REQUEST_MALFORMED;
    if (http1_fault_status(fault->fault) == 431 || http1_fault_status(fault->fault) == 414)
        reason = REASON_REQUEST_TOO_LARGE;
    else if (fault->fault == HTTP1_TARGET_SCHEME)
        reason = REASON_SCHEME_UNSUPPORTED;
    f->x->fault_status = http1_fault_status(fault->fault);
    return flow_fail(f, reason, "%s: %s at byte %zu", http1_fault_name(fault->fault),
                     http1_fault_text(fault->fault), fault->offset);
}

/* The exchange begins with its first byte; until then the connection is idle and may close without a record. */
static bool begin(struct flow *f)
{
    if (f->x)
        return true;
    if (!exchange_begin(f))
        return false;
    f->spoke = true;
    f->answer = ANSWER_HTTP;
    http1_scan_init(&f->scan, HTTP1_REQUEST, (struct http1_asked){0});
    flow_set_deadline(f, (uint64_t)flow_conf(f)->timeouts.head_ms);
    return true;
}

static enum step read_head(struct flow *f, bool *ret_whole)
{
    *ret_whole = false;
    for (;;) {
        if (buf_len(&f->client.in) > 0) {
            if (!begin(f))
                return close_quietly(f);
            const struct conf *c = flow_conf(f);
            const struct http1_limits limits = {c->limits.head_bytes, (unsigned)c->limits.headers,
                                                c->limits.target_bytes};
            struct http1_fault_at fault;
            enum parse p = http1_head_parse(&f->scan, buf_span(&f->client.in), &limits, &f->x->arena,
                                            &f->x->request, &fault);
            *ret_whole = p == PARSE_OK;
            if (p == PARSE_BAD)
                return refuse_fault(f, &fault);
            if (p == PARSE_OK)
                return WAIT;
        }
        enum side_io io = side_fill(&f->client, FLOW_READ_BYTES);
        if (io == SIDE_AGAIN)
            return WAIT;
        if (io != SIDE_MOVED)
            return f->x ? flow_client_ended(f, io) : close_quietly(f);
    }
}

/* ---- what it asks for ---- */

static const char *copy_text(struct exchange *x, struct span text, size_t most)
{
    return arena_strndup(&x->arena, (const char *)text.data, text.len < most ? text.len : most);
}

/* URLs carry secrets in their queries: recorded without, unless configured. */
static void set_url_fact(struct flow *f)
{
    struct exchange *x = f->x;
    const struct http1_target *t = &x->request.target;
    struct span path = flow_conf(f)->audit.include_query ? t->path_query : t->path;
    size_t size = path.len + AUTHORITY_TEXT_BYTES + sizeof "https://";
    char authority[AUTHORITY_TEXT_BYTES], *url = arena_alloc(&x->arena, size);
    if (!url)
        return;
    host_port_format(&x->host, x->port, x->https ? 443 : 80, authority);
    int len = snprintf(url, size, "%s://%s%.*s", x->https ? "https" : "http", authority, (int)path.len,
                       path.len ? (const char *)path.data : "");
    fact_set_span(&x->facts, FACT_url,
                  span_of(url, (size_t)len < URL_BYTES_MAX ? (size_t)len : URL_BYTES_MAX));
}

/* Whole, because what is cut off would be where to hide: limits.head bounds it. False without memory. */
static bool set_whole(struct exchange *x, enum fact which, struct span text)
{
    const char *copy = copy_text(x, text, text.len);
    fact_set_span(&x->facts, which, copy ? span_of(copy, text.len) : text);
    return copy != NULL;
}

static bool set_header_fact(struct exchange *x, enum fact which, const char *name)
{
    const struct http1_header *h = http1_header_find(&x->request, name);
    return set_whole(x, which, h ? h->value : (struct span){NULL, 0});
}

/* What follows the last dot of the path's last part. */
static struct span extension_of(struct span path)
{
    size_t dot = path.len;
    while (dot > 0 && path.data[dot - 1] != '.' && path.data[dot - 1] != '/')
        dot--;
    bool found = dot > 0 && path.data[dot - 1] == '.';
    return found ? span_of(path.data + dot, path.len - dot) : (struct span){NULL, 0};
}

/* The absolute URL as rules see it: in one form, however the request wrote the authority. */
static bool set_whole_url(struct exchange *x)
{
    struct span target = x->request.target.path_query;
    size_t size = target.len + AUTHORITY_TEXT_BYTES + sizeof "https://";
    char authority[AUTHORITY_TEXT_BYTES], *url = arena_alloc(&x->arena, size);
    if (!url)
        return false;
    host_port_format(&x->host, x->port, x->https ? 443 : 80, authority);
    int len = snprintf(url, size, "%s://%s", x->https ? "https" : "http", authority);
    if (target.len)
        memcpy(url + len, target.data, target.len);
    fact_set_span(&x->facts, FACT_url_whole, span_of(url, (size_t)len + target.len));
    return true;
}

static bool set_url_facts(struct flow *f)
{
    struct exchange *x = f->x;
    const struct http1_target *t = &x->request.target;
    set_url_fact(f);
    fact_set_text(&x->facts, FACT_request_host, x->host.name);
    fact_set_text(&x->facts, FACT_request_version, x->request.minor ? "HTTP/1.1" : "HTTP/1.0");
    return set_whole_url(x) && set_whole(x, FACT_url_target, t->path_query) &&
           set_whole(x, FACT_url_path, t->path) && set_whole(x, FACT_url_query, t->query) &&
           set_whole(x, FACT_url_extension, extension_of(t->path)) &&
           set_whole(x, FACT_request_method, x->request.method) &&
           set_header_fact(x, FACT_referrer, "referer") && set_header_fact(x, FACT_cookie, "cookie");
}

/* False without memory. */
static bool set_facts(struct flow *f)
{
    struct exchange *x = f->x;
    struct facts *facts = &x->facts;
    fact_set_text(facts, FACT_method, copy_text(x, x->request.method, 32));
    if (x->host.is_ip) {
        fact_set_text(facts, FACT_host, NULL);
        fact_set_ip(facts, FACT_server_ip, &x->host.ip); /* also when it is refused: it is the destination */
    } else {
        fact_set_text(facts, FACT_host, x->host.name);
    }
    fact_set_int(facts, FACT_port, x->port);
    const struct http1_header *agent = http1_header_find(&x->request, "user-agent");
    if (agent)
        fact_set_text(facts, FACT_user_agent, copy_text(x, agent->value, USER_AGENT_BYTES_MAX));
    return x->connect || set_url_facts(f);
}

static bool host_agrees(const struct exchange *x)
{
    if (!x->request.host.data)
        return true; /* HTTP/1.0 */
    struct host host;
    uint16_t port;
    uint16_t usual = x->https ? 443 : 80;
    bool had_port;
    if (host_port_parse(x->request.host, usual, &host, &port, &had_port) != HOST_OK)
        return false;
    /* some clients leave the port of a CONNECT out of Host */
    return host_equal(&host, &x->host) && (port == x->port || (x->connect && !had_port));
}

static enum step judge_target(struct flow *f)
{
    struct exchange *x = f->x;
    const struct http1_target *t = &x->request.target;
    x->connect = span_is(x->request.method, "CONNECT") && !x->request.upgrade_websocket; /* RFC 8441 */
    x->https = t->https;
    if (span_is(x->request.method, "TRACE"))
        return flow_fail(f, REASON_METHOD_UNSUPPORTED, "TRACE");
    if (f->inside) {
        enum step step = inside_judge_target(f);
        set_facts(f);
        return step;
    }
    if (t->form != HTTP1_AUTHORITY && t->form != HTTP1_ABSOLUTE)
        return flow_fail(f, REASON_NOT_A_PROXY_REQUEST, NULL);
    uint16_t usual = x->connect ? 0 : x->https ? 443 : 80;
    enum host_fault fault = host_port_parse(t->authority, usual, &x->host, &x->port, NULL);
    if (fault != HOST_OK)
        return flow_fail(f, REASON_TARGET_INVALID, "%s", host_fault_text(fault));
    if (!set_facts(f))
        return flow_fail(f, REASON_NO_MEMORY, NULL);
    if (!host_agrees(x))
        return flow_fail(f, REASON_HOST_MISDIRECTED, NULL);
    if (http1_via_has(&x->request, flow_conf(f)->http.via))
        return flow_fail(f, REASON_LOOP, NULL);
    const struct conf *c = flow_conf(f);
    if (!conf_port_has(x->connect ? &c->connect.ports : &c->http.ports, x->port))
        return flow_fail(f, REASON_PORT_NOT_ALLOWED, "port %u", x->port);
    return WAIT;
}

static void note_head(struct exchange *x)
{
    x->whole = true;
    x->head = span_is(x->request.method, "HEAD");
    x->client_minor = x->request.minor;
    x->client_keep_alive = x->request.keep_alive;
    const struct http1_header *accept = http1_header_find(&x->request, "accept");
    static const char html[] = "text/html";
    x->wants_html = accept && memmem(accept->value.data, accept->value.len, html, sizeof html - 1);
}

enum step flow_request(struct flow *f)
{
    bool whole;
    if (f->env->stopping && !f->x && buf_len(&f->client.in) == 0)
        return close_quietly(f);
    enum step step = read_head(f, &whole);
    if (!whole)
        return step;
    return request_judge(f) == MOVE ? MOVE : flow_goto(f, FLOW_AUTHENTICATE);
}

enum step request_judge(struct flow *f)
{
    note_head(f->x);
    if (f->env->stopping)
        return flow_fail(f, REASON_STOPPING, NULL);
    int64_t per_minute = flow_conf(f)->limits.requests_per_client;
    if (per_minute > 0 && !limits_client_request(f->env->limits, &f->client_endpoint.ip, (unsigned)per_minute,
                                                 net_now_ms(f->env->net)))
        return flow_fail(f, REASON_CLIENT_RATE, NULL);
    return judge_target(f);
}
