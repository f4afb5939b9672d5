/* ja3s.c: see ja3s.h. Pure. */
#include "facts/ja3s.h"

int ja3s_write(const struct server_hello *h, struct buf *out)
{
    struct hello_extension e;
    size_t cursor = 0;
    const char *format = "%u";
    buf_printf(out, "%u,%u,", h->legacy_version, h->cipher_suite);
    while (server_hello_next_extension(h, &cursor, &e)) {
        buf_printf(out, format, e.type);
        format = "-%u";
    }
    return out->failed ? -1 : 0;
}

int ja3s_hash(const struct server_hello *h, char ret[JA3_HASH_BYTES])
{
    struct buf text;
    buf_init(&text, JA3_TEXT_BYTES_MAX);
    int result = ja3s_write(h, &text);
    if (result == 0)
        result = ja3_hash_text(buf_span(&text), ret);
    buf_free(&text);
    return result;
}
