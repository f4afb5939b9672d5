/* history_fuzz.c: what comes back from the database: states of sets, volumes, rhythms and habits. The first byte says which; what is read
 * is used, written and read again. */
#include "base/must.h"
#include "facts/beacon.h"
#include "facts/distinct.h"
#include "facts/habit.h"
#include "facts/volume.h"

#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DAY = 20500, WINDOW = 30 };
static const int64_t now_s = (int64_t)DAY * 86400;

static void try_distinct(struct span in, struct buf *out)
{
    struct distinct d = {0}, again = {0};
    size_t at = 0;
    if (distinct_decode(in, &at, &d) != PARSE_OK)
        return;
    must(at <= in.len && distinct_encode(&d, out) == 0);
    at = 0;
    must(distinct_decode(buf_span(out), &at, &again) == PARSE_OK && at == buf_len(out));
    unsigned before = distinct_count(&d, DAY, WINDOW);
    must(before == distinct_count(&again, DAY, WINDOW));
    for (uint64_t i = 0; i < 40; i++) {
        distinct_add(&d, i * 0x9e3779b97f4a7c15u, DAY, WINDOW);
        must(distinct_has(&d, i * 0x9e3779b97f4a7c15u, d.day, WINDOW));
    }
    must(distinct_count(&d, DAY, WINDOW) <= 2000);
    distinct_free(&d);
    distinct_free(&again);
}

static void try_volume(struct span in, struct buf *out)
{
    struct volume v;
    size_t at = 0;
    if (volume_decode(in, &at, &v) != PARSE_OK)
        return;
    must(volume_encode(&v, out) == 0 && buf_len(out) == VOLUME_ENCODED_BYTES);
    volume_add(&v, UINT64_MAX, 1, now_s);
    for (int w = 0; w < VOLUME_WINDOW_COUNT; w++)
        must(volume_sum(&v, (enum volume_window)w, now_s).out >= UINT32_MAX);
}

static void try_beacon(struct span in, struct buf *out)
{
    struct beacon b;
    struct beacon_score s;
    size_t at = 0;
    if (beacon_decode(in, &at, &b) != PARSE_OK)
        return;
    must(beacon_encode(&b, out) == 0 && buf_len(out) == BEACON_ENCODED_BYTES);
    if (beacon_judge(&b, now_s * 1000, &s))
        must(s.score >= 0 && s.score <= 1);
    for (int i = 0; i < 60; i++)
        beacon_add(&b, (now_s + i) * 1000, (uint64_t)i);
    must(beacon_judge(&b, 0, &s) && s.score >= 0 && s.score <= 1);
}

static void try_habit(struct span in, struct buf *out)
{
    struct habit h;
    size_t at = 0;
    if (habit_decode(in, &at, &h) != PARSE_OK)
        return;
    must(habit_encode(&h, out) == 0 && buf_len(out) == HABIT_ENCODED_BYTES);
    for (int i = 0; i < 100; i++)
        habit_add(&h, (uint64_t)i * 1000, 5);
    habit_p99_bytes(&h);
    must(fabs(h.ratio_mean) <= 1.001);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[])(struct span, struct buf *) = {try_distinct, try_volume, try_beacon,
                                                               try_habit};
    struct buf out;
    if (size == 0)
        return 0;
    buf_init(&out, 8192);
    tries[data[0] % ARRAY_LEN(tries)](span_of(data + 1, size - 1), &out);
    buf_free(&out);
    return 0;
}
