/* clients.h: who may connect to a TLS listener: clients are asked for a certificate, and those that show one of another CA, an ended or
 * a revoked one are refused in the handshake. run/ calls in once a snapshot; tls_session_client() says who it was.
 *
 * Every certificate of the CA file is an anchor, an intermediate too: what it signed for clients is accepted (RFC 5280; extended key
 * usage clientAuth or none). Tickets hold the certificate; they are of one context, so none outlives a reload, and one whose
 * certificate has ended meanwhile is not taken. Touches the files named; handshakes the clock. */
#ifndef EXEAT_TLS_CLIENTS_H
#define EXEAT_TLS_CLIENTS_H

#include "tls/session.h"

struct tls_client_rules {
    const char *ca_file;  /* PEM */
    const char *crl_file; /* PEM: a list of each CA in clients' chains; NULL: none is looked at */
    bool required;        /* else one may show none */
};

/* `c` from tls_context_new_server(), before its first session. 0, or -1 with reterr. */
int tls_context_ask_clients(struct tls_context *c, const struct tls_client_rules *r, struct err *reterr);

#endif
