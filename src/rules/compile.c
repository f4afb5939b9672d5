/* compile.c: see compile.h. A pattern's id in its database is the number of its atom in the set. */
#include "rules/compile.h"

#include "base/must.h"

#include <hs.h>
#include <stdio.h>
#include <stdlib.h>

static unsigned engine_flags(unsigned flags)
{
    return HS_FLAG_SINGLEMATCH | HS_FLAG_ALLOWEMPTY | (flags & PATTERN_CASELESS ? HS_FLAG_CASELESS : 0) |
           (flags & PATTERN_UTF8 ? HS_FLAG_UTF8 : 0) | (flags & PATTERN_MULTILINE ? HS_FLAG_MULTILINE : 0) |
           (flags & PATTERN_DOTALL ? HS_FLAG_DOTALL : 0);
}

/* Of a literal that may stand anywhere the first place is enough; else all are looked at. */
static unsigned literal_flags(const struct atom *a)
{
    return (a->flags & PATTERN_CASELESS ? HS_FLAG_CASELESS : 0) |
           (a->affix == AFFIX_CONTAINS ? HS_FLAG_SINGLEMATCH : 0);
}

/* Takes and frees hyperscan's error. */
static int engine_error(hs_compile_error_t *error, char ret_why[COMPILE_WHY_BYTES])
{
    snprintf(ret_why, COMPILE_WHY_BYTES, "%s", error ? error->message : "not taken by the matching engine");
    hs_free_compile_error(error);
    return -1;
}

struct compile_item compile_item_of(const struct atom *a, uint32_t id)
{
    bool literal = a->literal.len > 0;
    return (struct compile_item){.text = literal ? (const char *)a->literal.data : a->pattern,
                                 .len = literal ? a->literal.len : strlen(a->pattern),
                                 .flags = literal ? literal_flags(a) : engine_flags(a->flags),
                                 .id = id};
}

int64_t compile_items_of(const struct ruleset *s, uint32_t field, enum compile_half half,
                         struct compile_item **ret)
{
    int64_t count = 0;
    struct compile_item *items = calloc(s->atom_count + 1, sizeof *items);
    if (!items)
        return -1;
    for (uint32_t i = 0; i < s->atom_count; i++) {
        const struct atom *a = s->atoms[i].atom;
        if (a->kind == ATOM_PATTERN && s->atoms[i].field == field &&
            (a->literal.len > 0) == (half == COMPILE_LITERALS))
            items[count++] = compile_item_of(a, i);
    }
    *ret = items;
    return count;
}

int compile_try(const struct compile_item *item, char ret_why[COMPILE_WHY_BYTES])
{
    hs_database_t *database = NULL;
    hs_compile_error_t *error = NULL;
    if (hs_compile(item->text, item->flags, HS_MODE_BLOCK, NULL, &database, &error) != HS_SUCCESS)
        return engine_error(error, ret_why);
    hs_free_database(database);
    return 0;
}

/* The same as four rows, which is how hyperscan takes them. */
struct batch {
    const char **texts;    /* owned; each a view into an item */
    size_t *lens;          /* owned */
    unsigned *flags, *ids; /* owned */
};

static bool batch_fill(struct batch *b, const struct compile_item *items, size_t count)
{
    *b = (struct batch){.texts = calloc(count + 1, sizeof *b->texts),
                        .lens = calloc(count + 1, sizeof *b->lens),
                        .flags = calloc(count + 1, sizeof *b->flags),
                        .ids = calloc(count + 1, sizeof *b->ids)};
    if (!b->texts || !b->lens || !b->flags || !b->ids)
        return false;
    for (size_t i = 0; i < count; i++) {
        b->texts[i] = items[i].text;
        b->lens[i] = items[i].len;
        b->flags[i] = items[i].flags;
        b->ids[i] = items[i].id;
    }
    return true;
}

static void batch_free(struct batch *b)
{
    free(b->texts);
    free(b->lens);
    free(b->flags);
    free(b->ids);
}

