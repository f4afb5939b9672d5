/* client_hello.h: the parsed ClientHello: views into the handshake message, in the order and with every byte the client
 * sent. Called by the flow's HELLO step, `exeat inspect hello`, and facts/ (fingerprints, anomalies). Allocates nothing;
 * everything points into the message, which must outlive the struct. Pure. RFC 8446 section 4.1.2, RFC 5246 7.4.1.2.
 *
 * Two kinds of wrong: a broken frame (a vector past its end) is PARSE_BAD, since nothing after it can be trusted; a broken
 * part (an extension's content) is noted as `part_fault` and the rest is read, so that a malformed extension doesn't hide
 * the server name. Where an extension occurs twice, the first one is read. */
#ifndef EXEAT_WIRE_CLIENT_HELLO_H
#define EXEAT_WIRE_CLIENT_HELLO_H

#include "wire/record.h"

enum hello_extension_type { /* IANA TLS ExtensionType values that this code reads */
                            HELLO_EXT_SERVER_NAME = 0,
                            HELLO_EXT_STATUS_REQUEST = 5,
                            HELLO_EXT_SUPPORTED_GROUPS = 10,
                            HELLO_EXT_POINT_FORMATS = 11,
                            HELLO_EXT_SIGNATURE_ALGORITHMS = 13,
                            HELLO_EXT_HEARTBEAT = 15,
                            HELLO_EXT_ALPN = 16,
                            HELLO_EXT_SIGNED_CERTIFICATE_TIMESTAMP = 18,
                            HELLO_EXT_PADDING = 21,
                            HELLO_EXT_ENCRYPT_THEN_MAC = 22,
                            HELLO_EXT_EXTENDED_MASTER_SECRET = 23,
                            HELLO_EXT_COMPRESS_CERTIFICATE = 27,
                            HELLO_EXT_RECORD_SIZE_LIMIT = 28,
                            HELLO_EXT_SESSION_TICKET = 35,
                            HELLO_EXT_PRE_SHARED_KEY = 41,
                            HELLO_EXT_EARLY_DATA = 42,
                            HELLO_EXT_SUPPORTED_VERSIONS = 43,
                            HELLO_EXT_COOKIE = 44,
                            HELLO_EXT_PSK_KEY_EXCHANGE_MODES = 45,
                            HELLO_EXT_POST_HANDSHAKE_AUTH = 49,
                            HELLO_EXT_SIGNATURE_ALGORITHMS_CERT = 50,
                            HELLO_EXT_KEY_SHARE = 51,
                            HELLO_EXT_ECH = 65037,
                            HELLO_EXT_RENEGOTIATION_INFO = 65281,
};

struct hello_extension {
    uint16_t type;
    struct span body; /* view into the message */
};

struct hello_key_share {
    uint16_t group;
    struct span key; /* view into the message */
};

/* What the server_name extension holds (RFC 6066 section 3). */
enum hello_sni {
    HELLO_SNI_ABSENT,
    HELLO_SNI_ONE,     /* one host name: see server_name */
    HELLO_SNI_SEVERAL, /* more than one; server_name is the first */
    HELLO_SNI_NO_NAME, /* an empty extension or list, or an empty name */
    HELLO_SNI_WRONG_TYPE, /* an entry of another type than host_name; server_name is the first host_name, if any */
    HELLO_SNI_MALFORMED, /* bounds; server_name is what was read before it broke */
};

/* All spans are views into `message`; a list's span is empty when the extension is absent or malformed. Lists of 16-bit
 * values are read with hello_u16_at(). */
struct client_hello {
    struct span message; /* the whole handshake message; view into the caller's memory */
    uint16_t legacy_version;
    uint16_t highest_version;  /* highest in supported_versions without GREASE, else legacy_version */
    struct span random;        /* 32 bytes */
    struct span session_id;    /* 0..32 bytes */
    struct span cipher_suites; /* 16-bit values */
    struct span compression;   /* bytes */
    struct span extensions;    /* the block without its length; see client_hello_next_extension() */
    unsigned extension_count;

    enum hello_sni sni;
    struct span server_name;          /* raw bytes, unjudged; facts/anomaly says what is odd about them */
    struct span alpn;                 /* length-prefixed names; see client_hello_next_alpn() */
    struct span supported_versions;   /* 16-bit values */
    struct span groups;               /* 16-bit values */
    struct span point_formats;        /* bytes */
    struct span signature_algorithms; /* 16-bit values */
    struct span key_shares;           /* see client_hello_next_key_share() */
    struct span psk_modes;            /* bytes */
    struct span session_ticket;       /* the ticket; empty when a new one is asked for */
    struct span renegotiation;        /* verify data; empty in a first hello */
    size_t padding_bytes;             /* of the padding extension */
    uint64_t seen_low;                /* bit per extension type below 64 */
    bool ech; /* encrypted_client_hello, its drafts or encrypted SNI; presence is not use */
    bool renegotiation_info;
    bool duplicate_extension;

    enum hello_fault part_fault;   /* the first broken part, or HELLO_FAULT_NONE */
    uint16_t part_fault_extension; /* with HELLO_FAULT_EXTENSION_BODY: whose */
    size_t part_fault_offset;      /* into message */
};

struct hello_error {
    enum hello_fault fault;
    size_t offset; /* into message */
};

/* `message` is exactly one handshake message, header included. PARSE_MORE when it is cut short; PARSE_BAD fills *ret_error.
 * *ret is untouched unless PARSE_OK. */
enum parse client_hello_parse(struct span message, struct client_hello *ret, struct hello_error *ret_error);

/* Iteration: *cursor is 0 before the first call; false at the end. */
bool client_hello_next_extension(const struct client_hello *h, size_t *cursor, struct hello_extension *ret);
bool client_hello_next_alpn(const struct client_hello *h, size_t *cursor, struct span *ret);
bool client_hello_next_key_share(const struct client_hello *h, size_t *cursor, struct hello_key_share *ret);

/* For types below 64. */
static inline bool client_hello_has(const struct client_hello *h, enum hello_extension_type type)
{
    return type < 64 && (h->seen_low >> type & 1);
}

/* "1.3" "1.2" "1.1" "1.0" "SSL3" "SSL2"; NULL for anything else. Lives for ever. */
const char *hello_version_name(uint16_t version);
/* The highest version offered that has a name, for people ("1.3"); NULL when none has. Lives for ever. */
const char *client_hello_version(const struct client_hello *h);

static inline uint16_t hello_u16_at(struct span list, size_t index)
{
    return (uint16_t)(list.data[2 * index] << 8 | list.data[2 * index + 1]);
}

static inline size_t hello_u16_count(struct span list)
{
    return list.len / 2;
}

/* RFC 8701: 0a0a, 1a1a, ... fafa. 0a1a is not GREASE. */
static inline bool hello_is_grease(uint16_t value)
{
    return (value & 0x0f0f) == 0x0a0a && value >> 8 == (value & 0xff);
}

#endif
