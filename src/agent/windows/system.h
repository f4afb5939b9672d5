/* system.h: what the files here share: Windows' headers in the order that they need, and texts of two kinds. */
#ifndef EXEAT_AGENT_WINDOWS_SYSTEM_H
#define EXEAT_AGENT_WINDOWS_SYSTEM_H

/* clang-format off: their order matters */
#include <winsock2.h>
#include <ws2ipdef.h>
#include <windows.h>
#include <iphlpapi.h>
/* clang-format on */

#include "base/arena.h"
#include "base/ip.h"

/* UTF-8 of a Windows text, in the arena; NULL when there is none or no room. Half surrogates become U+FFFD. */
char *system_text(struct arena *arena, const wchar_t *text);

/* Unix time in milliseconds; 0 for none. */
int64_t system_unix_ms(const FILETIME *time);
uint64_t system_ticks(const FILETIME *time); /* of 100 ns */

/* The account behind a process' token, as DOMAIN\NAME; and its security identifier in *ret_sid (of `size` bytes). False: it cannot be had. */
bool system_user(HANDLE process, struct arena *arena, const char **ret_name, void *ret_sid, size_t size);

enum { SYSTEM_SID_BYTES = 68 };

#endif
