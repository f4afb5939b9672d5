/* http1_target.h: the four forms of a request target (RFC 9112, 3.2) and host[:port] as a client writes it. The
 * characters are checked here, the canonical form of the host is wire/host's business. Called by http1_lint.c,
 * http1_field.c and http1.c. Pure. */
#ifndef EXEAT_WIRE_HTTP1_TARGET_H
#define EXEAT_WIRE_HTTP1_TARGET_H

#include "wire/http1.h"

/* `raw` holds only bytes 0x21..0x7e other than '#'. HTTP1_NO_FAULT fills *ret; else *ret_offset is the place in raw. */
enum http1_fault http1_target_parse(struct span method, struct span raw, struct http1_target *ret,
                                    size_t *ret_offset);

/* host [":" port]: letters, digits, '.', '-', '_', or an IPv6 address in brackets; port 1..65535 without leading
 * zeros. *ret_port is left alone when there is none. */
bool http1_authority_parse(struct span text, struct span *ret_host, uint16_t *ret_port, bool *ret_has_port);

#endif
