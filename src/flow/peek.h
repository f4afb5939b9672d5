/* peek.h: what a flow holds while its handshake is read as it passes, and while it waits for certificates. Private to flow/. */
#ifndef EXEAT_FLOW_PEEK_H
#define EXEAT_FLOW_PEEK_H

#include "flow/flow.h"
#include "flow/probe.h"
#include "wire/client_hello.h"
#include "wire/server_flight.h"

struct peek {
    struct flight flight;
    struct client_hello hello; /* views into the exchange's arena: until RELAY */
    bool hello_known;
    bool forwarded;        /* the hello has left: no TLS alert can be said any more */
    bool late;             /* a deadline passed */
    bool judged;           /* the flight's facts are set */
    bool asked;            /* a job or a probe was begun for its chain */
    struct chain_job *job; /* net destroys it; NULL when none is under way */
    struct probe_wait wait;
    char name[256]; /* canonical SNI; "" without one that can be used */
};

/* DECIDE_HELLO says that this tunnel's TLS is to be read: 0, or -1 without memory. `h` may be NULL: not a hello that can be parsed. */
int peek_begin(struct flow *f, const struct client_hello *h);
/* Bytes that are about to be forwarded (FORWARD). */
void peek_note(struct flow *f, enum flight_side who, struct span bytes);
/* The exchange ends: what isn't known by now is said to be so. */
void peek_settle(struct flow *f);
/* The certificates are still on their way: the flow's last record waits for them. */
bool peek_is_pending(const struct flow *f);
/* RELAY is entered: what only the handshake needed is given back. */
void peek_trim(struct flow *f); /* harmless without a peek */
/* DECIDE_CHAIN of such a tunnel. */
enum step peek_decide(struct flow *f);
void peek_free(struct flow *f); /* also cancels */

#endif
