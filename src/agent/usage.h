/* usage.h: how often each program was executed on this host, and how often it connected to the proxy: so that "normally doesn't
 * connect" is a number. By the executable's path, and the script's where an interpreter runs
 * a file: what it is told otherwise (a command, a module, its input) is one. Bounded: the program that was used
 * least recently goes. Kept in a file as lines of text. Pure but for malloc; times are Unix milliseconds. */
#ifndef EXEAT_AGENT_USAGE_H
#define EXEAT_AGENT_USAGE_H

#include "base/buf.h"
#include "wire/agent_history.h"

enum {
    USAGE_MAX = 4096,
    USAGE_PATH_BYTES = 1024,
    USAGE_NUMBERS_BYTES = 320, /* of a line beside the path */
    USAGE_TEXT_BYTES = USAGE_MAX * (USAGE_PATH_BYTES + USAGE_NUMBERS_BYTES),
    USAGE_RECENT_DAYS = 30, /* counted apart: those days at most, 25 at least */
};

struct usage;

struct usage *usage_new(void);
void usage_free(struct usage *u); /* NULL is fine */

/* The name that a program has in here: `script` NULL without. False: it is not counted (too long, or made to be taken for another). */
bool usage_name(const char *path, const char *script, char ret[USAGE_PATH_BYTES]);

void usage_execute(struct usage *u, const char *path, int64_t now_ms);
void usage_connect(struct usage *u, const char *path, bool first_of_process, int64_t now_ms);
bool usage_find(const struct usage *u, const char *path, int64_t now_ms, struct agent_usage *ret);

/* One program a line: seven numbers, those of the last days (not in lines of before), and the path. What is malformed is skipped; the number of programs read. */
size_t usage_read(struct usage *u, struct span text);
int usage_write(const struct usage *u, struct buf *out);

#endif
