/* session.c: see session.h. OpenSSL is given two BIOs of our own over struct buf, so that memory goes back when a connection
 * idles and growth has a bound; nothing here reads a socket, a file (after the context was made) or the clock. */
#include "tls/session_private.h"
#include "tls/scts.h"

#include "base/buf.h"
#include "base/must.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    IN_LIMIT_BYTES = 256 * 1024,        /* what the caller may leave unread, several receives deep */
    OUT_LIMIT_BYTES = 512 * 1024,       /* room for key updates beside what tls_session_write() admits */
    OUT_WRITE_BYTES = 256 * 1024,       /* tls_session_write() says AGAIN beyond this */
    RECORD_OVERHEAD_BYTES = 128,        /* header, nonce, tag and padding of one record, with room to spare */
    CERTIFICATES_MAX_BYTES = 64 * 1024, /* a client's */
    CHAIN_MAX_BYTES = 256 * 1024,       /* a server's: what chain.h keeps */
    PROTOCOLS_MAX_BYTES = 256,
    TICKETS_KEPT = 2, /* what servers send; of more, the latest */
};

struct tls_ticket {
    SSL_SESSION *session; /* counted */
};

struct tls_session {
    struct tls_context *context; /* counted */
    SSL *ssl;                    /* owned; owns its BIO, which points back here */
    struct buf in, out;          /* wire bytes */
    enum tls_state state;
    bool certificate_failed, certificate_wanted, without_certificate;
    X509 *refused;                      /* counted; a client's that clients.c didn't take */
    int refused_error;                  /* why: X509_V_ERR_... */
    struct span scts;                   /* owned (OpenSSL's memory), once they were asked for */
    int alert;                          /* the peer's fatal one; -1 */
    SSL_SESSION *tickets[TICKETS_KEPT]; /* counted; the oldest first, then NULL */
    uint8_t offered_len;
    uint8_t offered[PROTOCOLS_MAX_BYTES - 1]; /* ALPN as in the extension */
    char error[192];
};

/* ---- the BIO ---- */

static int on_bio_read(BIO *bio, char *data, int size)
{
    struct tls_session *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    struct span in = buf_span(&s->in);
    size_t len = in.len < (size_t)size ? in.len : (size_t)size;
    if (size <= 0 || !in.data || len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    memcpy(data, in.data, len);
    buf_consume(&s->in, len);
    return (int)len;
}

static int on_bio_write(BIO *bio, const char *data, int len)
{
    struct tls_session *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    size_t room = s->out.limit - buf_len(&s->out);
    if (len > 0 && (size_t)len > room) {
        BIO_set_retry_write(bio);
        return -1;
    }
    return len > 0 && buf_append(&s->out, data, (size_t)len) == 0 ? len : -1;
}

static long on_bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *method_new(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "exeat");
    if (m && BIO_meth_set_read(m, on_bio_read) && BIO_meth_set_write(m, on_bio_write) &&
        BIO_meth_set_ctrl(m, on_bio_ctrl))
        return m;
    BIO_meth_free(m);
    return NULL;
}

/* ---- contexts ---- */

/* The reason of OpenSSL's first error, for people; empties the queue. */
static const char *openssl_reason(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_error());
    ERR_clear_error();
    return text ? text : "an unknown error";
}

/* Never asks at the terminal: a key with a pass phrase is an error. */
static int no_pass_phrase(char *data, int size, int writing, void *unused)
{
    (void)data, (void)size, (void)writing, (void)unused;
    return -1;
}

static struct tls_session *session_of(const SSL *ssl)
{
    return BIO_get_data(SSL_get_rbio(ssl));
}

static bool is_offered(struct span list, struct span name)
{
    for (size_t at = 0; at < list.len && list.data[at] < list.len - at; at += 1u + list.data[at])
        if (span_equal(span_of(list.data + at + 1, list.data[at]), name))
            return true;
    return false;
}

/* RFC 7301, 3.2: a client that offers protocols, but not ours, gets no_application_protocol. */
static int choose_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_len,
                       const unsigned char *offered, unsigned len, void *unused)
{
    (void)unused;
    const struct tls_session *s = session_of(ssl);
    if (s->offered_len == 0)
        return SSL_TLSEXT_ERR_NOACK;
    if (!is_offered(span_of(offered, len), span_of(s->offered + 1, s->offered_len - 1u)))
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *ret = s->offered + 1;
    *ret_len = (unsigned char)(s->offered_len - 1);
    return SSL_TLSEXT_ERR_OK;
}

