/* json.h: writes one compact JSON text into a buffer; commas and escapes are its business. Records, status,
 * the agent's messages and --json output are written with it (jansson reads, this writes: no tree is built).
 * Bytes that are not UTF-8 are written as U+FFFD; control characters are escaped, so that no terminal escape
 * leaves through a record. Pure (touches the buffer only). */
#ifndef EXEAT_BASE_JSON_H
#define EXEAT_BASE_JSON_H

#include "base/buf.h"

/* libjansson exports functions of these names and calls them through its PLT: without other symbols for ours, it
 * would call this writer when it parses. A file that uses both includes <jansson.h> first. */
#define json_object json_write_object
#define json_array  json_write_array
#define json_null   json_write_null

struct json {
    struct buf *out; /* borrowed until the writer is dropped; check out->failed at the end */
    bool need_comma;
    unsigned depth;
};

void json_init(struct json *j, struct buf *out);

/* `key` NULL inside an array (or for the top value). */
void json_object(struct json *j, const char *key);
void json_end_object(struct json *j);
void json_array(struct json *j, const char *key);
void json_end_array(struct json *j);
void json_str(struct json *j, const char *key, const char *text); /* NULL text writes null */
void json_span(struct json *j, const char *key, struct span text);
void json_int(struct json *j, const char *key, int64_t value);
void json_bool(struct json *j, const char *key, bool value);
void json_null(struct json *j, const char *key);
void json_double(struct json *j, const char *key, double value, int decimals);
/* `text` is already JSON. */
void json_raw(struct json *j, const char *key, struct span text);

#endif
