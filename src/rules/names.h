/* names.h: texts numbered in the order they came: fields, ids, atoms of a set of rules. A name's number is found in constant time.
 * Not thread-safe while names are added. Pure. */
#ifndef EXEAT_RULES_NAMES_H
#define EXEAT_RULES_NAMES_H

#include "base/arena.h"

struct names {
    struct arena *arena;  /* borrowed: the texts live in it */
    const char **texts;   /* owned; each a view into the arena */
    uint32_t *slots;      /* owned: number + 1, 0 empty; a power of two of them */
    uint32_t count, room; /* room: of texts; slots are twice that */
};

#define NAMES_NONE UINT32_MAX

/* A digest of a text, no secret. */
uint64_t names_hash(struct span text);

void names_init(struct names *n, struct arena *arena);
void names_free(struct names *n);

/* Its number; NAMES_NONE when it isn't there. */
uint32_t names_find(const struct names *n, struct span text);
/* Its number, added if need be; NAMES_NONE without memory. */
uint32_t names_add(struct names *n, struct span text);

#endif
