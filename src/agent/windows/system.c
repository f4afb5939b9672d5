/* system.c: see system.h. */
#include "agent/windows/system.h"

char *system_text(struct arena *arena, const wchar_t *text)
{
    int len = text ? WideCharToMultiByte(CP_UTF8, 0, text, -1, NULL, 0, NULL, NULL) : 0;
    char *copy = len > 0 ? arena_alloc(arena, (size_t)len) : NULL;
    if (!copy || WideCharToMultiByte(CP_UTF8, 0, text, -1, copy, len, NULL, NULL) != len)
        return NULL;
    return copy;
}

uint64_t system_ticks(const FILETIME *time)
{
    return (uint64_t)time->dwHighDateTime << 32 | time->dwLowDateTime;
}

int64_t system_unix_ms(const FILETIME *time)
{
    const uint64_t epoch = 116444736000000000u; /* 1970 in ticks since 1601 */
    uint64_t ticks = system_ticks(time);
    return ticks > epoch ? (int64_t)((ticks - epoch) / 10000) : 0;
}

bool system_user(HANDLE process, struct arena *arena, const char **ret_name, void *ret_sid, size_t size)
{
    union {
        TOKEN_USER user;
        uint8_t bytes[sizeof(TOKEN_USER) + SYSTEM_SID_BYTES];
    } info;
    wchar_t name[256], domain[256];
    DWORD len = 0, name_len = 256, domain_len = 256;
    SID_NAME_USE use;
    HANDLE token;
    if (!OpenProcessToken(process, TOKEN_QUERY, &token))
        return false;
    bool known = GetTokenInformation(token, TokenUser, &info, sizeof info, &len) != 0;
    CloseHandle(token);
    if (!known || !CopySid((DWORD)size, ret_sid, info.user.User.Sid))
        return false;
    if (!ret_name || !LookupAccountSidW(NULL, info.user.User.Sid, name, &name_len, domain, &domain_len, &use))
        return !ret_name;
    char *at = system_text(arena, domain), *user = system_text(arena, name);
    size_t at_len = at ? strlen(at) : 0;
    char *both = at && user ? arena_alloc(arena, at_len + strlen(user) + 2) : NULL;
    if (!both)
        return false;
    memcpy(both, at, at_len);
    both[at_len] = '\\';
    memcpy(both + at_len + 1, user, strlen(user));
    *ret_name = both;
    return true;
}
