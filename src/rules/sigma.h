/* sigma.h: files of Sigma rules, filters and correlations (specification 2.1) into documents. Strict: what is unknown, mistyped or not
 * supported rejects its document with a place, and the file's other documents load.
 *
 * Commands (and run/, for a snapshot) read the files and call in; ruleset links what comes out. Pure. */
#ifndef EXEAT_RULES_SIGMA_H
#define EXEAT_RULES_SIGMA_H

#include "rules/sigma_item.h"

enum {
    SIGMA_DOCUMENTS_MAX = 10000,
    SIGMA_CORRELATED_MAX = 64,
    SIGMA_GROUP_MAX = 16,
    SIGMA_COUNT_MAX = 10000
};

enum sigma_kind { SIGMA_RULE, SIGMA_FILTER, SIGMA_CORRELATION };
enum sigma_level {
    SIGMA_LEVEL_NONE,
    SIGMA_INFORMATIONAL,
    SIGMA_LOW,
    SIGMA_MEDIUM,
    SIGMA_HIGH,
    SIGMA_CRITICAL
};
enum sigma_status {
    SIGMA_STATUS_NONE,
    SIGMA_STABLE,
    SIGMA_TEST,
    SIGMA_EXPERIMENTAL,
    SIGMA_DEPRECATED,
    SIGMA_UNSUPPORTED
};
enum correlation_type {
    CORRELATION_EVENT_COUNT,
    CORRELATION_VALUE_COUNT,
    CORRELATION_TEMPORAL,
    CORRELATION_TEMPORAL_ORDERED
};

struct sigma_names {
    const char *const *items; /* view into the arena */
    const struct place *places;
    size_t count;
};

struct sigma_logsource {
    const char *category, *product, *service; /* views into the arena; NULL where not given */
    struct place place;
};

/* In events that `rule` matches, `alias` is called `field`. */
struct sigma_alias {
    const char *alias, *rule, *field; /* views into the arena */
    struct place place;
};

struct sigma_correlation {
    enum correlation_type type;
    struct sigma_names rules;    /* ids or names */
    struct sigma_names group_by; /* fields or aliases */
    struct sigma_alias *aliases; /* view into the arena */
    size_t alias_count;
    struct sigma_names fields; /* value_count: together one value */
    int64_t timespan_ms;
    int64_t min, max; /* what the count must lie between; max INT64_MAX: no end */
    int64_t not ;     /* neq: what it must not be; -1: none */
    bool generate;    /* the rules it names are reported by themselves too */
};

struct sigma_document {
    enum sigma_kind kind;
    struct place place;                               /* its first key */
    const char *id, *name, *title, *author, *license; /* views into the arena; all but title may be NULL */
    enum sigma_level level;
    enum sigma_status status;
    struct sigma_names tags, fields; /* fields: what is of interest beside the condition */
    struct sigma_logsource logsource;
    const struct expr *condition;          /* view into the arena; NULL in a correlation */
    struct atom *atoms;                    /* view into the arena: all of them, by .next */
    struct sigma_names filtered;           /* filters: ids or names; empty: any rule */
    struct sigma_correlation *correlation; /* view into the arena; NULL otherwise */
    size_t number;                         /* for whoever keeps a list */
    struct sigma_document *next;           /* for whoever keeps a list */
};

struct sigma_options {
    const struct placeholder *placeholders; /* borrowed for the call */
    size_t placeholder_count;
};

/* One call a document: `document` (which lives in the arena), or NULL and what is wrong with it. */
typedef void sigma_take(void *context, struct sigma_document *document, const struct err *err);

/* Reads all documents of a file. What they need lives in `arena`; the tree read on the way doesn't. */
void sigma_read(struct arena *arena, struct span text, const char *file, const struct sigma_options *options,
                sigma_take *take, void *context);

/* In the order of the enums, without their NONE. */
extern const char *const sigma_levels[SIGMA_CRITICAL], *const sigma_statuses[SIGMA_UNSUPPORTED];
/* As the rule has it; NULL without one. */
const char *sigma_level_name(enum sigma_level level);
const char *sigma_status_name(enum sigma_status status);

/* The id, else the name, else the title. */
const char *sigma_document_id(const struct sigma_document *d);

/* A file {name: [value, ...]} into placeholders; their number, or -1 with reterr. They live in the arena. */
int sigma_read_placeholders(struct arena *arena, struct span text, const char *file, struct placeholder **ret,
                            struct err *reterr);

#endif
