/* domain.h: the registrable domain of a host: one label more than its public suffix, private suffixes (of clouds, of hosters) included, so
 * that the tenants of one provider are told apart. Pure: libpsl's built-in list. */
#ifndef EXEAT_FACTS_DOMAIN_H
#define EXEAT_FACTS_DOMAIN_H

#include "wire/host.h"

/* A view into `host`'s name: of an address its text, of a name that is itself a public suffix the whole name. */
struct span domain_registrable(const struct host *host);

#endif
