/* ja3.c: see ja3.h. Pure. */
#include "facts/ja3.h"

#include "base/hex.h"
#include "base/md.h"

#include <openssl/evp.h>

static void write_number(struct buf *out, bool *first, unsigned value)
{
    if (!*first)
        buf_append(out, "-", 1);
    buf_append_uint(out, value);
    *first = false;
}

static void write_list(struct buf *out, struct span list)
{
    bool first = true;
    buf_append(out, ",", 1);
    for (size_t i = 0; i < hello_u16_count(list); i++)
        if (!hello_is_grease(hello_u16_at(list, i)))
            write_number(out, &first, hello_u16_at(list, i));
}

static void write_extensions(struct buf *out, const struct client_hello *h)
{
    struct hello_extension e;
    size_t cursor = 0;
    bool first = true;
    buf_append(out, ",", 1);
    while (client_hello_next_extension(h, &cursor, &e))
        if (!hello_is_grease(e.type))
            write_number(out, &first, e.type);
}

int ja3_write(const struct client_hello *h, struct buf *out)
{
    bool first = true;
    buf_append_uint(out, h->legacy_version);
    write_list(out, h->cipher_suites);
    write_extensions(out, h);
    write_list(out, h->groups);
    buf_append(out, ",", 1);
    for (size_t i = 0; i < h->point_formats.len; i++)
        write_number(out, &first, h->point_formats.data[i]);
    return out->failed ? -1 : 0;
}

int ja3_hash_text(struct span text, char ret[JA3_HASH_BYTES])
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (EVP_Digest(text.len ? text.data : (const void *)"", text.len, digest, &len, md_md5(), NULL) != 1)
        return -1;
    hex_write(span_of(digest, len), ret);
    ret[JA3_HASH_BYTES - 1] = '\0';
    return 0;
}

int ja3_hash(const struct client_hello *h, char ret[JA3_HASH_BYTES])
{
    struct buf text;
    buf_init(&text, JA3_TEXT_BYTES_MAX);
    int result = ja3_write(h, &text);
    if (result == 0)
        result = ja3_hash_text(buf_span(&text), ret);
    buf_free(&text);
    return result;
}
