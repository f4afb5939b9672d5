/* proposal.h: entries for the baseline, proposed from what was learned: one a sender, generalised carefully. What is not proposed is said, with
 * the reason, so that whoever reviews it sees it all. Pure. */
#ifndef EXEAT_RULES_PROPOSAL_H
#define EXEAT_RULES_PROPOSAL_H

#include "base/buf.h"
#include "rules/baseline.h"

/* What was learned of one sender and destination; texts are borrowed for the call, "" where not known. */
struct proposal_pair {
    const char *sender, *executable, *package, *unit, *script, *sha256, *script_sha256, *host;
    bool interpreter, writable, script_writable;
    uint16_t port;
    int64_t first_ms, last_ms;
    uint64_t count, inexact, borrowed, anomalies, rules;
    double beacon;
    unsigned hosts, users;
};

struct proposal_options {
    unsigned min_hosts;      /* pairs that fewer hosts show are not proposed */
    unsigned min_subdomains; /* that many hosts below a registrable domain become the domain */
    uint64_t min_count;
    const struct baseline *baseline;  /* borrowed: what it lets out already is not proposed; NULL: nothing */
    const struct destinations *kinds; /* borrowed: what is never approved whole; NULL: nothing */
};

struct proposal_stats {
    unsigned entries, destinations, left_out, known;
};

/* Writes the entries as the items of a `senders` list, indented by two. `pairs` are sorted by sender, then host. -1: `out` is full. */
int proposal_write(struct buf *out, const struct proposal_pair *pairs, size_t count,
                   const struct proposal_options *options, struct proposal_stats *ret);

/* Why this pair is not proposed; NULL: it is. */
const char *proposal_objection(const struct proposal_pair *p, const struct proposal_options *options);

/* The entry of `baseline` that lets this pair out already; NULL: none. A view into the baseline. */
const char *proposal_known_by(const struct proposal_pair *p, const struct baseline *baseline);

/* Text within a comment: it stays on its line whatever it holds. */
void proposal_write_comment(struct buf *out, const char *text);
/* The comment that says why it is not proposed; `what` before the sender, as "pin ". */
void proposal_write_objection(struct buf *out, const char *what, const struct proposal_pair *p,
                              const char *why);

#endif
