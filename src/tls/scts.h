/* scts.h: timestamps (SCTs, RFC 6962) that a server sends beside its certificate, in a TLS extension: asked for, and taken out of OpenSSL as the
 * list that was sent. tls/'s own. */
#ifndef EXEAT_TLS_SCTS_H
#define EXEAT_TLS_SCTS_H

#include "base/span.h"

#include <openssl/ssl.h>

/* Clients of this context ask for them; nothing hangs on what comes. */
void scts_ask(SSL_CTX *ctx);
/* After the handshake: the list, which the caller gives back with OPENSSL_free(); empty: none came. */
struct span scts_received(SSL *ssl);

#endif
