/* kept.c: see kept.h. Ids are keyed digests of kind and name, with a key that lives in the database, so that rows come back to their ids
 * and nobody outside can choose names that meet in one bucket. Names are kept beside them: a database that was set aside is written anew
 * from memory. */
#include "flow/kept.h"

#include "base/log.h"
#include "base/must.h"
#include "base/siphash.h"
#include "store/store.h"

#include <stdlib.h>
#include <sys/random.h>

struct kept {
    const struct kept_type *type;
    struct table *table; /* owned */
    struct store *store; /* borrowed; NULL: nothing is kept */
    uint8_t secret[SIPHASH_KEY_BYTES];
    unsigned unreadable;
};

static struct kept_entry *entry_of(struct table_entry *head)
{
    return (struct kept_entry *)(void *)head;
}

static uint32_t clamp(int64_t time_s)
{
    return (uint32_t)(time_s < 0 ? 0 : time_s > UINT32_MAX ? UINT32_MAX : time_s);
}

static struct span cut(struct span name)
{
    return span_of(name.data, name.len < KEPT_NAME_MAX_BYTES ? name.len : KEPT_NAME_MAX_BYTES);
}

static void keep_name(struct kept_entry *e, struct span name)
{
    free(e->name);
    e->name = malloc(name.len ? name.len : 1);
    e->name_len = e->name ? (uint32_t)name.len : 0;
    if (e->name && name.len)
        memcpy(e->name, name.data, name.len);
}

/* ---- to and from the disk ---- */

static void write_row(const struct kept *k, const struct kept_entry *e, struct buf *state,
                      struct store_sighting *ret)
{
    k->type->write(e, state);
    *ret = (struct store_sighting){.kind = e->kind,
                                   .name = span_of(e->name, e->name_len),
                                   .first_s = e->first_s,
                                   .last_s = e->head.last_s,
                                   .count = e->count,
                                   .state = buf_span(state)};
    memcpy(ret->id, e->head.id, STORE_ID_BYTES);
}

/* It was stored under its id, so it comes back under it. */
static void on_row(void *owner, const struct store_sighting *row)
{
    struct kept *k = owner;
    struct kept_entry *e = entry_of(table_make(k->table, row->id));
    k->type->clear(e);
    e->kind = 0;
    e->count = 0;
    if (k->type->read(row->state, e) == PARSE_OK) {
        e->kind = (uint8_t)row->kind;
        e->first_s = clamp(row->first_s);
        e->head.last_s = clamp(row->last_s);
        e->count = row->count;
        keep_name(e, cut(row->name));
    } else {
        k->type->clear(e);
        k->unreadable++;
    }
    table_release(k->table, &e->head, false);
}

/* Gives way: what the disk doesn't know yet goes there. */
static void drop(void *owner, struct table_entry *head)
{
    struct kept *k = owner;
    struct kept_entry *e = entry_of(head);
    if (k->store && head->dirty) {
        struct store_sighting row;
        struct buf state;
        buf_init(&state, k->type->state_max_bytes);
        write_row(k, e, &state, &row);
        if (!state.failed)
            store_put_sighting(k->store, &row);
        buf_free(&state);
    }
    k->type->clear(e);
    free(e->name);
}

/* What one bucket has to say, copied so that its lock isn't held while the disk is written. */
struct harvest {
    const struct kept *kept; /* borrowed */
    struct store_sighting rows[TABLE_BUCKET_ENTRIES];
    struct buf names[TABLE_BUCKET_ENTRIES], states[TABLE_BUCKET_ENTRIES]; /* owned */
    size_t count;
};

static void reap(void *owner, struct table_entry *head)
{
    struct harvest *h = owner;
    struct buf *name = &h->names[h->count], *state = &h->states[h->count];
    struct store_sighting *row = &h->rows[h->count];
    buf_init(state, h->kept->type->state_max_bytes);
    buf_init(name, KEPT_NAME_MAX_BYTES);
    write_row(h->kept, entry_of(head), state, row);
    buf_append(name, row->name.data, row->name.len);
    row->name = buf_span(name);
    if (!name->failed && !state->failed) {
        h->count++;
        return;
    }
    head->dirty = true; /* no memory: with the next change of its bucket */
    buf_free(name);
    buf_free(state);
}

