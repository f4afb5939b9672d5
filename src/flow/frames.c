/* frames.c: see frames.h. Touches the exchange and the facts. */
#include "flow/frames.h"

#include "facts/payload.h"
#include "flow/flow.h"

#include <stdlib.h>

enum { TEXT_BYTES_MIN = 1 };

void frames_begin(struct flow *f)
{
    struct exchange *x = f->x;
    fact_set_bool(&x->facts, FACT_websocket, true);
    if (x->frames)
        return;
    x->frames = calloc(1, sizeof *x->frames);
    if (!x->frames)
        return;
    websocket_init(&x->frames->ways[SAMPLE_OUT], true);
    websocket_init(&x->frames->ways[SAMPLE_IN], false);
}

/* What is new for rules is told to them at once: the first message's beginning, and that this is no WebSocket. */
void frames_add(struct flow *f, enum sample_way way, struct span bytes)
{
    struct frames *frames = f->x ? f->x->frames : NULL;
    if (!frames || bytes.len == 0)
        return;
    struct websocket *w = &frames->ways[way];
    enum websocket_fault fault = w->fault;
    websocket_feed(w, bytes);
    if (w->fault != fault || (w->sample_whole && !frames->judged[way]))
        f->judge_due = true;
}

static void judge_sample(struct flow *f, enum sample_way way)
{
    static const enum fact kinds[] = {FACT_websocket_payload_out, FACT_websocket_payload_in},
                           noise[] = {FACT_websocket_encrypted_out, FACT_websocket_encrypted_in};
    struct frames *frames = f->x->frames;
    const struct websocket *w = &frames->ways[way];
    struct payload p;
    payload_judge(span_of(w->sample, w->sample_len), &p);
    bool text = w->first_is_text && w->sample_len >= TEXT_BYTES_MIN && strcmp(p.kind, "unknown") == 0;
    fact_set_text(&f->x->facts, kinds[way], text ? "text" : p.kind);
    fact_set_bool(&f->x->facts, noise[way], !text && p.fully_encrypted);
    frames->judged[way] = w->sample_whole;
}

static void set_way(struct flow *f, enum sample_way way)
{
    static const enum fact messages[] = {FACT_websocket_messages_out, FACT_websocket_messages_in},
                           faults[] = {FACT_websocket_fault_out, FACT_websocket_fault_in};
    struct frames *frames = f->x->frames;
    const struct websocket *w = &frames->ways[way];
    struct facts *facts = &f->x->facts;
    fact_set_int(facts, messages[way], (int64_t)w->messages);
    if (w->fault != WEBSOCKET_NONE)
        fact_set_text(facts, faults[way], websocket_fault_name(w->fault));
    if (!frames->judged[way] && w->sample_len > 0)
        judge_sample(f, way);
    if (w->closed && w->close_code)
        fact_set_int(facts, FACT_websocket_close_code, w->close_code);
}

void frames_set_facts(struct flow *f)
{
    if (!f->x->frames)
        return;
    set_way(f, SAMPLE_OUT);
    set_way(f, SAMPLE_IN);
}
