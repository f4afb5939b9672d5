/* ledger.h: where records go: a bounded queue and one writer thread that appends lines to a file. Workers admit (never
 * blocking), the thread writes. A flow reserves room for its close record when its decision is admitted, so that what was let
 * out is always recorded. flow/ and run/ call in; touches its file, a mutex, a condition and its thread. */
#ifndef EXEAT_AUDIT_LEDGER_H
#define EXEAT_AUDIT_LEDGER_H

#include "base/err.h"
#include "base/span.h"

struct ledger;

enum { LEDGER_LINE_MAX_BYTES = 32768 };

/* `slots`: most records queued and reserved together. The file is opened for appending, 0640; a torn last line (a crash) is
 * ended with a newline first and said in the log. NULL with reterr. */
struct ledger *ledger_open(const char *path, unsigned slots, struct err *reterr);
/* Writes what is queued (up to deadline_ms), closes. Returns how many records were lost: 0 unless the disk failed. */
unsigned ledger_close(struct ledger *take_l, unsigned deadline_ms);

/* Room for `count` records: 0, or -1 (full: the caller refuses or goes on, by policy). */
int ledger_reserve(struct ledger *l, unsigned count);
void ledger_release(struct ledger *l, unsigned count); /* reserved, but not needed after all */
/* Uses one reserved slot. The line is copied; it ends in '\n'. */
void ledger_append(struct ledger *l, struct span line);

/* The file was moved away (rotation): open its path again. From any thread. */
void ledger_reopen(struct ledger *l);

struct ledger_stats {
    uint64_t written, write_errors;
    unsigned queued, reserved, slots;
    char last_error[128]; /* "" when the last write went well */
};
void ledger_stats(struct ledger *l, struct ledger_stats *ret);

#endif
