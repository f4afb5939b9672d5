/* record_watch.h: does what passes in one direction of a tunnel go on being TLS? Its record headers alone say much: type, version, length,
 * and what may follow what. net/relay.c shows it each header where it lies in the socket's queue, or all bytes where they are copied;
 * flow/ looks at what was found. A few dozen bytes a direction, for as long as the tunnel lives. Pure. RFC 8446 section 5, RFC 5246 6.2. */
#ifndef EXEAT_WIRE_RECORD_WATCH_H
#define EXEAT_WIRE_RECORD_WATCH_H

#include "wire/bursts.h"
#include "wire/record.h"

enum record_fault {
    RECORD_FAULT_NONE,
    RECORD_FAULT_TYPE,     /* not 20 to 24 */
    RECORD_FAULT_VERSION,  /* not 3.0 to 3.4, or another than before once encryption began */
    RECORD_FAULT_LENGTH,   /* longer than TLS allows, or shorter than such a record can be */
    RECORD_FAULT_SEQUENCE, /* a record that can't come now */
    RECORD_FAULT_COUNT
};

/* Zeroed before its first use. */
struct record_watch {
    size_t left;      /* payload of the current record that was not passed */
    uint64_t records; /* begun */
    uint8_t header[RECORD_HEADER_BYTES], header_bytes;
    uint8_t empty;    /* records without payload in a row */
    uint16_t version; /* that all records have from the first encrypted one on; 0 until then */
    bool cipher_spec, handshake_after,
        data;                /* seen: ChangeCipherSpec, handshake after it, application data */
    bool sealed;             /* TLS 1.3's: application data only from here on */
    bool heartbeat;          /* seen (H24) */
    bool renegotiation;      /* seen: a handshake after application data (H39) */
    bool out;                /* set by the owner, with bursts: this is the client's direction */
    enum record_fault fault; /* then nothing more is judged */
    struct bursts
        *bursts; /* borrowed, both directions' together: is shown application data; NULL: nobody asks */
};

/* The next bytes, whatever they are. False: there is a fault, from before or now. */
bool record_watch_feed(struct record_watch *w, struct span bytes);

/* How many bytes from here need not be seen: the rest of a payload. Then say that they passed. */
static inline size_t record_watch_skippable(const struct record_watch *w)
{
    return w->fault ? SIZE_MAX : w->left;
}
void record_watch_skip(struct record_watch *w, size_t bytes);

/* The direction ends here: inside a record? */
static inline bool record_watch_is_cut(const struct record_watch *w)
{
    return !w->fault && (w->left > 0 || w->header_bytes > 0);
}

const char *record_fault_name(enum record_fault f); /* "type", ...; lives for ever */

#endif
