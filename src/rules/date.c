/* date.c: see date.h. Days are counted by the proleptic Gregorian calendar. Pure. */
#include "rules/date.h"

#include <math.h>

struct cursor {
    const uint8_t *at, *end;
};

static int64_t days_from_civil(int64_t y, int m, int d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400, yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void civil_from_days(int64_t z, int *ret_y, int *ret_m, int *ret_d)
{
    z += 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365,
            doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *ret_d = (int)(doy - (153 * mp + 2) / 5 + 1);
    *ret_m = (int)(mp < 10 ? mp + 3 : mp - 9);
    *ret_y = (int)(yoe + era * 400 + (*ret_m <= 2));
}

/* ISO 8601: the week of the year that has this week's Thursday. */
static int iso_week(int64_t days)
{
    int y, m, d;
    int64_t weekday = ((days + 3) % 7 + 7) % 7, thursday = days - weekday + 3; /* 0: Monday */
    civil_from_days(thursday, &y, &m, &d);
    return (int)((thursday - days_from_civil(y, 1, 1)) / 7) + 1;
}

static bool take_digits(struct cursor *c, int count, int *ret)
{
    int value = 0;
    if (c->end - c->at < count)
        return false;
    for (int i = 0; i < count; i++, c->at++) {
        if (*c->at < '0' || *c->at > '9')
            return false;
        value = value * 10 + (*c->at - '0');
    }
    *ret = value;
    return true;
}

static bool take_char(struct cursor *c, const char *any_of)
{
    if (c->at == c->end || *c->at == '\0' || !strchr(any_of, *c->at))
        return false;
    c->at++;
    return true;
}

/* Of the fraction, milliseconds. */
static int take_fraction(struct cursor *c)
{
    int ms = 0, scale = 100;
    if (!take_char(c, ".,"))
        return 0;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++, scale /= 10)
        ms += (*c->at - '0') * scale;
    return ms;
}

static bool take_zone(struct cursor *c, int *ret_minutes)
{
    int hours, minutes = 0;
    *ret_minutes = 0;
    if (c->at == c->end || take_char(c, "Zz"))
        return c->at == c->end;
    bool minus = *c->at == '-';
    if (!take_char(c, "+-") || !take_digits(c, 2, &hours))
        return false;
    take_char(c, ":");
    if (c->at < c->end && !take_digits(c, 2, &minutes))
        return false;
    *ret_minutes = (minus ? -1 : 1) * (hours * 60 + minutes);
    return c->at == c->end && hours < 24 && minutes < 60;
}

static void finish(struct date *d, int64_t days, int hour, int minute)
{
    int year, month, day;
    civil_from_days(days, &year, &month, &day);
    d->part[DATE_YEAR] = year;
    d->part[DATE_MONTH] = month;
    d->part[DATE_DAY] = day;
    d->part[DATE_WEEK] = iso_week(days);
    d->part[DATE_HOUR] = hour;
    d->part[DATE_MINUTE] = minute;
}

static bool parse_written(struct span text, struct date *ret)
{
    struct cursor c = {text.data, text.data + text.len};
    int y, mo, d, h = 0, mi = 0, s = 0, ms = 0, zone = 0;
    if (!take_digits(&c, 4, &y) || !take_char(&c, "-/") || !take_digits(&c, 2, &mo) || !take_char(&c, "-/") ||
        !take_digits(&c, 2, &d) || mo < 1 || mo > 12 || d < 1 || d > 31)
        return false;
    if (c.at < c.end) {
        if (!take_char(&c, "Tt ") || !take_digits(&c, 2, &h) || !take_char(&c, ":") ||
            !take_digits(&c, 2, &mi))
            return false;
        if (take_char(&c, ":") && !take_digits(&c, 2, &s))
            return false;
        ms = take_fraction(&c);
        take_char(&c, " ");
        if (!take_zone(&c, &zone) || h > 23 || mi > 59 || s > 60)
            return false;
    }
    int64_t days = days_from_civil(y, mo, d);
    finish(ret, days, h, mi);
    ret->epoch_ms = ((days * 24 + h) * 60 + mi - zone) * 60000 + s * 1000 + ms;
    return ret->part[DATE_DAY] == d; /* not the 31st of a month that has 30 days */
}

bool date_parse(struct span text, struct date *ret)
{
    struct number n;
    struct date d;
    if (parse_written(text, &d)) {
        *ret = d;
        return true;
    }
    if (!number_parse(text, &n) || !(n.real >= 0 && n.real < 1e14))
        return false;
    d.epoch_ms = n.real >= 1e11 ? (int64_t)n.real : (int64_t)llround(n.real * 1000);
    int64_t minutes = d.epoch_ms / 60000;
    finish(&d, minutes / 1440, (int)(minutes % 1440 / 60), (int)(minutes % 60));
    *ret = d;
    return true;
}
