/* platform_macos.h: what macOS' loop (main.c) does for the platform beyond platform.h: it waits for the event streams. */
#ifndef EXEAT_AGENT_MACOS_PLATFORM_MACOS_H
#define EXEAT_AGENT_MACOS_PLATFORM_MACOS_H

#include "agent/macos/streams.h"
#include "agent/platform.h"

/* -1: that one does not run. They may be others after each turn. */
void platform_macos_fds(const struct platform *p, int ret[INTAKE_STREAMS]);
void platform_macos_turn(struct platform *p, int64_t now_ms); /* when one is readable, and every second */

#endif
