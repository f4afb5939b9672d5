/* ledger.c: see ledger.h. The queue is a ring under one mutex; the thread takes a batch's lines as they stand in the ring, writes
 * them without the lock, and only then frees their slots: what was not written stays queued, so a disk that fails or
 * fills makes the queue fill and ledger_reserve() say no, and nothing is lost while we live. */
#include "audit/ledger.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
    BATCH_LINES = 64,
    GATHER_MS = 5, /* the first record of a batch waits this long for company: one write serves many flows */
    BACK_OFF_FIRST_MS = 100,
    BACK_OFF_MOST_MS = 5000,
    GIVE_UP_GRACE_MS = 500, /* after the deadline, for a write under way */
    FILE_MODE = 0640,
};

struct line {
    char *text; /* owned */
    size_t len;
};

struct ledger {
    pthread_mutex_t lock;
    pthread_cond_t wake;  /* the thread's: work, reopen, close */
    pthread_cond_t ended; /* ledger_close()'s */
    pthread_t thread;
    char *path;        /* owned; immutable */
    struct line *ring; /* owned; `slots` of them */
    unsigned slots, first, queued, reserved;
    unsigned dropped; /* appended but not to be had: no memory */
    uint64_t written, write_errors;
    char last_error[128];
    bool closing, give_up, want_reopen, done, abandoned;
    /* the thread's own */
    int fd;
    size_t offset; /* bytes of the ring's first line that are in the file already */
    unsigned back_off_ms;
};

/* ---- the file ---- */

/* A crash in the middle of a write leaves a line without its end; the next record must not be glued to it. */
static int heal_torn_line(int fd, const char *path)
{
    char last;
    off_t size = lseek(fd, 0, SEEK_END);
    if (size <= 0 || pread(fd, &last, 1, size - 1) != 1 || last == '\n')
        return 0;
    log_warning("ledger", "%s: the last line is incomplete; it is left as it is and ended", path);
    return write(fd, "\n", 1) == 1 ? 0 : -1;
}

/* A descriptor for appending, or -1 with errno. Never blocks on a FIFO. */
static int open_file(const char *path)
{
    int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, FILE_MODE);
    if (fd < 0)
        return -1;
    struct stat st = {0};
    int error = fstat(fd, &st) != 0 ? errno : 0;
    if (error == 0 && !S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode))
        error = EINVAL;
    if (error == 0 && S_ISREG(st.st_mode) && heal_torn_line(fd, path) != 0)
        error = errno;
    if (error == 0)
        return fd;
    close(fd);
    errno = error;
    return -1;
}

/* ---- the thread ---- */

static bool is_urgent(const struct ledger *l)
{
    return l->closing || l->want_reopen || l->queued >= BATCH_LINES;
}

static void note_failure(struct ledger *l, int error, const char *what)
{
    char text[100];
    l->write_errors++;
    bool news = l->last_error[0] == '\0';
    snprintf(l->last_error, sizeof l->last_error, "%s: %s", what, strerror_r(error, text, sizeof text));
    l->back_off_ms = l->back_off_ms ? l->back_off_ms * 2 : BACK_OFF_FIRST_MS;
    if (l->back_off_ms > BACK_OFF_MOST_MS)
        l->back_off_ms = BACK_OFF_MOST_MS;
    if (news)
        log_error("ledger", "%s: %s; records are kept in memory and tried again (%u of %u slots in use)",
                  l->path, l->last_error, l->queued + l->reserved, l->slots);
}

/* Locked on entry and return. The path is opened again; the old file stays in use while that fails. */
static void reopen(struct ledger *l)
{
    l->want_reopen = false;
    pthread_mutex_unlock(&l->lock);
    int fd = open_file(l->path), error = errno;
    if (fd >= 0) {
        close(l->fd);
        l->fd = fd;
        l->offset = 0; /* a line that was half written stands whole in the new file */
    }
    pthread_mutex_lock(&l->lock);
    if (fd < 0)
        log_error("ledger", "%s: cannot be opened again: %s; the old file stays in use", l->path,
                  strerror(error));
    l->back_off_ms = 0;
}

