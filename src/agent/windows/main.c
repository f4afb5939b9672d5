/* main.c: exeat-agent.exe: the plain core behind a named pipe, which speaks the protocol of agent_protocol.h as the Unix socket of the
 * other agents does. Administrators, the system, the agent's own user and those it was told to allow may ask, from this host only.
 * Exit: 0 ended by Ctrl-C, 1 could not start, 2 usage. */
#include "agent/windows/system.h"

#include "agent/plain/plain.h"
#include "base/must.h"

#include <sddl.h>
#include <stdio.h>
#include <stdlib.h>

#define PIPE_DEFAULT "\\\\.\\pipe\\exeat-agent"

enum { LINKS_MAX = 16, ALLOWED_MAX = 16, READ_BYTES = 16384, WRITE_WAIT_MS = 1000, SDDL_BYTES = 4096 };

static const char help[] =
    "exeat-agent: tells a local Exeat proxy which process is behind a connection\n"
    "\n"
    "usage: exeat-agent [--pipe NAME] [--allow-user NAME]...\n"
    "\n"
    "  --pipe NAME        where the proxy connects (default " PIPE_DEFAULT ")\n"
    "  --allow-user NAME  this user may ask, beside administrators, the system and the\n"
    "                     agent's own user (several times)\n"
    "  --version, --help\n"
    "\n"
    "It runs in the foreground until Ctrl-C. Without an administrator's rights it sees little of\n"
    "other users' processes.\n";

/* One instance of the pipe, and who is at its other end. */
struct instance {
    HANDLE pipe;
    OVERLAPPED reading; /* or connecting; its event is owned */
    struct plain_link *link;
    uint8_t in[READ_BYTES];
};

static struct instance instances[LINKS_MAX];
static HANDLE stop_event;

static BOOL WINAPI on_console(DWORD what)
{
    (void)what;
    return SetEvent(stop_event);
}

/* ---- who may ask ---- */

static int allow_sid(struct buf *sddl, PSID sid)
{
    char *text;
    if (!ConvertSidToStringSidA(sid, &text))
        return -1;
    int result = buf_printf(sddl, "(A;;GRGW;;;%s)", text);
    LocalFree(text);
    return result;
}

static int allow_self(struct buf *sddl)
{
    uint8_t sid[SYSTEM_SID_BYTES];
    return system_user(GetCurrentProcess(), NULL, NULL, sid, sizeof sid) ? allow_sid(sddl, sid) : -1;
}

static int allow_named(struct buf *sddl, const char *name)
{
    uint8_t sid[SYSTEM_SID_BYTES];
    char domain[256];
    DWORD size = sizeof sid, domain_size = sizeof domain;
    SID_NAME_USE use;
    if (LookupAccountNameA(NULL, name, sid, &size, domain, &domain_size, &use))
        return allow_sid(sddl, sid);
    fprintf(stderr, "exeat-agent: no user is named %s\n", name);
    return -1;
}

/* ---- the pipe ---- */

static bool make_instance(struct instance *i, const char *name, const char *sddl, bool is_first)
{
    SECURITY_ATTRIBUTES attributes = {.nLength = sizeof attributes};
    if (!ConvertStringSecurityDescriptorToSecurityDescriptorA(sddl, SDDL_REVISION_1,
                                                              &attributes.lpSecurityDescriptor, NULL))
        return false;
    DWORD first = is_first ? FILE_FLAG_FIRST_PIPE_INSTANCE : 0; /* nobody else's is answered on */
    i->pipe = CreateNamedPipeA(name, PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED | first,
                               PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS,
                               LINKS_MAX, READ_BYTES, READ_BYTES, 0, &attributes);
    LocalFree(attributes.lpSecurityDescriptor);
    i->reading.hEvent = CreateEventA(NULL, TRUE, FALSE, NULL);
    return i->pipe != INVALID_HANDLE_VALUE && i->reading.hEvent;
}

/* Waits for the next to connect. */
static void await_peer(struct instance *i)
{
    ResetEvent(i->reading.hEvent);
    if (!ConnectNamedPipe(i->pipe, &i->reading) && GetLastError() == ERROR_PIPE_CONNECTED)
        SetEvent(i->reading.hEvent);
}

static void begin_read(struct instance *i)
{
    ResetEvent(i->reading.hEvent);
    if (!ReadFile(i->pipe, i->in, sizeof i->in, NULL, &i->reading) && GetLastError() != ERROR_IO_PENDING)
        SetEvent(i->reading.hEvent); /* its result says so */
}

static void end_link(struct instance *i)
{
    if (i->link)
        plain_link_close(i->link);
    i->link = NULL;
    CancelIo(i->pipe);
    DisconnectNamedPipe(i->pipe);
    await_peer(i);
}

