/* snapshot.h: everything people configure, as one immutable object: config (with its users), baseline, GeoIP, TLS contexts.
 * run/ makes it (from files) and publishes it to every worker; flows hold a reference while they use it, so that a reload
 * never mixes two policies in one flow. */
#ifndef EXEAT_FLOW_SNAPSHOT_H
#define EXEAT_FLOW_SNAPSHOT_H

#include "conf/conf.h"
#include "facts/geo.h"
#include "facts/popularity.h"
#include "flow/judge.h"
#include "flow/tally.h"
#include "rules/baseline.h"
#include "rules/destinations.h"
#include "rules/domains.h"
#include "rules/ech_names.h"
#include "rules/rulebook.h"
#include "rules/sender_kinds.h"
#include "rules/suppression.h"
#include "tls/ca.h"
#include "tls/probe.h"
#include "tls/session.h"
#include "tls/verify.h"

#include <stdatomic.h>

struct snapshot {
    atomic_uint refs; /* one a worker, one a flow or more; the last one out calls `destroy` */
    void (*destroy)(struct snapshot *);
    uint64_t generation;               /* 1, 2, ...: which policy decided; stands in each record */
    struct conf *conf;                 /* owned */
    struct baseline *baseline;         /* owned */
    struct destinations *kinds;        /* owned; NULL = none are known (tests) */
    struct rulebook *rules;            /* owned; NULL = no rules configured */
    struct suppressions *suppressions; /* owned; NULL = none */
    struct sender_kinds *sender_kinds; /* owned */
    struct rule_counts *rule_counts;   /* owned: what came of each rule; NULL without rules */
    struct tally *tally;               /* owned: what correlations have counted; NULL = there are none */
    bool needs_hash;                   /* the baseline names hashes: ask the agent to wait for them */
    struct ip
        *own_addresses; /* owned: of this host's interfaces, none of which is a destination unless allowed */
    size_t own_count;
    struct popularity *popularity;  /* owned; NULL = no list configured */
    struct geo *geo;                /* owned; NULL = no database configured */
    struct tls_context *proxy_tls;  /* owned; NULL = no TLS to the proxy itself */
    struct tls_context *server_tls; /* owned: for https:// requests */
    struct trust *trust;            /* owned: roots by which servers' chains are judged */
    struct trust *pki; /* owned; NULL = the baseline names no certificates of the house's own by file */
    struct chain_known *known;   /* owned; NULL = no list of known kits and interception roots */
    struct ct_logs *ct_logs;     /* owned; NULL = SCTs are not checked */
    struct tls_prober *prober;   /* owned: for looking at certificates that the wire hides */
    struct ech_names *ech_names; /* owned; NULL = none but those of HTTPS records */
    struct domains *spared;      /* owned: what policy never terminates; NULL = none */
    struct ca *ca;               /* owned: the inspection CA, without its key; NULL = nothing is terminated */
    struct tls_context *inspect_tls; /* owned, with ca: to the servers of terminated tunnels */
};

static inline struct snapshot *snapshot_ref(struct snapshot *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

static inline void snapshot_unref(struct snapshot *take_s)
{
    if (take_s && atomic_fetch_sub_explicit(&take_s->refs, 1, memory_order_acq_rel) == 1)
        take_s->destroy(take_s);
}

#endif
