/* parent.c: a tunnel through a parent proxy: CONNECT to it with its own credentials, and its answer. What the client sent to
 * authenticate to us never goes there. A step of the hub; touches the server's side. */
#include "flow/parent.h"

#include "base/base64.h"
#include "flow/flow.h"

#include <stdio.h>

int parent_ask_write(struct buf *out, const struct conf_parent *parent, const struct host *host,
                     uint16_t port)
{
    char authority[AUTHORITY_TEXT_BYTES];
    host_port_format(host, port, 0, authority);
    buf_printf(out, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n", authority, authority);
    if (parent->user && parent->password) {
        char credentials[1024], encoded[1400];
        int len = snprintf(credentials, sizeof credentials, "%s:%s", parent->user, parent->password);
        if (len > 0 && (size_t)len < sizeof credentials &&
            base64_encode(span_of(credentials, (size_t)len), encoded, sizeof encoded) == 0)
            buf_printf(out, "Proxy-Authorization: Basic %s\r\n", encoded);
        explicit_bzero(credentials, sizeof credentials);
        explicit_bzero(encoded, sizeof encoded);
    }
    return buf_append_str(out, "\r\n");
}

static enum step ask(struct flow *f, const struct conf_parent *parent)
{
    struct buf *out = &f->server.out;
    parent_ask_write(out, parent, &f->x->host, f->x->port);
    http1_scan_init(&f->setup->scan, HTTP1_RESPONSE, (struct http1_asked){.connect = true});
    f->setup->asked_parent = true;
    return out->failed ? flow_fail(f, REASON_NO_MEMORY, NULL) : WAIT;
}

enum { INTERIM_MAX = 16 };

/* A parent that says no has spoken for all of them; one that is broken leaves the next one to try. */
static enum step next_or_fail(struct flow *f, enum reason reason, const char *detail)
{
    struct flow_setup *s = f->setup;
    if (s->parent_index + 1 >= s->parent->proxy_count)
        return flow_fail(f, reason, "%s", detail);
    s->parent_index++;
    s->asked_parent = false;
    s->interim = 0;
    side_close(&f->server, NET_CLOSE_FIN);
    return flow_goto(f, FLOW_RESOLVE);
}

static enum step answered(struct flow *f, const struct http1_head *head)
{
    struct exchange *x = f->x;
    if (head->status >= 100 && head->status < 200) { /* interim: the answer is still to come */
        if (++f->setup->interim > INTERIM_MAX)
            return next_or_fail(f, REASON_PARENT_MALFORMED, "interim answers without end");
        buf_consume(&f->server.in, head->head_bytes);
        http1_scan_init(&f->setup->scan, HTTP1_RESPONSE, (struct http1_asked){.connect = true});
        return WAIT;
    }
    if (head->status == 407)
        return flow_fail(f, REASON_PARENT_AUTH, NULL);
    if (head->status >= 500)
        return next_or_fail(f, REASON_PARENT_REFUSED, "the parent answered 5xx");
    if (head->status < 200 || head->status > 299)
        return flow_fail(f, REASON_PARENT_REFUSED, "status %d", head->status);
    buf_consume(&f->server.in, head->head_bytes);
    if (x->connect)
        return dial_opened(f);
    return flow_goto(f, x->https ? FLOW_SERVER_TLS : FLOW_INSPECT);
}

static enum step read_answer(struct flow *f)
{
    const struct conf *c = flow_conf(f);
    const struct http1_limits limits = {c->limits.head_bytes, (unsigned)c->limits.headers,
                                        c->limits.target_bytes};
    for (;;) {
        struct http1_head head;
        struct http1_fault_at fault;
        enum parse p = buf_len(&f->server.in) == 0
                           ? PARSE_MORE
                           : http1_head_parse(&f->setup->scan, buf_span(&f->server.in), &limits, &f->x->arena,
                                              &head, &fault);
        if (p == PARSE_BAD)
            return next_or_fail(f, REASON_PARENT_MALFORMED, http1_fault_name(fault.fault));
        if (p == PARSE_OK && answered(f, &head) == MOVE)
            return MOVE;
        enum side_io io = p == PARSE_OK ? SIDE_MOVED : side_fill(&f->server, FLOW_READ_BYTES);
        if (io == SIDE_AGAIN)
            return WAIT;
        if (io != SIDE_MOVED)
            return next_or_fail(f, REASON_PARENT_MALFORMED, "it closed the connection");
    }
}

enum step flow_parent(struct flow *f)
{
    if (!f->setup->asked_parent && ask(f, f->setup->parent) == MOVE)
        return MOVE;
    enum side_io io = side_flush(&f->server);
    if (io == SIDE_FAILED)
        return next_or_fail(f, REASON_PARENT_MALFORMED, "it broke the connection");
    return read_answer(f);
}
