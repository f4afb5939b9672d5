/* record.h: finds the ClientHello in a client's first bytes: the TLS record layer before encryption, and nothing more.
 *
 * The flow's HELLO step calls hello_reader_feed() with everything received so far each time bytes arrive; the reader
 * keeps its place, so the work is linear however the bytes are cut, and it keeps offsets only, so the caller's buffer may
 * move between calls. A hello may be spread over any number of records and segments. Nothing is allocated until
 * hello_reader_message(). Pure. RFC 8446 section 5.1, RFC 5246 section 6.2.1. */
#ifndef EXEAT_WIRE_RECORD_H
#define EXEAT_WIRE_RECORD_H

#include "base/arena.h"
#include "wire/opening.h"

enum {
    HELLO_BYTES_MAX = 65536,      /* the handshake message with its 4-byte header */
    HELLO_RECORDS_MAX = 16384,    /* a 16 KiB hello in records of one byte each still works */
    HELLO_RECORDS_EMPTY_MAX = 32, /* as lenient as OpenSSL */
    RECORD_HEADER_BYTES = 5,
    RECORD_PLAIN_BYTES_MAX = 16384,  /* 2^14: a plaintext record's payload; above it is odd_length */
    RECORD_BYTES_MAX = 16384 + 2048, /* beyond this it isn't TLS of any version */
    RECORD_TINY_BYTES = 64, /* a record shorter than this that doesn't end the hello counts as tiny */
};

enum record_type {
    RECORD_CHANGE_CIPHER_SPEC = 20,
    RECORD_ALERT = 21,
    RECORD_HANDSHAKE = 22,
    RECORD_APPLICATION_DATA = 23,
    RECORD_HEARTBEAT = 24,
};

enum hello_fault {
#define FAULT(id, anomaly, text) HELLO_FAULT_##id,
#include "wire/hello_faults.def"
#undef FAULT
    HELLO_FAULT_COUNT
};

/* Zeroed before its first use. What follows `position` is set for good at PARSE_OK and PARSE_BAD. */
struct hello_reader {
    size_t
        position; /* offset of the first byte not judged; PARSE_OK: just past the hello; PARSE_BAD: of the culprit */
    size_t message_bytes; /* the hello's length with its header; 0 until known */
    size_t have_bytes;    /* of the hello, so far */
    size_t record_bytes;  /* payload length of the current record */
    size_t record_left; /* payload of the current record that was not consumed (not all need have arrived) */
    uint32_t records, records_empty, records_tiny;
    uint16_t version;  /* of the first record; 0 until known */
    uint8_t header[4]; /* of the handshake message, as far as have_bytes goes */
    bool opened;       /* the first byte is a handshake record's */
    bool odd_version;  /* a record's version was 3.0 or above 3.3 */
    bool odd_length;   /* a record was empty or above 2^14 */
    enum hello_fault fault;
    enum opening opening; /* with HELLO_FAULT_NOT_TLS: what it is, as far as the bytes showed then */
};

/* PARSE_OK: the hello is whole; PARSE_MORE; PARSE_BAD: see fault and position. `all` begins with the client's first byte
 * and only ever grows. Answers stay the same when called again. A first byte that can't be TLS is PARSE_BAD at once. */
enum parse hello_reader_feed(struct hello_reader *r, struct span all);

/* After PARSE_OK: copies the handshake message out of its records. The view lasts as long as the arena (the caller's buffer
 * may move); .data is NULL when the arena's budget is spent. */
struct span hello_reader_message(const struct hello_reader *r, struct span all, struct arena *arena);

/* Where byte `offset` of the handshake message lies in `all`; for telling a person. */
size_t hello_reader_locate(const struct hello_reader *r, struct span all, size_t offset);

/* More handshake bytes follow the hello in its last record: no client may say more before the server has answered. */
static inline bool hello_reader_is_followed(const struct hello_reader *r)
{
    return r->message_bytes && r->have_bytes == r->message_bytes && r->record_left > 0;
}

/* One sentence's worth of words; lives for ever. */
const char *hello_fault_text(enum hello_fault fault);

#endif
