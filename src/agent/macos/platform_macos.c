/* platform_macos.c: platform.h for macOS, from libproc as it is when asked. Untested on a Mac: type-checked and linked only.
 *
 * Who holds the client's end now is looked for in all processes, and again once the one that was found is described: it must be the same
 * execution of the same process both times. Several holders are told, not chosen from. */
#include "agent/platform.h"

#include "agent/macos/describe.h"
#include "agent/macos/platform_macos.h"
#include "agent/macos/sockets.h"
#include "base/must.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEPT_MAX = 512, LOOKS_BYTES = 256 * 1024 };

struct kept {
    struct process *process; /* counted */
    uint64_t execution;
};

struct platform {
    struct kept kept[KEPT_MAX]; /* the oldest is given up first */
    size_t kept_next;
    uint64_t serial;
    struct arena looks;      /* what the last platform_history() told */
    struct intake *intake;   /* owned; its strings are views like those in `looks` */
    struct streams *streams; /* owned */
    int64_t now_ms, aged_ms;
    const char *sentences[5];
    size_t sentence_count;
};

static const char *const events_command[] = {
    "/usr/bin/eslogger", "fork", "exec", "exit", "open", "create", "close", "rename", "mmap", NULL};
static const char *const log_command[] = {
    "/usr/bin/log",
    "stream",
    "--style",
    "ndjson",
    "--level",
    "default",
    "--predicate",
    "senderImagePath BEGINSWITH \"/System/Library/Frameworks/Security.framework/\" AND eventMessage "
    "BEGINSWITH \"Sec\"",
    NULL};

/* Of a regular file, and never one that would be waited for. */
static int64_t read_head(const char *path, uint8_t *head, size_t size, int64_t *ret_size)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    int64_t n = -1;
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        *ret_size = st.st_size;
        n = read(fd, head, size);
    }
    close(fd);
    return n;
}

/* Only root may have the events told; without them nothing is known of who used a key, either. */
static void begin_streams(struct platform *p)
{
    const char *const *const commands[INTAKE_STREAMS] = {events_command, log_command};
    p->intake = intake_new(read_head);
    p->streams = p->intake && geteuid() == 0 ? streams_new(p->intake, commands) : NULL;
}

void platform_macos_fds(const struct platform *p, int ret[INTAKE_STREAMS])
{
    for (int i = 0; i < INTAKE_STREAMS; i++)
        ret[i] = -1;
    if (p->streams)
        streams_fds(p->streams, ret);
}

void platform_macos_turn(struct platform *p, int64_t now_ms)
{
    enum { AGE_EVERY_MS = 10000 };
    p->now_ms = now_ms;
    if (p->streams)
        streams_turn(p->streams, now_ms);
    if (!p->intake || now_ms - p->aged_ms < AGE_EVERY_MS)
        return;
    p->aged_ms = now_ms;
    intake_age(p->intake, now_ms);
}

struct platform *platform_new(struct platform_early *take_early, const struct knowledge *know,
                              const char **ret_error)
{
    (void)know; /* browsers and what was seen before are not looked at here */
    must(!take_early);
    struct platform *p = calloc(1, sizeof *p);
    if (!p) {
        *ret_error = "no memory";
        return NULL;
    }
    arena_init(&p->looks, LOOKS_BYTES);
    p->sentences[p->sentence_count++] = "macOS: who holds a connection now is known; who opened it is not";
    begin_streams(p);
    p->sentences[p->sentence_count++] =
        p->streams
            ? "macOS: what processes did is told by eslogger and log, where they may run (full disk access)"
            : "macOS: of what processes did before, only the libraries they have mapped are seen";
    p->sentences[p->sentence_count++] = "macOS: the use of CommonCrypto cannot be observed";
    if (geteuid() != 0)
        p->sentences[p->sentence_count++] = "macOS: other users' processes: not root";
    return p;
}

void platform_free(struct platform *p)
{
    for (size_t i = 0; i < KEPT_MAX; i++)
        if (p->kept[i].process)
            process_unref(p->kept[i].process);
    arena_reset(&p->looks);
    streams_free(p->streams);
    intake_free(p->intake);
    free(p);
}

const char *platform_owner(const struct platform *p)
{
    (void)p;
    return "snapshot";
}

size_t platform_degraded(const struct platform *p, const char *const **ret_sentences)
{
    *ret_sentences = p->sentences;
    return p->sentence_count;
}

