/* scenario.h: a text scenario as lines of words; scenarios/README.md tells the language. The parser splits and unescapes,
 * run.c knows what the words mean. */
#ifndef EXEAT_TESTS_SIM_SCENARIO_H
#define EXEAT_TESTS_SIM_SCENARIO_H

#include "base/err.h"
#include "base/span.h"

struct snapshot;
struct sender;

enum { WORDS_MAX = 24, SNAPSHOTS_MAX = 8 };

struct line {
    unsigned number;
    unsigned count;
    unsigned quoted;              /* bits: which of the words were in quotes */
    struct span words[WORDS_MAX]; /* owned by the scenario; NUL-terminated; a quoted one may hold any bytes */
    const char *rest;             /* owned: the line after its first word, as it stands */
    struct sender *sender;        /* counted: made at the first run; NULL */
};

struct scenario {
    char name[96];
    struct line *lines; /* owned */
    size_t count;
    struct snapshot
        *snapshots[SNAPSHOTS_MAX]; /* counted: made in the first run, used again in the same order */
    struct snapshot *revoke_cut, *revoke_keep; /* counted: what injections publish */
};

/* NULL fills reterr. */
struct scenario *scenario_read(const char *path, struct err *reterr);
void scenario_free(struct scenario *take_s);

/* A whole file, NUL-terminated; owned by the caller. NULL when it can't be read. */
char *read_whole(const char *path, size_t *ret_len);

#endif
