/* server_flight.c: see server_flight.h. Pure. */
#include "wire/server_flight.h"

#include "base/must.h"

enum {
    TLS12 = 0x0303,
    TLS13 = 0x0304,
    RECORDS_EMPTY_MAX = 32,
    HIDDEN_ALERT_BYTES = 19, /* alert, its type, the tag (RFC 8446, 5.2): a Finished is 53 bytes at least */
};

/* RFC 8446, 4; RFC 5246, 7.4; RFC 6066, 8. */
enum message_type {
    HELLO_REQUEST = 0,
    CLIENT_HELLO = 1,
    SERVER_HELLO = 2,
    NEW_SESSION_TICKET = 4,
    CERTIFICATE = 11,
    SERVER_KEY_EXCHANGE = 12,
    CERTIFICATE_REQUEST = 13,
    SERVER_HELLO_DONE = 14,
    CERTIFICATE_VERIFY = 15,
    CLIENT_KEY_EXCHANGE = 16,
    CERTIFICATE_URL = 21,
    CERTIFICATE_STATUS = 22,
    SUPPLEMENTAL_DATA = 23,
    NEXT_PROTOCOL = 67,
};

/* Before TLS 1.3 each side's messages come in one order, though not all must: a rank may only rise. */
struct message_row {
    uint8_t type, side, rank;
    char letter; /* Zeek's */
    bool keep;   /* its content is read */
};
static const struct message_row messages[] = {
    {CLIENT_HELLO, FLIGHT_CLIENT, 1, 'C', false},        {SUPPLEMENTAL_DATA, FLIGHT_CLIENT, 2, 'A', false},
    {CERTIFICATE, FLIGHT_CLIENT, 3, 'X', true},          {CERTIFICATE_URL, FLIGHT_CLIENT, 3, 'W', false},
    {CLIENT_KEY_EXCHANGE, FLIGHT_CLIENT, 4, 'G', false}, {CERTIFICATE_VERIFY, FLIGHT_CLIENT, 5, 'Y', false},
    {SERVER_HELLO, FLIGHT_SERVER, 1, 's', true},         {SUPPLEMENTAL_DATA, FLIGHT_SERVER, 2, 'a', false},
    {CERTIFICATE, FLIGHT_SERVER, 3, 'x', true},          {CERTIFICATE_STATUS, FLIGHT_SERVER, 4, 'u', true},
    {SERVER_KEY_EXCHANGE, FLIGHT_SERVER, 5, 'k', true},  {CERTIFICATE_REQUEST, FLIGHT_SERVER, 6, 'r', false},
    {SERVER_HELLO_DONE, FLIGHT_SERVER, 7, 'n', false},   {NEW_SESSION_TICKET, FLIGHT_SERVER, 8, 't', false},
};
enum { RANK_HELLO = 1, RANK_DONE = 7, RANK_TICKET = 8, RANK_CIPHER_SPEC = 9 };

static const char *const fault_texts[FLIGHT_FAULT_COUNT] = {
#define FAULT(id, anomaly, text) [FLIGHT_FAULT_##id] = text,
#include "wire/flight_faults.def"
#undef FAULT
};

const char *flight_fault_text(enum flight_fault fault)
{
    must((unsigned)fault < FLIGHT_FAULT_COUNT);
    return fault_texts[fault];
}

void flight_init(struct flight *f)
{
    *f = (struct flight){0};
    buf_init(&f->sides[0].message, FLIGHT_CERTIFICATE_BYTES_MAX);
    buf_init(&f->sides[1].message, FLIGHT_CERTIFICATE_BYTES_MAX);
    buf_init(&f->hello, FLIGHT_OTHER_BYTES_MAX);
    buf_init(&f->certificate, FLIGHT_CERTIFICATE_BYTES_MAX);
    buf_init(&f->ocsp, FLIGHT_OTHER_BYTES_MAX);
}

void flight_free(struct flight *f)
{
    buf_free(&f->sides[0].message);
    buf_free(&f->sides[1].message);
    buf_free(&f->hello);
    buf_free(&f->certificate);
    buf_free(&f->ocsp);
}

static enum parse fail(struct flight *f, enum flight_side side, enum flight_fault fault)
{
    f->fault = fault;
    f->fault_side = side;
    f->over = true;
    return PARSE_BAD;
}

