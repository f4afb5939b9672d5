/* numbers.c: see numbers.h. Pure. */
#include "rules/numbers.h"

#include <stdlib.h>

static enum number_order order_of(enum compare c)
{
    return c == COMPARE_EQ                       ? NUMBERS_EQUAL
           : c == COMPARE_GT || c == COMPARE_GTE ? NUMBERS_ABOVE
                                                 : NUMBERS_BELOW;
}

static int compare_rows(const void *a, const void *b)
{
    const struct number_row *x = a, *y = b;
    if (x->field != y->field)
        return x->field < y->field ? -1 : 1;
    if (x->order != y->order)
        return x->order < y->order ? -1 : 1;
    int c = number_compare(&x->number, &y->number);
    return x->order == NUMBERS_BELOW ? -c : c;
}

bool numbers_init(struct numbers *n, const struct ruleset *s)
{
    size_t room = 0;
    for (size_t i = 0; i < s->atom_count; i++)
        room += s->atoms[i].atom->kind == ATOM_COMPARE && s->atoms[i].count > 0;
    *n = (struct numbers){.rows = calloc(room + 1, sizeof *n->rows)};
    if (!n->rows)
        return false;
    for (uint32_t i = 0; i < s->atom_count; i++) {
        const struct atom *a = s->atoms[i].atom;
        if (a->kind == ATOM_COMPARE && s->atoms[i].count > 0)
            n->rows[n->count++] = (struct number_row){s->atoms[i].field, i, order_of(a->compare), a->number};
    }
    qsort(n->rows, n->count, sizeof *n->rows, compare_rows);
    return true;
}

void numbers_free(struct numbers *n)
{
    free(n->rows);
    *n = (struct numbers){0};
}

/* The first row that is not before `wanted`. */
static size_t lower_bound(const struct numbers *n, const struct number_row *wanted, bool with_number)
{
    size_t low = 0, high = n->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct number_row *r = &n->rows[middle];
        bool before = r->field != wanted->field   ? r->field < wanted->field
                      : r->order != wanted->order ? r->order < wanted->order
                                                  : with_number && compare_rows(r, wanted) < 0;
        if (before)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool numbers_has(const struct numbers *n, uint32_t field)
{
    const struct number_row wanted = {.field = field};
    size_t at = n->count ? lower_bound(n, &wanted, false) : 0;
    return at < n->count && n->rows[at].field == field;
}

void numbers_find(const struct numbers *n, uint32_t field, const struct number *value, bool rising,
                  void (*found)(void *context, uint32_t atom), void *context)
{
    for (int order = NUMBERS_ABOVE; order <= (rising ? NUMBERS_ABOVE : NUMBERS_EQUAL); order++) {
        const struct number_row wanted = {field, 0, (enum number_order)order, *value};
        for (size_t i = lower_bound(n, &wanted, order == NUMBERS_EQUAL);
             i < n->count && n->rows[i].field == field && n->rows[i].order == wanted.order; i++) {
            int c = number_compare(value, &n->rows[i].number);
            if (order == NUMBERS_ABOVE ? c < 0 : order == NUMBERS_BELOW ? c > 0 : c != 0)
                break; /* nor does any behind it */
            found(context, n->rows[i].atom);
        }
    }
}
