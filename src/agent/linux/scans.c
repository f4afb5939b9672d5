/* scans.c: see scans.h. A file is known by device, inode, size and change time, as the kernel wrote them down when it executed it. */
#include "agent/linux/scans.h"

#include <stdio.h>
#include <stdlib.h>

enum { KNOWN_MAX = 2048, QUEUE_MAX = 64 };

struct known {
    uint64_t device, inode, size;
    int64_t ctime_ns;
    bool used;
    const char *family; /* a literal; NULL: none */
};

struct scans {
    struct known known[KNOWN_MAX];
    struct history_scan queue[QUEUE_MAX];
    size_t first, count;
    bool running;
};

struct scans *scans_new(void)
{
    return calloc(1, sizeof(struct scans));
}

void scans_free(struct scans *s)
{
    free(s);
}

static struct known *place_of(struct scans *s, const struct history_scan *job)
{
    uint64_t x = (job->inode * 0x9e3779b97f4a7c15u) ^ job->device ^ (uint64_t)job->ctime_ns;
    return &s->known[((x * 0xff51afd7ed558ccdu) >> 40) % KNOWN_MAX];
}

static bool is_known(const struct known *k, const struct history_scan *job)
{
    return k->used && k->device == job->device && k->inode == job->inode && k->size == job->size &&
           k->ctime_ns == job->ctime_ns;
}

static void tell(struct history *h, const struct history_scan *job, const char *family)
{
    struct history_seen seen = {
        .kind = AGENT_HISTORY_TLS_LIBRARY, .class_name = family, .path = job->path, .bytes = -1};
    if (!family)
        return;
    history_see(h, job->pid, &seen, exec_now_ms());
    seen.kind = AGENT_HISTORY_CRYPTO_LIBRARY; /* no TLS without ciphers */
    history_see(h, job->pid, &seen, exec_now_ms());
}

void scans_ask(struct scans *s, struct history *h, const struct executed *e)
{
    struct history_scan job = {
        .pid = e->id.pid, .device = e->device, .inode = e->inode, .size = e->size, .ctime_ns = e->ctime_ns};
    if (e->size < EXEC_LARGE_BYTES)
        return;
    snprintf(job.path, sizeof job.path, "%s", e->path);
    const struct known *k = place_of(s, &job);
    if (is_known(k, &job))
        tell(h, &job, k->family);
    else if (s->count < QUEUE_MAX) /* else it is looked through when it is executed again */
        s->queue[(s->first + s->count++) % QUEUE_MAX] = job;
}

bool scans_next(struct scans *s, struct history *h, struct history_scan *ret)
{
    while (!s->running && s->count > 0) {
        const struct history_scan *job = &s->queue[s->first];
        s->first = (s->first + 1) % QUEUE_MAX;
        s->count--;
        const struct known *k = place_of(s, job);
        if (is_known(k, job)) { /* it waited behind another of the same file */
            tell(h, job, k->family);
            continue;
        }
        *ret = *job;
        s->running = true;
        return true;
    }
    return false;
}

void scans_done(struct scans *s, struct history *h, const struct history_scan *job)
{
    s->running = false;
    if (!job->looked)
        return;
    *place_of(s, job) = (struct known){job->device, job->inode, job->size, job->ctime_ns, true, job->family};
    tell(h, job, job->family);
}
