/* plants.c: the attacks that are hidden in the month: each kind twice, on hosts and days that the seed chooses. See office.h. */
#include "office.h"

#include <stdio.h>

enum { EACH = 2, PRESERVED_NAMES = 100000 };

/* One of them on its way. */
struct act {
    struct office *o;
    struct rng *r;
    unsigned plant, host, since; /* its number; days since it began */
    double begin_s, day_s;       /* when it began; this day's first second */
    const char *what;
};

static struct visit *hide(const struct act *a, enum program program, double at_s, const char *name,
                          uint64_t out, uint64_t in)
{
    struct visit *v = office_add(a->o, a->host, program, at_s, name, out, in, a->what);
    v->plant = (uint8_t)a->plant;
    v->variant = (uint16_t)(900 + a->plant);
    return v;
}

/* A name that nobody else goes to. */
static const char *own_name(const struct act *a, const char *format, char out[NAME_BYTES])
{
    struct rng r = rng_for(a->o->seed, 7000, a->plant);
    snprintf(out, NAME_BYTES, format, rng_below(&r, PRESERVED_NAMES));
    return out;
}

/* From `from_s` of this day, not before it began, each `every_s` with so much jitter, until `until_s` of the day. */
static void repeat(const struct act *a, enum program program, const char *name, double from_s, double until_s,
                   double every_s, double jitter, double out, double sigma, uint64_t in)
{
    double t = a->day_s + from_s > a->begin_s ? a->day_s + from_s : a->begin_s;
    for (t += every_s * rng_unit(a->r); t < a->day_s + until_s;
         t += every_s * (1 + jitter * (2 * rng_unit(a->r) - 1)))
        hide(a, program, t, name, rng_bytes(a->r, out, sigma), rng_bytes(a->r, (double)in, 0.2));
}

/* ---- what they do ---- */

static void send_archive(const struct act *a)
{
    char name[NAME_BYTES];
    uint64_t bytes = rng_bytes(a->r, 4e7, 0.5);
    if (a->since == 0)
        visit_add_archive(
            hide(a, PROGRAM_IMPLANT, a->begin_s, own_name(a, "up.cdn-%05u.com", name), bytes, 4000), 90,
            bytes, a->r);
}

static void fill_bucket(const struct act *a)
{
    char name[NAME_BYTES];
    own_name(a, "store-%05u.s3.us-east-1.amazonaws.com", name);
    for (int i = 0; i < 20 && a->since == 0; i++)
        hide(a, PROGRAM_RCLONE, a->begin_s + 300 * i, name, rng_bytes(a->r, 1e8, 0.4), 9000);
}

static void split(const struct act *a, const char *name)
{
    for (int i = 0; i < 2560 && a->since == 0; i++)
        hide(a, PROGRAM_CURL, a->begin_s + 2.5 * i, name, 4096, 600)->version = (uint16_t)(i % 50);
}

static void split_to_stranger(const struct act *a)
{
    char name[NAME_BYTES];
    split(a, own_name(a, "p.drop-%05u.net", name));
}

static void split_to_well_known(const struct act *a)
{
    char name[NAME_BYTES];
    split(a, site_name(20 + a->plant, name));
}

static void beacon_for_a_week(const struct act *a)
{
    char name[NAME_BYTES];
    if (a->since < 7)
        repeat(a, PROGRAM_IMPLANT, own_name(a, "c.stat-%05u.com", name), 0, DAY_S, 60, 0.08, 900, 0.1, 1400);
}

static void beacon_hourly(const struct act *a)
{
    char name[NAME_BYTES];
    repeat(a, PROGRAM_IMPLANT, own_name(a, "api.sync-%05u.org", name), 9 * HOUR_S, 17 * HOUR_S, HOUR_S, 0.3,
           700, 0.3, 900);
}

static void beacon_to_well_known(const struct act *a)
{
    char name[NAME_BYTES];
    repeat(a, PROGRAM_IMPLANT, site_name(40 + a->plant, name), 9 * HOUR_S, 17 * HOUR_S, 300, 0.2, 800, 0.2,
           1100);
}

static void front(const struct act *a)
{
    for (int i = 0; i < 12 && a->since < 3; i++)
        hide(a, PROGRAM_IMPLANT, a->begin_s + DAY_S * (double)a->since + 900 * i, "cdn.jsdelivr.net",
             rng_bytes(a->r, 3000, 0.5), rng_bytes(a->r, 9000, 0.5))
            ->kind = VISIT_FRONTED;
}

