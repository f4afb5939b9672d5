/* correlate.c: see correlate.h. A window slides: it ends at the event at hand, and what is older than the timespan is dropped. Of counts
 * only as many marks are kept as the condition can tell apart. Pure. */
#include "rules/correlate.h"

#include "base/buf.h"
#include "base/must.h"

#include <stdlib.h>

enum { BUCKETS = 1024, KEY_BYTES_MAX = 16384, NEVER = 0 };

struct mark {
    int64_t time_ms;
    uint64_t value; /* of value_count: a hash; of sequences: 1 when the time is set */
};

struct group {
    struct group *next;          /* owned: the next in its bucket */
    struct group *newer, *older; /* borrowed: by when they were used */
    struct mark *marks;          /* owned; the oldest first; of sequences: one a rule */
    size_t first, count, room;   /* marks[first .. first + count) count */
    size_t key_len;
    uint8_t key[];
};

/* What correlates of several sets that follow one another have in common. */
struct store {
    size_t refs, used_bytes, budget_bytes;
    uint64_t evicted;
};

struct window {
    size_t refs;                    /* a correlate each, of sets that have the same correlation */
    struct group *buckets[BUCKETS]; /* owned */
    struct group *newest, *oldest;  /* borrowed */
    size_t groups, marks_max;
};

struct correlate {
    const struct ruleset *set; /* borrowed */
    struct window **windows;   /* owned, each counted: one a correlation */
    struct store *store;       /* counted */
    uint32_t *stamps;          /* owned: by rule, the event it was true in */
    uint32_t event;
    uint32_t *fired; /* owned */
    struct buf key;
};

static uint64_t hash(struct span s)
{
    uint64_t h = 0xcbf29ce484222325;
    for (size_t i = 0; i < s.len; i++)
        h = (h ^ s.data[i]) * 0x100000001b3;
    return h ^ h >> 29;
}

/* The highest count whose difference from the next the condition sees. */
static size_t marks_max(const struct sigma_correlation *w)
{
    int64_t most = w->min;
    if (w->max != INT64_MAX && w->max + 1 > most)
        most = w->max + 1;
    if (w->not +1 > most)
        most = w->not +1;
    return most > 1 ? (size_t)most : 1;
}

static bool make_windows(struct correlate *c)
{
    for (size_t i = 0; i < c->set->correlation_count; i++) {
        struct window *w = c->windows[i] = calloc(1, sizeof *w);
        if (!w)
            return false;
        *w = (struct window){.refs = 1, .marks_max = marks_max(c->set->correlations[i].what)};
    }
    return true;
}

struct correlate *correlate_new(const struct ruleset *s, size_t budget_bytes)
{
    struct correlate *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->set = s;
    c->windows = calloc(s->correlation_count + 1, sizeof *c->windows);
    c->store = calloc(1, sizeof *c->store);
    c->stamps = calloc(s->rule_count + 1, sizeof *c->stamps);
    c->fired = calloc(s->correlation_count + 1, sizeof *c->fired);
    buf_init(&c->key, KEY_BYTES_MAX);
    if (c->store)
        *c->store = (struct store){.refs = 1, .budget_bytes = budget_bytes};
    if (c->store && c->windows && c->stamps && c->fired && make_windows(c))
        return c;
    correlate_free(c);
    return NULL;
}

static size_t group_bytes(const struct group *g)
{
    return sizeof *g + g->key_len + g->room * sizeof *g->marks;
}

static void unlink_age(struct window *w, struct group *g)
{
    *(g->newer ? &g->newer->older : &w->newest) = g->older;
    *(g->older ? &g->older->newer : &w->oldest) = g->newer;
}

static void link_newest(struct window *w, struct group *g)
{
    g->newer = NULL;
    g->older = w->newest;
    *(w->newest ? &w->newest->newer : &w->oldest) = g;
    w->newest = g;
}

static void group_drop(struct correlate *c, struct window *w, struct group *g)
{
    struct group **at = &w->buckets[hash(span_of(g->key, g->key_len)) % BUCKETS];
    while (*at != g)
        at = &(*at)->next;
    *at = g->next;
    unlink_age(w, g);
    w->groups--;
    c->store->used_bytes -= group_bytes(g);
    free(g->marks);
    free(g);
}

static void window_unref(struct correlate *c, struct window *w)
{
    if (!w || --w->refs > 0)
        return;
    while (w->oldest)
        group_drop(c, w, w->oldest);
    free(w);
}

static void store_unref(struct store *s)
{
    if (s && --s->refs == 0)
        free(s);
}

