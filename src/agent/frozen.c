/* frozen.c: see frozen.h. A row's count has two parts: what history.h still tells, and what it told and has forgotten since. */
#include "agent/frozen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAME_MS = 1500 }; /* ages are told in whole seconds */

struct row {
    enum agent_history_kind kind;
    const char *class_name; /* borrowed, as the history's */
    char name[HISTORY_NAME_BYTES];
    char *path; /* owned; NULL: none */
    uint64_t before, now;
    bool at_least, told; /* told: in the history that is looked at */
    int64_t begun_ms;    /* since when `now` counts */
    int64_t first_ms, last_ms, pid, bytes;
};

struct kept {
    struct history_id id;
    int64_t uid, from_ms, until_ms;
    struct row rows[AGENT_HISTORY_ROWS_MAX];
    size_t row_count;
};

struct frozen {
    struct kept *kept[FROZEN_MAX]; /* owned */
    size_t count, bytes;
};

struct frozen *frozen_new(void)
{
    return calloc(1, sizeof(struct frozen));
}

static void set_path(struct frozen *f, struct row *r, const char *path)
{
    size_t had = r->path ? strlen(r->path) : 0, len = path ? strlen(path) : 0;
    char *copy = len > 0 && f->bytes - had + len <= FROZEN_BYTES_MAX ? strdup(path) : NULL;
    f->bytes = f->bytes - had + (copy ? len : 0);
    free(r->path);
    r->path = copy;
}

static void give_back(struct frozen *f, size_t i)
{
    struct kept *k = f->kept[i];
    for (size_t n = 0; n < k->row_count; n++)
        set_path(f, &k->rows[n], NULL);
    free(k);
    f->kept[i] = f->kept[--f->count];
}

void frozen_free(struct frozen *f)
{
    while (f && f->count > 0)
        give_back(f, f->count - 1);
    free(f);
}

static struct kept *find(const struct frozen *f, const struct history_id *id)
{
    for (size_t i = 0; i < f->count; i++)
        if (f->kept[i]->id.pid == id->pid && f->kept[i]->id.start_ticks == id->start_ticks)
            return f->kept[i];
    return NULL;
}

bool frozen_is_full(const struct frozen *f)
{
    return f->count == FROZEN_MAX || f->bytes > FROZEN_BYTES_MAX / 2;
}

bool frozen_keep(struct frozen *f, const struct history_id *id, int64_t uid, int64_t now_ms, int64_t until_ms)
{
    struct kept *k = find(f, id);
    if (!k && !frozen_is_full(f) && (k = calloc(1, sizeof *k))) {
        *k = (struct kept){.id = *id, .uid = uid, .from_ms = now_ms};
        f->kept[f->count++] = k;
    }
    if (!k || k->uid != uid)
        return false;
    k->until_ms = until_ms > k->until_ms ? until_ms : k->until_ms;
    return true;
}

int64_t frozen_until(const struct frozen *f, const struct history_id *id, int64_t uid, int64_t now_ms)
{
    const struct kept *k = find(f, id);
    return k && k->uid == uid && k->until_ms > now_ms ? k->until_ms : 0;
}

/* ---- what is taken in ---- */

static struct row *row_of(struct kept *k, const struct agent_history_row *from)
{
    for (size_t i = 0; i < k->row_count; i++)
        if (k->rows[i].kind == from->kind && k->rows[i].class_name == from->class_name)
            return &k->rows[i];
    if (k->row_count == AGENT_HISTORY_ROWS_MAX)
        return NULL;
    struct row *r = &k->rows[k->row_count++];
    *r = (struct row){
        .kind = from->kind, .class_name = from->class_name, .first_ms = INT64_MAX, .last_ms = -1};
    return r;
}

/* A part of what was told may be told still: that much is not counted again. */
static void count(struct row *r, uint64_t told, int64_t first_ms)
{
    int64_t apart = first_ms - r->begun_ms;
    bool same = r->now > 0 && apart <= SAME_MS && apart >= -SAME_MS;
    if (!same && r->now > 0) {
        r->before += r->now > told ? r->now - told : 0;
        r->at_least = true;
        r->now = 0;
    }
    r->now = told > r->now ? told : r->now;
    r->begun_ms = same ? r->begun_ms : first_ms;
}

static void take_row(struct frozen *f, struct kept *k, const struct agent_history_row *from, int64_t now_ms)
{
    int64_t first_ms = now_ms - from->first_s * 1000, last_ms = now_ms - from->last_s * 1000;
    struct row *r = row_of(k, from);
    if (!r)
        return;
    count(r, from->count, first_ms);
    r->told = true;
    r->at_least = r->at_least || from->at_least;
    r->first_ms = first_ms < r->first_ms ? first_ms : r->first_ms;
    if (last_ms < r->last_ms)
        return;
    r->last_ms = last_ms;
    r->pid = from->pid;
    r->bytes = from->bytes;
    snprintf(r->name, sizeof r->name, "%s", from->name ? from->name : "");
    set_path(f, r, from->path);
}

static void take(struct frozen *f, struct kept *k, const struct agent_history *told, int64_t now_ms)
{
    for (size_t i = 0; i < k->row_count; i++)
        k->rows[i].told = false;
    for (size_t i = 0; i < told->row_count; i++)
        take_row(f, k, &told->rows[i], now_ms);
    for (size_t i = 0; i < k->row_count; i++) {
        struct row *r = &k->rows[i];
        r->before += r->told ? 0 : r->now;
        r->now = r->told ? r->now : 0;
    }
}

static int64_t ago_s(int64_t now_ms, int64_t then_ms)
{
    return now_ms > then_ms ? (now_ms - then_ms) / 1000 : 0;
}

void frozen_add(struct frozen *f, const struct history_id *id, int64_t now_ms, struct agent_history *io)
{
    struct kept *k = find(f, id);
    if (!k)
        return;
    take(f, k, io, now_ms);
    io->row_count = k->row_count;
    io->window_s += ago_s(now_ms, k->from_ms);
    for (size_t i = 0; i < k->row_count; i++) {
        const struct row *r = &k->rows[i];
        io->rows[i] = (struct agent_history_row){.kind = r->kind,
                                                 .class_name = r->class_name,
                                                 .name = r->name,
                                                 .path = r->path,
                                                 .count = r->before + r->now,
                                                 .at_least = r->at_least,
                                                 .first_s = ago_s(now_ms, r->first_ms),
                                                 .last_s = ago_s(now_ms, r->last_ms),
                                                 .pid = r->pid,
                                                 .bytes = r->bytes};
    }
}

void frozen_turn(struct frozen *f, struct history *h, int64_t now_ms)
{
    struct agent_history told;
    for (size_t i = f->count; i > 0; i--) {
        struct kept *k = f->kept[i - 1];
        if (now_ms >= k->until_ms) {
            give_back(f, i - 1);
            continue;
        }
        history_ask(h, &k->id, now_ms, &told);
        take(f, k, &told, now_ms);
    }
}
