/* habits.c: see habits.h. */
#include "flow/habits.h"

#include "flow/kept.h"

#include <stdlib.h>

enum { STATE_VERSION = 1, STATE_BYTES = 1 + HABIT_ENCODED_BYTES };

struct entry {
    struct kept_entry kept;
    struct habit habit;
};

struct habits {
    struct kept *kept; /* owned */
};

static struct entry *entry_of(struct kept_entry *e)
{
    return (struct entry *)(void *)e;
}

static void write_state(const struct kept_entry *kept, struct buf *state)
{
    uint8_t version = STATE_VERSION;
    buf_append(state, &version, 1);
    habit_encode(&((const struct entry *)(const void *)kept)->habit, state);
}

static enum parse read_state(struct span state, struct kept_entry *kept)
{
    size_t at = 1;
    if (state.len != STATE_BYTES || state.data[0] != STATE_VERSION)
        return PARSE_BAD;
    return habit_decode(state, &at, &entry_of(kept)->habit);
}

static void clear(struct kept_entry *kept)
{
    entry_of(kept)->habit = (struct habit){0};
}

static const struct kept_type type = {sizeof(struct entry), STATE_BYTES, write_state, read_state, clear};

struct habits *habits_new(struct store *store, size_t entries)
{
    static const unsigned kinds[] = {HABIT_OWN_KIND, HABIT_PEERS_KIND};
    struct habits *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->kept = kept_new(&type, kinds, 2, store, entries);
    if (h->kept)
        return h;
    free(h);
    return NULL;
}

void habits_free(struct habits *take_h)
{
    if (!take_h)
        return;
    kept_free(take_h->kept);
    free(take_h);
}

static void add(struct habits *h, unsigned kind, struct span name, uint64_t out, uint64_t in, int64_t now_s)
{
    struct entry *e = entry_of(kept_make(h->kept, kind, name, now_s));
    e->kept.count++;
    habit_add(&e->habit, out, in);
    kept_release(h->kept, &e->kept, true);
}

void habits_add(struct habits *h, struct span own, struct span sender, uint64_t out, uint64_t in,
                int64_t now_s)
{
    add(h, HABIT_OWN_KIND, own, out, in, now_s);
    add(h, HABIT_PEERS_KIND, sender, out, in, now_s);
}

static bool look(struct habits *h, unsigned kind, struct span name, struct habit_view *ret)
{
    struct kept_entry *found = kept_find(h->kept, kind, name);
    if (!found)
        return false;
    const struct habit *habit = &entry_of(found)->habit;
    bool known = habit_is_known(habit);
    if (known)
        *ret = (struct habit_view){.known = true,
                                   .of_peers = kind == HABIT_PEERS_KIND,
                                   .p99_bytes = habit_p99_bytes(habit),
                                   .ratio_mean = habit->ratio_mean};
    kept_release(h->kept, found, false);
    return known;
}

void habits_look(struct habits *h, struct span own, struct span sender, struct habit_view *ret)
{
    *ret = (struct habit_view){0};
    if (!look(h, HABIT_OWN_KIND, own, ret))
        look(h, HABIT_PEERS_KIND, sender, ret);
}
