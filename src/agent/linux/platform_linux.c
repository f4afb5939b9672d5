/* platform_linux.c: the Linux back end of platform.h: sock_diag says which socket, caller.c who connected it, by the
 * kernel's records. Where it has none (no BPF; a socket older than the agent) owner.c says who holds it, the process
 * table and describe.c who that is. A process is named only if it ran the same program before and after it was seen
 * to hold the socket, and the socket was the same one throughout. */
#include "agent/linux/bypass.h"
#include "agent/linux/caller.h"
#include "agent/linux/around.h"
#include "agent/frozen.h"
#include "agent/linux/describe.h"
#include "agent/linux/holders.h"
#include "agent/linux/observer.h"
#include "agent/linux/lock.h"
#include "agent/linux/owner.h"
#include "agent/linux/sock_diag.h"
#include "agent/platform.h"
#include "base/descriptors.h"
#include "base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/capability.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    BATCH_MAX = 64,
    DESCRIBED_FOR_MS = 60000,
    CONFIRM_TRIES = 2,
    PURGE_TICKS = 50,
    WATCHED_MAX = 16384,
    WATCHED_BY_PROC_MAX = 64,
    DESCRIPTORS = 8192,       /* one each of many processes that are described */
    LISTENER_FRESH_MS = 1000, /* a listener found to be the peer's is not looked at for each ask */
};
static const ino_t INIT_PID_NAMESPACE = 0xEFFFFFFC; /* the inode of the first one, fixed by the kernel */

struct platform_early {
    struct owner_bpf *bpf; /* owned; NULL: why_not says why */
    char why_not[OWNER_BPF_WHY_BYTES];
    struct observer *observer; /* owned; NULL: there is no history */
    struct bypass *bypass;     /* owned; NULL: why_no_bypass says why */
    char why_no_bypass[AROUND_WHY_BYTES];
};

struct platform {
    struct platform_early *early; /* owned; its bpf is the caller's */
    struct caller caller;
    struct owner owner;
    struct holders holders;
    struct process_table table;
    struct describer describer;
    int diagfd;
    unsigned ticks;
    struct listener_seen {
        struct endpoint proxy;
        int64_t peer_uid, until_ms;
    } listener;                               /* the last one found to be its peer's own */
    const char *degraded[AGENT_DEGRADED_MAX]; /* literals, or views into early */
    size_t degraded_count;
};

/* ---- what works here ---- */

static void degrade(struct platform *p, const char *sentence)
{
    if (p->degraded_count < ARRAY_LEN(p->degraded))
        p->degraded[p->degraded_count++] = sentence;
}

static bool has_capability(cap_value_t value)
{
    cap_t caps = cap_get_proc();
    cap_flag_value_t set = CAP_CLEAR;
    if (caps && cap_get_flag(caps, value, CAP_EFFECTIVE, &set) != 0)
        set = CAP_CLEAR;
    cap_free(caps);
    return set == CAP_SET;
}

static void find_degradations(struct platform *p)
{
    struct stat st;
    const char *history[OBSERVER_SENTENCES_MAX];
    if (!p->caller.bpf) {
        degrade(p, p->early ? p->early->why_not : "no BPF: nobody asked for it");
        degrade(p, "without BPF the answer is who holds the socket now, not who connected it");
    }
    if (!has_capability(CAP_SYS_PTRACE))
        degrade(p, "no CAP_SYS_PTRACE: other users' processes cannot be looked into");
    if (!has_capability(CAP_DAC_READ_SEARCH))
        degrade(p, "no CAP_DAC_READ_SEARCH: files that only their owner may read are not hashed");
    if (stat("/proc/self/ns/pid", &st) != 0 || st.st_ino != INIT_PID_NAMESPACE)
        degrade(p, "inside a pid namespace: processes outside it are not seen");
    if (stat("/proc/1", &st) != 0)
        degrade(p, "/proc hides other users' processes (hidepid)");
    if (!p->early || !p->early->observer)
        degrade(p, "history: what processes did is not remembered: it was told to go without");
    else
        for (size_t i = observer_degraded(p->early->observer, history); i > 0; i--)
            degrade(p, history[i - 1]);
    if (!p->early || !p->early->bypass)
        degrade(p, p->early ? p->early->why_no_bypass : "what goes around the proxy is not seen");
    if (p->describer.packages.path_count == 0)
        degrade(p, "no dpkg database: packages are not known");
}

