/* hashes.c: see hashes.h. */
#include "agent/plain/hashes.h"

#include "agent/plain/digest.h"

#include <stdlib.h>
#include <unistd.h>

enum { KNOWN_MAX = 1024, PIECE_BYTES = 1 << 18 };

struct known {
    struct file_key key;
    bool used, failed;
    char hex[DIGEST_HEX_BYTES];
};

/* One file at a time; who else waits asks again when it is done. */
struct hashes {
    struct known known[KNOWN_MAX]; /* by a sum of the key: a later one takes an earlier one's place */
    struct file_key key;           /* of the file that is read */
    int fd;                        /* owned; -1: none is read */
    struct digest *digest;         /* owned */
    uint8_t piece[PIECE_BYTES];
};

struct hashes *hashes_new(void)
{
    struct hashes *h = calloc(1, sizeof *h);
    if (h)
        h->fd = -1;
    return h;
}

static void stop(struct hashes *h)
{
    if (h->fd >= 0)
        close(h->fd);
    h->fd = -1;
}

void hashes_free(struct hashes *h)
{
    if (h && h->fd >= 0) {
        digest_finish(h->digest, NULL);
        stop(h);
    }
    free(h);
}

static bool same(const struct file_key *a, const struct file_key *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

static struct known *place_of(struct hashes *h, const struct file_key *key)
{
    uint64_t sum = (key->inode ^ key->size * 31 ^ (uint64_t)key->mtime_ns) * 0x9e3779b97f4a7c15u;
    return &h->known[(sum >> 32) % KNOWN_MAX];
}

static void keep(struct hashes *h, bool failed, const char *hex)
{
    struct known *k = place_of(h, &h->key);
    *k = (struct known){.key = h->key, .used = true, .failed = failed};
    if (hex)
        memcpy(k->hex, hex, sizeof k->hex);
}

enum hashes_answer hashes_ask(struct hashes *h, struct process *process, const char **ret_hex)
{
    struct known *k = place_of(h, &process->executable);
    if (k->used && same(&k->key, &process->executable)) {
        *ret_hex = k->hex;
        return k->failed ? HASHES_FAILED : HASHES_KNOWN;
    }
    if (h->fd >= 0)
        return HASHES_BUSY;
    struct file_key now;
    int fd = platform_open_executable(process);
    if (fd < 0 || !platform_file_key(fd, &now) || !same(&now, &process->executable)) {
        if (fd >= 0)
            close(fd);
        return HASHES_FAILED; /* not kept: it may be another file's turn to be there */
    }
    h->digest = digest_new();
    h->key = now;
    h->fd = fd;
    if (!h->digest) {
        stop(h);
        return HASHES_FAILED;
    }
    return HASHES_BUSY;
}

void hashes_turn(struct hashes *h)
{
    struct file_key now;
    char hex[DIGEST_HEX_BYTES];
    if (h->fd < 0)
        return;
    long n = (long)read(h->fd, h->piece, sizeof h->piece);
    if (n > 0 && digest_add(h->digest, span_of(h->piece, (size_t)n)))
        return;
    bool good = digest_finish(h->digest, n == 0 ? hex : NULL);
    good = good && platform_file_key(h->fd, &now) && same(&now, &h->key); /* nobody wrote meanwhile */
    keep(h, !good, good ? hex : NULL);
    stop(h);
}

bool hashes_are_busy(const struct hashes *h)
{
    return h->fd >= 0;
}
