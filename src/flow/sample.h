/* sample.h: the first KiB each way of what isn't TLS: of a tunnel of another protocol, of the bodies of an HTTP exchange. They are looked at
 * (facts/payload.h) and forgotten. Part of struct exchange; only sample.c writes it. */
#ifndef EXEAT_FLOW_SAMPLE_H
#define EXEAT_FLOW_SAMPLE_H

#include "base/span.h"

struct flow;
struct http1_head;

enum { SAMPLE_BYTES = 1024 };

enum sample_way { SAMPLE_OUT, SAMPLE_IN, SAMPLE_WAYS };

/* Malloc'd; as long as the exchange, its bytes until they have been judged whole. */
struct samples {
    struct sample {
        uint8_t *bytes;             /* owned; NULL before the first and after the last */
        uint16_t room, len, judged; /* of bytes */
        bool wanted;
    } ways[SAMPLE_WAYS];
    bool body[SAMPLE_WAYS]; /* of an HTTP exchange; else of a tunnel */
};

/* The tunnel isn't TLS: what goes through it is wanted. `first` is what the client began with, which becomes facts at once. */
void sample_tunnel(struct flow *f, struct span first);
/* A body begins whose head is this; wanted unless its type or encoding says why it looks random. */
void sample_body(struct flow *f, enum sample_way way, const struct http1_head *head);

/* Is there more to be sampled? */
bool sample_is_wanted(const struct flow *f, enum sample_way way);
/* Must the bytes come by here at all, for a sample or for a WebSocket's frames? */
bool sample_is_watched(const struct flow *f, enum sample_way way);
void sample_add(struct flow *f, enum sample_way way, struct span bytes);

/* Facts of what there is by now. Cheap when nothing came since. */
void sample_set_facts(struct flow *f);
void samples_free(struct samples *take_samples); /* NULL is fine */

#endif
