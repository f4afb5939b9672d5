/* history.c: see history.h. Each process keeps what it and those below it did: one entry for each kind, class and process that
 * did it, counted as a thing repeats; an entry is shared by all whom it counts for. */
#include "agent/history.h"

#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 16384, ENTRIES_MAX = 24, PATH_BYTES = 1024, IDLE_KEPT_MS = 60000 };

struct entry {
    unsigned refs;  /* processes that it counts for */
    uint64_t asked; /* the last question it was counted in */
    enum agent_history_kind kind;
    const char *class_name; /* borrowed: lives as long as the history */
    struct history_id who;
    char name[HISTORY_NAME_BYTES];
    char *path; /* owned; NULL: none. Of the latest, like bytes */
    int64_t bytes, first_ms, last_ms;
    uint64_t count;
};

/* Where a process is listed, and in which order they are forgotten. */
enum list { LIST_IDLE, LIST_ENDED, LIST_ALIVE, LIST_COUNT };

struct lived {
    struct lived *next_same;     /* in its bucket, owned there; the newest of a number comes first */
    struct lived *newer, *older; /* in its list */
    enum list list;
    struct history_id id, parent;
    int64_t session, told_ms, proxy_uid; /* proxy_uid: once it has connected */
    unsigned children;                   /* in the table */
    bool is_service, has_ended, connected;
    unsigned overflowed; /* a bit for each kind of which entries were dropped */
    char name[HISTORY_NAME_BYTES];
    struct entry *entries[ENTRIES_MAX]; /* counted */
    size_t entry_count;
};

struct order {
    struct lived *newest, *oldest;
};

struct history {
    struct lived *buckets[BUCKETS]; /* owned */
    struct order lists[LIST_COUNT];
    size_t process_count, entry_count;
    unsigned depth, not_observable;
    int64_t window_ms;
    uint64_t asked, forgotten, lost_events, lost_files;
    enum agent_history_kind listened;
    void (*listener)(void *context, const struct history_id *who, const struct history_seen *seen);
    void *listener_context; /* borrowed */
    void (*learn)(void *context, int64_t pid);
    void *learn_context; /* borrowed */
    bool learning;
};

/* ---- the table ---- */

static struct lived **bucket(const struct history *h, int64_t pid)
{
    uint64_t x = (uint64_t)pid * 0x9e3779b97f4a7c15u;
    return (struct lived **)&h->buckets[(x >> 40) % BUCKETS];
}

static struct lived *find(const struct history *h, const struct history_id *id)
{
    struct lived *p = *bucket(h, id->pid);
    while (p && (p->id.pid != id->pid || p->id.start_ticks != id->start_ticks))
        p = p->next_same;
    return p;
}

static struct lived *find_number(const struct history *h, int64_t pid)
{
    struct lived *p = *bucket(h, pid);
    while (p && p->id.pid != pid)
        p = p->next_same;
    return p;
}

static void unlist(struct history *h, struct lived *p)
{
    struct order *o = &h->lists[p->list];
    *(p->newer ? &p->newer->older : &o->newest) = p->older;
    *(p->older ? &p->older->newer : &o->oldest) = p->newer;
}

static void list_newest(struct history *h, struct lived *p, enum list list)
{
    struct order *o = &h->lists[list];
    p->list = list;
    p->newer = NULL;
    p->older = o->newest;
    *(o->newest ? &o->newest->newer : &o->oldest) = p;
    o->newest = p;
}

static enum list list_of(const struct lived *p)
{
    if (!p->has_ended)
        return LIST_ALIVE;
    return p->entry_count > 0 || p->children > 0 ? LIST_ENDED : LIST_IDLE;
}

static void relist(struct history *h, struct lived *p)
{
    unlist(h, p);
    list_newest(h, p, list_of(p));
}

static void entry_unref(struct history *h, struct entry *e)
{
    if (--e->refs > 0)
        return;
    h->entry_count--;
    free(e->path);
    free(e);
}

static void drop_entries(struct history *h, struct lived *p)
{
    while (p->entry_count > 0)
        entry_unref(h, p->entries[--p->entry_count]);
}

static void count_child(struct history *h, const struct history_id *parent, int step)
{
    struct lived *p = parent->pid > 0 ? find(h, parent) : NULL;
    if (p && (step > 0 || p->children > 0))
        p->children += (unsigned)step;
}

