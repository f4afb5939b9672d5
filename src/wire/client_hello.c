/* client_hello.c: see client_hello.h. Pure. */
#include "wire/client_hello.h"

#include "base/must.h"

#include <stddef.h>

enum { HEADER_BYTES = 4, RANDOM_BYTES = 32, SESSION_ID_BYTES_MAX = 32 };

/* A place in a vector that never runs past it. */
struct cursor {
    struct span in; /* view into the message */
    size_t at;
};

static size_t cursor_left(const struct cursor *c)
{
    return c->in.len - c->at;
}

static bool cursor_take(struct cursor *c, size_t bytes, struct span *ret)
{
    if (bytes > cursor_left(c))
        return false;
    *ret = span_of(c->in.data + c->at, bytes);
    c->at += bytes;
    return true;
}

static bool cursor_take_number(struct cursor *c, size_t bytes, size_t *ret)
{
    struct span raw;
    if (!cursor_take(c, bytes, &raw))
        return false;
    size_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | raw.data[i];
    *ret = value;
    return true;
}

/* A vector with a length of `prefix_bytes` before it. The cursor stays where it was on failure. */
static bool cursor_take_vector(struct cursor *c, size_t prefix_bytes, struct span *ret)
{
    struct cursor try = *c;
    size_t len;
    if (!cursor_take_number(&try, prefix_bytes, &len) || !cursor_take(&try, len, ret))
        return false;
    *c = try;
    return true;
}

/* ---- what the extensions hold ---- */

/* The content is one vector that fills the body. */
static bool read_vector(struct span body, size_t prefix_bytes, struct span *ret)
{
    struct cursor c = {body, 0};
    struct span list;
    if (!cursor_take_vector(&c, prefix_bytes, &list) || cursor_left(&c) > 0)
        return false;
    *ret = list;
    return true;
}

static bool read_u16_list(struct span body, size_t prefix_bytes, struct span *ret)
{
    struct span list;
    if (!read_vector(body, prefix_bytes, &list) || list.len == 0 || list.len % 2 != 0)
        return false;
    *ret = list;
    return true;
}

static bool read_byte_list(struct span body, struct span *ret)
{
    struct span list;
    if (!read_vector(body, 1, &list) || list.len == 0)
        return false;
    *ret = list;
    return true;
}

static bool read_groups(struct client_hello *h, struct span body)
{
    return read_u16_list(body, 2, &h->groups);
}

static bool read_signature_algorithms(struct client_hello *h, struct span body)
{
    return read_u16_list(body, 2, &h->signature_algorithms);
}

static bool read_supported_versions(struct client_hello *h, struct span body)
{
    return read_u16_list(body, 1, &h->supported_versions);
}

static bool read_point_formats(struct client_hello *h, struct span body)
{
    return read_byte_list(body, &h->point_formats);
}

static bool read_psk_modes(struct client_hello *h, struct span body)
{
    return read_byte_list(body, &h->psk_modes);
}

static bool check_u16_list(struct client_hello *h, struct span body)
{
    (void)h;
    struct span list;
    return read_u16_list(body, 2, &list);
}

static bool check_compress_certificate(struct client_hello *h, struct span body)
{
    (void)h;
    struct span list;
    return read_u16_list(body, 1, &list);
}

static bool check_cookie(struct client_hello *h, struct span body)
{
    (void)h;
    struct span cookie;
    return read_vector(body, 2, &cookie) && cookie.len > 0;
}

static bool check_empty(struct client_hello *h, struct span body)
{
    (void)h;
    return body.len == 0;
}

static bool check_heartbeat(struct client_hello *h, struct span body)
{
    (void)h;
    return body.len == 1 && (body.data[0] == 1 || body.data[0] == 2);
}

static bool check_record_size_limit(struct client_hello *h, struct span body)
{
    (void)h;
    return body.len == 2;
}

/* RFC 6066 section 8: one type, two vectors; other types are opaque. */
static bool check_status_request(struct client_hello *h, struct span body)
{
    (void)h;
    struct cursor c = {body, 0};
    size_t type;
    struct span responders, extensions;
    if (!cursor_take_number(&c, 1, &type))
        return false;
    return type != 1 || (cursor_take_vector(&c, 2, &responders) && cursor_take_vector(&c, 2, &extensions) &&
                         cursor_left(&c) == 0);
}

static bool read_session_ticket(struct client_hello *h, struct span body)
{
    h->session_ticket = body;
    return true;
}

static bool read_padding(struct client_hello *h, struct span body)
{
    h->padding_bytes = body.len;
    return true; /* its bytes are looked at by note_padding(): that has a fault of its own */
}

