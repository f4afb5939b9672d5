/* chain.h: a server's certificates judged and put into words once, for every flow and record that they belong to: made by a job beside
 * the loop, because signatures take their time. The steps ask (peek.c: seen on the wire; probe.c: shown to us; whoever terminates TLS);
 * facts are views into the result, which an exchange holds until its last record. One worker's. */
#ifndef EXEAT_FLOW_CHAIN_H
#define EXEAT_FLOW_CHAIN_H

#include "base/arena.h"
#include "base/buf.h"
#include "facts/facts.h"
#include "flow/snapshot.h"
#include "net/net.h"
#include "tls/verify.h"

/* Immutable once made, but for its count. All texts live in its arena. */
struct chain_record {
    unsigned refs; /* of one worker's flows and its cache */
    struct arena arena;
    struct chain *chain; /* owned */
    struct chain_report report;
    struct chain_report
        own; /* the same by the baseline's `pki` alone, where nothing else vouches for it; path_count 0: not asked */
    struct span *errors, *anomalies, *sans, *fingerprints; /* ids; names; SHA-256 of each certificate sent */
    size_t error_count, anomaly_count, san_count, fingerprint_count;
    const char *not_before, *not_after; /* RFC 3339; NULL when they can't be read */
    struct span certificate; /* the leaf as an OCSF certificate, JSON; empty without a readable one */
};

static inline struct chain_record *chain_record_ref(struct chain_record *r)
{
    if (r)
        r->refs++;
    return r;
}
void chain_record_unref(struct chain_record *take_r); /* NULL is fine */

/* What is to be judged: exactly one of the two. */
struct chain_input {
    struct span certificates; /* the body of a Certificate message of TLS 1.2 or below; copied */
    struct chain *take_chain; /* or a parsed chain, taken over even on failure */
    struct span ocsp;         /* stapled response, copied; may be empty */
    struct span scts;         /* timestamps from a TLS extension, copied; may be empty */
    bool staple_counts;       /* see verify.h */
    const char *name;         /* the SNI or the CONNECT host: canonical; copied */
    const char *connect_name; /* the CONNECT host where the SNI is another; NULL; copied */
};

/* Called on the loop with the record, the owner's, or NULL: there was no memory. */
typedef void chain_done_fn(void *owner, struct chain_record *take_record);

struct chain_job;
/* NULL: too much is under way; `done` isn't called then. */
struct chain_job *chain_job_start(struct net *net, struct snapshot *snapshot, const struct chain_input *input,
                                  void *owner, chain_done_fn *done);
void chain_job_cancel(struct chain_job *job);

/* Sets every chain_... fact but source and why. The facts are views: `r` must live as long. */
void chain_record_set_facts(const struct chain_record *r, struct facts *facts);

#endif
