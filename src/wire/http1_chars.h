/* http1_chars.h: the character classes of RFC 9110 (5.5, 5.6.2) and lists of tokens, for the http1 files only.
 * Pure, no state. */
#ifndef EXEAT_WIRE_HTTP1_CHARS_H
#define EXEAT_WIRE_HTTP1_CHARS_H

#include "base/span.h"

/* tchar: letters, digits and !#$%&'*+-.^_`|~ as a bit set. */
static inline bool http1_is_token(uint8_t c)
{
    static const uint64_t SET[2] = {0x3ff6cfa00000000u, 0x57ffffffc7fffffeu};
    return c < 128 && (SET[c >> 6] >> (c & 63) & 1);
}

/* field-vchar, SP and HTAB: what a value or a reason phrase may hold. */
static inline bool http1_is_text(uint8_t c)
{
    return (c >= 0x20 && c != 0x7f) || c == '\t';
}

static inline bool http1_is_ows(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static inline bool http1_is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static inline bool http1_is_alnum(uint8_t c)
{
    return http1_is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline struct span http1_trim(struct span s)
{
    while (s.len && http1_is_ows(s.data[0]))
        s = (struct span){s.data + 1, s.len - 1};
    while (s.len && http1_is_ows(s.data[s.len - 1]))
        s.len--;
    return s;
}

/* bytes[start..end) as a view. */
static inline struct span http1_cut(struct span bytes, size_t start, size_t end)
{
    return (struct span){bytes.data + start, end - start};
}

/* The next element of a comma-separated list (RFC 9110, 5.6.1), trimmed; empty ones are skipped. False at the end.
 * Not for lists whose elements hold quoted strings or comments. */
static inline bool http1_list_next(struct span *rest, struct span *ret)
{
    while (rest->len) {
        const uint8_t *comma = memchr(rest->data, ',', rest->len);
        size_t len = comma ? (size_t)(comma - rest->data) : rest->len;
        struct span element = http1_trim(span_of(rest->data, len));
        size_t used = comma ? len + 1 : len;
        *rest = (struct span){rest->data + used, rest->len - used};
        if (element.len) {
            *ret = element;
            return true;
        }
    }
    return false;
}

#endif
