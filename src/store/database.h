/* database.h: the SQLite file: opened, checked, set aside when it is damaged, its statements prepared. One thread at a time: before
 * store_start() the caller's, then the writer's. store.c and read.c call in. */
#ifndef EXEAT_STORE_DATABASE_H
#define EXEAT_STORE_DATABASE_H

#include "store/store.h"

#include <sqlite3.h>

enum database_statement {
    PUT_SIGHTING,
    PUT_CERTIFICATE,
    PUT_CHAIN,
    EACH_SIGHTING,
    FIND_CERTIFICATE,
    EACH_CHAIN,
    STATEMENT_COUNT
};

struct database {
    sqlite3 *handle;                           /* owned; NULL: none is to be had */
    sqlite3_stmt *statements[STATEMENT_COUNT]; /* owned */
    char *path;                                /* owned */
    uint8_t secret[STORE_SECRET_BYTES];
    bool to_read;
    char error[160]; /* why there is none, or what went wrong last; "" */
};

/* `db` zeroed but for path and to_read, and the secret when an old one is to be kept (`keep_secret`). Damaged files are set aside.
 * 0, or -1 with db->error. */
int database_open(struct database *db, bool keep_secret);
void database_close(struct database *db); /* path and secret stay */

/* Is this the result of a file that is no sound database any more? */
bool database_is_damaged(int result);
/* Closes; the file gets another name. */
void database_set_aside(struct database *db);

/* 0, or -1 with db->error. */
int database_run(struct database *db, const char *sql);
/* Runs a statement whose parameters are bound, and clears it. The result is SQLite's; SQLITE_DONE is good. */
int database_step(struct database *db, sqlite3_stmt *statement);

#endif
