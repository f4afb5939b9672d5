/* people.c: what people do at their desks on a day. See office.h. */
#include "office.h"

#include <stdio.h>

enum { SITES = 20000, FAVOURITES = 15, APPS = 40 };

/* Asked for by most pages: fonts, scripts, measurement, safe browsing. */
static const char *const third_parties[] = {"fonts.gstatic.com",
                                            "www.google-analytics.com",
                                            "cdn.jsdelivr.net",
                                            "ajax.googleapis.com",
                                            "cdnjs.cloudflare.com",
                                            "safebrowsing.googleapis.com",
                                            "bat.bing.com",
                                            "connect.facebook.net",
                                            "static.hotjar.com",
                                            "js.stripe.com",
                                            "unpkg.com",
                                            "www.googletagmanager.com",
                                            "c.clarity.ms",
                                            "cdn.cookielaw.org",
                                            "px.ads.linkedin.com",
                                            "browser.sentry-cdn.com"};
static const char *const clouds[] = {"drive.google.com", "onedrive.live.com", "www.dropbox.com",
                                     "wetransfer.com", "acme.sharepoint.com"};

const char *site_name(unsigned rank, char out[NAME_BYTES])
{
    static const char *const endings[] = {"com", "com", "com", "de", "net", "org", "io", "co.uk"};
    snprintf(out, NAME_BYTES, "www.s%05u.%s", rank, endings[rank * 2654435761u >> 29]);
    return out;
}

/* A site that nobody keeps a real certificate for; its browser warns, people click. */
static bool is_neglected(unsigned rank)
{
    return rank > 3000 && rank * 2654435761u >> 22 == 7;
}

static enum program browser_of(unsigned host)
{
    return host % 4 == 3 ? PROGRAM_FIREFOX : PROGRAM_CHROME;
}

void browse(struct office *o, unsigned host, double at_s, const char *name, uint64_t out, uint64_t in,
            const char *why, struct rng *r)
{
    struct visit *v = office_add(o, host, browser_of(host), at_s, name, out, in, why);
    v->unknown = rng_chance(r, 0.0001);
    if (v->unknown)
        v->why = "a connection whose sender the agent missed";
    else if (o->hosts[host].inspected && rng_chance(r, 0.1))
        v->kind = VISIT_INSPECTED;
}

static void read_page(struct office *o, unsigned host, double at_s, unsigned rank, struct rng *r)
{
    char name[NAME_BYTES];
    browse(o, host, at_s, site_name(rank, name), rng_bytes(r, 4000, 1), rng_bytes(r, 80000, 1.3), "browsing",
           r);
    if (is_neglected(rank)) {
        o->visits[o->count - 1].kind = VISIT_SELF_SIGNED;
        o->visits[o->count - 1].why = "a site with a certificate of its own making";
    }
    if (rng_chance(r, 0.3))
        browse(o, host, at_s + 0.4,
               third_parties[rng_zipf(r, sizeof third_parties / sizeof third_parties[0])],
               rng_bytes(r, 1500, 0.7), rng_bytes(r, 20000, 1), "browsing", r);
}

static void browse_all_day(struct office *o, unsigned host, struct rng *r, double from_s, double until_s)
{
    struct rng taste = rng_for(o->seed, 1000, host);
    unsigned favourites[FAVOURITES];
    char name[NAME_BYTES];
    for (int i = 0; i < FAVOURITES; i++)
        favourites[i] = rng_zipf(&taste, SITES);
    for (unsigned pages = rng_count(r, 7); pages > 0; pages--) {
        unsigned rank = rng_chance(r, 0.5) ? favourites[rng_zipf(r, FAVOURITES)] : rng_zipf(r, SITES);
        read_page(o, host, from_s + rng_unit(r) * (until_s - from_s), rank, r);
    }
    for (unsigned n = rng_count(r, 1.5); n > 0; n--) { /* the intranet, whose CA is configured */
        snprintf(name, sizeof name, "app%u.corp.example", rng_zipf(r, 20));
        browse(o, host, from_s + rng_unit(r) * (until_s - from_s), name, rng_bytes(r, 6000, 1.2),
               rng_bytes(r, 60000, 1.2), "the intranet", r);
        o->visits[o->count - 1].kind = VISIT_COMPANY;
    }
    if (rng_chance(r, 0.35)) { /* a file for somebody, now and then packed before */
        browse(o, host, from_s + rng_unit(r) * (until_s - from_s), clouds[rng_zipf(r, 5)],
               rng_bytes(r, 3e6, 1.6), rng_bytes(r, 30000, 0.8), "a file uploaded by a person", r);
        if (rng_chance(r, 0.25))
            visit_add_archive(&o->visits[o->count - 1], rng_between(r, 10, 500), o->visits[o->count - 1].out,
                              r);
    }
}

