/* http1_judge.h: the second judge of a head: llhttp, which is lenient where wire/http1_lint is strict but was written
 * by others. What both read must be the same message. Called by http1.c. Pure. */
#ifndef EXEAT_WIRE_HTTP1_JUDGE_H
#define EXEAT_WIRE_HTTP1_JUDGE_H

#include "wire/http1.h"

/* Does llhttp read `bytes` (exactly the head, head->head_bytes long) as *head says: method, target, version, status,
 * every header name and value, framing, and the same end? */
bool http1_judge_agrees(const struct http1_head *head, struct span bytes);

#endif
