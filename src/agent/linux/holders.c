/* holders.c: see holders.h. */
#include "agent/linux/holders.h"

#include "agent/linux/owner.h"

#include <time.h>

enum { WALKS_APART_MS = 1000, SHARE = 100 };

struct finding {
    struct holders_question *questions;
    size_t count;
};

static void add(struct holders_question *q, int64_t pid)
{
    for (size_t i = 0; i < q->count; i++)
        if (q->pids[i] == pid)
            return;
    if (q->count < AGENT_HOLDERS_MAX)
        q->pids[q->count++] = pid;
}

static void on_holder(void *context, const struct owner_holder *holder)
{
    struct finding *f = context;
    for (size_t i = 0; i < f->count; i++)
        if (f->questions[i].cookie == holder->cookie)
            add(&f->questions[i], holder->pid);
}

bool holders_find(struct holders *h, struct holders_question *questions, size_t count, bool can_wait)
{
    uint64_t cookies[WANTED_MAX];
    struct finding f = {questions, count};
    int64_t began = owner_now_ms();
    if (!h->bpf || count > WANTED_MAX || (can_wait && began < h->not_before_ms))
        return false;
    for (size_t i = 0; i < count; i++) {
        cookies[i] = questions[i].cookie;
        questions[i].count = 0;
    }
    bool walked = owner_bpf_walk(h->bpf, cookies, count, on_holder, &f);
    int64_t ended = owner_now_ms(), rest = (ended - began) * SHARE;
    h->not_before_ms = ended + (rest > WALKS_APART_MS ? rest : WALKS_APART_MS);
    h->walks += walked;
    return walked;
}
