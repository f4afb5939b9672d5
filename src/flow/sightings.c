/* sightings.c: see sightings.h. Each entry is one name of one kind; its sets (facts/distinct.c) are on the heap. */
#include "flow/sightings.h"

#include "base/must.h"
#include "facts/distinct.h"
#include "flow/kept.h"

#include <stdlib.h>

enum {
    STATE_VERSION = 1,
    STATE_MAX_BYTES = 2 + 3 * DISTINCT_ENCODED_MAX_BYTES + SIGHTING_MEMO_BYTES,
};

struct entry {
    struct kept_entry kept;
    struct distinct senders, hosts, users; /* owned */
    uint8_t memo_len, memo[SIGHTING_MEMO_BYTES];
};

struct sightings {
    struct kept *kept; /* owned */
};

static struct entry *entry_of(struct kept_entry *e)
{
    return (struct entry *)(void *)e;
}

/* ---- the state: version, the three sets, length of the memo, memo ---- */

static void write_state(const struct kept_entry *kept, struct buf *state)
{
    const struct entry *e = (const struct entry *)(const void *)kept;
    uint8_t version = STATE_VERSION;
    buf_append(state, &version, 1);
    distinct_encode(&e->senders, state);
    distinct_encode(&e->hosts, state);
    distinct_encode(&e->users, state);
    buf_append(state, &e->memo_len, 1);
    buf_append(state, e->memo, e->memo_len);
}

static enum parse read_state(struct span state, struct kept_entry *kept)
{
    struct entry *e = entry_of(kept);
    size_t at = 1;
    if (state.len < 1 || state.data[0] != STATE_VERSION ||
        distinct_decode(state, &at, &e->senders) != PARSE_OK ||
        distinct_decode(state, &at, &e->hosts) != PARSE_OK ||
        distinct_decode(state, &at, &e->users) != PARSE_OK)
        return PARSE_BAD;
    struct span memo = span_from(state, at);
    if (memo.len < 1 || memo.data[0] > SIGHTING_MEMO_BYTES || memo.len != 1U + memo.data[0])
        return PARSE_BAD;
    e->memo_len = memo.data[0];
    memcpy(e->memo, memo.data + 1, e->memo_len);
    return PARSE_OK;
}

static void clear(struct kept_entry *kept)
{
    struct entry *e = entry_of(kept);
    distinct_free(&e->senders);
    distinct_free(&e->hosts);
    distinct_free(&e->users);
    e->memo_len = 0;
}

static const struct kept_type type = {sizeof(struct entry), STATE_MAX_BYTES, write_state, read_state, clear};

/* ---- life ---- */

struct sightings *sightings_new(struct store *store, size_t entries)
{
    static const unsigned kinds[] = {
#define X(name, number, doc) number,
        SIGHTING_KINDS(X)
#undef X
    };
    struct sightings *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->kept = kept_new(&type, kinds, ARRAY_LEN(kinds), store, entries);
    if (s->kept)
        return s;
    free(s);
    return NULL;
}

void sightings_free(struct sightings *take_s)
{
    if (!take_s)
        return;
    kept_free(take_s->kept);
    free(take_s);
}

void sightings_stats(const struct sightings *s, struct table_stats *ret)
{
    kept_stats(s->kept, ret);
}

uint64_t sightings_hash(const struct sightings *s, struct span name)
{
    return kept_hash(s->kept, name);
}

/* ---- asking and noting ---- */

static void show(const struct entry *e, const struct sighting_by *by, int64_t now_s, struct sighting *ret)
{
    uint16_t day = kept_day(now_s);
    *ret = (struct sighting){.known = true,
                             .first_s = e->kept.first_s,
                             .last_s = e->kept.head.last_s,
                             .count = e->kept.count,
                             .senders = distinct_count(&e->senders, day, SIGHTINGS_WINDOW_DAYS),
                             .hosts = distinct_count(&e->hosts, day, SIGHTINGS_WINDOW_DAYS),
                             .users = distinct_count(&e->users, day, SIGHTINGS_WINDOW_DAYS),
                             .memo_len = e->memo_len};
    memcpy(ret->memo, e->memo, e->memo_len);
    if (!by)
        return;
    ret->by_sender = by->sender && distinct_has(&e->senders, by->sender, day, SIGHTINGS_WINDOW_DAYS);
    ret->by_host = by->host && distinct_has(&e->hosts, by->host, day, SIGHTINGS_WINDOW_DAYS);
    ret->by_user = by->user && distinct_has(&e->users, by->user, day, SIGHTINGS_WINDOW_DAYS);
}

void sightings_look(struct sightings *s, enum sighting_kind kind, struct span name,
                    const struct sighting_by *by, int64_t now_s, struct sighting *ret)
{
    *ret = (struct sighting){0};
    struct kept_entry *e = kept_find(s->kept, kind, name);
    if (!e)
        return;
    show(entry_of(e), by, now_s, ret);
    kept_release(s->kept, e, false);
}

static void add_by(struct entry *e, const struct sighting_by *by, uint16_t day)
{
    if (by->sender)
        distinct_add(&e->senders, by->sender, day, SIGHTINGS_WINDOW_DAYS);
    if (by->host)
        distinct_add(&e->hosts, by->host, day, SIGHTINGS_WINDOW_DAYS);
    if (by->user)
        distinct_add(&e->users, by->user, day, SIGHTINGS_WINDOW_DAYS);
}

void sightings_note(struct sightings *s, enum sighting_kind kind, struct span name,
                    const struct sighting_by *by, struct span memo, int64_t now_s,
                    struct sighting *ret_before)
{
    if (ret_before)
        sightings_look(s, kind, name, by, now_s, ret_before);
    struct entry *e = entry_of(kept_make(s->kept, kind, name, now_s));
    e->kept.count++;
    if (by)
        add_by(e, by, kept_day(now_s));
    if (memo.len > 0) {
        e->memo_len = (uint8_t)(memo.len < SIGHTING_MEMO_BYTES ? memo.len : SIGHTING_MEMO_BYTES);
        memcpy(e->memo, memo.data, e->memo_len);
    }
    kept_release(s->kept, &e->kept, true);
}
