/* arena.c: bump allocation in blocks that double up to 64 KiB. See arena.h. Touches malloc only. */
#include "base/arena.h"

#include "base/must.h"

#include <stdalign.h>
#include <stdlib.h>

enum { FIRST_BLOCK_BYTES = 1024, LARGEST_BLOCK_BYTES = 65536, ALIGN = 16 };

struct arena_block {
    struct arena_block *next;
    size_t size, used;
    alignas(ALIGN) unsigned char bytes[];
};

void arena_init(struct arena *a, size_t budget_bytes)
{
    *a = (struct arena){.budget_bytes = budget_bytes};
}

static struct arena_block *block_new(struct arena *a, size_t bytes)
{
    size_t size = a->blocks ? a->blocks->size * 2 : FIRST_BLOCK_BYTES;
    if (size > LARGEST_BLOCK_BYTES)
        size = LARGEST_BLOCK_BYTES;
    if (size < bytes)
        size = bytes;
    struct arena_block *b = malloc(sizeof *b + size);
    if (!b)
        return NULL;
    b->next = a->blocks;
    b->size = size;
    b->used = 0;
    a->blocks = b;
    return b;
}

void *arena_alloc(struct arena *a, size_t bytes)
{
    if (bytes > a->budget_bytes) /* also keeps the rounding below from overflowing */
        return NULL;
    bytes = (bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (bytes > a->budget_bytes - a->used_bytes)
        return NULL;
    struct arena_block *b = a->blocks;
    if (!b || b->size - b->used < bytes)
        b = block_new(a, bytes);
    if (!b)
        return NULL;
    void *p = b->bytes + b->used;
    b->used += bytes;
    a->used_bytes += bytes;
    memset(p, 0, bytes);
    return p;
}

char *arena_strndup(struct arena *a, const char *text, size_t len)
{
    char *copy = arena_alloc(a, len + 1);
    if (copy && len)
        memcpy(copy, text, len);
    return copy;
}

char *arena_strdup(struct arena *a, const char *text)
{
    return arena_strndup(a, text, strlen(text));
}

struct span arena_copy(struct arena *a, struct span s)
{
    char *copy = arena_strndup(a, (const char *)s.data, s.len);
    return copy ? span_of(copy, s.len) : (struct span){NULL, 0};
}

void arena_reset(struct arena *a)
{
    while (a->blocks) {
        struct arena_block *next = a->blocks->next;
        free(a->blocks);
        a->blocks = next;
    }
    a->used_bytes = 0;
}
