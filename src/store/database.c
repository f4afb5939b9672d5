/* database.c: see database.h. */
#include "store/database.h"

#include "base/log.h"
#include "store/schema.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUSY_MS = 2000, FILE_MODE = 0640 };

static int note(struct database *db, const char *what)
{
    snprintf(db->error, sizeof db->error, "%s: %s", what,
             db->handle ? sqlite3_errmsg(db->handle) : strerror(errno));
    return -1;
}

bool database_is_damaged(int result)
{
    int primary = result & 0xff;
    return primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB || primary == SQLITE_FORMAT;
}

int database_run(struct database *db, const char *sql)
{
    return sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : note(db, "database");
}

int database_step(struct database *db, sqlite3_stmt *statement)
{
    int result = sqlite3_step(statement);
    if (result != SQLITE_DONE && result != SQLITE_ROW)
        note(db, "database");
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return result;
}

void database_close(struct database *db)
{
    for (int i = 0; i < STATEMENT_COUNT; i++) {
        sqlite3_finalize(db->statements[i]);
        db->statements[i] = NULL;
    }
    sqlite3_close(db->handle);
    db->handle = NULL;
}

void database_set_aside(struct database *db)
{
    static const char *const parts[] = {"-wal", "-shm"};
    char from[4200], to[4200];
    database_close(db);
    snprintf(to, sizeof to, "%s.damaged", db->path);
    if (rename(db->path, to) == 0)
        log_error("store", "%s is damaged: it is %s now, and a new one is begun", db->path, to);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        snprintf(from, sizeof from, "%s%s", db->path, parts[i]);
        unlink(from);
    }
}

/* ---- open ---- */

static int one_number(struct database *db, const char *sql, int64_t *ret)
{
    sqlite3_stmt *s = NULL;
    int result = sqlite3_prepare_v2(db->handle, sql, -1, &s, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_step(s);
    if (result == SQLITE_ROW)
        *ret = sqlite3_column_int64(s, 0);
    else
        note(db, "database");
    sqlite3_finalize(s);
    return result;
}

/* SQLITE_OK, or what is wrong with the file. */
static int check(struct database *db)
{
    sqlite3_stmt *s = NULL;
    int result = sqlite3_prepare_v2(db->handle, "PRAGMA quick_check(1)", -1, &s, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_step(s);
    const unsigned char *text = result == SQLITE_ROW ? sqlite3_column_text(s, 0) : NULL;
    bool sound = text && strcmp((const char *)text, "ok") == 0;
    if (result == SQLITE_ROW)
        result = sound ? SQLITE_OK : SQLITE_CORRUPT;
    sqlite3_finalize(s);
    return result;
}

static int bring_secret(struct database *db, bool keep)
{
    sqlite3_stmt *s = NULL;
    int result = sqlite3_prepare_v2(db->handle, "SELECT value FROM meta WHERE name = 'secret'", -1, &s, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_step(s);
    bool there = result == SQLITE_ROW && sqlite3_column_bytes(s, 0) == STORE_SECRET_BYTES;
    if (there)
        memcpy(db->secret, sqlite3_column_blob(s, 0), STORE_SECRET_BYTES);
    sqlite3_finalize(s);
    if (there || db->to_read)
        return there ? SQLITE_OK : SQLITE_FORMAT;
    if (!keep && getrandom(db->secret, sizeof db->secret, 0) != (ssize_t)sizeof db->secret)
        return SQLITE_IOERR;
    result = sqlite3_prepare_v2(db->handle, "INSERT OR REPLACE INTO meta(name, value) VALUES('secret', ?1)",
                                -1, &s, NULL);
    if (result == SQLITE_OK) {
        sqlite3_bind_blob(s, 1, db->secret, sizeof db->secret, SQLITE_STATIC);
        result = sqlite3_step(s) == SQLITE_DONE ? SQLITE_OK : sqlite3_errcode(db->handle);
    }
    sqlite3_finalize(s);
    return result;
}

static int prepare_statements(struct database *db)
{
    static const char *const texts[STATEMENT_COUNT] = {
        [PUT_SIGHTING] = SQL_PUT_SIGHTING, [PUT_CERTIFICATE] = SQL_PUT_CERTIFICATE,
        [PUT_CHAIN] = SQL_PUT_CHAIN,       [EACH_SIGHTING] = SQL_EACH_SIGHTING,
        [EACH_CHAIN] = SQL_EACH_CHAIN,     [FIND_CERTIFICATE] = SQL_FIND_CERTIFICATE,
    };
    for (int i = 0; i < STATEMENT_COUNT; i++) {
        int result =
            sqlite3_prepare_v3(db->handle, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &db->statements[i], NULL);
        if (result != SQLITE_OK)
            return result;
    }
    return SQLITE_OK;
}

static int make_tables(struct database *db, int64_t version)
{
    static const char *const settings[] = {"PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL",
                                           "PRAGMA journal_size_limit=16777216"};
    char sql[64];
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        if (database_run(db, settings[i]) != 0)
            return sqlite3_errcode(db->handle);
    for (int64_t i = version; i > 0 && i < SCHEMA_VERSION; i++)
        if (database_run(db, schema_steps[i]) != 0) {
            int result = sqlite3_errcode(db->handle);
            sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
            return result;
        }
    for (size_t i = 0; schema_tables[i]; i++)
        if (database_run(db, schema_tables[i]) != 0)
            return sqlite3_errcode(db->handle);
    snprintf(sql, sizeof sql, "PRAGMA user_version=%d", SCHEMA_VERSION);
    return version == SCHEMA_VERSION || database_run(db, sql) == 0 ? SQLITE_OK : sqlite3_errcode(db->handle);
}

static int try_open(struct database *db, bool keep_secret)
{
    int64_t version = 0;
    int flags = SQLITE_OPEN_NOMUTEX |
                (db->to_read ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    int result = sqlite3_open_v2(db->path, &db->handle, flags, NULL);
    if (result != SQLITE_OK)
        return result;
    sqlite3_extended_result_codes(db->handle, 1);
    sqlite3_busy_timeout(db->handle, BUSY_MS);
    result = check(db);
    if (result == SQLITE_OK && one_number(db, "PRAGMA user_version", &version) != SQLITE_ROW)
        result = sqlite3_errcode(db->handle);
    if (result == SQLITE_OK && version > SCHEMA_VERSION) {
        snprintf(db->error, sizeof db->error, "it is of a newer version of Exeat (schema %lld)",
                 (long long)version);
        return SQLITE_MISMATCH;
    }
    if (result == SQLITE_OK && db->to_read && version < SCHEMA_VERSION) {
        snprintf(db->error, sizeof db->error,
                 "it is of an older version of Exeat (schema %lld): exeatd renews it when it starts",
                 (long long)version);
        return SQLITE_MISMATCH;
    }
    if (result == SQLITE_OK && !db->to_read)
        result = make_tables(db, version);
    if (result == SQLITE_OK)
        result = bring_secret(db, keep_secret);
    return result == SQLITE_OK ? prepare_statements(db) : result;
}

int database_open(struct database *db, bool keep_secret)
{
    int result = try_open(db, keep_secret);
    if (database_is_damaged(result) && !db->to_read) {
        database_set_aside(db);
        result = try_open(db, keep_secret);
    }
    if (result == SQLITE_OK) {
        db->error[0] = '\0';
        if (!db->to_read)
            chmod(db->path, FILE_MODE);
        return 0;
    }
    if (result != SQLITE_MISMATCH)
        snprintf(db->error, sizeof db->error, "it cannot be opened: %s", sqlite3_errstr(result));
    database_close(db);
    return -1;
}
