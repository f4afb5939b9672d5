/* reload.c: see reload.h. All or nothing: half of a new configuration would be one that nobody wrote. */
#include "run/reload.h"

#include "run/snapshot.h"

struct snapshot *reload_load(const struct snapshot *running, const char *config_file, struct err *reterr)
{
    struct snapshot *wanted = snapshot_load(config_file, running->generation + 1, reterr);
    const char *option = wanted ? conf_restart_needed(running->conf, wanted->conf) : NULL;
    if (!option && wanted && wanted->tally && running->tally)
        tally_adopt(wanted->tally, running->tally);
    if (!option)
        return wanted;
    err_set(reterr, config_file, 0, 0, "%s has changed, which needs a restart", option);
    snapshot_unref(wanted);
    return NULL;
}
