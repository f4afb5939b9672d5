/* read.c: what is asked of the database by those who may wait: at the start, and by `exeat`. */
#include "base/log.h"
#include "store/private.h"

static struct span blob(sqlite3_stmt *s, int column)
{
    const void *data = sqlite3_column_blob(s, column);
    return span_of(data, (size_t)sqlite3_column_bytes(s, column));
}

/* The end of a walk: anything but SQLITE_DONE left something unread. */
static int walked(struct store *s, sqlite3_stmt *statement, int result)
{
    if (result != SQLITE_DONE)
        log_error("store", "%s: not all of it could be read: %s", s->db.path, sqlite3_errmsg(s->db.handle));
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    if (result == SQLITE_DONE)
        return 0;
    s->everything = true; /* what was read is written again */
    s->renew = database_is_damaged(result) && !s->db.to_read;
    return -1;
}

int store_each_sighting(struct store *s, unsigned kind, store_each_fn *each, void *owner)
{
    sqlite3_stmt *st = s->db.statements[EACH_SIGHTING];
    int result;
    if (!st)
        return -1;
    sqlite3_bind_int64(st, 1, kind);
    while ((result = sqlite3_step(st)) == SQLITE_ROW) {
        struct store_sighting row = {.kind = kind,
                                     .name = blob(st, 1),
                                     .first_s = sqlite3_column_int64(st, 2),
                                     .last_s = sqlite3_column_int64(st, 3),
                                     .count = (uint64_t)sqlite3_column_int64(st, 4),
                                     .state = blob(st, 5)};
        struct span id = blob(st, 0);
        if (id.len != STORE_ID_BYTES)
            continue;
        memcpy(row.id, id.data, STORE_ID_BYTES);
        each(owner, &row);
    }
    return walked(s, st, result);
}

bool store_find_certificate(struct store *s, const uint8_t sha256[STORE_SHA256_BYTES],
                            struct store_certificate *ret)
{
    sqlite3_stmt *st = s->db.statements[FIND_CERTIFICATE];
    if (!st)
        return false;
    sqlite3_reset(st);
    sqlite3_bind_blob(st, 1, sha256, STORE_SHA256_BYTES, SQLITE_TRANSIENT);
    if (sqlite3_step(st) != SQLITE_ROW)
        return false;
    *ret = (struct store_certificate){
        .first_s = sqlite3_column_int64(st, 0), .last_s = sqlite3_column_int64(st, 1), .der = blob(st, 2)};
    return true;
}

int store_each_chain(struct store *s, const char *destination, store_each_chain_fn *each, void *owner)
{
    sqlite3_stmt *st = s->db.statements[EACH_CHAIN];
    int result;
    if (!st)
        return -1;
    if (destination)
        sqlite3_bind_text(st, 1, destination, -1, SQLITE_TRANSIENT);
    while ((result = sqlite3_step(st)) == SQLITE_ROW) {
        struct store_chain chain = {.destination = (const char *)sqlite3_column_text(st, 0),
                                    .source = (const char *)sqlite3_column_text(st, 1),
                                    .sha256 = blob(st, 2),
                                    .first_s = sqlite3_column_int64(st, 3),
                                    .last_s = sqlite3_column_int64(st, 4),
                                    .count = (uint64_t)sqlite3_column_int64(st, 5),
                                    .class = (const char *)sqlite3_column_text(st, 6),
                                    .found = (const char *)sqlite3_column_text(st, 7)};
        if (chain.destination && chain.source && chain.class && chain.found)
            each(owner, &chain);
    }
    return walked(s, st, result);
}
