/* modules.h: which libraries of TLS and of ciphers a process has loaded now. platform_windows.c calls in. */
#ifndef EXEAT_AGENT_WINDOWS_MODULES_H
#define EXEAT_AGENT_WINDOWS_MODULES_H

#include "agent/windows/system.h"

#include "wire/agent_history.h"

/* Adds rows to `ret`; their strings live in `arena` and in the program. False: it may not be looked at. */
bool modules_look(DWORD pid, struct arena *arena, struct agent_history *ret);

#endif
