/* foreign.c: see foreign.h. */
#include "agent/linux/foreign.h"

#include "agent/crypto_names.h"
#include "agent/linux/exec.h"
#include "agent/linux/linked.h"
#include "base/siphash.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { PLACES = 4096, ANSWERS = 1024, QUEUE_MAX = 64, ANSWER_KEPT_MS = 600000, LIBRARY_BYTES = 256 };

/* What one process has loaded. */
struct loaded {
    struct history_id id;
    unsigned waiting; /* questions that are not answered yet */
    bool unsure;      /* one that can't be, or for which there was no room */
    const char *family;
    char unexpected[LIBRARY_BYTES]; /* the latest; "": none */
};

/* What came out for a program and a library, by their digest. */
struct answer {
    uint8_t digest[SIPHASH_BYTES];
    enum history_linked linked;
    int64_t until_ms;
};

struct waiting {
    struct history_scan job;
    const char *family;
};

struct foreign {
    struct loaded loaded[PLACES]; /* by pid: the latest of a place */
    struct answer answers[ANSWERS];
    struct waiting queue[QUEUE_MAX];
    size_t first, count;
    const char *family; /* of the question that is under way */
    uint8_t key[SIPHASH_KEY_BYTES];
    struct linked *linked; /* owned; of the thread that judges */
};

struct foreign *foreign_new(const char *dpkg)
{
    static const char *const folders[] = {"/lib", "/usr/lib", "/lib64", "/usr/lib64", NULL};
    struct foreign *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->linked = linked_new(dpkg, folders, true);
    if (f->linked && getrandom(f->key, sizeof f->key, 0) == (ssize_t)sizeof f->key)
        return f;
    foreign_free(f);
    return NULL;
}

void foreign_free(struct foreign *f)
{
    if (f)
        linked_free(f->linked);
    free(f);
}

/* ---- places ---- */

static bool is_same(const struct history_id *a, const struct history_id *b)
{
    return a->pid == b->pid && a->start_ticks == b->start_ticks;
}

static struct loaded *place_of(struct foreign *f, int64_t pid)
{
    return &f->loaded[(uint64_t)pid % PLACES];
}

static struct loaded *find(struct foreign *f, const struct history_id *id)
{
    struct loaded *l = place_of(f, id->pid);
    return is_same(&l->id, id) ? l : NULL;
}

static struct loaded *make(struct foreign *f, const struct history_id *id)
{
    struct loaded *l = place_of(f, id->pid);
    if (!is_same(&l->id, id))
        *l = (struct loaded){.id = *id};
    return l;
}

void foreign_forget(struct foreign *f, int64_t pid)
{
    struct loaded *l = place_of(f, pid);
    if (l->id.pid == pid)
        *l = (struct loaded){.waiting = 0};
}

/* ---- answers ---- */

static struct answer *answer_of(struct foreign *f, const struct history_scan *job,
                                uint8_t ret_digest[SIPHASH_BYTES])
{
    char text[sizeof job->path + sizeof job->library + 1];
    uint64_t slot;
    int len = snprintf(text, sizeof text, "%s\n%s", job->path, job->library);
    siphash(f->key, span_of(text, (size_t)len), ret_digest);
    memcpy(&slot, ret_digest, sizeof slot);
    return &f->answers[slot % ANSWERS];
}

static bool is_answered(struct foreign *f, const struct history_scan *job, enum history_linked *ret)
{
    uint8_t digest[SIPHASH_BYTES];
    const struct answer *a = answer_of(f, job, digest);
    if (a->until_ms <= exec_now_ms() || memcmp(a->digest, digest, sizeof digest) != 0)
        return false;
    *ret = a->linked;
    return true;
}

static void see(struct history *h, const struct loaded *l)
{
    struct history_seen seen = {.kind = AGENT_HISTORY_TLS_LIBRARY_UNEXPECTED,
                                .class_name = l->family,
                                .path = l->unexpected,
                                .bytes = -1};
    if (history_is_latest(h, &l->id)) /* its number may be another's by now */
        history_see(h, l->id.pid, &seen, exec_now_ms());
}

static void conclude(struct history *h, struct loaded *l, enum history_linked linked, const char *library,
                     const char *family)
{
    size_t len = strnlen(library, sizeof l->unexpected - 1);
    l->unsure = l->unsure || linked == HISTORY_LINKED_UNKNOWN;
    if (linked != HISTORY_LINKED_NO)
        return;
    l->family = family;
    memcpy(l->unexpected, library, len);
    l->unexpected[len] = 0;
    see(h, l);
}

/* ---- questions ---- */

