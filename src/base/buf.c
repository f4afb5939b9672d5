/* buf.c: see buf.h. Touches malloc only. */
#include "base/buf.h"

#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>

enum { SMALLEST_BYTES = 256, KEEP_BYTES = 4096 };

void buf_init(struct buf *b, size_t limit_bytes)
{
    *b = (struct buf){.limit = limit_bytes};
}

void buf_free(struct buf *b)
{
    free(b->data);
    *b = (struct buf){.limit = b->limit};
}

/* Makes room for `bytes` more at the back without passing the limit. */
static int buf_grow(struct buf *b, size_t bytes)
{
    size_t len = buf_len(b);
    if (bytes > b->limit - len)
        return -1;
    if (b->data && b->cap - b->tail >= bytes)
        return 0;
    if (b->data && b->head > 0 && b->cap - len >= bytes && b->head >= len) {
        memcpy(b->data, b->data + b->head, len); /* head >= len: the two don't overlap */
    } else {
        size_t cap = b->cap < SMALLEST_BYTES ? SMALLEST_BYTES : b->cap;
        while (cap < len + bytes)
            cap *= 2;
        uint8_t *data = malloc(cap);
        if (!data)
            return -1;
        if (b->data)
            memcpy(data, b->data + b->head, len);
        free(b->data);
        b->data = data;
        b->cap = cap;
    }
    b->head = 0;
    b->tail = len;
    return 0;
}

uint8_t *buf_reserve(struct buf *b, size_t want, size_t *ret_room)
{
    size_t left = b->limit - buf_len(b);
    size_t room = want < left ? want : left;
    if (room == 0 || buf_grow(b, room) != 0)
        return NULL;
    *ret_room = room;
    return b->data + b->tail;
}

void buf_commit(struct buf *b, size_t bytes)
{
    must(b->cap - b->tail >= bytes);
    b->tail += bytes;
}

int buf_append(struct buf *b, const void *data, size_t len)
{
    if (len == 0)
        return 0;
    if (b->failed || buf_grow(b, len) != 0) {
        b->failed = true;
        return -1;
    }
    memcpy(b->data + b->tail, data, len);
    b->tail += len;
    return 0;
}

int buf_append_str(struct buf *b, const char *text)
{
    return buf_append(b, text, strlen(text));
}

int buf_append_uint(struct buf *b, uint64_t value)
{
    char digits[20], *at = digits + sizeof digits;
    do
        *--at = (char)('0' + value % 10);
    while ((value /= 10) > 0);
    return buf_append(b, at, (size_t)(digits + sizeof digits - at));
}

int buf_vprintf(struct buf *b, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    int result = -1;
    if (len >= 0 && !b->failed && buf_grow(b, (size_t)len + 1) == 0) {
        vsnprintf((char *)b->data + b->tail, (size_t)len + 1, format, again);
        b->tail += (size_t)len;
        result = 0;
    } else {
        b->failed = true;
    }
    va_end(again);
    return result;
}

int buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int result = buf_vprintf(b, format, args);
    va_end(args);
    return result;
}

void buf_consume(struct buf *b, size_t bytes)
{
    must(bytes <= buf_len(b));
    b->head += bytes;
    if (b->head != b->tail)
        return;
    b->head = b->tail = 0;
    if (b->cap > KEEP_BYTES)
        buf_free(b);
}

void buf_clear(struct buf *b)
{
    b->failed = false;
    buf_consume(b, buf_len(b));
}
