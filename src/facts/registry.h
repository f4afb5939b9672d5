/* registry.h: what IANA's registries and a few data files of ours say about the numbers and names in a hello. Called by
 * facts/anomaly. The data is in suites.def, extensions.def, alpn.def, groups.def and tls_ports.def. Pure. */
#ifndef EXEAT_FACTS_REGISTRY_H
#define EXEAT_FACTS_REGISTRY_H

#include "base/span.h"

enum suite_kind {
    SUITE_UNKNOWN, /* not in the registry */
    SUITE_SIGNAL,  /* a signalling value, not a suite */
    SUITE_STATIC,  /* key exchange without forward secrecy */
    SUITE_EPHEMERAL,
    SUITE_WEAK_STATIC, /* weak: NULL, anonymous, EXPORT, RC2, RC4, DES, 3DES, or integrity only */
    SUITE_WEAK_EPHEMERAL,
};

enum suite_kind registry_suite_kind(uint16_t suite);
bool registry_has_extension(uint16_t type); /* registered, or known private; GREASE is neither */
bool registry_has_alpn(struct span name);
bool registry_group_is_weak(uint16_t group);
bool registry_port_is_tls(uint16_t port);

#endif
