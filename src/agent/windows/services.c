/* services.c: see services.h. */
#include "agent/windows/services.h"

#include "base/buf.h"

#include <stdlib.h>
#include <winsvc.h>

enum { LIST_BYTES = 256 * 1024, UNIT_BYTES = 1024 };

static void add(const ENUM_SERVICE_STATUS_PROCESSW *service, struct arena *arena, struct buf *unit)
{
    const char *name = system_text(arena, service->lpServiceName);
    buf_append_str(unit, buf_len(unit) ? "+" : "windows/");
    buf_append_str(unit, name ? name : "?");
}

const char *services_of(DWORD pid, struct arena *arena)
{
    DWORD needed, count = 0, resume = 0;
    struct buf unit;
    buf_init(&unit, UNIT_BYTES);
    SC_HANDLE manager = OpenSCManagerW(NULL, NULL, SC_MANAGER_ENUMERATE_SERVICE);
    ENUM_SERVICE_STATUS_PROCESSW *list = malloc(LIST_BYTES);
    if (manager && list &&
        (EnumServicesStatusExW(manager, SC_ENUM_PROCESS_INFO, SERVICE_WIN32, SERVICE_ACTIVE, (BYTE *)list,
                               LIST_BYTES, &needed, &count, &resume, NULL) ||
         GetLastError() == ERROR_MORE_DATA))
        for (DWORD i = 0; i < count; i++)
            if (list[i].ServiceStatusProcess.dwProcessId == pid)
                add(&list[i], arena, &unit);
    if (manager)
        CloseServiceHandle(manager);
    free(list);
    struct span text = buf_span(&unit);
    const char *copy =
        text.len && !unit.failed ? arena_strndup(arena, (const char *)text.data, text.len) : NULL;
    buf_free(&unit);
    return copy;
}
