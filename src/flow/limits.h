/* limits.h: how many connections each client address has, how many requests it sends a minute, and how many exchanges each
 * sender has, over all workers: a fixed-size lock-striped table (the one kind of shared mutable object that workers have).
 * Bounded: when a bucket is full, newcomers share a count, so that memory never grows and a limit errs toward refusing.
 * Called by flow/; touches mutexes only. */
#ifndef EXEAT_FLOW_LIMITS_H
#define EXEAT_FLOW_LIMITS_H

#include "base/ip.h"

struct limits;

/* Sized for `flows_total` connections. NULL without memory or randomness. */
struct limits *limits_new(unsigned flows_total);
void limits_free(struct limits *take_l);

enum limits_admission { LIMITS_ADMITTED, LIMITS_OVER_ITS_OWN, LIMITS_OVER_THE_TOTAL };

/* Counts a connection in (IPv6 clients by their /64). Every LIMITS_ADMITTED is matched by one leave. */
enum limits_admission limits_client_enter(struct limits *l, const struct ip *client,
                                          unsigned flows_per_client, unsigned flows_total);
void limits_client_leave(struct limits *l, const struct ip *client);

/* Counts a request. False: the client has sent `per_minute` in this minute already. `now_ms` is any monotonic time. */
bool limits_client_request(struct limits *l, const struct ip *client, unsigned per_minute, uint64_t now_ms);

enum { LIMITS_SENDER_BYTES = 16 };

/* Counts an exchange of a sender in, by a digest of what it is. True is matched by one leave. */
bool limits_sender_enter(struct limits *l, const uint8_t sender[LIMITS_SENDER_BYTES], unsigned most);
void limits_sender_leave(struct limits *l, const uint8_t sender[LIMITS_SENDER_BYTES]);

#endif
