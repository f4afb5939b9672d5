/* chance.c: numbers from a seed, and the office's list of visits. See office.h. */
#include "office.h"

#include "base/must.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- numbers (splitmix64) ---- */

uint64_t rng_next(struct rng *r)
{
    uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

struct rng rng_for(uint64_t seed, uint64_t what, uint64_t which)
{
    struct rng r = {seed * UINT64_C(0xd6e8feb86659fd93) + what};
    r.state = rng_next(&r) ^ which * UINT64_C(0xa0761d6478bd642f);
    rng_next(&r);
    return r;
}

unsigned rng_below(struct rng *r, unsigned n)
{
    must(n > 0);
    return (unsigned)((rng_next(r) >> 32) * n >> 32);
}

unsigned rng_between(struct rng *r, unsigned low, unsigned high)
{
    return low + rng_below(r, high - low + 1);
}

double rng_unit(struct rng *r)
{
    return (double)(rng_next(r) >> 11) * 0x1p-53;
}

bool rng_chance(struct rng *r, double p)
{
    return rng_unit(r) < p;
}

unsigned rng_count(struct rng *r, double mean)
{
    double left = exp(-mean), product = rng_unit(r);
    unsigned n = 0;
    for (; product > left; n++)
        product *= rng_unit(r);
    return n;
}

uint64_t rng_bytes(struct rng *r, double median, double sigma)
{
    double a = rng_unit(r), b = rng_unit(r);
    double normal = sqrt(-2 * log(1 - a)) * cos(2 * acos(-1) * b);
    return (uint64_t)(median * exp(sigma * normal)) + 1;
}

unsigned rng_zipf(struct rng *r, unsigned n)
{
    unsigned rank = (unsigned)exp(rng_unit(r) * log((double)n + 1)) - 1;
    return rank < n ? rank : n - 1;
}

/* ---- the day's list ---- */

void office_init(struct office *o, uint64_t seed, unsigned hosts, unsigned days)
{
    static const enum role roles[20] = {
        [12] = ROLE_ANALYST,   [13] = ROLE_DEVELOPER, [14] = ROLE_DEVELOPER, [15] = ROLE_DEVELOPER,
        [16] = ROLE_DEVELOPER, [17] = ROLE_SERVER,    [18] = ROLE_CI,        [19] = ROLE_IT};
    must(hosts <= HOSTS_MOST);
    *o = (struct office){.seed = seed, .host_count = hosts, .days = days};
    o->hosts = calloc(hosts, sizeof *o->hosts);
    must(o->hosts);
    for (unsigned i = 0; i < hosts; i++) {
        o->hosts[i].role = i % 40 == 39 ? ROLE_TELEVISION : roles[i % 20];
        o->hosts[i].inspected = i % 20 < 3;
    }
}

void office_free(struct office *o)
{
    free(o->hosts);
    free(o->visits);
}

struct visit *office_add(struct office *o, unsigned host, enum program program, double at_s, const char *name,
                         uint64_t out, uint64_t in, const char *why)
{
    if (o->count == o->room) {
        o->room = 2 * o->room + 4096;
        o->visits = realloc(o->visits, o->room * sizeof *o->visits);
        must(o->visits);
    }
    struct visit *v = &o->visits[o->count];
    *v = (struct visit){.at_ms = (int64_t)(at_s * 1000),
                        .order = (uint32_t)o->count++,
                        .host = (uint16_t)host,
                        .program = (uint8_t)program,
                        .archive_age_s = -1,
                        .archiver_age_s = -1,
                        .sensitive_age_s = -1,
                        .why = why,
                        .out = out,
                        .in = in};
    snprintf(v->name, sizeof v->name, "%s", name);
    return v;
}

void visit_add_archive(struct visit *v, unsigned age_s, uint64_t bytes, struct rng *r)
{
    v->archive_age_s = (int16_t)age_s;
    v->archive_bytes = (int64_t)(bytes ? bytes : rng_bytes(r, 4e6, 1.5));
}

static int compare(const void *a, const void *b)
{
    const struct visit *x = a, *y = b;
    return x->at_ms != y->at_ms  ? (x->at_ms < y->at_ms ? -1 : 1)
           : x->order < y->order ? -1
                                 : x->order > y->order;
}

void office_make_day(struct office *o, unsigned day)
{
    o->count = 0;
    for (unsigned host = 0; host < o->host_count; host++) {
        struct rng r = rng_for(o->seed, 1 + day, host);
        machines_make_day(o, host, day, &r);
        people_make_day(o, host, day, &r);
    }
    weeks_make_day(o, day);
    plants_make_day(o, day);
    qsort(o->visits, o->count, sizeof *o->visits, compare);
}
