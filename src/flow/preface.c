/* preface.c: before the first request: the PROXY header of a listed balancer, and TLS to the proxy itself.
 * Steps of the hub; touches its flow, the client's side and tls/session. */
#include "flow/flow.h"

#include "flow/role.h"
#include "wire/proxy_header.h"

/* A connection that has said nothing yet keeps nobody from stopping. */
static enum step silent_until_stopped(struct flow *f)
{
    bool over = f->env->stopping && buf_len(&f->client.in) == 0;
    return over ? flow_fail(f, REASON_STOPPING, NULL) : WAIT;
}

/* The header comes before anything else is read: what follows it in the buffer belongs to TLS or to the request. */
static enum step read_proxy_header(struct flow *f, bool *ret_done)
{
    struct proxy_header header;
    *ret_done = false;
    for (;;) {
        enum parse p = proxy_header_parse(buf_span(&f->client.in), &header);
        if (p == PARSE_BAD)
            return flow_fail(f, REASON_PROXY_HEADER_MALFORMED, NULL);
        if (p == PARSE_OK)
            break;
        enum side_io io = side_fill(&f->client, PROXY_HEADER_BYTES_MAX);
        if (io == SIDE_AGAIN)
            return silent_until_stopped(f);
        if (io != SIDE_MOVED)
            return flow_client_ended(f, io);
    }
    buf_consume(&f->client.in, header.bytes);
    f->header_read = true;
    if (!header.local) {
        f->behind = f->client_endpoint.ip;
        f->client_endpoint = header.client;
        f->proxy_endpoint = header.proxy;
    }
    *ret_done = flow_admit(f);
    return *ret_done ? WAIT : MOVE;
}

/* The handshake's alert has told the client; an exchange that never was tells it here. What the client says yet (in TLS 1.3 its request is
 * on the way) is read as it comes, or a reset would overtake the alert. */
static enum step not_accepted(struct flow *f)
{
    f->answer = ANSWER_CLOSE;
    if (role_take(f) != 0 || !exchange_begin(f))
        return flow_fail(f, REASON_NO_MEMORY, NULL);
    flow_fail(f, REASON_CLIENT_ROLE, "%s", tls_session_error(f->client.tls));
    tls_session_free(f->client.tls);
    f->client.tls = NULL;
    return MOVE;
}

static enum step shake_hands(struct flow *f, bool *ret_done)
{
    *ret_done = false;
    if (!f->client.tls && buf_len(&f->client.in) == 0) {
        enum side_io io = side_fill(&f->client, FLOW_READ_BYTES);
        if (io == SIDE_AGAIN)
            return silent_until_stopped(f);
        if (io != SIDE_MOVED)
            return flow_client_ended(f, io);
    }
    if (!f->client.tls) {
        f->client.tls = f->snapshot->proxy_tls ? tls_session_accept(f->snapshot->proxy_tls) : NULL;
        if (!f->client.tls)
            return flow_fail(f, REASON_PROXY_TLS_FAILED, "no TLS context");
        f->answer = ANSWER_NONE; /* nothing can be said before the handshake is through */
        struct span early = buf_span(&f->client.in);
        tls_session_receive(f->client.tls, early);
        buf_consume(&f->client.in, early.len);
        flow_set_deadline(f, (uint64_t)flow_conf(f)->timeouts.head_ms);
    }
    enum side_io io = side_handshake(&f->client);
    if (io == SIDE_AGAIN)
        return WAIT;
    if (io != SIDE_DONE)
        return tls_session_certificate_failed(f->client.tls) ? not_accepted(f) : flow_client_ended(f, io);
    if (role_take(f) != 0)
        return flow_fail(f, REASON_NO_MEMORY, NULL);
    f->answer = ANSWER_HTTP;
    *ret_done = true;
    return WAIT;
}

enum step flow_preface(struct flow *f)
{
    bool done = true;
    if (f->remote_sender && !f->header_read) {
        enum step step = read_proxy_header(f, &done);
        if (!done)
            return step;
    }
    if (f->listener->tls) {
        enum step step = shake_hands(f, &done);
        if (!done)
            return step;
    }
    return flow_goto(f, FLOW_REQUEST);
}
