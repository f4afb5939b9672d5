/* rfc3339.h: points in time as people and records write them: "2026-03-15T12:00:00Z". Whole seconds since 1970, UTC; no clock is
 * read. Pure. */
#ifndef EXEAT_BASE_RFC3339_H
#define EXEAT_BASE_RFC3339_H

#include "base/span.h"

enum { RFC3339_TEXT_BYTES = 24 }; /* with the NUL */

/* RFC 3339, 5.6: date, "T" (or a space), time, "Z" or an offset; a fraction is cut off (the second that has begun). A second
 * of 60 is read as 59. False leaves *ret_s untouched. */
bool rfc3339_parse(struct span text, int64_t *ret_s);

/* Years 0 to 9999 (beyond: the nearest of these seconds); returns out. */
char *rfc3339_format(int64_t time_s, char out[RFC3339_TEXT_BYTES]);

/* Days from 1970-01-01 of a proleptic Gregorian date; month 1 to 12, day from 1. */
int64_t rfc3339_days(int64_t year, unsigned month, unsigned day);

#endif
