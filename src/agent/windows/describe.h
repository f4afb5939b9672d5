/* describe.h: what a Windows process is, as a sender. Its handle is kept open as long as the description, so that its number cannot become
 * another process'. platform_windows.c calls in. */
#ifndef EXEAT_AGENT_WINDOWS_DESCRIBE_H
#define EXEAT_AGENT_WINDOWS_DESCRIBE_H

#include "agent/windows/system.h"

#include "agent/platform.h"

struct described {
    struct process process; /* first: process_unref() has this alone */
    HANDLE handle;          /* owned */
    DWORD pid;
    uint64_t created_ticks;
};

/* NULL: gone (*ret_reason VANISHED) or not to be looked at (NOT_PERMITTED), or no memory (FAILED). One reference. */
struct described *describe_process(DWORD pid, uint64_t serial, enum agent_reason *ret_reason);

/* When the process behind a handle was made; 0 when it cannot be had. */
uint64_t describe_created(HANDLE process);
bool describe_has_ended(const struct described *d);

/* The file behind a path, as the system calls it; INVALID_HANDLE_VALUE without. */
HANDLE describe_open_file(const wchar_t *path);
bool describe_file_key(HANDLE file, struct file_key *ret);

#endif