/* Data and heartbeats in a row count once. */
static void note(struct flight *f, enum flight_side side, char letter)
{
    size_t len = strlen(f->history);
    char c = side == FLIGHT_CLIENT ? letter : (char)(letter | 0x20);
    bool repeated = len > 0 && f->history[len - 1] == c && (letter == 'D' || letter == 'B');
    if (!repeated && len + 1 < sizeof f->history)
        f->history[len] = c;
}

/* ---- messages of the server, whole ---- */

static enum parse take_hello(struct flight *f, struct span message)
{
    struct server_hello h;
    struct flight_reader *r = &f->sides[FLIGHT_SERVER];
    if (server_hello_parse(message, &h) != PARSE_OK)
        return fail(f, FLIGHT_SERVER, FLIGHT_FAULT_HELLO);
    if (h.retry) {
        size_t len = strlen(f->history);
        if (len > 0 && f->history[len - 1] == 's')
            f->history[len - 1] = 'j';
        r->rank = 0; /* the real one follows */
        if (f->retries++ > 0)
            return fail(f, FLIGHT_SERVER, FLIGHT_FAULT_ORDER);
        f->sides[FLIGHT_CLIENT].rank = 0; /* another hello is due */
        return PARSE_MORE;
    }
    buf_clear(&f->hello);
    if (buf_append(&f->hello, message.data, message.len) != 0)
        return fail(f, FLIGHT_SERVER, FLIGHT_FAULT_TOO_LONG);
    f->version = h.version;
    if (h.group)
        f->group = h.group;
    if (h.version >= TLS13) {
        f->resumed = server_hello_has(&h, HELLO_EXT_PRE_SHARED_KEY);
        f->sides[FLIGHT_SERVER].encrypted = f->sides[FLIGHT_CLIENT].encrypted = true;
    }
    return PARSE_MORE;
}

/* RFC 8422, 5.4; RFC 5246, 7.4.3. What kind it is, the cipher suite says; the first byte tells well enough: a named curve begins
 * with 3, and no prime of 768 bytes or more is in use. */
static enum parse take_key_exchange(struct flight *f, struct span body)
{
    enum { NAMED_CURVE = 3 };
    if (body.len >= 4 && body.data[0] == NAMED_CURVE) {
        f->group = (uint16_t)(body.data[1] << 8 | body.data[2]);
    } else if (body.len >= 2) {
        size_t len = (size_t)body.data[0] << 8 | body.data[1], zeros = 0;
        if (len > body.len - 2)
            return PARSE_MORE; /* another kind of exchange (PSK, SRP): not ours to judge */
        while (zeros < len && body.data[2 + zeros] == 0)
            zeros++;
        f->dh_bits = (unsigned)(len - zeros) * 8;
    }
    return PARSE_MORE;
}

/* RFC 6066, 8: one OCSP response. */
static enum parse take_status(struct flight *f, struct span body)
{
    enum { OCSP = 1 };
    if (body.len < 4 || body.data[0] != OCSP)
        return fail(f, FLIGHT_SERVER, FLIGHT_FAULT_MESSAGE);
    size_t len = (size_t)body.data[1] << 16 | (size_t)body.data[2] << 8 | body.data[3];
    if (len != body.len - 4)
        return fail(f, FLIGHT_SERVER, FLIGHT_FAULT_MESSAGE);
    buf_append(&f->ocsp, body.data + 4, len);
    return PARSE_MORE;
}

static enum parse take_certificate(struct flight *f, enum flight_side side, struct span body)
{
    struct span one;
    size_t cursor = 0;
    bool malformed = false;
    if (side == FLIGHT_CLIENT) {
        f->certificate_sent = flight_next_certificate(body, &cursor, &one, &malformed);
        return PARSE_MORE;
    }
    f->certificate_seen = true;
    while (flight_next_certificate(body, &cursor, &one, &malformed))
        ;
    buf_append(&f->certificate, body.data, body.len);
    return malformed ? fail(f, side, FLIGHT_FAULT_MESSAGE) : PARSE_MORE;
}