size_t platform_degraded(const struct platform *p, const char *const **ret_sentences)
{
    *ret_sentences = p->degraded;
    return p->degraded_count;
}

struct platform_early *platform_early_new(bool want_bpf)
{
    struct platform_early *early = calloc(1, sizeof *early);
    if (!early)
        return NULL;
    snprintf(early->why_not, sizeof early->why_not, "no BPF: it was told to go without");
    early->bpf = want_bpf ? owner_bpf_new(early->why_not) : NULL;
    snprintf(early->why_no_bypass, sizeof early->why_no_bypass,
             "what goes around the proxy is not seen: it was told to go without");
    early->bypass = want_bpf ? bypass_new(early->why_no_bypass) : NULL;
    return early;
}

void platform_early_watch(struct platform_early *early, const struct history_options *options)
{
    if (early)
        early->observer = observer_new(options);
}

void platform_early_free(struct platform_early *early)
{
    if (early) {
        owner_bpf_free(early->bpf);
        bypass_free(early->bypass);
        observer_free(early->observer);
    }
    free(early);
}

/* What the kernel writes down must still be readable with the rights that are left. */
static struct owner_bpf *take_bpf(struct platform_early *early)
{
    struct owner_bpf *bpf = early ? early->bpf : NULL;
    if (early)
        early->bpf = NULL;
    if (!bpf || owner_bpf_is_readable(bpf))
        return bpf;
    snprintf(early->why_not, sizeof early->why_not,
             "no BPF: this kernel lets only CAP_BPF read what it wrote down (Linux 5.19 is needed)");
    owner_bpf_free(bpf);
    return NULL;
}

struct platform *platform_new(struct platform_early *take_early, const struct knowledge *know,
                              const char **ret_error)
{
    struct platform *p = calloc(1, sizeof *p);
    if (!p) {
        platform_early_free(take_early);
        *ret_error = "out of memory";
        return NULL;
    }
    descriptors_reserve(DESCRIPTORS);
    p->diagfd = sock_diag_open();
    if (owner_init(&p->owner) != 0 || p->diagfd < 0) {
        *ret_error = p->diagfd < 0 ? "NETLINK_SOCK_DIAG cannot be opened" : "/proc cannot be opened";
        owner_free(&p->owner);
        platform_early_free(take_early);
        if (p->diagfd >= 0)
            close(p->diagfd);
        free(p);
        return NULL;
    }
    p->early = take_early;
    process_table_init(&p->table, p->owner.procfd);
    must(describer_init(&p->describer, p->owner.procfd, know) == 0);
    caller_init(&p->caller, take_bpf(take_early), &p->describer, &p->table, p->diagfd);
    p->holders.bpf = p->caller.bpf;
    if (p->caller.bpf)
        caller_seed(&p->caller);
    if (p->early && p->early->observer)
        observer_begin(p->early->observer, p->owner.procfd);
    find_degradations(p);
    return p;
}

void platform_free(struct platform *p)
{
    caller_free(&p->caller);
    process_table_free(&p->table);
    describer_free(&p->describer);
    owner_free(&p->owner);
    close(p->diagfd);
    platform_early_free(p->early);
    free(p);
}

const char *platform_owner(const struct platform *p)
{
    return p->caller.bpf ? "bpf" : "proc";
}

void platform_expect(struct platform *p, const struct endpoint *proxy)
{
    if (p->caller.bpf)
        owner_bpf_tell_port(p->caller.bpf, proxy->port);
}

int platform_events_fd(const struct platform *p)
{
    return p->caller.bpf ? owner_bpf_events_fd(p->caller.bpf) : -1;
}

void platform_look_ahead(struct platform *p, void (*on_process)(void *context, int64_t pid, bool ended),
                         void *context)
{
    caller_look_ahead(&p->caller, on_process, context);
}

/* Without the kernel's records each look may be one at all processes. */
size_t platform_watch_max(const struct platform *p)
{
    return p->caller.bpf ? WATCHED_MAX : WATCHED_BY_PROC_MAX;
}

static struct observer *observer_of(const struct platform *p)
{
    return p->early ? p->early->observer : NULL;
}

int platform_history_fd(const struct platform *p)
{
    return observer_of(p) ? observer_fd(observer_of(p)) : -1;
}

void platform_history_turn(struct platform *p)
{
    observer_turn(observer_of(p));
}

void platform_history_walk(struct platform *p)
{
    observer_walk(observer_of(p));
}

bool platform_history_wants_walk(struct platform *p)
{
    return observer_wants_walk(observer_of(p));
}

