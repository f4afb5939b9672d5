/* h2_owner.h: what h2_fuzz.c and h2_h1_fuzz.c have in common: an owner of a bridge that judges as one byte of the input says. Their worlds begin
 * with it. */
#ifndef EXEAT_TESTS_H2_OWNER_H
#define EXEAT_TESTS_H2_OWNER_H

#include "base/must.h"
#include "wire/h2.h"

struct h2_owner {
    unsigned requests, closed;
    uint8_t judge; /* low values: what becomes of a request; bits 4 to 7: of what follows it */
};

static inline void h2_owner_on_response(void *owner, struct h2_stream *s, const struct http1_head *head)
{
    struct h2_owner *o = owner;
    must(head->status >= 200);
    if (o->judge & 0x40)
        h2_answer(s, 403, NULL, 0, span_str("no"));
    else if (o->judge & 0x20)
        h2_cut(s);
}

static inline void h2_owner_on_data(void *owner, struct h2_stream *s, enum h2_side from, struct span data)
{
    struct h2_owner *o = owner;
    (void)from;
    must(data.len == 0 || data.data);
    if (o->judge & 0x10)
        h2_cut(s);
}

static inline void h2_owner_on_unanswered(void *owner, struct h2_stream *s, enum h2_fault fault)
{
    struct h2_owner *o = owner;
    if (o->judge & 0x80)
        h2_answer(s, fault == H2_STREAM_TIMEOUT ? 504 : 502, NULL, 0, span_str("lost"));
}

static inline void h2_owner_on_closed(void *owner, struct h2_stream *s, enum h2_end end, enum h2_fault fault,
                                      uint32_t code)
{
    struct h2_owner *o = owner;
    (void)s, (void)end, (void)code;
    must(h2_fault_text(fault));
    o->closed++;
}

#endif
