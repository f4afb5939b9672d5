/* place.c: see place.h. Looks whether files are there. */
#include "cmd/place.h"

#include <stdio.h>
#include <unistd.h>

const char *place_default_state(void)
{
    return geteuid() == 0 ? "/var/lib/exeat" : "./exeat-state";
}

char *place_config(const char *config, const char *state, char ret[PLACE_PATH_BYTES])
{
    static const char system_wide[] = "/etc/exeat/exeat.yaml";
    if (config)
        snprintf(ret, PLACE_PATH_BYTES, "%s", config);
    else
        snprintf(ret, PLACE_PATH_BYTES, "%s/exeat.yaml", state ? state : place_default_state());
    if (!config && !state && access(ret, F_OK) != 0 && access(system_wide, F_OK) == 0)
        snprintf(ret, PLACE_PATH_BYTES, "%s", system_wide);
    return ret;
}
