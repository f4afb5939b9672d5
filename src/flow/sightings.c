/* sightings.c: see sightings.h. Each entry is one name of one kind; its sets (facts/distinct.c) are on the heap, the name
 * beside them: a database that was set aside is written anew from memory. */
#include "flow/sightings.h"

#include "base/log.h"
#include "base/must.h"
#include "base/siphash.h"
#include "facts/distinct.h"
#include "flow/table.h"
#include "store/store.h"

#include <stdlib.h>
#include <sys/random.h>

enum {
    STATE_VERSION = 1,
    STATE_MAX_BYTES = 2 + 3 * DISTINCT_ENCODED_MAX_BYTES + SIGHTING_MEMO_BYTES,
    DAY_S = 86400,
};

struct entry {
    struct table_entry head;
    uint32_t first_s;
    uint8_t kind, memo_len;
    uint64_t count;
    char *name; /* owned, with `name_len` bytes; NULL when nothing is kept */
    uint32_t name_len;
    struct distinct senders, hosts, users; /* owned */
    uint8_t memo[SIGHTING_MEMO_BYTES];
};

struct sightings {
    struct table *table; /* owned */
    struct store *store; /* borrowed; NULL: nothing is kept */
    uint8_t secret[SIPHASH_KEY_BYTES];
    unsigned unreadable;
};

static uint16_t day_of(int64_t time_s)
{
    return (uint16_t)(time_s < 0 ? 0 : time_s / DAY_S > UINT16_MAX ? UINT16_MAX : time_s / DAY_S);
}

static uint32_t clamp(int64_t time_s)
{
    return (uint32_t)(time_s < 0 ? 0 : time_s > UINT32_MAX ? UINT32_MAX : time_s);
}

static struct span cut(struct span name)
{
    return span_of(name.data, name.len < SIGHTING_NAME_MAX_BYTES ? name.len : SIGHTING_NAME_MAX_BYTES);
}

/* ---- on disk: version, the three sets, length of the memo, memo ---- */

static void write_row(const struct entry *e, struct buf *state, struct store_sighting *ret)
{
    uint8_t version = STATE_VERSION;
    buf_clear(state);
    buf_append(state, &version, 1);
    distinct_encode(&e->senders, state);
    distinct_encode(&e->hosts, state);
    distinct_encode(&e->users, state);
    buf_append(state, &e->memo_len, 1);
    buf_append(state, e->memo, e->memo_len);
    *ret = (struct store_sighting){.kind = e->kind,
                                   .name = span_of(e->name, e->name ? e->name_len : 0),
                                   .first_s = e->first_s,
                                   .last_s = e->head.last_s,
                                   .count = e->count,
                                   .state = buf_span(state)};
    memcpy(ret->id, e->head.id, STORE_ID_BYTES);
}

static enum parse read_state(struct span state, struct entry *e)
{
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

static void free_sets(struct entry *e)
{
    distinct_free(&e->senders);
    distinct_free(&e->hosts);
    distinct_free(&e->users);
}

static void keep_name(struct entry *e, struct span name)
{
    free(e->name);
    e->name = malloc(name.len ? name.len : 1);
    e->name_len = e->name ? (uint32_t)name.len : 0;
    if (e->name && name.len)
        memcpy(e->name, name.data, name.len);
}

/* It was stored under its id, so it comes back under it. */
static void on_row(void *owner, const struct store_sighting *row)
{
    struct sightings *s = owner;
    struct entry read = {0};
    if (read_state(row->state, &read) != PARSE_OK) {
        free_sets(&read);
        s->unreadable++;
        return;
    }
    struct entry *e = (struct entry *)(void *)table_make(s->table, row->id);
    free_sets(e);
    e->senders = read.senders;
    e->hosts = read.hosts;
    e->users = read.users;
    e->memo_len = read.memo_len;
    memcpy(e->memo, read.memo, sizeof e->memo);
    e->kind = (uint8_t)row->kind;
    e->first_s = clamp(row->first_s);
    e->head.last_s = clamp(row->last_s);
    e->count = row->count;
    keep_name(e, cut(row->name));
    table_release(s->table, &e->head, false);
}

/* Gives way: what the disk doesn't know yet goes there. */
static void drop(void *owner, struct table_entry *head)
{
    struct sightings *s = owner;
    struct entry *e = (struct entry *)(void *)head;
    if (s->store && head->dirty) {
        struct store_sighting row;
        struct buf state;
        buf_init(&state, STATE_MAX_BYTES);
        write_row(e, &state, &row);
        if (!state.failed)
            store_put_sighting(s->store, &row);
        buf_free(&state);
    }
    free_sets(e);
    free(e->name);
}

/* ---- the source ---- */

/* What one bucket has to say, copied so that its lock isn't held while the disk is written. */
struct harvest {
    struct store_sighting rows[TABLE_BUCKET_ENTRIES];
    struct buf texts[TABLE_BUCKET_ENTRIES]; /* owned: name, then state */
    size_t count;
};

static void reap(void *owner, struct table_entry *head)
{
    struct harvest *h = owner;
    struct entry *e = (struct entry *)(void *)head;
    struct store_sighting *row = &h->rows[h->count];
    struct buf state;
    buf_init(&state, STATE_MAX_BYTES);
    buf_init(&h->texts[h->count], SIGHTING_NAME_MAX_BYTES + STATE_MAX_BYTES);
    write_row(e, &state, row);
    size_t name_len = row->name.len;
    buf_append(&h->texts[h->count], row->name.data, name_len);
    buf_append(&h->texts[h->count], row->state.data, row->state.len);
    buf_free(&state);
    struct span both = buf_span(&h->texts[h->count]);
    if (h->texts[h->count].failed || state.failed) {
        head->dirty = true; /* no memory: next time */
        buf_free(&h->texts[h->count]);
        return;
    }
    row->name = span_of(both.data, name_len);
    row->state = span_from(both, name_len);
    h->count++;
}

static void give(void *owner, struct store *store, bool everything)
{
    struct sightings *s = owner;
    for (size_t bucket = 0; bucket < table_buckets(s->table); bucket++) {
        struct harvest h = {.count = 0};
        table_sweep(s->table, bucket, everything, reap, &h);
        for (size_t i = 0; i < h.count; i++) {
            store_write_sighting(store, &h.rows[i]);
            buf_free(&h.texts[i]);
        }
    }
}

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
    s->table = table_new(sizeof(struct entry), entries, drop, s);
    if (!s->table || (!store && getrandom(s->secret, sizeof s->secret, 0) != (ssize_t)sizeof s->secret)) {
        sightings_free(s);
        return NULL;
    }
    if (!store)
        return s;
    memcpy(s->secret, store_secret(store), sizeof s->secret);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        store_each_sighting(store, kinds[i], on_row, s);
    if (s->unreadable)
        log_warning("sightings", "%u rows of the database cannot be read and are passed over", s->unreadable);
    s->store = store;
    store_add_source(store, give, s);
    return s;
}

