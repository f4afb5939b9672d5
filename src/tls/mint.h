/* mint.h: certificates for the client's side of a terminated flow: what the server showed, said again by the inspection CA.
 *
 * flow/ makes a request with mint_request(); the signing process looks at it with mint_sign(), which signs leaves for servers and
 * nothing else; flow/ puts the answer into a context for the client's session. A server that didn't verify gets mint_distrusted():
 * the same names and times, signed by nobody, so that the client's own check fails as it would have without us.
 *
 * Mimicked: subject, DNS and address names, times (never more than MINT_DAYS_MAX in all); must-staple (RFC 7633) where the server
 * stapled a good OCSP response, because then there is one for our leaf (staple.h). Touches memory, OpenSSL's random
 * source; no clock: the caller says what time it is. May be called from several threads. */
#ifndef EXEAT_TLS_MINT_H
#define EXEAT_TLS_MINT_H

#include "base/buf.h"
#include "base/err.h"
#include "tls/ca.h"
#include "tls/session.h"

enum {
    MINT_DAYS_MAX = 197,
    MINT_NAMES_MAX = 100, /* of a server's; the one asked for is always among them */
    MINT_CERTIFICATE_MAX_BYTES = 24 * 1024,
};

/* A leaf key and a throw-away issuer's, P-256; counted, immutable. */
struct mint_keys;
struct mint_keys *mint_keys_new(void); /* NULL without memory or random bytes */
struct mint_keys *mint_keys_ref(struct mint_keys *k);
void mint_keys_unref(struct mint_keys *take_k); /* NULL is fine */

struct mint_order {
    struct span leaf; /* DER of the server's leaf; empty: there is none, or it is not to be shown */
    const char *name; /* canonical host or address text: must be among the names of a trusted one */
    bool name_is_ip;
    int64_t now_s;
    bool
        must_staple; /* there will be an OCSP response: that the server's leaf demands one may be said again */
};

/* Appends the DER of a certificate that `ca` is to sign. 0, or -1 with reterr. */
int mint_request(const struct ca *ca, const struct mint_keys *k, const struct mint_order *o, struct buf *ret,
                 struct err *reterr);

/* Signs a request, if it is one: a P-256 leaf for servers by name or address, of this issuer, within the CA's own validity and
 * name constraints. 0, or -1 with *ret_why, a sentence that lives for ever. */
int mint_sign(const struct ca *ca_with_key, struct span request, int64_t now_s, struct buf *ret,
              const char **ret_why);

/* A certificate that no client trusts: names, times and issuer's name are the server's. Needs order->leaf. */
int mint_distrusted(const struct mint_keys *k, const struct mint_order *o, struct buf *ret,
                    struct err *reterr);

/* The context for sessions with clients: that certificate, its key, and the CA's issuers (`ca` NULL: none). Offers what
 * tls_session_offer() is told. NULL with reterr. */
struct tls_context *mint_context(struct span certificate, const struct mint_keys *k, const struct ca *ca,
                                 struct err *reterr);

#endif
