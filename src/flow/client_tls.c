/* client_tls.c: TLS with the client of a terminated tunnel, and who it is then: an HTTP client, whose requests are exchanges of their
 * own, or something else, whose bytes are relayed. Why a client didn't accept our certificate is said as well as its alert allows.
 * Steps of the hub; touch both sides and the facts. */
#include "flow/inside.h"
#include "flow/streams.h"

#include "facts/anomaly.h"
#include "facts/payload.h"
#include "flow/pins.h"
#include "wire/opening.h"

#include <errno.h>
#include <stdio.h>

enum { METHOD_BYTES_MAX = 8 }; /* what may still become an HTTP method */

/* ---- a client that doesn't want us ---- */

/* RFC 8446, 6.2: what a client says about a certificate that it doesn't accept. */
static const struct {
    int alert;
    const char *name, *meaning;
} rejections[] = {
    {42, "bad_certificate", "it does not accept the certificate"},
    {43, "unsupported_certificate", "it does not accept this kind of certificate"},
    {44, "certificate_revoked", "it takes the certificate for revoked"},
    {45, "certificate_expired", "it takes the certificate for expired"},
    {46, "certificate_unknown", "it does not accept the certificate"},
    {48, "unknown_ca", "it does not know the inspection CA"},
};

/* Which variable or file that program takes its roots from. */
static const char *where_roots_are(const struct flow *f)
{
    static const struct {
        const char *name, *where;
    } rows[] = {
        {"curl", "CURL_CA_BUNDLE"},
        {"wget", "--ca-certificate, or ca_certificate in .wgetrc"},
        {"python", "SSL_CERT_FILE, REQUESTS_CA_BUNDLE"},
        {"node", "NODE_EXTRA_CA_CERTS; npm's cafile, where one is configured"},
        {"git-remote-http", "GIT_SSL_CAINFO"},
        {"java", "JAVA_TOOL_OPTIONS: javax.net.ssl.trustStore"},
        {"cargo", "CARGO_HTTP_CAINFO"},
        {"openssl", "SSL_CERT_FILE"},
        {"ruby", "SSL_CERT_FILE"},
        {"aws", "AWS_CA_BUNDLE"},
        {"pip", "PIP_CERT"},
        {"chrom", "the system's or the browser's store"},
        {"firefox", "the browser's store"},
    };
    const struct sender *s = f->attribution.sender;
    const char *name = s && s->executable ? strrchr(s->executable, '/') : NULL;
    for (size_t i = 0; name && i < sizeof rows / sizeof rows[0]; i++)
        if (strncmp(name + 1, rows[i].name, strlen(rows[i].name)) == 0)
            return rows[i].where;
    return "the system's store";
}

void client_tls_note_silence(const struct flow *f, struct exchange *tunnel)
{
    if (!tunnel->detail[0])
        snprintf(tunnel->detail, sizeof tunnel->detail,
                 "the client went as it had seen the certificate: it may not know the inspection CA (%s)",
                 where_roots_are(f));
}

/* Only what is known for certain to be that program. */
static void learn(struct flow *f, const char *why, bool alert)
{
    if (f->attribution.confidence == AGENT_CONFIDENCE_EXACT)
        pins_note(f->env->pins, f->attribution.sender, f->x->host.name, f->x->port, why, alert,
                  (int64_t)(net_wall_ms(f->env->net) / 1000));
}

static enum step not_wanted(struct flow *f, enum side_io io)
{
    int alert = tls_session_alert(f->client.tls);
    for (size_t i = 0; i < sizeof rejections / sizeof rejections[0]; i++)
        if (alert == rejections[i].alert) {
            learn(f, rejections[i].name, true);
            return flow_fail(f, REASON_CLIENT_REJECTED, "%s: %s (%s)", rejections[i].name,
                             rejections[i].meaning, where_roots_are(f));
        }
    if (alert < 0 && f->client.error != EPROTO)
        learn(f, "closed", false);
    const char *error = tls_session_error(f->client.tls);
    if (io != SIDE_EOF && error[0])
        return flow_fail(f, REASON_CLIENT_TLS_FAILED, "%s", error);
    client_tls_note_silence(f, f->x);
    return flow_fail(f, REASON_CLIENT_TLS_FAILED, NULL);
}

/* ---- the handshake ---- */

