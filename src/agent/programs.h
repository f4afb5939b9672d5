/* programs.h: what policy/agent/programs.yaml says about programs: which make code while they run, which are browsers and by
 * which options they stop being one, which options have others give the orders. Read once at the start; the back ends ask
 * when they describe a process. Pure. */
#ifndef EXEAT_AGENT_PROGRAMS_H
#define EXEAT_AGENT_PROGRAMS_H

#include "base/err.h"
#include "wire/sender.h"

struct programs; /* opaque, immutable */

/* The text that is built in, and the name that errors have for it. */
struct span programs_builtin(void);
#define PROGRAMS_BUILTIN_NAME "policy/agent/programs.yaml"

/* NULL fills reterr with file (`name`), line and column. */
struct programs *programs_parse(struct span text, const char *name, struct err *reterr);
void programs_free(struct programs *p); /* NULL is fine */

/* A program, as it is looked for: `package` NULL when none owns the file, or users can write it. */
struct program_id {
    const char *package, *executable; /* borrowed for the call; NULL when not known */
};

bool programs_is_jit(const struct programs *p, const struct program_id *id);

/* The browser's name, or NULL: it is none. A view into `p`. */
const char *programs_browser(const struct programs *p, const struct program_id *id);

/* Why an argument list (of `argc` words) is no person's browser: a set of enum sender_not_browser. */
uint32_t programs_not_browser(const struct programs *p, const struct program_id *id, const char *const *argv,
                              size_t argc);

/* The first argument by which it takes its orders from elsewhere, a view into argv; or NULL. */
const char *programs_orders(const struct programs *p, const struct program_id *id, const char *const *argv,
                            size_t argc);

#endif
