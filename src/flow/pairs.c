/* pairs.c: see pairs.h. */
#include "flow/pairs.h"

#include "facts/distinct.h"
#include "flow/kept.h"

#include <stdlib.h>

enum {
    STATE_VERSION = 1,
    DAY_S = 86400,
    WORTH_MAX_DAYS = 30,
    STATE_MAX_BYTES = 1 + VOLUME_ENCODED_BYTES + BEACON_ENCODED_BYTES + DISTINCT_ENCODED_MAX_BYTES,
};

struct entry {
    struct kept_entry kept;
    struct volume volume;
    struct beacon beacon;
    struct distinct names; /* owned */
};

struct pairs {
    struct kept *kept; /* owned */
};

static struct entry *entry_of(struct kept_entry *e)
{
    return (struct entry *)(void *)e;
}

/* ---- the state: version, volume, beacon, names ---- */

static void write_state(const struct kept_entry *kept, struct buf *state)
{
    const struct entry *e = (const struct entry *)(const void *)kept;
    uint8_t version = STATE_VERSION;
    buf_append(state, &version, 1);
    volume_encode(&e->volume, state);
    beacon_encode(&e->beacon, state);
    distinct_encode(&e->names, state);
}

/* Whoever floods the table with new pairs must not push out the one that has sent much: a day for each MiB of the month. */
static void set_worth(struct entry *e, int64_t now_s)
{
    uint64_t days = volume_sum(&e->volume, VOLUME_MONTH, now_s).out >> 20;
    e->kept.head.worth_s = (uint32_t)(days < WORTH_MAX_DAYS ? days : WORTH_MAX_DAYS) * DAY_S;
}

static enum parse read_state(struct span state, struct kept_entry *kept)
{
    struct entry *e = entry_of(kept);
    size_t at = 1;
    if (state.len < 1 || state.data[0] != STATE_VERSION ||
        volume_decode(state, &at, &e->volume) != PARSE_OK ||
        beacon_decode(state, &at, &e->beacon) != PARSE_OK ||
        distinct_decode(state, &at, &e->names) != PARSE_OK || at != state.len)
        return PARSE_BAD;
    set_worth(e, (int64_t)e->volume.latest[VOLUME_MONTH] * DAY_S);
    return PARSE_OK;
}

static void clear(struct kept_entry *kept)
{
    struct entry *e = entry_of(kept);
    distinct_free(&e->names);
    e->volume = (struct volume){0};
    e->beacon = (struct beacon){0};
}

static const struct kept_type type = {sizeof(struct entry), STATE_MAX_BYTES, write_state, read_state, clear};

/* ---- life ---- */

struct pairs *pairs_new(struct store *store, size_t entries)
{
    static const unsigned kinds[] = {PAIR_KIND};
    struct pairs *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->kept = kept_new(&type, kinds, 1, store, entries);
    if (p->kept)
        return p;
    free(p);
    return NULL;
}

void pairs_free(struct pairs *take_p)
{
    if (!take_p)
        return;
    kept_free(take_p->kept);
    free(take_p);
}

void pairs_stats(const struct pairs *p, struct table_stats *ret)
{
    kept_stats(p->kept, ret);
}

/* ---- adding and asking ---- */

void pairs_add(struct pairs *p, struct span pair, uint64_t out, uint64_t in, int64_t now_s)
{
    struct entry *e = entry_of(kept_make(p->kept, PAIR_KIND, pair, now_s));
    volume_add(&e->volume, out, in, now_s);
    set_worth(e, now_s);
    kept_release(p->kept, &e->kept, true);
}

void pairs_end(struct pairs *p, struct span pair, int64_t start_ms, uint64_t out, struct span host,
               int64_t now_s)
{
    uint64_t name = kept_hash(p->kept, host);
    struct entry *e = entry_of(kept_make(p->kept, PAIR_KIND, pair, now_s));
    e->kept.count++;
    set_worth(e, now_s);
    beacon_add(&e->beacon, start_ms, out);
    distinct_add(&e->names, name, kept_day(now_s), PAIR_NAMES_DAYS);
    kept_release(p->kept, &e->kept, true);
}

void pairs_look(struct pairs *p, struct span pair, bool starting, int64_t now_ms, struct pair_view *ret)
{
    struct beacon beacon;
    *ret = (struct pair_view){0};
    struct kept_entry *found = kept_find(p->kept, PAIR_KIND, pair);
    if (!found)
        return;
    const struct entry *e = entry_of(found);
    ret->known = true;
    ret->first_s = found->first_s;
    ret->last_s = found->head.last_s;
    ret->count = found->count;
    for (enum volume_window w = VOLUME_HOUR; w < VOLUME_WINDOW_COUNT; w++)
        ret->sums[w] = volume_sum(&e->volume, w, now_ms / 1000);
    ret->names = distinct_count(&e->names, kept_day(now_ms / 1000), PAIR_NAMES_DAYS);
    ret->flows = e->beacon.count;
    beacon = e->beacon; /* sorting takes its time: not under the lock */
    kept_release(p->kept, found, false);
    if (starting)
        ret->has_rhythm = beacon_judge(&beacon, now_ms, &ret->rhythm);
}
