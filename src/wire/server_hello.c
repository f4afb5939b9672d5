/* server_hello.c: see server_hello.h. Pure. */
#include "wire/server_hello.h"

enum { HEADER_BYTES = 4, SERVER_HELLO = 2, RANDOM_BYTES = 32, SESSION_ID_BYTES_MAX = 32 };

/* What is left to be read; `failed` sticks. */
struct cursor {
    struct span rest;
    bool failed;
};

static struct span take(struct cursor *c, size_t len)
{
    if (c->failed || c->rest.len < len) {
        c->failed = true;
        return (struct span){NULL, 0};
    }
    struct span taken = span_of(c->rest.data, len);
    c->rest = span_of(c->rest.data + len, c->rest.len - len);
    return taken;
}

static unsigned take_number(struct cursor *c, size_t bytes)
{
    struct span s = take(c, bytes);
    unsigned value = 0;
    for (size_t i = 0; i < s.len; i++)
        value = value << 8 | s.data[i];
    return value;
}

/* SHA-256 of "HelloRetryRequest" (RFC 8446, 4.1.3). */
static const uint8_t retry_random[RANDOM_BYTES] = {
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};

bool server_hello_has_sentinel(const struct server_hello *h)
{
    const uint8_t *tail = h->random.data + RANDOM_BYTES - 8;
    return memcmp(tail, "DOWNGRD", 7) == 0 && tail[7] <= 1;
}

bool server_hello_next_extension(const struct server_hello *h, size_t *cursor, struct hello_extension *ret)
{
    struct cursor c = {.rest = span_from(h->extensions, *cursor)};
    if (c.rest.len == 0)
        return false;
    uint16_t type = (uint16_t)take_number(&c, 2);
    struct span body = take(&c, take_number(&c, 2));
    if (c.failed)
        return false;
    *ret = (struct hello_extension){type, body};
    *cursor = h->extensions.len - c.rest.len;
    return true;
}

/* Exactly one name (RFC 7301, 3.1). */
static bool read_alpn(struct span body, struct span *ret)
{
    struct cursor c = {.rest = body};
    struct span list = take(&c, take_number(&c, 2));
    struct cursor names = {.rest = list, .failed = c.failed || c.rest.len > 0};
    struct span name = take(&names, take_number(&names, 1));
    if (names.failed || names.rest.len > 0 || name.len == 0)
        return false;
    *ret = name;
    return true;
}

static void read_extension(struct server_hello *h, const struct hello_extension *e)
{
    struct cursor c = {.rest = e->body};
    bool good = true;
    switch (e->type) {
    case HELLO_EXT_SUPPORTED_VERSIONS:
        h->version = (uint16_t)take_number(&c, 2);
        good = !c.failed && c.rest.len == 0;
        break;
    case HELLO_EXT_KEY_SHARE:
        h->group = (uint16_t)take_number(&c, 2);
        good = !c.failed && (h->retry ? c.rest.len == 0 : c.rest.len > 2);
        break;
    case HELLO_EXT_ALPN:
        good = read_alpn(e->body, &h->alpn);
        break;
    case HELLO_EXT_RENEGOTIATION_INFO:
        h->renegotiation_info = true;
        break;
    default:
        break;
    }
    h->malformed_part = h->malformed_part || !good;
}

/* False: an extension runs past the block. */
static bool read_extensions(struct server_hello *h)
{
    struct hello_extension e;
    size_t cursor = 0;
    while (server_hello_next_extension(h, &cursor, &e)) {
        struct hello_extension earlier;
        size_t at = 0;
        bool twice = false;
        for (unsigned i = 0;
             i < h->extension_count && !twice && server_hello_next_extension(h, &at, &earlier); i++)
            twice = earlier.type == e.type;
        h->duplicate_extension = h->duplicate_extension || twice;
        h->extension_count++;
        if (e.type < 64)
            h->seen_low |= UINT64_C(1) << e.type;
        if (!twice)
            read_extension(h, &e);
        if (h->extension_count > 256) /* nobody's hello: what follows is not looked at twice */
            return false;
    }
    return cursor == h->extensions.len;
}

enum parse server_hello_parse(struct span message, struct server_hello *ret)
{
    struct cursor c = {.rest = message};
    unsigned type = take_number(&c, 1), len = take_number(&c, 3);
    if (c.failed || c.rest.len < len)
        return !c.failed && type != SERVER_HELLO ? PARSE_BAD : PARSE_MORE;
    if (type != SERVER_HELLO || c.rest.len > len)
        return PARSE_BAD;
    struct server_hello h = {.message = message};
    h.version = h.legacy_version = (uint16_t)take_number(&c, 2);
    h.random = take(&c, RANDOM_BYTES);
    h.session_id = take(&c, take_number(&c, 1));
    h.cipher_suite = (uint16_t)take_number(&c, 2);
    h.compression = (uint8_t)take_number(&c, 1);
    if (c.failed || !h.random.data || h.session_id.len > SESSION_ID_BYTES_MAX)
        return PARSE_BAD;
    h.retry = memcmp(h.random.data, retry_random, RANDOM_BYTES) == 0;
    if (c.rest.len > 0)
        h.extensions = take(&c, take_number(&c, 2));
    if (c.failed || c.rest.len > 0 || !read_extensions(&h))
        return PARSE_BAD;
    *ret = h;
    return PARSE_OK;
}
