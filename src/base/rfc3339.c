/* rfc3339.c: see rfc3339.h. The calendar is counted in years that begin in March, so that the leap day is the last. Pure. */
#include "base/rfc3339.h"

#include <stdio.h>

enum { DAY_S = 86400, DAYS_TO_1970 = 719468, DAYS_PER_400_YEARS = 146097 };
#define FIRST_S INT64_C(-62167219200) /* 0000-01-01T00:00:00Z */
#define LAST_S  INT64_C(253402300799) /* 9999-12-31T23:59:59Z */

int64_t rfc3339_days(int64_t year, unsigned month, unsigned day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t of_era = y - era * 400;
    int64_t of_year = (153 * (int64_t)(month > 2 ? month - 3 : month + 9) + 2) / 5 + (int64_t)day - 1;
    return era * DAYS_PER_400_YEARS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - DAYS_TO_1970;
}

static unsigned month_days(int64_t year, unsigned month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (unsigned)(month == 2 && leap);
}

/* `count` digits at *at, which moves on. */
static bool take_number(struct span s, size_t *at, unsigned count, unsigned *ret)
{
    unsigned value = 0;
    for (unsigned i = 0; i < count; i++, (*at)++) {
        if (*at >= s.len || s.data[*at] < '0' || s.data[*at] > '9')
            return false;
        value = value * 10 + (unsigned)(s.data[*at] - '0');
    }
    *ret = value;
    return true;
}

static bool take_char(struct span s, size_t *at, const char *one_of)
{
    return *at < s.len && s.data[*at] != '\0' && strchr(one_of, s.data[*at]) != NULL && ++*at;
}

static bool take_offset(struct span s, size_t *at, int64_t *ret_s)
{
    unsigned hours, minutes;
    if (take_char(s, at, "Zz")) {
        *ret_s = 0;
        return true;
    }
    bool negative = *at < s.len && s.data[*at] == '-';
    if (!take_char(s, at, "+-") || !take_number(s, at, 2, &hours) || !take_char(s, at, ":") ||
        !take_number(s, at, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    *ret_s = (int64_t)(hours * 3600 + minutes * 60) * (negative ? -1 : 1);
    return true;
}

static bool skip_fraction(struct span s, size_t *at)
{
    if (!take_char(s, at, "."))
        return true;
    size_t first = *at;
    while (*at < s.len && s.data[*at] >= '0' && s.data[*at] <= '9')
        (*at)++;
    return *at > first;
}

bool rfc3339_parse(struct span text, int64_t *ret_s)
{
    size_t at = 0;
    unsigned year, month, day, hour, minute, second;
    int64_t offset_s;
    if (!take_number(text, &at, 4, &year) || !take_char(text, &at, "-") ||
        !take_number(text, &at, 2, &month) || !take_char(text, &at, "-") ||
        !take_number(text, &at, 2, &day) || !take_char(text, &at, "Tt ") ||
        !take_number(text, &at, 2, &hour) || !take_char(text, &at, ":") ||
        !take_number(text, &at, 2, &minute) || !take_char(text, &at, ":") ||
        !take_number(text, &at, 2, &second) || !skip_fraction(text, &at) ||
        !take_offset(text, &at, &offset_s) || at != text.len)
        return false;
    if (month < 1 || month > 12 || day < 1 || day > month_days(year, month) || hour > 23 || minute > 59 ||
        second > 60)
        return false;
    if (second == 60)
        second = 59;
    *ret_s =
        rfc3339_days(year, month, day) * DAY_S + (int64_t)(hour * 3600 + minute * 60 + second) - offset_s;
    return true;
}

char *rfc3339_format(int64_t time_s, char out[RFC3339_TEXT_BYTES])
{
    time_s = time_s < FIRST_S ? FIRST_S : time_s > LAST_S ? LAST_S : time_s;
    int64_t of_day = ((time_s % DAY_S) + DAY_S) % DAY_S, days = (time_s - of_day) / DAY_S + DAYS_TO_1970;
    int64_t era = (days >= 0 ? days : days - (DAYS_PER_400_YEARS - 1)) / DAYS_PER_400_YEARS;
    int64_t of_era = days - era * DAYS_PER_400_YEARS;
    int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * of_year + 2) / 153;
    int64_t day = of_year - (153 * month + 2) / 5 + 1;
    month = month < 10 ? month + 3 : month - 9;
    int64_t year = year_of_era + era * 400 + (month <= 2);
    snprintf(out, RFC3339_TEXT_BYTES, "%04u-%02u-%02uT%02u:%02u:%02uZ", (unsigned)year % 10000,
             (unsigned)month % 100, (unsigned)day % 100, (unsigned)(of_day / 3600) % 100,
             (unsigned)(of_day / 60 % 60), (unsigned)(of_day % 60));
    return out;
}
