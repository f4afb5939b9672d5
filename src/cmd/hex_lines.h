/* hex_lines.h: lines of hexadecimal, one after the other, for `exeat inspect hello` and `inspect payload`: the reader, and the frame
 * of a command that answers each line with one. Memory is bounded whatever comes in. Touches the streams given. */
#ifndef EXEAT_CMD_HEX_LINES_H
#define EXEAT_CMD_HEX_LINES_H

#include "base/json.h"

#include <stdio.h>

enum { HEX_LINES_OK, HEX_LINES_SOME_BAD, HEX_LINES_FAILED }; /* exit codes */

/* One line of input, decoded. White space in it is ignored. */
struct hex_line {
    uint8_t *bytes;    /* owned by hex_lines_each() */
    size_t len, max;   /* bytes; what is beyond max is skipped and said */
    bool any;          /* a character that isn't white space was there */
    const char *error; /* NULL, or why the line can't be decoded; lives for ever */
};

/* Writes the answer to `l`, without its newline. False: the line was bad (the answer says so). */
typedef bool hex_lines_answer(const struct hex_line *l, struct buf *out);

/* Answers every line that isn't empty. Lines of up to line_bytes_max bytes (decoded), answers of up to answer_bytes_max. */
int hex_lines_each(FILE *in, FILE *out, size_t line_bytes_max, size_t answer_bytes_max,
                   hex_lines_answer *answer);

/* A command `exeat WORDS [FILE|-]`: reads the arguments, opens the file, calls `run` on the streams. */
int hex_lines_main(int argc, char **argv, const char *words, const char *help,
                   int (*run)(FILE *in, FILE *out));

/* {"error":text,"offset":N} */
void hex_lines_write_error(struct json *j, const char *text, size_t offset);

#endif
