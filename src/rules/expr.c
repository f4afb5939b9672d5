/* expr.c: see expr.h. Pure. */
#include "rules/expr.h"

#include <errno.h>
#include <stdlib.h>

enum { NUMBER_TEXT_MAX = 64 };

const struct expr *expr_atom(struct arena *a, const struct atom *atom)
{
    struct expr *e = arena_alloc(a, sizeof *e);
    if (e)
        *e = (struct expr){.kind = EXPR_ATOM, .atom = atom};
    return e;
}

const struct expr *expr_join(struct arena *a, enum expr_kind kind, const struct expr *const *items,
                             size_t count)
{
    if (count == 1 && kind != EXPR_NOT)
        return items[0];
    struct expr *e = arena_alloc(a, sizeof *e);
    const struct expr **copy = arena_alloc(a, count * sizeof *copy);
    if (!e || !copy)
        return NULL;
    memcpy(copy, items, count * sizeof *copy);
    *e = (struct expr){.kind = kind, .items = copy, .count = count};
    return e;
}

const struct expr *expr_not(struct arena *a, const struct expr *item)
{
    return expr_join(a, EXPR_NOT, &item, 1);
}

/* -?digits[.digits][e[+-]digits]: what JSON and YAML write; no hexadecimal, no infinity. */
static bool has_number_form(const char *s, bool *ret_integer)
{
    s += *s == '-' || *s == '+';
    size_t digits = strspn(s, "0123456789");
    s += digits;
    *ret_integer = *s == '\0';
    if (*s == '.') {
        size_t fraction = strspn(++s, "0123456789");
        digits = digits && fraction ? digits : 0;
        s += fraction;
    }
    if (digits && (*s == 'e' || *s == 'E')) {
        s += 1 + (s[1] == '-' || s[1] == '+');
        digits = strspn(s, "0123456789");
        s += digits;
    }
    return digits > 0 && *s == '\0';
}

bool number_parse(struct span text, struct number *ret)
{
    char copy[NUMBER_TEXT_MAX + 1];
    bool integer;
    if (text.len == 0 || text.len > NUMBER_TEXT_MAX || memchr(text.data, '\0', text.len))
        return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    if (!has_number_form(copy, &integer))
        return false;
    errno = 0;
    int64_t value = integer ? strtoll(copy, NULL, 10) : 0;
    *ret = (struct number){.is_integer = integer && errno == 0, .integer = value, .real = strtod(copy, NULL)};
    return true;
}

int number_compare(const struct number *a, const struct number *b)
{
    if (a->is_integer && b->is_integer)
        return (a->integer > b->integer) - (a->integer < b->integer);
    return (a->real > b->real) - (a->real < b->real);
}

bool number_holds(const struct number *value, enum compare compare, const struct number *than)
{
    int order = number_compare(value, than);
    switch (compare) {
    case COMPARE_LT:
        return order < 0;
    case COMPARE_LTE:
        return order <= 0;
    case COMPARE_GT:
        return order > 0;
    case COMPARE_GTE:
        return order >= 0;
    case COMPARE_EQ:
        return order == 0;
    }
    return false;
}
