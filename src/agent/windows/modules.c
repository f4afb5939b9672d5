/* modules.c: see modules.h. */
#include "agent/windows/modules.h"

#include "agent/crypto_names.h"

#include <psapi.h>

enum { MODULES_MAX = 1024, PATH_CHARS = 1024 };

static void add(struct agent_history *h, enum agent_history_kind kind, const char *family, const char *path,
                DWORD pid)
{
    for (size_t i = 0; i < h->row_count; i++)
        if (h->rows[i].kind == kind && strcmp(h->rows[i].class_name, family) == 0)
            return;
    if (h->row_count < AGENT_HISTORY_ROWS_MAX)
        h->rows[h->row_count++] = (struct agent_history_row){.kind = kind,
                                                             .class_name = family,
                                                             .path = path,
                                                             .count = 1,
                                                             .at_least = true,
                                                             .pid = pid,
                                                             .bytes = -1};
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '\\');
    return slash ? slash + 1 : path;
}

bool modules_look(DWORD pid, struct arena *arena, struct agent_history *ret)
{
    static HMODULE modules[MODULES_MAX]; /* large; one thread */
    wchar_t wide[PATH_CHARS];
    DWORD bytes = 0;
    HANDLE process = OpenProcess(PROCESS_QUERY_INFORMATION | PROCESS_VM_READ, FALSE, pid);
    bool looked = process && EnumProcessModulesEx(process, modules, sizeof modules, &bytes, LIST_MODULES_ALL);
    size_t count = bytes / sizeof *modules;
    for (size_t i = 0; looked && i < count && i < MODULES_MAX; i++) {
        if (GetModuleFileNameExW(process, modules[i], wide, PATH_CHARS) == 0)
            continue;
        const char *path = system_text(arena, wide);
        struct crypto_name name =
            path ? crypto_name_of(last_part(path)) : (struct crypto_name){NULL, false, false};
        if (name.is_tls)
            add(ret, AGENT_HISTORY_TLS_LIBRARY, name.family, path, pid);
        if (name.is_cipher)
            add(ret, AGENT_HISTORY_CRYPTO_LIBRARY, name.family, path, pid);
    }
    if (process)
        CloseHandle(process);
    return looked;
}
