/* frames.h: an exchange that became a WebSocket: what its frames say, each way. Part of struct exchange; only frames.c writes it.
 * flow/sample.c, which sees all bytes that are copied, calls in, so that neither relay.c nor streams.c needs to know. */
#ifndef EXEAT_FLOW_FRAMES_H
#define EXEAT_FLOW_FRAMES_H

#include "flow/sample.h"
#include "wire/websocket.h"

struct frames {
    struct websocket ways[SAMPLE_WAYS];
    bool judged[SAMPLE_WAYS]; /* the beginning of the first message was */
};

/* The server has agreed to it (or, in HTTP/2, may); without memory nothing is read. */
void frames_begin(struct flow *f);
void frames_add(struct flow *f, enum sample_way way, struct span bytes);
/* Facts of what there is by now. */
void frames_set_facts(struct flow *f);

#endif
