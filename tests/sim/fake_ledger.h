/* fake_ledger.h: src/audit/ledger.h in memory, linked in place of audit/ledger.c. Can be made full. */
#ifndef EXEAT_TESTS_SIM_FAKE_LEDGER_H
#define EXEAT_TESTS_SIM_FAKE_LEDGER_H

#include "audit/ledger.h"

struct ledger *fake_ledger_new(void);
void fake_ledger_free(struct ledger *take_l); /* nothing may be reserved any more */
void fake_ledger_fill(struct ledger *l, bool full);
unsigned fake_ledger_count(const struct ledger *l);
const char *fake_ledger_line(const struct ledger *l,
                             unsigned i);             /* NUL-terminated; borrowed until the free */
unsigned fake_ledger_refused(const struct ledger *l); /* reservations that failed */
/* How many lines have this metadata.uid. */
unsigned fake_ledger_find(const struct ledger *l, const char *uid);

#endif
