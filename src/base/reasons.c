/* reasons.c: the table of include/exeat/reasons.h, made. Pure. */
#include "exeat/reasons.h"

const struct reason_row reason_table[REASON_COUNT] = {
#define R(id, name, status, error, text) [REASON_##id] = {name, error, text, status},
    EXEAT_REASONS(R)
#undef R
};
