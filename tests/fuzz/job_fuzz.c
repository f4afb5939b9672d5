/* job_fuzz.c: what the agent reads of crontabs, units and desktop entries that users write. */
#include "agent/jobs.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const argv[] = {"/bin/sh", "-c", "curl x", "y"};
    char text[JOB_TEXT_BYTES], name[64];
    struct span s = span_of(data, size);
    jobs_read_trigger(s, "OnCalendar OnBootSec", text);
    jobs_names_unit(s, "it.service");
    jobs_match_crontab(s, false, NULL, argv, 4, text);
    jobs_match_crontab(s, true, "ann", argv + 2, 2, text);
    jobs_match_desktop(s, "/usr/bin/x", "x");
    char *unit = strndup((const char *)data, size);
    if (unit)
        jobs_desktop_name(unit, name, sizeof name);
    free(unit);
    return 0;
}
