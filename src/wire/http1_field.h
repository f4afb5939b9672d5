/* http1_field.h: the header fields that decide how a message is read (framing, Host, Connection, ...): one row a
 * field, judged as soon as its line is whole. Called by http1_lint.c. Pure. */
#ifndef EXEAT_WIRE_HTTP1_FIELD_H
#define EXEAT_WIRE_HTTP1_FIELD_H

#include "wire/http1.h"

enum { HTTP1_CONNECTION_TOKENS = 32 };

/* Notes in *scan what the field says. HTTP1_NO_FAULT, or what is wrong with it. */
enum http1_fault http1_field_judge(struct http1_scan *scan, struct span bytes, struct span name,
                                   struct span value);

/* What only the whole head shows. */
enum http1_fault http1_field_judge_end(const struct http1_scan *scan, struct span bytes);

/* Content_Length and its like: parsers that make environment variables of names take '_' for '-'. */
bool http1_field_is_lookalike(struct span name);

#endif
