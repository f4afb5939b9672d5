/* server_hello.h: the parsed ServerHello, or HelloRetryRequest: views into the handshake message. Called by server_flight.c's users
 * (flow's CHAIN step), the probe's comparison and facts/. Allocates nothing; everything points into the message, which must outlive the
 * struct. Pure. RFC 8446 section 4.1.3, RFC 5246 section 7.4.1.3. */
#ifndef EXEAT_WIRE_SERVER_HELLO_H
#define EXEAT_WIRE_SERVER_HELLO_H

#include "wire/client_hello.h"

struct server_hello {
    struct span message; /* the whole handshake message; view into the caller's memory, as are all below */
    uint16_t legacy_version;
    uint16_t version; /* chosen: supported_versions, else legacy_version */
    struct span random, session_id;
    uint16_t cipher_suite;
    uint8_t compression;
    struct span extensions; /* the block without its length */
    unsigned extension_count;
    uint16_t group;    /* of key_share; 0 without */
    struct span alpn;  /* the one name chosen, where it is visible (TLS 1.2 and below); empty without */
    uint64_t seen_low; /* bit per extension type below 64 */
    bool retry;        /* a HelloRetryRequest */
    bool duplicate_extension;
    bool renegotiation_info;
    bool malformed_part; /* an extension's content is broken; the rest was read */
};

/* `message` is exactly one handshake message, header included. PARSE_MORE: cut short; PARSE_BAD: its frame is broken. */
enum parse server_hello_parse(struct span message, struct server_hello *ret);

/* *cursor is 0 before the first call; false at the end. */
bool server_hello_next_extension(const struct server_hello *h, size_t *cursor, struct hello_extension *ret);

static inline bool server_hello_has(const struct server_hello *h, enum hello_extension_type type)
{
    return type < 64 && (h->seen_low >> type & 1);
}

/* The random's last eight bytes say that the server could do better (RFC 8446, 4.1.3): "DOWNGRD" and 1 or 0. */
bool server_hello_has_sentinel(const struct server_hello *h);

#endif