static void mail_all_day(struct office *o, unsigned host, struct rng *r, double from_s, double until_s)
{
    static const char server[] = "outlook.office365.com";
    for (double t = from_s; t < until_s; t += 2 * HOUR_S + 4 * rng_unit(r))
        office_add(o, host, PROGRAM_MAIL, t, server, rng_bytes(r, 2500, 0.3), rng_bytes(r, 9000, 1.2),
                   "mail");
    for (unsigned n = rng_count(r, 4); n > 0; n--)
        office_add(o, host, PROGRAM_MAIL, from_s + rng_unit(r) * (until_s - from_s), server,
                   rng_bytes(r, 40000, 1.8), rng_bytes(r, 4000, 0.5), "a mail with attachments");
}

static void talk_all_day(struct office *o, unsigned host, struct rng *r, double from_s, double until_s)
{
    static const char *const talk[] = {"wss-primary.slack.com", "slack.com", "files.slack.com"};
    for (unsigned n = rng_count(r, 3); n > 0; n--)
        office_add(o, host, PROGRAM_CHAT, from_s + rng_unit(r) * (until_s - from_s), talk[rng_below(r, 2)],
                   rng_bytes(r, 12000, 0.8), rng_bytes(r, 40000, 1), "chat");
    if (rng_chance(r, 0.5))
        office_add(o, host, PROGRAM_CHAT, from_s + rng_unit(r) * (until_s - from_s), talk[2],
                   rng_bytes(r, 400000, 1.5), 6000, "a file in a chat");
    for (unsigned n = rng_count(r, 1.2); n > 0; n--) { /* a meeting; who presents sends more than he gets */
        double t = from_s + rng_unit(r) * (until_s - from_s);
        char name[NAME_BYTES];
        snprintf(name, sizeof name, "zc%u.zoom.us", rng_below(r, 400));
        office_add(o, host, PROGRAM_MEETING, t, "us05web.zoom.us", rng_bytes(r, 20000, 0.6),
                   rng_bytes(r, 90000, 0.6), "a meeting");
        office_add(o, host, PROGRAM_MEETING, t + 3, name, rng_bytes(r, 9e7, 0.7), rng_bytes(r, 1.2e8, 0.7),
                   "a meeting")
            ->kind = rng_chance(r, 0.3) ? VISIT_TURN : VISIT_TLS13;
    }
}

/* Programs that people brought themselves: most from a site that they read before; each calls home, some elsewhere. */
static void run_apps(struct office *o, unsigned host, unsigned day, struct rng *r, double from_s)
{
    char name[NAME_BYTES];
    struct rng taste = rng_for(o->seed, 2000, host);
    unsigned mine = rng_chance(&taste, 0.25) ? 1 + rng_zipf(&taste, APPS) : 0;
    if (mine) {
        snprintf(name, sizeof name, "api.app%u.io", mine);
        struct visit *v =
            office_add(o, host, PROGRAM_APP, from_s + 900 * rng_unit(r), name, rng_bytes(r, 5000, 1),
                       rng_bytes(r, 40000, 1.2), "a program in a home folder");
        v->variant = (uint16_t)mine;
        v->version = (uint16_t)((day + mine) / 10); /* it updates itself */
    }
    if (!rng_chance(r, 0.01))
        return;
    unsigned app = 100 + rng_below(r, 400);
    double at_s = from_s + rng_unit(r) * 6 * HOUR_S;
    snprintf(name, sizeof name, "www.app%u.io", app);
    browse(o, host, at_s, name, rng_bytes(r, 4000, 1), rng_bytes(r, 2e7, 1), "browsing", r);
    if (rng_chance(r, 0.3))
        snprintf(name, sizeof name, rng_chance(r, 0.6) ? "o%u.ingest.sentry.io" : "t.metrics%u.com", app);
    office_add(o, host, PROGRAM_APP, at_s + 200, name, rng_bytes(r, 4000, 1), rng_bytes(r, 9000, 1),
               "a new program in a home folder")
        ->variant = (uint16_t)app;
}

static void others(struct office *o, unsigned host, unsigned day, struct rng *r, double from_s,
                   double until_s)
{
    run_apps(o, host, day, r, from_s);
    /* carried in one file, which is mounted below /tmp */
    for (unsigned n = host % 200 == 5 ? rng_between(r, 2, 6) : 0; n > 0; n--)
        office_add(o, host, PROGRAM_APPIMAGE, from_s + rng_unit(r) * (until_s - from_s), "api.notes-app.io",
                   rng_bytes(r, 9000, 1), rng_bytes(r, 30000, 1), "a program in one file, mounted below /tmp")
            ->variant = (uint16_t)host;
    /* hides what it is, for its users' sake */
    for (unsigned n = host % 200 == 9 ? rng_between(r, 4, 12) : 0; n > 0; n--)
        office_add(o, host, PROGRAM_MESSENGER, from_s + rng_unit(r) * (until_s - from_s), "149.154.167.51",
                   rng_bytes(r, 20000, 1), rng_bytes(r, 90000, 1), "a messenger that hides its protocol")
            ->kind = VISIT_RANDOM;
    if (rng_chance(r, 0.001)) /* help, a template */
        office_add(o, host, PROGRAM_LIBREOFFICE, from_s + rng_unit(r) * (until_s - from_s),
                   "extensions.libreoffice.org", rng_bytes(r, 3000, 0.5), rng_bytes(r, 50000, 1),
                   "an office suite that goes online once in a while");
}