bool platform_history_scan_next(struct platform *p, struct history_scan *ret)
{
    return observer_scan_next(observer_of(p), ret);
}

void platform_history_scan(const struct platform *p, struct history_scan *job)
{
    observer_scan(observer_of(p), job);
}

void platform_history_scan_done(struct platform *p, const struct history_scan *job)
{
    observer_scan_done(observer_of(p), job);
}

const char *platform_name(void)
{
    return "linux";
}

unsigned platform_not_observable(const struct platform *p)
{
    return observer_of(p) ? observer_not_observable(observer_of(p)) : (1u << AGENT_HISTORY_KIND_COUNT) - 1;
}

bool platform_history(struct platform *p, const struct sender *s, const struct attribution *a,
                      struct agent_history *ret)
{
    return observer_of(p) && observer_ask(observer_of(p), s, a, ret);
}

bool platform_history_losses(struct platform *p, struct agent_losses *ret)
{
    if (!observer_of(p))
        return false;
    observer_losses(observer_of(p), ret);
    return true;
}

void platform_tick(struct platform *p)
{
    owner_sample(&p->owner);
    holders_tick(&p->holders);
    if (++p->ticks % PURGE_TICKS != 0)
        return;
    process_table_purge(&p->table);
    if (p->caller.bpf)
        caller_say_losses(&p->caller);
}

/* ---- what goes around ---- */

int platform_around_fd(const struct platform *p)
{
    return p->early && p->early->bypass ? bypass_fd(p->early->bypass) : -1;
}

void platform_around_take_in(struct platform *p)
{
    if (p->early && p->early->bypass)
        bypass_take_in(p->early->bypass);
}

bool platform_around(struct platform *p, struct agent_around *ret)
{
    struct timespec t;
    bool changed = false;
    clock_gettime(CLOCK_REALTIME, &t);
    if (p->early && p->early->bypass)
        changed = bypass_sum_up(p->early->bypass, ret, t.tv_sec * 1000 + t.tv_nsec / 1000000);
    else
        snprintf(ret->why_not, sizeof ret->why_not, "%s", p->early ? p->early->why_no_bypass : "");
    ret->lock = lock_look();
    return changed;
}

void platform_except(struct platform *p, int64_t pid, bool is_proxy)
{
    if (p->early && p->early->bypass)
        bypass_except(p->early->bypass, pid, is_proxy);
}

void platform_host(char name[AGENT_NAME_BYTES], char id[AGENT_NAME_BYTES])
{
    name[0] = id[0] = 0;
    if (gethostname(name, AGENT_NAME_BYTES - 1) != 0 || !name[0])
        snprintf(name, AGENT_NAME_BYTES, "localhost");
    name[AGENT_NAME_BYTES - 1] = 0;
    char text[64];
    if (proc_read_at(AT_FDCWD, "/etc/machine-id", text, sizeof text) >= 32 &&
        strspn(text, "0123456789abcdef") == 32)
        snprintf(id, AGENT_NAME_BYTES, "%.32s", text);
}

enum agent_keep_outcome platform_keep(struct platform *p, const struct agent_keep *keep, int64_t peer_uid,
                                      struct agent_history *ret, int64_t *ret_until_ms)
{
    return observer_of(p) ? observer_keep(observer_of(p), keep, peer_uid, ret, ret_until_ms)
                          : AGENT_KEEP_UNKNOWN;
}

unsigned platform_keep_max(const struct platform *p)
{
    return observer_of(p) ? FROZEN_MAX : 0;
}

bool platform_keep_is_full(const struct platform *p)
{
    return observer_of(p) && observer_keep_is_full(observer_of(p));
}

void platform_count(struct platform *p, const struct sender *s, uint64_t accepted_cookie, int64_t peer_uid)
{
    if (observer_of(p))
        observer_count(observer_of(p), s, accepted_cookie, peer_uid);
}

int platform_quick_fd(const struct platform *p)
{
    return p->caller.bpf ? owner_bpf_look_fd(p->caller.bpf) : -1;
}

/* ---- files to hash ---- */

/* Never waits for a FIFO's writer; O_NOATIME is not ours to ask for. */
static int open_file(const char *path)
{
    return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

static bool key_equal(const struct file_key *a, const struct file_key *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

bool platform_file_key(int fd, struct file_key *ret)
{
    struct statx st;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &st) != 0 || !S_ISREG(st.stx_mode))
        return false;
    *ret = file_key_of(&st);
    return true;
}

