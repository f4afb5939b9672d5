/* streams.h: HTTP/2 in a flow: two sessions with a bridge between them (wire/h2.h), and an exchange for each stream. Private to flow/.
 *
 * A server of HTTP/1.1 is asked for one stream at a time, in the order of their coming, over connections of this flow only. Where one is
 * needed, the flow goes the way of every exchange to its server (DECIDE_CONNECT to SERVER_TLS), for the stream whose turn it is, with
 * `in_stream` set, and comes back whatever became of it; the client and the other streams wait that long.
 *
 * In state STREAMS there is no flow.x: what concerns one stream borrows its place, with `in_stream` set, so that the gates, the rules and
 * the records are those of every other exchange, and what fails is that stream. A stream's exchange has its own policy, the one it
 * was decided by. */
#ifndef EXEAT_FLOW_STREAMS_H
#define EXEAT_FLOW_STREAMS_H

#include "flow/flow.h"

/* The client has agreed on h2, and the server is connected, on h2 or not, or there is none (all is refused): now STREAMS may be entered. 0, or -1 without memory. */
int streams_begin(struct flow *f);
/* The flow is done: streams that are left end with it. Harmless without streams. */
void streams_end(struct flow *f);
/* What is in flow.x has failed: it is said on that stream by whoever called; on the way to the server first back to STREAMS. Returns MOVE. */
enum step streams_failed(struct flow *f);
/* The flow is about to end, on that way or not. */
void streams_abandon(struct flow *f);
/* The state's deadline passed. True: it goes on. */
bool streams_expire(struct flow *f);
/* A new policy: each stream is decided again. */
void streams_decide_again(struct flow *f);
/* As decide_in_time(), of each stream. */
bool streams_in_time(struct flow *f);
/* The agent says otherwise who the sender is: likewise. */
void streams_sender_again(struct flow *f);

#endif
