/* inspect_chain.h: `exeat inspect chain`: a server's certificates judged and described, for people and scripts. Called by the
 * exeat program. Touches the files named and stdout. */
#ifndef EXEAT_CMD_INSPECT_CHAIN_H
#define EXEAT_CMD_INSPECT_CHAIN_H

#include "base/json.h"
#include "tls/verify.h"

#include <stdio.h>

enum { INSPECT_CHAIN_TRUSTED, INSPECT_CHAIN_UNTRUSTED, INSPECT_CHAIN_UNREADABLE }; /* exit codes */

/* One JSON object and a newline. 0, or -1 when it can't be built or written. */
int inspect_chain_write(const struct chain *c, const struct chain_report *r, const struct chain_question *q,
                        FILE *out);

/* One certificate's facts, as an object of the open array. */
void inspect_chain_write_certificate(struct json *j, const struct chain_certificate *f);

/* Is this name, or a domain below which names are given out, a public suffix (publicsuffix.org)? */
bool inspect_chain_public_suffix(const char *domain);

/* argv[0] is the command's name. Returns the exit code. */
int cmd_inspect_chain(int argc, char **argv);
/* `exeat inspect host`: the same for what a live server shows. */
int cmd_inspect_host(int argc, char **argv);

#endif
