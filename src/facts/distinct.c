/* distinct.c: see distinct.h. Pure. */
#include "facts/distinct.h"

#include "base/le.h"
#include "base/must.h"

#include <math.h>
#include <stdlib.h>

enum { CELL_DAYS = 255, ITEM_BYTES = 8, EXACT = 0, SKETCH = 1 };

/* An item: 48 bits of hash above 16 bits of day. A cell: the day modulo 255, plus one; 0 is empty. */
static uint64_t item_of(uint64_t hash, uint16_t day)
{
    return (hash & ~(uint64_t)0xffff) | day;
}

static bool is_old(uint16_t seen, uint16_t day, unsigned window_days)
{
    return seen + window_days <= day;
}

static uint8_t cell_of(uint16_t day)
{
    return (uint8_t)(day % CELL_DAYS + 1);
}

static unsigned cell_age(uint8_t cell, uint16_t day)
{
    return (day % CELL_DAYS + CELL_DAYS - (cell - 1U)) % CELL_DAYS;
}

/* ---- the sketch ---- */

static void hit(struct distinct *d, uint64_t hash, uint16_t day)
{
    ((uint8_t *)d->data)[hash >> 56] = cell_of(day);
}

/* Once a day: what has left the window is emptied before its day's number comes round again. */
static void sweep(struct distinct *d, uint16_t day, unsigned window_days)
{
    uint8_t *cells = d->data;
    if (day - d->day >= CELL_DAYS - DISTINCT_WINDOW_MAX_DAYS) {
        memset(cells, 0, DISTINCT_CELLS);
        return;
    }
    for (size_t i = 0; i < DISTINCT_CELLS; i++)
        if (cells[i] && cell_age(cells[i], day) >= window_days)
            cells[i] = 0;
}

static int become_sketch(struct distinct *d)
{
    uint64_t *items = d->data;
    uint8_t *cells = calloc(1, DISTINCT_CELLS);
    if (!cells)
        return -1;
    d->data = cells;
    d->sketch = true;
    for (unsigned i = 0; i < d->count; i++)
        hit(d, items[i], (uint16_t)items[i]);
    d->count = d->capacity = 0;
    free(items);
    return 0;
}

/* What so many occupied cells say at least: the estimate -m ln(V), less two of its standard deviations, never less than the cells. */
static unsigned least_of(unsigned occupied)
{
    if (occupied >= DISTINCT_CELLS)
        occupied = DISTINCT_CELLS - 1;
    double m = DISTINCT_CELLS, estimate = -m * log((m - occupied) / m), load = estimate / m;
    double least = estimate - 2 * sqrt(m * (exp(load) - load - 1));
    return least > occupied ? (unsigned)least : occupied;
}

static unsigned count_cells(const struct distinct *d, uint16_t day, unsigned window_days)
{
    const uint8_t *cells = d->data;
    unsigned occupied = 0;
    if (day - d->day >= CELL_DAYS - DISTINCT_WINDOW_MAX_DAYS)
        return 0;
    for (size_t i = 0; i < DISTINCT_CELLS; i++)
        occupied += cells[i] && cell_age(cells[i], day) < window_days;
    return least_of(occupied);
}

/* ---- both ---- */

static int grow(struct distinct *d)
{
    uint8_t capacity = (uint8_t)(d->capacity ? d->capacity * 2 : 1);
    void *data = realloc(d->data, capacity * sizeof(uint64_t));
    if (!data)
        return -1;
    d->data = data;
    d->capacity = capacity;
    return 0;
}

static void add_exact(struct distinct *d, uint64_t hash, uint16_t day, unsigned window_days)
{
    uint64_t *items = d->data, item = item_of(hash, day), *old = NULL;
    for (unsigned i = 0; i < d->count; i++) {
        if ((items[i] ^ item) >> 16 == 0) {
            items[i] = item;
            return;
        }
        if (is_old((uint16_t)items[i], day, window_days))
            old = &items[i];
    }
    if (old) {
        *old = item;
        return;
    }
    if (d->count == DISTINCT_EXACT_MAX) {
        if (become_sketch(d) == 0)
            hit(d, hash, day);
        return;
    }
    if (d->count == d->capacity && grow(d) != 0)
        return;
    ((uint64_t *)d->data)[d->count++] = item;
}

