/* registry.c: see registry.h. Pure. */
#include "facts/registry.h"

#include "base/must.h"

static const struct {
    uint16_t first, last;
    enum suite_kind kind;
} suites[] = {
#define SUITES(first, last, kind) {first, last, SUITE_##kind},
#include "facts/suites.def"
#undef SUITES
};

static const uint16_t extensions[] = {
#define EXTENSION(value, name) value,
#include "facts/extensions.def"
#undef EXTENSION
};

static const char *const alpn_names[] = {
#define ALPN(name) name,
#include "facts/alpn.def"
#undef ALPN
};

static const struct {
    uint16_t first, last;
} weak_groups[] = {
#define WEAK_GROUPS(first, last) {first, last},
#include "facts/groups.def"
#undef WEAK_GROUPS
};

static const uint16_t tls_ports[] = {
#define TLS_PORT(port) port,
#include "facts/tls_ports.def"
#undef TLS_PORT
};

enum suite_kind registry_suite_kind(uint16_t suite)
{
    size_t low = 0, high = ARRAY_LEN(suites); /* ascending ranges */
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (suite < suites[middle].first)
            high = middle;
        else if (suite > suites[middle].last)
            low = middle + 1;
        else
            return suites[middle].kind;
    }
    return SUITE_UNKNOWN;
}

bool registry_has_extension(uint16_t type)
{
    for (size_t i = 0; i < ARRAY_LEN(extensions); i++)
        if (extensions[i] == type)
            return true;
    return false;
}

bool registry_has_alpn(struct span name)
{
    for (size_t i = 0; i < ARRAY_LEN(alpn_names); i++)
        if (span_is(name, alpn_names[i]))
            return true;
    return false;
}

bool registry_group_is_weak(uint16_t group)
{
    for (size_t i = 0; i < ARRAY_LEN(weak_groups); i++)
        if (group >= weak_groups[i].first && group <= weak_groups[i].last)
            return true;
    return false;
}

bool registry_port_is_tls(uint16_t port)
{
    for (size_t i = 0; i < ARRAY_LEN(tls_ports); i++)
        if (tls_ports[i] == port)
            return true;
    return false;
}
