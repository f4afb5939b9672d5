/* ech_names.h: which public names of encrypted hellos (ECH) stand for which hosts, as policy/ech_names.yaml says it: for destinations whose
 * HTTPS record can't be asked for or doesn't say. run/ reads the file, flow/ech.c asks. Immutable: threads share it without locks. Pure. */
#ifndef EXEAT_RULES_ECH_NAMES_H
#define EXEAT_RULES_ECH_NAMES_H

#include "base/err.h"
#include "wire/host.h"

struct ech_names;

enum { ECH_NAMES_MAX = 10000 };

/* NULL with reterr (file `name`, line, column). */
struct ech_names *ech_names_parse(struct span yaml, const char *name, struct err *reterr);
void ech_names_free(struct ech_names *take_n); /* NULL is fine */

/* Does the hello of `host` show this name? n NULL: no. */
bool ech_names_has(const struct ech_names *n, const struct host *public_name, const struct host *host);

#endif
