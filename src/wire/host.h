/* host.h: the one canonical form of a host, used everywhere a host is compared: CONNECT, Host, SNI, baseline, parents,
 * rarity. What two parsers could read as different hosts is refused, not repaired. Pure. */
#ifndef EXEAT_WIRE_HOST_H
#define EXEAT_WIRE_HOST_H

#include "base/ip.h"

enum { HOST_NAME_BYTES = 254 }; /* 253 (RFC 1035, 2.3.4, without the root's dot) and the NUL */

/* X(ID, "name", "what is wrong, for people") */
#define HOST_FAULTS(X)                                                                                       \
    X(OK, "ok", "no fault")                                                                                  \
    X(EMPTY, "empty", "the host is empty")                                                                   \
    X(TOO_LONG, "too_long", "a name has at most 253 characters")                                             \
    X(LABEL_EMPTY, "label_empty", "a label is empty (two dots in a row, or a dot in front)")                 \
    X(LABEL_TOO_LONG, "label_too_long", "a label has at most 63 characters")                                 \
    X(HYPHEN, "hyphen", "a label begins or ends with a hyphen")                                              \
    X(NOT_ASCII, "not_ascii", "the name is not ASCII: use its A-label (xn--...)")                            \
    X(CHARACTER, "character", "a character that no host has")                                                \
    X(IPV4_FORM, "ipv4_form", "an IPv4 address is four plain decimals, a name doesn't end in a number")      \
    X(IPV6_FORM, "ipv6_form", "not an IPv6 address")                                                         \
    X(IPV6_ZONE, "ipv6_zone", "an IPv6 zone identifier means nothing to a proxy")                            \
    X(IPV6_BRACKETS, "ipv6_brackets", "an IPv6 address stands in brackets here")                             \
    X(PORT, "port", "a port is a decimal number from 1 to 65535")                                            \
    X(PORT_MISSING, "port_missing", "there is no port")

enum host_fault {
#define X(id, name, text) HOST_##id,
    HOST_FAULTS(X)
#undef X
        HOST_FAULT_COUNT
};

struct host {
    bool is_ip;
    uint8_t len;  /* of name */
    struct ip ip; /* version 0 when it is a name; IPv4-mapped IPv6 is folded */
    char name
        [HOST_NAME_BYTES]; /* lower case, no dot at the end; an address in its canonical text, no brackets */
};

/* As in an authority: a name, four plain decimals, or "[IPv6]". Exactly one dot at a name's end is removed; letters,
 * digits, hyphens and underscores make a label. HOST_OK (0), or why not; then *ret is untouched. */
enum host_fault host_canonical(struct span text, struct host *ret);

/* The same without brackets around IPv6, as people and SNI write it. */
enum host_fault host_canonical_bare(struct span text, struct host *ret);

/* "host", "host:port", "[v6]:port" (RFC 3986, 3.2; no userinfo). A port is 1 to 5 digits without a leading zero, 1 to
 * 65535; "host:" is refused. Without one *ret_port is `default_port`, or with default_port 0 it is HOST_PORT_MISSING.
 * ret_had_port may be NULL. Nothing is written unless HOST_OK. */
enum host_fault host_port_parse(struct span authority, uint16_t default_port, struct host *ret_host,
                                uint16_t *ret_port, bool *ret_had_port);

enum { AUTHORITY_TEXT_BYTES = HOST_NAME_BYTES + 8 }; /* brackets, colon, port */

/* "host:port", an IPv6 address in brackets; without the port when it is `default_port` (0: always with it). Returns out. */
char *host_port_format(const struct host *h, uint16_t port, uint16_t default_port,
                       char out[AUTHORITY_TEXT_BYTES]);

bool host_equal(const struct host *a, const struct host *b);

/* Is `h` the name `domain` (canonical) or a name below it? Never for an address. */
bool host_is_within(const struct host *h, const char *domain);

const char *host_fault_name(enum host_fault f);
const char *host_fault_text(enum host_fault f);

#endif