/* All that waits, or the link ends: who doesn't read for a second isn't waited for by the others. */
static void flush(struct instance *i)
{
    struct buf *out = i->link ? plain_link_out(i->link) : NULL;
    while (out && buf_len(out) > 0) {
        OVERLAPPED writing = {.hEvent = CreateEventA(NULL, TRUE, FALSE, NULL)};
        DWORD n = 0;
        bool good = WriteFile(i->pipe, buf_span(out).data, (DWORD)buf_len(out), NULL, &writing) != 0 ||
                    GetLastError() == ERROR_IO_PENDING;
        if (good && WaitForSingleObject(writing.hEvent, WRITE_WAIT_MS) != WAIT_OBJECT_0)
            CancelIoEx(i->pipe, &writing);
        good = good && GetOverlappedResult(i->pipe, &writing, &n, TRUE) && n > 0;
        CloseHandle(writing.hEvent);
        if (!good) {
            end_link(i);
            return;
        }
        buf_consume(out, n);
    }
}

static void take_event(struct plain *core, struct instance *i)
{
    DWORD n = 0;
    bool good = GetOverlappedResult(i->pipe, &i->reading, &n, FALSE) != 0 || (!i->link && n == 0);
    if (!i->link) { /* it has connected */
        ULONG pid = 0;
        i->link = good && GetNamedPipeClientProcessId(i->pipe, &pid) ? plain_link_open(core, -1, (int64_t)pid)
                                                                     : NULL;
        good = i->link != NULL;
    } else {
        good = good && n > 0 && plain_link_take(i->link, span_of(i->in, n), (int64_t)GetTickCount64()) == 0;
    }
    if (!good) {
        end_link(i);
        return;
    }
    begin_read(i);
}

static void serve(struct plain *core)
{
    HANDLE events[LINKS_MAX + 1];
    events[LINKS_MAX] = stop_event;
    for (int i = 0; i < LINKS_MAX; i++) {
        events[i] = instances[i].reading.hEvent;
        await_peer(&instances[i]);
    }
    for (;;) {
        int wait_ms = plain_turn(core, (int64_t)GetTickCount64());
        for (int i = 0; i < LINKS_MAX; i++)
            flush(&instances[i]);
        DWORD event =
            WaitForMultipleObjects(LINKS_MAX + 1, events, FALSE, wait_ms < 0 ? INFINITE : (DWORD)wait_ms);
        if (event == WAIT_OBJECT_0 + LINKS_MAX || event == WAIT_FAILED)
            return;
        for (int i = 0; i < LINKS_MAX; i++) /* each in turn, not the first one again and again */
            if (WaitForSingleObject(events[i], 0) == WAIT_OBJECT_0)
                take_event(core, &instances[i]);
    }
}

/* -1 to go on, else the exit status. */
static int take_options(int argc, char **argv, const char **ret_pipe, struct buf *sddl)
{
    for (int i = 1; i < argc; i++) {
        bool has_value = i + 1 < argc;
        if (strcmp(argv[i], "--help") == 0) {
            fputs(help, stdout);
            return 0;
        }
        if (strcmp(argv[i], "--version") == 0) {
            puts("exeat-agent " EXEAT_VERSION);
            return 0;
        }
        if (has_value && strcmp(argv[i], "--pipe") == 0) {
            *ret_pipe = argv[++i];
        } else if (has_value && strcmp(argv[i], "--allow-user") == 0) {
            if (allow_named(sddl, argv[++i]) != 0)
                return 1;
        } else {
            fprintf(stderr, "exeat-agent: what is \"%s\"? Try --help\n", argv[i]);
            return 2;
        }
    }
    return -1;
}

int main(int argc, char **argv)
{
    const char *pipe = PIPE_DEFAULT, *error = "";
    struct buf sddl;
    buf_init(&sddl, SDDL_BYTES);
    buf_append_str(&sddl, "D:P(A;;GA;;;SY)(A;;GA;;;BA)");
    int status = take_options(argc, argv, &pipe, &sddl);
    if (status >= 0)
        return status;
    stop_event = CreateEventA(NULL, TRUE, FALSE, NULL);
    SetConsoleCtrlHandler(on_console, TRUE);
    struct plain *core = plain_new(NULL, &error);
    bool made = core && stop_event && allow_self(&sddl) == 0 && buf_append(&sddl, "", 1) == 0;
    for (int i = 0; made && i < LINKS_MAX; i++)
        made = make_instance(&instances[i], pipe, (const char *)buf_span(&sddl).data, i == 0);
    if (!made) {
        fprintf(stderr, "exeat-agent: %s cannot be served: %s (error %lu)\n", pipe, error, GetLastError());
        return 1;
    }
    printf("serving %s\n", pipe);
    fflush(stdout);
    serve(core);
    for (int i = 0; i < LINKS_MAX; i++)
        if (instances[i].link)
            plain_link_close(instances[i].link);
    plain_free(core);
    buf_free(&sddl);
    return 0;
}