void correlate_free(struct correlate *c)
{
    if (!c)
        return;
    for (size_t i = 0; c->windows && i < c->set->correlation_count; i++)
        window_unref(c, c->windows[i]);
    store_unref(c->store);
    free(c->windows);
    free(c->stamps);
    free(c->fired);
    buf_free(&c->key);
    free(c);
}

static struct window *find_window(struct correlate *c, uint64_t identity)
{
    for (size_t i = 0; i < c->set->correlation_count; i++)
        if (c->set->rules[c->set->correlations[i].rule].identity == identity)
            return c->windows[i];
    return NULL;
}

void correlate_adopt(struct correlate *c, struct correlate *from)
{
    must(c->store->used_bytes == 0 && c->store->refs == 1);
    for (size_t i = 0; i < c->set->correlation_count; i++) {
        struct window *w = find_window(from, c->set->rules[c->set->correlations[i].rule].identity);
        if (!w)
            continue;
        w->refs++;
        window_unref(c, c->windows[i]);
        c->windows[i] = w;
    }
    from->store->refs++;
    store_unref(c->store);
    c->store = from->store;
}

/* Makes room for `bytes` by dropping quiet groups other than `keep`: of this correlation, so that one can't empty another. */
static bool make_room(struct correlate *c, struct window *w, const struct group *keep, size_t bytes)
{
    while (c->store->used_bytes + bytes > c->store->budget_bytes ||
           (!keep && w->groups >= CORRELATE_GROUPS_MAX)) {
        if (!w->oldest || w->oldest == keep)
            return false;
        group_drop(c, w, w->oldest);
        c->store->evicted++;
    }
    return true;
}

static struct group *group_find(struct correlate *c, struct window *w, struct span key)
{
    struct group **bucket = &w->buckets[hash(key) % BUCKETS];
    for (struct group *g = *bucket; g; g = g->next) {
        if (g->key_len == key.len && (key.len == 0 || memcmp(g->key, key.data, key.len) == 0)) {
            unlink_age(w, g);
            link_newest(w, g);
            return g;
        }
    }
    if (!make_room(c, w, NULL, sizeof(struct group) + key.len))
        return NULL;
    struct group *g = calloc(1, sizeof *g + key.len);
    if (!g)
        return NULL;
    g->key_len = key.len;
    if (key.len)
        memcpy(g->key, key.data, key.len);
    g->next = *bucket;
    *bucket = g;
    link_newest(w, g);
    w->groups++;
    c->store->used_bytes += group_bytes(g);
    return g;
}

static bool marks_reserve(struct correlate *c, struct window *w, struct group *g, size_t room)
{
    size_t more = (room - g->room) * sizeof *g->marks;
    if (!make_room(c, w, g, more))
        return false;
    struct mark *marks = realloc(g->marks, room * sizeof *marks);
    if (!marks)
        return false;
    memset(marks + g->room, 0, more);
    g->marks = marks;
    g->room = room;
    c->store->used_bytes += more;
    return true;
}

/* Appends a mark; the oldest goes when there is no room for more. */
static void marks_add(struct correlate *c, struct window *w, struct group *g, struct mark m)
{
    if (g->count == w->marks_max) {
        g->first++;
        g->count--;
    }
    if (g->marks && g->first + g->count == g->room && g->first > 0) {
        memmove(g->marks, g->marks + g->first, g->count * sizeof *g->marks);
        g->first = 0;
    }
    if (g->count == g->room && !marks_reserve(c, w, g, g->room ? 2 * g->room : 4)) {
        if (g->count == 0 || !g->marks)
            return;
        memmove(g->marks, g->marks + 1, --g->count * sizeof *g->marks);
    }
    if (g->marks)
        g->marks[g->first + g->count++] = m;
}

static void marks_expire(struct group *g, int64_t oldest_ms)
{
    while (g->count > 0 && g->marks[g->first].time_ms < oldest_ms) {
        g->first++;
        g->count--;
    }
}

static void marks_forget_value(struct group *g, uint64_t value)
{
    for (size_t i = g->first; i < g->first + g->count; i++) {
        if (g->marks[i].value != value)
            continue;
        memmove(g->marks + i, g->marks + i + 1, (g->first + g->count - i - 1) * sizeof *g->marks);
        g->count--;
        return;
    }
}

/* ---- keys ---- */

/* The first value of each field, with its length; false when a field is not there. */
static bool make_key(struct correlate *c, const struct match *m, const uint32_t *fields, size_t count)
{
    buf_clear(&c->key);
    c->key.failed = false;
    for (size_t i = 0; i < count; i++) {
        const struct match_value *v = match_value(m, fields[i]);
        if (!v || v->state != FACT_KNOWN || v->count == 0)
            return false;
        struct span text = v->values[0];
        uint64_t sum[2] = {text.len, hash(text)};
        buf_append(&c->key, sum, sizeof sum);
        buf_append(&c->key, text.data, text.len < 512 ? text.len : 512);
    }
    return !c->key.failed;
}

