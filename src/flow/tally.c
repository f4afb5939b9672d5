/* tally.c: see tally.h. Touches its own lock. */
#include "flow/tally.h"

#include "base/must.h"

#include <pthread.h>
#include <stdlib.h>

enum { PROCESSES = 4096, GIVEN_MAX = 64, WORD_BITS = 64 };

struct tally {
    const struct rulebook *book; /* borrowed */
    pthread_mutex_t lock;        /* guards correlate and processes */
    struct correlate *correlate; /* owned */
    uint64_t *
        processes; /* owned: a process and a rule that were counted, by their hash; a later one takes its place */
    uint32_t *row_of; /* owned: by rule, its row; NAMES_NONE: no correlation counts it */
    uint64_t *rows;   /* owned: bits, by field: what its correlations group by */
    size_t words;     /* of a row */
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

struct tally *tally_new(const struct rulebook *b)
{
    struct tally *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->book = b;
    pthread_mutex_init(&t->lock, NULL);
    t->correlate = correlate_new(b->set, CORRELATE_BYTES_DEFAULT);
    t->processes = calloc(PROCESSES, sizeof *t->processes);
    t->row_of = calloc(b->set->rule_count + 1, sizeof *t->row_of);
    if (t->correlate && t->processes && t->row_of && fill_rows(t) == 0)
        return t;
    tally_free(t);
    return NULL;
}

void tally_free(struct tally *take_t)
{
    if (!take_t)
        return;
    correlate_free(take_t->correlate);
    pthread_mutex_destroy(&take_t->lock);
    free(take_t->processes);
    free(take_t->row_of);
    free(take_t->rows);
    free(take_t);
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
    const char *category = t->book->set->rules[rule].document->logsource.category;
    if (process == 0 || !category || strcmp(category, "process_creation") != 0)
        return false;
    uint64_t key = (process ^ (rule + 1) * 0x9e3779b97f4a7c15u) * 0xd6e8feb86659fd93u;
    uint64_t *slot = &t->processes[key >> 32 & (PROCESSES - 1)];
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
        pthread_mutex_lock(&t->lock);
        while (at < count && n < GIVEN_MAX) {
            if (!counted_before(t, rules[at], process))
                given[n++] = rules[at];
            at++;
        }
        const uint32_t *found = n ? correlate_event(t->correlate, m, time_ms, given, n, &fired) : NULL;
        for (size_t i = 0; found && i < fired && written < room; i++)
            ret[written++] = found[i];
        pthread_mutex_unlock(&t->lock);
    }
    return written;
}
