/* tally.c: see tally.h. Touches its own lock. */
#include "flow/tally.h"

#include "base/must.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { PROCESSES = 4096, GIVEN_MAX = 64, WORD_BITS = 64 };

/* What the tallies of policies that follow one another have in common. */
struct shared {
    atomic_uint refs;
    pthread_mutex_t lock;          /* guards the correlates and processes */
    uint64_t processes[PROCESSES]; /* a process and a rule that were counted; a later one takes its place */
};

struct tally {
    const struct rulebook *book; /* borrowed */
    struct shared *shared;       /* counted */
    struct correlate *correlate; /* owned; together with that of the policy before, by correlate_adopt() */
    uint32_t *row_of;            /* owned: by rule, its row; NAMES_NONE: no correlation counts it */
    uint64_t *rows;              /* owned: bits, by field: what its correlations group by */
    size_t words;                /* of a row */
};

static void add_bits(struct tally *t, uint32_t rule, const uint32_t *fields, size_t count, uint32_t from_rule)
{
    uint64_t *row = t->rows + (size_t)t->row_of[rule] * t->words;
    for (size_t i = 0; i < count; i++)
        row[fields[i] / WORD_BITS] |= 1ull << fields[i] % WORD_BITS;
    for (size_t i = 0; t->row_of[from_rule] != NAMES_NONE && i < t->words; i++)
        row[i] |= t->rows[(size_t)t->row_of[from_rule] * t->words + i];
}

/* A correlation comes after those it counts; walked from the last, what it needs is whole when it is handed down. */
static int fill_rows(struct tally *t)
{
    const struct ruleset *s = t->book->set;
    uint32_t rows = 0;
    t->words = s->fields.count / WORD_BITS + 1;
    for (size_t i = 0; i < s->rule_count; i++)
        t->row_of[i] = NAMES_NONE;
    for (size_t i = 0; i < s->correlation_count; i++)
        for (size_t n = 0; n < s->correlations[i].what->rules.count; n++)
            if (t->row_of[s->correlations[i].rules[n]] == NAMES_NONE)
                t->row_of[s->correlations[i].rules[n]] = rows++;
    t->rows = calloc((size_t)rows * t->words + 1, sizeof *t->rows);
    if (!t->rows)
        return -1;
    for (size_t i = s->correlation_count; i-- > 0;) {
        const struct correlation *c = &s->correlations[i];
        size_t groups = c->what->group_by.count, values = c->what->fields.count;
        for (size_t n = 0; n < c->what->rules.count; n++) {
            add_bits(t, c->rules[n], c->group_fields + n * groups, groups, c->rule);
            add_bits(t, c->rules[n], c->value_fields + n * values, values, c->rule);
        }
    }
    return 0;
}

static struct shared *shared_new(void)
{
    struct shared *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    atomic_init(&s->refs, 1);
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

static void shared_unref(struct shared *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    pthread_mutex_destroy(&s->lock);
    free(s);
}

struct tally *tally_new(const struct rulebook *b)
{
    struct tally *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->book = b;
    t->shared = shared_new();
    t->correlate = correlate_new(b->set, CORRELATE_BYTES_DEFAULT);
    t->row_of = calloc(b->set->rule_count + 1, sizeof *t->row_of);
    if (t->shared && t->correlate && t->row_of && fill_rows(t) == 0)
        return t;
    tally_free(t);
    return NULL;
}

void tally_free(struct tally *take_t)
{
    if (!take_t)
        return;
    if (take_t->shared)
        pthread_mutex_lock(&take_t->shared->lock);
    correlate_free(take_t->correlate);
    if (take_t->shared)
        pthread_mutex_unlock(&take_t->shared->lock);
    shared_unref(take_t->shared);
    free(take_t->row_of);
    free(take_t->rows);
    free(take_t);
}

void tally_adopt(struct tally *t, struct tally *before)
{
    pthread_mutex_lock(&before->shared->lock);
    correlate_adopt(t->correlate, before->correlate);
    pthread_mutex_unlock(&before->shared->lock);
    shared_unref(t->shared);
    t->shared = before->shared;
    atomic_fetch_add_explicit(&t->shared->refs, 1, memory_order_relaxed);
}

bool tally_counts(const struct tally *t, uint32_t rule)
{
    return t->row_of[rule] != NAMES_NONE;
}

bool tally_is_ready(const struct tally *t, const struct match *m, uint32_t rule)
{
    const uint64_t *row = t->rows + (size_t)t->row_of[rule] * t->words;
    for (uint32_t f = 0; f < t->book->set->fields.count; f++) {
        const struct match_value *v = row[f / WORD_BITS] >> f % WORD_BITS & 1 ? match_value(m, f) : NULL;
        if (v && (v->state == FACT_PENDING || v->rising))
            return false;
    }
    return true;
}

/* Has this process been counted by this rule before? Then its next connection is no further process. Locked. */
static bool counted_before(struct tally *t, uint32_t rule, uint64_t process)
{
    const struct rule *r = &t->book->set->rules[rule];
    const char *category = r->document->logsource.category;
    if (process == 0 || !category || strcmp(category, "process_creation") != 0)
        return false;
    uint64_t key = (process ^ r->identity) * 0xd6e8feb86659fd93u;
    uint64_t *slot = &t->shared->processes[key >> 32 & (PROCESSES - 1)];
    bool before = *slot == key;
    *slot = key;
    return before;
}

size_t tally_count(struct tally *t, const struct match *m, int64_t time_ms, const uint32_t *rules,
                   size_t count, uint64_t process, uint32_t *ret, size_t room)
{
    uint32_t given[GIVEN_MAX];
    size_t written = 0;
    for (size_t at = 0; at < count;) {
        size_t n = 0, fired = 0;
        pthread_mutex_lock(&t->shared->lock);
        while (at < count && n < GIVEN_MAX) {
            if (!counted_before(t, rules[at], process))
                given[n++] = rules[at];
            at++;
        }
        const uint32_t *found = n ? correlate_event(t->correlate, m, time_ms, given, n, &fired) : NULL;
        for (size_t i = 0; found && i < fired && written < room; i++)
            ret[written++] = found[i];
        pthread_mutex_unlock(&t->shared->lock);
    }
    return written;
}
