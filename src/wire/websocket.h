/* websocket.h: the frames of one direction of a WebSocket (RFC 6455, 5), read as they pass: nothing is held back, only the beginning of
 * what is said is kept, unmasked. No extension is ever agreed on through this proxy (the field that would is left out), so reserved bits
 * are a fault: what doesn't keep to the framing is no WebSocket, but a tunnel under its name.
 * flow/ calls in with the bytes after a 101 (HTTP/1.1) or in a stream's DATA (RFC 8441). Pure; owns nothing. */
#ifndef EXEAT_WIRE_WEBSOCKET_H
#define EXEAT_WIRE_WEBSOCKET_H

#include "base/span.h"

enum { WEBSOCKET_SAMPLE_BYTES = 1024, WEBSOCKET_CONTROL_BYTES = 125 };

/* X(NAME, "name", "what is wrong, for people") */
#define WEBSOCKET_FAULTS(X)                                                                                  \
    X(NONE, "none", "no fault")                                                                              \
    X(RESERVED, "reserved", "reserved bits are set, and no extension was agreed on")                         \
    X(OPCODE, "opcode", "an opcode that does not exist")                                                     \
    X(MASK, "mask", "a client's frame without a mask, or a server's with one")                               \
    X(LENGTH, "length", "a length that is not in its shortest form, or over 2^63")                           \
    X(CONTROL, "control", "a control frame in fragments, or longer than 125 bytes")                          \
    X(FRAGMENT, "fragment", "a continuation of nothing, or a message inside another")                        \
    X(CLOSE, "close", "a close frame with one byte, or with a code that does not exist")                     \
    X(AFTER_CLOSE, "after_close", "bytes after the close frame")

enum websocket_fault {
#define X(id, name, text) WEBSOCKET_##id,
    WEBSOCKET_FAULTS(X)
#undef X
};

struct websocket {
    bool from_client;
    uint8_t state;
    enum websocket_fault fault; /* sticky: from then on nothing is read */
    uint8_t opcode;             /* of the frame that is being read */
    bool last, masked;
    bool in_message;     /* a message in fragments is open */
    bool closed;         /* a close frame was read whole */
    uint16_t close_code; /* its code; 0: none was given */
    uint8_t head[14];    /* of the frame, as far as it has been read */
    uint8_t head_len, mask_at;
    uint8_t control[2]; /* the beginning of a close frame's payload */
    uint64_t length, left_bytes;
    uint64_t frames, messages, payload_bytes; /* messages that ended; payload of text and binary ones */
    bool first_is_text;
    bool sample_whole; /* the first message ended, or the sample is full */
    uint16_t sample_len;
    uint8_t sample[WEBSOCKET_SAMPLE_BYTES]; /* the beginning of the first message, unmasked */
};

void websocket_init(struct websocket *w, bool from_client);

/* Reads on; any number of bytes. PARSE_MORE: all is well so far; PARSE_OK: the close frame was read; PARSE_BAD: see w->fault. */
enum parse websocket_feed(struct websocket *w, struct span bytes);

const char *websocket_fault_name(enum websocket_fault fault); /* static */
const char *websocket_fault_text(enum websocket_fault fault);

#endif