static bool read_renegotiation(struct client_hello *h, struct span body)
{
    h->renegotiation_info = true;
    return read_vector(body, 1, &h->renegotiation);
}

static bool read_ech(struct client_hello *h, struct span body)
{
    h->ech = true;
    return body.len > 0;
}

/* The names before a break are kept: they were said. */
static bool read_alpn(struct client_hello *h, struct span body)
{
    struct cursor outer = {body, 0};
    struct span list, name;
    if (!cursor_take_vector(&outer, 2, &list))
        return false;
    struct cursor c = {list, 0};
    bool fits = cursor_left(&outer) == 0 && list.len > 0;
    while (cursor_left(&c) > 0) {
        size_t before = c.at;
        if (!cursor_take_vector(&c, 1, &name) || name.len == 0) {
            fits = false;
            c.at = before;
            break;
        }
    }
    h->alpn = span_of(list.data, c.at);
    return fits;
}

static bool read_key_shares(struct client_hello *h, struct span body)
{
    struct span list, key;
    if (!read_vector(body, 2, &list))
        return false;
    struct cursor c = {list, 0};
    while (cursor_left(&c) > 0) {
        size_t group;
        if (!cursor_take_number(&c, 2, &group) || !cursor_take_vector(&c, 2, &key) || key.len == 0)
            return false;
    }
    h->key_shares = list;
    return true;
}

/* RFC 8446 section 4.2.11: as many binders as identities, each with its least length. */
static bool check_pre_shared_key(struct client_hello *h, struct span body)
{
    (void)h;
    struct cursor c = {body, 0};
    struct span identities, binders, one;
    if (!cursor_take_vector(&c, 2, &identities) || !cursor_take_vector(&c, 2, &binders) ||
        cursor_left(&c) > 0)
        return false;
    struct cursor i = {identities, 0}, b = {binders, 0};
    size_t age;
    do {
        if (!cursor_take_vector(&i, 2, &one) || one.len == 0 || !cursor_take_number(&i, 4, &age))
            return false;
        if (!cursor_take_vector(&b, 1, &one) || one.len < 32)
            return false;
    } while (cursor_left(&i) > 0);
    return cursor_left(&b) == 0;
}

/* Every answer but HELLO_SNI_MALFORMED keeps the frame; the oddest thing found is what is told. */
static bool read_server_name(struct client_hello *h, struct span body)
{
    struct cursor outer = {body, 0};
    struct span list, name;
    size_t type, names = 0;
    bool wrong_type = false, empty = false;
    h->sni = HELLO_SNI_MALFORMED;
    if (body.len == 0) {
        h->sni = HELLO_SNI_NO_NAME; /* what servers send back; no client should */
        return false;
    }
    if (!cursor_take_vector(&outer, 2, &list))
        return false;
    for (struct cursor c = {list, 0}; cursor_left(&c) > 0;) {
        if (!cursor_take_number(&c, 1, &type) || !cursor_take_vector(&c, 2, &name))
            return false;
        wrong_type = wrong_type || type != 0;
        empty = empty || name.len == 0;
        if (type == 0 && names++ == 0)
            h->server_name = name;
    }
    if (cursor_left(&outer) > 0)
        return false;
    h->sni = wrong_type            ? HELLO_SNI_WRONG_TYPE
             : names == 0 || empty ? HELLO_SNI_NO_NAME
             : names > 1           ? HELLO_SNI_SEVERAL
                                   : HELLO_SNI_ONE;
    return names > 0 && !empty;
}

struct extension_reader {
    uint16_t type;
    bool (*read)(struct client_hello *h, struct span body); /* false: malformed */
};

