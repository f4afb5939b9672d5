/* baseline.h: which sender may reach which destination: policy/baseline.yaml as an immutable value, and the decision.
 *
 * run/ reads the file and parses it here once per snapshot; flow/ asks at DECIDE(connect), DECIDE(address), DECIDE(request).
 * A parsed baseline is never changed: threads share it without locks. Pure (libpsl's built-in list, no files).
 *
 * Senders: the first entry whose `match` holds decides, like a firewall's rules: one entry answers for a flow, so that
 * reading the file from the top tells what happens, and a record can name one line. Unknown is not a match: a hash
 * that is pending or a path that users can write only ever loses rights. An entry grants and never withholds (whoever
 * wants to evade a selector that withholds need only not match it), so put the narrow entry first.
 *
 * An exception (an entry with `exception`) adds for a while what somebody answers for: it decides only where it lets the destination out, and
 * between its two times; else the search goes on behind it.
 *
 * So does an entry that merely adds (`adds: true`), without an end: a pin that was approved lets its host be peeked at, and leaves
 * the program's other destinations to the entry behind it.
 *
 * A borrowed identity (struct sender_who) suspends the entries that name a program: the file is right and what it does is
 * another's will. An entry may say which of these it puts up with: `borrowed: [preload]`.
 *
 * Whoever it is that the agent isn't sure of (anything but `exact`) matches only entries that name that confidence, those about the client's
 * network, its role or the authenticated user as well: where no agent tells, `confidence: [exact, unknown]` says that this is known.
 *
 * Places of many tenants (rules/destinations.h) are approved one by one: nothing wider than a tenant's host, or a path of a host that
 * they share, lets them out; `any` and `resolve` leave them out.
 *
 * Destinations: an item holds when all of its selectors hold; the sender may reach what any item holds for. Names come
 * first: nothing is resolved unless the name itself passed, because a name can carry data. Hence an item with
 * only `network` or `asn` covers addresses that the client names literally; with `resolve: true` it says that any name
 * may be resolved for it, and only what resolves into it is dialled. */
#ifndef EXEAT_RULES_BASELINE_H
#define EXEAT_RULES_BASELINE_H

#include "base/err.h"
#include "rules/destinations.h"
#include "rules/verdict.h"
#include "wire/agent_message.h"
#include "wire/host.h"

struct baseline; /* opaque, immutable */

/* What the baseline looks at of a sender. Every string is borrowed for the call; NULL where not known. */
struct sender_view {
    enum agent_confidence confidence;
    const char *signature; /* of a signature that holds */
    const char *executable, *package, *user, *unit, *script;
    const char *parent; /* the nearest one's executable; NULL also where users can write that */
    const char *sha256, *script_sha256; /* lower-case hex */
    enum sender_hash_state hash_state;  /* sha256 counts only when DONE */
    bool interpreter;                   /* the agent takes the executable for an interpreter */
    bool writable_by_user;              /* or not known not to be: the path is no identity */
    bool script_writable;               /* likewise the script's path: only its hash counts then */
    uint32_t borrowed;                  /* set of enum sender_borrowed: what makes it another's tool */
};

enum baseline_phase {
    BASELINE_CONNECT, /* by the name alone, before any DNS query; an address that is the host is looked at as well */
    BASELINE_ADDRESS, /* with the address that is to be dialled, once for each */
};

struct baseline_question {
    const struct sender_view *sender; /* borrowed; NULL: unknown */
    const char *proxy_user;           /* borrowed; NULL: not authenticated */
    const struct span *roles;         /* borrowed: what the client's certificate says it is, as dns:gw.test */
    size_t role_count;
    struct ip client;        /* version 0: not known */
    const struct host *host; /* borrowed */
    uint16_t port;
    enum baseline_phase phase;
    struct ip address; /* BASELINE_ADDRESS only */
    uint32_t asn;      /* of the address; 0: not known, then no `asn` holds */
    int64_t now_s;     /* since 1970; 0: no exception holds */
    struct span path;  /* of the request; data NULL: not known yet, the inside of a tunnel will show it */
};

/* NULL fills reterr with file (`name`), line and column. */
struct baseline *baseline_parse(struct span text, const char *name, struct err *reterr);
/* The same with another table of what is never approved whole than the built-in one; the baseline takes a reference of its own. */
struct baseline *baseline_parse_with(struct span text, const char *name, struct destinations *kinds,
                                     struct err *reterr);
void baseline_free(struct baseline *b); /* NULL is fine */

/* Always answers. Mode report turns a block into ALERT with would_block, mode open into ALLOW; the reason stays. */
void baseline_decide(const struct baseline *b, const struct baseline_question *q, struct verdict *ret);

/* Does any entry look at sha256 or script_sha256? Then the agent is asked to wait for the hash. */
bool baseline_needs_hash(const struct baseline *b);

/* The line of the first destination that looks at `asn`, 0 when none does: without a database it could never hold. */
unsigned baseline_asn_line(const struct baseline *b);

/* The line of the first `role`, 0 when there is none: it needs a CA of clients. */
unsigned baseline_role_line(const struct baseline *b);

/* The line of the first `handling: terminate`, 0 when there is none: it needs an inspection CA. */
unsigned baseline_terminate_line(const struct baseline *b);

enum { BASELINE_EXCEPTION_DAYS = 7, BASELINE_EXCEPTION_DAYS_MAX = 90 }; /* by command, unless told; ever */

/* What in the baseline holds for less than somebody may read in it; texts are views into the baseline, or static. */
struct baseline_hint {
    const char *name; /* of the sender */
    unsigned line;
    const char *text;
};
bool baseline_next_hint(const struct baseline *b, size_t *cursor, struct baseline_hint *ret);

/* What holds for a while; every text is a view into the baseline. */
struct baseline_exception {
    const char *name, *owner, *ticket, *reason; /* ticket: NULL of `pki` */
    int64_t granted_s, expires_s;               /* it holds from the one until before the other */
    unsigned line;
};
/* One after the other; `*cursor` begins at 0. False: there are no more. */
bool baseline_next_exception(const struct baseline *b, size_t *cursor, struct baseline_exception *ret);

/* A root or issuer of the house's own; every text is a view into the baseline. */
struct baseline_pki {
    const char *name, *sha256;
    const char *certificate; /* the file that holds it, relative to the baseline's; NULL: servers send it */
    unsigned line;
};
bool baseline_next_pki(const struct baseline *b, size_t *cursor, struct baseline_pki *ret);

/* The name of the entry by which a chain over the certificate with this hash (64 lower-case digits) is expected there and then; NULL: none. */
const char *baseline_find_pki(const struct baseline *b, const char *sha256, const struct host *host,
                              uint16_t port, int64_t now_s);

/* The first second after now_s in which an exception begins or ends; INT64_MAX: none does. */
int64_t baseline_next_change(const struct baseline *b, int64_t now_s);

/* The mode of entries that don't have one of their own: for status. */
enum verdict_mode baseline_mode(const struct baseline *b);

/* The view of an attested sender; NULL gives a view that only `confidence` is known of. */
struct sender_view baseline_view_sender(const struct sender *s, enum agent_confidence confidence);

/* Is this the path of a shell, an interpreter or a loader: a program that is only as trustworthy as what it runs? */
bool baseline_is_interpreter(const char *executable);

/* Is this a tool that moves data wherever it is told (curl, ssh, git, rclone, the loader, ...)? Either may be NULL. */
bool baseline_is_transfer_tool(const char *executable, const char *package);

#endif
