/* baseline_read.h: what the parts of the baseline's parser share: baseline_parse.c (the file, its entries), baseline_match.c (their senders),
 * baseline_allow.c (their destinations), baseline_term.c (for how long),
 * baseline_pki.c (certificates of the house's own). Private to them. All that returns int: 0, or -1 with reterr. */
#ifndef EXEAT_RULES_BASELINE_READ_H
#define EXEAT_RULES_BASELINE_READ_H

#include "base/yaml.h"
#include "rules/baseline_model.h"
#include "rules/destinations.h"

/* A named list of destinations, while the file is read. */
struct baseline_set {
    const struct yaml_node *node; /* view into the tree */
    struct destination_list list;
    bool used;
};

struct baseline_reader {
    struct baseline *b;
    struct err *reterr;               /* borrowed for the call */
    const char *file;                 /* likewise */
    const struct destinations *kinds; /* borrowed for the call: what is never approved whole */
    struct baseline_set *sets;        /* view into the baseline's arena */
    size_t set_count;
};

/* Memory of the baseline's own; NULL with an error at `n`. */
void *baseline_take(struct baseline_reader *r, const struct yaml_node *n, size_t bytes);
const char *baseline_keep(struct baseline_reader *r, const struct yaml_node *n, const char *text);

/* Printable, of some length; a view into the tree. */
int baseline_read_text(struct baseline_reader *r, const struct yaml_node *n, const char **ret);
int baseline_read_network(struct baseline_reader *r, const struct yaml_node *n, struct ip_network *ret);
int baseline_read_handling(struct baseline_reader *r, const struct yaml_node *n, enum verdict_handling *ret);

/* "2026-11-21" or "2026-11-21T12:00:00Z". */
int baseline_read_time(struct baseline_reader *r, const struct yaml_node *n, int64_t *ret_s);
/* {ticket, reason, granted, expires}; `owner` is needed with it, and stands beside it. */
int baseline_read_term(struct baseline_reader *r, const struct yaml_node *n, const struct yaml_node *owner,
                       struct term *ret);

int baseline_check_tool_allow(struct baseline_reader *r, const struct entry *e);
int baseline_read_match(struct baseline_reader *r, const struct yaml_node *match, struct entry *e);

/* `may_use`: an item may name a set. */
int baseline_read_destinations(struct baseline_reader *r, const struct yaml_node *n, bool may_use,
                               struct destination_list *ret);
const char *baseline_check_sha256(const char *s); /* why it is none; NULL: it is one */
int baseline_read_pki(struct baseline_reader *r, const struct yaml_node *n);
int baseline_read_sets(struct baseline_reader *r, const struct yaml_node *n);

#endif