/* As the process says itself, while it is there. */
static bool look_at(int procfd, int64_t pid, struct history_scan *job)
{
    char name[40];
    struct stat st;
    snprintf(name, sizeof name, "%" PRId64 "/exe", pid);
    ssize_t len = readlinkat(procfd, name, job->path, sizeof job->path);
    if (len <= 0 || (size_t)len == sizeof job->path || fstatat(procfd, name, &st, 0) != 0)
        return false;
    job->path[len] = 0;
    job->device = (uint64_t)major(st.st_dev) << 32 | minor(st.st_dev);
    job->inode = st.st_ino;
    return true;
}

static bool make_job(int procfd, const struct foreign_load *load, struct history_scan *ret)
{
    *ret = (struct history_scan){.pid = load->who.pid,
                                 .start_ticks = load->who.start_ticks,
                                 .device = load->device,
                                 .inode = load->inode};
    if (strlen(load->library) >= sizeof ret->library)
        return false;
    memcpy(ret->library, load->library, strlen(load->library) + 1);
    if (!load->executable)
        return look_at(procfd, load->who.pid, ret);
    if (strlen(load->executable) >= sizeof ret->path)
        return false;
    memcpy(ret->path, load->executable, strlen(load->executable) + 1);
    return true;
}

void foreign_take(struct foreign *f, struct history *h, int procfd, const struct foreign_load *load)
{
    struct history_scan job;
    enum history_linked linked;
    if (!load->library || !crypto_name_of(load->library).is_tls)
        return; /* inside the executable: that is its package's */
    struct loaded *l = make(f, &load->who);
    if (!make_job(procfd, load, &job) || f->count == QUEUE_MAX) {
        l->unsure = true;
    } else if (is_answered(f, &job, &linked)) {
        conclude(h, l, linked, job.library, load->family);
    } else {
        f->queue[(f->first + f->count++) % QUEUE_MAX] = (struct waiting){job, load->family};
        l->waiting++;
    }
}

static void answer(struct foreign *f, struct history *h, const struct history_scan *job, const char *family)
{
    const struct history_id id = {job->pid, job->start_ticks};
    struct loaded *l = find(f, &id);
    if (!l || l->waiting == 0)
        return; /* it executes something else by now, or its place is another's */
    l->waiting--;
    conclude(h, l, job->linked, job->library, family);
}

bool foreign_next(struct foreign *f, struct history *h, struct history_scan *ret)
{
    while (f->count > 0) {
        struct waiting *w = &f->queue[f->first];
        f->first = (f->first + 1) % QUEUE_MAX;
        f->count--;
        if (is_answered(f, &w->job, &w->job.linked)) { /* it waited behind another like it */
            answer(f, h, &w->job, w->family);
            continue;
        }
        *ret = w->job;
        f->family = w->family;
        return true;
    }
    return false;
}

/* A path means what it says only if it is the same file here: a container has its own. */
void foreign_judge(struct foreign *f, struct history_scan *job)
{
    struct stat st;
    bool here = stat(job->path, &st) == 0 && st.st_ino == job->inode &&
                ((uint64_t)major(st.st_dev) << 32 | minor(st.st_dev)) == job->device;
    job->linked = here ? linked_judge(f->linked, job->path, job->library) : HISTORY_LINKED_UNKNOWN;
}

void foreign_done(struct foreign *f, struct history *h, const struct history_scan *job)
{
    uint8_t digest[SIPHASH_BYTES];
    struct answer *a = answer_of(f, job, digest);
    *a = (struct answer){.linked = job->linked, .until_ms = exec_now_ms() + ANSWER_KEPT_MS};
    memcpy(a->digest, digest, sizeof digest);
    answer(f, h, job, f->family);
}

/* ---- what an answer says ---- */

static const struct agent_history_row *find_row(const struct agent_history *answer,
                                                enum agent_history_kind kind)
{
    for (size_t i = 0; i < answer->row_count; i++)
        if (answer->rows[i].kind == kind)
            return &answer->rows[i];
    return NULL;
}

void foreign_ask(struct foreign *f, struct history *h, const struct history_id *id, bool watched,
                 struct agent_history *answer)
{
    const struct loaded *l = find(f, id);
    const struct agent_history_row *loaded = find_row(answer, AGENT_HISTORY_TLS_LIBRARY);
    bool missed = !l && (!watched || (loaded && loaded->pid == id->pid));
    if (l && l->unexpected[0] && !find_row(answer, AGENT_HISTORY_TLS_LIBRARY_UNEXPECTED)) {
        see(h, l); /* long ago, and still there */
        history_ask(h, id, exec_now_ms(), answer);
    }
    if (missed || (l && (l->unsure || l->waiting > 0)))
        answer->not_observable |= 1u << AGENT_HISTORY_TLS_LIBRARY_UNEXPECTED;
}
