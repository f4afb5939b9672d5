/* reload.h: a new policy for a running daemon. Main thread. */
#ifndef EXEAT_RUN_RELOAD_H
#define EXEAT_RUN_RELOAD_H

#include "flow/snapshot.h"

/* Loads and compares: the next snapshot, or NULL with reterr (a mistake, or an option that needs a restart): then `running`
 * stays in force. */
struct snapshot *reload_load(const struct snapshot *running, const char *config_file, struct err *reterr);

#endif
