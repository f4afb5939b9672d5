/* ja4_known.h: which TLS library or browser a JA4 belongs to, as far as it is known (ja4_known.def). Pure. */
#ifndef EXEAT_FACTS_JA4_KNOWN_H
#define EXEAT_FACTS_JA4_KNOWN_H

#include "base/span.h"

struct ja4_known {
    const char *ciphers, *name;
    bool browser;
};

/* NULL: not known. */
const struct ja4_known *ja4_known_find(struct span ja4);

/* H32: the hello is a browser's and the sender is none, or the sender is a browser whose hello has no GREASE or doesn't offer h2. `known`
 * may be NULL. */
bool ja4_contradicts(const struct ja4_known *known, bool sender_is_browser, bool grease, bool h2);

#endif
