/* ruleset.h: documents linked into one set: filters put into the rules they are for, correlations tied to the rules they count, equal
 * questions asked once, and an index from each question to the rules that can't be true unless it is.
 *
 * Made once per snapshot, never changed afterwards: threads share it without locks. match answers with it, compile makes the pattern
 * databases of its fields. Pure. */
#ifndef EXEAT_RULES_RULESET_H
#define EXEAT_RULES_RULESET_H

#include "rules/names.h"
#include "rules/sigma.h"

enum {
    RULESET_WORDS_MAX = 1 << 16 /* of one rule's code */,
    RULESET_KEYWORD = 0 /* the field that stands for any */
};

/* Code is the tree written down front to back: each word has its kind in the upper two bits; below, an atom has its number, the
 * others how many words follow that belong to them. */
enum { RULE_CODE_SHIFT = 30 };

struct rule {
    const struct sigma_document *document; /* borrowed: lives as long as the set */
    const struct expr *expr;   /* view into the set: with the filters for it; NULL: a correlation */
    uint32_t code, code_words; /* into ruleset.code; no words: a correlation */
    uint32_t correlation;      /* into ruleset.correlations */
    bool silent;       /* only there for a correlation: not reported by itself (specification, "Generate") */
    bool always;       /* no atom needs to be true for it: looked at each time */
    uint64_t identity; /* the same in another set for the same rule: ruleset_identity.h */
};

struct ruleset_atom {
    struct atom *atom;     /* borrowed: the first of the equal ones */
    uint32_t field, other; /* numbers of names; other: FIELDREF */
    uint32_t first, count; /* into ruleset.triggers: the rules that need it */
    uint64_t key;          /* a digest of all that makes its answer */
};

struct correlation {
    const struct sigma_correlation *what; /* borrowed */
    uint32_t rule;                        /* its own */
    const uint32_t *rules;                /* view into the arena: what->rules.count of them */
    const uint32_t *group_fields; /* view into the arena: for each rule, what->group_by.count fields */
    const uint32_t *value_fields; /* view into the arena: for each rule, what->fields.count of them */
};

struct ruleset {
    struct arena arena;
    struct names fields; /* 0 is the keyword's */
    struct rule *rules;  /* owned; correlations among them */
    size_t rule_count;
    struct ruleset_atom *atoms; /* owned */
    size_t atom_count;
    uint32_t *code; /* owned */
    size_t code_words, code_room;
    uint32_t *triggers; /* owned */
    uint32_t *always;   /* owned: rules */
    size_t always_count;
    struct correlation *correlations; /* owned; each after those it counts */
    size_t correlation_count;
};

/* `why` says what is wrong with a document that is left out. */
typedef void ruleset_reject(void *context, const struct sigma_document *d, const struct err *why);

/* What `field` (NULL: a keyword) of the rule `d` is called in the set, where rules of several logsources are decided together. The text
 * must outlive the set. */
typedef const char *ruleset_name(void *context, const struct sigma_document *d, const char *field);

/* Links the list that begins at `documents` (by .next). The documents must outlive the set. NULL without memory. */
struct ruleset *ruleset_link(const struct sigma_document *documents, ruleset_reject *reject, void *context);
/* The same under other names; `name` NULL: their own. */
struct ruleset *ruleset_link_named(const struct sigma_document *documents, ruleset_name *name,
                                   ruleset_reject *reject, void *context);
void ruleset_free(struct ruleset *s); /* NULL is fine */

#endif
