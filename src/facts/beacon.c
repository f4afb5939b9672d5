/* beacon.c: see beacon.h. Pure. */
#include "facts/beacon.h"

#include "base/le.h"
#include "base/must.h"

#include <math.h>

enum { HOUR_MS = 3600000, HOUR_S = 3600, DAY_S = 86400, HISTOGRAM_HOURS_MIN = 4 };

static uint32_t deciseconds(int64_t time_ms)
{
    return (uint32_t)((uint64_t)(time_ms > 0 ? time_ms : 0) / 100);
}

static void count_hour(struct beacon *b, uint32_t hour)
{
    if (hour > b->hour) {
        for (uint32_t i = 0; i < hour - b->hour && i < BEACON_HOURS; i++)
            b->hours[(hour - i) % BEACON_HOURS] = 0;
        b->hour = hour;
    }
    if (b->hour - hour < BEACON_HOURS && b->hours[hour % BEACON_HOURS] < UINT16_MAX)
        b->hours[hour % BEACON_HOURS]++;
}

void beacon_add(struct beacon *b, int64_t start_ms, uint64_t bytes_out)
{
    b->starts_ds[b->at] = deciseconds(start_ms);
    b->sizes[b->at] = (uint32_t)(bytes_out > UINT32_MAX ? UINT32_MAX : bytes_out);
    b->at = (uint8_t)((b->at + 1) % BEACON_FLOWS);
    b->count = (uint8_t)(b->count < BEACON_FLOWS ? b->count + 1 : BEACON_FLOWS);
    count_hour(b, (uint32_t)((start_ms > 0 ? start_ms : 0) / HOUR_MS));
}

/* ---- statistics of a small sample, which is sorted in place ---- */

/* By insertion: at most some fifty values, mostly in order; qsort() would call back for each comparison. */
static void sort(double *values, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        double value = values[i];
        size_t at = i;
        for (; at > 0 && values[at - 1] > value; at--)
            values[at] = values[at - 1];
        values[at] = value;
    }
}

static double quantile(const double *sorted, size_t count, double q)
{
    double at = q * (double)(count - 1);
    size_t below = (size_t)at, above = below + 1 < count ? below + 1 : below;
    must(below < count);
    return sorted[below] + (at - (double)below) * (sorted[above] - sorted[below]);
}

static double regularity(double *values, size_t count, double *ret_median)
{
    double deviations[BEACON_FLOWS + 1] = {0};
    must(count > 0 && count <= BEACON_FLOWS + 1);
    sort(values, count);
    double q1 = quantile(values, count, 0.25), q2 = quantile(values, count, 0.5),
           q3 = quantile(values, count, 0.75);
    double skew = q3 > q1 ? (q1 + q3 - 2 * q2) / (q3 - q1) : 0;
    for (size_t i = 0; i < count; i++)
        deviations[i] = fabs(values[i] - q2);
    sort(deviations, count);
    double mad = quantile(deviations, count, 0.5);
    double spread = q2 > 0 ? fmax(0, (q2 - mad) / q2) : 0;
    *ret_median = q2;
    return (1 - fabs(skew) + spread) / 2;
}

/* Flows may have ended in another order than they began: the ring's oldest is the reference, and differences are signed. */
static size_t sort_starts(const struct beacon *b, int64_t now_ms, double *ret_s)
{
    size_t oldest = b->count < BEACON_FLOWS ? 0 : b->at, count = 0;
    uint32_t reference = b->starts_ds[oldest];
    for (size_t i = 0; i < b->count; i++)
        ret_s[count++] = (double)(int32_t)(b->starts_ds[(oldest + i) % BEACON_FLOWS] - reference) / 10;
    if (now_ms > 0)
        ret_s[count++] = (double)(int32_t)(deciseconds(now_ms) - reference) / 10;
    sort(ret_s, count);
    return count;
}

