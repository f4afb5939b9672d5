/* learned.c: see learned.h. */
#include "store/learned.h"

#include "base/must.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { BUSY_MS = 5000 };

struct learned {
    sqlite3 *db; /* owned */
    char path[4096];
};

static const char schema[] =
    "PRAGMA journal_mode=WAL;"
    "CREATE TABLE IF NOT EXISTS pairs(sender TEXT NOT NULL, host TEXT NOT NULL, port INTEGER NOT NULL, "
    "executable TEXT, package TEXT,"
    " unit TEXT, user TEXT, script TEXT, sha256 TEXT, script_sha256 TEXT, interpreter INTEGER, writable "
    "INTEGER, script_writable INTEGER,"
    " first INTEGER, last INTEGER, bytes_out INTEGER, count INTEGER, inexact INTEGER, borrowed INTEGER, "
    "anomalies INTEGER, rules INTEGER,"
    " beacon REAL, PRIMARY KEY(sender, host, port)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS by(sender TEXT NOT NULL, host TEXT NOT NULL, port INTEGER NOT NULL, kind "
    "TEXT NOT NULL, name TEXT NOT NULL,"
    " PRIMARY KEY(sender, host, port, kind, name)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS hashes(program TEXT NOT NULL, sha256 TEXT NOT NULL, first INTEGER NOT NULL, "
    "last "
    "INTEGER NOT NULL, PRIMARY KEY(program, sha256)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS sources(name TEXT PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID;";

static int fail(struct learned *l, struct err *reterr)
{
    return err_set(reterr, l->path, 0, 0, "%s", sqlite3_errmsg(l->db));
}

