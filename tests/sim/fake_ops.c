/* fake_ops.c: names, connections, questions to the agent and jobs, as the world of the test answers them. See fake_net.h. */
#include "fake_internal.h"

#include "base/must.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { JOB_MS = 3, HTTPS_MS = 2, JOBS_MAX = 4 };

enum op_kind { OP_DNS, OP_HTTPS, OP_DIAL, OP_AGENT, OP_CHANGE, OP_JOB };

struct fake_op {
    struct fake_op *next; /* net's list, oldest first */
    enum op_kind kind;
    uint64_t due_ms;
    void *subject; /* borrowed: the flow's struct */
    struct world_dns dns;
    const char *https; /* borrowed from the world */
    struct world_dial dial;
    struct endpoint address;
    struct world_agent agent;
};

static struct fake_op *op_new(struct net *net, enum op_kind kind, void *subject, uint64_t after_ms)
{
    struct fake_op *op = calloc(1, sizeof *op), **at = &net->ops;
    must(op);
    op->kind = kind;
    op->subject = subject;
    op->due_ms = net->now_ms + after_ms;
    while (*at)
        at = &(*at)->next;
    *at = op;
    return op;
}

static void op_unlink(struct net *net, const struct fake_op *op)
{
    struct fake_op **at = &net->ops;
    while (*at != op) {
        must(*at);
        at = &(*at)->next;
    }
    *at = op->next;
}

static void op_cancel(struct net *net, void **operation)
{
    struct fake_op *op = *operation;
    *operation = NULL;
    if (!op)
        return;
    op_unlink(net, op);
    free(op);
}

/* ---- names ---- */

static void answer_dns(struct net_resolution *r, const struct world_dns *dns)
{
    r->status = dns->status;
    r->count = dns->count;
    memcpy(r->addresses, dns->addresses, sizeof r->addresses);
}

bool net_resolve(struct net *net, struct net_resolution *r, const char *host)
{
    struct world_dns dns = {.status = NET_DNS_FAILED};
    must(!r->operation);
    net->queries++;
    if (!fake_step(net))
        net->world.dns(net->world.owner, host, &dns);
    if (dns.after_ms == 0) {
        answer_dns(r, &dns);
        return true;
    }
    struct fake_op *op = op_new(net, OP_DNS, r, dns.after_ms);
    op->dns = dns;
    r->operation = op;
    return false;
}

void net_resolve_cancel(struct net *net, struct net_resolution *r)
{
    op_cancel(net, &r->operation);
}

static void answer_https(struct net_https *h, const char *name)
{
    h->answered = name != NULL;
    h->record = (struct https_record){0};
    if (name && name[0])
        snprintf(h->record.names[h->record.count++], sizeof h->record.names[0], "%s", name);
}

bool net_https_ask(struct net *net, struct net_https *h, const char *host)
{
    must(!h->operation);
    net->queries++;
    struct fake_op *op = op_new(net, OP_HTTPS, h, HTTPS_MS);
    op->https = fake_step(net) || !net->world.https ? NULL : net->world.https(net->world.owner, host);
    h->operation = op;
    return false;
}

void net_https_cancel(struct net *net, struct net_https *h)
{
    op_cancel(net, &h->operation);
}

/* ---- connections ---- */

void net_dial(struct net *net, struct net_dialing *d, const struct endpoint *addresses, unsigned count)
{
    struct world_dial dial = {.error = ENETUNREACH};
    must(!d->operation && count > 0 && count <= 16);
    net->dials++;
    if (!fake_step(net))
        net->world.dial(net->world.owner, addresses, count, &dial);
    struct fake_op *op = op_new(net, OP_DIAL, d, dial.after_ms);
    op->dial = dial;
    op->address = addresses[dial.index < count ? dial.index : 0];
    d->operation = op;
}

void net_dial_cancel(struct net *net, struct net_dialing *d)
{
    op_cancel(net, &d->operation);
}

static void finish_dial(struct net *net, struct fake_op *op)
{
    struct net_dialing *d = op->subject;
    static const struct endpoint ours = {{4, {192, 0, 2, 1}}, 50000};
    struct peer *p = op->dial.error ? NULL : peer_new(net, false, &op->address, &ours);
    d->error = p ? 0 : op->dial.error ? op->dial.error : EMFILE;
    d->failed = op->address;
    d->stream = p ? fake_stream_new(net, p) : NULL;
    if (p && op->dial.tls)
        must((p->tls = tls_session_accept(op->dial.tls)));
    if (p && op->dial.h2)
        tls_session_offer(p->tls, span_str("h2"));
    d->done(d);
}

