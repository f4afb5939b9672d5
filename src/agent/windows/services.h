/* services.h: which services a process runs. describe.c calls in. */
#ifndef EXEAT_AGENT_WINDOWS_SERVICES_H
#define EXEAT_AGENT_WINDOWS_SERVICES_H

#include "agent/windows/system.h"

/* "windows/NAME", of several "windows/NAME+NAME", in the arena; NULL: none, or it cannot be told. Who makes a service is an
 * administrator, so that the name is an identity as a systemd unit's is. */
const char *services_of(DWORD pid, struct arena *arena);

#endif
