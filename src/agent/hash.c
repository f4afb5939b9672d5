/* hash.c: see hash.h. The worker thread touches its own job only; the cache belongs to the loop's thread. */
#include "agent/hash.h"

#include "base/must.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { CACHE_MAX = 2048, RUNNING_MAX = 2, WAITING_MAX = 64, BLOCK_BYTES = 128 * 1024 };

struct job {
    uv_work_t work;
    struct hasher *hasher; /* borrowed until done */
    struct job *next;      /* in waiting or running */
    struct file_key key;
    int fd; /* owned */
    bool ok;
    struct hash_digests digests;
};

struct known {
    struct file_key key;
    struct hash_digests digests;
    bool used;
};

struct hasher {
    uv_loop_t *loop;
    hash_done on_done;
    void *context;
    struct job *waiting, *running; /* owned */
    unsigned waiting_count, running_count;
    struct known known[CACHE_MAX]; /* by key, four places each */
    unsigned turn;
    bool stopping;
};

static bool key_equal(const struct file_key *a, const struct file_key *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

static struct known *bucket(struct hasher *h, const struct file_key *key)
{
    uint64_t x = (key->inode * 0x9e3779b97f4a7c15u) ^ key->device ^ (uint64_t)key->ctime_ns;
    x *= 0xff51afd7ed558ccdu;
    return &h->known[(x >> 40) % (CACHE_MAX / 4) * 4];
}

static const struct known *find(struct hasher *h, const struct file_key *key)
{
    struct known *b = bucket(h, key);
    for (int i = 0; i < 4; i++)
        if (b[i].used && key_equal(&b[i].key, key))
            return &b[i];
    return NULL;
}

static void remember(struct hasher *h, const struct file_key *key, const struct hash_digests *digests)
{
    struct known *b = bucket(h, key), *place = NULL;
    for (int i = 0; i < 4 && !place; i++)
        if (!b[i].used)
            place = &b[i];
    if (!place)
        place = &b[h->turn++ % 4];
    *place = (struct known){.key = *key, .used = true, .digests = *digests};
}

static bool digest_file(int fd, EVP_MD_CTX *md, EVP_MD_CTX *old, unsigned char *block)
{
    for (;;) {
        ssize_t n = read(fd, block, BLOCK_BYTES);
        if (n < 0)
            return false;
        if (n == 0)
            return true;
        if (EVP_DigestUpdate(md, block, (size_t)n) != 1 ||
            (old && EVP_DigestUpdate(old, block, (size_t)n) != 1))
            return false;
    }
}

static void write_hex(char *out, const unsigned char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        snprintf(out + i * 2, 3, "%02x", bytes[i]);
}

static void run_job(uv_work_t *work)
{
    struct job *job = work->data;
    unsigned char digest[EVP_MAX_MD_SIZE], *block = malloc(BLOCK_BYTES);
    unsigned len = 0;
    EVP_MD_CTX *md = EVP_MD_CTX_new(), *old = EVP_MD_CTX_new();
    struct file_key after;
    if (old && EVP_DigestInit_ex(old, EVP_md5(), NULL) != 1) {
        EVP_MD_CTX_free(old);
        old = NULL;
    }
    job->ok = block && md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
              digest_file(job->fd, md, old, block) && EVP_DigestFinal_ex(md, digest, &len) == 1 &&
              platform_file_key(job->fd, &after) &&
              key_equal(&after, &job->key); /* or it was written while we read */
    if (job->ok)
        write_hex(job->digests.sha256, digest, 32);
    if (job->ok && old && EVP_DigestFinal_ex(old, digest, &len) == 1)
        write_hex(job->digests.md5, digest, 16);
    EVP_MD_CTX_free(md);
    EVP_MD_CTX_free(old);
    free(block);
}

static void job_free(struct job *job)
{
    close(job->fd);
    free(job);
}

static void start_jobs(struct hasher *h);

static void on_worked(uv_work_t *work, int status)
{
    struct job *job = work->data;
    struct hasher *h = job->hasher;
    bool ok = status == 0 && job->ok;
    for (struct job **at = &h->running; *at; at = &(*at)->next) {
        if (*at == job) {
            *at = job->next;
            break;
        }
    }
    h->running_count--;
    if (ok)
        remember(h, &job->key, &job->digests);
    if (!h->stopping) {
        h->on_done(h->context, &job->key, ok ? &job->digests : NULL);
        start_jobs(h);
    }
    job_free(job);
}

static void start_jobs(struct hasher *h)
{
    while (h->waiting && h->running_count < RUNNING_MAX) {
        struct job *job = h->waiting;
        h->waiting = job->next;
        h->waiting_count--;
        job->next = h->running;
        h->running = job;
        h->running_count++;
        must(uv_queue_work(h->loop, &job->work, run_job, on_worked) == 0);
    }
}

struct hasher *hasher_new(uv_loop_t *loop, hash_done on_done, void *context)
{
    struct hasher *h = calloc(1, sizeof *h);
    if (h) {
        h->loop = loop;
        h->on_done = on_done;
        h->context = context;
    }
    return h;
}

void hasher_free(struct hasher *h)
{
    h->stopping = true;
    while (h->waiting) {
        struct job *job = h->waiting;
        h->waiting = job->next;
        job_free(job);
    }
    while (h->running_count > 0)
        uv_run(h->loop, UV_RUN_ONCE);
    free(h);
}

static bool under_way(const struct hasher *h, const struct file_key *key)
{
    for (const struct job *j = h->waiting; j; j = j->next)
        if (key_equal(&j->key, key))
            return true;
    for (const struct job *j = h->running; j; j = j->next)
        if (key_equal(&j->key, key))
            return true;
    return false;
}

enum hash_answer hasher_look(struct hasher *h, const struct file_key *key, struct hash_digests *ret)
{
    const struct known *k = find(h, key);
    if (k) {
        *ret = k->digests;
        return HASH_KNOWN;
    }
    return under_way(h, key) ? HASH_STARTED : HASH_BUSY;
}

enum hash_answer hasher_ask(struct hasher *h, const struct file_key *key, int take_fd,
                            struct hash_digests *ret)
{
    enum hash_answer seen = hasher_look(h, key, ret);
    struct job *job = NULL;
    if (seen == HASH_BUSY && h->waiting_count < WAITING_MAX)
        job = calloc(1, sizeof *job);
    if (!job) {
        close(take_fd);
        return seen;
    }
    *job = (struct job){.hasher = h, .key = *key, .fd = take_fd};
    job->work.data = job;
    struct job **last = &h->waiting;
    while (*last)
        last = &(*last)->next;
    *last = job;
    h->waiting_count++;
    start_jobs(h);
    return HASH_STARTED;
}
