/* client_limits.h: how many connections each client address has, over all workers: a fixed-size lock-striped table (the one
 * kind of shared mutable object that workers have). Bounded: when a stripe is full, addresses share a count, so that memory
 * never grows and the limit errs toward refusing. Touches mutexes only. */
#ifndef EXEAT_FLOW_CLIENT_LIMITS_H
#define EXEAT_FLOW_CLIENT_LIMITS_H

#include "base/ip.h"

struct client_limits;

struct client_limits *client_limits_new(unsigned flows_total);
void client_limits_free(struct client_limits *take_l);

enum client_admission { CLIENT_ADMITTED, CLIENT_OVER_ITS_LIMIT, CLIENT_OVER_THE_TOTAL };

/* Counts a connection in (IPv6 clients by their /64). Every CLIENT_ADMITTED is matched by one leave. */
enum client_admission client_limits_enter(struct client_limits *l, const struct ip *client, unsigned flows_per_client,
                                          unsigned flows_total);
void client_limits_leave(struct client_limits *l, const struct ip *client);

#endif
