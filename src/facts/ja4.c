/* ja4.c: see ja4.h. Pure. */
#include "facts/ja4.h"

#include "base/hex.h"
#include "base/md.h"
#include "base/must.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

enum { COUNT_MAX = 99, HASH_DIGITS = 12 };

static unsigned count_cap(size_t count)
{
    return count > COUNT_MAX ? COUNT_MAX : (unsigned)count;
}

static size_t count_values(struct span list)
{
    size_t count = 0;
    for (size_t i = 0; i < hello_u16_count(list); i++)
        count += !hello_is_grease(hello_u16_at(list, i));
    return count;
}

static size_t count_extensions(const struct client_hello *h)
{
    struct hello_extension e;
    size_t cursor = 0, count = 0;
    while (client_hello_next_extension(h, &cursor, &e))
        count += !hello_is_grease(e.type);
    return count;
}

static const char *version_code(uint16_t version)
{
    static const struct {
        uint16_t version;
        const char *code;
    } codes[] = {
        {0x0304, "13"}, {0x0303, "12"}, {0x0302, "11"}, {0x0301, "10"}, {0x0300, "s3"},
        {0x0002, "s2"}, {0xfeff, "d1"}, {0xfefd, "d2"}, {0xfefc, "d3"},
    };
    for (size_t i = 0; i < ARRAY_LEN(codes); i++)
        if (codes[i].version == version)
            return codes[i].code;
    return "00";
}

static bool is_alphanumeric(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* First and last character of the first ALPN value; when one of them isn't alphanumeric, first and last digit of the value in
 * hexadecimal; "00" without one. */
static void alpn_code(const struct client_hello *h, char ret[2])
{
    struct span name;
    size_t cursor = 0;
    ret[0] = ret[1] = '0';
    if (!client_hello_next_alpn(h, &cursor, &name))
        return;
    uint8_t first = name.data[0], last = name.data[name.len - 1];
    char hex[4];
    hex_write(span_of((uint8_t[]){first, last}, 2), hex);
    bool plain = is_alphanumeric(first) && is_alphanumeric(last);
    ret[0] = plain ? (char)first : hex[0];
    ret[1] = plain ? (char)last : hex[3];
}

void ja4_prefix(const struct client_hello *h, char ret[JA4_PREFIX_BYTES])
{
    char alpn[2];
    alpn_code(h, alpn);
    snprintf(ret, JA4_PREFIX_BYTES, "t%s%c%02u%02u%c%c", version_code(h->highest_version),
             client_hello_has(h, HELLO_EXT_SERVER_NAME) ? 'd' : 'i',
             count_cap(count_values(h->cipher_suites)), count_cap(count_extensions(h)), alpn[0], alpn[1]);
}

static int compare_u16(const void *a, const void *b)
{
    return (int)*(const uint16_t *)a - (int)*(const uint16_t *)b;
}

static void write_value(struct buf *out, bool first, uint16_t value)
{
    char text[5] = ",";
    hex_write(span_of((uint8_t[]){(uint8_t)(value >> 8), (uint8_t)value}, 2), text + 1);
    buf_append(out, first ? text + 1 : text, first ? 4 : 5);
}

static void write_sorted(struct buf *out, uint16_t *values, size_t count)
{
    qsort(values, count, sizeof *values, compare_u16);
    for (size_t i = 0; i < count; i++)
        write_value(out, i == 0, values[i]);
}

static int write_suites(struct buf *out, const struct client_hello *h)
{
    uint16_t *values = malloc(h->cipher_suites.len + 1);
    size_t count = 0;
    if (!values)
        return -1;
    for (size_t i = 0; i < hello_u16_count(h->cipher_suites); i++)
        if (!hello_is_grease(hello_u16_at(h->cipher_suites, i)))
            values[count++] = hello_u16_at(h->cipher_suites, i);
    write_sorted(out, values, count);
    free(values);
    return out->failed ? -1 : 0;
}

static int write_extensions(struct buf *out, const struct client_hello *h)
{
    uint16_t *values = malloc(h->extension_count * sizeof *values + 1);
    struct hello_extension e;
    size_t count = 0, cursor = 0;
    if (!values)
        return -1;
    while (client_hello_next_extension(h, &cursor, &e))
        if (!hello_is_grease(e.type) && e.type != HELLO_EXT_SERVER_NAME && e.type != HELLO_EXT_ALPN)
            values[count++] = e.type;
    write_sorted(out, values, count);
    free(values);
    for (size_t i = 0, written = 0; i < hello_u16_count(h->signature_algorithms); i++) {
        uint16_t value = hello_u16_at(h->signature_algorithms, i);
        if (hello_is_grease(value))
            continue;
        if (written++ == 0)
            buf_append(out, "_", 1);
        write_value(out, written == 1, value);
    }
    return out->failed ? -1 : 0;
}

/* The first twelve digits of the SHA-256 of `text`; twelve zeros for an empty list. */
static int hash_part(struct span text, char ret[HASH_DIGITS])
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (text.len == 0) {
        memset(ret, '0', HASH_DIGITS);
        return 0;
    }
    if (EVP_Digest(text.data, text.len, digest, &len, md_sha256(), NULL) != 1)
        return -1;
    hex_write(span_of(digest, HASH_DIGITS / 2), ret);
    return 0;
}

int ja4_hash(const struct client_hello *h, char ret[JA4_BYTES])
{
    struct buf text;
    char prefix[JA4_PREFIX_BYTES], suites[HASH_DIGITS], extensions[HASH_DIGITS];
    buf_init(&text, JA4_RAW_BYTES_MAX);
    int result = write_suites(&text, h);
    if (result == 0)
        result = hash_part(buf_span(&text), suites);
    buf_clear(&text);
    if (result == 0)
        result = write_extensions(&text, h);
    if (result == 0)
        result = hash_part(buf_span(&text), extensions);
    buf_free(&text);
    if (result != 0)
        return -1;
    ja4_prefix(h, prefix);
    snprintf(ret, JA4_BYTES, "%s_%.*s_%.*s", prefix, HASH_DIGITS, suites, HASH_DIGITS, extensions);
    return 0;
}

int ja4_write_raw(const struct client_hello *h, struct buf *out)
{
    char prefix[JA4_PREFIX_BYTES];
    ja4_prefix(h, prefix);
    buf_append_str(out, prefix);
    buf_append(out, "_", 1);
    if (write_suites(out, h) != 0)
        return -1;
    buf_append(out, "_", 1);
    return write_extensions(out, h);
}
