/* probe.c: see probe.h. Memory only; no sockets, no files after tls_prober_new(). */
#include "tls/probe.h"

#include "base/must.h"
#include "tls/scts.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>

enum { SUITES_TEXT_BYTES = 8192, GROUPS_MAX = 16, CERTIFICATES_MAX_BYTES = 384 << 10 };

struct tls_prober {
    SSL_CTX *ctx; /* owned, counted by its SSLs */
};

struct tls_probe {
    SSL *ssl;     /* owned, and its BIOs with it */
    size_t bytes; /* received */
    enum tls_probe_state state;
    struct span scts; /* owned (OpenSSL's memory), once they were asked for */
    char error[192];
};

static int accept_all(X509_STORE_CTX *store, void *unused)
{
    (void)store, (void)unused;
    return 1;
}

struct tls_prober *tls_prober_new(struct err *reterr)
{
    struct tls_prober *p = calloc(1, sizeof *p);
    SSL_CTX *c = p ? SSL_CTX_new(TLS_client_method()) : NULL;
    if (!c || SSL_CTX_set_cipher_list(c, "ALL:COMPLEMENTOFALL:@SECLEVEL=0") != 1) {
        err_set(reterr, NULL, 0, 0, "TLS cannot be set up");
        ERR_clear_error();
        SSL_CTX_free(c);
        free(p);
        return NULL;
    }
    SSL_CTX_set_security_level(c, 0);
    SSL_CTX_set_min_proto_version(c, TLS1_VERSION);
    SSL_CTX_set_cert_verify_callback(c, accept_all, NULL);
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(c, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_LEGACY_SERVER_CONNECT |
                               SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_max_cert_list(c, CERTIFICATES_MAX_BYTES);
    scts_ask(c);
    p->ctx = c;
    return p;
}

void tls_prober_free(struct tls_prober *take_p)
{
    if (take_p)
        SSL_CTX_free(take_p->ctx);
    free(take_p);
}

/* ---- the offer ---- */

static void offer_suites(SSL *ssl, struct span suites)
{
    char old[SUITES_TEXT_BYTES] = "", new[SUITES_TEXT_BYTES] = "";
    for (size_t i = 0; i + 1 < suites.len; i += 2) {
        const SSL_CIPHER *c = SSL_CIPHER_find(ssl, suites.data + i);
        const char *name = c ? SSL_CIPHER_get_name(c) : NULL;
        char *text = name && strncmp(name, "TLS_", 4) == 0 ? new : old;
        size_t len = strlen(text);
        if (name)
            snprintf(text + len, SUITES_TEXT_BYTES - len, "%s%s", len ? ":" : "", name);
    }
    if (new[0])
        SSL_set_ciphersuites(ssl, new);
    strncat(old, old[0] ? ":@SECLEVEL=0" : "", sizeof old - strlen(old) - 1);
    if (old[0])
        SSL_set_cipher_list(ssl, old);
}

static void offer_groups(SSL *ssl, struct span groups)
{
    static const struct {
        uint16_t group;
        int nid;
    } known[] = {{23, NID_X9_62_prime256v1},
                 {24, NID_secp384r1},
                 {25, NID_secp521r1},
                 {29, NID_X25519},
                 {30, NID_X448}};
    int nids[GROUPS_MAX];
    size_t count = 0;
    for (size_t i = 0; i + 1 < groups.len && count < GROUPS_MAX; i += 2)
        for (size_t k = 0; k < ARRAY_LEN(known); k++)
            if (known[k].group == (groups.data[i] << 8 | groups.data[i + 1]) && count < GROUPS_MAX)
                nids[count++] = known[k].nid;
    if (count > 0)
        SSL_set1_groups(ssl, nids, (int)count);
}

struct tls_probe *tls_probe_new(struct tls_prober *prober, const struct tls_offer *offer)
{
    ERR_clear_error();
    struct tls_probe *p = calloc(1, sizeof *p);
    SSL *ssl = p ? SSL_new(prober->ctx) : NULL;
    BIO *in = ssl ? BIO_new(BIO_s_mem()) : NULL, *out = in ? BIO_new(BIO_s_mem()) : NULL;
    if (!out) {
        BIO_free(in);
        SSL_free(ssl);
        free(p);
        return NULL;
    }
    p->ssl = ssl;
    SSL_set_bio(ssl, in, out);
    SSL_set_connect_state(ssl);
    if (offer->min_version)
        SSL_set_min_proto_version(ssl, offer->min_version);
    if (offer->max_version)
        SSL_set_max_proto_version(ssl, offer->max_version);
    offer_suites(ssl, offer->suites);
    offer_groups(ssl, offer->groups);
    if (offer->name)
        SSL_set_tlsext_host_name(ssl, offer->name);
    if (offer->alpn.len)
        SSL_set_alpn_protos(ssl, offer->alpn.data, (unsigned)offer->alpn.len);
    SSL_set_tlsext_status_type(ssl, TLSEXT_STATUSTYPE_ocsp);
    ERR_clear_error(); /* an offer that OpenSSL can't make is made smaller */
    return p;
}

void tls_probe_free(struct tls_probe *take_p)
{
    if (take_p) {
        OPENSSL_free((void *)(uintptr_t)take_p->scts.data);
        SSL_free(take_p->ssl);
    }
    free(take_p);
}

/* ---- talking ---- */

static enum tls_probe_state fail(struct tls_probe *p, const char *text)
{
    snprintf(p->error, sizeof p->error, "%s", text ? text : "an unknown error");
    ERR_clear_error();
    return p->state = TLS_PROBE_FAILED;
}

enum tls_probe_state tls_probe_receive(struct tls_probe *p, struct span wire_bytes)
{
    if (p->state != TLS_PROBE_TALKING)
        return p->state;
    p->bytes += wire_bytes.len;
    if (p->bytes > TLS_PROBE_BYTES_MAX)
        return fail(p, "the server's handshake does not end");
    ERR_clear_error();
    if (wire_bytes.len > 0 && BIO_write(SSL_get_rbio(p->ssl), wire_bytes.data, (int)wire_bytes.len) <= 0)
        return fail(p, "no memory");
    int result = SSL_do_handshake(p->ssl);
    if (result == 1) {
        SSL_shutdown(p->ssl);
        ERR_clear_error();
        return p->state = TLS_PROBE_DONE;
    }
    int error = SSL_get_error(p->ssl, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return p->state;
    return fail(p, ERR_reason_error_string(ERR_peek_error()));
}

size_t tls_probe_send(struct tls_probe *p, void *ret_data, size_t size)
{
    int n = BIO_read(SSL_get_wbio(p->ssl), ret_data, size > INT32_MAX ? INT32_MAX : (int)size);
    return n > 0 ? (size_t)n : 0;
}

/* ---- what came of it ---- */

struct chain *tls_probe_take_chain(struct tls_probe *p)
{
    struct span der[CHAIN_CERTIFICATES_MAX + 1];
    STACK_OF(X509) *sent = SSL_get_peer_cert_chain(p->ssl);
    size_t count = 0;
    for (int i = 0; sent && i < sk_X509_num(sent) && count < ARRAY_LEN(der); i++) {
        unsigned char *bytes = NULL;
        int len = i2d_X509(sk_X509_value(sent, i), &bytes); /* as received: the encoding is kept */
        if (len > 0)
            der[count++] = span_of(bytes, (size_t)len);
    }
    struct err err = {0};
    struct chain *c = chain_parse_der(der, count, &err);
    for (size_t i = 0; i < count; i++)
        OPENSSL_free((void *)(uintptr_t)der[i].data);
    ERR_clear_error();
    return c;
}

struct span tls_probe_ocsp(const struct tls_probe *p)
{
    const unsigned char *data = NULL;
    long len = SSL_get_tlsext_status_ocsp_resp(p->ssl, &data);
    return len > 0 && data ? span_of(data, (size_t)len) : (struct span){NULL, 0};
}

struct span tls_probe_scts(struct tls_probe *p)
{
    if (!p->scts.data)
        p->scts = scts_received(p->ssl);
    return p->scts;
}

const char *tls_probe_version(const struct tls_probe *p)
{
    static const char *const names[] = {"1.0", "1.1", "1.2", "1.3"};
    int version = SSL_version(p->ssl);
    return version >= TLS1_VERSION && version <= TLS1_3_VERSION ? names[version - TLS1_VERSION] : NULL;
}

const char *tls_probe_cipher(const struct tls_probe *p)
{
    const SSL_CIPHER *c = SSL_get_current_cipher(p->ssl);
    return c ? SSL_CIPHER_standard_name(c) : NULL;
}

struct span tls_probe_alpn(const struct tls_probe *p)
{
    const unsigned char *name;
    unsigned len;
    SSL_get0_alpn_selected(p->ssl, &name, &len);
    return span_of(name, len);
}

const char *tls_probe_error(const struct tls_probe *p)
{
    return p->error;
}
