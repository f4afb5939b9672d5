/* rulebook.h: all rules of a policy, ready to be asked about live flows: the set and its databases, which facts each of its fields looks
 * into, what a match of each rule does, and at which volumes and ages it is worth asking again. Made by run/ for a snapshot, never changed
 * afterwards, shared by all threads; flow/judge.c asks. Pure. */
#ifndef EXEAT_RULES_RULEBOOK_H
#define EXEAT_RULES_RULEBOOK_H

#include "facts/facts.h"
#include "rules/action.h"
#include "rules/compile.h"
#include "rules/logsource.h"

/* The facts that a field of the set looks into. */
struct rulebook_field {
    const enum fact *facts; /* view into the arena */
    uint32_t count;         /* 0: nothing answers to it */
    bool process;           /* all of them say what the sender's process is, and nothing of this exchange */
    bool running;           /* one of them goes up and down: what was true of it may not be any more */
};

/* A rule asks whether `fact`, which only grows, has come to `at`. */
struct rulebook_point {
    enum fact fact;
    int64_t at;
};

struct rulebook {
    struct arena arena;            /* the documents, and what is below */
    struct ruleset *set;           /* owned */
    struct compiled *compiled;     /* owned */
    struct action *actions;        /* view into the arena: by rule */
    enum fact_phase *phases;       /* view into the arena: by rule, the earliest in which it can be true */
    struct rulebook_field *fields; /* view into the arena: by field of the set */
    bool uses[FACT_COUNT];         /* some rule asks for it */
    enum fact used[FACT_COUNT];    /* the same as a list */
    uint32_t used_count;
    bool uses_phase[FACT_CLOSE + 1]; /* some rule asks for a fact of that phase */
    bool uses_running, uses_process;
    struct rulebook_point *points; /* view into the arena: by fact, then ascending */
    size_t point_count;
    uint32_t *gated; /* view into the arena: rules for which something is done while they are unknown */
    size_t gated_count;
};

/* Everything is taken, also on failure (NULL, with reterr): `take_documents` holds the documents of the set, the tables' views and those of
 * `tables`. `actions` is only read. */
struct rulebook *rulebook_make(struct arena *take_documents, struct ruleset *take_set,
                               struct compiled *take_compiled, const struct logsource *tables,
                               const struct actions *actions, struct err *reterr);
void rulebook_free(struct rulebook *take_b); /* NULL is fine */

/* Facts of a process that stay what they are for all of its connections, as a rule: what is found true of them is kept by process. */
bool rulebook_is_of_process(enum fact which);

/* The smallest point of `fact` above `value`; INT64_MAX when there is none. */
int64_t rulebook_next_point(const struct rulebook *b, enum fact fact, int64_t value);

/* The earliest phase in which a rule of the set can be true: a correlation is with the first of the rules it counts. */
enum fact_phase rulebook_phase(const struct ruleset *s, const struct logsource *tables, size_t rule);

#endif