static void forget(struct history *h, struct lived *p)
{
    struct lived **at = bucket(h, p->id.pid);
    while (*at != p)
        at = &(*at)->next_same;
    *at = p->next_same;
    unlist(h, p);
    drop_entries(h, p);
    count_child(h, &p->parent, -1);
    h->process_count--;
    free(p);
}

/* Room for one more process, or for one more entry. False: there is nothing to forget. */
static bool forget_oldest(struct history *h)
{
    for (int i = 0; i < LIST_COUNT; i++) {
        if (!h->lists[i].oldest)
            continue;
        h->forgotten += i != LIST_IDLE;
        forget(h, h->lists[i].oldest);
        return true;
    }
    return false;
}

struct history *history_new(unsigned depth, int64_t window_ms)
{
    struct history *h = calloc(1, sizeof *h);
    if (h) {
        h->depth = depth < HISTORY_DEPTH_MAX ? depth : HISTORY_DEPTH_MAX;
        h->window_ms = window_ms;
    }
    return h;
}

void history_free(struct history *h)
{
    while (h && forget_oldest(h))
        ;
    free(h);
}

/* ---- who there is ---- */

static struct lived *make(struct history *h, const struct history_process *from)
{
    while (h->process_count >= HISTORY_PROCESSES_MAX && forget_oldest(h))
        ;
    struct lived *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    struct lived *before = find_number(h, from->id.pid);
    if (before && !before->has_ended) { /* its end was missed */
        before->has_ended = true;
        relist(h, before);
    }
    p->id = from->id;
    p->parent = from->parent;
    p->next_same = *bucket(h, p->id.pid);
    *bucket(h, p->id.pid) = p;
    h->process_count++;
    list_newest(h, p, LIST_ALIVE);
    count_child(h, &p->parent, 1);
    return p;
}

void history_tell(struct history *h, const struct history_process *told, int64_t now_ms)
{
    struct lived *p = find(h, &told->id);
    if (!p && !(p = make(h, told)))
        return;
    p->session = told->session;
    p->is_service = told->is_service;
    p->told_ms = now_ms;
    snprintf(p->name, sizeof p->name, "%s", told->name ? told->name : "");
}

void history_fork(struct history *h, int64_t parent, int64_t child, int64_t now_ms)
{
    const struct lived *p = find_number(h, parent);
    struct history_process made = {.id = {child, 0}};
    char name[HISTORY_NAME_BYTES] = "";
    if (!p)
        return;
    memcpy(name, p->name, sizeof name); /* telling may forget the parent */
    made.parent = p->id;
    made.session = p->session;
    made.name = name;
    history_tell(h, &made, now_ms);
}

void history_lead(struct history *h, int64_t pid)
{
    struct lived *p = find_number(h, pid);
    if (!p || p->session == pid)
        return;
    p->session = pid;
    p->is_service = false; /* said with its next execution */
}

bool history_latest(const struct history *h, int64_t pid, struct history_id *ret)
{
    const struct lived *p = find_number(h, pid);
    if (p)
        *ret = p->id;
    return p != NULL;
}

void history_end(struct history *h, const struct history_id *id, int64_t now_ms)
{
    struct lived *p = find(h, id);
    if (!p || p->has_ended)
        return;
    p->has_ended = true;
    p->told_ms = now_ms;
    relist(h, p);
}

bool history_knows(const struct history *h, int64_t pid)
{
    const struct lived *p = find_number(h, pid);
    return p && !p->has_ended;
}

bool history_is_latest(const struct history *h, const struct history_id *id)
{
    const struct lived *p = find_number(h, id->pid);
    return p && p->id.start_ticks == id->start_ticks;
}

bool history_connect(struct history *h, const struct history_id *id, int64_t uid)
{
    struct lived *p = find(h, id);
    bool first = p && !p->connected;
    if (p) {
        p->connected = true;
        p->proxy_uid = uid;
    }
    return first;
}

bool history_has_connected(const struct history *h, const struct history_id *id, int64_t uid)
{
    const struct lived *p = find(h, id);
    return p && p->connected && p->proxy_uid == uid;
}