static const struct extension_reader readers[] = {
    {HELLO_EXT_SERVER_NAME, read_server_name},
    {HELLO_EXT_STATUS_REQUEST, check_status_request},
    {HELLO_EXT_SUPPORTED_GROUPS, read_groups},
    {HELLO_EXT_POINT_FORMATS, read_point_formats},
    {HELLO_EXT_SIGNATURE_ALGORITHMS, read_signature_algorithms},
    {HELLO_EXT_HEARTBEAT, check_heartbeat},
    {HELLO_EXT_ALPN, read_alpn},
    {HELLO_EXT_SIGNED_CERTIFICATE_TIMESTAMP, check_empty},
    {HELLO_EXT_PADDING, read_padding},
    {HELLO_EXT_ENCRYPT_THEN_MAC, check_empty},
    {HELLO_EXT_EXTENDED_MASTER_SECRET, check_empty},
    {HELLO_EXT_COMPRESS_CERTIFICATE, check_compress_certificate},
    {HELLO_EXT_RECORD_SIZE_LIMIT, check_record_size_limit},
    {HELLO_EXT_SESSION_TICKET, read_session_ticket},
    {HELLO_EXT_PRE_SHARED_KEY, check_pre_shared_key},
    {HELLO_EXT_EARLY_DATA, check_empty},
    {HELLO_EXT_SUPPORTED_VERSIONS, read_supported_versions},
    {HELLO_EXT_COOKIE, check_cookie},
    {HELLO_EXT_PSK_KEY_EXCHANGE_MODES, read_psk_modes},
    {HELLO_EXT_POST_HANDSHAKE_AUTH, check_empty},
    {HELLO_EXT_SIGNATURE_ALGORITHMS_CERT, check_u16_list},
    {HELLO_EXT_KEY_SHARE, read_key_shares},
    {HELLO_EXT_ECH, read_ech},
    {HELLO_EXT_RENEGOTIATION_INFO, read_renegotiation},
    {0xfe08, read_ech}, /* drafts of encrypted_client_hello */
    {0xfe09, read_ech},
    {0xfe0a, read_ech},
    {0xffce, read_ech}, /* encrypted_server_name, the draft before it */
};

/* ---- the message ---- */

static void note_part(struct client_hello *h, enum hello_fault fault, const uint8_t *at)
{
    if (h->part_fault != HELLO_FAULT_NONE)
        return;
    h->part_fault = fault;
    h->part_fault_offset = (size_t)(at - h->message.data);
}

static void note_padding(struct client_hello *h, struct span body)
{
    for (size_t i = 0; i < body.len; i++)
        if (body.data[i] != 0) {
            note_part(h, HELLO_FAULT_PADDING_NOT_ZERO, body.data + i);
            return;
        }
}

static void read_extension(struct client_hello *h, const struct hello_extension *e)
{
    for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
        if (readers[i].type != e->type || readers[i].read(h, e->body))
            continue;
        if (h->part_fault == HELLO_FAULT_NONE)
            h->part_fault_extension = e->type;
        note_part(h, HELLO_FAULT_EXTENSION_BODY, e->body.data);
    }
    if (e->type == HELLO_EXT_PADDING)
        note_padding(h, e->body);
}

static bool next_extension(struct cursor *c, struct hello_extension *ret)
{
    struct cursor try = *c;
    size_t type;
    struct span body;
    if (!cursor_take_number(&try, 2, &type) || !cursor_take_vector(&try, 2, &body))
        return false;
    *c = try;
    *ret = (struct hello_extension){(uint16_t)type, body};
    return true;
}

/* A bit per type: duplicates are found without comparing each with each. */
static bool mark_seen(uint64_t seen[1024], uint16_t type)
{
    uint64_t bit = (uint64_t)1 << (type & 63);
    bool before = seen[type >> 6] & bit;
    seen[type >> 6] |= bit;
    return before;
}

static enum parse read_extensions(struct client_hello *h, struct hello_error *ret_error)
{
    uint64_t seen[1024] = {0};
    struct cursor c = {h->extensions, 0};
    struct hello_extension e = {0};
    while (cursor_left(&c) > 0) {
        if (!next_extension(&c, &e)) {
            *ret_error =
                (struct hello_error){HELLO_FAULT_EXTENSION, (size_t)(c.in.data + c.at - h->message.data)};
            return PARSE_BAD;
        }
        h->extension_count++;
        if (mark_seen(seen, e.type))
            h->duplicate_extension = true;
        else
            read_extension(h, &e);
    }
    h->seen_low = seen[0];
    if (client_hello_has(h, HELLO_EXT_PRE_SHARED_KEY) && e.type != HELLO_EXT_PRE_SHARED_KEY)
        note_part(h, HELLO_FAULT_PSK_NOT_LAST, h->extensions.data);
    return PARSE_OK;
}

static uint16_t highest_version(const struct client_hello *h)
{
    uint16_t highest = 0;
    for (size_t i = 0; i < hello_u16_count(h->supported_versions); i++) {
        uint16_t version = hello_u16_at(h->supported_versions, i);
        if (!hello_is_grease(version) && version > highest)
            highest = version;
    }
    return highest ? highest : h->legacy_version;
}

