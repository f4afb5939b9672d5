/* remember.h: what an exchange's facts owe to those before it, and what it leaves for those after it. Part of struct exchange; only
 * remember.c writes it. */
#ifndef EXEAT_FLOW_REMEMBER_H
#define EXEAT_FLOW_REMEMBER_H

#include "flow/sightings.h"

#include "base/ip.h"

struct flow;
struct facts;

/* The names under which an exchange is remembered. One block of memory, malloc'd; as long as the exchange. */
struct remembered {
    struct sighting_by by;
    uint64_t added_out, added_in; /* bytes that its pair knows of */
    uint64_t p99_bytes;           /* of the sender's habit; 0: there is none */
    double ratio_mean;
    uint16_t host_at, sender_at, domain_at, len; /* of `pair` */
    char pair[];                                 /* user\nhost\nsender\ndomain */
};

/* Before the name is judged, the baseline has spoken: facts of destination, pair and habit. */
void remember_connect(struct flow *f);
/* Facts of an address, into `facts` (which may be a copy that is only tried). */
void remember_address(struct flow *f, struct facts *facts, const struct ip *ip, uint32_t asn);
/* After the hello's, and after the chain's own facts are there. */
void remember_hello(struct flow *f);
void remember_chain(struct flow *f);
/* While bytes move, and at the end: they are added to what the pair moved before, and the facts that move follow. */
void remember_moved(struct flow *f);
/* The exchange is over: what was let out and answered leaves its mark. */
void remember_end(struct flow *f);

#endif
