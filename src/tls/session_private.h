/* session_private.h: contexts with OpenSSL's types, for those files of tls/ that make them. */
#ifndef EXEAT_TLS_SESSION_PRIVATE_H
#define EXEAT_TLS_SESSION_PRIVATE_H

#include "tls/session.h"

#include <openssl/ssl.h>
#include <stdatomic.h>

struct tls_context {
    atomic_uint refs;   /* its owner's, and one a session */
    SSL_CTX *ctx;       /* owned */
    BIO_METHOD *method; /* owned: must outlive every session's BIO */
    const char
        *protocol; /* what every session of it offers, unless told otherwise; lives for ever; NULL: none */
    bool server;
};

/* TLS 1.2 and 1.3, no renegotiation, no compression; a server's answers ALPN with what its session offers. NULL with reterr. */
struct tls_context *tls_context_new(bool server, struct err *reterr);

#endif
