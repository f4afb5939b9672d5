/* session_private.h: contexts with OpenSSL's types, for those files of tls/ that make them. */
#ifndef EXEAT_TLS_SESSION_PRIVATE_H
#define EXEAT_TLS_SESSION_PRIVATE_H

#include "tls/session.h"

#include <openssl/ssl.h>
#include <stdatomic.h>

enum { TLS_CLIENTS_MARK_BYTES = 32 };

struct tls_context {
    atomic_uint refs;   /* its owner's, and one a session */
    SSL_CTX *ctx;       /* owned */
    BIO_METHOD *method; /* owned: must outlive every session's BIO */
    const char
        *protocol; /* what every session of it offers, unless told otherwise; lives for ever; NULL: none */
    unsigned char *staple; /* owned by OpenSSL's allocator: the OCSP response for clients; NULL: none */
    size_t staple_len;
    bool server;
    uint8_t clients[TLS_CLIENTS_MARK_BYTES]; /* of what clients.c asks for; zeros: nothing */
};

/* clients.c refuses what a client showed; `certificate` may be NULL. The first error counts. */
void tls_session_note_refused(const SSL *ssl, X509 *certificate, int error);

/* TLS 1.2 and 1.3, no renegotiation, no compression; a server's answers ALPN with what its session offers. NULL with reterr. */
struct tls_context *tls_context_new(bool server, struct err *reterr);

#endif
