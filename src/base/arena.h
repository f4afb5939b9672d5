/* arena.h: memory that is given back all at once. One a flow until RELAY, one an exchange; parsed snapshots
 * live in one too. Budgeted: an arena never grows past `budget_bytes`, so what one peer can make us hold is
 * bounded. Not thread-safe. Touches malloc only. */
#ifndef EXEAT_BASE_ARENA_H
#define EXEAT_BASE_ARENA_H

#include "base/span.h"

struct arena_block;

struct arena {
    struct arena_block *blocks; /* owned */
    size_t used_bytes, budget_bytes;
};

void arena_init(struct arena *a, size_t budget_bytes);

/* 16-byte aligned, zeroed. NULL when the budget (or memory) is spent: the caller fails its flow or its load. */
void *arena_alloc(struct arena *a, size_t bytes);

/* NUL-terminated copy. NULL when the budget is spent. */
char *arena_strndup(struct arena *a, const char *text, size_t len);
char *arena_strdup(struct arena *a, const char *text);

/* A copy of `s` that lives as long as the arena; .data is NULL when the budget is spent. */
struct span arena_copy(struct arena *a, struct span s);

/* Gives everything back; the arena can be used again with the same budget. */
void arena_reset(struct arena *a);

#endif
