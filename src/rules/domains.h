/* domains.h: a list of domains, one a line, "#" begins a comment: policy/categories/. Whatever stands at or below one of them is in it.
 * run/ parses, flow/ asks. Immutable: threads share it without locks. Pure. */
#ifndef EXEAT_RULES_DOMAINS_H
#define EXEAT_RULES_DOMAINS_H

#include "base/err.h"
#include "wire/host.h"

struct domains;

/* Adds to `d`, which may be NULL: then a new one is made. NULL with reterr (file `name`, line): and `d` is freed. */
struct domains *domains_parse(struct domains *take_d, struct span text, const char *name, struct err *reterr);
void domains_free(struct domains *take_d); /* NULL is fine */

/* policy/categories/ as it was built in; ends with a NULL name. */
struct domains_file {
    const char *name;
    const unsigned char *bytes;
    size_t len;
};
extern const struct domains_file domains_private[];

bool domains_has(const struct domains *d, const struct host *host); /* d NULL: false; an address: false */

#endif