/* With nothing to show: goes on without a certificate, or stops here. */
static int on_certificate_wanted(SSL *ssl, X509 **ret_certificate, EVP_PKEY **ret_key)
{
    struct tls_session *s = session_of(ssl);
    (void)ret_certificate, (void)ret_key;
    s->certificate_wanted = true;
    return s->without_certificate ? 0 : -1;
}

/* 1: the session is ours now. */
static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_session *s = session_of(ssl);
    if (!SSL_SESSION_is_resumable(session))
        return 0;
    if (s->tickets[TICKETS_KEPT - 1]) {
        SSL_SESSION_free(s->tickets[0]);
        memmove(s->tickets, s->tickets + 1, sizeof s->tickets - sizeof s->tickets[0]);
        s->tickets[TICKETS_KEPT - 1] = NULL;
    }
    size_t at = 0;
    while (s->tickets[at])
        at++;
    s->tickets[at] = session;
    return 1;
}

static void on_info(const SSL *ssl, int where, int value)
{
    if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT && value >> 8 == SSL3_AL_FATAL)
        session_of(ssl)->alert = value & 0xff;
}

void tls_session_note_refused(const SSL *ssl, X509 *certificate, int error)
{
    struct tls_session *s = session_of(ssl);
    if (s->refused_error != X509_V_OK)
        return;
    s->refused_error = error;
    if (certificate && X509_up_ref(certificate) == 1)
        s->refused = certificate;
}