void distinct_add(struct distinct *d, uint64_t hash, uint16_t day, unsigned window_days)
{
    must(window_days > 0 && window_days <= DISTINCT_WINDOW_MAX_DAYS);
    if (day < d->day)
        day = d->day;
    if (!d->sketch) {
        add_exact(d, hash, day, window_days);
    } else {
        if (day != d->day)
            sweep(d, day, window_days);
        hit(d, hash, day);
    }
    d->day = day;
}

unsigned distinct_count(const struct distinct *d, uint16_t day, unsigned window_days)
{
    must(window_days > 0 && window_days <= DISTINCT_WINDOW_MAX_DAYS);
    if (day < d->day)
        day = d->day;
    if (d->sketch)
        return count_cells(d, day, window_days);
    const uint64_t *items = d->data;
    unsigned count = 0;
    for (unsigned i = 0; i < d->count; i++)
        count += !is_old((uint16_t)items[i], day, window_days);
    return count;
}

bool distinct_has(const struct distinct *d, uint64_t hash, uint16_t day, unsigned window_days)
{
    if (d->sketch) {
        uint8_t cell = ((const uint8_t *)d->data)[hash >> 56];
        return cell && day - d->day < CELL_DAYS - DISTINCT_WINDOW_MAX_DAYS &&
               cell_age(cell, day) < window_days;
    }
    const uint64_t *items = d->data;
    for (unsigned i = 0; i < d->count; i++)
        if ((items[i] ^ hash) >> 16 == 0)
            return !is_old((uint16_t)items[i], day, window_days);
    return false;
}

void distinct_free(struct distinct *d)
{
    free(d->data);
    *d = (struct distinct){0};
}

/* ---- on disk: kind, count, day (2), then items (8 each) or cells ---- */

int distinct_encode(const struct distinct *d, struct buf *out)
{
    const uint64_t *items = d->data;
    uint8_t head[4] = {d->sketch ? SKETCH : EXACT, d->count, (uint8_t)d->day, (uint8_t)(d->day >> 8)};
    if (buf_append(out, head, sizeof head) != 0)
        return -1;
    if (d->sketch)
        return buf_append(out, d->data, DISTINCT_CELLS);
    for (unsigned i = 0; items && i < d->count; i++)
        if (le_write(out, items[i], ITEM_BYTES) != 0)
            return -1;
    return 0;
}

enum parse distinct_decode(struct span bytes, size_t *position, struct distinct *ret)
{
    struct span rest = span_from(bytes, *position);
    if (rest.len < 4 || rest.data[0] > SKETCH || rest.data[1] > DISTINCT_EXACT_MAX)
        return PARSE_BAD;
    bool sketch = rest.data[0] == SKETCH;
    uint8_t count = rest.data[1];
    size_t len = sketch ? (size_t)DISTINCT_CELLS : (size_t)count * ITEM_BYTES;
    if (rest.len < 4 + len || (sketch && count > 0))
        return PARSE_BAD;
    struct distinct d = {.sketch = sketch, .day = (uint16_t)(rest.data[2] | rest.data[3] << 8)};
    if (len > 0) {
        d.data = malloc(len);
        if (!d.data)
            return PARSE_BAD;
        d.count = d.capacity = count;
    }
    if (sketch)
        memcpy(d.data, rest.data + 4, len);
    size_t at = 4;
    for (unsigned i = 0; d.data && i < count && le_read(rest, &at, ITEM_BYTES, (uint64_t *)d.data + i); i++)
        ;
    *ret = d;
    *position += 4 + len;
    return PARSE_OK;
}
