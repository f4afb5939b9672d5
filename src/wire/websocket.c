/* websocket.c: see websocket.h. A frame's head is gathered byte by byte, payload is passed over in one piece. Pure. */
#include "wire/websocket.h"

#include "base/must.h"

enum state { IN_HEAD, IN_PAYLOAD, IN_FAULT };
enum {
    CONTINUATION = 0,
    TEXT = 1,
    BINARY = 2,
    CLOSE = 8,
    PING = 9,
    PONG = 10,
    LENGTH_16 = 126,
    LENGTH_64 = 127,
    MASK_BYTES = 4,
};

void websocket_init(struct websocket *w, bool from_client)
{
    *w = (struct websocket){.from_client = from_client};
}

static const char *const NAMES[] = {
#define X(id, name, text) name,
    WEBSOCKET_FAULTS(X)
#undef X
};
static const char *const TEXTS[] = {
#define X(id, name, text) text,
    WEBSOCKET_FAULTS(X)
#undef X
};

const char *websocket_fault_name(enum websocket_fault fault)
{
    return NAMES[fault];
}

const char *websocket_fault_text(enum websocket_fault fault)
{
    return TEXTS[fault];
}

/* ---- heads ---- */

static size_t head_size(const struct websocket *w)
{
    if (w->head_len < 2)
        return 2;
    uint8_t len = w->head[1] & 0x7f;
    size_t mask = w->head[1] & 0x80 ? MASK_BYTES : 0;
    return mask + (len == LENGTH_64 ? 10 : len == LENGTH_16 ? 4 : 2);
}

static uint64_t read_big(const uint8_t *bytes, size_t count)
{
    uint64_t value = 0;
    for (size_t i = 0; i < count; i++)
        value = value << 8 | bytes[i];
    return value;
}

static bool is_control(uint8_t opcode)
{
    return (opcode & 8) != 0;
}

static enum websocket_fault judge_length(const struct websocket *w, uint64_t length)
{
    uint8_t form = w->head[1] & 0x7f;
    if (form == LENGTH_16 && length < LENGTH_16)
        return WEBSOCKET_LENGTH;
    if (form == LENGTH_64 && (length < 1 << 16 || length >> 63))
        return WEBSOCKET_LENGTH;
    return WEBSOCKET_NONE;
}

static enum websocket_fault judge_kind(const struct websocket *w)
{
    if (w->head[0] & 0x70)
        return WEBSOCKET_RESERVED;
    if (w->opcode > BINARY && (w->opcode < CLOSE || w->opcode > PONG))
        return WEBSOCKET_OPCODE;
    if (w->masked != w->from_client)
        return WEBSOCKET_MASK;
    if (is_control(w->opcode))
        return w->last && w->length <= WEBSOCKET_CONTROL_BYTES ? WEBSOCKET_NONE : WEBSOCKET_CONTROL;
    return (w->opcode == CONTINUATION) == w->in_message ? WEBSOCKET_NONE : WEBSOCKET_FRAGMENT;
}

static enum websocket_fault take_head(struct websocket *w)
{
    uint8_t form = w->head[1] & 0x7f;
    w->last = (w->head[0] & 0x80) != 0;
    w->opcode = w->head[0] & 0x0f;
    w->masked = (w->head[1] & 0x80) != 0;
    w->length = form == LENGTH_64   ? read_big(w->head + 2, 8)
                : form == LENGTH_16 ? read_big(w->head + 2, 2)
                                    : form;
    w->left_bytes = w->length;
    w->mask_at = 0;
    enum websocket_fault fault = judge_length(w, w->length);
    if (fault == WEBSOCKET_NONE)
        fault = judge_kind(w);
    if (fault == WEBSOCKET_NONE && w->opcode == TEXT && w->messages == 0)
        w->first_is_text = true;
    if (fault == WEBSOCKET_NONE && w->opcode == CLOSE && w->length == 1)
        fault = WEBSOCKET_CLOSE;
    if (!is_control(w->opcode))
        w->in_message = true;
    return fault;
}

/* ---- payload ---- */

static uint8_t unmask(const struct websocket *w, uint8_t byte, uint64_t at)
{
    return w->masked ? byte ^ w->head[w->head_len - MASK_BYTES + at % MASK_BYTES] : byte;
}

static void take_payload(struct websocket *w, struct span data)
{
    uint64_t at = w->length - w->left_bytes;
    w->left_bytes -= data.len;
    if (w->opcode == CLOSE)
        for (size_t i = 0; i < data.len && at + i < sizeof w->control; i++)
            w->control[at + i] = unmask(w, data.data[i], at + i);
    if (is_control(w->opcode))
        return;
    w->payload_bytes += data.len;
    for (size_t i = 0; i < data.len && !w->sample_whole; i++) {
        w->sample[w->sample_len++] = unmask(w, data.data[i], at + i);
        w->sample_whole = w->sample_len == WEBSOCKET_SAMPLE_BYTES;
    }
}

/* RFC 6455, 7.4: what may stand on the wire. */
static bool is_close_code(uint16_t code)
{
    return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
           (code >= 3000 && code <= 4999);
}

static enum websocket_fault end_frame(struct websocket *w)
{
    w->frames++;
    w->head_len = 0;
    if (w->opcode == CLOSE) {
        w->closed = true;
        w->close_code = w->length >= 2 ? (uint16_t)read_big(w->control, 2) : 0;
        return w->length == 0 || is_close_code(w->close_code) ? WEBSOCKET_NONE : WEBSOCKET_CLOSE;
    }
    if (!is_control(w->opcode) && w->last) {
        w->in_message = false;
        w->messages++;
        w->sample_whole |= w->sample_len > 0;
    }
    return WEBSOCKET_NONE;
}

/* ---- both ---- */

static size_t step(struct websocket *w, struct span in)
{
    if (w->closed) {
        w->fault = WEBSOCKET_AFTER_CLOSE;
        return 0;
    }
    size_t used = 0;
    if (w->state == IN_HEAD) {
        w->head[w->head_len++] = in.data[used++];
        if (w->head_len < head_size(w))
            return used;
        w->fault = take_head(w);
        w->state = IN_PAYLOAD;
    } else {
        used = w->left_bytes < in.len ? (size_t)w->left_bytes : in.len;
        take_payload(w, span_of(in.data, used));
    }
    if (w->fault == WEBSOCKET_NONE && w->left_bytes == 0) {
        w->fault = end_frame(w);
        w->state = IN_HEAD;
    }
    return used;
}

enum parse websocket_feed(struct websocket *w, struct span bytes)
{
    while (bytes.len > 0 && w->state != IN_FAULT) {
        bytes = span_from(bytes, step(w, bytes));
        if (w->fault != WEBSOCKET_NONE)
            w->state = IN_FAULT;
    }
    if (w->state == IN_FAULT)
        return PARSE_BAD;
    return w->closed ? PARSE_OK : PARSE_MORE;
}
