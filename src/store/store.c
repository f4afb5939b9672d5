/* store.c: see store.h. The queue is a list under one mutex; the thread takes all of it, writes it and what the sources have in one
 * transaction, without the lock. A transaction that fails keeps what it can: the queue's rows wait for the next try as far as there
 * is room, and the sources are asked for everything. */
#include "store/store.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/must.h"
#include "store/private.h"
#include "store/schema.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    QUEUE_ITEMS = 4096,
    QUEUE_BYTES = 16 << 20,
    ITEM_MAX_BYTES = STORE_SHA256_BYTES + STORE_DER_MAX_BYTES,
    FLUSH_MS = 5000, /* between two transactions */
    PURGE_EVERY_S = 6 * 3600,
    KEEP_DAYS = 180,
};

/* ---- life ---- */

static struct store *make(const char *path, bool to_read)
{
    struct store *s = calloc(1, sizeof *s);
    char *copy = strdup(path);
    if (!s || !copy) {
        free(s);
        free(copy);
        return NULL;
    }
    pthread_condattr_t monotonic;
    s->db.path = copy;
    s->db.to_read = to_read;
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->wake, &monotonic);
    pthread_cond_init(&s->ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return s;
}

static void destroy(struct store *take_s)
{
    for (struct store_item *i = take_s->first, *next; i; i = next) {
        next = i->next;
        free(i);
    }
    database_close(&take_s->db);
    pthread_cond_destroy(&take_s->wake);
    pthread_cond_destroy(&take_s->ended);
    pthread_mutex_destroy(&take_s->lock);
    free(take_s->db.path);
    free(take_s);
}

struct store *store_open(const char *path)
{
    struct store *s = make(path, false);
    if (!s)
        return NULL;
    if (database_open(&s->db, false) != 0) {
        log_error("store", "%s: %s; nothing is remembered across a restart", path, s->db.error);
        snprintf(s->stats.last_error, sizeof s->stats.last_error, "%s", s->db.error);
    }
    s->stats.available = s->db.handle != NULL;
    return s;
}

struct store *store_open_to_read(const char *path, struct err *reterr)
{
    struct store *s = make(path, true);
    if (!s)
        return err_set(reterr, path, 0, 0, "no memory"), NULL;
    if (database_open(&s->db, false) == 0)
        return s;
    err_set(reterr, path, 0, 0, "%s", s->db.error);
    destroy(s);
    return NULL;
}

const uint8_t *store_secret(const struct store *s)
{
    return s->db.secret;
}

void store_add_source(struct store *s, store_source_fn *source, void *owner)
{
    must(!s->started && s->source_count < STORE_SOURCES_MAX);
    s->sources[s->source_count].call = source;
    s->sources[s->source_count++].owner = owner;
}

void store_stats(struct store *s, struct store_stats *ret)
{
    pthread_mutex_lock(&s->lock);
    *ret = s->stats;
    ret->queued = s->queued;
    pthread_mutex_unlock(&s->lock);
}

/* ---- the queue ---- */

static void put(struct store *s, struct store_item *take_item)
{
    pthread_mutex_lock(&s->lock);
    bool room = s->stats.available && !s->closing && s->queued < QUEUE_ITEMS &&
                s->queued_bytes + take_item->size <= QUEUE_BYTES;
    if (room) {
        if (s->last)
            s->last->next = take_item;
        else
            s->first = take_item;
        s->last = take_item;
        s->queued++;
        s->queued_bytes += take_item->size;
    } else {
        s->stats.dropped++;
    }
    pthread_mutex_unlock(&s->lock);
    if (!room)
        free(take_item);
}