static void meet_self_signed(const struct act *a)
{
    char name[NAME_BYTES];
    own_name(a, "www.shop-%05u.com", name);
    for (int i = 0; i < 20 && a->since < 3; i++)
        hide(a, PROGRAM_IMPLANT, a->begin_s + DAY_S * (double)a->since + 1200 * i, name,
             rng_bytes(a->r, 2000, 0.5), rng_bytes(a->r, 5000, 0.5))
            ->kind = VISIT_SELF_SIGNED;
}

static void drip_early(const struct act *a)
{
    char name[NAME_BYTES];
    repeat(a, PROGRAM_IMPLANT, own_name(a, "t.log-%05u.net", name), 0, DAY_S, 1200, 0.5, 20000, 0.3, 500);
}

static void drip_into_bucket(const struct act *a)
{
    char name[NAME_BYTES];
    repeat(a, PROGRAM_SCRIPT, own_name(a, "keep-%05u.s3.us-east-1.amazonaws.com", name), 9 * HOUR_S,
           17 * HOUR_S, HOUR_S, 0.5, 100000, 0.3, 700);
}

static void drip_to_well_known(const struct act *a)
{
    char name[NAME_BYTES];
    repeat(a, PROGRAM_SCRIPT, site_name(60 + a->plant, name), 8 * HOUR_S, 18 * HOUR_S, 1800, 0.5, 120000, 0.3,
           700);
}

static void speak_noise(const struct act *a)
{
    char name[NAME_BYTES];
    own_name(a, "n.node-%05u.com", name);
    for (int i = 0; i < 8 && a->since == 0; i++)
        hide(a, PROGRAM_IMPLANT, a->begin_s + 600 * i, name, rng_bytes(a->r, 9000, 0.5),
             rng_bytes(a->r, 9000, 0.5))
            ->kind = VISIT_RANDOM;
}

static void live_off_the_land(const struct act *a)
{
    char name[NAME_BYTES];
    for (int i = 0; i < 3 && a->since == 0; i++)
        hide(a, PROGRAM_DEBUGGER, a->begin_s + 500 * i, site_name(10, name), 3000, 90000);
}

static void speak_in_names(const struct act *a)
{
    char format[NAME_BYTES], name[NAME_BYTES];
    own_name(a, "dns-%05u.net", format);
    for (int i = 0; i < 1500 && a->since == 0; i++) {
        snprintf(name, sizeof name, "%016llx%016llx.%.30s", (unsigned long long)rng_next(a->r),
                 (unsigned long long)rng_next(a->r), format);
        hide(a, PROGRAM_IMPLANT, a->begin_s + 4 * i, name, 600, 500);
    }
}

static void paste_keys(const struct act *a)
{
    char name[NAME_BYTES];
    if (a->since > 0)
        return;
    struct visit *v = hide(a, PROGRAM_SCRIPT, a->begin_s, site_name(80 + a->plant, name), 320000, 2000);
    v->sensitive_age_s = 40;
    v->sensitive = "ssh_key";
}

/* By hand, through the browser that everybody here has, to a store that everybody here uses. */
static void upload_by_hand(const struct act *a)
{
    for (int i = 0; i < 12 && a->since == 0; i++)
        hide(a, PROGRAM_CHROME, a->begin_s + 400 * i, "www.dropbox.com", rng_bytes(a->r, 2.5e8, 0.3), 60000)
            ->variant = 0;
}

static void drive_browser(const struct act *a)
{
    char name[NAME_BYTES];
    own_name(a, "sync.paste-%05u.com", name);
    for (int i = 0; i < 10 && a->since == 0; i++)
        hide(a, PROGRAM_DRIVEN, a->begin_s + 120 * i, name, rng_bytes(a->r, 4e6, 0.3), 9000)->variant = 0;
}

/* ---- all of them ---- */

