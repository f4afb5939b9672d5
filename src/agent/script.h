/* script.h: which script an interpreter runs, told from its argument list: the interpreters and the options that matter are a
 * table. What cannot be told for sure (an option that loads other code, an option the table does not know) is
 * UNCLEAR, which no baseline entry approves. The argument list is the process' own memory: it can lie, so the
 * provenance of what comes from here is "proc". The back ends call in. Pure. */
#ifndef EXEAT_AGENT_SCRIPT_H
#define EXEAT_AGENT_SCRIPT_H

#include "wire/sender.h"

/* `executable` is the file's path or name as the kernel says it. *ret_script is a view into argv (as given there, perhaps
 * relative) when FILE is returned, NULL otherwise. STDIN also stands for an interactive terminal. */
enum sender_script_kind script_find(const char *executable, const char *const *argv, size_t argc,
                                    const char **ret_script);

#endif
