/* snapshot.h: reads everything people configure into one struct snapshot: the configuration, the baseline it names, GeoIP
 * databases, certificates. exeatd at start and at each reload, `exeat config check`. Touches files; called on no worker's thread,
 * because reading takes its time. */
#ifndef EXEAT_RUN_SNAPSHOT_H
#define EXEAT_RUN_SNAPSHOT_H

#include "flow/snapshot.h"

/* One reference. NULL fills reterr with the file, line and column of the first error. */
struct snapshot *snapshot_load(const char *config_file, uint64_t generation, struct err *reterr);

#endif