/* The file with this key at the path, or -1. */
static int open_same(const char *path, const struct file_key *wanted)
{
    struct file_key key;
    int fd = open_file(path);
    if (fd >= 0 && (!platform_file_key(fd, &key) || !key_equal(&key, wanted))) {
        close(fd);
        return -1;
    }
    return fd;
}

int platform_open_executable(struct process *process)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%lld/exe", (long long)process->sender->pid);
    int fd = open_same(
        path, &process->executable); /* not when the number is another's, or it runs another program */
    if (fd < 0 && process->sender->executable)
        fd = open_same(process->sender->executable, &process->executable);
    return fd;
}

int platform_open_script(struct process *process)
{
    return process->script_path[0] ? open_file(process->script_path) : -1;
}

/* ---- attribution ---- */

static void set_unknown(struct attribution *a, enum agent_reason reason)
{
    a->confidence = AGENT_CONFIDENCE_UNKNOWN;
    a->reason = reason;
}

/* Makes sure that the entry has an image of what the process runs according to `id`. */
static int refresh_image(struct platform *p, struct entry *e, const struct identity *id)
{
    int64_t now = owner_now_ms();
    bool valid = e->image && identity_equal(&e->identity, id) && identity_is_random(id) &&
                 now - e->described_ms < DESCRIBED_FOR_MS;
    if (valid)
        return 0;
    if (e->image)
        process_unref(e->image);
    e->image = describe(&p->describer, e, id, NULL);
    e->identity = *id;
    e->described_ms = now;
    return e->image ? 0 : -1;
}

static enum agent_reason confirm_once(struct platform *p, struct entry *e, uint32_t inode)
{
    struct identity before, after;
    if (!identity_read(e, &before))
        return errno == EACCES || errno == EPERM ? AGENT_REASON_NOT_PERMITTED : AGENT_REASON_VANISHED;
    if (refresh_image(p, e, &before) != 0)
        return AGENT_REASON_FAILED;
    if (!entry_holds_anywhere(e, inode))
        return AGENT_REASON_CHANGED;
    if (!identity_read(e, &after))
        return AGENT_REASON_VANISHED;
    return identity_equal(&before, &after) ? AGENT_REASON_NONE : AGENT_REASON_CHANGED;
}

/* The one holder is named if it is the same program before and after it was seen to hold the same socket. */
static void confirm(struct platform *p, struct attribution *a, const struct sock_seen *seen, int64_t pid)
{
    enum agent_reason reason = AGENT_REASON_CHANGED;
    struct sock_seen again;
    struct entry *e = NULL;
    for (int i = 0; i < CONFIRM_TRIES && reason == AGENT_REASON_CHANGED; i++) {
        e = process_table_get(&p->table, pid);
        reason = e ? confirm_once(p, e, seen->inode) : AGENT_REASON_VANISHED;
    }
    if (reason == AGENT_REASON_NONE &&
        (sock_diag_connected(p->diagfd, &a->client, &a->proxy, &again) != SOCK_DIAG_FOUND ||
         again.inode == 0))
        reason = AGENT_REASON_VANISHED;
    else if (reason == AGENT_REASON_NONE && (again.inode != seen->inode || again.cookie != seen->cookie))
        reason = AGENT_REASON_CHANGED;
    if (reason != AGENT_REASON_NONE) {
        set_unknown(a, reason);
        return;
    }
    borrowed_look_again(&p->describer.looker, e, e->image, owner_now_ms());
    a->confidence = AGENT_CONFIDENCE_EXACT;
    a->reason = AGENT_REASON_NONE;
    a->process = e->image;
    a->process->refs++;
}

static void conclude(struct platform *p, struct attribution *a, const struct sock_seen *seen,
                     const struct owner_question *q)
{
    if (q->holder_count > 1) {
        a->confidence = AGENT_CONFIDENCE_AMBIGUOUS;
        a->reason = AGENT_REASON_SEVERAL_HOLDERS;
        a->holder_count = q->holder_count;
        memcpy(a->holders, q->holders, q->holder_count * sizeof *q->holders);
    } else if (q->denied) {
        /* Another holder may be where we cannot look. The process is kept in mind: its next socket, made while
         * we watch, can be told to be its own. */
        if (q->holder_count == 1)
            process_table_get(&p->table, q->holders[0]);
        set_unknown(a, AGENT_REASON_NOT_PERMITTED);
    } else if (q->holder_count == 0) {
        set_unknown(a, AGENT_REASON_ORPHAN);
    } else {
        confirm(p, a, seen, q->holders[0]);
    }
}

