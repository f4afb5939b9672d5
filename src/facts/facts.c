/* facts.c: see facts.h. Pure. */
#include "facts/facts.h"

#include "base/must.h"

#include <math.h>
#include <stdlib.h>

const struct fact_row fact_table[FACT_COUNT] = {
#define FACT(name, type, phase, moves, sigma, path, doc)                                                     \
    [FACT_##name] = {#name, sigma, path, doc, FACT_##type, FACT_##phase, FACT_##moves},
#include "facts/facts.def"
#undef FACT
};

static struct fact_value *slot(struct facts *f, enum fact which, enum fact_type type)
{
    must(fact_table[which].type == type);
    f->values[which].state = FACT_KNOWN;
    return &f->values[which];
}

void fact_set_int(struct facts *f, enum fact which, int64_t value)
{
    slot(f, which, FACT_INT)->as.integer = value;
}

void fact_set_real(struct facts *f, enum fact which, double value)
{
    struct fact_value *v = slot(f, which, FACT_REAL);
    v->as.real = value;
    if (!isfinite(value))
        v->state = FACT_ABSENT;
}

void fact_set_bool(struct facts *f, enum fact which, bool value)
{
    slot(f, which, FACT_BOOL)->as.integer = value;
}

void fact_set_span(struct facts *f, enum fact which, struct span text)
{
    must(fact_table[which].type == FACT_STRING || fact_table[which].type == FACT_JSON);
    f->values[which].state = text.len ? FACT_KNOWN : FACT_ABSENT;
    f->values[which].as.text = (const char *)text.data;
    f->values[which].count = (uint32_t)text.len;
}

void fact_set_text(struct facts *f, enum fact which, const char *text)
{
    fact_set_span(f, which, span_str(text));
}

void fact_set_items(struct facts *f, enum fact which, const struct span *items, size_t count)
{
    struct fact_value *v = slot(f, which, FACT_STRINGS);
    v->as.items = items;
    v->count = (uint32_t)count;
    if (count == 0)
        v->state = FACT_ABSENT;
}

void fact_set_ip(struct facts *f, enum fact which, const struct ip *ip)
{
    struct fact_value *v = slot(f, which, FACT_IP);
    v->as.ip = ip;
    if (ip->version == 0)
        v->state = FACT_ABSENT;
}

void facts_settle(struct facts *f, enum fact_phase phase, enum fact_state as)
{
    for (int i = 0; i < FACT_COUNT; i++)
        if (fact_table[i].phase == phase && f->values[i].state == FACT_PENDING)
            f->values[i].state = as;
}

static size_t compact_bytes(const struct facts *f)
{
    size_t bytes = 0;
    for (int i = 0; i < FACT_COUNT; i++) {
        const struct fact_value *v = &f->values[i];
        if (v->state != FACT_KNOWN)
            continue;
        if (fact_table[i].type == FACT_STRING)
            bytes += v->count;
        for (uint32_t n = 0; fact_table[i].type == FACT_STRINGS && n < v->count; n++)
            bytes += sizeof(struct span) + v->as.items[n].len;
    }
    return bytes;
}

void *facts_compact(struct facts *f)
{
    struct span *items = malloc(compact_bytes(f) + sizeof(struct span));
    if (!items)
        return NULL;
    size_t lists = 0;
    for (int i = 0; i < FACT_COUNT; i++)
        if (fact_table[i].type == FACT_STRINGS && f->values[i].state == FACT_KNOWN)
            lists += f->values[i].count;
    char *text = (char *)(items + lists); /* the spans first, they need their alignment */
    struct span *next = items;
    for (int i = 0; i < FACT_COUNT; i++) {
        struct fact_value *v = &f->values[i];
        if (v->state != FACT_KNOWN)
            continue;
        if (fact_table[i].type == FACT_STRING) {
            memcpy(text, v->as.text, v->count);
            v->as.text = text;
            text += v->count;
        } else if (fact_table[i].type == FACT_STRINGS) {
            struct span *first = next;
            for (uint32_t n = 0; n < v->count; n++, next++) {
                memcpy(text, v->as.items[n].data, v->as.items[n].len);
                *next = span_of(text, v->as.items[n].len);
                text += next->len;
            }
            v->as.items = first;
        }
    }
    return items;
}
