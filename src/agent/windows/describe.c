/* describe.c: see describe.h. */
#include "agent/windows/describe.h"

#include "agent/redact.h"
#include "agent/script.h"
#include "agent/windows/command_line.h"
#include "agent/windows/services.h"
#include "agent/windows/signer.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <tlhelp32.h>

enum { PATH_CHARS = 2048, SNAPSHOT_MAX = 8192 };

uint64_t describe_created(HANDLE process)
{
    FILETIME created, exited, kernel, user;
    return GetProcessTimes(process, &created, &exited, &kernel, &user) ? system_ticks(&created) : 0;
}

bool describe_has_ended(const struct described *d)
{
    return WaitForSingleObject(d->handle, 0) != WAIT_TIMEOUT;
}

/* ---- files ---- */

HANDLE describe_open_file(const wchar_t *path)
{
    return CreateFileW(path, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_DELETE, NULL, OPEN_EXISTING,
                       FILE_FLAG_SEQUENTIAL_SCAN, NULL);
}

bool describe_file_key(HANDLE file, struct file_key *ret)
{
    const int ns_per_tick = 100;
    BY_HANDLE_FILE_INFORMATION info;
    if (GetFileType(file) != FILE_TYPE_DISK || !GetFileInformationByHandle(file, &info))
        return false;
    *ret = (struct file_key){
        .device = info.dwVolumeSerialNumber,
        .inode = (uint64_t)info.nFileIndexHigh << 32 | info.nFileIndexLow,
        .size = (uint64_t)info.nFileSizeHigh << 32 | info.nFileSizeLow,
        .mtime_ns = system_unix_ms(&info.ftLastWriteTime) * 1000000 +
                    (int64_t)(system_ticks(&info.ftLastWriteTime) % 10000) * ns_per_tick,
        .ctime_ns = (int64_t)system_unix_ms(&info.ftCreationTime) * 1000000,
    };
    return true;
}

/* The path as the file system writes it, not as whoever started the program did. */
static bool final_path(HANDLE file, wchar_t *out)
{
    DWORD len = GetFinalPathNameByHandleW(file, out, PATH_CHARS, FILE_NAME_NORMALIZED | VOLUME_NAME_DOS);
    if (len == 0 || len >= PATH_CHARS)
        return false;
    if (wcsncmp(out, L"\\\\?\\", 4) == 0 && wcsncmp(out + 4, L"UNC\\", 4) != 0)
        memmove(out, out + 4, (len - 3) * sizeof *out);
    return true;
}

static bool image_path(HANDLE process, wchar_t *out)
{
    DWORD len = PATH_CHARS;
    return QueryFullProcessImageNameW(process, 0, out, &len) != 0;
}

static const char *last_part(const char *path)
{
    const char *slash = path ? strrchr(path, '\\') : NULL;
    return slash ? slash + 1 : path;
}

static void describe_executable(struct described *d)
{
    static wchar_t path[PATH_CHARS]; /* large; one thread */
    struct sender *s = d->process.sender;
    s->hash_state = SENDER_HASH_FAILED;
    if (!image_path(d->handle, path))
        return;
    HANDLE file = describe_open_file(path);
    if (file != INVALID_HANDLE_VALUE) {
        final_path(file, path);
        if (describe_file_key(file, &d->process.executable))
            s->hash_state = SENDER_HASH_PENDING;
        signer_find(path, file, &s->arena, &s->who);
        CloseHandle(file);
    }
    s->executable = system_text(&s->arena, path);
    s->name = last_part(s->executable);
    s->provenance[SENDER_FIELD_EXECUTABLE] = AGENT_PROVENANCE_KERNEL;
}

/* ---- arguments ---- */

