/* buf.h: a growable byte buffer with a hard limit; read from the front, written at the back.
 * Used for what a peer sent and we have not consumed, for what we have yet to send, and to build text.
 * Not thread-safe. Touches malloc only. */
#ifndef EXEAT_BASE_BUF_H
#define EXEAT_BASE_BUF_H

#include "base/span.h"

#include <stdarg.h>

struct buf {
    uint8_t *data;     /* owned; NULL while nothing was written */
    size_t head, tail; /* unread bytes are data[head..tail) */
    size_t cap, limit; /* bytes; limit bounds tail-head */
    bool failed;       /* an append did not fit: the content is incomplete */
};

void buf_init(struct buf *b, size_t limit_bytes);
void buf_free(struct buf *b);

static inline size_t buf_len(const struct buf *b)
{
    return b->tail - b->head;
}

/* A view that lasts until the next write or free. */
static inline struct span buf_span(const struct buf *b)
{
    return b->data ? span_of(b->data + b->head, b->tail - b->head) : span_of(NULL, 0);
}

/* Room for at least one and at most `want` bytes at the back (fewer near the limit). NULL when full.
 * `*ret_room` says how many; report what was written with buf_commit(). */
uint8_t *buf_reserve(struct buf *b, size_t want, size_t *ret_room);
void buf_commit(struct buf *b, size_t bytes);

/* Appends all or nothing; 0, or -1 with b->failed set when over the limit. */
int buf_append(struct buf *b, const void *data, size_t len);
int buf_append_str(struct buf *b, const char *text);
int buf_append_uint(struct buf *b,
                    uint64_t value); /* in decimal: printf's parser costs more than the digits */
int buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
int buf_vprintf(struct buf *b, const char *format, va_list args);

/* Drops `bytes` from the front (must be there). Memory is given back when the buffer empties and was large. */
void buf_consume(struct buf *b, size_t bytes);
void buf_clear(struct buf *b);

#endif