struct tls_context *tls_context_new(bool server, struct err *reterr)
{
    ERR_clear_error();
    struct tls_context *c = calloc(1, sizeof *c);
    if (c) {
        *c = (struct tls_context){.refs = 1, .server = server, .method = method_new()};
        c->ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    }
    if (!c || !c->ctx || !c->method) {
        err_set(reterr, NULL, 0, 0, "TLS cannot be set up: %s", openssl_reason());
        tls_context_free(c);
        return NULL;
    }
    SSL_CTX_set_min_proto_version(c->ctx, TLS1_2_VERSION);
    if (server) /* to clients: forward secrecy and AEAD only (RFC 9325, 4.2), no CBC; servers are asked for what OpenSSL offers */
        must(SSL_CTX_set_cipher_list(c->ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1);
    SSL_CTX_set_options(c->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(c->ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_OFF); /* tickets hold the state, not we */
    SSL_CTX_set_max_cert_list(c->ctx, server ? CERTIFICATES_MAX_BYTES : CHAIN_MAX_BYTES);
    SSL_CTX_set_default_passwd_cb(c->ctx, no_pass_phrase);
    SSL_CTX_set_info_callback(c->ctx, on_info);
    if (server)
        SSL_CTX_set_alpn_select_cb(c->ctx, choose_alpn, NULL);
    return c;
}

struct tls_context *tls_context_new_server(const char *certificate_file, const char *key_file,
                                           struct err *reterr)
{
    struct tls_context *c = tls_context_new(true, reterr);
    if (!c)
        return NULL;
    c->protocol = "http/1.1";
    const char *file = certificate_file;
    if (SSL_CTX_use_certificate_chain_file(c->ctx, certificate_file) == 1) {
        file = key_file;
        if (SSL_CTX_use_PrivateKey_file(c->ctx, key_file, SSL_FILETYPE_PEM) == 1 &&
            SSL_CTX_check_private_key(c->ctx) == 1)
            return c;
    }
    err_set(reterr, file, 0, 0, "%s cannot be used: %s",
            file == key_file ? "the TLS key" : "the TLS certificate", openssl_reason());
    tls_context_free(c);
    return NULL;
}

struct tls_context *tls_context_new_client(const char *ca_file, struct err *reterr)
{
    struct tls_context *c = tls_context_new(false, reterr);
    if (!c)
        return NULL;
    c->protocol = "http/1.1";
    SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_set_default_verify_paths(c->ctx) != 1)
        err_set(reterr, NULL, 0, 0, "the system's root certificates cannot be used: %s", openssl_reason());
    else if (ca_file && SSL_CTX_load_verify_file(c->ctx, ca_file) != 1)
        err_set(reterr, ca_file, 0, 0, "the root certificates cannot be used: %s", openssl_reason());
    else
        return c;
    tls_context_free(c);
    return NULL;
}

struct tls_context *tls_context_new_unverified(struct err *reterr)
{
    struct tls_context *c = tls_context_new(false, reterr);
    if (!c)
        return NULL;
    SSL_CTX_set_client_cert_cb(c->ctx, on_certificate_wanted);
    SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(c->ctx, on_new_session);
    scts_ask(c->ctx);
    return c;
}

void tls_context_free(struct tls_context *take_c)
{
    if (!take_c || atomic_fetch_sub_explicit(&take_c->refs, 1, memory_order_acq_rel) != 1)
        return;
    SSL_CTX_free(take_c->ctx);
    BIO_meth_free(take_c->method);
    OPENSSL_free(take_c->staple);
    free(take_c);
}

/* ---- sessions ---- */

static struct tls_session *session_new(struct tls_context *c)
{
    ERR_clear_error();
    struct tls_session *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    s->context = c;
    buf_init(&s->in, IN_LIMIT_BYTES);
    buf_init(&s->out, OUT_LIMIT_BYTES);
    s->ssl = SSL_new(c->ctx);
    BIO *bio = s->ssl ? BIO_new(c->method) : NULL;
    if (!bio) {
        tls_session_free(s);
        return NULL;
    }
    BIO_set_data(bio, s);
    BIO_set_init(bio, 1);
    SSL_set_bio(s->ssl, bio, bio);
    s->alert = -1;
    if (c->protocol)
        tls_session_offer(s, span_str(c->protocol));
    return s;
}

struct tls_session *tls_session_accept(struct tls_context *c)
{
    must(c->server);
    struct tls_session *s = session_new(c);
    if (s)
        SSL_set_accept_state(s->ssl);
    return s;
}

static bool set_alpn(struct tls_session *s)
{
    return s->offered_len == 0 || SSL_set_alpn_protos(s->ssl, s->offered, s->offered_len) == 0;
}

struct tls_session *tls_session_connect(struct tls_context *c, const char *name, bool name_is_ip)
{
    must(!c->server);
    struct tls_session *s = session_new(c);
    if (!s)
        return NULL;
    SSL_set_connect_state(s->ssl);
    X509_VERIFY_PARAM *param = SSL_get0_param(s->ssl);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
                                               X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    int ok = name_is_ip ? X509_VERIFY_PARAM_set1_ip_asc(param, name)
                        : name[0] && X509_VERIFY_PARAM_set1_host(param, name, 0) &&
                              SSL_set_tlsext_host_name(s->ssl, name);
    if (ok && set_alpn(s))
        return s;
    tls_session_free(s); /* without a name to check there would be no check */
    return NULL;
}

void tls_session_offer(struct tls_session *s, struct span protocol)
{
    must(protocol.len < sizeof s->offered);
    s->offered_len = 0;
    if (protocol.len == 0)
        return;
    s->offered[0] = (uint8_t)protocol.len;
    memcpy(s->offered + 1, protocol.data, protocol.len);
    s->offered_len = (uint8_t)(1 + protocol.len);
}

struct tls_session *tls_session_greet(struct tls_context *c, const struct tls_greeting *g)
{
    must(!c->server && g->protocols.len <= sizeof((struct tls_session *)0)->offered);
    struct tls_session *s = session_new(c);
    if (!s)
        return NULL;
    s->without_certificate = g->without_certificate;
    s->offered_len = (uint8_t)g->protocols.len;
    if (g->protocols.len)
        memcpy(s->offered, g->protocols.data, g->protocols.len);
    SSL_set_connect_state(s->ssl);
    SSL_set_tlsext_status_type(s->ssl, TLSEXT_STATUSTYPE_ocsp);
    if ((!g->sni || SSL_set_tlsext_host_name(s->ssl, g->sni) == 1) && set_alpn(s) &&
        (!g->ticket || SSL_set_session(s->ssl, g->ticket->session) == 1))
        return s;
    tls_session_free(s);
    return NULL;
}

void tls_session_free(struct tls_session *take_s)
{
    if (!take_s)
        return;
    for (size_t i = 0; i < TICKETS_KEPT; i++)
        SSL_SESSION_free(take_s->tickets[i]);
    X509_free(take_s->refused);
    OPENSSL_free((void *)(uintptr_t)take_s->scts.data);
    if (take_s->state == TLS_OPEN) /* else a session whose end was only cut off couldn't be taken up */
        SSL_set_shutdown(take_s->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(take_s->ssl);
    tls_context_free(take_s->context);
    buf_free(&take_s->in);
    buf_free(&take_s->out);
    free(take_s);
}

static enum tls_state fail(struct tls_session *s, const char *text)
{
    bool server = s->context->server;
    long verified = server ? s->refused_error : SSL_get_verify_result(s->ssl);
    bool none = server && ERR_GET_REASON(ERR_peek_error()) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE;
    if (s->state == TLS_HANDSHAKING && verified != X509_V_OK) {
        s->certificate_failed = true;
        snprintf(s->error, sizeof s->error, "the %s's certificate: %s", server ? "client" : "server",
                 X509_verify_cert_error_string(verified));
    } else if (none) {
        s->certificate_failed = true;
        snprintf(s->error, sizeof s->error, "the client shows no certificate");
    } else {
        snprintf(s->error, sizeof s->error, "%s", text);
    }
    s->state = TLS_FAILED;
    ERR_clear_error();
    return s->state;
}

static enum tls_state fail_with_reason(struct tls_session *s)
{
    const char *text = ERR_reason_error_string(ERR_peek_error());
    return fail(s, text ? text : "an unknown error");
}

/* OpenSSL 3.0's client takes whatever protocol the server names (RFC 7301, 3.1 forbids another than offered). */
static bool alpn_is_ours(const struct tls_session *s)
{
    const unsigned char *name;
    unsigned len;
    SSL_get0_alpn_selected(s->ssl, &name, &len);
    return len == 0 || is_offered(span_of(s->offered, s->offered_len), span_of(name, len));
}

enum tls_state tls_session_handshake(struct tls_session *s)
{
    if (s->state != TLS_HANDSHAKING)
        return s->state;
    ERR_clear_error();
    int result = SSL_do_handshake(s->ssl);
    if (result == 1)
        return alpn_is_ours(s) ? (s->state = TLS_OPEN)
                               : fail(s, "the server chose a protocol that was not offered");
    int error = SSL_get_error(s->ssl, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return s->state;
    if (error == SSL_ERROR_WANT_X509_LOOKUP)
        return fail(s, "the server asks for a client certificate");
    return fail_with_reason(s);
}

enum tls_state tls_session_receive(struct tls_session *s, struct span wire_bytes)
{
    if (s->state == TLS_FAILED)
        return s->state;
    if (buf_append(&s->in, wire_bytes.data, wire_bytes.len) != 0)
        return fail(s, "more was received than is being read");
    return tls_session_handshake(s);
}

ssize_t tls_session_read(struct tls_session *s, void *ret_data, size_t size)
{
    if (s->state != TLS_OPEN)
        return s->state == TLS_FAILED ? TLS_IO_FAILED : TLS_IO_AGAIN;
    ERR_clear_error();
    size_t got = 0;
    int result = SSL_read_ex(s->ssl, ret_data, size, &got);
    if (result == 1)
        return (ssize_t)got;
    int error = SSL_get_error(s->ssl, result);
    if (error == SSL_ERROR_ZERO_RETURN)
        return 0;
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return TLS_IO_AGAIN;
    fail(s, openssl_reason());
    return TLS_IO_FAILED;
}

ssize_t tls_session_write(struct tls_session *s, const void *data, size_t len)
{
    if (s->state != TLS_OPEN)
        return s->state == TLS_FAILED ? TLS_IO_FAILED : TLS_IO_AGAIN;
    size_t wire = len + (len / SSL3_RT_MAX_PLAIN_LENGTH + 1) * RECORD_OVERHEAD_BYTES;
    must(wire <= OUT_WRITE_BYTES); /* the caller's buffers are smaller */
    if (len == 0)
        return 0;
    if (buf_len(&s->out) + wire > OUT_WRITE_BYTES)
        return TLS_IO_AGAIN;
    ERR_clear_error();
    size_t put = 0;
    int result = SSL_write_ex(s->ssl, data, len, &put);
    if (result == 1)
        return (ssize_t)put;
    int error = SSL_get_error(s->ssl, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return TLS_IO_AGAIN;
    fail(s, openssl_reason());
    return TLS_IO_FAILED;
}

void tls_session_finish(struct tls_session *s)
{
    if (s->state != TLS_OPEN)
        return;
    ERR_clear_error();
    SSL_shutdown(s->ssl); /* its answer speaks of the peer's close_notify, which read reports */
    ERR_clear_error();
}

struct span tls_session_outgoing(struct tls_session *s)
{
    return buf_span(&s->out);
}

void tls_session_sent(struct tls_session *s, size_t bytes)
{
    buf_consume(&s->out, bytes);
}

const char *tls_session_error(const struct tls_session *s)
{
    return s->error;
}

bool tls_session_certificate_failed(const struct tls_session *s)
{
    return s->certificate_failed;
}

bool tls_session_certificate_wanted(const struct tls_session *s)
{
    return s->certificate_wanted;
}

struct chain *tls_session_chain(const struct tls_session *s)
{
    const STACK_OF(X509) *certificates = SSL_get_peer_cert_chain(s->ssl);
    int count = certificates ? sk_X509_num(certificates) : 0;
    struct span *spans = calloc((size_t)count + 1, sizeof *spans);
    bool ok = true;
    if (!spans)
        return NULL;
    for (int i = 0; ok && i < count; i++) {
        unsigned char *der = NULL;
        int len = i2d_X509(sk_X509_value(certificates, i), &der);
        spans[i] = span_of(der, len > 0 ? (size_t)len : 0);
        ok = len > 0;
    }
    struct chain *chain = ok ? chain_parse_der(spans, (size_t)count, NULL) : NULL;
    for (int i = 0; spans && i < count; i++)
        OPENSSL_free((void *)(uintptr_t)spans[i].data);
    free(spans);
    ERR_clear_error();
    return chain;
}

struct chain *tls_session_client(const struct tls_session *s)
{
    X509 *client = s->refused ? s->refused : SSL_get0_peer_certificate(s->ssl);
    unsigned char *der = NULL;
    int len = client && s->context->server ? i2d_X509(client, &der) : 0;
    const struct span one = span_of(der, len > 0 ? (size_t)len : 0);
    struct chain *chain = len > 0 ? chain_parse_der(&one, 1, NULL) : NULL;
    OPENSSL_free(der);
    ERR_clear_error();
    return chain;
}

bool tls_session_client_fits(const struct tls_session *s, const struct tls_context *now)
{
    return now && memcmp(s->context->clients, now->clients, sizeof now->clients) == 0;
}

struct span tls_session_staple(const struct tls_session *s)
{
    const unsigned char *der = NULL;
    long len = SSL_get_tlsext_status_ocsp_resp(s->ssl, &der);
    return len > 0 ? span_of(der, (size_t)len) : span_of(NULL, 0);
}

struct span tls_session_scts(struct tls_session *s)
{
    if (!s->scts.data)
        s->scts = scts_received(s->ssl);
    return s->scts;
}

struct span tls_session_protocol(const struct tls_session *s)
{
    const unsigned char *name;
    unsigned len;
    SSL_get0_alpn_selected(s->ssl, &name, &len);
    return span_of(name, len);
}

bool tls_session_resumed(const struct tls_session *s)
{
    return SSL_session_reused(s->ssl) == 1;
}

static struct tls_ticket *ticket_new(SSL_SESSION *take_session)
{
    struct tls_ticket *t = malloc(sizeof *t);
    if (t)
        t->session = take_session;
    else
        SSL_SESSION_free(take_session);
    return t;
}

struct tls_ticket *tls_session_take_ticket(struct tls_session *s)
{
    for (size_t at = TICKETS_KEPT; at-- > 0;) {
        SSL_SESSION *session = s->tickets[at];
        s->tickets[at] = NULL;
        if (session)
            return ticket_new(session);
    }
    return NULL;
}

struct tls_ticket *tls_ticket_ref(const struct tls_ticket *t)
{
    SSL_SESSION_up_ref(t->session);
    return ticket_new(t->session);
}

void tls_ticket_free(struct tls_ticket *take_t)
{
    if (!take_t)
        return;
    SSL_SESSION_free(take_t->session);
    free(take_t);
}

bool tls_ticket_is_single_use(const struct tls_ticket *t)
{
    return SSL_SESSION_get_protocol_version(t->session) >= TLS1_3_VERSION;
}

uint64_t tls_ticket_life_ms(const struct tls_ticket *t)
{
    return (uint64_t)SSL_SESSION_get_ticket_lifetime_hint(t->session) * 1000;
}

int tls_session_alert(const struct tls_session *s)
{
    return s->alert;
}

const char *tls_session_version(const struct tls_session *s)
{
    if (!SSL_is_init_finished(s->ssl))
        return NULL;
    int version = SSL_version(s->ssl);
    return version == TLS1_3_VERSION ? "1.3" : version == TLS1_2_VERSION ? "1.2" : NULL;
}

const char *tls_session_cipher(const struct tls_session *s)
{
    return SSL_is_init_finished(s->ssl) ? SSL_get_cipher_name(s->ssl) : NULL;
}
