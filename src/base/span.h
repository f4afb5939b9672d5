/* span.h: a view into somebody else's bytes, and the three answers every parser gives.
 * Pure; everyone calls in. A span owns nothing: its comment says what it is a view into. */
#ifndef EXEAT_BASE_SPAN_H
#define EXEAT_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

struct span {
    const uint8_t *data; /* borrowed; may be NULL when len is 0 */
    size_t len;          /* bytes */
};

/* PARSE_MORE: well-formed so far, more bytes are needed. PARSE_BAD: never, whatever follows. */
enum parse { PARSE_OK, PARSE_MORE, PARSE_BAD };

static inline struct span span_of(const void *data, size_t len)
{
    return (struct span){(const uint8_t *)data, len};
}

static inline struct span span_str(const char *text)
{
    return (struct span){(const uint8_t *)text, text ? strlen(text) : 0};
}

static inline bool span_is(struct span s, const char *text)
{
    size_t len = strlen(text);
    return s.len == len && (len == 0 || memcmp(s.data, text, len) == 0);
}

/* ASCII case-insensitive: for header names and schemes. */
static inline bool span_is_nocase(struct span s, const char *text)
{
    size_t len = strlen(text);
    return s.len == len && (len == 0 || strncasecmp((const char *)s.data, text, len) == 0);
}

static inline bool span_equal(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline struct span span_from(struct span s, size_t offset)
{
    return offset >= s.len ? (struct span){NULL, 0} : (struct span){s.data + offset, s.len - offset};
}

#endif
