/* selftest.c: see selftest.h. */
#include "admin/selftest.h"

#include "flow/selftest.h"

#include <stdio.h>
#include <stdlib.h>

enum { SELFTEST_BYTES_MAX = 256 * 1024 };

/* On the worker's thread. */
static void on_asked(const struct worker_view *view, void *argument)
{
    struct reply *r = argument;
    struct net_stats stats;
    struct selftest_agent agent = {0};
    net_stats(view->net, &stats);
    agent.connected = stats.agent_connected != 0;
    agent.not_observable = stats.agent.not_observable;
    snprintf(agent.name, sizeof agent.name, "%s", stats.agent.host);
    selftest_run(view->env, &agent, &r->text);
    buf_append(&r->text, "\n", 1);
    reply_done(r);
}

struct reply *selftest_begin(struct daemon *d, uv_async_t *wake)
{
    struct reply *r = calloc(1, sizeof *r);
    return r ? reply_begin(r, SELFTEST_BYTES_MAX, d, wake, on_asked) : NULL;
}
