/* sigma_item.h: detections into expressions: items ("Field|modifier: value"), lists, maps, keywords. Called by sigma for rules and
 * filters. Pure. Sigma specification 2.1, "Detection". */
#ifndef EXEAT_RULES_SIGMA_ITEM_H
#define EXEAT_RULES_SIGMA_ITEM_H

#include "base/yaml.h"
#include "rules/expr.h"

enum { SIGMA_VALUES_MAX = 10000, SIGMA_MODIFIERS_MAX = 12 };

/* What `expand` puts in place of %name%. */
struct placeholder {
    const char *name;          /* borrowed by whoever reads rules */
    const char *const *values; /* borrowed; at least one */
    size_t count;
};

struct item_context {
    struct arena *arena;                    /* borrowed: all that is made lives in it */
    const struct placeholder *placeholders; /* borrowed */
    size_t placeholder_count;
    struct atom *atoms; /* view into the arena: all atoms made, the last first */
    struct err *reterr; /* borrowed */
};

/* A detection: a mapping, a list, or one keyword. NULL fills reterr with the place. */
const struct expr *sigma_item_detection(struct item_context *c, const struct yaml_node *n);

#endif