/* Up to the extensions block; on failure *ret_fault says which part and the cursor where. */
static bool read_frame(struct client_hello *h, struct cursor *c, enum hello_fault *ret_fault)
{
    size_t version;
    *ret_fault = HELLO_FAULT_FIXED_PART;
    if (!cursor_take_number(c, 2, &version) || !cursor_take(c, RANDOM_BYTES, &h->random))
        return false;
    h->legacy_version = (uint16_t)version;
    *ret_fault = HELLO_FAULT_SESSION_ID;
    struct cursor before = *c;
    if (!cursor_take_vector(c, 1, &h->session_id))
        return false;
    if (h->session_id.len > SESSION_ID_BYTES_MAX) {
        *c = before;
        return false;
    }
    *ret_fault = HELLO_FAULT_CIPHER_SUITES;
    before = *c;
    if (!cursor_take_vector(c, 2, &h->cipher_suites))
        return false;
    if (h->cipher_suites.len % 2 != 0) {
        *c = before;
        return false;
    }
    *ret_fault = HELLO_FAULT_COMPRESSION;
    if (!cursor_take_vector(c, 1, &h->compression))
        return false;
    *ret_fault = HELLO_FAULT_EXTENSIONS;
    if (cursor_left(c) > 0 && !cursor_take_vector(c, 2, &h->extensions))
        return false;
    *ret_fault = HELLO_FAULT_TRAILING;
    return cursor_left(c) == 0;
}

enum parse client_hello_parse(struct span message, struct client_hello *ret, struct hello_error *ret_error)
{
    struct cursor c = {message, 0};
    size_t type, len;
    if (message.len > 0 && message.data[0] != 1) {
        *ret_error = (struct hello_error){HELLO_FAULT_ORDER, 0};
        return PARSE_BAD;
    }
    if (!cursor_take_number(&c, 1, &type) || !cursor_take_number(&c, 3, &len))
        return PARSE_MORE;
    if (HEADER_BYTES + len > HELLO_BYTES_MAX) {
        *ret_error = (struct hello_error){HELLO_FAULT_TOO_LONG, 1};
        return PARSE_BAD;
    }
    if (cursor_left(&c) < len)
        return PARSE_MORE;
    if (cursor_left(&c) > len) {
        *ret_error = (struct hello_error){HELLO_FAULT_TRAILING, HEADER_BYTES + len};
        return PARSE_BAD;
    }
    struct client_hello h = {.message = message};
    struct hello_error error;
    if (!read_frame(&h, &c, &error.fault)) {
        error.offset = c.at;
        *ret_error = error;
        return PARSE_BAD;
    }
    if (h.cipher_suites.len == 0)
        note_part(&h, HELLO_FAULT_SUITES_EMPTY, h.cipher_suites.data);
    if (h.compression.len == 0)
        note_part(&h, HELLO_FAULT_COMPRESSION_EMPTY, h.compression.data);
    if (read_extensions(&h, ret_error) != PARSE_OK)
        return PARSE_BAD;
    h.highest_version = highest_version(&h);
    *ret = h;
    return PARSE_OK;
}

bool client_hello_next_extension(const struct client_hello *h, size_t *cursor, struct hello_extension *ret)
{
    struct cursor c = {h->extensions, *cursor};
    if (!next_extension(&c, ret))
        return false;
    *cursor = c.at;
    return true;
}

bool client_hello_next_alpn(const struct client_hello *h, size_t *cursor, struct span *ret)
{
    struct cursor c = {h->alpn, *cursor};
    if (!cursor_take_vector(&c, 1, ret))
        return false;
    *cursor = c.at;
    return true;
}

bool client_hello_next_key_share(const struct client_hello *h, size_t *cursor, struct hello_key_share *ret)
{
    struct cursor c = {h->key_shares, *cursor};
    size_t group;
    struct span key;
    if (!cursor_take_number(&c, 2, &group) || !cursor_take_vector(&c, 2, &key))
        return false;
    *cursor = c.at;
    *ret = (struct hello_key_share){(uint16_t)group, key};
    return true;
}

static const struct {
    uint16_t version;
    const char *name;
} version_names[] = {
    {0x0304, "1.3"}, {0x0303, "1.2"}, {0x0302, "1.1"}, {0x0301, "1.0"}, {0x0300, "SSL3"}, {0x0002, "SSL2"},
};

const char *hello_version_name(uint16_t version)
{
    for (size_t i = 0; i < ARRAY_LEN(version_names); i++)
        if (version_names[i].version == version)
            return version_names[i].name;
    return NULL;
}

const char *client_hello_version(const struct client_hello *h)
{
    uint16_t highest = 0;
    for (size_t i = 0; i < hello_u16_count(h->supported_versions); i++) {
        uint16_t version = hello_u16_at(h->supported_versions, i);
        if (version > highest && hello_version_name(version))
            highest = version;
    }
    return hello_version_name(highest ? highest : h->legacy_version);
}