static struct store_item *new_item(struct store *s, enum database_statement what, size_t bytes)
{
    struct store_item *item = bytes <= ITEM_MAX_BYTES ? malloc(sizeof *item + bytes) : NULL;
    if (item) {
        *item = (struct store_item){.what = what, .size = sizeof *item + bytes};
        return item;
    }
    pthread_mutex_lock(&s->lock);
    s->stats.dropped++;
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static struct span copy_in(struct store_item *item, size_t *at, struct span bytes)
{
    uint8_t *to = item->bytes + *at;
    if (bytes.len)
        memcpy(to, bytes.data, bytes.len);
    *at += bytes.len;
    return span_of(to, bytes.len);
}

void store_put_sighting(struct store *s, const struct store_sighting *row)
{
    struct store_item *item = new_item(s, PUT_SIGHTING, row->name.len + row->state.len);
    size_t at = 0;
    if (!item)
        return;
    item->sighting = *row;
    item->sighting.name = copy_in(item, &at, row->name);
    item->sighting.state = copy_in(item, &at, row->state);
    put(s, item);
}

void store_put_certificate(struct store *s, const uint8_t sha256[STORE_SHA256_BYTES], struct span der,
                           int64_t now_s)
{
    struct store_item *item = new_item(s, PUT_CERTIFICATE, STORE_SHA256_BYTES + der.len);
    size_t at = 0;
    if (!item)
        return;
    item->key = copy_in(item, &at, span_of(sha256, STORE_SHA256_BYTES));
    item->blob = copy_in(item, &at, der);
    item->now_s = now_s;
    put(s, item);
}

void store_put_chain(struct store *s, const struct store_chain *chain, int64_t now_s)
{
    struct span name = span_str(chain->destination), from = span_str(chain->source);
    struct span class = span_str(chain->class), found = span_str(chain->found);
    size_t most = (size_t)STORE_CHAIN_MAX * STORE_SHA256_BYTES, at = 0;
    size_t bytes = chain->sha256.len < most ? chain->sha256.len : most;
    struct store_item *item = new_item(s, PUT_CHAIN, name.len + from.len + class.len + found.len + bytes);
    if (!item)
        return;
    item->key = copy_in(item, &at, name);
    item->text = copy_in(item, &at, from);
    item->blob = copy_in(item, &at, span_of(chain->sha256.data, bytes));
    item->class = copy_in(item, &at, class);
    item->found = copy_in(item, &at, found);
    item->now_s = now_s;
    put(s, item);
}

/* ---- the thread: one transaction ---- */

static void bind_text(sqlite3_stmt *st, int at, struct span text)
{
    sqlite3_bind_text(st, at, text.data ? (const char *)text.data : "", (int)text.len, SQLITE_STATIC);
}

static void bind_blob(sqlite3_stmt *st, int at, struct span bytes)
{
    sqlite3_bind_blob(st, at, bytes.data ? (const void *)bytes.data : "", (int)bytes.len, SQLITE_STATIC);
}

static void step(struct store *s, sqlite3_stmt *st)
{
    int result = database_step(&s->db, st);
    s->rows += result == SQLITE_DONE;
    s->failed |= result != SQLITE_DONE;
    s->renew |= database_is_damaged(result);
}

void store_write_sighting(struct store *s, const struct store_sighting *row)
{
    sqlite3_stmt *st = s->db.statements[PUT_SIGHTING];
    if (s->failed || !st)
        return;
    sqlite3_bind_int64(st, 1, row->kind);
    sqlite3_bind_blob(st, 2, row->id, STORE_ID_BYTES, SQLITE_STATIC);
    bind_text(st, 3, row->name);
    sqlite3_bind_int64(st, 4, row->first_s);
    sqlite3_bind_int64(st, 5, row->last_s);
    sqlite3_bind_int64(st, 6, (int64_t)row->count);
    bind_blob(st, 7, row->state);
    step(s, st);
}

static void write_item(struct store *s, const struct store_item *i)
{
    sqlite3_stmt *st = s->db.statements[i->what];
    if (i->what == PUT_SIGHTING) {
        store_write_sighting(s, &i->sighting);
    } else if (i->what == PUT_CERTIFICATE) {
        bind_blob(st, 1, i->key);
        sqlite3_bind_int64(st, 2, i->now_s);
        bind_blob(st, 3, i->blob);
        step(s, st);
    } else {
        bind_text(st, 1, i->key);
        bind_blob(st, 2, i->blob);
        bind_text(st, 3, i->text);
        sqlite3_bind_int64(st, 4, i->now_s);
        bind_text(st, 5, i->class);
        bind_text(st, 6, i->found);
        step(s, st);
    }
}

static void purge(struct store *s)
{
    int64_t now_s = (int64_t)time(NULL);
    if (now_s - s->purged_s < PURGE_EVERY_S)
        return;
    for (size_t i = 0; schema_purge[i] && !s->failed; i++) {
        sqlite3_stmt *st = NULL;
        if (sqlite3_prepare_v2(s->db.handle, schema_purge[i], -1, &st, NULL) == SQLITE_OK) {
            if (sqlite3_bind_parameter_count(st) > 0)
                sqlite3_bind_int64(st, 1, now_s - (int64_t)KEEP_DAYS * 86400);
            step(s, st);
        }
        sqlite3_finalize(st);
    }
    s->purged_s = now_s;
}

/* 0, or -1 with db.error: then nothing of it is in the file. */
static int transact(struct store *s, struct store_item *items)
{
    s->rows = 0;
    s->failed = database_run(&s->db, "BEGIN IMMEDIATE") != 0;
    for (const struct store_item *i = items; i && !s->failed; i = i->next)
        write_item(s, i);
    bool everything = s->everything;
    for (unsigned i = 0; i < s->source_count && !s->failed; i++)
        s->sources[i].call(s->sources[i].owner, s, everything);
    if (!s->failed)
        purge(s);
    if (!s->failed && database_run(&s->db, "COMMIT") == 0) {
        s->everything = false;
        return 0;
    }
    s->renew |= database_is_damaged(sqlite3_errcode(s->db.handle));
    sqlite3_exec(s->db.handle, "ROLLBACK", NULL, NULL, NULL);
    s->everything = true;
    return -1;
}

static struct store_item *take_queue(struct store *s)
{
    struct store_item *items = s->first;
    s->first = s->last = NULL;
    s->queued = 0;
    s->queued_bytes = 0;
    return items;
}

/* Back to the front of the queue, as many as there is room for. Locked. */
static void give_back(struct store *s, struct store_item *take_items)
{
    struct store_item *newer = take_queue(s);
    for (int round = 0; round < 2; round++) {
        for (struct store_item *i = round == 0 ? take_items : newer, *next; i; i = next) {
            next = i->next;
            i->next = NULL;
            if (s->queued >= QUEUE_ITEMS || s->queued_bytes + i->size > QUEUE_BYTES) {
                s->stats.dropped++;
                free(i);
                continue;
            }
            if (s->last)
                s->last->next = i;
            else
                s->first = i;
            s->last = i;
            s->queued++;
            s->queued_bytes += i->size;
        }
    }
}

/* Locked on entry and return. */
static void flush(struct store *s)
{
    struct store_item *items = take_queue(s);
    pthread_mutex_unlock(&s->lock);
    if (s->renew)
        database_set_aside(&s->db);
    s->renew = false;
    if (!s->db.handle)
        database_open(&s->db, true);
    int result = s->db.handle ? transact(s, items) : -1;
    pthread_mutex_lock(&s->lock);
    bool news = (result == 0) != (s->stats.last_error[0] == '\0');
    if (result == 0) {
        s->stats.written += s->rows;
        s->stats.last_error[0] = '\0';
        for (struct store_item *next; items; items = next) {
            next = items->next;
            free(items);
        }
    } else {
        s->stats.failures++;
        snprintf(s->stats.last_error, sizeof s->stats.last_error, "%s", s->db.error);
        give_back(s, items);
    }
    if (news && result == 0)
        log_notice("store", "%s: writing again", s->db.path);
    else if (news)
        log_error("store", "%s: %s; it is tried again", s->db.path, s->stats.last_error);
}

static void *run(void *argument)
{
    struct store *s = argument;
    pthread_setname_np(pthread_self(), "store");
    pthread_mutex_lock(&s->lock);
    for (;;) {
        struct timespec until = clock_after_ms(FLUSH_MS);
        while (!s->closing && pthread_cond_timedwait(&s->wake, &s->lock, &until) == 0)
            ;
        if (s->closing)
            break;
        flush(s);
    }
    flush(s); /* what came last */
    s->done = true;
    bool abandoned = s->abandoned;
    pthread_cond_signal(&s->ended);
    pthread_mutex_unlock(&s->lock);
    if (abandoned)
        destroy(s);
    return NULL;
}

int store_start(struct store *s, struct err *reterr)
{
    if (!s->db.handle)
        return 0;
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = pthread_create(&s->thread, NULL, run, s);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (error)
        return err_set(reterr, s->db.path, 0, 0, "the store's thread cannot be started: %s", strerror(error));
    s->started = true;
    return 0;
}

bool store_close(struct store *take_s, unsigned deadline_ms)
{
    struct store *s = take_s;
    if (!s)
        return true;
    if (!s->started) {
        destroy(s);
        return true;
    }
    struct timespec until = clock_after_ms(deadline_ms);
    pthread_mutex_lock(&s->lock);
    s->closing = true;
    pthread_cond_signal(&s->wake);
    while (!s->done && pthread_cond_timedwait(&s->ended, &s->lock, &until) == 0)
        ;
    bool done = s->done;
    s->abandoned = !done;
    if (!done) { /* the disk hangs: the thread frees what it has when it comes back */
        log_error("store", "%s: the disk does not answer; what was seen last is lost", s->db.path);
        pthread_detach(s->thread);
    }
    pthread_mutex_unlock(&s->lock);
    if (!done)
        return false;
    pthread_join(s->thread, NULL);
    destroy(s);
    return true;
}
