/* holders.c: see holders.h. */
#include "agent/linux/holders.h"

#include "agent/linux/owner.h"

#include <time.h>

enum { WALKS_APART_MS = 1000, SHARE = 100, FRESH_MS = 10000, PIDS = 1 };

/* Of this thread: a busy host must not make walks rarer than they are dear. */
static int64_t cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- at once ---- */

struct finding {
    struct holders_question *questions;
    size_t count;
};

static void add_holder(struct holders_question *q, int64_t pid)
{
    for (size_t i = 0; i < q->count; i++)
        if (q->pids[i] == pid)
            return;
    if (q->count < AGENT_HOLDERS_MAX)
        q->pids[q->count++] = pid;
}

static void on_holder(void *context, const struct owner_walked *found)
{
    struct finding *f = context;
    for (size_t i = 0; i < f->count && found->kind == OWNER_WALKED_HOLDER; i++)
        if (f->questions[i].cookie == found->cookie)
            add_holder(&f->questions[i], found->pid);
}

bool holders_find(struct holders *h, struct holders_question *questions, size_t count)
{
    uint64_t cookies[WANTED_MAX];
    struct finding f = {questions, count};
    struct owner_wanted wanted = {.cookies = cookies, .cookie_count = count};
    if (!h->bpf || count > WANTED_MAX)
        return false;
    for (size_t i = 0; i < count; i++)
        cookies[i] = questions[i].cookie;
    h->walks++;
    return owner_bpf_walk(h->bpf, &wanted, on_holder, &f);
}

/* ---- around ---- */

/* Cookies are even here, pids odd. */
static uint64_t key_of(uint64_t number, unsigned kind)
{
    return number << 1 | kind;
}

static struct around *slot(struct holders *h, uint64_t key)
{
    return &h->slots[key * 0x9e3779b97f4a7c15u >> 40 & (AROUND_SLOTS - 1)];
}

static const struct around *look(struct holders *h, uint64_t key)
{
    struct around *a = slot(h, key);
    int64_t now = owner_now_ms();
    if (!h->bpf)
        return NULL;
    if (a->key != key)
        *a = (struct around){.key = key};
    a->asked_ms = now;
    h->wanted = true;
    return a->found_ms != 0 && now - a->found_ms < FRESH_MS ? a : NULL;
}

const struct around *holders_of_socket(struct holders *h, uint64_t cookie)
{
    return look(h, key_of(cookie, 0));
}

const struct around *holders_peers_of(struct holders *h, int64_t pid)
{
    return look(h, key_of((uint64_t)pid, PIDS));
}

static void on_walked(void *context, const struct owner_walked *found)
{
    struct holders *h = context;
    bool holder = found->kind == OWNER_WALKED_HOLDER;
    uint64_t key = holder ? key_of(found->cookie, 0) : key_of(found->pid, PIDS);
    struct around *a = slot(h, key);
    if (a->key != key || !a->sought || a->count == AROUND_MAX)
        return;
    for (size_t i = 0; i < a->count; i++)
        if (holder ? a->found[i].pid == found->pid : a->found[i].other == found->other)
            return;
    a->found[a->count++] = *found;
}

void holders_tick(struct holders *h)
{
    static uint64_t cookies[WANTED_MAX]; /* the loop's thread only */
    static uint32_t pids[WANTED_MAX];
    struct owner_wanted wanted = {.cookies = cookies, .pids = pids};
    int64_t began_cpu = cpu_ms();
    if (!h->wanted || owner_now_ms() < h->not_before_ms)
        return;
    for (size_t i = 0; i < AROUND_SLOTS; i++) {
        struct around *a = &h->slots[i];
        bool asked = a->key != 0 && a->asked_ms > a->found_ms;
        if (asked && (a->key & PIDS) && wanted.pid_count < WANTED_MAX)
            pids[wanted.pid_count++] = (uint32_t)(a->key >> 1);
        else if (asked && !(a->key & PIDS) && wanted.cookie_count < WANTED_MAX)
            cookies[wanted.cookie_count++] = a->key >> 1;
        else
            continue;
        a->count = 0;
        a->found_ms = 0;
        a->sought = true;
    }
    bool walked = owner_bpf_walk(h->bpf, &wanted, on_walked, h);
    int64_t ended = owner_now_ms(), rest = (cpu_ms() - began_cpu) * SHARE;
    h->not_before_ms = ended + (rest > WALKS_APART_MS ? rest : WALKS_APART_MS);
    h->wanted = false;
    h->walks++;
    for (size_t i = 0; i < AROUND_SLOTS; i++) {
        if (h->slots[i].sought && walked)
            h->slots[i].found_ms = ended;
        h->slots[i].sought = false;
    }
}