/* Frees what was written: whole lines leave the ring, the rest of one is remembered. */
static void account(struct ledger *l, size_t bytes)
{
    bytes += l->offset;
    while (l->queued > 0 && bytes >= l->ring[l->first].len) {
        bytes -= l->ring[l->first].len;
        free(l->ring[l->first].text);
        l->ring[l->first] = (struct line){0};
        l->first = (l->first + 1) % l->slots;
        l->queued--;
        l->written++;
    }
    l->offset = bytes;
}

/* Locked on entry and return; the ring's lines stay put meanwhile, because only this thread removes any. */
static void write_batch(struct ledger *l)
{
    struct iovec batch[BATCH_LINES];
    int count = 0;
    for (unsigned i = 0; i < l->queued && count < BATCH_LINES; i++, count++) {
        const struct line *line = &l->ring[(l->first + i) % l->slots];
        batch[count] = (struct iovec){line->text, line->len};
    }
    batch[0].iov_base = (char *)batch[0].iov_base + l->offset;
    batch[0].iov_len -= l->offset;
    int fd = l->fd;
    pthread_mutex_unlock(&l->lock);
    ssize_t n = writev(fd, batch, count);
    int error = errno;
    pthread_mutex_lock(&l->lock);
    if (n > 0) {
        account(l, (size_t)n);
        if (l->last_error[0])
            log_notice("ledger", "%s: writing again", l->path);
        l->last_error[0] = '\0';
        l->back_off_ms = 0;
    } else if (n == 0 || (error != EINTR && error != EAGAIN)) {
        note_failure(l, n == 0 ? EIO : error, "cannot be written");
    } else if (error == EAGAIN) {
        l->back_off_ms = BACK_OFF_FIRST_MS;
    }
}

/* Waits until there is something to do; false when all is done. Locked on entry and return. */
static bool wait_for_work(struct ledger *l)
{
    while (!l->closing && !l->want_reopen && l->queued == 0)
        pthread_cond_wait(&l->wake, &l->lock);
    if (l->queued == 0 || l->give_up)
        return !l->give_up && (l->want_reopen || !l->closing);
    struct timespec until = clock_after_ms(l->back_off_ms ? l->back_off_ms : GATHER_MS);
    if (l->back_off_ms) {
        while (!l->give_up && !l->want_reopen && pthread_cond_timedwait(&l->wake, &l->lock, &until) == 0)
            ;
    } else {
        while (!is_urgent(l) && pthread_cond_timedwait(&l->wake, &l->lock, &until) == 0)
            ;
    }
    return !l->give_up;
}

static void ledger_destroy(struct ledger *take_l)
{
    for (unsigned i = 0; i < take_l->queued; i++)
        free(take_l->ring[(take_l->first + i) % take_l->slots].text);
    if (take_l->fd >= 0)
        close(take_l->fd);
    pthread_mutex_destroy(&take_l->lock);
    pthread_cond_destroy(&take_l->wake);
    pthread_cond_destroy(&take_l->ended);
    free(take_l->ring);
    free(take_l->path);
    free(take_l);
}

static void *run(void *argument)
{
    struct ledger *l = argument;
    pthread_mutex_lock(&l->lock);
    while (wait_for_work(l)) {
        if (l->want_reopen)
            reopen(l);
        else if (l->queued > 0)
            write_batch(l);
    }
    l->done = true;
    bool abandoned = l->abandoned;
    pthread_cond_broadcast(&l->ended);
    pthread_mutex_unlock(&l->lock);
    if (abandoned)
        ledger_destroy(l);
    return NULL;
}

/* ---- its users ---- */

static struct ledger *ledger_new(const char *path, unsigned slots)
{
    struct ledger *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->wake, &clock);
    pthread_cond_init(&l->ended, &clock);
    pthread_condattr_destroy(&clock);
    l->slots = slots;
    l->fd = -1;
    l->path = strdup(path);
    l->ring = calloc(slots, sizeof *l->ring);
    if (l->path && l->ring)
        return l;
    ledger_destroy(l);
    return NULL;
}

