/* server_tls.c: TLS with the server: of an https:// request, in our own name, or of a tunnel that is terminated, as its client would
 * have begun it. A step of the hub; touches the server's side and the facts. */
#include "flow/inside.h"

static struct tls_session *begin(struct flow *f)
{
    const struct host *host = &f->x->host;
    return f->inside ? inside_greet(f)
                     : tls_session_connect(f->snapshot->server_tls, host->name, host->is_ip);
}

static enum step not_met(struct flow *f)
{
    const struct tls_session *t = f->server.tls;
    enum reason reason =
        tls_session_certificate_failed(t) ? REASON_SERVER_CERTIFICATE : REASON_SERVER_TLS_FAILED;
    return flow_fail(f, reason, "%s", tls_session_error(t));
}

enum step flow_server_tls(struct flow *f)
{
    if (!f->server.tls && !(f->server.tls = begin(f)))
        return flow_fail(f, REASON_NO_MEMORY, NULL);
    enum side_io io = side_handshake(&f->server);
    if (io == SIDE_AGAIN)
        return WAIT;
    if (io == SIDE_EOF)
        return flow_server_ended(f, io);
    if (io != SIDE_DONE)
        return f->inside ? inside_not_met(f) : not_met(f);
    fact_set_text(&f->x->facts, FACT_tls_version, tls_session_version(f->server.tls));
    return f->inside ? inside_met(f) : flow_goto(f, FLOW_INSPECT);
}