static bool is_true(const struct correlate *c, uint32_t rule)
{
    return c->stamps[rule] == c->event;
}

static bool in_limits(const struct sigma_correlation *w, size_t count)
{
    int64_t n = (int64_t)count;
    return n >= w->min && n <= w->max && n != w->not ;
}

/* ---- the four kinds ---- */

static bool count_event(struct correlate *c, const struct match *m, size_t i, int64_t time_ms)
{
    const struct correlation *k = &c->set->correlations[i];
    const struct sigma_correlation *what = k->what;
    struct window *w = c->windows[i];
    uint64_t value = NEVER;
    size_t n = 0;
    while (n < what->rules.count && !is_true(c, k->rules[n]))
        n++;
    if (n == what->rules.count)
        return false;
    if (what->type == CORRELATION_VALUE_COUNT) {
        if (!make_key(c, m, k->value_fields + n * what->fields.count, what->fields.count))
            return false;
        value = hash(buf_span(&c->key));
    }
    if (!make_key(c, m, k->group_fields + n * what->group_by.count, what->group_by.count))
        return false;
    struct group *g = group_find(c, w, buf_span(&c->key));
    if (!g)
        return false;
    marks_expire(g, time_ms - what->timespan_ms);
    if (what->type == CORRELATION_VALUE_COUNT)
        marks_forget_value(g, value);
    marks_add(c, w, g, (struct mark){time_ms, value});
    return in_limits(what, g->count);
}

static bool is_recent(const struct mark *m, int64_t oldest_ms)
{
    return m->value != NEVER && m->time_ms >= oldest_ms;
}

/* The n-th rule is true now: what that makes of the group's sequence. Ordered, a mark holds when the latest chain up to its rule began;
 * else when the rule was last true. */
static bool step_sequence(const struct sigma_correlation *what, struct group *g, size_t n, int64_t time_ms)
{
    int64_t oldest_ms = time_ms - what->timespan_ms;
    size_t seen = 0;
    if (what->type == CORRELATION_TEMPORAL_ORDERED) {
        if (n > 0 && !is_recent(&g->marks[n - 1], oldest_ms))
            return false;
        g->marks[n] = n > 0 ? g->marks[n - 1] : (struct mark){time_ms, 1};
        return n + 1 == what->rules.count;
    }
    g->marks[n] = (struct mark){time_ms, 1};
    for (size_t i = 0; i < what->rules.count; i++)
        seen += is_recent(&g->marks[i], oldest_ms);
    return in_limits(what, seen);
}

static bool follow_event(struct correlate *c, const struct match *m, size_t i, int64_t time_ms)
{
    const struct correlation *k = &c->set->correlations[i];
    const struct sigma_correlation *what = k->what;
    struct window *w = c->windows[i];
    bool fired = false;
    for (size_t n = what->rules.count;
         n-- > 0;) { /* the last first: one event is not two steps of one chain */
        if (!is_true(c, k->rules[n]) ||
            !make_key(c, m, k->group_fields + n * what->group_by.count, what->group_by.count))
            continue;
        struct group *g = group_find(c, w, buf_span(&c->key));
        if (!g || (g->room < what->rules.count && !marks_reserve(c, w, g, what->rules.count)))
            continue;
        fired = step_sequence(what, g, n, time_ms) || fired;
    }
    return fired;
}

const uint32_t *correlate_event(struct correlate *c, const struct match *m, int64_t time_ms,
                                const uint32_t *rules, size_t count, size_t *ret_count)
{
    size_t fired = 0;
    if (++c->event == 0) {
        memset(c->stamps, 0, c->set->rule_count * sizeof *c->stamps);
        c->event = 1;
    }
    for (size_t i = 0; i < count; i++)
        c->stamps[rules[i]] = c->event;
    for (size_t i = 0; i < c->set->correlation_count; i++) {
        const struct correlation *k = &c->set->correlations[i];
        bool counts = k->what->type == CORRELATION_EVENT_COUNT || k->what->type == CORRELATION_VALUE_COUNT;
        if (!(counts ? count_event(c, m, i, time_ms) : follow_event(c, m, i, time_ms)))
            continue;
        c->stamps[k->rule] = c->event;
        c->fired[fired++] = k->rule;
    }
    *ret_count = fired;
    return c->fired;
}

uint64_t correlate_evicted(const struct correlate *c)
{
    return c->store->evicted;
}
