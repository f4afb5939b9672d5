/* destinations.h: kinds of destinations where anybody can have a place of his own: cloud storage, webhooks, pastes, tunnels, dynamic DNS, DNS
 * over HTTPS, CDNs: policy/destinations.yaml, built in. The baseline's parser and its proposals ask before they approve a name, flow/ for the
 * fact dest_kind. Immutable: threads share it. Pure. */
#ifndef EXEAT_RULES_DESTINATIONS_H
#define EXEAT_RULES_DESTINATIONS_H

#include "base/err.h"
#include "wire/host.h"

/* Where the built-in table stands in the source: what refusals name. */
#define DESTINATIONS_FILE "policy/destinations.yaml"

struct destination_row {
    const char *kind;   /* view into the table, as is `domain` */
    const char *domain; /* canonical */
    bool shared; /* one name for all tenants, who differ in the path; else each name below it is another's */
};

struct destinations;

/* With `beside_built_in: true` in it the built-in names count, too, else it stands in their place. NULL fills reterr with file (`name`, which is
 * copied), line and column. */
struct destinations *destinations_parse(struct span text, const char *name, struct err *reterr);
/* The built-in table. NULL fills reterr. */
struct destinations *destinations_new(struct err *reterr);
struct destinations *destinations_ref(struct destinations *d);
void destinations_free(struct destinations *take_d); /* one reference; NULL is fine */

/* The name of the file that it was read from, for refusals. */
const char *destinations_name(const struct destinations *d);

/* The row that speaks for `host`: itself or the nearest above it; where one name is in the table twice, what says `shared` counts. NULL: none;
 * also for addresses and where `d` is NULL. Of a shared name only itself: what is below it is another's. */
const struct destination_row *destinations_find(const struct destinations *d, const struct host *host);

/* The row that speaks against approving all that is at and below `domain`: itself, one below it, or one above it, unless the public suffix list
 * says that all of `domain` is one tenant's. NULL: none. */
const struct destination_row *destinations_find_within(const struct destinations *d,
                                                       const struct host *domain);

/* policy/destinations.yaml as it was built in. */
struct span destinations_builtin(void);

#endif