/* They begin on one of these days; at one of these hours. */
static const struct {
    const char *what;
    void (*act)(const struct act *);
    enum role role;
    unsigned first_day, last_day;
} kinds[] = {
    {"an implant sends an archive of some 40 MB to a new domain", send_archive, ROLE_OFFICE, 15, 26},
    {"rclone fills a stranger's bucket with 2 GB", fill_bucket, ROLE_OFFICE, 15, 26},
    {"10 MB in 4 KiB flows of 50 processes, to a new domain", split_to_stranger, ROLE_DEVELOPER, 15, 26},
    {"the same to a site that the office knows well", split_to_well_known, ROLE_OFFICE, 15, 26},
    {"10,000 beacons, one a minute, begun before there is history", beacon_for_a_week, ROLE_SERVER, 9, 12},
    {"a beacon each hour by day, 30 % jitter", beacon_hourly, ROLE_OFFICE, 15, 20},
    {"a beacon each five minutes to a site that the office knows well", beacon_to_well_known, ROLE_OFFICE, 15,
     20},
    {"domain fronting through a content network", front, ROLE_OFFICE, 15, 24},
    {"an implant's server with a certificate of its own making", meet_self_signed, ROLE_OFFICE, 15, 24},
    {"a drip of 20 kB each 20 minutes, begun before there is history", drip_early, ROLE_SERVER, 5, 9},
    {"a drip of 100 kB an hour into a bucket, by a script", drip_into_bucket, ROLE_ANALYST, 15, 20},
    {"a drip of 240 kB an hour to a site that the office knows well", drip_to_well_known, ROLE_ANALYST, 15,
     18},
    {"a protocol of noise", speak_noise, ROLE_OFFICE, 15, 26},
    {"a debugger that never connects opens TLS", live_off_the_land, ROLE_DEVELOPER, 15, 26},
    {"1,500 names below one domain, which carry the data", speak_in_names, ROLE_OFFICE, 15, 26},
    {"SSH keys are read, 320 kB go to a well-known site", paste_keys, ROLE_OFFICE, 15, 26},
    {"a person uploads 3 GB in the browser, to a store that the office uses", upload_by_hand, ROLE_OFFICE, 15,
     26},
    {"an implant drives a headless browser, which uploads 40 MB", drive_browser, ROLE_OFFICE, 15, 26},
};

enum { KINDS = sizeof kinds / sizeof kinds[0] };
_Static_assert(KINDS *EACH <= PLANTS_MOST, "office.h says how many there may be");

unsigned plants_count(void)
{
    return KINDS * EACH;
}

const char *plant_what(unsigned plant)
{
    return kinds[(plant - 1) / EACH].what;
}

static unsigned begin_day(const struct office *o, unsigned plant, struct rng *r)
{
    unsigned first = kinds[(plant - 1) / EACH].first_day, last = kinds[(plant - 1) / EACH].last_day, day;
    if (first >= o->days)
        return o->days; /* never */
    do
        day = rng_between(r, first, last < o->days ? last : o->days - 1);
    while (day % 7 >= 5 && last - first > 2);
    return day;
}

/* Thousands of flows in a row. */
bool plant_is_many(unsigned plant)
{
    void (*act)(const struct act *) = kinds[(plant - 1) / EACH].act;
    return act == beacon_for_a_week || act == split_to_stranger || act == split_to_well_known;
}

int64_t plant_begin_ms(const struct office *o, unsigned plant)
{
    struct rng r = rng_for(o->seed, 8000, plant);
    return ((int64_t)begin_day(o, plant, &r) * DAY_S + (int64_t)rng_between(&r, 9 * HOUR_S, 15 * HOUR_S)) *
           1000;
}

static unsigned choose_host(const struct office *o, unsigned plant)
{
    struct rng r = rng_for(o->seed, 9000, (plant - 1) / EACH);
    unsigned host = o->host_count, before;
    for (unsigned n = 0; n <= (plant - 1) % EACH; n++) { /* each on another */
        before = host;
        do
            host = rng_below(&r, o->host_count);
        while (o->hosts[host].role != kinds[(plant - 1) / EACH].role || host == before);
    }
    return host;
}

void plants_make_day(struct office *o, unsigned day)
{
    for (unsigned plant = 1; plant <= plants_count(); plant++) {
        int64_t begin_ms = plant_begin_ms(o, plant);
        unsigned began = (unsigned)(begin_ms / 1000 / DAY_S);
        struct rng r = rng_for(o->seed, 10000 + plant, day);
        if (day < began)
            continue;
        const struct act a = {.o = o,
                              .r = &r,
                              .plant = plant,
                              .host = choose_host(o, plant),
                              .since = day - began,
                              .begin_s = (double)begin_ms / 1000,
                              .day_s = day * (double)DAY_S,
                              .what = plant_what(plant)};
        kinds[(plant - 1) / EACH].act(&a);
    }
}
