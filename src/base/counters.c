/* counters.c: the table of counters.def, made. Pure. */
#include "base/counters.h"

const struct counter_row counter_table[COUNTER_COUNT] = {
#define COUNTER(name, doc) [COUNTER_##name] = {#name, doc},
#include "base/counters.def"
#undef COUNTER
};
