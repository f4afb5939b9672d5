/* wire.c: see wire.h. */
#include "wire.h"

#include "base/must.h"

#include <string.h>

enum { HANDSHAKE = 22, CHANGE_CIPHER = 20, DATA = 23, KEY_BYTES = 32, RECORD_HEAD = 5, MESSAGE_HEAD = 4 };

static void put(struct buf *out, uint64_t value, unsigned bytes)
{
    uint8_t text[8];
    for (unsigned i = 0; i < bytes; i++)
        text[i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
    must(buf_append(out, text, bytes) == 0);
}

void wire_noise(struct buf *out, size_t bytes, struct rng *r)
{
    for (; bytes >= 8; bytes -= 8)
        put(out, rng_next(r), 8);
    put(out, rng_next(r), (unsigned)bytes);
}

/* What was appended since `from` is so long: written into the `bytes` before it. */
static void fill_length(struct buf *out, size_t from, unsigned bytes)
{
    size_t len = buf_len(out) - from;
    uint8_t *at = (uint8_t *)(uintptr_t)buf_span(out).data + from;
    for (unsigned i = 1; i <= bytes; i++, len >>= 8)
        at[-(ptrdiff_t)i] = (uint8_t)len;
}

/* ---- records ---- */

static size_t begin_record(struct buf *out, unsigned type, unsigned version)
{
    put(out, type, 1);
    put(out, version, 2);
    put(out, 0, 2);
    return buf_len(out);
}

static size_t begin_message(struct buf *out, unsigned type)
{
    put(out, type, 1);
    put(out, 0, 3);
    return buf_len(out);
}

void wire_data(struct buf *out, size_t bytes, struct rng *r)
{
    size_t record = begin_record(out, DATA, 0x0303);
    wire_noise(out, bytes, r);
    fill_length(out, record, 2);
}

static void change_cipher(struct buf *out)
{
    size_t record = begin_record(out, CHANGE_CIPHER, 0x0303);
    put(out, 1, 1);
    fill_length(out, record, 2);
}

/* A Finished that nobody but its receiver can read. */
static void finished(struct buf *out, struct rng *r)
{
    size_t record = begin_record(out, HANDSHAKE, 0x0303);
    wire_noise(out, 40, r);
    fill_length(out, record, 2);
}

/* ---- the client's hello ---- */

static const uint16_t chromium_suites[] = {0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9,
                                           0xcca8, 0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035};
static const uint16_t firefox_suites[] = {0x1301, 0x1303, 0x1302, 0xc02b, 0xc02f, 0xcca9,
                                          0xcca8, 0xc02c, 0xc030, 0xc00a, 0xc009, 0xc013,
                                          0xc014, 0x009c, 0x009d, 0x002f, 0x0035};
static const uint16_t library_suites[] = {0x1302, 0x1303, 0x1301, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc02b,
                                          0xc02f, 0xc024, 0xc028, 0xc023, 0xc027, 0x009d, 0x009c, 0x0035};

static void put_suites(struct buf *out, enum hello_kind kind, unsigned flavour)
{
    static const struct {
        const uint16_t *items;
        size_t count;
    } lists[] = {{chromium_suites, sizeof chromium_suites / 2},
                 {firefox_suites, sizeof firefox_suites / 2},
                 {library_suites, sizeof library_suites / 2}};
    size_t count = lists[kind].count - (kind == HELLO_LIBRARY ? flavour % 6 : 0);
    put(out, 2 * count + (kind == HELLO_CHROMIUM ? 2 : 0), 2);
    if (kind == HELLO_CHROMIUM)
        put(out, 0x1a1a, 2);
    for (size_t i = 0; i < count; i++)
        put(out, lists[kind].items[i], 2);
}

static void put_extension(struct buf *out, unsigned type, const void *body, size_t len)
{
    put(out, type, 2);
    put(out, len, 2);
    must(buf_append(out, body, len) == 0);
}
#define EXTENSION(out, type, literal) put_extension(out, type, literal, sizeof(literal) - 1)

static void put_name(struct buf *out, const char *name)
{
    size_t len = strlen(name);
    put(out, 0, 2);
    put(out, len + 5, 2);
    put(out, len + 3, 2);
    put(out, 0, 1);
    put(out, len, 2);
    must(buf_append(out, name, len) == 0);
}

static void put_extensions(struct buf *out, enum hello_kind kind, unsigned flavour, struct rng *r)
{
    EXTENSION(out, 23, "");
    EXTENSION(out, 65281, "\0");
    EXTENSION(out, 10, "\x00\x06\x00\x1d\x00\x17\x00\x18");
    EXTENSION(out, 11, "\x01\x00");
    if (kind != HELLO_LIBRARY || flavour % 2)
        EXTENSION(out, 35, "");
    EXTENSION(out, 16, "\x00\x0c\x02h2\x08http/1.1");
    EXTENSION(out, 13, "\x00\x10\x04\x03\x08\x04\x04\x01\x05\x03\x08\x05\x05\x01\x08\x06\x06\x01");
    put(out, 51, 2);
    put(out, 2 + 4 + KEY_BYTES, 2);
    put(out, 4 + KEY_BYTES, 2);
    put(out, 0x001d, 2);
    put(out, KEY_BYTES, 2);
    wire_noise(out, KEY_BYTES, r);
    EXTENSION(out, 45, "\x01\x01");
    EXTENSION(out, 43, "\x04\x03\x04\x03\x03");
}

void wire_hello(struct buf *out, enum hello_kind kind, unsigned flavour, const char *name, struct rng *r)
{
    size_t record = begin_record(out, HANDSHAKE, 0x0301), message = begin_message(out, 1);
    put(out, 0x0303, 2);
    wire_noise(out, 32, r);
    put(out, 32, 1);
    wire_noise(out, 32, r);
    put_suites(out, kind, flavour);
    put(out, 0x0100, 2); /* no compression */
    put(out, 0, 2);
    size_t extensions = buf_len(out);
    if (kind == HELLO_CHROMIUM)
        EXTENSION(out, 0x2a2a, "");
    if (name)
        put_name(out, name);
    put_extensions(out, kind, flavour, r);
    fill_length(out, extensions, 2);
    fill_length(out, message, 3);
    fill_length(out, record, 2);
}

/* ---- the server's flight ---- */

static void server_hello(struct buf *out, unsigned suite, struct rng *r)
{
    put(out, 0x0303, 2);
    wire_noise(out, 32, r);
    put(out, 0, 1); /* no session id */
    put(out, suite, 2);
    put(out, 0, 1);
}

void wire_server_hello13(struct buf *out, struct rng *r)
{
    size_t record = begin_record(out, HANDSHAKE, 0x0303), message = begin_message(out, 2);
    server_hello(out, 0x1301, r);
    put(out, 6 + 8 + KEY_BYTES, 2);
    EXTENSION(out, 43, "\x03\x04");
    put(out, 51, 2);
    put(out, 4 + KEY_BYTES, 2);
    put(out, 0x001d, 2);
    put(out, KEY_BYTES, 2);
    wire_noise(out, KEY_BYTES, r);
    fill_length(out, message, 3);
    fill_length(out, record, 2);
    change_cipher(out);
    wire_data(out, 600, r);
}

static void put_certificates(struct buf *out, const struct span *certificates, size_t count)
{
    size_t message = begin_message(out, 11);
    put(out, 0, 3);
    size_t list = buf_len(out);
    for (size_t i = 0; i < count; i++) {
        put(out, certificates[i].len, 3);
        must(buf_append(out, certificates[i].data, certificates[i].len) == 0);
    }
    fill_length(out, list, 3);
    fill_length(out, message, 3);
}

void wire_server_hello12(struct buf *out, const struct span *certificates, size_t count, struct rng *r)
{
    size_t record = begin_record(out, HANDSHAKE, 0x0303), message = begin_message(out, 2);
    server_hello(out, 0xc02b, r);
    put(out, 5, 2);
    EXTENSION(out, 65281, "\0");
    fill_length(out, message, 3);
    put_certificates(out, certificates, count);
    message = begin_message(out, 12); /* ECDHE over X25519, signed by the certificate's key */
    must(buf_append(out, "\x03\x00\x1d\x20", 4) == 0);
    wire_noise(out, KEY_BYTES, r);
    put(out, 0x0403, 2);
    put(out, 70, 2);
    wire_noise(out, 70, r);
    fill_length(out, message, 3);
    begin_message(out, 14);
    fill_length(out, record, 2);
}

void wire_client_end12(struct buf *out, struct rng *r)
{
    size_t record = begin_record(out, HANDSHAKE, 0x0303), message = begin_message(out, 16);
    put(out, KEY_BYTES, 1);
    wire_noise(out, KEY_BYTES, r);
    fill_length(out, message, 3);
    fill_length(out, record, 2);
    change_cipher(out);
    finished(out, r);
}

void wire_server_end12(struct buf *out, struct rng *r)
{
    change_cipher(out);
    finished(out, r);
}
