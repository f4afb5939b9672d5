/* session.h: one TLS session as bytes in, bytes out: OpenSSL over memory BIOs, no sockets. flow/ calls in (TLS to the proxy
 * itself; the proxy's own TLS to the server of an https:// request); tested and fuzzed without a network. No OpenSSL type
 * shows. A context is immutable and shared by the sessions of a snapshot; sessions belong to one worker. */
#ifndef EXEAT_TLS_SESSION_H
#define EXEAT_TLS_SESSION_H

#include "base/err.h"
#include "base/span.h"
#include "tls/chain.h"

#include <sys/types.h>

struct tls_context; /* counted: freed with its last session */
struct tls_session;

/* The proxy's own certificate (PEM chain) and key file. TLS 1.2 and 1.3, ALPN offers http/1.1 only. NULL with reterr. */
struct tls_context *tls_context_new_server(const char *certificate_file, const char *key_file,
                                           struct err *reterr);
/* Verifies servers against the system's roots and, when not NULL, those of `ca_file` (PEM) too. NULL with reterr. */
struct tls_context *tls_context_new_client(const char *ca_file, struct err *reterr);
/* Speaks to servers for a client that is inspected: nothing is verified here, the caller judges tls_session_chain(). NULL with
 * reterr. */
struct tls_context *tls_context_new_unverified(struct err *reterr);
void tls_context_free(struct tls_context *take_c);

struct tls_session *tls_session_accept(struct tls_context *c);
/* Before the handshake: the one application protocol that the client is told, when it offers it; "" (the default where the
 * context was made by tls/mint): none, and ALPN is not answered. */
void tls_session_offer(struct tls_session *s, struct span protocol);

/* What a server gave so that its session can be taken up by another connection, with the chain of the handshake that began it. */
struct tls_ticket;
struct tls_ticket *
tls_ticket_ref(const struct tls_ticket *t);      /* another, to be freed as well; NULL without memory */
void tls_ticket_free(struct tls_ticket *take_t); /* NULL is fine */
/* TLS 1.3: whoever used it twice could be told to be the same client (RFC 8446, C.4). */
bool tls_ticket_is_single_use(const struct tls_ticket *t);
uint64_t tls_ticket_life_ms(const struct tls_ticket *t); /* as the server wishes; 0: it didn't say */

/* What a client that is inspected would have said. */
struct tls_greeting {
    const char *sni; /* NULL: none, as with addresses */
    struct span
        protocols; /* ALPN as in the extension (RFC 7301, 3.1: each with its length in front); empty: none */
    const struct tls_ticket *ticket; /* borrowed for the call; NULL: a full handshake */
    bool
        without_certificate; /* asked for a client certificate, answer with none; else the handshake fails for it */
};
/* `c` from tls_context_new_unverified(). */
struct tls_session *tls_session_greet(struct tls_context *c, const struct tls_greeting *greeting);

/* `name` is a canonical host name or address text: sent as SNI when a name, and verified (SAN only, no CN fallback). */
struct tls_session *tls_session_connect(struct tls_context *c, const char *name, bool name_is_ip);
void tls_session_free(struct tls_session *take_s);

enum tls_state { TLS_HANDSHAKING, TLS_OPEN, TLS_FAILED };

/* Takes bytes from the wire and drives the handshake. Everything is taken; the caller bounds what it gives (<= 64 KiB). */
enum tls_state tls_session_receive(struct tls_session *s, struct span wire_bytes);

/* Starts a client's handshake (makes its hello), or goes on with one. */
enum tls_state tls_session_handshake(struct tls_session *s);

/* Plaintext; >0 bytes, 0 at close_notify, or: */
enum { TLS_IO_AGAIN = -1, TLS_IO_FAILED = -2 };
ssize_t tls_session_read(struct tls_session *s, void *ret_data, size_t size);
ssize_t tls_session_write(struct tls_session *s, const void *data,
                          size_t len);          /* takes all, or says AGAIN/FAILED */
void tls_session_finish(struct tls_session *s); /* queues close_notify */

/* What must be written to the wire: a view until the next call; then say how much went out. */
struct span tls_session_outgoing(struct tls_session *s);
void tls_session_sent(struct tls_session *s, size_t bytes);

/* Why TLS_FAILED: one sentence; and whether it was the peer's certificate, or its absence. */
const char *tls_session_error(const struct tls_session *s);
bool tls_session_certificate_failed(const struct tls_session *s);
/* The server asked for a client certificate. */
bool tls_session_certificate_wanted(const struct tls_session *s);
/* What the server sent, leaf first, also when it was resumed. NULL without memory; the caller frees it. */
struct chain *tls_session_chain(const struct tls_session *s);
/* The certificate that the client showed, alone, also when it was refused or the session was resumed. NULL: none (or no memory); the caller
 * frees it. See clients.h. */
struct chain *tls_session_client(const struct tls_session *s);
/* Was the client asked for what `now` asks for? `now` may be NULL. */
bool tls_session_client_fits(const struct tls_session *s, const struct tls_context *now);
/* The stapled OCSP response (DER); empty: none. A view into the session. */
struct span tls_session_staple(const struct tls_session *s);
/* The list of timestamps that the server sent in a TLS extension; empty: none. A view into the session. */
struct span tls_session_scts(struct tls_session *s);
struct span
tls_session_protocol(const struct tls_session *s); /* ALPN's choice; empty: none. A view into the session */
bool tls_session_resumed(const struct tls_session *s);
/* What came since the last call, the latest first; NULL: nothing (more). Those of a session that was resumed are as old as the first. */
struct tls_ticket *tls_session_take_ticket(struct tls_session *s);
/* The fatal alert that the peer sent, RFC 8446, 6; -1: none. */
int tls_session_alert(const struct tls_session *s);
const char *tls_session_version(const struct tls_session *s); /* "1.2", "1.3" or NULL */
const char *tls_session_cipher(const struct tls_session *s);  /* OpenSSL's name or NULL */

#endif
