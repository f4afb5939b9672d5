/* kinds_load.h: the tables of kinds that the configuration names, or those that are built in: of programs (policy.senders) and of destinations
 * (policy.destinations); and the baseline as it is read with them. The snapshot and the commands that read a baseline call in. Touches files. */
#ifndef EXEAT_RUN_KINDS_LOAD_H
#define EXEAT_RUN_KINDS_LOAD_H

#include "conf/conf.h"
#include "rules/baseline.h"
#include "rules/sender_kinds.h"

/* All: NULL fills reterr with file, line and column. */
struct sender_kinds *kinds_load_senders(const struct conf *c, struct err *reterr);
struct destinations *kinds_load_destinations(const struct conf *c, struct err *reterr);
/* `path` NULL: the built-in one. */
struct destinations *kinds_load_destinations_file(const char *path, struct err *reterr);
/* `text` is the baseline's, `name` its file's. */
struct baseline *kinds_load_baseline(const struct conf *c, struct span text, const char *name,
                                     struct err *reterr);

#endif
