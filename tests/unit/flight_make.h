/* flight_make.h: real handshakes for tests, made by OpenSSL in memory: a plan says which; what each side sent is kept in order. */
#ifndef EXEAT_TESTS_FLIGHT_MAKE_H
#define EXEAT_TESTS_FLIGHT_MAKE_H

#include "chain_make.h"
#include "wire/server_flight.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

enum { PIECES_MAX = 64 };

struct flight_plan {
    int version;         /* 0: 1.3 */
    const char *key;     /* of the server, as in chain_make.h; NULL: P-256 */
    const char *ciphers; /* TLS 1.2 and below; NULL: OpenSSL's */
    const char *server_groups, *client_groups;
    const char *alpn_wire; /* offered; the server takes the first */
    const char *staple;    /* bytes given as OCSP response */
    size_t extra_certificates;
    bool client_auth, no_tickets;
    SSL_SESSION **session; /* in: to resume when not NULL; out: what came of it, the caller's */
    bool early_data;
    bool client_distrusts; /* it ends with unknown_ca */
};

struct piece {
    enum flight_side side;
    struct buf bytes;
};

struct conversation {
    struct piece pieces[PIECES_MAX];
    size_t count;
    bool established;
};

static inline void conversation_free(struct conversation *c)
{
    for (size_t i = 0; i < c->count; i++)
        buf_free(&c->pieces[i].bytes);
    c->count = 0;
}

/* What one side has written goes to the other, and is kept. */
static inline size_t flight_carry(struct conversation *c, enum flight_side side, BIO *from, BIO *to)
{
    uint8_t data[65536];
    int n = BIO_read(from, data, sizeof data);
    if (n <= 0)
        return 0;
    BIO_write(to, data, n);
    must(c->count < PIECES_MAX);
    struct piece *p = &c->pieces[c->count++];
    p->side = side;
    buf_init(&p->bytes, 1 << 20);
    buf_append(&p->bytes, data, (size_t)n);
    return (size_t)n;
}

static inline int flight_staple(SSL *ssl, void *text)
{
    size_t len = strlen(text);
    SSL_set_tlsext_status_ocsp_resp(ssl, OPENSSL_memdup(text, len), (long)len);
    return SSL_TLSEXT_ERR_OK;
}

static inline int flight_choose_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_len,
                                     const unsigned char *offered, unsigned len, void *unused)
{
    (void)ssl, (void)len, (void)unused;
    *ret = offered + 1;
    *ret_len = offered[0];
    return SSL_TLSEXT_ERR_OK;
}

static inline int flight_accept_all(int good, X509_STORE_CTX *store)
{
    (void)good, (void)store;
    return 1;
}

static inline X509 *flight_certificate(const char *key)
{
    struct cert_plan plan = make_leaf;
    plan.key = key;
    struct span der = make_certificate(&plan);
    const unsigned char *at = der.data;
    X509 *x = d2i_X509(NULL, &at, (long)der.len);
    must(x);
    free((void *)(uintptr_t)der.data);
    return x;
}

static inline SSL_CTX *flight_context(const struct flight_plan *p, bool server)
{
    SSL_CTX *c = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    int version = p->version ? p->version : TLS1_3_VERSION;
    SSL_CTX_set_security_level(c, 0);
    SSL_CTX_set_min_proto_version(c, server ? version : 0);
    SSL_CTX_set_max_proto_version(c, version);
    SSL_CTX_set_cipher_list(c, p->ciphers ? p->ciphers : "ALL:@SECLEVEL=0");
    const char *groups = server ? p->server_groups : p->client_groups;
    if (groups)
        must(SSL_CTX_set1_groups_list(c, groups) == 1);
    if (p->no_tickets)
        SSL_CTX_set_options(c, SSL_OP_NO_TICKET);
    SSL_CTX_set_session_id_context(c, (const unsigned char *)"x", 1);
    if (server) {
        X509 *x = flight_certificate(p->key);
        must(SSL_CTX_use_certificate(c, x) == 1);
        SSL_CTX_use_PrivateKey(c, make_key(p->key ? p->key : "CN=a.test"));
        for (size_t i = 0; i < p->extra_certificates; i++)
            SSL_CTX_add1_chain_cert(c, x);
        X509_free(x);
        SSL_CTX_set_dh_auto(c, 1);
        SSL_CTX_set_max_early_data(c, 16384);
        SSL_CTX_set_alpn_select_cb(c, flight_choose_alpn, NULL);
        if (p->client_auth)
            SSL_CTX_set_verify(c, SSL_VERIFY_PEER, flight_accept_all);
        if (p->staple) {
            SSL_CTX_set_tlsext_status_cb(c, flight_staple);
            SSL_CTX_set_tlsext_status_arg(c, (void *)(uintptr_t)p->staple);
        }
    } else if (p->client_distrusts) {
        SSL_CTX_set_verify(c, SSL_VERIFY_PEER, NULL);
    }
    return c;
}