void sightings_free(struct sightings *take_s)
{
    if (!take_s)
        return;
    take_s->store = NULL; /* it is closed */
    table_free(take_s->table);
    free(take_s);
}

void sightings_stats(const struct sightings *s, struct sightings_stats *ret)
{
    struct table_stats t;
    table_stats(s->table, &t);
    *ret = (struct sightings_stats){.used = t.used, .forgotten = t.evicted, .entries = t.entries};
}

/* ---- asking and noting ---- */

static void id_of(const struct sightings *s, enum sighting_kind kind, struct span name,
                  uint8_t ret[TABLE_ID_BYTES])
{
    uint8_t text[1 + SIGHTING_NAME_MAX_BYTES];
    text[0] = (uint8_t)kind;
    if (name.len)
        memcpy(text + 1, name.data, name.len);
    siphash(s->secret, span_of(text, 1 + name.len), ret);
}

uint64_t sightings_hash(const struct sightings *s, struct span name)
{
    uint8_t digest[SIPHASH_BYTES];
    uint64_t hash;
    siphash(s->secret, name, digest);
    memcpy(&hash, digest, sizeof hash);
    return hash ? hash : 1;
}

static void show(const struct entry *e, uint16_t day, struct sighting *ret)
{
    *ret = (struct sighting){.known = true,
                             .first_s = e->first_s,
                             .last_s = e->head.last_s,
                             .count = e->count,
                             .senders = distinct_count(&e->senders, day, SIGHTINGS_WINDOW_DAYS),
                             .hosts = distinct_count(&e->hosts, day, SIGHTINGS_WINDOW_DAYS),
                             .users = distinct_count(&e->users, day, SIGHTINGS_WINDOW_DAYS),
                             .memo_len = e->memo_len};
    memcpy(ret->memo, e->memo, e->memo_len);
}

void sightings_look(struct sightings *s, enum sighting_kind kind, struct span name, int64_t now_s,
                    struct sighting *ret)
{
    uint8_t id[TABLE_ID_BYTES];
    id_of(s, kind, cut(name), id);
    *ret = (struct sighting){0};
    struct entry *e = (struct entry *)(void *)table_find(s->table, id);
    if (!e)
        return;
    show(e, day_of(now_s), ret);
    table_release(s->table, &e->head, false);
}

static void begin(struct sightings *s, struct entry *e, enum sighting_kind kind, struct span name,
                  int64_t now_s)
{
    e->kind = (uint8_t)kind;
    e->first_s = e->head.last_s = clamp(now_s);
    if (s->store)
        keep_name(e, name);
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
    uint8_t id[TABLE_ID_BYTES];
    name = cut(name);
    id_of(s, kind, name, id);
    struct entry *e = (struct entry *)(void *)table_make(s->table, id);
    if (ret_before)
        *ret_before = (struct sighting){0};
    if (e->count == 0)
        begin(s, e, kind, name, now_s);
    else if (ret_before)
        show(e, day_of(now_s), ret_before);
    e->count++;
    if (clamp(now_s) > e->head.last_s)
        e->head.last_s = clamp(now_s);
    if (by)
        add_by(e, by, day_of(now_s));
    if (memo.len > 0) {
        e->memo_len = (uint8_t)(memo.len < SIGHTING_MEMO_BYTES ? memo.len : SIGHTING_MEMO_BYTES);
        memcpy(e->memo, memo.data, e->memo_len);
    }
    table_release(s->table, &e->head, true);
}