/* What runs whatever it is given, beside those of script.c. */
static bool is_system_interpreter(const char *name)
{
    static const char *const names[] = {
        "cmd",     "powershell", "pwsh",     "powershell_ise", "wscript",     "cscript",
        "mshta",   "rundll32",   "regsvr32", "msbuild",        "installutil", "regasm",
        "regsvcs", "hh",         "wsl",      "bash",           "dllhost"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* "C:\Python\Python3.exe" is python3. */
static void plain_name(const char *path, char *out, size_t size)
{
    snprintf(out, size, "%s", last_part(path));
    for (char *c = out; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    char *end = strrchr(out, '.');
    if (end && strcmp(end, ".exe") == 0)
        *end = '\0';
}

static void describe_script(struct sender *s, const char *const *argv, size_t argc)
{
    char name[64];
    const char *script = NULL;
    if (!s->executable)
        return;
    plain_name(s->executable, name, sizeof name);
    s->script_kind =
        is_system_interpreter(name) ? SENDER_SCRIPT_UNCLEAR : script_find(name, argv, argc, &script);
    if (s->script_kind == SENDER_SCRIPT_FILE) /* its file is not hashed here: nothing is approved by it */
        s->script_kind = SENDER_SCRIPT_UNCLEAR;
    s->provenance[SENDER_FIELD_SCRIPT] = AGENT_PROVENANCE_PROC;
}

static void describe_arguments(struct described *d)
{
    struct command_line line;
    struct sender *s = d->process.sender;
    if (!command_line_read(d->pid, &s->arena, &line)) {
        s->provenance[SENDER_FIELD_ARGUMENTS] = s->provenance[SENDER_FIELD_CWD] = AGENT_PROVENANCE_DENIED;
        describe_script(s, NULL, 0);
        return;
    }
    describe_script(s, line.arguments, line.count);
    s->cwd = line.folder;
    s->arguments = line.count ? arena_alloc(&s->arena, line.count * sizeof *s->arguments) : NULL;
    for (size_t i = 0; s->arguments && i < line.count; i++) {
        struct buf text;
        buf_init(&text, AGENT_ARGUMENTS_BYTES);
        redact_argument(i ? line.arguments[i - 1] : NULL, line.arguments[i], &text);
        const char *copy =
            text.failed ? NULL : arena_strndup(&s->arena, (const char *)buf_span(&text).data, buf_len(&text));
        buf_free(&text);
        if (!copy)
            break;
        s->arguments[s->argument_count++] = copy;
    }
    s->arguments_truncated = line.truncated || s->argument_count < line.count;
    s->provenance[SENDER_FIELD_ARGUMENTS] = s->provenance[SENDER_FIELD_CWD] = AGENT_PROVENANCE_PROC;
}

/* ---- parents ---- */

static HANDLE open_process(DWORD pid)
{
    return OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION | SYNCHRONIZE, FALSE, pid);
}

/* False: the number is another process' by now, for it is younger than its child. */
static bool describe_parent(struct sender *s, DWORD pid, uint64_t child_ticks, uint64_t *ret_ticks)
{
    static wchar_t path[PATH_CHARS];
    HANDLE process = open_process(pid);
    uint64_t created = process ? describe_created(process) : 0;
    struct sender_parent *parent = &s->parents[s->parent_count];
    *parent = (struct sender_parent){.pid = pid, .writable_by_user = -1};
    bool good = created > 0 && created <= child_ticks;
    if (good && image_path(process, path)) {
        parent->executable = system_text(&s->arena, path);
        parent->name = last_part(parent->executable);
    }
    if (process)
        CloseHandle(process);
    s->parent_count += good;
    *ret_ticks = created;
    return good;
}

static DWORD parent_of(const PROCESSENTRY32W *entries, size_t count, DWORD pid)
{
    for (size_t i = 0; i < count; i++)
        if (entries[i].th32ProcessID == pid)
            return entries[i].th32ParentProcessID;
    return 0;
}

static void describe_parents(struct described *d)
{
    struct sender *s = d->process.sender;
    PROCESSENTRY32W *entries = malloc(SNAPSHOT_MAX * sizeof *entries);
    HANDLE snapshot = entries ? CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0) : INVALID_HANDLE_VALUE;
    size_t count = 0;
    s->parents = arena_alloc(&s->arena, AGENT_PARENTS_MAX * sizeof *s->parents);
    if (snapshot != INVALID_HANDLE_VALUE && s->parents) {
        entries[0].dwSize = sizeof *entries;
        for (BOOL more = Process32FirstW(snapshot, entries); more && count + 1 < SNAPSHOT_MAX;
             more = Process32NextW(snapshot, &entries[count]))
            entries[++count].dwSize = sizeof *entries;
        uint64_t ticks = d->created_ticks;
        for (DWORD pid = parent_of(entries, count, d->pid); pid && s->parent_count < AGENT_PARENTS_MAX;
             pid = parent_of(entries, count, pid))
            if (!describe_parent(s, pid, ticks, &ticks))
                break;
        s->provenance[SENDER_FIELD_PARENTS] = AGENT_PROVENANCE_KERNEL;
    }
    if (snapshot != INVALID_HANDLE_VALUE)
        CloseHandle(snapshot);
    free(entries);
}

/* ---- all of it ---- */

static bool fill(struct described *d, uint64_t serial)
{
    char ref[AGENT_REF_BYTES];
    uint8_t sid[SYSTEM_SID_BYTES];
    struct sender *s = d->process.sender;
    FILETIME created = {(DWORD)d->created_ticks, (DWORD)(d->created_ticks >> 32)};
    snprintf(ref, sizeof ref, "%lu.%llu.%llu", d->pid, (unsigned long long)(d->created_ticks / 10000),
             (unsigned long long)serial);
    s->ref = arena_strdup(&s->arena, ref);
    s->pid = d->pid;
    s->start_ms = system_unix_ms(&created);
    s->start_ticks = s->start_ms;
    describe_executable(d);
    describe_arguments(d);
    describe_parents(d);
    bool known = system_user(d->handle, &s->arena, &s->user, sid, sizeof sid);
    s->provenance[SENDER_FIELD_USER] = known ? AGENT_PROVENANCE_KERNEL : AGENT_PROVENANCE_DENIED;
    s->unit = services_of(d->pid, &s->arena);
    s->provenance[SENDER_FIELD_UNIT] = AGENT_PROVENANCE_KERNEL;
    return s->ref != NULL;
}

struct described *describe_process(DWORD pid, uint64_t serial, enum agent_reason *ret_reason)
{
    HANDLE handle = open_process(pid);
    struct described *d = handle ? calloc(1, sizeof *d) : NULL;
    struct sender *s = d ? sender_new() : NULL;
    if (!handle)
        *ret_reason =
            GetLastError() == ERROR_ACCESS_DENIED ? AGENT_REASON_NOT_PERMITTED : AGENT_REASON_VANISHED;
    else
        *ret_reason = AGENT_REASON_FAILED;
    if (!s) {
        if (handle)
            CloseHandle(handle);
        free(d);
        return NULL;
    }
    d->process = (struct process){.refs = 1, .serial = serial, .revision = 1, .sender = s};
    d->handle = handle;
    d->pid = pid;
    d->created_ticks = describe_created(handle);
    if (d->created_ticks > 0 && fill(d, serial))
        return d;
    process_unref(&d->process);
    return NULL;
}

void process_unref(struct process *process)
{
    struct described *d = (struct described *)process;
    if (--process->refs > 0)
        return;
    CloseHandle(d->handle);
    sender_unref(process->sender);
    free(d);
}