static inline void flight_talk(const struct flight_plan *p, SSL *client, SSL *server, struct conversation *c)
{
    char data[256];
    size_t got = 0;
    if (p->early_data)
        must(SSL_write_early_data(client, "early", 5, &got) == 1);
    for (int quiet = 0; quiet < 2;) {
        if (p->early_data && !SSL_is_init_finished(server))
            SSL_read_early_data(server, data, sizeof data, &got);
        SSL_do_handshake(client);
        size_t moved = flight_carry(c, FLIGHT_CLIENT, SSL_get_wbio(client), SSL_get_rbio(server));
        if (SSL_is_init_finished(server))
            SSL_read(server, data, sizeof data);
        else
            SSL_do_handshake(server);
        moved += flight_carry(c, FLIGHT_SERVER, SSL_get_wbio(server), SSL_get_rbio(client));
        quiet = moved ? 0 : quiet + 1;
    }
    c->established = SSL_is_init_finished(client) && SSL_is_init_finished(server);
    if (c->established) {
        SSL_write(client, "hello", 5);
        flight_carry(c, FLIGHT_CLIENT, SSL_get_wbio(client), SSL_get_rbio(server));
        SSL_read(server, data, sizeof data);
        SSL_write(server, "answer", 6);
        flight_carry(c, FLIGHT_SERVER, SSL_get_wbio(server), SSL_get_rbio(client));
        SSL_read(client, data, sizeof data);
    }
}

/* `server_context` survives between two calls of one session: NULL the first time. */
static inline void flight_converse(const struct flight_plan *p, SSL_CTX **server_context,
                                   struct conversation *c)
{
    SSL_CTX *cc = flight_context(p, false);
    SSL_CTX *sc = server_context && *server_context ? *server_context : flight_context(p, true);
    SSL *client = SSL_new(cc), *server = SSL_new(sc);
    SSL_set_bio(client, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_bio(server, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    SSL_set_tlsext_host_name(client, "a.test");
    if (p->alpn_wire)
        SSL_set_alpn_protos(client, (const unsigned char *)p->alpn_wire, (unsigned)strlen(p->alpn_wire));
    if (p->staple)
        SSL_set_tlsext_status_type(client, TLSEXT_STATUSTYPE_ocsp);
    if (p->client_auth) {
        X509 *x = flight_certificate(NULL);
        SSL_use_certificate(client, x);
        SSL_use_PrivateKey(client, make_key("CN=a.test"));
        X509_free(x);
    }
    if (p->session && *p->session)
        SSL_set_session(client, *p->session);
    *c = (struct conversation){0};
    flight_talk(p, client, server, c);
    if (p->session) {
        SSL_SESSION_free(*p->session);
        *p->session = SSL_get1_session(client);
    }
    SSL_set_shutdown(client,
                     SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); /* else the session can't be resumed */
    SSL_set_shutdown(server, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(client);
    SSL_free(server);
    SSL_CTX_free(cc);
    if (server_context)
        *server_context = sc;
    else
        SSL_CTX_free(sc);
    ERR_clear_error();
}

/* Everything that was said, `step` bytes at a time (0: as it was said). The last answer. */
static inline enum parse flight_replay(struct flight *f, const struct conversation *c, size_t step)
{
    enum parse answer = PARSE_MORE;
    for (size_t i = 0; i < c->count; i++) {
        struct span s = buf_span(&c->pieces[i].bytes);
        for (size_t at = 0; at < s.len;) {
            size_t len = step && step < s.len - at ? step : s.len - at;
            answer = flight_feed(f, c->pieces[i].side, span_of(s.data + at, len));
            at += len;
        }
    }
    return answer;
}

#endif
