/* machines.c: what servers, builders and screens do day and night, and what each week brings to the office. See office.h. */
#include "office.h"

#include <stdio.h>

static void serve(struct office *o, unsigned host, unsigned day, struct rng *r)
{
    double begin_s = day * (double)DAY_S;
    bool whole = rng_chance(r, 0.01); /* not only what has changed */
    visit_add_archive(office_add(o, host, PROGRAM_BACKUP, begin_s + 2 * HOUR_S + host * 60,
                                 "servers.backup-vendor.com", rng_bytes(r, whole ? 2e10 : 3e8, 1.2),
                                 rng_bytes(r, 900000, 0.6), "a backup"),
                      30, 0, r);
    for (double t = begin_s; t < begin_s + DAY_S; t += HOUR_S)
        office_add(o, host, PROGRAM_MONITOR, t + 2 * rng_unit(r), "metrics.corp-cloud.com",
                   rng_bytes(r, 60000, 0.2), rng_bytes(r, 3000, 0.2), "measurements");
    for (double t = begin_s; t < begin_s + DAY_S; t += HOUR_S)
        office_add(o, host, PROGRAM_SENSOR, t + 9 * rng_unit(r), "ingest.edr-vendor.com",
                   rng_chance(r, 0.002) ? rng_bytes(r, 8e6, 1) : rng_bytes(r, 16000, 0.8),
                   rng_bytes(r, 2500, 0.4), "a sensor");
    for (int n = 0; n < 2; n++)
        office_add(o, host, PROGRAM_APT, begin_s + (6 + 12 * n) * HOUR_S + 3000 * rng_unit(r),
                   "deb.debian.org", rng_bytes(r, 2000, 0.5), rng_bytes(r, 4e6, 1.5), "updates");
    office_add(o, host, PROGRAM_SYSTEM_PYTHON, begin_s + 5 * HOUR_S, "license.erp-vendor.com",
               rng_bytes(r, 2000, 0.2), rng_bytes(r, 4000, 0.2), "a licence check");
}

static void build_once(struct office *o, unsigned host, double at_s, struct rng *r)
{
    char name[NAME_BYTES];
    office_add(o, host, PROGRAM_GIT, at_s, "git.corp.example", 2500, rng_bytes(r, 900000, 1), "a build");
    visit_add_archive(office_add(o, host, PROGRAM_CI_NPM, at_s + 20, "registry.npmjs.org",
                                 rng_bytes(r, 9000, 0.6), rng_bytes(r, 2e7, 0.7), "a build"),
                      3, 0, r);
    visit_add_archive(office_add(o, host, PROGRAM_DOCKER, at_s + 60, "registry.corp.example",
                                 rng_bytes(r, 4e7, 0.8), 9000, "a build"),
                      12, 0, r);
    if (rng_chance(r, 0.5))
        visit_add_archive(office_add(o, host, PROGRAM_CI_CURL, at_s + 90, "artifacts.corp.example",
                                     rng_bytes(r, 2e7, 1.2), 1200, "a build's result"),
                          9, 0, r);
    if (!rng_chance(r, 0.2))
        return;
    bool fresh = rng_chance(r, 0.003);
    snprintf(name, sizeof name, "acme-deploy%u.s3.eu-central-1.amazonaws.com",
             fresh ? 100 + rng_below(r, 900) : rng_below(r, 5));
    struct visit *v = office_add(o, host, PROGRAM_CI_AWS, at_s + 120, name, rng_bytes(r, 9e6, 1), 4000,
                                 fresh ? "a builder's upload to a new place" : "a builder's upload");
    visit_add_archive(v, 9, 0, r);
    v->sensitive_age_s = 0;
    v->sensitive = "cloud_credentials";
}

static void build(struct office *o, unsigned host, unsigned day, struct rng *r)
{
    double begin_s = day * (double)DAY_S;
    for (unsigned n = rng_count(r, day % 7 >= 5 ? 4 : 15); n > 0; n--)
        build_once(o, host, begin_s + rng_unit(r) * DAY_S, r);
}

