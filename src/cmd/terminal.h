/* terminal.h: writing to people: colour where a terminal shows it, and other people's bytes so that no terminal obeys them. */
#ifndef EXEAT_CMD_TERMINAL_H
#define EXEAT_CMD_TERMINAL_H

#include <stdio.h>

enum colour { COLOUR_NONE, COLOUR_GOOD, COLOUR_WARN, COLOUR_BAD, COLOUR_DIM, COLOUR_BOLD };

/* The escape sequence that begins a colour, "" when `out` is no terminal or NO_COLOR is set. COLOUR_NONE ends one. */
const char *terminal_colour(FILE *out, enum colour c);

/* Text as it is, but control characters, invalid UTF-8 and marks that reverse the writing direction come as \xNN. Returns the
 * number of columns, a character each. */
unsigned terminal_print(FILE *out, const char *text);

#endif
