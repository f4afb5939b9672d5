/* http1_lint.h: the strict first judge of HTTP/1.1 heads: one pass over the bytes, resumable at every byte. It knows
 * the lines (RFC 9112, 2 to 5) and hands each whole header line to wire/http1_field. Called by http1.c and, for
 * trailer sections, http1_body.c. Pure. */
#ifndef EXEAT_WIRE_HTTP1_LINT_H
#define EXEAT_WIRE_HTTP1_LINT_H

#include "wire/http1.h"

/* Judges bytes[scan->pos..]. PARSE_OK: the head ends at scan->pos. PARSE_BAD: scan->fault says why. */
enum parse http1_lint(struct http1_scan *scan, struct span bytes, const struct http1_limits *limits);

/* The scan of a trailer section: header lines up to the empty line. */
void http1_lint_init_trailers(struct http1_scan *scan);

/* One header line of a section that the lint accepted: `rest` begins with it; returns what follows. In http1.c. */
struct span http1_field_line(struct span rest, struct http1_header *ret);

/* For http1_lint and its helpers: notes the fault, returns PARSE_BAD. */
enum parse http1_lint_bad(struct http1_scan *scan, enum http1_fault fault, size_t offset);

#endif
