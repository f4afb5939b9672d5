/* admin.h: what people and tools may ask a running exeatd, on a Unix socket: HTTP/1.0.
 *
 *   GET /status         one JSON object: version, policy, workers with their counters, ledger (fields: admin/status.c)
 *   GET /flows?most=N   {"flows":[...]}: up to N live flows (default 100, at most 1000) of each worker
 *   GET /coverage       what the analytics ask about, and of how many hosts that was observed (admin/coverage.c)
 *
 *   POST /findings/selftest   would each analytic fire? (flow/selftest.h)
 *   POST /findings/ID/acknowledge?by=NAME, POST /findings/ID/close?by=NAME   what somebody says of an open finding
 *
 * A worker that doesn't answer within two seconds is left out and said to be ("answered":false). Who may ask is whoever may open
 * the socket (0660). A thread with a loop of its own: nothing here ever holds up a flow. */
#ifndef EXEAT_ADMIN_ADMIN_H
#define EXEAT_ADMIN_ADMIN_H

#include "run/daemon.h"

struct admin;

/* Binds (replacing a dead socket; the pid lock says that it is dead) and starts the thread. `d` is borrowed until admin_stop().
 * NULL fills reterr. */
struct admin *admin_start(struct daemon *d, struct err *reterr);
void admin_stop(struct admin *take_a); /* ends its clients, removes the socket; NULL is fine */

#endif
