/* hello_build.h: makes ClientHellos for tests: a plain good one, from which each case differs in one thing. */
#ifndef EXEAT_TESTS_HELLO_BUILD_H
#define EXEAT_TESTS_HELLO_BUILD_H

#include "base/hex.h"
#include "wire/client_hello.h"

#include <stdio.h>
#include <stdlib.h>

#define BYTES(literal) span_of(literal, sizeof(literal) - 1)

struct hello_plan {
    uint16_t legacy_version;
    struct span random, session_id, suites, compression;
    struct span extensions[12]; /* whole: type, length, body; a NULL one ends the list */
    bool no_extensions_block;
};

#define RANDOM_GOOD                                                                                          \
    "\x9b\x3d\x02\xee\x71\xc4\x58\x1a\xf6\x0d\x87\x24\xbb\x69\xd5\x30\x4c\x93\xe8\x17\x7e\xa1\x5f\xc9\x06"   \
    "\xda\x42\x8f"                                                                                           \
    "\xb0\x65\x1c\xf3"
#define SNI_GOOD                                                                                             \
    "\x00\x00\x00\x10\x00\x0e\x00\x00\x0b"                                                                   \
    "example.net"
#define GROUPS_GOOD   "\x00\x0a\x00\x06\x00\x04\x00\x1d\x00\x17"
#define ALPN_GOOD     "\x00\x10\x00\x0e\x00\x0c\x02h2\x08http/1.1"
#define VERSIONS_GOOD "\x00\x2b\x00\x05\x04\x03\x04\x03\x03"
#define SIGALGS_GOOD  "\x00\x0d\x00\x06\x00\x04\x04\x03\x08\x04"

static inline struct hello_plan hello_plan_good(void)
{
    return (struct hello_plan){
        .legacy_version = 0x0303,
        .random = BYTES(RANDOM_GOOD),
        .session_id = BYTES(RANDOM_GOOD),
        .suites = BYTES("\x13\x01\xc0\x2b"),
        .compression = BYTES("\x00"),
        .extensions = {BYTES(SNI_GOOD), BYTES(GROUPS_GOOD), BYTES(ALPN_GOOD), BYTES(VERSIONS_GOOD),
                       BYTES(SIGALGS_GOOD)},
    };
}

/* The plan's first extension of the same type is replaced, else it is added at the end. */
static inline void hello_plan_set(struct hello_plan *p, struct span extension)
{
    size_t i = 0;
    while (p->extensions[i].data && memcmp(p->extensions[i].data, extension.data, 2) != 0)
        i++;
    p->extensions[i] = extension;
}

static inline void hello_plan_add(struct hello_plan *p, struct span extension)
{
    size_t i = 0;
    while (p->extensions[i].data)
        i++;
    p->extensions[i] = extension;
}

static inline void hello_plan_drop(struct hello_plan *p, uint16_t type)
{
    size_t to = 0;
    for (size_t i = 0; p->extensions[i].data; i++)
        if ((p->extensions[i].data[0] << 8 | p->extensions[i].data[1]) != type)
            p->extensions[to++] = p->extensions[i];
    p->extensions[to] = (struct span){NULL, 0};
}

struct hello_bytes {
    uint8_t data[HELLO_BYTES_MAX + 16];
    size_t len;
};

static inline void hello_put(struct hello_bytes *b, struct span s)
{
    if (s.len)
        memcpy(b->data + b->len, s.data, s.len);
    b->len += s.len;
}

static inline void hello_put_number(struct hello_bytes *b, size_t value, unsigned bytes)
{
    while (bytes-- > 0)
        b->data[b->len++] = (uint8_t)(value >> 8 * bytes);
}

/* The handshake message; a view into *ret. */
static inline struct span hello_build(const struct hello_plan *p, struct hello_bytes *ret)
{
    size_t extensions = 0;
    ret->len = 4;
    hello_put_number(ret, p->legacy_version, 2);
    hello_put(ret, p->random);
    hello_put_number(ret, p->session_id.len, 1);
    hello_put(ret, p->session_id);
    hello_put_number(ret, p->suites.len, 2);
    hello_put(ret, p->suites);
    hello_put_number(ret, p->compression.len, 1);
    hello_put(ret, p->compression);
    for (size_t i = 0; p->extensions[i].data; i++)
        extensions += p->extensions[i].len;
    if (!p->no_extensions_block)
        hello_put_number(ret, extensions, 2);
    for (size_t i = 0; p->extensions[i].data && !p->no_extensions_block; i++)
        hello_put(ret, p->extensions[i]);
    size_t len = ret->len;
    ret->len = 0;
    hello_put_number(ret, 1, 1);
    hello_put_number(ret, len - 4, 3);
    ret->len = len;
    return span_of(ret->data, len);
}

/* The message in records of at most `record_bytes`; the memory is the caller's to free. */
static inline struct span hello_wrap(struct span message, size_t record_bytes, uint16_t version)
{
    size_t records = (message.len + record_bytes - 1) / record_bytes;
    uint8_t *out = malloc(message.len + records * RECORD_HEADER_BYTES);
    size_t at = 0;
    for (size_t i = 0; i < message.len; i += record_bytes) {
        size_t take = message.len - i < record_bytes ? message.len - i : record_bytes;
        uint8_t header[] = {22, (uint8_t)(version >> 8), (uint8_t)version, (uint8_t)(take >> 8),
                            (uint8_t)take};
        memcpy(out + at, header, sizeof header);
        memcpy(out + at + sizeof header, message.data + i, take);
        at += sizeof header + take;
    }
    return span_of(out, at);
}

/* Decodes hexadecimal text; the memory is the caller's to free. */
static inline struct span hello_unhex(const char *text, size_t digits)
{
    uint8_t *out = malloc(digits / 2 + 1);
    for (size_t i = 0; i + 1 < digits; i += 2)
        out[i / 2] = (uint8_t)(hex_value(text[i]) << 4 | hex_value(text[i + 1]));
    return span_of(out, digits / 2);
}

#endif
