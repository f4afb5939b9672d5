/* command_line.h: the arguments and the folder of a process, from its own memory: it can have changed them. describe.c calls in. */
#ifndef EXEAT_AGENT_WINDOWS_COMMAND_LINE_H
#define EXEAT_AGENT_WINDOWS_COMMAND_LINE_H

#include "agent/windows/system.h"

#include "exeat/agent_protocol.h"

struct command_line {
    const char *arguments[AGENT_ARGUMENTS_MAX]; /* in the arena */
    size_t count;
    bool truncated;
    const char *folder; /* in the arena; NULL: not known */
};

/* False: its memory may not be read, or isn't as expected. */
bool command_line_read(DWORD pid, struct arena *arena, struct command_line *ret);

#endif