static void analyse(struct office *o, unsigned host, struct rng *r, double from_s, double until_s)
{
    char name[NAME_BYTES];
    for (unsigned n = rng_count(r, 5); n > 0; n--) {
        bool fresh = rng_chance(r, 0.01);
        unsigned source = fresh ? 100 + rng_below(r, 1000) : rng_zipf(r, 12);
        double at_s = from_s + rng_unit(r) * (until_s - from_s);
        if (rng_chance(r, fresh ? 0.8 : 0.1)) { /* its manual is read in the browser */
            snprintf(name, sizeof name, "docs.data%u.com", source);
            browse(o, host, at_s - 300, name, rng_bytes(r, 4000, 1), rng_bytes(r, 80000, 1), "browsing", r);
        }
        snprintf(name, sizeof name, "api.data%u.com", source);
        struct visit *v =
            office_add(o, host, PROGRAM_SCRIPT, at_s, name, rng_bytes(r, 5000, 1), rng_bytes(r, 400000, 1.5),
                       fresh ? "an analyst's script at a new source" : "an analyst's script");
        v->variant = (uint16_t)(host * 8 + rng_below(r, 6));
        v->version = (uint16_t)rng_below(r, 3);
    }
    if (rng_chance(r, 0.12)) /* by a program that IT has put there */
        office_add(o, host, PROGRAM_SYSTEM_PYTHON, from_s + rng_unit(r) * (until_s - from_s),
                   "acme.eu-central-1.snowflakecomputing.com", rng_bytes(r, 4e6, 1.3), rng_bytes(r, 20000, 1),
                   "an analyst's upload to the warehouse");
}

/* The IT people visit devices that made their own certificates. */
static void administer(struct office *o, unsigned host, struct rng *r, double from_s)
{
    char name[NAME_BYTES];
    for (unsigned n = rng_count(r, 0.5); n > 0; n--) {
        snprintf(name, sizeof name, "device%u.corp.example", rng_below(r, OFFICE_DEVICES));
        browse(o, host, from_s + 6 * HOUR_S * rng_unit(r), name, rng_bytes(r, 8000, 1),
               rng_bytes(r, 90000, 1), "a device with a certificate of its own making", r);
        o->visits[o->count - 1].kind = VISIT_SELF_SIGNED;
    }
}

void people_make_day(struct office *o, unsigned host, unsigned day, struct rng *r)
{
    enum role role = o->hosts[host].role;
    bool at_work = rng_chance(r, day % 7 >= 5 ? 0.04 : 0.9);
    double from_s = day * (double)DAY_S + 7.5 * HOUR_S + rng_unit(r) * 2 * HOUR_S,
           until_s = from_s + (day % 7 >= 5 ? 1.5 : 8) * HOUR_S + rng_unit(r) * 2 * HOUR_S;
    if (!at_work || role == ROLE_SERVER || role == ROLE_CI || role == ROLE_TELEVISION)
        return;
    browse_all_day(o, host, r, from_s, until_s);
    mail_all_day(o, host, r, from_s, until_s);
    talk_all_day(o, host, r, from_s, until_s);
    others(o, host, day, r, from_s, until_s);
    for (double t = from_s; t < until_s;
         t += 900) /* what the sensor has seen; now and then a sample for study */
        office_add(o, host, PROGRAM_SENSOR, t + 9 * rng_unit(r), "ingest.edr-vendor.com",
                   rng_chance(r, 0.001) ? rng_bytes(r, 8e6, 1) : rng_bytes(r, 16000, 0.8),
                   rng_bytes(r, 2500, 0.4), "a sensor");
    office_add(o, host, PROGRAM_APT, from_s + 600, "deb.debian.org", rng_bytes(r, 2000, 0.5),
               rng_bytes(r, 4e6, 1.5), "updates");
    office_add(o, host, PROGRAM_FIRMWARE, from_s + 700, "cdn.fwupd.org", 900, rng_bytes(r, 90000, 0.5),
               "updates");
    office_add(o, host, PROGRAM_BACKUP, from_s + 3600, "laptops.backup-vendor.com", rng_bytes(r, 1.2e8, 1.1),
               rng_bytes(r, 300000, 0.5), "a backup");
    for (unsigned n = rng_count(r, 2); n > 0 && host % 2 == 0; n--)
        office_add(o, host, PROGRAM_SYNC, from_s + rng_unit(r) * (until_s - from_s), "files.corp-cloud.com",
                   rng_bytes(r, 20000, 2), rng_bytes(r, 20000, 2), "files that are kept in step");
    if (role == ROLE_ANALYST)
        analyse(o, host, r, from_s, until_s);
    if (role == ROLE_DEVELOPER)
        developer_make_day(o, host, r, from_s, until_s);
    if (role == ROLE_IT)
        administer(o, host, r, from_s);
}
