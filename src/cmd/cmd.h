/* cmd.h: the exeat program's frame: the table of commands, help, and what all commands share. Each command is one file and one
 * function `int cmd_...(int argc, char **argv)` that returns the exit code; argv[0] is its last word. */
#ifndef EXEAT_CMD_CMD_H
#define EXEAT_CMD_CMD_H

#include "base/err.h"

#include <stdbool.h>
#include <stdio.h>

enum { CMD_OK = 0, CMD_FAILED = 1, CMD_USAGE = 2 }; /* exit codes, unless a command documents its own */

#define COMMAND(words, function, summary) int function(int argc, char **argv);
#include "cmd/commands.def"
#undef COMMAND

/* main() of exeat. */
int cmd_main(int argc, char **argv);

/* "exeat WORDS: text; see `exeat WORDS --help`" on stderr; returns CMD_USAGE. */
int cmd_usage(const char *words, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same for what getopt_long() did not understand (opterr is 0): names the argument. */
int cmd_bad_option(const char *words, int argc, char **argv);
/* "exeat: place: text" on stderr; returns `code`. */
int cmd_fail(const struct err *err, int code);

#endif
