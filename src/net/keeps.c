/* keeps.c: see keeps.h. */
#include "net/keeps.h"

#include <stdio.h>

static void end(struct net_keep **place, const struct agent_kept *kept)
{
    struct net_keep *k = *place;
    *place = NULL;
    k->place = NULL;
    net_deadline_clear(&k->late);
    k->done(k, kept);
}

static void on_late(struct net_deadline *d)
{
    struct net_keep *k = (struct net_keep *)((char *)d - offsetof(struct net_keep, late));
    end(k->place, NULL);
}

bool keeps_ask(struct keeps *s, struct net *net, struct net_keep *k, struct buf *out)
{
    struct agent_keep *m = &k->message;
    unsigned i = 0;
    while (i < AGENT_KEEPS_MAX && s->under_way[i])
        i++;
    m->id = s->asked % (KEEP_IDS - 1) + 1;
    snprintf(m->nonce, sizeof m->nonce, "%016llx", (unsigned long long)net_random());
    if (i == AGENT_KEEPS_MAX || agent_keep_write(out, m) != 0)
        return false;
    s->asked++;
    s->under_way[i] = k;
    k->place = &s->under_way[i];
    k->late = (struct net_deadline){.expired = on_late};
    net_deadline_set(net, &k->late, KEEP_TIMEOUT_MS);
    return true;
}

static struct net_keep **find(struct keeps *s, uint64_t id)
{
    for (unsigned i = 0; i < AGENT_KEEPS_MAX; i++)
        if (s->under_way[i] && s->under_way[i]->message.id == id)
            return &s->under_way[i];
    return NULL;
}

void keeps_take(struct keeps *s, const struct agent_kept *kept)
{
    struct net_keep **place = find(s, kept->id);
    if (place && strcmp((*place)->message.nonce, kept->nonce) == 0)
        end(place, kept);
}

void keeps_end(struct keeps *s, uint64_t id)
{
    struct net_keep **place = find(s, id);
    if (place)
        end(place, NULL);
}

void keeps_end_all(struct keeps *s)
{
    for (unsigned i = 0; i < AGENT_KEEPS_MAX; i++)
        if (s->under_way[i])
            end(&s->under_way[i], NULL);
}
