/* verdict.c: see verdict.h. Pure. */
#include "rules/verdict.h"

#include "base/must.h"

/* Both must let it through. */
static enum verdict_client_certificate stricter(enum verdict_client_certificate a,
                                                enum verdict_client_certificate b)
{
    bool refused = a == CLIENT_CERTIFICATE_REFUSE || b == CLIENT_CERTIFICATE_REFUSE;
    return a == b ? a : refused ? CLIENT_CERTIFICATE_REFUSE : CLIENT_CERTIFICATE_UNSET;
}

struct verdict verdict_tighten(struct verdict earlier, struct verdict later)
{
    struct verdict v = earlier.action > later.action ? earlier : later;
    v.would_block = earlier.would_block || later.would_block;
    v.needs_address = later.needs_address;
    v.needs_path = earlier.needs_path || later.needs_path;
    v.handling = earlier.handling > later.handling ? earlier.handling : later.handling;
    v.probe = earlier.probe > later.probe ? earlier.probe : later.probe;
    v.client_certificate = stricter(earlier.client_certificate, later.client_certificate);
    return v;
}

struct verdict verdict_refuse(struct verdict v, enum reason reason)
{
    static const enum verdict_action actions[MODE_COUNT] = {VERDICT_ALLOW, VERDICT_ALERT, VERDICT_BLOCK};
    v.reason = reason;
    v.action = v.action > actions[v.mode] ? v.action : actions[v.mode];
    v.would_block = v.would_block || v.mode == MODE_REPORT;
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

const char *verdict_handling_name(enum verdict_handling h)
{
    static const char *const names[HANDLING_COUNT] = {"unset", "tunnel", "peek", "terminate"};
    must(h < HANDLING_COUNT);
    return names[h];
}

const char *verdict_probe_name(enum verdict_probe p)
{
    static const char *const names[PROBE_COUNT] = {"unset", "never", "background", "wait"};
    must(p < PROBE_COUNT);
    return names[p];
}