/* No agent runs there. */
static void show(struct office *o, unsigned host, unsigned day, struct rng *r)
{
    for (double t = day * (double)DAY_S; t < (day + 1) * (double)DAY_S; t += 1800)
        office_add(o, host, PROGRAM_TELEVISION, t + 30 * rng_unit(r),
                   rng_chance(r, 0.9) ? "content.signage-vendor.com" : "time.signage-vendor.com",
                   rng_bytes(r, 1500, 0.3), rng_bytes(r, 90000, 1.5), "a screen in the hall");
}

void machines_make_day(struct office *o, unsigned host, unsigned day, struct rng *r)
{
    if (o->hosts[host].role == ROLE_SERVER)
        serve(o, host, day, r);
    if (o->hosts[host].role == ROLE_CI)
        build(o, host, day, r);
    if (o->hosts[host].role == ROLE_TELEVISION)
        show(o, host, day, r);
}

/* ---- what a week brings ---- */

static bool has_person(const struct office *o, unsigned host)
{
    enum role r = o->hosts[host].role;
    return r != ROLE_SERVER && r != ROLE_CI && r != ROLE_TELEVISION;
}

/* IT brings a package to half of all desks, within three days, after two have tried it; it calls its maker. */
static void roll_out(struct office *o, unsigned week, unsigned day, struct rng *r)
{
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "api.suite%u.com", week);
    for (unsigned host = 0; host < o->host_count; host++) {
        struct rng when = rng_for(o->seed, 3000 + week, host);
        unsigned from = week * 7 + (host % 80 == 19 ? 0 : 1 + rng_below(&when, 3));
        if (!has_person(o, host) || day < from || day % 7 >= 5 || !rng_chance(&when, 0.5))
            continue;
        office_add(o, host, PROGRAM_ROLLOUT, day * (double)DAY_S + 9 * HOUR_S + HOUR_S * rng_unit(r), name,
                   rng_bytes(r, 4000, 0.5), rng_bytes(r, 30000, 1), "software that IT has rolled out")
            ->variant = (uint16_t)week;
    }
}

/* Somebody finds a new service; more and more follow. One in four has a program of its own for some. */
static void take_up(struct office *o, unsigned week, unsigned day, struct rng *r)
{
    char name[NAME_BYTES];
    struct rng plan = rng_for(o->seed, 4000, week);
    double most = 0.05 + 0.3 * rng_unit(&plan);
    bool program = rng_chance(&plan, 0.25);
    snprintf(name, sizeof name, "app.service%u.io", week);
    for (unsigned host = 0; host < o->host_count; host++) {
        struct rng when = rng_for(o->seed, 5000 + week, host);
        double days_in = (double)day - week * 7 + 1, joins = rng_unit(&when) * 20;
        bool own = rng_chance(&when, 0.3);
        if (!has_person(o, host) || day % 7 >= 5 || joins > days_in || !rng_chance(&when, most))
            continue;
        double at_s = day * (double)DAY_S + 10 * HOUR_S + 5 * HOUR_S * rng_unit(r);
        browse(o, host, at_s, name, rng_bytes(r, 30000, 1.5), rng_bytes(r, 300000, 1), "a new service", r);
        if (program && own)
            office_add(o, host, PROGRAM_APP, at_s + 300, name, rng_bytes(r, 30000, 1.5),
                       rng_bytes(r, 90000, 1), "a new service's own program")
                ->variant = (uint16_t)(600 + week);
    }
}

/* A new device, which somebody of IT (office_init()) sets up in a browser. */
static void set_up(struct office *o, unsigned week, unsigned day, struct rng *r)
{
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "device%u.corp.example", 100 + week);
    if (day == week * 7 + 2) {
        browse(o, 19, day * (double)DAY_S + 11 * HOUR_S + HOUR_S * rng_unit(r), name, 20000, 400000,
               "a new device with a certificate of its own making", r);
        o->visits[o->count - 1].kind = VISIT_SELF_SIGNED;
    }
}

void weeks_make_day(struct office *o, unsigned day)
{
    struct rng r = rng_for(o->seed, 6000, day);
    for (unsigned week = 0; week <= day / 7; week++) {
        roll_out(o, week, day, &r);
        take_up(o, week, day, &r);
        set_up(o, week, day, &r);
    }
}
