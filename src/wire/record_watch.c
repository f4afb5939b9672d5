/* record_watch.c: see record_watch.h. Pure. */
#include "wire/record_watch.h"

#include "base/must.h"

enum {
    EMPTY_MAX = 32,        /* OpenSSL's own limit */
    SEALED_BYTES_MIN = 16, /* of an encrypted record: no suite has a shorter tag or MAC */
};

const char *record_fault_name(enum record_fault f)
{
    static const char *const names[] = {"none", "type", "version", "length", "sequence"};
    must((unsigned)f < ARRAY_LEN(names));
    return names[f];
}

static enum record_fault judge_length(struct record_watch *w, uint8_t type, size_t len)
{
    w->empty = len == 0 ? (uint8_t)(w->empty + 1) : 0;
    if (len > RECORD_BYTES_MAX || w->empty > EMPTY_MAX)
        return RECORD_FAULT_LENGTH;
    if (type == RECORD_CHANGE_CIPHER_SPEC && len != 1)
        return RECORD_FAULT_LENGTH;
    if (type == RECORD_APPLICATION_DATA && len < SEALED_BYTES_MIN)
        return RECORD_FAULT_LENGTH;
    if (type == RECORD_ALERT && len < 2)
        return RECORD_FAULT_LENGTH;
    return RECORD_FAULT_NONE;
}

/* TLS 1.2 and below: handshake, ChangeCipherSpec, Finished, data. TLS 1.3: hellos (and a ChangeCipherSpec that means nothing), then
 * nothing but data. Which it is, the first data shows. */
static enum record_fault judge_sequence(struct record_watch *w, uint8_t type)
{
    if (w->records == 0 && type != RECORD_HANDSHAKE && type != RECORD_ALERT)
        return RECORD_FAULT_SEQUENCE;
    if (w->sealed && type != RECORD_APPLICATION_DATA)
        return RECORD_FAULT_SEQUENCE;
    switch (type) {
    case RECORD_CHANGE_CIPHER_SPEC:
        w->cipher_spec = true;
        break;
    case RECORD_HANDSHAKE:
        w->handshake_after = w->handshake_after || w->cipher_spec;
        w->renegotiation = w->renegotiation || w->data;
        break;
    case RECORD_APPLICATION_DATA:
        w->sealed = w->sealed || (!w->data && !w->handshake_after);
        w->data = true;
        break;
    case RECORD_HEARTBEAT:
        w->heartbeat = true;
        break;
    default:
        break;
    }
    return RECORD_FAULT_NONE;
}

static enum record_fault judge_header(struct record_watch *w)
{
    const uint8_t *h = w->header;
    uint16_t version = (uint16_t)(h[1] << 8 | h[2]);
    size_t len = (size_t)h[3] << 8 | h[4];
    if (h[0] < RECORD_CHANGE_CIPHER_SPEC || h[0] > RECORD_HEARTBEAT)
        return RECORD_FAULT_TYPE;
    if (h[1] != 3 || h[2] > 4 || (w->version && version != w->version))
        return RECORD_FAULT_VERSION;
    enum record_fault fault = judge_length(w, h[0], len);
    if (fault == RECORD_FAULT_NONE)
        fault = judge_sequence(w, h[0]);
    if (w->data && !w->version)
        w->version = version;
    if (w->bursts && h[0] == RECORD_APPLICATION_DATA && fault == RECORD_FAULT_NONE)
        bursts_add(w->bursts, w->out, w->sealed, len);
    w->records++;
    w->left = len;
    return fault;
}

void record_watch_skip(struct record_watch *w, size_t bytes)
{
    if (w->fault)
        return;
    must(bytes <= w->left);
    w->left -= bytes;
}

bool record_watch_feed(struct record_watch *w, struct span bytes)
{
    while (bytes.len > 0 && !w->fault) {
        size_t take = bytes.len < w->left ? bytes.len : w->left;
        w->left -= take;
        bytes = span_from(bytes, take);
        while (bytes.len > 0 && w->left == 0 && w->header_bytes < RECORD_HEADER_BYTES) {
            w->header[w->header_bytes++] = bytes.data[0];
            bytes = span_from(bytes, 1);
        }
        if (w->header_bytes == RECORD_HEADER_BYTES) {
            w->header_bytes = 0;
            w->fault = judge_header(w);
        }
    }
    return w->fault == RECORD_FAULT_NONE;
}
