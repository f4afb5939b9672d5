/* networks.h: all networks that rules ask about, found by an address in one look per length of prefix instead of one per network. Made by
 * match. Pure. */
#ifndef EXEAT_RULES_NETWORKS_H
#define EXEAT_RULES_NETWORKS_H

#include "rules/ruleset.h"

struct network_row {
    uint32_t field, atom;
    struct ip_network network;
};

struct networks {
    struct network_row *rows; /* owned; sorted by field, version, prefix, address */
    size_t count;
};

/* The atoms that rules are found by. False without memory. */
bool networks_init(struct networks *n, const struct ruleset *s);
void networks_free(struct networks *n);

/* Does any rule ask about networks of the field? */
bool networks_has(const struct networks *n, uint32_t field);
/* Writes the atoms whose network has `ip`, one a prefix at most; returns how many. */
enum { NETWORKS_FOUND_MAX = 129 };
size_t networks_find(const struct networks *n, uint32_t field, const struct ip *ip,
                     uint32_t ret[NETWORKS_FOUND_MAX]);

#endif
