/* command_line.c: see command_line.h. Reads the process environment block (winternl.h, PEB and RTL_USER_PROCESS_PARAMETERS, whose
 * CurrentDirectory is not declared there) of a 64-bit process, and the 64-bit one that a 32-bit process has as well. */
#include "agent/windows/command_line.h"

#include <shellapi.h>
#include <stdlib.h>
#include <winternl.h>

enum {
    PEB_PARAMETERS = 0x20,
    PARAMETERS_FOLDER = 0x38,
    PARAMETERS_COMMAND_LINE = 0x70,
    TEXT_BYTES_MAX = 2 * AGENT_ARGUMENTS_BYTES
};

static bool read_at(HANDLE process, uint64_t address, void *out, size_t size)
{
    SIZE_T n = 0;
    return ReadProcessMemory(process, (const void *)(uintptr_t)address, out, size, &n) && n == size;
}

/* The counted text at `address`, malloc'd and ended by a zero. */
static wchar_t *read_text(HANDLE process, uint64_t address, bool *ret_truncated)
{
    struct {
        uint16_t len, max;
        uint32_t hole;
        uint64_t buffer;
    } text;
    _Static_assert(sizeof text == 16, "UNICODE_STRING of 64 bits");
    if (!read_at(process, address, &text, sizeof text) || text.len % 2)
        return NULL;
    size_t len = text.len < TEXT_BYTES_MAX ? text.len : TEXT_BYTES_MAX;
    *ret_truncated = len < text.len;
    wchar_t *copy = calloc(1, len + sizeof *copy);
    if (copy && len > 0 && !read_at(process, text.buffer, copy, len)) {
        free(copy);
        return NULL;
    }
    return copy;
}

static void split(wchar_t *text, struct arena *arena, struct command_line *ret)
{
    int count = 0;
    wchar_t **words =
        *text ? CommandLineToArgvW(text, &count) : NULL; /* of an empty one it makes up its own */
    for (int i = 0; words && i < count; i++) {
        const char *copy = ret->count < AGENT_ARGUMENTS_MAX ? system_text(arena, words[i]) : NULL;
        ret->truncated = ret->truncated || !copy;
        if (!copy)
            break;
        ret->arguments[ret->count++] = copy;
    }
    LocalFree(words);
}

bool command_line_read(DWORD pid, struct arena *arena, struct command_line *ret)
{
    PROCESS_BASIC_INFORMATION info;
    uint64_t parameters = 0;
    bool ignored;
    wchar_t *text = NULL, *folder = NULL;
    HANDLE process = OpenProcess(PROCESS_QUERY_INFORMATION | PROCESS_VM_READ, FALSE, pid);
    *ret = (struct command_line){.count = 0};
    if (!process)
        return false;
    if (NtQueryInformationProcess(process, ProcessBasicInformation, &info, sizeof info, NULL) == 0 &&
        read_at(process, (uint64_t)(uintptr_t)info.PebBaseAddress + PEB_PARAMETERS, &parameters,
                sizeof parameters)) {
        text = read_text(process, parameters + PARAMETERS_COMMAND_LINE, &ret->truncated);
        folder = read_text(process, parameters + PARAMETERS_FOLDER, &ignored);
    }
    CloseHandle(process);
    if (text)
        split(text, arena, ret);
    ret->folder = folder ? system_text(arena, folder) : NULL;
    bool read = text != NULL;
    free(text);
    free(folder);
    return read;
}
