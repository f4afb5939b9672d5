/* watch.c: see watch.h. */
#include "agent/watch.h"

#include "base/must.h"

#include <stdlib.h>

enum { BUCKETS = 4096 };

struct watches {
    struct watched *buckets[BUCKETS]; /* owned */
    struct watched *first, *last;     /* whose turn it is first */
    size_t count, most, dead;         /* dead: forgotten during a walk */
    bool walking;
};

struct watches *watches_new(size_t most)
{
    struct watches *w = calloc(1, sizeof *w);
    if (w)
        w->most = most;
    return w;
}

size_t watches_count(const struct watches *w)
{
    return w->count;
}

static struct watched **bucket(struct watches *w, const void *link, uint64_t id)
{
    uint64_t hash = (id ^ (uint64_t)(uintptr_t)link) * 0x9e3779b97f4a7c15u;
    return &w->buckets[hash >> 32 & (BUCKETS - 1)];
}

static void unlist(struct watches *w, struct watched *x)
{
    *(x->before ? &x->before->next : &w->first) = x->next;
    *(x->next ? &x->next->before : &w->last) = x->before;
}

static void list_last(struct watches *w, struct watched *x)
{
    x->next = NULL;
    x->before = w->last;
    *(w->last ? &w->last->next : &w->first) = x;
    w->last = x;
}

static void forget(struct watches *w, struct watched *x)
{
    struct watched **at = bucket(w, x->link, x->id);
    while (*at && *at != x)
        at = &(*at)->next_same;
    if (*at)
        *at = x->next_same;
    if (w->walking) {
        x->link = NULL;
        w->dead++;
        return;
    }
    unlist(w, x);
    w->count--;
    agent_peers_unref(x->said.peers);
    free(x);
}

void watches_free(struct watches *w)
{
    while (w && w->first)
        forget(w, w->first);
    free(w);
}

static struct watched *find(struct watches *w, const void *link, uint64_t id)
{
    struct watched *x = *bucket(w, link, id);
    while (x && (x->link != link || x->id != id))
        x = x->next_same;
    return x;
}

static void note(struct watched *x, const struct attribution *said)
{
    struct agent_peers *before = x->said.peers;
    x->said = *said;
    x->said.peers = agent_peers_ref(said->peers ? said->peers : before);
    agent_peers_unref(before);
    x->said.process = NULL;
    x->serial = said->process ? said->process->serial : 0;
    x->pid = said->process ? said->process->sender->pid : 0;
}

bool watches_add(struct watches *w, void *link, const struct agent_ask *ask, const struct attribution *said)
{
    struct watched *x = find(w, link, ask->id);
    if (!x) {
        x = w->count < w->most ? calloc(1, sizeof *x) : NULL;
        if (!x)
            return false;
        struct watched **at = bucket(w, link, ask->id);
        x->link = link;
        x->id = ask->id;
        x->next_same = *at;
        *at = x;
        list_last(w, x);
        w->count++;
    }
    memcpy(x->nonce, ask->nonce, sizeof x->nonce);
    note(x, said);
    return true;
}

void watches_done(struct watches *w, const void *link, uint64_t id)
{
    struct watched *x = find(w, link, id);
    if (x)
        forget(w, x);
}

void watches_forget_link(struct watches *w, const void *link)
{
    for (struct watched *x = w->first, *next; x; x = next) {
        next = x->next;
        if (x->link == link)
            forget(w, x);
    }
}

void watches_hasten(struct watches *w, int64_t pid, uint64_t due_ms)
{
    for (struct watched *x = w->first; x; x = x->next)
        if (x->pid == pid && (x->due_ms == 0 || due_ms < x->due_ms))
            x->due_ms = due_ms;
}

size_t watches_walk(struct watches *w, uint64_t now_ms, size_t turns, struct watched *ret[WATCH_BATCH])
{
    size_t count = 0;
    must(!w->walking);
    w->walking = true;
    for (struct watched *x = w->first; x && count < WATCH_BATCH; x = x->next)
        if (x->due_ms != 0 && x->due_ms <= now_ms) {
            x->due_ms = 0;
            ret[count++] = x;
        }
    for (struct watched *x = w->first, *end = w->last, *next; x && turns > 0 && count < WATCH_BATCH;
         x = x == end ? NULL : next, turns--) {
        next = x->next;
        ret[count++] = x;
        unlist(w, x);
        list_last(w, x);
    }
    return count;
}

void watches_walked(struct watches *w)
{
    w->walking = false;
    for (struct watched *x = w->first, *next; x && w->dead > 0; x = next) {
        next = x->next;
        if (x->link)
            continue;
        unlist(w, x);
        w->count--;
        w->dead--;
        agent_peers_unref(x->said.peers);
        free(x);
    }
}

static bool tells_nothing(enum agent_reason reason)
{
    static const enum agent_reason nothing[] = {
        AGENT_REASON_NO_SUCH_SOCKET,  AGENT_REASON_VANISHED, AGENT_REASON_ORPHAN, AGENT_REASON_NOT_OURS,
        AGENT_REASON_SEVERAL_SOCKETS, AGENT_REASON_CHANGED,  AGENT_REASON_BUSY,   AGENT_REASON_FAILED};
    for (size_t i = 0; i < ARRAY_LEN(nothing); i++)
        if (nothing[i] == reason)
            return true;
    return false;
}

/* What is not known any more is as it was, as far as one knows. */
static void keep_known(const struct attribution *said, struct attribution *now)
{
    if (now->basis != AGENT_BASIS_CONNECT || said->basis != AGENT_BASIS_CONNECT)
        return;
    if (now->connect.exec_changed < 0)
        now->connect.exec_changed = said->connect.exec_changed;
    if (now->connect.handed_over < 0)
        now->connect.handed_over = said->connect.handed_over;
    if (now->connect.shared >= 0)
        return;
    now->connect.shared = said->connect.shared;
    now->holder_count = said->holder_count;
    memcpy(now->holders, said->holders, sizeof now->holders);
}

static bool differs(const struct attribution *said, const struct attribution *now)
{
    const struct agent_connect *a = &said->connect, *b = &now->connect;
    bool connect = now->basis == AGENT_BASIS_CONNECT;
    if (now->peers && !agent_peers_equal(now->peers, said->peers))
        return true;
    return now->confidence != said->confidence || now->reason != said->reason ||
           (connect && (a->exec_changed != b->exec_changed || a->handed_over != b->handed_over ||
                        a->shared != b->shared)) ||
           now->holder_count != said->holder_count ||
           memcmp(now->holders, said->holders, now->holder_count * sizeof *now->holders) != 0;
}

bool watched_note(struct watched *watched, struct attribution *now)
{
    if (tells_nothing(now->reason))
        return false;
    keep_known(&watched->said, now);
    int64_t pid = now->process ? now->process->sender->pid : 0;
    if (pid == watched->pid && !differs(&watched->said, now))
        return false;
    note(watched, now);
    return true;
}
