/* rules_child.h: compiling patterns in a child process with limits of CPU time and memory. The child is this program again, started by its
 * own name for that and nothing else: it shares no memory, no descriptor and no lock with a program that has threads. Both mains call in
 * first thing; rules_load.c otherwise. */
#ifndef EXEAT_RUN_RULES_CHILD_H
#define EXEAT_RUN_RULES_CHILD_H

#include "rules/compile.h"

enum {
    RULES_CHILD_TRY_SECONDS = 5,
    RULES_CHILD_FIELD_SECONDS = 30,
    RULES_CHILD_MIB = 1024,
    RULES_CHILD_WALL = 6, /* on a busy machine seconds of CPU time take so many times as long at most */
};

/* Is this process the child? Then its status to exit with, after all is done; else -1. */
int rules_child_main(int argc, char **argv);

/* Each pattern alone. ret_whys[i] stays NULL when it is taken, else says why not and is the caller's to free(). -1 fills reterr: no
 * process, out of memory, or this process was told to end meanwhile. */
int rules_child_try(const struct atom *const *atoms, uint32_t count, char **ret_whys, struct err *reterr);

/* All databases of the set. 0; 1 when those of *ret_field are too much, and why; -1 fills reterr. */
int rules_child_compile(const struct ruleset *s, struct compiled **ret, uint32_t *ret_field,
                        char ret_why[COMPILE_WHY_BYTES], struct err *reterr);

#endif
