/* grants.c: see grants.h. */
#include "agent/grants.h"

void grants_take(struct grants *g, const struct packet_grant *grant)
{
    g->items[grant->caller.pid % GRANTS] = *grant;
}

const struct packet_grant *grants_find(const struct grants *g, const struct known_caller *caller,
                                       const struct agent_ask *ask, uint64_t turn, int64_t now_ns)
{
    const struct packet_grant *found = &g->items[caller->pid % GRANTS];
    const struct known_caller *c = &found->caller;
    bool same = c->image != 0 && c->image == caller->image && c->start_ticks == caller->start_ticks &&
                c->pid == caller->pid && c->uid == caller->uid && c->netns == caller->netns;
    bool fits = found->proxy.port == ask->proxy.port && ip_equal(&found->proxy.ip, &ask->proxy.ip) &&
                !ask->full && !ask->watch && (ask->brief || !found->has_history);
    return same && fits && found->turn == turn && now_ns < found->until_ns ? found : NULL;
}