static void give(void *owner, struct store *store, bool everything)
{
    struct kept *k = owner;
    for (size_t bucket = 0; bucket < table_buckets(k->table); bucket++) {
        struct harvest h = {.kept = k, .count = 0};
        table_sweep(k->table, bucket, everything, reap, &h);
        for (size_t i = 0; i < h.count; i++) {
            store_write_sighting(store, &h.rows[i]);
            buf_free(&h.names[i]);
            buf_free(&h.states[i]);
        }
    }
}

/* ---- life ---- */

struct kept *kept_new(const struct kept_type *type, const unsigned *kinds, size_t kind_count,
                      struct store *store, size_t entries)
{
    struct kept *k = calloc(1, sizeof *k);
    if (!k)
        return NULL;
    k->type = type;
    k->table = table_new(type->entry_bytes, entries, drop, k);
    if (!k->table || (!store && getrandom(k->secret, sizeof k->secret, 0) != (ssize_t)sizeof k->secret)) {
        kept_free(k);
        return NULL;
    }
    if (!store)
        return k;
    memcpy(k->secret, store_secret(store), sizeof k->secret);
    for (size_t i = 0; i < kind_count; i++)
        store_each_sighting(store, kinds[i], on_row, k);
    if (k->unreadable)
        log_warning("history", "%u rows of the database cannot be read and are passed over", k->unreadable);
    k->store = store;
    store_add_source(store, give, k);
    return k;
}

void kept_free(struct kept *take_k)
{
    if (!take_k)
        return;
    take_k->store = NULL; /* it is closed */
    table_free(take_k->table);
    free(take_k);
}

struct walk {
    kept_each_fn *each;
    void *owner;
};

static void on_entry(void *owner, struct table_entry *head)
{
    const struct walk *w = owner;
    if (entry_of(head)->kind) /* else its row could not be read */
        w->each(w->owner, entry_of(head));
}

void kept_each(struct kept *k, kept_each_fn *each, void *owner)
{
    struct walk w = {each, owner};
    table_each(k->table, on_entry, &w);
}

void kept_stats(const struct kept *k, struct table_stats *ret)
{
    table_stats(k->table, ret);
}

/* ---- entries ---- */

static void id_of(const struct kept *k, unsigned kind, struct span name, uint8_t ret[TABLE_ID_BYTES])
{
    uint8_t text[1 + KEPT_NAME_MAX_BYTES];
    must(kind > 0 && kind <= UINT8_MAX);
    text[0] = (uint8_t)kind;
    if (name.len)
        memcpy(text + 1, name.data, name.len);
    siphash(k->secret, span_of(text, 1 + name.len), ret);
}

uint64_t kept_hash(const struct kept *k, struct span text)
{
    uint8_t digest[SIPHASH_BYTES];
    uint64_t hash;
    siphash(k->secret, text, digest);
    memcpy(&hash, digest, sizeof hash);
    return hash ? hash : 1;
}

struct kept_entry *kept_find(struct kept *k, unsigned kind, struct span name)
{
    uint8_t id[TABLE_ID_BYTES];
    id_of(k, kind, cut(name), id);
    struct table_entry *head = table_find(k->table, id);
    if (!head || entry_of(head)->kind)
        return head ? entry_of(head) : NULL;
    table_release(k->table, head, false); /* its row could not be read */
    return NULL;
}

struct kept_entry *kept_make(struct kept *k, unsigned kind, struct span name, int64_t now_s)
{
    uint8_t id[TABLE_ID_BYTES];
    name = cut(name);
    id_of(k, kind, name, id);
    struct kept_entry *e = entry_of(table_make(k->table, id));
    if (!e->kind) {
        e->kind = (uint8_t)kind;
        e->first_s = clamp(now_s);
        if (k->store)
            keep_name(e, name);
    }
    if (clamp(now_s) > e->head.last_s)
        e->head.last_s = clamp(now_s);
    return e;
}

void kept_release(struct kept *k, const struct kept_entry *e, bool changed)
{
    table_release(k->table, &e->head, changed);
}
