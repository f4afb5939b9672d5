/* staple.h: the OCSP response (RFC 6960) that clients of terminated tunnels are given about our leaf, in place of the server's, which is
 * about another certificate. It says "good" for no longer than the server's did: what that said has been judged (chain_ocsp.c).
 * The signing process signs it, with the CA's key; flow/ puts it into the context. Touches memory, OpenSSL's random source. */
#ifndef EXEAT_TLS_STAPLE_H
#define EXEAT_TLS_STAPLE_H

#include "base/buf.h"
#include "tls/ca.h"
#include "tls/session.h"

enum { STAPLE_LIFE_MAX_S = 24 * 3600, STAPLE_MAX_BYTES = 4096 };

/* Appends a response about `leaf` (DER), if this CA signed it and it is valid now. The response ends at `until_s`, with the leaf or
 * after STAPLE_LIFE_MAX_S, whichever comes first. 0, or -1 with *ret_why, a sentence that lives for ever. */
int staple_sign(const struct ca *ca_with_key, struct span leaf, int64_t until_s, int64_t now_s,
                struct buf *ret, const char **ret_why);

/* Sessions of `c` (mint_context()) give it to clients that ask (status_request, RFC 6066, 8). Those verify it with the CA's certificate,
 * so that is sent, too, though it may be a root. 0, or -1 with reterr. */
int staple_show(struct tls_context *c, struct span response, const struct ca *ca, struct err *reterr);

#endif
