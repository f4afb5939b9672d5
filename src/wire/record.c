/* record.c: see record.h. Pure. */
#include "wire/record.h"

#include "base/must.h"

enum { HANDSHAKE_HEADER_BYTES = 4, HANDSHAKE_CLIENT_HELLO = 1 };

static const char *const fault_texts[HELLO_FAULT_COUNT] = {
#define FAULT(id, anomaly, text) [HELLO_FAULT_##id] = text,
#include "wire/hello_faults.def"
#undef FAULT
};

const char *hello_fault_text(enum hello_fault fault)
{
    must((unsigned)fault < HELLO_FAULT_COUNT);
    return fault_texts[fault];
}

static enum parse reader_fail(struct hello_reader *r, enum hello_fault fault, size_t at)
{
    r->fault = fault;
    r->position = at;
    return PARSE_BAD;
}

static bool is_record_type(uint8_t type)
{
    return type >= RECORD_CHANGE_CIPHER_SPEC && type <= RECORD_HEARTBEAT;
}

/* The first bytes of all: TLS, an SSLv2 hello (80 xx 01, RFC 5246 appendix E.2), or something else. */
static enum parse reader_open(struct hello_reader *r, struct span all)
{
    if (all.len == 0)
        return PARSE_MORE;
    uint8_t first = all.data[0];
    if (first == RECORD_HANDSHAKE) {
        r->opened = true;
        return PARSE_OK;
    }
    bool maybe_record = is_record_type(first) && (all.len < 2 || all.data[1] == 3);
    bool maybe_sslv2 = (first & 0x80) && (all.len < 3 || all.data[2] == HANDSHAKE_CLIENT_HELLO);
    if ((maybe_record && all.len < 2) || (maybe_sslv2 && all.len < 3))
        return PARSE_MORE;
    if (maybe_record)
        return reader_fail(r, HELLO_FAULT_ORDER, 0);
    if (maybe_sslv2)
        return reader_fail(r, HELLO_FAULT_SSLV2, 0);
    r->opening = opening_classify(all);
    return reader_fail(r, HELLO_FAULT_NOT_TLS, 0);
}

/* Each byte of a record header is judged as soon as it is there, so that nothing waits for bytes that can't help. */
static enum parse reader_take_header(struct hello_reader *r, struct span all)
{
    const uint8_t *h = all.data + r->position;
    size_t have = all.len - r->position;
    if (have >= 1 && !is_record_type(h[0]))
        return reader_fail(r, HELLO_FAULT_RECORD_TYPE, r->position);
    if (have >= 1 && h[0] != RECORD_HANDSHAKE)
        return reader_fail(r, HELLO_FAULT_ORDER, r->position);
    if (have >= 2 && h[1] != 3)
        return reader_fail(r, HELLO_FAULT_RECORD_VERSION, r->position + 1);
    if (have < RECORD_HEADER_BYTES)
        return PARSE_MORE;
    size_t len = (size_t)h[3] << 8 | h[4];
    if (len > RECORD_BYTES_MAX)
        return reader_fail(r, HELLO_FAULT_RECORD_LENGTH, r->position + 3);
    if (r->records == HELLO_RECORDS_MAX)
        return reader_fail(r, HELLO_FAULT_RECORDS_MANY, r->position);
    if (len == 0 && r->records_empty == HELLO_RECORDS_EMPTY_MAX)
        return reader_fail(r, HELLO_FAULT_RECORDS_EMPTY, r->position + 3);
    if (r->records++ == 0)
        r->version = (uint16_t)(h[1] << 8 | h[2]);
    r->records_empty += len == 0;
    r->odd_version = r->odd_version || h[2] < 1 || h[2] > 3;
    r->odd_length = r->odd_length || len == 0 || len > RECORD_PLAIN_BYTES_MAX;
    r->records_tiny += len == 0;
    r->record_bytes = r->record_left = len;
    r->position += RECORD_HEADER_BYTES;
    return PARSE_OK;
}

/* The message's own header, byte by byte: it too may be cut anywhere. */
static enum parse reader_take_message_header(struct hello_reader *r, struct span all)
{
    while (r->have_bytes < HANDSHAKE_HEADER_BYTES && r->record_left > 0) {
        if (r->position == all.len)
            return PARSE_MORE;
        uint8_t byte = all.data[r->position];
        if (r->have_bytes == 0 && byte != HANDSHAKE_CLIENT_HELLO)
            return reader_fail(r, HELLO_FAULT_ORDER, r->position);
        r->header[r->have_bytes++] = byte;
        r->position++;
        r->record_left--;
    }
    if (r->have_bytes < HANDSHAKE_HEADER_BYTES || r->message_bytes > 0)
        return PARSE_OK;
    const uint8_t *h = r->header;
    size_t bytes = HANDSHAKE_HEADER_BYTES + ((size_t)h[1] << 16 | (size_t)h[2] << 8 | h[3]);
    if (bytes > HELLO_BYTES_MAX)
        return reader_fail(r, HELLO_FAULT_TOO_LONG, r->position - 1);
    r->message_bytes = bytes;
    return PARSE_OK;
}

static void reader_take_message(struct hello_reader *r, struct span all)
{
    size_t take = r->message_bytes - r->have_bytes;
    if (take > r->record_left)
        take = r->record_left;
    if (take > all.len - r->position)
        take = all.len - r->position;
    r->have_bytes += take;
    r->position += take;
    r->record_left -= take;
}

static bool reader_is_done(const struct hello_reader *r)
{
    return r->message_bytes > 0 && r->have_bytes == r->message_bytes;
}

enum parse hello_reader_feed(struct hello_reader *r, struct span all)
{
    if (r->fault != HELLO_FAULT_NONE)
        return PARSE_BAD;
    enum parse step = r->opened ? PARSE_OK : reader_open(r, all);
    while (step == PARSE_OK && !reader_is_done(r)) {
        if (r->record_left == 0) {
            step = reader_take_header(r, all);
            continue;
        }
        step = reader_take_message_header(r, all);
        if (step != PARSE_OK)
            break;
        reader_take_message(r, all);
        if (r->record_left == 0 && r->record_bytes < RECORD_TINY_BYTES && !reader_is_done(r))
            r->records_tiny++;
        if (r->record_left > 0 && !reader_is_done(r))
            step = PARSE_MORE;
    }
    return step;
}

struct span hello_reader_message(const struct hello_reader *r, struct span all, struct arena *arena)
{
    must(reader_is_done(r) && all.len >= r->position);
    uint8_t *message = arena_alloc(arena, r->message_bytes);
    if (!message)
        return (struct span){NULL, 0};
    size_t have = 0;
    for (const uint8_t *at = all.data; have < r->message_bytes;) {
        size_t len = (size_t)at[3] << 8 | at[4];
        size_t take = len < r->message_bytes - have ? len : r->message_bytes - have;
        memcpy(message + have, at + RECORD_HEADER_BYTES, take);
        have += take;
        at += RECORD_HEADER_BYTES + len;
    }
    return span_of(message, r->message_bytes);
}

size_t hello_reader_locate(const struct hello_reader *r, struct span all, size_t offset)
{
    must(reader_is_done(r) && all.len >= r->position);
    size_t at = 0;
    while (at < r->position) {
        size_t len = (size_t)all.data[at + 3] << 8 | all.data[at + 4];
        if (offset < len)
            return at + RECORD_HEADER_BYTES + offset;
        offset -= len;
        at += RECORD_HEADER_BYTES + len;
    }
    return r->position;
}
