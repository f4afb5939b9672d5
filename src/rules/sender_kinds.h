/* sender_kinds.h: policy/senders.yaml: what kind of program a sender is (updater, browser, transfer tool, ...), which domains are its own, what
 * it is meant to read or to write, and on which ports it speaks something else than TLS. These are excuses, so an entry holds only for
 * whom the agent attests for certain, and never for a borrowed identity. run/ reads the file, flow/kinds.c asks. Pure. */
#ifndef EXEAT_RULES_SENDER_KINDS_H
#define EXEAT_RULES_SENDER_KINDS_H

#include "base/err.h"
#include "base/span.h"
#include "rules/baseline.h"

enum { SENDER_KINDS_MAX = 4096 };

/* X(name): what stands in the file and in the fact sender_kind. */
#define SENDER_KINDS(X)                                                                                      \
    X(updater)                                                                                               \
    X(agent)                                                                                                 \
    X(collaboration)                                                                                         \
    X(developer)                                                                                             \
    X(security)                                                                                              \
    X(browser)                                                                                               \
    X(interpreter)                                                                                           \
    X(transfer_tool)

struct sender_kinds; /* immutable: threads share it */
struct sender_kind;  /* one entry of it */

/* The text that is built in, and the name that errors have for it. */
struct span sender_kinds_builtin(void);
#define SENDER_KINDS_BUILTIN_NAME "policy/senders.yaml"

/* With `beside_built_in: true` in it the built-in ones come after its own, else it stands in their place. NULL fills reterr with file (`name`),
 * line and column. */
struct sender_kinds *sender_kinds_parse(struct span text, const char *name, struct err *reterr);
void sender_kinds_free(struct sender_kinds *take_k); /* NULL is fine */

/* The first entry that is about the sender, a view into `k`; NULL: none, or it is not certain that this is it. */
const struct sender_kind *sender_kinds_find(const struct sender_kinds *k, const struct sender_view *v);

const char *sender_kind_name(const struct sender_kind *kind);

/* Is the host one of its own domains, or below one? */
bool sender_kind_is_home(const struct sender_kind *kind, const struct host *h);

/* Is it meant to read files of that class (as the agent's watches name them), or, as "archive", to write archives? */
bool sender_kind_expects(const struct sender_kind *kind, struct span what);

/* Does it speak something else than TLS on that port? */
bool sender_kind_has_plain_port(const struct sender_kind *kind, uint16_t port);

#endif
