/* clients.c: see clients.h. */
#include "tls/clients.h"

#include "base/buf.h"
#include "base/must.h"
#include "tls/digest.h"
#include "tls/session_private.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <string.h>

enum {
    AUTH_LEVEL = 2, /* 112 bits: no RSA below 2048, no SHA-1 */
    DEPTH_MAX = 8,  /* intermediates that a client may show */
    FILE_MAX_BYTES = 16 * 1024 * 1024,
};

/* OpenSSL's order: the first error ends the handshake, with the alert that says which. */
static int on_verified(int good, X509_STORE_CTX *store)
{
    const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    if (!good)
        tls_session_note_refused(ssl, X509_STORE_CTX_get0_cert(store), X509_STORE_CTX_get_error(store));
    return good;
}

/* RFC 5077, RFC 8446 4.2.11: the certificate is in the ticket, and was looked at when that was made. */
static SSL_TICKET_RETURN on_ticket(SSL *ssl, SSL_SESSION *session, const unsigned char *name, size_t name_len,
                                   SSL_TICKET_STATUS status, void *unused)
{
    (void)ssl, (void)name, (void)name_len, (void)unused;
    if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    const X509 *client = SSL_SESSION_get0_peer(session);
    if (client && X509_cmp_current_time(X509_get0_notAfter(client)) <= 0)
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

static int file_error(struct err *reterr, const char *file, const char *what)
{
    const char *why = ERR_reason_error_string(ERR_peek_error());
    err_set(reterr, file, 0, 0, "%s cannot be used: %s", what, why ? why : "an unknown error");
    ERR_clear_error();
    return -1;
}

static int append_file(const char *path, struct buf *ret, struct err *reterr)
{
    char piece[4096];
    FILE *f = fopen(path, "re");
    size_t n = 0;
    int result = f ? 0 : -1;
    while (result == 0 && (n = fread(piece, 1, sizeof piece, f)) > 0)
        result = buf_append(ret, piece, n);
    if (result != 0 || ferror(f))
        result = err_set(reterr, path, 0, 0, "cannot be read: %s", strerror(f && !ferror(f) ? EFBIG : errno));
    if (f)
        fclose(f);
    return result;
}

/* By what two contexts are known to ask for the same. */
static int read_mark(const struct tls_client_rules *r, uint8_t ret[TLS_CLIENTS_MARK_BYTES],
                     struct err *reterr)
{
    struct buf text;
    buf_init(&text, FILE_MAX_BYTES);
    buf_append_str(&text, r->required ? "required\n" : "optional\n");
    int result = append_file(r->ca_file, &text, reterr);
    if (result == 0 && r->crl_file)
        result = append_file(r->crl_file, &text, reterr);
    const struct span part = buf_span(&text);
    if (result == 0 && digest_sha256(&part, 1, ret) != 0)
        result = err_set(reterr, r->ca_file, 0, 0, "no memory");
    buf_free(&text);
    return result;
}

/* Whether the files are still what was read, too. */
static int set_mark(struct tls_context *c, const struct tls_client_rules *r,
                    const uint8_t before[TLS_CLIENTS_MARK_BYTES], struct err *reterr)
{
    if (read_mark(r, c->clients, reterr) != 0)
        return -1;
    if (memcmp(before, c->clients, sizeof c->clients) == 0)
        return 0;
    return err_set(reterr, r->ca_file, 0, 0, "the clients' CA changed while it was read: try again");
}

int tls_context_ask_clients(struct tls_context *c, const struct tls_client_rules *r, struct err *reterr)
{
    static const unsigned char name[] = "exeat";
    uint8_t mark[TLS_CLIENTS_MARK_BYTES];
    must(c->server);
    ERR_clear_error();
    X509_STORE *store = SSL_CTX_get_cert_store(c->ctx);
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(c->ctx);
    if (read_mark(r, mark, reterr) != 0)
        return -1;
    if (SSL_CTX_load_verify_file(c->ctx, r->ca_file) != 1)
        return file_error(reterr, r->ca_file, "the clients' CA");
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(r->ca_file);
    if (!names)
        return file_error(reterr, r->ca_file, "the clients' CA");
    SSL_CTX_set_client_CA_list(c->ctx, names);
    if (r->crl_file && X509_load_crl_file(X509_STORE_add_lookup(store, X509_LOOKUP_file()), r->crl_file,
                                          X509_FILETYPE_PEM) < 1)
        return file_error(reterr, r->crl_file, "the list of revoked certificates");
    unsigned long flags = X509_V_FLAG_PARTIAL_CHAIN;
    if (r->crl_file)
        flags |= X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL;
    X509_VERIFY_PARAM_set_flags(param, flags);
    X509_VERIFY_PARAM_set_auth_level(param, AUTH_LEVEL);
    SSL_CTX_set_verify_depth(c->ctx, DEPTH_MAX);
    SSL_CTX_set_session_id_context(c->ctx, name, sizeof name - 1);
    SSL_CTX_set_session_ticket_cb(c->ctx, NULL, on_ticket, NULL);
    SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER | (r->required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                       on_verified);
    return set_mark(c, r, mark, reterr);
}