static enum step opened(struct flow *f)
{
    struct inside *i = f->inside;
    struct exchange *x = f->x;
    struct span protocol = tls_session_protocol(f->client.tls);
    fact_set_text(&x->facts, FACT_tls_version, tls_session_version(f->client.tls));
    fact_set_span(&x->facts, FACT_inside_protocol, arena_copy(&x->arena, protocol));
    bool h2 = span_is(protocol, "h2");
    if (!h2 && (i->refusal != REASON_NONE || span_is(protocol, "http/1.1")))
        return inside_enter(f) == 0 ? flow_goto(f, FLOW_REQUEST) : flow_fail(f, REASON_NO_MEMORY, NULL);
    if (!h2)
        return flow_goto(f, FLOW_INSIDE);
    bool good = inside_enter(f) == 0 && streams_begin(f) == 0;
    return good ? flow_goto(f, FLOW_STREAMS) : flow_fail(f, REASON_NO_MEMORY, NULL);
}

enum step flow_client_tls(struct flow *f)
{
    if (f->inside->client) {
        f->client.carrier = f->client.tls;
        f->client.tls = f->inside->client;
        f->inside->client = NULL;
        f->answer = ANSWER_CLOSE; /* what must be said is said by the handshake */
        struct span early = buf_span(&f->client.in);
        tls_session_receive(f->client.tls, early);
        buf_consume(&f->client.in, early.len);
    }
    enum side_io io = side_handshake(&f->client);
    if (io == SIDE_AGAIN)
        return WAIT;
    return io == SIDE_DONE ? opened(f) : not_wanted(f, io);
}

/* ---- who it is ---- */

/* Could these few bytes still become a request line? */
static bool may_be_method(struct span in)
{
    for (size_t i = 0; i < in.len; i++)
        if (in.data[i] < 'A' || in.data[i] > 'Z')
            return false;
    return in.len < METHOD_BYTES_MAX;
}

static enum step relay_bytes(struct flow *f, const char *first_speaker, struct span sample)
{
    struct exchange *x = f->x;
    struct payload p;
    if (x->verdict.needs_path) {
        x->verdict = verdict_refuse(x->verdict, REASON_BASELINE_DESTINATION);
        if (x->verdict.action == VERDICT_BLOCK)
            return flow_fail(f, REASON_BASELINE_DESTINATION,
                             "only paths of it are approved, and this is no HTTP");
    }
    payload_judge(sample, &p);
    sample_tunnel(f, sample);
    fact_set_text(&x->facts, FACT_inside_protocol, p.kind);
    fact_set_text(&x->facts, FACT_inside_first_speaker, first_speaker);
    if (strcmp(p.kind, "tls") == 0)
        hello_add_anomaly(f, ANOMALY_H42);
    if (p.fully_encrypted)
        hello_add_anomaly(f, ANOMALY_H43);
    return flow_goto(f, FLOW_FORWARD);
}

enum step flow_inside(struct flow *f)
{
    struct span in;
    for (;;) {
        enum side_io io = side_fill(&f->client, FLOW_READ_BYTES);
        in = buf_span(&f->client.in);
        if (io == SIDE_FAILED && in.len == 0 && f->client.error == ECONNRESET) {
            client_tls_note_silence(f, f->x);
            return flow_fail(f, REASON_CLIENT_RESET, NULL);
        }
        if (io == SIDE_FAILED)
            return flow_client_ended(f, io);
        if (io != SIDE_MOVED)
            break;
    }
    if (opening_classify(in) == OPENING_HTTP && in.len >= METHOD_BYTES_MAX) {
        fact_set_text(&f->x->facts, FACT_inside_protocol, "http/1.1");
        return inside_enter(f) == 0 ? flow_goto(f, FLOW_REQUEST) : flow_fail(f, REASON_NO_MEMORY, NULL);
    }
    if (in.len > 0 && (f->client.eof || !may_be_method(in)))
        return relay_bytes(f, "client", in);
    enum side_io io = side_fill(&f->server, FLOW_READ_BYTES);
    if (io == SIDE_FAILED)
        return flow_server_ended(f, io);
    if (f->client.eof && buf_len(&f->server.in) == 0)
        client_tls_note_silence(f, f->x);
    if (io == SIDE_MOVED || io == SIDE_EOF || f->client.eof)
        return relay_bytes(f, "server", buf_span(&f->server.in));
    return WAIT;
}
