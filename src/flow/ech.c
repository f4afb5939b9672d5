/* ech.c: a hello whose name is another than CONNECT's, and that is encrypted inside (ECH): that is how it should be where the outer name is the
 * public name that the destination's own HTTPS record gives, or the one that policy's list has for it. Then it is no mismatch (H14). Whatever
 * else it is, stays one: presence is not use, browsers send noise that looks like it.
 * A step of the hub; touches net.h's resolver and the facts. */
#include "flow/flow.h"

static bool shows(const struct exchange *x, enum anomaly which)
{
    const struct fact_value *v = &x->facts.values[FACT_anomalies];
    for (uint32_t i = 0; v->state == FACT_KNOWN && i < v->count; i++)
        if (span_is(v->as.items[i], anomaly_table[which].id))
            return true;
    return false;
}

static bool read_sni(const struct exchange *x, struct host *ret)
{
    const struct fact_value *sni = &x->facts.values[FACT_sni];
    return sni->state == FACT_KNOWN && host_canonical_bare(span_of(sni->as.text, sni->count), ret) == HOST_OK;
}

static bool is_listed(const struct flow *f, const struct host *name)
{
    return ech_names_has(f->snapshot->ech_names, name, &f->x->host);
}

/* With a parent names are not asked for here, so the list alone counts. A tunnel that is terminated has no name but the one that its client is shown. */
bool ech_is_wanted(const struct flow *f)
{
    const struct exchange *x = f->x;
    struct host name;
    return !f->inside && !x->host.is_ip && x->verdict.handling != HANDLING_TERMINATE &&
           shows(x, ANOMALY_H14) && shows(x, ANOMALY_H30) && !shows(x, ANOMALY_H10) &&
           !shows(x, ANOMALY_H11) && read_sni(x, &name) && !name.is_ip &&
           (!(f->setup && f->setup->parent) || is_listed(f, &name));
}

static void on_answer(struct net_https *h)
{
    struct flow *f = h->owner;
    f->setup->https_known = true;
    flow_wake(f);
}

static void excuse(struct flow *f)
{
    struct exchange *x = f->x;
    struct anomaly_set set = {0};
    for (enum anomaly a = 0; a < ANOMALY_COUNT; a++)
        if (a != ANOMALY_H14 && shows(x, a))
            anomaly_set_add(&set, a);
    hello_set_anomalies(f, &set);
}

enum step flow_ech(struct flow *f)
{
    struct flow_setup *s = flow_setup_get(f);
    struct host name;
    if (read_sni(f->x, &name) && is_listed(f, &name)) {
        fact_set_bool(&f->x->facts, FACT_ech_public_name, true);
        excuse(f);
        return flow_goto(f, FLOW_DECIDE_HELLO);
    }
    if (!s)
        return flow_fail(f, REASON_NO_MEMORY, NULL);
    if (!s->https_asked) {
        s->https_asked = true;
        s->https = (struct net_https){.done = on_answer, .owner = f};
        s->https_known = net_https_ask(f->env->net, &s->https, f->x->host.name);
    }
    if (!s->https_known)
        return WAIT;
    bool is_public = read_sni(f->x, &name) && https_record_has(&s->https.record, &name);
    if (s->https.answered)
        fact_set_bool(&f->x->facts, FACT_ech_public_name, is_public);
    if (is_public)
        excuse(f);
    return flow_goto(f, FLOW_DECIDE_HELLO);
}
