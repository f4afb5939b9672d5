/* suppression.h: findings that somebody has looked at and answers for: policy/suppressions.yaml. A suppressed finding still counts and is
 * listed; it is only not said. Each suppression has an owner, a ticket and an end, and one that knows the program's hash never hides
 * another program. run/ reads the file, flow/notice.c asks. Pure. */
#ifndef EXEAT_RULES_SUPPRESSION_H
#define EXEAT_RULES_SUPPRESSION_H

#include "base/err.h"
#include "base/span.h"

enum { SUPPRESSIONS_MAX = 10000 };

/* What a finding is about; every text is borrowed for the call, "" where not known. */
struct suppression_subject {
    const char *rule, *host, *sender, *user, *domain, *sha256;
};

struct suppression {
    struct suppression_subject about; /* views into the arena; NULL: anything */
    const char *owner, *ticket, *reason;
    int64_t expires_s;
};

/* A file that suppresses nothing, to which entries can be added. */
#define SUPPRESSIONS_NONE                                                                                    \
    "# suppressions.yaml: findings that are counted but not said; written by exeat findings suppress\n"      \
    "version: 1\nsuppressions:\n"

struct suppressions; /* immutable: threads share it */

/* NULL fills reterr with file, line and column. */
struct suppressions *suppressions_parse(struct span text, const char *file, struct err *reterr);
void suppressions_free(struct suppressions *take_s); /* NULL is fine */

/* The first that holds for it and has not expired; NULL: none (`s` may be NULL). Domains are compared without regard to case. */
const struct suppression *suppressions_find(const struct suppressions *s,
                                            const struct suppression_subject *about, int64_t now_s);

#endif
