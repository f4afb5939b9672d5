/* case_records.h: the records of a case: those lines of the ledger, rotated files beside it included, that are of given exchanges or about a
 * given finding, and what stands in them, by subject. case_export.c calls in; touches the ledger's files. */
#ifndef EXEAT_CMD_CASE_RECORDS_H
#define EXEAT_CMD_CASE_RECORDS_H

#include <jansson.h>

#include "audit/finding.h"
#include "base/buf.h"
#include "base/err.h"

struct case_records {
    struct buf lines;    /* as they stand in the ledger; owned */
    json_t *places;      /* owned: a list of {"uid","file","offset","sha256"}, one a line */
    json_t *records;     /* owned: the same lines, read */
    json_t *not_found;   /* owned: ids of exchanges of which there is no line */
    json_t *files;       /* owned: names of the files that were looked through */
    uint64_t unreadable; /* lines */
};

/* `ledger`: the file that is written; others whose names begin with its name are looked through, too, unless they are compressed (they stand in
 * `files` with a sentence). -1 fills reterr. */
int case_records_find(const char *ledger, const struct finding *f, struct case_records *ret,
                      struct err *reterr);
void case_records_free(struct case_records *r);

/* A list of objects: "record" and, under the last part of each path, what stands there, of the exchanges that have one of them. The
 * caller's. */
json_t *case_records_extract(const struct case_records *r, const char *const *paths, size_t count);

#endif
