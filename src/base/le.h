/* le.h: little-endian integers in buffers, for state that goes to the disk and comes back. Pure. */
#ifndef EXEAT_BASE_LE_H
#define EXEAT_BASE_LE_H

#include "base/buf.h"

/* The low `bytes` (at most 8) of `value`; 0, or -1 when `out` is full. */
static inline int le_write(struct buf *out, uint64_t value, unsigned bytes)
{
    uint8_t data[8];
    for (unsigned i = 0; i < bytes && i < 8; i++)
        data[i] = (uint8_t)(value >> (8 * i));
    return buf_append(out, data, bytes < 8 ? bytes : 8);
}

/* Reads `bytes` at *position, which moves on. False leaves both as they are: too few are left. */
static inline bool le_read(struct span in, size_t *position, unsigned bytes, uint64_t *ret)
{
    if (bytes > 8 || in.len < bytes || *position > in.len - bytes)
        return false;
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)in.data[*position + i] << (8 * i);
    *ret = value;
    *position += bytes;
    return true;
}

#endif
