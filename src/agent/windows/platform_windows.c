/* platform_windows.c: platform.h for Windows, from its tables as they are when asked: no driver, no event tracing.
 *
 * Windows notes in a connection's row which process made the socket, and keeps that when the handle is given to others: basis `connect`,
 * and whether others hold it now is not known. A number can be another process' by the time that it is looked at: the process must be
 * older than the row, and the row must still say the same when the process is held. */
#include "agent/platform.h"

#include "agent/windows/connections.h"
#include "agent/windows/describe.h"
#include "agent/windows/modules.h"
#include "base/must.h"

#include <fcntl.h>
#include <io.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEPT_MAX = 256, PID_SYSTEM = 4, LOOKS_BYTES = 256 * 1024 };

struct platform {
    struct described *kept[KEPT_MAX]; /* counted; the oldest is given up first */
    size_t kept_next;
    uint64_t serial;
    struct arena looks; /* what the last platform_history() told */
};

struct platform *platform_new(struct platform_early *take_early, const struct knowledge *know,
                              const char **ret_error)
{
    (void)know; /* browsers and what was seen before are not looked at here */
    must(!take_early);
    struct platform *p = calloc(1, sizeof *p);
    if (!p)
        *ret_error = "no memory";
    else
        arena_init(&p->looks, LOOKS_BYTES);
    return p;
}

void platform_free(struct platform *p)
{
    for (size_t i = 0; i < KEPT_MAX; i++)
        if (p->kept[i])
            process_unref(&p->kept[i]->process);
    arena_reset(&p->looks);
    free(p);
}

const char *platform_owner(const struct platform *p)
{
    (void)p;
    return "snapshot";
}

size_t platform_degraded(const struct platform *p, const char *const **ret_sentences)
{
    static const char *const sentences[] = {
        "Windows: who made a connection is known; who else holds it now is not",
        "Windows: of what processes did before, only the libraries they have loaded are seen",
        "Windows: signatures in catalogs are not looked for, only those in files",
        "Windows: whether users can write a file is not looked at: its path is no identity",
    };
    (void)p;
    *ret_sentences = sentences;
    return ARRAY_LEN(sentences);
}

/* ---- who ---- */

/* The one that is kept cannot end up with another's number, not even when it has ended: its handle is open. */
static struct described *find_kept(struct platform *p, DWORD pid)
{
    for (size_t i = 0; i < KEPT_MAX; i++)
        if (p->kept[i] && p->kept[i]->pid == pid)
            return p->kept[i];
    return NULL;
}

static struct described *describe(struct platform *p, DWORD pid, enum agent_reason *ret_reason)
{
    struct described *d = find_kept(p, pid);
    if (d)
        return d;
    d = describe_process(pid, ++p->serial, ret_reason);
    if (!d)
        return NULL;
    struct described **place = &p->kept[p->kept_next++ % KEPT_MAX];
    if (*place)
        process_unref(&(*place)->process);
    *place = d;
    return d;
}

static bool user_of(DWORD pid, uint8_t sid[SYSTEM_SID_BYTES])
{
    HANDLE process = OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, FALSE, pid);
    bool known = process && system_user(process, NULL, NULL, sid, SYSTEM_SID_BYTES);
    if (process)
        CloseHandle(process);
    return known;
}

/* Does the one who asks, or another program of the same user, listen there? */
static bool is_peers_listener(const struct attribution *a)
{
    uint8_t peer[SYSTEM_SID_BYTES] = {0}, owner[SYSTEM_SID_BYTES] = {0};
    struct connection listener;
    if (a->peer_pid <= 0 || connection_listener(&a->proxy, &listener) != CONNECTION_FOUND)
        return false;
    if (listener.pid == (DWORD)a->peer_pid)
        return true;
    return user_of((DWORD)a->peer_pid, peer) && user_of(listener.pid, owner) && EqualSid(peer, owner);
}

static bool is_still(const struct attribution *a, const struct connection *was)
{
    struct connection now;
    return connection_find(&a->client, &a->proxy, &now) == CONNECTION_FOUND && now.pid == was->pid &&
           now.created_ticks == was->created_ticks;
}