/* The next one up for whom it counts, or NULL. */
static struct lived *above(const struct history *h, const struct lived *p)
{
    if (p->session == p->id.pid || p->parent.pid <= 1)
        return NULL;
    struct lived *up = find(h, &p->parent);
    if (!up || up->session != p->session)
        return NULL;
    return up->session == up->id.pid && !up->is_service ? NULL : up;
}

/* ---- what they did ---- */

static struct entry *find_entry(const struct lived *p, const struct history_seen *seen)
{
    for (size_t i = 0; i < p->entry_count; i++) {
        struct entry *e = p->entries[i];
        if (e->kind == seen->kind && e->class_name == seen->class_name && e->who.pid == p->id.pid &&
            e->who.start_ticks == p->id.start_ticks)
            return e;
    }
    return NULL;
}

/* The place of the one that is longest ago. */
static size_t oldest_entry(const struct lived *p)
{
    size_t oldest = 0;
    for (size_t i = 1; i < p->entry_count; i++)
        if (p->entries[i]->last_ms < p->entries[oldest]->last_ms)
            oldest = i;
    return oldest;
}

static void add_entry(struct history *h, struct lived *p, struct entry *e, int64_t now_ms)
{
    for (size_t i = 0; i < p->entry_count; i++)
        if (p->entries[i] == e)
            return;
    size_t place = p->entry_count;
    if (place == ENTRIES_MAX) {
        place = oldest_entry(p);
        if (now_ms - p->entries[place]->last_ms <= h->window_ms)
            p->overflowed |= 1u << p->entries[place]->kind;
        entry_unref(h, p->entries[place]);
    } else {
        p->entry_count++;
    }
    p->entries[place] = e;
    e->refs++;
}

static struct entry *new_entry(struct history *h, const struct lived *p, const struct history_seen *seen,
                               int64_t now_ms)
{
    struct entry *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    h->entry_count++;
    e->kind = seen->kind;
    e->class_name = seen->class_name;
    e->who = p->id;
    e->first_ms = now_ms;
    return e;
}

static void count_entry(struct entry *e, const struct lived *p, const struct history_seen *seen,
                        int64_t now_ms)
{
    size_t len = seen->path ? strnlen(seen->path, PATH_BYTES) : 0;
    char *path = len ? strndup(seen->path, len) : NULL;
    free(e->path);
    e->path = path;
    e->bytes = seen->bytes;
    e->last_ms = now_ms;
    e->count += seen->times ? seen->times : 1;
    memcpy(e->name, p->name, sizeof e->name);
}

void history_listen(struct history *h, enum agent_history_kind kind,
                    void (*each)(void *context, const struct history_id *who,
                                 const struct history_seen *seen),
                    void *context)
{
    h->listened = kind;
    h->listener = each;
    h->listener_context = context;
}

void history_learn_by(struct history *h, void (*learn)(void *context, int64_t pid), void *context)
{
    h->learn = learn;
    h->learn_context = context;
}

static void learn_if_new(struct history *h, int64_t pid)
{
    if (!h->learn || h->learning || history_knows(h, pid))
        return;
    h->learning = true;
    h->learn(h->learn_context, pid);
    h->learning = false;
}

bool history_see(struct history *h, int64_t pid, const struct history_seen *seen, int64_t now_ms)
{
    learn_if_new(h, pid);
    struct lived *p = find_number(h, pid);
    if (!p)
        return false;
    unlist(h, p); /* it must not be the one that is forgotten for its own sake */
    while (h->entry_count >= HISTORY_SEEN_MAX && forget_oldest(h))
        ;
    list_newest(h, p, list_of(p));
    struct entry *e = find_entry(p, seen);
    if (e && now_ms - e->last_ms > h->window_ms)
        e->count = 0, e->first_ms = now_ms; /* what was before is over */
    if (!e && !(e = new_entry(h, p, seen, now_ms)))
        return false;
    e->refs++;
    count_entry(e, p, seen, now_ms);
    struct lived *up = p;
    for (unsigned i = 0; up && i <= h->depth; i++, up = above(h, up))
        add_entry(h, up, e, now_ms), relist(h, up);
    const struct history_id who = e->who;
    entry_unref(h, e);
    if (h->listener && seen->kind == h->listened)
        h->listener(h->listener_context, &who, seen);
    return true;
}

