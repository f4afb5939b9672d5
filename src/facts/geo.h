/* geo.h: country, city and autonomous system of an address, from MaxMind-format databases which run/ opened. Understands
 * MaxMind's nested layout and the flat one (`country_code`, `asn`/`autonomous_system_number`, ...). Lookups are pure. */
#ifndef EXEAT_FACTS_GEO_H
#define EXEAT_FACTS_GEO_H

#include "base/err.h"
#include "base/ip.h"

struct geo; /* immutable, shared by workers */

struct geo_place {
    char country[3];        /* ISO 3166 alpha-2, "" unknown */
    char city[96];          /* "" unknown */
    uint32_t asn;           /* 0 unknown */
    char organization[128]; /* "" unknown */
};

/* Paths may be NULL. NULL with reterr (file named) when one cannot be read. Called by run/. */
struct geo *geo_open(const char *country_db, const char *city_db, const char *asn_db, struct err *reterr);
void geo_close(struct geo *take_g);

void geo_lookup(const struct geo *g, const struct ip *ip, struct geo_place *ret);

#endif
