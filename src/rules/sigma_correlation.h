/* sigma_correlation.h: the `correlation` section of a document. Called by sigma. Pure. Sigma correlation rules specification 2.1. */
#ifndef EXEAT_RULES_SIGMA_CORRELATION_H
#define EXEAT_RULES_SIGMA_CORRELATION_H

#include "rules/sigma.h"

/* NULL fills reterr. */
struct sigma_correlation *sigma_correlation_read(struct arena *a, const struct yaml_node *n,
                                                 struct err *reterr);

/* A text or a list of texts that differ, at most `max` (and at least one). 0, or -1 with reterr. */
int sigma_names_read(struct arena *a, const struct yaml_node *n, size_t max, struct sigma_names *ret,
                     struct err *reterr);

#endif