/* ---- what is told ---- */

void history_lose(struct history *h, uint64_t events, uint64_t files)
{
    h->lost_events = events;
    h->lost_files = files;
}

void history_losses(const struct history *h, struct agent_losses *ret)
{
    *ret = (struct agent_losses){(int64_t)h->lost_events, (int64_t)h->lost_files, (int64_t)h->forgotten};
}

void history_cannot_see(struct history *h, enum agent_history_kind kind)
{
    h->not_observable |= 1u << kind;
}

unsigned history_not_observable(const struct history *h)
{
    return h->not_observable;
}

static int64_t ago_s(int64_t now_ms, int64_t then_ms)
{
    return now_ms > then_ms ? (now_ms - then_ms) / 1000 : 0;
}

/* NULL: no row is left. */
static struct agent_history_row *row_of(struct agent_history *out, const struct entry *e)
{
    for (size_t i = 0; i < out->row_count; i++)
        if (out->rows[i].kind == e->kind && out->rows[i].class_name == e->class_name)
            return &out->rows[i];
    if (out->row_count == AGENT_HISTORY_ROWS_MAX)
        return NULL;
    struct agent_history_row *r = &out->rows[out->row_count++];
    *r = (struct agent_history_row){
        .kind = e->kind, .class_name = e->class_name, .last_s = INT64_MAX, .bytes = -1};
    return r;
}

static void tell_entry(const struct entry *e, int64_t now_ms, struct agent_history *out)
{
    struct agent_history_row *r = row_of(out, e);
    int64_t first_s = ago_s(now_ms, e->first_ms), last_s = ago_s(now_ms, e->last_ms);
    if (!r)
        return;
    r->count += e->count;
    r->first_s = first_s > r->first_s ? first_s : r->first_s;
    if (last_s > r->last_s)
        return;
    r->last_s = last_s;
    r->pid = e->who.pid;
    r->name = e->name;
    r->path = e->path;
    r->bytes = e->bytes;
}

void history_ask(struct history *h, const struct history_id *id, int64_t now_ms, struct agent_history *ret)
{
    unsigned overflowed = 0;
    const struct lived *p = find(h, id);
    ret->window_s = h->window_ms / 1000;
    ret->row_count = 0;
    ret->lost_events = (int64_t)h->lost_events;
    ret->lost_files = (int64_t)h->lost_files;
    ret->forgotten = (int64_t)h->forgotten;
    ret->not_observable = h->not_observable;
    h->asked++;
    for (unsigned i = 0; p && i <= h->depth; i++, p = above(h, p)) {
        overflowed |= p->overflowed;
        for (size_t k = 0; k < p->entry_count; k++) {
            struct entry *e = p->entries[k];
            if (e->asked == h->asked || now_ms - e->last_ms > h->window_ms)
                continue;
            e->asked = h->asked;
            tell_entry(e, now_ms, ret);
        }
    }
    for (size_t i = 0; i < ret->row_count; i++)
        ret->rows[i].at_least = overflowed >> ret->rows[i].kind & 1;
}

static void age_entries(struct history *h, struct lived *p, int64_t now_ms)
{
    for (size_t i = 0; i < p->entry_count;) {
        if (now_ms - p->entries[i]->last_ms <= h->window_ms) {
            i++;
            continue;
        }
        entry_unref(h, p->entries[i]);
        p->entries[i] = p->entries[--p->entry_count];
    }
    if (p->entry_count == 0)
        p->overflowed = 0;
}

void history_age(struct history *h, int64_t now_ms)
{
    for (struct lived *p = h->lists[LIST_IDLE].oldest, *next; p && now_ms - p->told_ms > IDLE_KEPT_MS;
         p = next) {
        next = p->newer;
        forget(h, p);
    }
    for (struct lived *p = h->lists[LIST_ENDED].oldest, *next; p; p = next) {
        next = p->newer;
        age_entries(h, p, now_ms);
        if (p->entry_count == 0 && now_ms - p->told_ms > h->window_ms)
            forget(h, p);
    }
    for (struct lived *p = h->lists[LIST_ALIVE].oldest; p; p = p->newer)
        age_entries(h, p, now_ms);
}
