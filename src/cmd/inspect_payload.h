/* inspect_payload.h: `exeat inspect payload [FILE|-]`: what Exeat makes of bytes that nobody explained, for people and scripts. Called
 * by the exeat program. Touches the file named, stdin and stdout. */
#ifndef EXEAT_CMD_INSPECT_PAYLOAD_H
#define EXEAT_CMD_INSPECT_PAYLOAD_H

#include <stdio.h>

/* Exit codes as cmd/hex_lines.h: 0 every line was decoded, 1 some line was not, 2 usage, or a file that can't be read or written. */
int cmd_inspect_payload(int argc, char **argv);

/* The same between streams. */
int inspect_payload_stream(FILE *in, FILE *out);

#endif
