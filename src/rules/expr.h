/* expr.h: what a Sigma rule asks, as a tree: atoms (one question about one field) under and, or, not. Made by sigma_item and
 * condition, turned into code by ruleset. All of it lives in one arena. Pure. */
#ifndef EXEAT_RULES_EXPR_H
#define EXEAT_RULES_EXPR_H

#include "base/arena.h"
#include "base/ip.h"

/* Kleene's three values, so ordered that AND is the minimum, OR the maximum, and NOT is TRUE minus the value. */
enum truth { TRUTH_FALSE, TRUTH_UNKNOWN, TRUTH_TRUE };

struct place {
    const char *file;      /* view into the arena */
    unsigned line, column; /* from 1 */
};

enum atom_kind {
    ATOM_PATTERN,  /* a value of the field matches `pattern` */
    ATOM_EXISTS,   /* the field is there, be it null or empty */
    ATOM_NULL,     /* the field is not there, or null */
    ATOM_COMPARE,  /* a value of the field is a number and stands in relation to `number` */
    ATOM_CIDR,     /* a value of the field is an address in `network` */
    ATOM_FIELDREF, /* a value of the field and one of the field `other` */
    ATOM_TIME,     /* a value of the field is a date, and `part` of it stands in relation to `number` */
};

enum compare { COMPARE_LT, COMPARE_LTE, COMPARE_GT, COMPARE_GTE, COMPARE_EQ };
enum affix { AFFIX_NONE, AFFIX_STARTS, AFFIX_ENDS, AFFIX_CONTAINS };
enum date_part { DATE_MINUTE, DATE_HOUR, DATE_DAY, DATE_WEEK, DATE_MONTH, DATE_YEAR, DATE_PART_COUNT };

enum pattern_flags {
    PATTERN_CASELESS = 1,
    PATTERN_UTF8 = 2, /* characters are not bytes in it */
    PATTERN_MULTILINE = 4,
    PATTERN_DOTALL = 8,
    PATTERN_COSTLY =
        16, /* not a plain text: to be compiled alone, under limits, before it is compiled with others */
};

/* Exact for integers of 63 bits, which a double is not. */
struct number {
    bool is_integer;
    int64_t integer;
    double real; /* always set */
};

struct atom {
    enum atom_kind kind;
    const char *field;   /* view into the arena; NULL: any field (a keyword) */
    const char *pattern; /* view into the arena: an expression as hyperscan reads it */
    struct span
        literal; /* view into the arena: PATTERN without wildcards, to be found where `affix` says; len 0: none */
    unsigned flags;  /* enum pattern_flags */
    unsigned weight; /* how seldom it holds: 1 seldom; what rules are found by */
    enum compare compare;
    enum affix affix;
    enum date_part part;
    bool cased; /* FIELDREF */
    struct number number;
    struct ip_network network;
    const char *other;       /* view into the arena */
    struct place place, key; /* of the value, and of the field */
    struct atom *next;       /* view into the arena: the next of the same document */
};

enum expr_kind { EXPR_ATOM, EXPR_NOT, EXPR_AND, EXPR_OR };

struct expr {
    enum expr_kind kind;
    const struct atom *atom;         /* view into the arena; EXPR_ATOM */
    const struct expr *const *items; /* view into the arena; a subtree may have several parents */
    size_t count;                    /* of items: 1 for NOT, at least 1 otherwise */
};

/* NULL when the arena's budget is spent. */
const struct expr *expr_atom(struct arena *a, const struct atom *atom);
const struct expr *expr_not(struct arena *a, const struct expr *item);
/* `items` is copied; one item is returned as itself. */
const struct expr *expr_join(struct arena *a, enum expr_kind kind, const struct expr *const *items,
                             size_t count);

/* A whole text that is a number in decimal, with a fraction or an exponent or without. */
bool number_parse(struct span text, struct number *ret);
/* <0, 0, >0 */
int number_compare(const struct number *a, const struct number *b);
bool number_holds(const struct number *value, enum compare compare, const struct number *than);

#endif
