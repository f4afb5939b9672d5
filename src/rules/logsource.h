/* logsource.h: which facts answer to the fields of a Sigma logsource, by the tables in policy/sigma/; and hence in which phase a rule can
 * come true at the earliest. `exeat rules check` calls in, and whoever feeds facts to match. Pure. */
#ifndef EXEAT_RULES_LOGSOURCE_H
#define EXEAT_RULES_LOGSOURCE_H

#include "facts/facts.h"
#include "rules/ruleset.h"

/* The tables as they were built in; ends with a name of NULL. */
struct logsource_file {
    const char *name;
    const unsigned char *bytes;
    size_t len;
};
extern const struct logsource_file logsource_files[];

enum { LOGSOURCE_FACTS_MAX = 8 };

struct logsource_field {
    const char *name;   /* view into the arena */
    const char *joined; /* view into the arena: its facts' names, joined by '+' */
    enum fact facts[LOGSOURCE_FACTS_MAX];
    size_t count; /* at least 1 */
};

struct logsource {
    struct sigma_logsource *of; /* view into the arena: any of them */
    size_t of_count;
    struct logsource_field *fields; /* view into the arena */
    size_t field_count;
    const char
        *any; /* view into the arena: all its fields' facts, joined by '+': what a keyword looks into */
    struct logsource *next; /* view into the arena */
};

/* Reads one table and puts it before `next`. NULL fills reterr. */
struct logsource *logsource_read(struct arena *a, struct span text, const char *file, struct logsource *next,
                                 struct err *reterr);
/* All that are built in, and `product: exeat`, whose fields are the facts by their own names and by those that Sigma has for them. NULL fills
 * reterr. */
struct logsource *logsource_read_all(struct arena *a, struct err *reterr);

/* The table for a rule's logsource: the most particular one whose words the rule's logsource has all. NULL: none. */
const struct logsource *logsource_find(const struct logsource *tables, const struct sigma_logsource *rule);
const struct logsource_field *logsource_field_find(const struct logsource *l, const char *name);

/* 0 when there is a table for the document's logsource and every field it asks for is in it, else -1 with reterr. A correlation has no
 * logsource of its own: 0. */
int logsource_check(const struct logsource *tables, const struct sigma_document *d, struct err *reterr);

/* The earliest phase in which the expression can be TRUE. Its fields must be in `l`. */
enum fact_phase logsource_phase(const struct logsource *l, const struct expr *e);

/* What a field of the document (NULL: a keyword) is called when it is decided inline: the facts it looks into, as
 * logsource_field.joined, so that fields of different logsources that mean the same are one. "?" when no table has it: a view that lives as
 * long as the tables. */
const char *logsource_name_field(const struct logsource *tables, const struct sigma_logsource *rule,
                                 const char *field);

/* "accept", "connect", ...; lives for ever. */
const char *logsource_phase_name(enum fact_phase phase);

#endif
