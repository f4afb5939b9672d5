/* agent_request.h: what a proxy sends an agent (hello, ask, keep, done of agent_protocol.h), read without jansson: for agents of systems
 * that don't have it, and for the answerer, who wants a small reader for what comes from outside. Means the same as
 * agent_message_decode(), which a fuzzer holds it to. Pure. */
#ifndef EXEAT_WIRE_AGENT_REQUEST_H
#define EXEAT_WIRE_AGENT_REQUEST_H

#include "wire/agent_message.h"

/* One line without its LF: HELLO, ASK, KEEP, DONE or ERROR (an empty one: nothing follows from it) in *ret, which needs no
 * agent_message_free(). -1 fills *ret_error, ready to be sent back; *ret is untouched then. */
int agent_request_read(struct span line, struct agent_message *ret, struct agent_error *ret_error);

#endif
