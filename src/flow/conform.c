/* conform.c: a tunnel that began as TLS: does it go on as TLS, both ways, to its end? wire/record_watch.h judges record headers; here is
 * where they are shown what passes before RELAY, and where what they found becomes facts and is judged.
 * Called by the steps; touches the flow and the facts. */
#include "flow/flow.h"

#include "base/must.h"

#include <stdio.h>

void conform_begin(struct flow *f)
{
    f->watched = true;
    for (size_t i = 0; i < ARRAY_LEN(f->watches); i++) {
        f->watches[i].bursts = &f->bursts;
        f->watches[i].out = i == 0;
    }
}

void conform_note(struct flow *f, const struct side *from)
{
    if (f->watched)
        record_watch_feed(&f->watches[from == &f->client ? 0 : 1], buf_span(&from->in));
}

void conform_enter_relay(struct flow *f)
{
    if (!f->watched)
        return;
    f->out_lane.watch = &f->watches[0];
    f->in_lane.watch = &f->watches[1];
}

/* What both watches have found, as bits of a set. */
static struct anomaly_set found(const struct flow *f)
{
    static const enum anomaly faults[RECORD_FAULT_COUNT] = {[RECORD_FAULT_TYPE] = ANOMALY_H04,
                                                            [RECORD_FAULT_VERSION] = ANOMALY_H03,
                                                            [RECORD_FAULT_LENGTH] = ANOMALY_H05,
                                                            [RECORD_FAULT_SEQUENCE] = ANOMALY_H08};
    struct anomaly_set set = {0};
    for (size_t i = 0; i < ARRAY_LEN(f->watches); i++) {
        const struct record_watch *w = &f->watches[i];
        if (w->fault) {
            anomaly_set_add(&set, ANOMALY_H02);
            anomaly_set_add(&set, faults[w->fault]);
        }
        if (w->heartbeat)
            anomaly_set_add(&set, ANOMALY_H24);
        if (w->renegotiation)
            anomaly_set_add(&set, ANOMALY_H39);
    }
    if (f->bursts.found)
        anomaly_set_add(&set, ANOMALY_H42);
    return set;
}

static void set_facts(struct flow *f, const struct anomaly_set *set)
{
    struct exchange *x = f->x;
    size_t count = 0;
    for (enum anomaly a = anomaly_set_next(set, 0); a != ANOMALY_NONE && count < ARRAY_LEN(x->conform_ids);
         a = anomaly_set_next(set, a + 1))
        x->conform_ids[count++] = span_str(anomaly_table[a].id);
    fact_set_items(&x->facts, FACT_tls_anomalies, x->conform_ids, count);
    for (size_t i = 0; i < ARRAY_LEN(f->watches) && x->conform_text[0] == '\0'; i++)
        if (f->watches[i].fault) {
            snprintf(x->conform_text, sizeof x->conform_text, "%s: %s, after %llu records",
                     i ? "server" : "client", record_fault_name(f->watches[i].fault),
                     (unsigned long long)f->watches[i].records);
            fact_set_text(&x->facts, FACT_tls_fault, x->conform_text);
        }
}

enum step conform_check(struct flow *f)
{
    if (!f->watched)
        return WAIT;
    uint8_t now = f->bursts.found ? 64 : 0;
    for (size_t i = 0; i < ARRAY_LEN(f->watches); i++)
        now |= (uint8_t)((f->watches[i].fault ? 1u : 0u) << i | (f->watches[i].heartbeat ? 4u : 0u) << i |
                         (f->watches[i].renegotiation ? 16u : 0u) << i);
    if (now == f->watch_told)
        return WAIT;
    f->watch_told = now;
    struct anomaly_set set = found(f);
    set_facts(f, &set);
    counter_add(&f->env->counters, COUNTER_fake_tls, f->watches[0].fault || f->watches[1].fault ? 1 : 0);
    return judge(f, FACT_RELAY);
}
