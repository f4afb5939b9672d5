/* compile.h: the patterns of a set of rules as one hyperscan database a field, so that a value is read once for all of them.
 *
 * Compiling has no limit of its own, and a short expression can keep it busy for minutes: whoever compiles rules that others wrote calls
 * compile_try() for each costly pattern and compile_items() in a child process with limits, and carries patterns and
 * databases over as bytes (run/rules_child.c does). A loaded set of databases is never changed: threads share it. Pure but for hyperscan. */
#ifndef EXEAT_RULES_COMPILE_H
#define EXEAT_RULES_COMPILE_H

#include "rules/ruleset.h"

enum { COMPILE_WHY_BYTES = 256 };

struct compile_database; /* hyperscan's */

struct compiled {
    struct compile_database **literals; /* owned, each too: by field; NULL for fields without any */
    struct compile_database **patterns; /* likewise: of what is not a literal */
    bool *utf8;                         /* owned: what is scanned there must be valid UTF-8 */
    uint32_t field_count;
    size_t bytes; /* of all databases */
};

/* A field has two: literals are found by a database of their own, which compiles fast and looks each up where it may stand. */
enum compile_half { COMPILE_LITERALS, COMPILE_PATTERNS, COMPILE_HALVES };

/* One pattern as hyperscan wants it: what a process that compiles needs to know, and nothing else of the rules. */
struct compile_item {
    const char *text; /* view into the documents; NUL-terminated */
    size_t len;
    unsigned flags; /* hyperscan's */
    uint32_t id;    /* of the atom */
};

/* An atom's pattern as an item of its own, for compile_try(). */
struct compile_item compile_item_of(const struct atom *a, uint32_t id);
/* All of one database; *ret is the caller's to free(). How many, or -1 without memory. */
int64_t compile_items_of(const struct ruleset *s, uint32_t field, enum compile_half half,
                         struct compile_item **ret);

/* Does hyperscan take this pattern? 0, or -1 with its reason. As costly as the pattern. */
int compile_try(const struct compile_item *item, char ret_why[COMPILE_WHY_BYTES]);

/* A database as bytes, for compiled_add(): *ret_bytes is the caller's to free(), NULL when there is nothing for it. -1 with the reason. */
int compile_items(const struct compile_item *items, size_t count, enum compile_half half, char **ret_bytes,
                  size_t *ret_len, char ret_why[COMPILE_WHY_BYTES]);

/* Room for the databases of all fields; NULL without memory. */
struct compiled *compiled_new(const struct ruleset *s);
/* -1 when the bytes are no database, or without memory. */
int compiled_add(struct compiled *c, uint32_t field, enum compile_half half, const char *bytes, size_t len);
/* All fields at once in this process: for tests and for rules that are trusted. */
struct compiled *compile_all(const struct ruleset *s, char ret_why[COMPILE_WHY_BYTES]);
void compiled_free(struct compiled *c); /* NULL is fine */

#endif