/* The peer asks about its own listeners only; root may have bound them for it. */
static bool is_peers_own(struct platform *p, const struct attribution *a)
{
    struct listener_seen *l = &p->listener;
    int64_t now = owner_now_ms();
    if (now < l->until_ms && l->peer_uid == a->peer_uid && l->proxy.port == a->proxy.port &&
        ip_equal(&l->proxy.ip, &a->proxy.ip))
        return true;
    struct sock_seen listener;
    bool own = sock_diag_listener(p->diagfd, &a->proxy, &listener) == SOCK_DIAG_FOUND &&
               (listener.uid == 0 || (int64_t)listener.uid == a->peer_uid);
    if (own)
        *l = (struct listener_seen){a->proxy, a->peer_uid, now + LISTENER_FRESH_MS};
    return own;
}

/* Fills the answer, or *ret_seen when the socket's holders must tell. */
static bool find_socket(struct platform *p, struct attribution *a, struct sock_seen *ret_seen)
{
    if (!is_peers_own(p, a)) {
        set_unknown(a, AGENT_REASON_NOT_OURS);
        return false;
    }
    if (p->caller.bpf && caller_attribute_at_once(&p->caller, a))
        return false;
    int found = sock_diag_connected(p->diagfd, &a->client, &a->proxy, ret_seen);
    if (found != SOCK_DIAG_FAILED && p->caller.bpf &&
        caller_attribute(&p->caller, a, found == SOCK_DIAG_FOUND ? ret_seen : NULL))
        return false;
    if (found == SOCK_DIAG_FOUND && ret_seen->inode != 0)
        return true;
    set_unknown(a, found == SOCK_DIAG_FAILED ? AGENT_REASON_FAILED
                   : found == SOCK_DIAG_NONE ? AGENT_REASON_NO_SUCH_SOCKET
                                             : AGENT_REASON_VANISHED);
    return false;
}

/* Of sockets that are older than the kernel's records: by the kernel's walk, else by /proc. What nobody waits for is not worth that. */
static void find_holders(struct platform *p, struct attribution *const *batch, const struct sock_seen *seen,
                         struct owner_question *questions, size_t count)
{
    struct holders_question walked[BATCH_MAX];
    bool waited_for = false;
    for (size_t i = 0; i < count; i++) {
        walked[i] = (struct holders_question){.cookie = questions[i].answered ? 0 : seen[i].cookie};
        waited_for = waited_for || (!questions[i].answered && !batch[i]->again);
    }
    bool found = waited_for && holders_find(&p->holders, walked, count);
    if (!found && (waited_for || !p->holders.bpf))
        owner_find_all(&p->owner, questions, count);
    for (size_t i = 0; i < count; i++) {
        if (questions[i].answered)
            continue;
        if (found) {
            questions[i].holder_count = walked[i].count;
            memcpy(questions[i].holders, walked[i].pids, sizeof walked[i].pids);
        }
        if (waited_for || !p->holders.bpf)
            conclude(p, batch[i], &seen[i], &questions[i]);
        else
            set_unknown(batch[i], AGENT_REASON_BUSY);
    }
}

static void attribute_some(struct platform *p, struct attribution *const *batch, size_t count)
{
    struct sock_seen seen[BATCH_MAX];
    struct owner_question questions[BATCH_MAX];
    bool need_all = false;
    for (size_t i = 0; i < count; i++) {
        questions[i] = (struct owner_question){.answered = true};
        if (!find_socket(p, batch[i], &seen[i]))
            continue;
        questions[i] =
            (struct owner_question){.inode = seen[i].inode, .uid = seen[i].uid, .proxy = batch[i]->peer_pid};
        if (owner_find_short(&p->owner, &p->table, &questions[i]))
            conclude(p, batch[i], &seen[i], &questions[i]);
        else
            need_all = true;
    }
    if (need_all)
        find_holders(p, batch, seen, questions, count);
    for (size_t i = 0; i < count; i++)
        if (batch[i]->again && batch[i]->process && batch[i]->basis == AGENT_BASIS_CONNECT)
            around_fill(&p->holders, p->owner.procfd, batch[i]);
}

void platform_attribute(struct platform *p, struct attribution *const *batch, size_t count)
{
    for (size_t at = 0; at < count; at += BATCH_MAX)
        attribute_some(p, batch + at, count - at < BATCH_MAX ? count - at : BATCH_MAX);
}