static int run(struct learned *l, const char *sql, struct err *reterr)
{
    return sqlite3_exec(l->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(l, reterr);
}

struct learned *learned_open(const char *path, struct err *reterr)
{
    struct learned *l = calloc(1, sizeof *l);
    if (!l || strlen(path) >= sizeof l->path) {
        free(l);
        return err_set(reterr, path, 0, 0, "can't be opened"), NULL;
    }
    snprintf(l->path, sizeof l->path, "%s", path);
    mode_t before = umask(0027);
    bool good = sqlite3_open(path, &l->db) == SQLITE_OK &&
                sqlite3_busy_timeout(l->db, BUSY_MS) == SQLITE_OK &&
                sqlite3_exec(l->db, schema, NULL, NULL, NULL) == SQLITE_OK;
    umask(before);
    if (good)
        return l;
    fail(l, reterr);
    learned_close(l);
    return NULL;
}

void learned_close(struct learned *take_l)
{
    if (!take_l)
        return;
    sqlite3_close(take_l->db);
    free(take_l);
}

int learned_begin(struct learned *l, struct err *reterr)
{
    return run(l, "BEGIN IMMEDIATE", reterr);
}

int learned_end(struct learned *l, struct err *reterr)
{
    return run(l, "COMMIT", reterr);
}

/* ---- writing ---- */

static sqlite3_stmt *prepare(struct learned *l, const char *sql)
{
    sqlite3_stmt *s = NULL;
    return sqlite3_prepare_v2(l->db, sql, -1, &s, NULL) == SQLITE_OK ? s : NULL;
}

static int finish(struct learned *l, sqlite3_stmt *take_s, struct err *reterr)
{
    int result = take_s ? sqlite3_step(take_s) : SQLITE_ERROR;
    int failed = result == SQLITE_DONE || result == SQLITE_ROW ? 0 : fail(l, reterr);
    sqlite3_finalize(take_s);
    return failed;
}

static int note_by(struct learned *l, const struct learned_pair *p, const char *kind, const char *name,
                   struct err *reterr)
{
    if (!name || !name[0])
        return 0;
    sqlite3_stmt *s = prepare(l, "INSERT OR IGNORE INTO by VALUES(?1, ?2, ?3, ?4, ?5)");
    if (s) {
        sqlite3_bind_text(s, 1, p->sender, -1, SQLITE_STATIC);
        sqlite3_bind_text(s, 2, p->host, -1, SQLITE_STATIC);
        sqlite3_bind_int(s, 3, p->port);
        sqlite3_bind_text(s, 4, kind, -1, SQLITE_STATIC);
        sqlite3_bind_text(s, 5, name, -1, SQLITE_STATIC);
    }
    return finish(l, s, reterr);
}

int learned_note(struct learned *l, const struct learned_pair *p, const char *on_host, struct err *reterr)
{
    static const char sql[] =
        "INSERT INTO pairs VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, "
        "?17, ?18, ?19, ?20, ?21, ?22)"
        " ON CONFLICT(sender, host, port) DO UPDATE SET executable = excluded.executable, package = "
        "excluded.package,"
        " unit = excluded.unit, user = excluded.user, script = excluded.script,"
        " sha256 = CASE excluded.sha256 WHEN '' THEN sha256 ELSE excluded.sha256 END,"
        " script_sha256 = CASE excluded.script_sha256 WHEN '' THEN script_sha256 ELSE excluded.script_sha256 "
        "END,"
        " interpreter = interpreter OR excluded.interpreter, writable = writable OR excluded.writable,"
        " script_writable = script_writable OR excluded.script_writable,"
        " first = min(first, excluded.first), last = max(last, excluded.last), bytes_out = bytes_out + "
        "excluded.bytes_out,"
        " count = count + excluded.count, inexact = inexact + excluded.inexact, borrowed = borrowed + "
        "excluded.borrowed,"
        " anomalies = anomalies + excluded.anomalies, rules = rules + excluded.rules, beacon = max(beacon, "
        "excluded.beacon)";
    const char *const texts[] = {p->sender, p->host, NULL,      p->executable, p->package,
                                 p->unit,   p->user, p->script, p->sha256,     p->script_sha256};
    const int64_t numbers[] = {p->interpreter,        p->writable,         p->script_writable,
                               p->first_ms,           p->last_ms,          p->bytes_out,
                               (int64_t)p->count,     (int64_t)p->inexact, (int64_t)p->borrowed,
                               (int64_t)p->anomalies, (int64_t)p->rules};
    sqlite3_stmt *s = prepare(l, sql);
    for (int i = 0; s && i < (int)ARRAY_LEN(texts); i++)
        if (texts[i])
            sqlite3_bind_text(s, i + 1, texts[i], -1, SQLITE_STATIC);
    if (s)
        sqlite3_bind_int(s, 3, p->port);
    for (int i = 0; s && i < (int)ARRAY_LEN(numbers); i++)
        sqlite3_bind_int64(s, 11 + i, numbers[i]);
    if (s)
        sqlite3_bind_double(s, 22, p->beacon);
    if (finish(l, s, reterr) != 0)
        return -1;
    return note_by(l, p, "host", on_host, reterr) != 0 ? -1 : note_by(l, p, "user", p->user, reterr);
}

int learned_note_hash(struct learned *l, const char *program, const char *sha256, int64_t time_ms,
                      struct err *reterr)
{
    sqlite3_stmt *s =
        prepare(l, "INSERT INTO hashes VALUES(?1, ?2, ?3, ?3) ON CONFLICT(program, sha256) DO UPDATE SET "
                   "first = min(first, ?3), last = max(last, ?3)");
    if (s) {
        sqlite3_bind_text(s, 1, program, -1, SQLITE_STATIC);
        sqlite3_bind_text(s, 2, sha256, -1, SQLITE_STATIC);
        sqlite3_bind_int64(s, 3, time_ms);
    }
    return finish(l, s, reterr);
}

int64_t learned_until(struct learned *l, const char *source)
{
    sqlite3_stmt *s = prepare(l, "SELECT until FROM sources WHERE name = ?1");
    if (!s)
        return 0;
    sqlite3_bind_text(s, 1, source, -1, SQLITE_STATIC);
    int64_t until = sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
    sqlite3_finalize(s);
    return until;
}

int learned_set_until(struct learned *l, const char *source, int64_t time_ms, struct err *reterr)
{
    sqlite3_stmt *s = prepare(
        l, "INSERT INTO sources VALUES(?1, ?2) ON CONFLICT(name) DO UPDATE SET until = max(until, ?2)");
    if (s) {
        sqlite3_bind_text(s, 1, source, -1, SQLITE_STATIC);
        sqlite3_bind_int64(s, 2, time_ms);
    }
    return finish(l, s, reterr);
}

/* ---- reading ---- */

static void column_text(sqlite3_stmt *s, int column, char *ret, size_t size)
{
    const char *text = (const char *)sqlite3_column_text(s, column);
    snprintf(ret, size, "%s", text ? text : "");
}

static void read_pair(sqlite3_stmt *s, struct learned_pair *ret)
{
    struct learned_pair *p = ret;
    column_text(s, 0, p->sender, sizeof p->sender);
    column_text(s, 1, p->host, sizeof p->host);
    p->port = (uint16_t)sqlite3_column_int(s, 2);
    column_text(s, 3, p->executable, sizeof p->executable);
    column_text(s, 4, p->package, sizeof p->package);
    column_text(s, 5, p->unit, sizeof p->unit);
    column_text(s, 6, p->user, sizeof p->user);
    column_text(s, 7, p->script, sizeof p->script);
    column_text(s, 8, p->sha256, sizeof p->sha256);
    column_text(s, 9, p->script_sha256, sizeof p->script_sha256);
    p->interpreter = sqlite3_column_int(s, 10) != 0;
    p->writable = sqlite3_column_int(s, 11) != 0;
    p->script_writable = sqlite3_column_int(s, 12) != 0;
    p->first_ms = sqlite3_column_int64(s, 13);
    p->last_ms = sqlite3_column_int64(s, 14);
    p->bytes_out = sqlite3_column_int64(s, 15);
    p->count = (uint64_t)sqlite3_column_int64(s, 16);
    p->inexact = (uint64_t)sqlite3_column_int64(s, 17);
    p->borrowed = (uint64_t)sqlite3_column_int64(s, 18);
    p->anomalies = (uint64_t)sqlite3_column_int64(s, 19);
    p->rules = (uint64_t)sqlite3_column_int64(s, 20);
    p->beacon = sqlite3_column_double(s, 21);
    p->hosts = (unsigned)sqlite3_column_int(s, 22);
    p->users = (unsigned)sqlite3_column_int(s, 23);
}

int learned_each(struct learned *l, learned_fn *each, void *owner, struct err *reterr)
{
    static const char sql[] =
        "SELECT p.*, (SELECT count(*) FROM by b WHERE b.sender = p.sender AND b.host = p.host AND b.port = "
        "p.port"
        " AND b.kind = 'host'), (SELECT count(*) FROM by b WHERE b.sender = p.sender AND b.host = p.host AND"
        " b.port = p.port AND b.kind = 'user') FROM pairs p ORDER BY sender, host, port";
    sqlite3_stmt *s = prepare(l, sql);
    struct learned_pair p;
    int result = 0, step = SQLITE_ERROR;
    while (s && result == 0 && (step = sqlite3_step(s)) == SQLITE_ROW) {
        read_pair(s, &p);
        result = each(owner, &p);
    }
    if (result == 0 && step != SQLITE_DONE)
        result = fail(l, reterr);
    sqlite3_finalize(s);
    return result;
}

unsigned learned_hashes(struct learned *l, const char *program, struct learned_hash ret[2])
{
    sqlite3_stmt *s =
        prepare(l, "SELECT sha256, first FROM hashes WHERE program = ?1 ORDER BY last DESC, sha256 LIMIT 2");
    unsigned count = 0;
    if (!s)
        return 0;
    sqlite3_bind_text(s, 1, program, -1, SQLITE_STATIC);
    while (count < 2 && sqlite3_step(s) == SQLITE_ROW) {
        column_text(s, 0, ret[count].sha256, sizeof ret[count].sha256);
        ret[count++].first_ms = sqlite3_column_int64(s, 1);
    }
    sqlite3_finalize(s);
    return count;
}

unsigned learned_hosts(struct learned *l)
{
    sqlite3_stmt *s = prepare(l, "SELECT count(DISTINCT name) FROM by WHERE kind = 'host'");
    unsigned count = s && sqlite3_step(s) == SQLITE_ROW ? (unsigned)sqlite3_column_int(s, 0) : 0;
    sqlite3_finalize(s);
    return count;
}

int64_t learned_expire(struct learned *l, int64_t before_ms, struct err *reterr)
{
    sqlite3_stmt *s = prepare(l, "DELETE FROM pairs WHERE last < ?1");
    if (s)
        sqlite3_bind_int64(s, 1, before_ms);
    if (finish(l, s, reterr) != 0)
        return -1;
    int64_t gone = sqlite3_changes(l->db);
    s = prepare(l, "DELETE FROM hashes WHERE last < ?1");
    if (s)
        sqlite3_bind_int64(s, 1, before_ms);
    if (finish(l, s, reterr) != 0)
        return -1;
    int failed = run(l,
                     "DELETE FROM by WHERE NOT EXISTS (SELECT 1 FROM pairs p WHERE p.sender = by.sender AND "
                     "p.host = by.host AND p.port = by.port)",
                     reterr);
    return failed ? -1 : gone;
}
