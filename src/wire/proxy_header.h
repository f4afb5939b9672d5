/* proxy_header.h: the PROXY protocol header (versions 1 and 2, the HAProxy project's specification of 2020/03/05) with which a
 * load balancer says who the client is. flow/preface.c calls in for connections from listed balancers only. Pure. */
#ifndef EXEAT_WIRE_PROXY_HEADER_H
#define EXEAT_WIRE_PROXY_HEADER_H

#include "base/ip.h"

enum {
    PROXY_HEADER_BYTES_MAX = 16 + 2048
}; /* v1 is at most 107; more TLVs in a v2 header than this are refused */

struct proxy_header {
    bool local; /* LOCAL or UNKNOWN: the balancer speaks for itself (a health check); no addresses */
    struct endpoint client, proxy; /* version 0 when local */
    size_t bytes;                  /* length of the header */
};

/* PARSE_BAD as soon as the bytes can't be a header; *ret is filled by PARSE_OK only. */
enum parse proxy_header_parse(struct span bytes, struct proxy_header *ret);

#endif
