/* sigma_condition_fuzz.c: a condition that someone wrote, over three detections. */
#include "base/must.h"
#include "rules/condition.h"

#include <stdlib.h>

static size_t count(const struct expr *e, unsigned depth)
{
    size_t total = 1;
    must(depth <= 3 * CONDITION_DEPTH_MAX + 8);
    must(e->kind == EXPR_ATOM ? e->atom != NULL : e->count > 0);
    for (size_t i = 0; e->kind != EXPR_ATOM && i < e->count; i++)
        total += count(e->items[i], depth + 1);
    return total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atom atom = {.kind = ATOM_NULL, .field = "f"};
    const struct expr leaf = {.kind = EXPR_ATOM, .atom = &atom};
    const struct detection detections[] = {{"sel1", &leaf}, {"sel2", &leaf}, {"_hidden", &leaf}};
    struct condition_fault fault = {0};
    struct arena a;
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    arena_init(&a, 4 * 1024 * 1024);
    const struct expr *e = condition_parse(&a, text, detections, 3, &fault);
    if (e)
        must(count(e, 0) > 0);
    else
        must(fault.text[0] && fault.offset <= size);
    arena_reset(&a);
    free(text);
    return 0;
}