static enum agent_reason attribute(struct platform *p, struct attribution *a)
{
    static const enum agent_reason reasons[] = {[CONNECTION_NONE] = AGENT_REASON_NO_SUCH_SOCKET,
                                                [CONNECTION_SEVERAL] = AGENT_REASON_SEVERAL_SOCKETS,
                                                [CONNECTION_FAILED] = AGENT_REASON_FAILED};
    struct connection c;
    enum agent_reason reason = AGENT_REASON_NONE;
    if (!is_peers_listener(a))
        return AGENT_REASON_NOT_OURS;
    enum connection_answer found = connection_find(&a->client, &a->proxy, &c);
    if (found != CONNECTION_FOUND)
        return reasons[found];
    if (c.pid == 0)
        return AGENT_REASON_ORPHAN;
    if (c.pid == PID_SYSTEM)
        return AGENT_REASON_KERNEL;
    struct described *d = describe(p, c.pid, &reason);
    if (!d)
        return reason;
    if ((c.created_ticks && d->created_ticks > c.created_ticks) || !is_still(a, &c))
        return AGENT_REASON_CHANGED;
    a->process = &d->process;
    a->process->refs++;
    if (!describe_has_ended(d))
        return AGENT_REASON_NONE;
    a->connect.handed_over = 1; /* who made it is gone, and it lives: somebody else has it */
    return AGENT_REASON_HANDED_OVER;
}

void platform_attribute(struct platform *p, struct attribution *const *batch, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct attribution *a = batch[i];
        a->basis = AGENT_BASIS_CONNECT;
        a->connect =
            (struct agent_connect){0, -1, -1, -1}; /* a process here never executes another program */
        a->reason = attribute(p, a);
        a->confidence = !a->process                             ? AGENT_CONFIDENCE_UNKNOWN
                        : a->reason == AGENT_REASON_HANDED_OVER ? AGENT_CONFIDENCE_STALE
                                                                : AGENT_CONFIDENCE_EXACT;
    }
}

static const unsigned observable = 1u << AGENT_HISTORY_TLS_LIBRARY | 1u << AGENT_HISTORY_CRYPTO_LIBRARY,
                      all = (1u << AGENT_HISTORY_KIND_COUNT) - 1;

const char *platform_name(void)
{
    return "windows";
}

unsigned platform_not_observable(const struct platform *p)
{
    (void)p;
    return all & ~observable;
}

bool platform_history(struct platform *p, const struct sender *s, const struct attribution *a,
                      struct agent_history *ret)
{
    (void)a;
    memset(ret, 0, sizeof *ret);
    arena_reset(&p->looks);
    bool looked = modules_look((DWORD)s->pid, &p->looks, ret);
    for (size_t i = 0; i < ret->row_count; i++)
        ret->rows[i].name = s->name;
    ret->not_observable = looked ? all & ~observable : all;
    return true;
}

bool platform_history_losses(struct platform *p, struct agent_losses *ret)
{
    (void)p, (void)ret; /* nothing is followed */
    return false;
}

/* ---- files and the host ---- */

int platform_open_executable(struct process *process)
{
    wchar_t path[AGENT_PATH_BYTES];
    const char *executable = process->sender->executable;
    if (!executable || !MultiByteToWideChar(CP_UTF8, 0, executable, -1, path, AGENT_PATH_BYTES))
        return -1;
    HANDLE file = describe_open_file(path);
    int fd = file == INVALID_HANDLE_VALUE ? -1 : _open_osfhandle((intptr_t)file, _O_RDONLY | _O_BINARY);
    if (fd < 0 && file != INVALID_HANDLE_VALUE)
        CloseHandle(file);
    return fd;
}

bool platform_file_key(int fd, struct file_key *ret)
{
    return describe_file_key((HANDLE)_get_osfhandle(fd), ret);
}

void platform_host(char name[AGENT_NAME_BYTES], char id[AGENT_NAME_BYTES])
{
    wchar_t wide[AGENT_NAME_BYTES];
    char guid[64];
    DWORD len = AGENT_NAME_BYTES, size = sizeof guid;
    name[0] = id[0] = '\0';
    if (GetComputerNameExW(ComputerNameDnsHostname, wide, &len))
        WideCharToMultiByte(CP_UTF8, 0, wide, -1, name, AGENT_NAME_BYTES, NULL, NULL);
    if (RegGetValueA(HKEY_LOCAL_MACHINE, "SOFTWARE\\Microsoft\\Cryptography", "MachineGuid", RRF_RT_REG_SZ,
                     NULL, guid, &size) == ERROR_SUCCESS)
        snprintf(id, AGENT_NAME_BYTES, "%s", guid);
    if (!name[0])
        snprintf(name, AGENT_NAME_BYTES, "windows");
}