bool flight_next_certificate(struct span body, size_t *cursor, struct span *ret, bool *ret_malformed)
{
    size_t at = *cursor ? *cursor : 3;
    if (body.len < 3 ||
        ((size_t)body.data[0] << 16 | (size_t)body.data[1] << 8 | body.data[2]) != body.len - 3) {
        *ret_malformed = true;
        return false;
    }
    if (at == body.len)
        return false;
    size_t left = body.len - at;
    const uint8_t *d = body.data + at;
    size_t len = left >= 3 ? (size_t)d[0] << 16 | (size_t)d[1] << 8 | d[2] : 0;
    if (left < 3 || len > left - 3 || len == 0) {
        *ret_malformed = true;
        return false;
    }
    *ret = span_of(d + 3, len);
    *cursor = at + 3 + len;
    return true;
}

static enum parse take_message(struct flight *f, enum flight_side side, uint8_t type)
{
    struct flight_reader *r = &f->sides[side];
    struct span message = buf_span(&r->message), body = span_of(message.data + 4, message.len - 4);
    enum parse answer = PARSE_MORE;
    if (type == SERVER_HELLO)
        answer = take_hello(f, message);
    else if (type == CERTIFICATE)
        answer = take_certificate(f, side, body);
    else if (type == CERTIFICATE_STATUS)
        answer = take_status(f, body);
    else if (type == SERVER_KEY_EXCHANGE)
        answer = take_key_exchange(f, body);
    buf_free(&r->message);
    return answer;
}

/* ---- messages, in pieces ---- */

static const struct message_row *find_row(enum flight_side side, uint8_t type)
{
    for (size_t i = 0; i < ARRAY_LEN(messages); i++)
        if (messages[i].type == type && messages[i].side == side)
            return &messages[i];
    return NULL;
}

/* The header of a handshake message is there: is it its turn, and is it to be kept? */
static enum parse begin_message(struct flight *f, enum flight_side side, bool *ret_keep)
{
    struct flight_reader *r = &f->sides[side];
    const uint8_t *h = r->message_header;
    size_t len = (size_t)h[1] << 16 | (size_t)h[2] << 8 | h[3];
    if (side == FLIGHT_SERVER && h[0] == HELLO_REQUEST &&
        len == 0) { /* may come at any time (RFC 5246, 7.4.1.1) */
        note(f, side, 'H');
        return PARSE_MORE;
    }
    const struct message_row *row = find_row(side, h[0]);
    if (!row || row->rank <= r->rank || (row->rank > RANK_HELLO && r->rank == 0))
        return fail(f, side, FLIGHT_FAULT_ORDER);
    if (len > (h[0] == CERTIFICATE ? FLIGHT_CERTIFICATE_BYTES_MAX : FLIGHT_OTHER_BYTES_MAX) - 4)
        return fail(f, side, FLIGHT_FAULT_TOO_LONG);
    note(f, side, row->letter >= 'a' ? (char)(row->letter & ~0x20) : row->letter);
    if (side == FLIGHT_SERVER && row->rank == RANK_TICKET)
        f->ticket = true;
    if (side == FLIGHT_SERVER && row->rank == RANK_TICKET && r->rank == RANK_HELLO)
        f->resumed = true;
    if (h[0] == CERTIFICATE_REQUEST)
        f->certificate_requested = true;
    r->rank = row->rank;
    r->message_left = len;
    *ret_keep = row->keep;
    return PARSE_MORE;
}

/* Takes what of the handshake lies in `bytes`, all of one record. */
static enum parse take_handshake(struct flight *f, enum flight_side side, struct span bytes)
{
    struct flight_reader *r = &f->sides[side];
    while (bytes.len > 0 || (r->in_message && r->message_left == 0)) {
        enum parse answer = PARSE_MORE;
        if (!r->in_message) {
            must(bytes.len > 0 && bytes.data);
            r->message_header[r->message_header_bytes++] = bytes.data[0];
            bytes = span_from(bytes, 1);
            if (r->message_header_bytes < sizeof r->message_header)
                continue;
            bool keep = false;
            answer = begin_message(f, side, &keep);
            r->in_message = true;
            if (answer == PARSE_MORE && keep && buf_append(&r->message, r->message_header, 4) != 0)
                return fail(f, side, FLIGHT_FAULT_TOO_LONG);
        }
        if (answer == PARSE_BAD)
            return answer;
        size_t take = bytes.len < r->message_left ? bytes.len : r->message_left;
        if (take > 0 && buf_len(&r->message) > 0 && buf_append(&r->message, bytes.data, take) != 0)
            return fail(f, side, FLIGHT_FAULT_TOO_LONG);
        bytes = span_from(bytes, take);
        r->message_left -= take;
        if (r->message_left > 0)
            break;
        r->in_message = false;
        r->message_header_bytes = 0;
        if (buf_len(&r->message) > 0 && take_message(f, side, r->message_header[0]) == PARSE_BAD)
            return PARSE_BAD;
        if (r->encrypted &&
            bytes.len > 0) /* TLS 1.3: nothing shares the ServerHello's record (RFC 8446, 5.1) */
            return fail(f, side, FLIGHT_FAULT_ORDER);
    }
    return PARSE_MORE;
}