/* From the first of the last 24 hours that had any to the latest. */
static uint32_t hours_spanned(const struct beacon *b)
{
    uint32_t span = 0;
    for (uint32_t i = 0; i < BEACON_HOURS && i <= b->hour; i++)
        if (b->hours[(b->hour - i) % BEACON_HOURS])
            span = i + 1;
    return span;
}

/* 1 - the coefficient of variation of flows an hour; the latest is still filling. */
static double evenness(const struct beacon *b, uint32_t span)
{
    double sum = 0, squares = 0;
    if (span <= HISTOGRAM_HOURS_MIN)
        return 0;
    for (uint32_t i = 1; i < span; i++) {
        double n = b->hours[(b->hour - i) % BEACON_HOURS];
        sum += n;
        squares += n * n;
    }
    double whole = span - 1, mean = sum / whole, variance = squares / whole - mean * mean;
    return fmax(0, 1 - sqrt(fmax(0, variance)) / mean);
}

bool beacon_judge(const struct beacon *b, int64_t now_ms, struct beacon_score *ret)
{
    double starts[BEACON_FLOWS + 1], intervals[BEACON_FLOWS + 1], sizes[BEACON_FLOWS], median;
    if (b->count < BEACON_FLOWS_MIN)
        return false;
    size_t count = sort_starts(b, now_ms, starts);
    for (size_t i = 1; i < count; i++)
        intervals[i - 1] = starts[i] - starts[i - 1];
    for (size_t i = 0; i < b->count; i++)
        sizes[i] = b->sizes[i];
    struct beacon_score s = {0};
    s.intervals = regularity(intervals, count - 1, &s.interval_s);
    s.sizes = regularity(sizes, b->count, &median);
    uint32_t hours = hours_spanned(b);
    double spanned_s = fmax(starts[count - 1] - starts[0], ((double)hours - 1) * HOUR_S);
    s.duration = fmin(1, spanned_s / DAY_S);
    s.histogram = evenness(b, hours);
    s.score = (s.intervals + s.sizes + s.duration + s.histogram) / 4;
    *ret = s;
    return true;
}

/* ---- on disk: count, hour, starts and sizes from the oldest, hours ---- */

int beacon_encode(const struct beacon *b, struct buf *out)
{
    unsigned oldest = b->count < BEACON_FLOWS ? 0 : b->at;
    int result = le_write(out, b->count, 1) | le_write(out, b->hour, 4);
    for (unsigned i = 0; i < BEACON_FLOWS; i++) {
        unsigned at = (oldest + i) % BEACON_FLOWS;
        result |= le_write(out, b->starts_ds[at], 4) | le_write(out, b->sizes[at], 4);
    }
    for (unsigned i = 0; i < BEACON_HOURS; i++)
        result |= le_write(out, b->hours[i], 2);
    return result;
}

enum parse beacon_decode(struct span bytes, size_t *position, struct beacon *ret)
{
    struct beacon b = {0};
    uint64_t value = 0, size = 0;
    if (bytes.len < BEACON_ENCODED_BYTES || *position > bytes.len - BEACON_ENCODED_BYTES ||
        bytes.data[*position] > BEACON_FLOWS)
        return PARSE_BAD;
    le_read(bytes, position, 1, &value);
    b.count = (uint8_t)value;
    b.at = (uint8_t)(b.count % BEACON_FLOWS);
    le_read(bytes, position, 4, &value);
    b.hour = (uint32_t)value;
    for (unsigned i = 0; i < BEACON_FLOWS; i++) {
        le_read(bytes, position, 4, &value);
        le_read(bytes, position, 4, &size);
        b.starts_ds[i] = (uint32_t)value;
        b.sizes[i] = (uint32_t)size;
    }
    for (unsigned i = 0; i < BEACON_HOURS && le_read(bytes, position, 2, &value); i++)
        b.hours[i] = (uint16_t)value;
    *ret = b;
    return PARSE_OK;
}