struct ledger *ledger_open(const char *path, unsigned slots, struct err *reterr)
{
    must(slots > 0 && slots < UINT_MAX / 2);
    struct ledger *l = ledger_new(path, slots);
    if (!l)
        return err_set(reterr, path, 0, 0, "no memory for the records' queue"), NULL;
    l->fd = open_file(path);
    int error = l->fd < 0 ? errno : pthread_create(&l->thread, NULL, run, l);
    if (error == 0)
        return l;
    err_set(reterr, path, 0, 0, "the records' file cannot be used: %s",
            error == EINVAL ? "not a regular file" : strerror(error));
    ledger_destroy(l);
    return NULL;
}

unsigned ledger_close(struct ledger *take_l, unsigned deadline_ms)
{
    struct ledger *l = take_l;
    if (!l)
        return 0;
    struct timespec until = clock_after_ms(deadline_ms);
    pthread_mutex_lock(&l->lock);
    l->closing = true;
    pthread_cond_signal(&l->wake);
    while (!l->done && pthread_cond_timedwait(&l->ended, &l->lock, &until) == 0)
        ;
    l->give_up = true;
    pthread_cond_signal(&l->wake);
    until = clock_after_ms(GIVE_UP_GRACE_MS);
    while (!l->done && pthread_cond_timedwait(&l->ended, &l->lock, &until) == 0)
        ;
    unsigned lost = l->queued + l->dropped;
    pthread_t thread = l->thread;
    bool hangs = l->abandoned =
        !l->done; /* in a write that does not return: the thread frees everything, if ever */
    pthread_mutex_unlock(&l->lock);
    if (hangs) {
        pthread_detach(thread);
    } else {
        pthread_join(thread, NULL);
        ledger_destroy(l);
    }
    return lost;
}

int ledger_reserve(struct ledger *l, unsigned count)
{
    pthread_mutex_lock(&l->lock);
    unsigned left = l->slots - l->queued - l->reserved;
    int result = count <= left ? 0 : -1;
    if (result == 0)
        l->reserved += count;
    pthread_mutex_unlock(&l->lock);
    return result;
}

void ledger_release(struct ledger *l, unsigned count)
{
    pthread_mutex_lock(&l->lock);
    must(count <= l->reserved);
    l->reserved -= count;
    pthread_mutex_unlock(&l->lock);
}

void ledger_append(struct ledger *l, struct span line)
{
    bool fits = expect(line.len > 0 && line.len <= LEDGER_LINE_MAX_BYTES && line.data[line.len - 1] == '\n');
    char *text = fits ? malloc(line.len) : NULL;
    if (text)
        memcpy(text, line.data, line.len);
    pthread_mutex_lock(&l->lock);
    must(l->reserved > 0);
    l->reserved--;
    if (text) {
        l->ring[(l->first + l->queued) % l->slots] = (struct line){text, line.len};
        l->queued++;
    } else {
        l->dropped++;
        l->write_errors++;
    }
    bool wake = l->queued == 1 || l->queued == BATCH_LINES; /* otherwise it is awake or gathering */
    if (wake)
        pthread_cond_signal(&l->wake);
    pthread_mutex_unlock(&l->lock);
    if (!text)
        log_error("ledger", "a record is lost: no memory");
}

void ledger_reopen(struct ledger *l)
{
    pthread_mutex_lock(&l->lock);
    l->want_reopen = true;
    pthread_cond_signal(&l->wake);
    pthread_mutex_unlock(&l->lock);
}

void ledger_stats(struct ledger *l, struct ledger_stats *ret)
{
    pthread_mutex_lock(&l->lock);
    *ret = (struct ledger_stats){.written = l->written,
                                 .write_errors = l->write_errors,
                                 .queued = l->queued,
                                 .reserved = l->reserved,
                                 .slots = l->slots};
    memcpy(ret->last_error, l->last_error, sizeof ret->last_error);
    pthread_mutex_unlock(&l->lock);
}