/* ---- records ---- */

static enum parse take_header(struct flight *f, enum flight_side side)
{
    struct flight_reader *r = &f->sides[side];
    const uint8_t *h = r->header;
    if (h[0] < RECORD_CHANGE_CIPHER_SPEC || h[0] > RECORD_HEARTBEAT)
        return fail(f, side, FLIGHT_FAULT_RECORD_TYPE);
    if (h[1] != 3)
        return fail(f, side, FLIGHT_FAULT_RECORD_VERSION);
    r->type = h[0];
    r->record_bytes = r->record_left = (size_t)h[3] << 8 | h[4];
    if (r->record_left > RECORD_BYTES_MAX)
        return fail(f, side, FLIGHT_FAULT_RECORD_LENGTH);
    r->odd_version = r->odd_version || h[2] < 1 || h[2] > 3;
    r->odd_length = r->odd_length || (r->record_left == 0 && r->type != RECORD_APPLICATION_DATA) ||
                    (!r->encrypted && r->record_left > RECORD_PLAIN_BYTES_MAX);
    if (r->record_left == 0 && ++r->records_empty > RECORDS_EMPTY_MAX)
        return fail(f, side, FLIGHT_FAULT_RECORDS_EMPTY);
    return PARSE_MORE;
}

static void finish_side(struct flight *f, enum flight_side side)
{
    note(f, side, 'F');
    *(side == FLIGHT_CLIENT ? &f->client_finished : &f->server_finished) = true;
}

/* A record begins: may it, now? What the encryption hides is counted here. */
static enum parse begin_record(struct flight *f, enum flight_side side)
{
    struct flight_reader *r = &f->sides[side];
    bool finished = side == FLIGHT_CLIENT ? f->client_finished : f->server_finished;
    switch (r->type) {
    case RECORD_HEARTBEAT:
        note(f, side, 'B');
        f->heartbeat = true;
        return PARSE_MORE;
    case RECORD_HANDSHAKE:
        if (!r->encrypted)
            return PARSE_MORE;
        if (f->version >= TLS13)
            return fail(f, side, FLIGHT_FAULT_ORDER); /* in the clear, after the ServerHello */
        if (!finished)
            finish_side(f, side);
        return PARSE_MORE;
    case RECORD_APPLICATION_DATA:
        if (side == FLIGHT_CLIENT && f->version == 0 && r->rank == RANK_HELLO)
            f->early_data = true;
        else if (!r->encrypted)
            return fail(f, side, FLIGHT_FAULT_ORDER);
        note(f, side, 'D');
        if (f->version < TLS13)
            return f->version && !finished ? fail(f, side, FLIGHT_FAULT_ORDER) : PARSE_MORE;
        if (r->records_encrypted++ == 0 && side == FLIGHT_CLIENT)
            f->client_alert_hidden = r->record_bytes == HIDDEN_ALERT_BYTES && !f->early_data;
        *(side == FLIGHT_CLIENT ? &f->client_finished : &f->server_finished) =
            !f->client_alert_hidden || side;
        return PARSE_MORE;
    default:
        return PARSE_MORE;
    }
}

static enum parse take_alert(struct flight *f, enum flight_side side, struct span bytes)
{
    struct flight_reader *r = &f->sides[side];
    if (r->encrypted && f->version < TLS13) {
        if (r->record_left == bytes.len)
            note(f, side, 'L');
        return PARSE_MORE;
    }
    if (r->record_bytes != 2)
        return fail(f, side, FLIGHT_FAULT_ALERT);
    for (size_t i = 0; i < bytes.len; i++) {
        size_t at = r->record_bytes - r->record_left + i;
        *(at == 0 ? &f->alerts[side].level : &f->alerts[side].description) = bytes.data[i];
    }
    if (r->record_left == bytes.len) {
        enum { WARNING = 1, CLOSE_NOTIFY = 0 };
        const struct flight_alert *a = &f->alerts[side];
        f->alerts[side].seen = a->level != WARNING || a->description == CLOSE_NOTIFY;
        note(f, side, 'L');
    }
    return PARSE_MORE;
}

