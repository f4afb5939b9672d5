/* names.c: see names.h. Open addressing. Pure. */
#include "rules/names.h"

#include <stdlib.h>

enum { FIRST_ROOM = 64 };

void names_init(struct names *n, struct arena *arena)
{
    *n = (struct names){.arena = arena};
}

void names_free(struct names *n)
{
    free(n->texts);
    free(n->slots);
    *n = (struct names){.arena = n->arena};
}

/* FNV-1a */
uint64_t names_hash(struct span text)
{
    uint64_t h = 0xcbf29ce484222325;
    for (size_t i = 0; i < text.len; i++)
        h = (h ^ text.data[i]) * 0x100000001b3;
    return h ^ h >> 32;
}

/* Where it is, or the empty slot where it would go. */
static uint32_t *find_slot(const struct names *n, struct span text)
{
    uint64_t mask = 2 * (uint64_t)n->room - 1;
    for (uint64_t i = names_hash(text) & mask;; i = (i + 1) & mask) {
        uint32_t *slot = &n->slots[i];
        if (*slot == 0 || span_is(text, n->texts[*slot - 1]))
            return slot;
    }
}

uint32_t names_find(const struct names *n, struct span text)
{
    if (n->count == 0)
        return NAMES_NONE;
    uint32_t slot = *find_slot(n, text);
    return slot ? slot - 1 : (uint32_t)NAMES_NONE;
}

static bool grow(struct names *n)
{
    uint32_t room = n->room ? 2 * n->room : FIRST_ROOM;
    const char **texts = realloc(n->texts, room * sizeof *texts);
    if (!texts)
        return false;
    n->texts = texts;
    uint32_t *slots = calloc(2 * (size_t)room, sizeof *slots);
    if (!slots)
        return false;
    free(n->slots);
    n->slots = slots;
    n->room = room;
    for (uint32_t i = 0; i < n->count; i++)
        *find_slot(n, span_str(n->texts[i])) = i + 1;
    return true;
}

uint32_t names_add(struct names *n, struct span text)
{
    if (n->count == n->room && !grow(n))
        return NAMES_NONE;
    uint32_t *slot = find_slot(n, text);
    if (*slot)
        return *slot - 1;
    const char *copy = arena_strndup(n->arena, (const char *)text.data, text.len);
    if (!copy)
        return NAMES_NONE;
    n->texts[n->count] = copy;
    *slot = ++n->count;
    return n->count - 1;
}
