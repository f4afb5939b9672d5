/* intake.h: lines of macOS' event streams into the history of what processes did (agent/history.h): forks, executions and ends, opened files in
 * watched places, archives that were written, archivers, libraries of TLS and ciphers, key pairs that were used outside TLS. Knows nothing
 * of macOS but the lines, so that all of it is tested where there is no Mac; platform_macos.c (which has streams.c read the lines) calls
 * in. One thread. Reads the beginnings of written files by the hook it is given.
 *
 * KEYS. The Security framework says which function a program called, not for whom. Verifying signatures and judging chains is what TLS
 * clients do, and counts for nothing; a signature may be a client certificate's: each chain that was judged excuses one. The rest is
 * outside TLS. */
#ifndef EXEAT_AGENT_MACOS_INTAKE_H
#define EXEAT_AGENT_MACOS_INTAKE_H

#include "agent/history.h"
#include "base/span.h"

enum intake_stream { INTAKE_EVENTS, INTAKE_LOG, INTAKE_STREAMS };

struct intake;

/* Reads the first bytes of a regular file: how many, or -1; *ret_size is the file's. */
typedef int64_t intake_read_head(const char *path, uint8_t *head, size_t size, int64_t *ret_size);

struct intake *intake_new(intake_read_head *read_head); /* NULL without memory */
void intake_free(struct intake *in);                    /* NULL is fine */

/* One line without its LF. What is none of those that are known is nothing. */
void intake_take(struct intake *in, enum intake_stream stream, struct span line, int64_t now_ms);

/* So many lines were lost on the way, beside those whose numbers are missing. */
void intake_lose(struct intake *in, uint64_t lines);

/* Whether a stream runs: what it would tell is not observable else. None does at first. */
void intake_running(struct intake *in, enum intake_stream stream, bool runs);

/* Kinds of history that no stream tells, a bit for each; all of them where none runs. */
unsigned intake_never(bool any);

/* What the lineage of the process did that has this number and began then (Unix time); strings are views until the next call. Another
 * process with that number: nothing is told of it. */
void intake_ask(struct intake *in, int64_t pid, int64_t start_s, int64_t now_ms, struct agent_history *ret);

void intake_losses(struct intake *in, struct agent_losses *ret); /* since the beginning */
void intake_age(struct intake *in, int64_t now_ms);              /* every now and then */

#endif
