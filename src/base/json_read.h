/* json_read.h: reads one JSON text (RFC 8259) into a flat table of values that the caller provides: no tree is built and nothing is
 * allocated. For programs that cannot have jansson (the agents of Windows and macOS) and for lines of other programs' event streams,
 * of which a few members are wanted. Strict: UTF-8, no comments, no leading zeros, one value and nothing behind it. Pure. */
#ifndef EXEAT_BASE_JSON_READ_H
#define EXEAT_BASE_JSON_READ_H

#include "base/span.h"

enum json_type {
    JSON_NULL_VALUE,
    JSON_FALSE_VALUE,
    JSON_TRUE_VALUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_LIST,
    JSON_MAP
};

enum { JSON_READ_DEPTH_MAX = 32, JSON_KEY_BYTES = 64 };

struct json_value {
    enum json_type type;
    uint32_t start, len; /* bytes of the text; of a string without its quotes */
    uint32_t end;        /* index of the first value that is not inside this one */
};

/* In a map each value has its key, a string, before it. */
struct json_text {
    struct span text;                /* view, as long as the values are used */
    const struct json_value *values; /* values[0] is the whole */
    bool twice; /* a member that was asked for is given more than once: the text means nothing */
};

/* False: it is no JSON, deeper than JSON_READ_DEPTH_MAX, or has more values than `max` (keys count). */
bool json_read(struct span text, struct json_value *values, size_t max, struct json_text *ret);

/* All take NULL for `of` or `v` as "not there". NULL: no such member, it is null, or `of` is no map. */
const struct json_value *json_member(struct json_text *t, const struct json_value *of, const char *key);

/* The first item, and the one after it; NULL: there is none, or `list` is no list. */
const struct json_value *json_first(const struct json_text *t, const struct json_value *list);
const struct json_value *json_next(const struct json_text *t, const struct json_value *list,
                                   const struct json_value *item);

/* Copies a string, unescaped and NUL-terminated. False: no string, longer than `size` - 1, or with a NUL inside. */
bool json_read_str(const struct json_text *t, const struct json_value *v, char *ret, size_t size);
/* An integer without fraction and exponent, within -2^53..2^53. */
bool json_read_int(const struct json_text *t, const struct json_value *v, int64_t *ret);
bool json_is_yes(const struct json_value *v); /* true */

#endif
