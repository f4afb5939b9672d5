/* pem.c: see pem.h. */
#include "cmd/pem.h"

#include "base/base64.h"

int pem_write(struct buf *out, struct span der)
{
    enum { LINE_BYTES = 48, LINE_DIGITS = 64 };
    char line[LINE_DIGITS + 1];
    buf_append_str(out, "-----BEGIN CERTIFICATE-----\n");
    for (size_t at = 0; at < der.len; at += LINE_BYTES) {
        size_t len = der.len - at < LINE_BYTES ? der.len - at : LINE_BYTES;
        if (base64_encode(span_of(der.data + at, len), line, sizeof line) != 0)
            return -1;
        buf_printf(out, "%s\n", line);
    }
    return buf_append_str(out, "-----END CERTIFICATE-----\n");
}
