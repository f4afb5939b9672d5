/* verdict.c: see verdict.h. Pure. */
#include "rules/verdict.h"

#include "base/must.h"

struct verdict verdict_tighten(struct verdict earlier, struct verdict later)
{
    struct verdict v = earlier.action > later.action ? earlier : later;
    v.would_block = earlier.would_block || later.would_block;
    v.needs_address = later.needs_address;
    return v;
}

const char *verdict_action_name(enum verdict_action a)
{
    static const char *const names[VERDICT_ACTION_COUNT] = {"allow", "alert", "block"};
    must(a < VERDICT_ACTION_COUNT);
    return names[a];
}

const char *verdict_mode_name(enum verdict_mode m)
{
    static const char *const names[MODE_COUNT] = {"open", "report", "enforce"};
    must(m < MODE_COUNT);
    return names[m];
}
