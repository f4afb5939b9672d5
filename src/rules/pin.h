/* pin.h: a program that did not accept the inspection CA's certificate for a host, and what a person may make of that: an entry of the
 * baseline by which it is peeked at there. flow/pins.c learns them, store/ keeps them, `exeat baseline propose` proposes them. Pure. */
#ifndef EXEAT_RULES_PIN_H
#define EXEAT_RULES_PIN_H

#include "base/buf.h"
#include "rules/baseline.h"
#include "rules/proposal.h"

enum {
    PIN_LIFE_S = 7 * 24 * 3600, /* after it was noted last */
    PIN_ALERTS = 2,             /* that many say the certificate isn't wanted */
    PIN_CLOSES = 3,             /* or end the handshake without a word */
    PIN_STATE_MAX_BYTES = 4096,
    PIN_STORE_KIND = 66, /* of its row among the sightings in store/ */
};

/* Texts are "" where not known. */
struct pin {
    char sender[256], executable[256], package[128]; /* its stable name; of the file */
    char sha256[65];                                 /* lower-case hexadecimal, of the file */
    char host[256];
    char why[32];  /* the last alert's name, or "closed" */
    bool writable; /* users can write the file, or that isn't known */
    uint16_t port;
    uint32_t alerts, closes;
};

/* Has it been seen often enough? */
static inline bool pin_is_learned(const struct pin *p)
{
    return p->alerts >= PIN_ALERTS || p->closes >= PIN_CLOSES;
}

/* As bytes for the store, and back: PARSE_BAD when it is none of ours, *ret is untouched then. -1: `out` is full. */
int pin_write(struct buf *out, const struct pin *p);
enum parse pin_read(struct span text, struct pin *ret);

/* When, how often: what the store says of a pin. */
struct pin_seen {
    int64_t first_s, last_s;
    uint64_t count;
};

/* Writes it as an item of a `senders` list, indented by two: an entry that adds handling: peek for this program and host; or, with the reason, a comment where
 * it must not be proposed. Nothing where `options->baseline` says so already, and of one that isn't learned or has run out at now_s.
 * Counts into *stats. -1: `out` is full. */
int pin_propose(struct buf *out, const struct pin *p, const struct pin_seen *seen,
                const struct proposal_options *options, int64_t now_s, struct proposal_stats *stats);

#endif