/* ---- who is asking ---- */

static void answer_agent(struct net *net, struct net_attribution *a, const struct world_agent *answer)
{
    if (a->changed && answer->changes_after_ms && answer->confidence == AGENT_CONFIDENCE_EXACT) {
        struct fake_op *op = op_new(net, OP_CHANGE, a, answer->changes_after_ms);
        op->agent = *answer;
        a->operation = op;
    }
    a->confidence = answer->confidence;
    a->sender = answer->sender ? sender_ref(answer->sender) : NULL;
    snprintf(a->reason, sizeof a->reason, "%s", answer->reason ? answer->reason : "");
    a->history = agent_history_ref(answer->history);
    snprintf(a->host, sizeof a->host, "%s", answer->host ? answer->host : answer->sender ? "ws-17" : "");
}

bool net_attribute(struct net *net, struct net_attribution *a, const struct endpoint *client,
                   const struct endpoint *proxy, bool want_hash)
{
    (void)proxy;
    (void)want_hash;
    struct world_agent answer = {.confidence = AGENT_CONFIDENCE_UNKNOWN, .reason = "agent_unavailable"};
    must(!a->operation);
    net->questions++;
    if (!fake_step(net))
        net->world.agent(net->world.owner, client, &answer);
    if (answer.after_ms == 0) {
        answer_agent(net, a, &answer);
        return true;
    }
    struct fake_op *op = op_new(net, OP_AGENT, a, answer.after_ms);
    op->agent = answer;
    a->operation = op;
    return false;
}

void net_attribute_cancel(struct net *net, struct net_attribution *a)
{
    op_cancel(net, &a->operation);
}

/* The world's agents keep nothing. */
bool net_keep_ask(struct net *net, struct net_keep *k)
{
    (void)net;
    (void)k;
    return false;
}

/* ---- jobs ---- */

bool net_job_start(struct net *net, struct net_job *take_job)
{
    unsigned jobs = 0;
    for (struct fake_op *op = net->ops; op; op = op->next)
        jobs += op->kind == OP_JOB;
    if (fake_step(net) || jobs >= JOBS_MAX) {
        take_job->destroy(take_job);
        return false;
    }
    op_new(net, OP_JOB, take_job, JOB_MS);
    return true;
}

void net_job_cancel(struct net_job *job)
{
    job->owner = NULL;
}

static void finish_job(struct net_job *job)
{
    job->work(job);
    if (job->owner)
        job->done(job);
    job->destroy(job);
}

/* ---- running ---- */

uint64_t fake_next_op(const struct net *net)
{
    uint64_t due = UINT64_MAX;
    for (const struct fake_op *op = net->ops; op; op = op->next)
        due = op->due_ms < due ? op->due_ms : due;
    return due;
}

static void finish(struct net *net, struct fake_op *op)
{
    fake_step(net);
    switch (op->kind) {
    case OP_DNS: {
        struct net_resolution *r = op->subject;
        r->operation = NULL;
        answer_dns(r, &op->dns);
        r->done(r);
        break;
    }
    case OP_HTTPS: {
        struct net_https *h = op->subject;
        h->operation = NULL;
        answer_https(h, op->https);
        h->done(h);
        break;
    }
    case OP_DIAL:
        ((struct net_dialing *)op->subject)->operation = NULL;
        finish_dial(net, op);
        break;
    case OP_AGENT: {
        struct net_attribution *a = op->subject;
        a->operation = NULL;
        answer_agent(net, a, &op->agent);
        a->done(a);
        break;
    }
    case OP_CHANGE: {
        struct net_attribution *a = op->subject;
        a->operation = NULL;
        a->confidence = AGENT_CONFIDENCE_STALE;
        a->basis = AGENT_BASIS_CONNECT;
        a->connect = (struct agent_connect){1, 0, 0, -1};
        snprintf(a->reason, sizeof a->reason, "%s", op->agent.change);
        a->changed(a);
        break;
    }
    case OP_JOB:
        finish_job(op->subject);
        break;
    }
    free(op);
}

bool fake_run_op(struct net *net)
{
    for (struct fake_op *op = net->ops; op; op = op->next)
        if (op->due_ms <= net->now_ms) {
            op_unlink(net, op);
            finish(net, op);
            return true;
        }
    return false;
}
