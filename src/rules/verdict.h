/* verdict.h: what was decided about a flow or an exchange, by whom and why. The baseline makes the first, every later gate
 * may only tighten it. Pure. */
#ifndef EXEAT_RULES_VERDICT_H
#define EXEAT_RULES_VERDICT_H

#include "exeat/reasons.h"

#include <stdbool.h>
#include <stdint.h>

/* In the order of strictness. */
enum verdict_action { VERDICT_ALLOW, VERDICT_ALERT, VERDICT_BLOCK, VERDICT_ACTION_COUNT };

/* open: recorded only; report: recorded as what enforce would block; enforce: blocked. */
enum verdict_mode { MODE_OPEN, MODE_REPORT, MODE_ENFORCE, MODE_COUNT };

/* What is done with TLS in a tunnel; in the order of how much is seen. UNSET: the configuration's policy.handling. */
enum verdict_handling { HANDLING_UNSET, HANDLING_TUNNEL, HANDLING_PEEK, HANDLING_TERMINATE, HANDLING_COUNT };

/* A server that asks for a client certificate, which whoever terminates TLS doesn't have: what the baseline says of it. UNSET: nothing,
 * then nobody steps out of inspection by asking. */
enum verdict_client_certificate {
    CLIENT_CERTIFICATE_UNSET,
    CLIENT_CERTIFICATE_REFUSE,
    CLIENT_CERTIFICATE_TUNNEL
};

/* With PEEK: whether certificates that the wire hides are asked for by a connection of our own, and who waits. */
enum verdict_probe { PROBE_UNSET, PROBE_NEVER, PROBE_BACKGROUND, PROBE_WAIT, PROBE_COUNT };

struct verdict {
    enum verdict_action action;
    bool would_block; /* mode report: enforce would have blocked this */
    bool
        needs_path; /* a tunnel that only some paths are approved of: it must be terminated, and each request inside is decided by its own */
    bool needs_address; /* the name may be resolved, but each address is to be decided before it is dialled */
    enum verdict_mode mode;
    enum verdict_handling handling;
    enum verdict_probe probe;
    enum verdict_client_certificate client_certificate;
    enum reason reason; /* why not; REASON_NONE when nothing is wrong. Kept in mode open as well */
    uint32_t
        borrowed; /* with REASON_SENDER_BORROWED: the set of enum sender_borrowed that suspended `entry` */
    const char *entry;  /* view into the baseline: the sender's entry that decided; NULL when none matched */
    const char *ticket; /* view into the baseline: `entry` is an exception with this ticket; else NULL */
    int64_t expires_s;  /* that one's end; 0 without */
    const char *entry_by; /* static: the strongest selector of it; NULL when none matched */
    unsigned entry_line;  /* in the baseline's file; 0 when none */
    const char
        *selector; /* view into the baseline: the destination that approved, as text ("domain debian.org");
                              NULL when none did */
    unsigned selector_line;
};

/* `later` was decided after `earlier`, about the same exchange: strictness only goes up. The stricter of the two is
 * returned, the later one where they are equal, because it knows more; only `later` says whether an address is still needed. */
struct verdict verdict_tighten(struct verdict earlier, struct verdict later);

/* Not let out after all, as its mode has it. */
struct verdict verdict_refuse(struct verdict v, enum reason reason);

const char *verdict_action_name(enum verdict_action a);
const char *verdict_mode_name(enum verdict_mode m);
const char *verdict_handling_name(enum verdict_handling h); /* "tunnel", ...; "unset" */
const char *verdict_probe_name(enum verdict_probe p);

#endif