static hs_error_t compile_batch(const struct batch *b, unsigned count, enum compile_half half,
                                hs_database_t **ret, hs_compile_error_t **ret_error)
{
    if (half == COMPILE_LITERALS)
        return hs_compile_lit_multi(b->texts, b->flags, b->ids, b->lens, count, HS_MODE_BLOCK, NULL, ret,
                                    ret_error);
    return hs_compile_multi(b->texts, b->flags, b->ids, count, HS_MODE_BLOCK, NULL, ret, ret_error);
}

int compile_items(const struct compile_item *items, size_t count, enum compile_half half, char **ret_bytes,
                  size_t *ret_len, char ret_why[COMPILE_WHY_BYTES])
{
    struct batch b;
    hs_database_t *database = NULL;
    hs_compile_error_t *error = NULL;
    char *bytes = NULL;
    size_t len = 0;
    int result = 0;
    if (!batch_fill(&b, items, count)) {
        snprintf(ret_why, COMPILE_WHY_BYTES, "out of memory");
        result = -1;
    } else if (count > 0 && compile_batch(&b, (unsigned)count, half, &database, &error) != HS_SUCCESS) {
        result = engine_error(error, ret_why);
    } else if (database && hs_serialize_database(database, &bytes, &len) != HS_SUCCESS) {
        snprintf(ret_why, COMPILE_WHY_BYTES, "out of memory");
        result = -1;
    }
    hs_free_database(database);
    batch_free(&b);
    if (result == 0) {
        *ret_bytes = bytes;
        *ret_len = len;
    }
    return result;
}

struct compiled *compiled_new(const struct ruleset *s)
{
    struct compiled *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->field_count = s->fields.count;
    c->literals = calloc(c->field_count + 1, sizeof(struct compile_database *));
    c->patterns = calloc(c->field_count + 1, sizeof(struct compile_database *));
    c->utf8 = calloc(c->field_count + 1, sizeof *c->utf8);
    if (!c->literals || !c->patterns || !c->utf8) {
        compiled_free(c);
        return NULL;
    }
    for (size_t i = 0; i < s->atom_count; i++)
        if (s->atoms[i].atom->kind == ATOM_PATTERN && (s->atoms[i].atom->flags & PATTERN_UTF8))
            c->utf8[s->atoms[i].field] = true;
    return c;
}

int compiled_add(struct compiled *c, uint32_t field, enum compile_half half, const char *bytes, size_t len)
{
    struct compile_database **to = half == COMPILE_LITERALS ? c->literals : c->patterns;
    hs_database_t *database = NULL;
    size_t size = 0;
    must(field < c->field_count && !to[field]);
    if (hs_deserialize_database(bytes, len, &database) != HS_SUCCESS)
        return -1;
    hs_database_size(database, &size);
    to[field] = (struct compile_database *)database;
    c->bytes += size;
    return 0;
}

struct compiled *compile_all(const struct ruleset *s, char ret_why[COMPILE_WHY_BYTES])
{
    struct compiled *c = compiled_new(s);
    for (uint32_t n = 0; c && n < COMPILE_HALVES * c->field_count; n++) {
        char *bytes = NULL;
        size_t len = 0;
        enum compile_half half = (enum compile_half)(n % COMPILE_HALVES);
        struct compile_item *items = NULL;
        int64_t count = compile_items_of(s, n / COMPILE_HALVES, half, &items);
        int result = count < 0 ? -1 : compile_items(items, (size_t)count, half, &bytes, &len, ret_why);
        free(items);
        if (result == 0 && bytes)
            result = compiled_add(c, n / COMPILE_HALVES, half, bytes, len);
        free(bytes);
        if (result != 0) {
            compiled_free(c);
            return NULL;
        }
    }
    return c;
}

void compiled_free(struct compiled *c)
{
    if (!c)
        return;
    for (uint32_t i = 0; c->literals && c->patterns && i < c->field_count; i++) {
        hs_free_database((hs_database_t *)c->literals[i]);
        hs_free_database((hs_database_t *)c->patterns[i]);
    }
    free(c->literals);
    free(c->patterns);
    free(c->utf8);
    free(c);
}
