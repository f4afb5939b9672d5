/* rules_load.h: rule files for commands and snapshots: found, read, tried, linked, and their patterns compiled in a child process with limits, so that
 * a hostile expression costs its rule and nothing else. Touches the files named; forks. Not for threads. */
#ifndef EXEAT_RUN_RULES_LOAD_H
#define EXEAT_RUN_RULES_LOAD_H

#include "rules/compile.h"
#include "rules/logsource.h"

/* One document, in the order of files and lines. */
struct rules_entry {
    struct sigma_document *document; /* view into the arena; NULL when it couldn't be read */
    struct err err;                  /* text[0]: it is rejected, and this is why */
};

struct rules_load {
    struct arena arena;          /* the documents */
    struct rules_entry *entries; /* owned */
    size_t count, room;
    struct sigma_options options; /* placeholders: views into the arena */
    const struct logsource *
        tables; /* view into the arena: fields are linked under the names of what they look into; NULL: under their own */
    struct ruleset *set;       /* owned; NULL until rules_load_link() */
    struct compiled *compiled; /* owned; NULL until rules_load_compile() */
};

void rules_load_init(struct rules_load *l);
void rules_load_free(struct rules_load *l);

/* --placeholders. -1 fills reterr. */
int rules_load_placeholders(struct rules_load *l, const char *path, struct err *reterr);

/* A file, or all *.yml and *.yaml below a folder, by name. -1 fills reterr: it can't be read, or no memory. What is wrong with a rule
 * goes into its entry. */
int rules_load_path(struct rules_load *l, const char *path, struct err *reterr);

void rules_load_reject(struct rules_load *l, size_t number, const struct err *why);

/* Reads the tables, rejects documents whose fields nobody can answer, and has the rest linked as they are decided inline. -1 fills reterr. Before
 * finish(). */
int rules_load_tables(struct rules_load *l, struct err *reterr);

/* Tries costly patterns, links what is not rejected, compiles; whoever is the cause of a failure is rejected. -1 fills reterr: out of memory
 * or processes. */
int rules_load_finish(struct rules_load *l, struct err *reterr);

#endif
