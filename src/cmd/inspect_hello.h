/* inspect_hello.h: `exeat inspect hello [FILE|-]`: what Exeat sees in a ClientHello, for people and scripts. Called by the
 * exeat program. Touches the file named, stdin and stdout. */
#ifndef EXEAT_CMD_INSPECT_HELLO_H
#define EXEAT_CMD_INSPECT_HELLO_H

#include <stdio.h>

enum { INSPECT_OK, INSPECT_SOME_BAD, INSPECT_FAILED }; /* exit codes */

/* argv[0] is the command's name, options and the file follow. Returns the exit code: 0 every line was a hello, 1 some line
 * was not, 2 usage, or the file can't be read, or the output can't be written. */
int cmd_inspect_hello(int argc, char **argv);

/* The same between streams. */
int inspect_hello_stream(FILE *in, FILE *out);

#endif
