/* seen.c: see seen.h. The file: a line of text that says what it is, then the records in this machine's byte order. */
#include "agent/seen.h"

#include "base/log.h"
#include "base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[] = "exeat-agent seen 1\n";
enum { SLOTS = SEEN_MAX * 2, KEEP_AFTER_FULL = SEEN_MAX / 4 * 3 };

struct record {
    uint8_t key[16];
    int64_t first_ms, last_ms; /* Unix time; first_ms 0: no record */
};

struct seen {
    char *path; /* owned; NULL: only in memory */
    size_t count;
    bool changed;
    struct record slots[SLOTS]; /* open addressing: the key's place, or behind it */
};

_Static_assert(sizeof(struct record) == 32, "no holes: it is written as it is");

static struct record *find(struct seen *s, const uint8_t key[16])
{
    uint64_t place;
    memcpy(&place, key, sizeof place);
    for (size_t i = place % SLOTS;; i = (i + 1) % SLOTS) /* half of them are free: this ends */
        if (s->slots[i].first_ms == 0 || memcmp(s->slots[i].key, key, 16) == 0)
            return &s->slots[i];
}

static void put(struct seen *s, const struct record *r)
{
    struct record *place = find(s, r->key);
    s->count += place->first_ms == 0;
    *place = *r;
}

/* ---- the file ---- */

static bool is_sound(const struct record *r)
{
    return r->first_ms > 0 && r->last_ms >= r->first_ms;
}

static bool read_records(struct seen *s, FILE *in)
{
    char head[sizeof magic - 1];
    struct record r;
    size_t n = fread(head, 1, sizeof head, in);
    if (n == 0)
        return true;
    if (n != sizeof head || memcmp(head, magic, sizeof head) != 0)
        return false;
    while (s->count < SEEN_MAX && fread(&r, sizeof r, 1, in) == 1) {
        if (!is_sound(&r))
            return false;
        put(s, &r);
    }
    return true;
}

struct seen *seen_open(const char *folder, struct err *reterr)
{
    struct seen *s = calloc(1, sizeof *s);
    if (!s || (folder && asprintf(&s->path, "%s/seen", folder) < 0)) {
        free(s);
        err_set(reterr, NULL, 0, 0, "no memory");
        return NULL;
    }
    int fd = s->path ? open(s->path, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
    FILE *in = fd < 0 ? NULL : fdopen(fd, "re");
    if (s->path && !in) {
        err_set(reterr, s->path, 0, 0, "cannot be opened: %s", strerror(errno));
        seen_close(s);
        return NULL;
    }
    if (in && !read_records(s, in))
        log_warning("seen", "%s is damaged: what follows is forgotten", s->path);
    if (in)
        fclose(in);
    return s;
}

/* Whole or not at all: under another name first. */
static bool write_records(const struct seen *s, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    FILE *out = fd < 0 ? NULL : fdopen(fd, "we");
    if (!out) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    bool fine = fwrite(magic, 1, sizeof magic - 1, out) == sizeof magic - 1;
    for (size_t i = 0; fine && i < SLOTS; i++)
        if (s->slots[i].first_ms)
            fine = fwrite(&s->slots[i], sizeof s->slots[i], 1, out) == 1;
    return fclose(out) == 0 && fine;
}

void seen_keep(struct seen *s)
{
    char other[4096];
    if (!s->path || !s->changed)
        return;
    s->changed = false; /* what cannot be written is tried again when there is something new */
    snprintf(other, sizeof other, "%s.new", s->path);
    if (!write_records(s, other) || rename(other, s->path) != 0)
        log_warning("seen", "%s cannot be written: %s", s->path, strerror(errno));
}

void seen_close(struct seen *s)
{
    if (!s)
        return;
    seen_keep(s);
    free(s->path);
    free(s);
}

/* ---- noting ---- */

static int by_last(const void *a, const void *b)
{
    const struct record *x = a, *y = b;
    return (x->last_ms < y->last_ms) - (x->last_ms > y->last_ms);
}

/* Keeps the latest. */
static void make_room(struct seen *s)
{
    struct record *all = malloc(s->count * sizeof *all);
    size_t count = 0;
    for (size_t i = 0; all && i < SLOTS; i++)
        if (s->slots[i].first_ms)
            all[count++] = s->slots[i];
    memset(s->slots, 0, sizeof s->slots);
    s->count = 0;
    if (count > 0)
        qsort(all, count, sizeof *all, by_last);
    for (size_t i = 0; i < count && i < KEEP_AFTER_FULL; i++)
        put(s, &all[i]);
    free(all);
}

int64_t seen_note(struct seen *s, const struct span *parts, size_t count, int64_t now_ms)
{
    struct record r = {.first_ms = now_ms > 0 ? now_ms : 1};
    uint8_t digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool fine = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;
    for (size_t i = 0; fine && i < count; i++)
        fine = EVP_DigestUpdate(md, &parts[i].len, sizeof parts[i].len) == 1 &&
               EVP_DigestUpdate(md, parts[i].data ? (const void *)parts[i].data : "", parts[i].len) == 1;
    fine = fine && EVP_DigestFinal_ex(md, digest, NULL) == 1;
    EVP_MD_CTX_free(md);
    if (!fine)
        return -1;
    memcpy(r.key, digest, sizeof r.key);
    r.last_ms = r.first_ms;
    struct record *known = find(s, r.key);
    if (known->first_ms) {
        known->last_ms = r.last_ms > known->first_ms ? r.last_ms : known->first_ms;
        return known->first_ms;
    }
    if (s->count >= SEEN_MAX)
        make_room(s);
    put(s, &r);
    s->changed = true;
    return r.first_ms;
}
