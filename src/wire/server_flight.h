/* server_flight.h: a TLS handshake read as it passes, both sides: what the server answered (ServerHello, certificates, stapled OCSP, key
 * exchange, request for a certificate), what was resumed, alerts, and a history of message types. flow's CHAIN step gives it every byte
 * of either side while it forwards them; it holds what it has to assemble and nothing else: at most FLIGHT_KEPT_BYTES_MAX a flow.
 *
 * TLS 1.3 encrypts all after the ServerHello: then records are counted, not read. Pure (malloc). RFC 8446, RFC 5246. */
#ifndef EXEAT_WIRE_SERVER_FLIGHT_H
#define EXEAT_WIRE_SERVER_FLIGHT_H

#include "base/buf.h"
#include "wire/server_hello.h"

enum {
    FLIGHT_HISTORY_BYTES = 64,
    FLIGHT_CERTIFICATE_BYTES_MAX = 320 << 10, /* a Certificate message: more than tls/chain.h keeps */
    FLIGHT_OTHER_BYTES_MAX = 66 << 10,        /* any other */
    FLIGHT_KEPT_BYTES_MAX = FLIGHT_CERTIFICATE_BYTES_MAX + 3 * FLIGHT_OTHER_BYTES_MAX,
    FLIGHT_BYTES_MAX = 2 << 20, /* of one side, before the handshake is over */
};

enum flight_side { FLIGHT_CLIENT, FLIGHT_SERVER };

enum flight_fault {
#define FAULT(id, anomaly, text) FLIGHT_FAULT_##id,
#include "wire/flight_faults.def"
#undef FAULT
    FLIGHT_FAULT_COUNT
};

/* One direction's place in its bytes. */
struct flight_reader {
    uint8_t header[5], message_header[4];
    uint8_t header_bytes, message_header_bytes; /* of them, so far */
    uint8_t type;                               /* of the record */
    uint8_t rank;                               /* of the last handshake message, in the order they come */
    size_t record_bytes, record_left;
    size_t message_left; /* of the handshake message, its header read */
    uint64_t bytes;
    unsigned records_empty, records_encrypted;
    bool in_message;
    bool encrypted;     /* everything from here on */
    bool odd_version;   /* a record's version was 3.0 or above 3.3 */
    bool odd_length;    /* a record was empty, or above 2^14 in the clear */
    struct buf message; /* owned: the handshake message being assembled, header included; or an alert */
};

struct flight_alert {
    bool seen; /* a fatal one, or close_notify; a warning isn't */
    uint8_t level, description;
};

/* flight_init(), then flight_feed(), at last flight_free(). What is set stays. */
struct flight {
    struct flight_reader sides[2];
    enum flight_fault fault;
    enum flight_side fault_side;
    bool over; /* the handshake has ended, or can't be read any further */
    char history
        [FLIGHT_HISTORY_BYTES]; /* letters as Zeek's ssl_history: capitals are the client's; NUL-terminated */
    struct buf hello;           /* owned: the ServerHello, header included; empty until it came */
    struct buf certificate;     /* owned: the Certificate message's body; empty where none was seen */
    struct buf ocsp;            /* owned: the stapled response (DER); empty without */
    uint16_t version;           /* chosen; 0 until the ServerHello */
    uint16_t group;             /* named group of the key exchange; 0: none seen */
    unsigned dh_bits;           /* of a finite-field prime in the ServerKeyExchange; 0 without */
    unsigned retries;           /* HelloRetryRequests */
    bool certificate_seen;      /* a Certificate message came, maybe with nothing in it */
    bool resumed;
    bool ticket;                /* a new one was given, visibly */
    bool certificate_requested; /* of the client, visibly */
    bool certificate_sent;      /* by the client, visibly */
    bool early_data;            /* the client sent data before the server's hello */
    bool heartbeat;             /* a heartbeat record */
    bool client_finished, server_finished;
    bool client_alert_hidden; /* TLS 1.3: its first encrypted record is as short as an alert */
    struct flight_alert alerts[2];
};

void flight_init(struct flight *f);
void flight_free(struct flight *f);

/* The next bytes of one side, in whatever pieces. PARSE_MORE: go on; PARSE_OK: there is nothing more to learn; PARSE_BAD: see fault.
 * Answers stay the same when called again. */
enum parse flight_feed(struct flight *f, enum flight_side side, struct span bytes);

/* The timestamps beside the certificate (RFC 6962, 3.3), of TLS 1.2 and below: a view into the hello; empty: none, or they are hidden. */
struct span flight_scts(const struct flight *f);

/* Both sides have said that they are through with the handshake. */
static inline bool flight_is_complete(const struct flight *f)
{
    return f->client_finished && f->server_finished;
}

/* The certificates in a Certificate message of TLS 1.2 or below (RFC 5246, 7.4.2): *cursor is 0 before the first call. False at the
 * end; a vector that breaks its bounds ends it, with *ret_malformed set. */
bool flight_next_certificate(struct span body, size_t *cursor, struct span *ret, bool *ret_malformed);

const char *flight_fault_text(enum flight_fault fault); /* lives for ever */

#endif