static struct process *describe(struct platform *p, int pid, uint64_t execution)
{
    for (size_t i = 0; i < KEPT_MAX; i++)
        if (p->kept[i].process && p->kept[i].execution == execution && p->kept[i].process->sender->pid == pid)
            return p->kept[i].process;
    struct process *made = describe_process(pid, ++p->serial);
    if (!made)
        return NULL;
    struct kept *place = &p->kept[p->kept_next++ % KEPT_MAX];
    if (place->process)
        process_unref(place->process);
    *place = (struct kept){made, execution};
    return made;
}

static enum agent_reason attribute(struct platform *p, struct attribution *a)
{
    struct sockets_found found, again;
    if (!sockets_find(&a->client, &a->proxy, a->peer_uid, &found))
        return AGENT_REASON_FAILED;
    if (!found.listens)
        return AGENT_REASON_NOT_OURS;
    if (found.count == 0)
        return found.denied ? AGENT_REASON_NOT_PERMITTED : AGENT_REASON_NO_SUCH_SOCKET;
    if (found.count > 1) {
        a->confidence = AGENT_CONFIDENCE_AMBIGUOUS;
        for (size_t i = 0; i < found.count; i++)
            a->holders[a->holder_count++] = found.pids[i];
        return AGENT_REASON_SEVERAL_HOLDERS;
    }
    uint64_t execution = describe_execution(found.pids[0]);
    struct process *process = execution ? describe(p, found.pids[0], execution) : NULL;
    if (!process)
        return AGENT_REASON_VANISHED;
    if (!sockets_find(&a->client, &a->proxy, a->peer_uid, &again) || again.count != 1 ||
        again.pids[0] != found.pids[0] || describe_execution(found.pids[0]) != execution)
        return AGENT_REASON_CHANGED;
    a->process = process;
    a->process->refs++;
    a->confidence = AGENT_CONFIDENCE_EXACT;
    return AGENT_REASON_NONE;
}

void platform_attribute(struct platform *p, struct attribution *const *batch, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        batch[i]->basis = AGENT_BASIS_HOLDER_NOW;
        batch[i]->confidence = AGENT_CONFIDENCE_UNKNOWN;
        batch[i]->reason = attribute(p, batch[i]);
    }
}

const char *platform_name(void)
{
    return "macos";
}

/* What will never be seen; what is not seen just now each answer says. */
unsigned platform_not_observable(const struct platform *p)
{
    return intake_never(p->streams != NULL) &
           ~(1u << AGENT_HISTORY_TLS_LIBRARY | 1u << AGENT_HISTORY_CRYPTO_LIBRARY);
}

bool platform_history(struct platform *p, const struct sender *s, const struct attribution *a,
                      struct agent_history *ret)
{
    const unsigned libraries = 1u << AGENT_HISTORY_TLS_LIBRARY | 1u << AGENT_HISTORY_CRYPTO_LIBRARY;
    const int64_t ms_per_s = 1000;
    (void)a;
    memset(ret, 0, sizeof *ret);
    arena_reset(&p->looks);
    if (p->streams)
        streams_turn(p->streams, p->now_ms); /* what came before the question is told with the answer */
    ret->not_observable = (1u << AGENT_HISTORY_KIND_COUNT) - 1; /* CommonCrypto's use never can be */
    if (p->intake)
        intake_ask(p->intake, s->pid, s->start_ms / ms_per_s, p->now_ms, ret);
    size_t told = ret->row_count;
    describe_libraries((int)s->pid, &p->looks, ret); /* those from before the agent */
    for (size_t i = told; i < ret->row_count; i++)
        ret->rows[i].name = s->name;
    ret->not_observable &= ~libraries;
    return true;
}

bool platform_history_losses(struct platform *p, struct agent_losses *ret)
{
    if (!p->streams)
        return false;
    intake_losses(p->intake, ret);
    return true;
}

int platform_open_executable(struct process *process)
{
    const char *path = process->sender->executable;
    return path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
}

bool platform_file_key(int fd, struct file_key *ret)
{
    const int64_t ns_per_s = 1000000000;
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return false;
    *ret = (struct file_key){.device = (uint64_t)st.st_dev,
                             .inode = st.st_ino,
                             .size = (uint64_t)st.st_size,
                             .mtime_ns = st.st_mtimespec.tv_sec * ns_per_s + st.st_mtimespec.tv_nsec,
                             .ctime_ns = st.st_ctimespec.tv_sec * ns_per_s + st.st_ctimespec.tv_nsec};
    return true;
}

void platform_host(char name[AGENT_NAME_BYTES], char id[AGENT_NAME_BYTES])
{
    id[0] = '\0';
    if (gethostname(name, AGENT_NAME_BYTES) != 0)
        snprintf(name, AGENT_NAME_BYTES, "mac");
    name[AGENT_NAME_BYTES - 1] = '\0';
}
