/* date.h: dates as logs write them, for Sigma's time modifiers and the windows of correlations. Pure: no clock, no zone of this machine. */
#ifndef EXEAT_RULES_DATE_H
#define EXEAT_RULES_DATE_H

#include "rules/expr.h"

struct date {
    int part[DATE_PART_COUNT]; /* as the text has them, whatever its zone; DATE_WEEK is ISO 8601's, 1..53 */
    int64_t epoch_ms;          /* its zone taken in; UTC without one */
};

/* "2026-11-21T06:32:00.5+01:00", with a blank for the T, without fraction, zone or time of day; or seconds since 1970 with or without a
 * fraction, or milliseconds (from 1e11 on). False leaves *ret untouched. */
bool date_parse(struct span text, struct date *ret);

#endif
