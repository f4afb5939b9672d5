/* record.h: one audit record as nested JSON from a flat list of (path, value): pure. flow/record.c gathers the values (from
 * facts, the verdict, the sender), this nests them: "src_endpoint.ip" and "src_endpoint.port" come out as one object. */
#ifndef EXEAT_AUDIT_RECORD_H
#define EXEAT_AUDIT_RECORD_H

#include "base/buf.h"

enum record_field_type { RECORD_STRING, RECORD_INT, RECORD_REAL, RECORD_BOOL, RECORD_JSON, RECORD_STRINGS };

struct record_field {
    const char *path; /* dotted; static */
    enum record_field_type type;
    union {
        struct span
            string; /* RECORD_STRING, and RECORD_JSON (already JSON); a view until the record is written */
        int64_t integer; /* RECORD_INT, RECORD_BOOL */
        double real;     /* RECORD_REAL: written with three decimals */
        struct {
            const struct span *items; /* RECORD_STRINGS; a view */
            size_t count;
        } strings;
    } value;
};

/* Appends one line (with its newline) to `out`. Fields are grouped by path whatever their order; a later field of the same
 * path replaces an earlier one; a RECORD_JSON object (like actor.process) may not have deeper paths beside it. Longer strings
 * than `string_limit` bytes are cut at a character and end in "...". 0, or -1 when `out` is full. */
int record_write(struct buf *out, const struct record_field *fields, size_t count, size_t string_limit);

#endif
