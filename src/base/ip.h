/* ip.h: IP addresses and networks as plain values. IPv4-mapped IPv6 (RFC 4291, 2.5.5.2) always folds to IPv4, so
 * that one address has one form everywhere. Pure: no socket types. */
#ifndef EXEAT_BASE_IP_H
#define EXEAT_BASE_IP_H

#include "base/span.h"

struct ip {
    uint8_t version;   /* 4, 6, or 0 for none */
    uint8_t bytes[16]; /* network order; the first 4 for IPv4, the rest zero */
};

struct endpoint {
    struct ip ip;
    uint16_t port; /* host order */
};

struct ip_network {
    struct ip ip;   /* host bits are zero */
    uint8_t prefix; /* bits: 0..32 or 0..128 */
};

enum { IP_TEXT_BYTES = 46, ENDPOINT_TEXT_BYTES = 54 }; /* with the NUL */

/* Strict: IPv4 as exactly four plain decimals without leading zeros; IPv6 per RFC 4291 without a zone id and
 * without brackets. False leaves *ret untouched. */
bool ip_parse(struct span text, struct ip *ret);
/* "10.0.0.0/8", "::1/128", or a bare address (full prefix). Host bits set is false: it hides a typing error. */
bool ip_network_parse(struct span text, struct ip_network *ret);
/* "1.2.3.4:80", "[::1]:80". */
bool endpoint_parse(struct span text, struct endpoint *ret);

/* Canonical text (RFC 5952); returns out. */
char *ip_format(const struct ip *ip, char out[IP_TEXT_BYTES]);
char *endpoint_format(const struct endpoint *e, char out[ENDPOINT_TEXT_BYTES]);

bool ip_equal(const struct ip *a, const struct ip *b);
bool ip_in(const struct ip *ip, const struct ip_network *net);
/* From raw network-order bytes (4 or 16); folds IPv4-mapped. */
struct ip ip_from_bytes(const uint8_t *bytes, size_t len);

/* Why an address must not be dialled unless configuration allows its network: the name of the special-purpose
 * range (RFC 6890 and its registry: "loopback", "private", "link_local", "cgnat", "multicast", ...), or NULL for
 * ordinary global unicast. IPv4 inside NAT64 (RFC 6052, 64:ff9b::/96) is judged as that IPv4; 6to4 and Teredo are
 * refused as themselves. */
const char *ip_special_range(const struct ip *ip);

#endif
