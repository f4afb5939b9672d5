/* ct_logs.h: the logs of Certificate Transparency whose promises (SCTs, RFC 6962, 3.2) count: a list in the form in which browser vendors
 * publish theirs (log_list.json, version 3). run/ and commands read the file, used as memory here; verify.h asks. */
#ifndef EXEAT_TLS_CT_LOGS_H
#define EXEAT_TLS_CT_LOGS_H

#include "base/err.h"
#include "base/span.h"

#include <stddef.h>

enum { CT_LOGS_MAX = 1024, CT_LOGS_BYTES_MAX = 4 << 20 };

struct ct_logs; /* immutable; may be read by several threads */

/* Logs that were rejected, or that nobody counts on yet (pending), are left out; of retired ones what they promised before counts.
 * `name` is what places are told with. NULL with reterr. */
struct ct_logs *ct_logs_parse(struct span json, const char *name, struct err *reterr);
void ct_logs_free(struct ct_logs *take_logs); /* NULL is fine */
size_t ct_logs_count(const struct ct_logs *l);

/* What became of the SCTs in a leaf, beside it in a TLS extension, and in the stapled OCSP response about it. */
enum ct_result {
    CT_NONE,        /* there are none */
    CT_NOT_CHECKED, /* no list of logs is configured, or the issuer's key isn't known */
    CT_VALID,       /* a listed log signed one of them */
    CT_UNKNOWN_LOG, /* no listed log did, and none seems to have */
    CT_INVALID,     /* one is said to be of a listed log, which didn't sign it */
};
const char *ct_result_name(enum ct_result r); /* "none", "not_checked", ... */

#endif
