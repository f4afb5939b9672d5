/* volume.c: see volume.h. Pure. */
#include "facts/volume.h"

#include "base/le.h"

#include <math.h>

enum { UNIT_BYTES = 64 };

static const struct {
    uint32_t first, count, slot_s;
} rings[VOLUME_WINDOW_COUNT] = {
    [VOLUME_HOUR] = {0, VOLUME_HOUR_SLOTS, 600},
    [VOLUME_DAY] = {VOLUME_HOUR_SLOTS, VOLUME_DAY_SLOTS, 7200},
    [VOLUME_MONTH] = {VOLUME_HOUR_SLOTS + VOLUME_DAY_SLOTS, VOLUME_MONTH_SLOTS, 86400},
};

static uint32_t slot_number(enum volume_window window, int64_t now_s)
{
    uint64_t now = now_s > 0 ? (uint64_t)now_s : 0;
    return (uint32_t)(now / rings[window].slot_s);
}

/* Slots between the latest and `now` were silent. */
static void advance(struct volume *v, enum volume_window window, uint32_t now)
{
    uint32_t first = rings[window].first, count = rings[window].count;
    if (now <= v->latest[window])
        return;
    uint32_t silent = now - v->latest[window];
    for (uint32_t i = 0; i < silent && i < count; i++) {
        uint32_t at = first + (now - i) % count;
        v->out[at] = v->in[at] = 0;
    }
    v->latest[window] = now;
}

static void add_units(uint32_t *slot, uint64_t units)
{
    uint64_t sum = *slot + units;
    *slot = sum > UINT32_MAX || sum < units ? UINT32_MAX : (uint32_t)sum;
}

/* Whole units of `bytes` and what was left over before; what is left over now stays. */
static uint64_t take_units(uint64_t bytes, uint8_t *rest)
{
    uint64_t left = bytes % UNIT_BYTES + *rest;
    *rest = (uint8_t)(left % UNIT_BYTES);
    return bytes / UNIT_BYTES + left / UNIT_BYTES;
}

void volume_add(struct volume *v, uint64_t out, uint64_t in, int64_t now_s)
{
    uint64_t out_units = take_units(out, &v->rest_out), in_units = take_units(in, &v->rest_in);
    for (enum volume_window w = VOLUME_HOUR; w < VOLUME_WINDOW_COUNT; w++) {
        advance(v, w, slot_number(w, now_s));
        uint32_t at = rings[w].first + v->latest[w] % rings[w].count;
        add_units(&v->out[at], out_units);
        add_units(&v->in[at], in_units);
    }
}

struct volume_sum volume_sum(const struct volume *v, enum volume_window window, int64_t now_s)
{
    struct volume_sum sum = {v->rest_out, v->rest_in};
    uint32_t now = slot_number(window, now_s), latest = v->latest[window], count = rings[window].count;
    if (now < latest)
        now = latest;
    for (uint32_t n = 0; n < count && n <= latest; n++) {
        if (now - (latest - n) >= count)
            break;
        uint32_t at = rings[window].first + (latest - n) % count;
        sum.out += (uint64_t)v->out[at] * UNIT_BYTES;
        sum.in += (uint64_t)v->in[at] * UNIT_BYTES;
    }
    return sum;
}

double volume_ratio(uint64_t out, uint64_t in)
{
    double all = (double)out + (double)in;
    return all > 0 ? ((double)out - (double)in) / all : (double)NAN;
}

int volume_encode(const struct volume *v, struct buf *out)
{
    int result = 0;
    for (int w = 0; w < VOLUME_WINDOW_COUNT; w++)
        result |= le_write(out, v->latest[w], 4);
    for (int i = 0; i < VOLUME_SLOTS; i++)
        result |= le_write(out, v->out[i], 4) | le_write(out, v->in[i], 4);
    return result | le_write(out, v->rest_out, 1) | le_write(out, v->rest_in, 1);
}

enum parse volume_decode(struct span bytes, size_t *position, struct volume *ret)
{
    struct volume v = {0};
    uint64_t a, b;
    if (bytes.len < VOLUME_ENCODED_BYTES || *position > bytes.len - VOLUME_ENCODED_BYTES)
        return PARSE_BAD;
    for (int w = 0; w < VOLUME_WINDOW_COUNT && le_read(bytes, position, 4, &a); w++)
        v.latest[w] = (uint32_t)a;
    for (int i = 0; i < VOLUME_SLOTS && le_read(bytes, position, 4, &a) && le_read(bytes, position, 4, &b);
         i++) {
        v.out[i] = (uint32_t)a;
        v.in[i] = (uint32_t)b;
    }
    if (le_read(bytes, position, 1, &a) && le_read(bytes, position, 1, &b)) {
        v.rest_out = (uint8_t)(a % UNIT_BYTES);
        v.rest_in = (uint8_t)(b % UNIT_BYTES);
    }
    *ret = v;
    return PARSE_OK;
}