static enum parse take_cipher_spec(struct flight *f, enum flight_side side, struct span bytes)
{
    struct flight_reader *r = &f->sides[side];
    if (r->record_bytes != 1 || bytes.data[0] != 1)
        return fail(f, side, FLIGHT_FAULT_CIPHER_SPEC);
    note(f, side, 'I');
    if (f->version >= TLS13 || f->retries || (side == FLIGHT_CLIENT && f->version == 0))
        return PARSE_MORE; /* for middleboxes; means nothing (RFC 8446, D.4) */
    if (r->rank == 0 || r->encrypted || r->in_message || r->message_header_bytes)
        return fail(f, side, FLIGHT_FAULT_ORDER);
    if (side == FLIGHT_SERVER && r->rank != RANK_DONE &&
        !f->ticket) { /* no certificate, no key exchange: an old session */
        if (r->rank != RANK_HELLO)
            return fail(f, side, FLIGHT_FAULT_ORDER);
        f->resumed = true;
    }
    r->rank = RANK_CIPHER_SPEC;
    r->encrypted = true;
    return PARSE_MORE;
}

static enum parse take_payload(struct flight *f, enum flight_side side, struct span bytes)
{
    struct flight_reader *r = &f->sides[side];
    switch (r->type) {
    case RECORD_HANDSHAKE:
        return r->encrypted ? PARSE_MORE : take_handshake(f, side, bytes);
    case RECORD_ALERT:
        return take_alert(f, side, bytes);
    case RECORD_CHANGE_CIPHER_SPEC:
        return take_cipher_spec(f, side, bytes);
    default:
        return PARSE_MORE;
    }
}

static enum parse read_header(struct flight *f, enum flight_side side, struct span *bytes)
{
    struct flight_reader *r = &f->sides[side];
    while (bytes->len > 0 && r->header_bytes < sizeof r->header) {
        r->header[r->header_bytes++] = bytes->data[0];
        *bytes = span_from(*bytes, 1);
    }
    if (r->header_bytes < sizeof r->header)
        return PARSE_MORE;
    enum parse answer = take_header(f, side);
    return answer == PARSE_BAD ? answer : begin_record(f, side);
}

static enum parse feed_side(struct flight *f, enum flight_side side, struct span bytes)
{
    struct flight_reader *r = &f->sides[side];
    while (bytes.len > 0) {
        if (r->header_bytes < sizeof r->header) {
            if (read_header(f, side, &bytes) == PARSE_BAD)
                return PARSE_BAD;
        } else {
            size_t take = bytes.len < r->record_left ? bytes.len : r->record_left;
            if (take_payload(f, side, span_of(bytes.data, take)) == PARSE_BAD)
                return PARSE_BAD;
            bytes = span_from(bytes, take);
            r->record_left -= take;
        }
        if (r->header_bytes == sizeof r->header && r->record_left == 0)
            r->header_bytes = 0;
    }
    return PARSE_MORE;
}

enum parse flight_feed(struct flight *f, enum flight_side side, struct span bytes)
{
    if (f->over)
        return f->fault ? PARSE_BAD : PARSE_OK;
    struct flight_reader *r = &f->sides[side];
    r->bytes += bytes.len;
    if (feed_side(f, side, bytes) == PARSE_BAD)
        return PARSE_BAD;
    if (flight_is_complete(f) || f->alerts[0].seen || f->alerts[1].seen || f->client_alert_hidden) {
        f->over = true;
        return PARSE_OK;
    }
    return r->bytes > FLIGHT_BYTES_MAX ? fail(f, side, FLIGHT_FAULT_TOO_MUCH) : PARSE_MORE;
}

struct span flight_scts(const struct flight *f)
{
    struct server_hello h;
    struct hello_extension e;
    size_t cursor = 0;
    if (f->version >= TLS13 || !buf_len(&f->hello) || server_hello_parse(buf_span(&f->hello), &h) != PARSE_OK)
        return span_of(NULL, 0);
    while (server_hello_next_extension(&h, &cursor, &e))
        if (e.type == HELLO_EXT_SIGNED_CERTIFICATE_TIMESTAMP)
            return e.body;
    return span_of(NULL, 0);
}
