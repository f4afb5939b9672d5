/* schema.h: the tables of the database, and the statements that store.c and read.c prepare. Nobody else includes it. */
#ifndef EXEAT_STORE_SCHEMA_H
#define EXEAT_STORE_SCHEMA_H

enum { SCHEMA_VERSION = 2 };

/* A list's last is NULL. Times are seconds since 1970. */
static const char *const schema_tables[] = {
    "CREATE TABLE IF NOT EXISTS meta(name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS sightings(kind INTEGER NOT NULL, id BLOB NOT NULL, name TEXT NOT NULL, first "
    "INTEGER NOT NULL,"
    " last INTEGER NOT NULL, count INTEGER NOT NULL, state BLOB NOT NULL, PRIMARY KEY(kind, id)) WITHOUT "
    "ROWID",
    "CREATE TABLE IF NOT EXISTS certificates(sha256 BLOB PRIMARY KEY, first INTEGER NOT NULL, last INTEGER "
    "NOT NULL,"
    " der BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS chains(destination TEXT NOT NULL, certificates BLOB NOT NULL, source TEXT "
    "NOT NULL,"
    " first INTEGER NOT NULL, last INTEGER NOT NULL, count INTEGER NOT NULL,"
    " class TEXT NOT NULL DEFAULT '', found TEXT NOT NULL DEFAULT '',"
    " PRIMARY KEY(destination, certificates)) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS sightings_last ON sightings(last)",
    "CREATE INDEX IF NOT EXISTS certificates_last ON certificates(last)",
    "CREATE INDEX IF NOT EXISTS chains_last ON chains(last)",
    (const char *)0,
};

/* What an older version's tables lack; each takes the file one version further, or leaves it as it is. */
static const char *const schema_steps[SCHEMA_VERSION] = {
    [1] = "BEGIN IMMEDIATE;"
          "ALTER TABLE chains ADD COLUMN class TEXT NOT NULL DEFAULT '';"
          "ALTER TABLE chains ADD COLUMN found TEXT NOT NULL DEFAULT '';"
          "PRAGMA user_version=2;"
          "COMMIT",
};

/* Memory may have forgotten what the database knows: the earlier first and the larger count stay. */
#define SQL_PUT_SIGHTING                                                                                     \
    "INSERT INTO sightings(kind, id, name, first, last, count, state) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)"    \
    " ON CONFLICT(kind, id) DO UPDATE SET first = min(first, excluded.first), last = max(last, "             \
    "excluded.last),"                                                                                        \
    " count = max(count, excluded.count), state = excluded.state,"                                           \
    " name = CASE excluded.name WHEN '' THEN name ELSE excluded.name END"
#define SQL_PUT_CERTIFICATE                                                                                  \
    "INSERT INTO certificates(sha256, first, last, der) VALUES(?1, ?2, ?2, ?3)"                              \
    " ON CONFLICT(sha256) DO UPDATE SET last = max(last, excluded.last)"
#define SQL_PUT_CHAIN                                                                                        \
    "INSERT INTO chains(destination, certificates, source, first, last, count, class, found)"                \
    " VALUES(?1, ?2, ?3, ?4, ?4, 1, ?5, ?6)"                                                                 \
    " ON CONFLICT(destination, certificates) DO UPDATE SET last = max(last, excluded.last),"                 \
    " count = count + 1, source = excluded.source, class = excluded.class, found = excluded.found"

#define SQL_EACH_SIGHTING                                                                                    \
    "SELECT id, name, first, last, count, state FROM sightings WHERE kind = ?1 ORDER BY last"
#define SQL_FIND_CERTIFICATE "SELECT first, last, der FROM certificates WHERE sha256 = ?1"
#define SQL_EACH_CHAIN                                                                                       \
    "SELECT destination, source, certificates, first, last, count, class, found FROM chains"                 \
    " WHERE ?1 IS NULL OR destination = ?1 ORDER BY last DESC"

/* What is old goes; what is too much goes from its old end. */
static const char *const schema_purge[] = {
    "DELETE FROM sightings WHERE last < ?1",
    "DELETE FROM certificates WHERE last < ?1",
    "DELETE FROM chains WHERE last < ?1",
    "DELETE FROM sightings WHERE (SELECT count(*) FROM sightings) > 1000000 AND last <= (SELECT last FROM "
    "sightings"
    " ORDER BY last DESC LIMIT 1 OFFSET 1000000)",
    "DELETE FROM certificates WHERE (SELECT count(*) FROM certificates) > 200000 AND last <= (SELECT last "
    "FROM certificates"
    " ORDER BY last DESC LIMIT 1 OFFSET 200000)",
    "DELETE FROM chains WHERE (SELECT count(*) FROM chains) > 200000 AND last <= (SELECT last FROM chains"
    " ORDER BY last DESC LIMIT 1 OFFSET 200000)",
    (const char *)0,
};

#endif
