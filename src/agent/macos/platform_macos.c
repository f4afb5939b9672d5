/* platform_macos.c: platform.h for macOS, from libproc as it is when asked. Untested on a Mac: type-checked and linked only.
 *
 * Who holds the client's end now is looked for in all processes, and again once the one that was found is described: it must be the same
 * execution of the same process both times. Several holders are told, not chosen from. */
#include "agent/platform.h"

#include "agent/macos/describe.h"
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
    struct arena looks; /* what the last platform_history() told */
    const char *sentences[4];
    size_t sentence_count;
};

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
    p->sentences[p->sentence_count++] =
        "macOS: of what processes did before, only the libraries they have mapped are seen";
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

bool platform_history(struct platform *p, const struct sender *s, const struct attribution *a,
                      struct agent_history *ret)
{
    const unsigned libraries = 1u << AGENT_HISTORY_TLS_LIBRARY | 1u << AGENT_HISTORY_CRYPTO_LIBRARY;
    (void)a;
    memset(ret, 0, sizeof *ret);
    arena_reset(&p->looks);
    describe_libraries((int)s->pid, &p->looks, ret);
    for (size_t i = 0; i < ret->row_count; i++)
        ret->rows[i].name = s->name;
    ret->not_observable =
        ((1u << AGENT_HISTORY_KIND_COUNT) - 1) & ~libraries; /* CommonCrypto's use never can be */
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
