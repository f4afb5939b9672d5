/* office.h: a month of an office's traffic, made up from a seed, and played through the real flow, facts, rules and findings on a virtual
 * clock. people.c and machines.c say who does what on a day, plants.c hides attacks among it, play.c makes a flow of each visit, office.c
 * counts what was found. Nothing here knows a rule's threshold: rates and sizes are what offices are like. */
#ifndef EXEAT_TESTS_SIM_OFFICE_H
#define EXEAT_TESTS_SIM_OFFICE_H

#include <jansson.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MINUTE_S = 60,
    HOUR_S = 3600,
    DAY_S = 86400,
    HOSTS_LEAST = 40, /* two of each role: an attack of a kind is planted on two hosts */
    HOSTS_MOST = 1000,
    NAME_BYTES = 64,
    PLANTS_MOST = 40,
    OFFICE_DEVICES = 12
};

/* ---- chance: the same everywhere for the same seed ---- */

struct rng {
    uint64_t state;
};
uint64_t rng_next(struct rng *r);
unsigned rng_below(struct rng *r, unsigned n);
unsigned rng_between(struct rng *r, unsigned low, unsigned high); /* both included */
double rng_unit(struct rng *r);
bool rng_chance(struct rng *r, double p);
unsigned rng_count(struct rng *r, double mean);                 /* Poisson's */
uint64_t rng_bytes(struct rng *r, double median, double sigma); /* log-normal */
unsigned rng_zipf(struct rng *r, unsigned n); /* 0 to n - 1: the first is the most popular */
struct rng rng_for(uint64_t seed, uint64_t what, uint64_t which); /* one that depends on nothing else */

/* ---- programs ---- */

enum hello_kind { HELLO_CHROMIUM, HELLO_FIREFOX, HELLO_LIBRARY };

/* X(ID, package or "", executable (%u: the variant), script or "", hello, started a day, share of those that connect, flags) */
#define PROGRAMS(X)                                                                                          \
    X(CHROME, "google-chrome-stable", "/opt/google/chrome/chrome", "", CHROMIUM, 3, 1, BROWSER)              \
    X(FIREFOX, "firefox-esr", "/usr/lib/firefox-esr/firefox-esr", "", FIREFOX, 3, 1, BROWSER)                \
    X(MAIL, "evolution", "/usr/bin/evolution", "", LIBRARY, 2, 1, 0)                                         \
    X(CHAT, "slack-desktop", "/usr/lib/slack/slack", "", CHROMIUM, 2, 1, 0)                                  \
    X(MEETING, "zoom", "/opt/zoom/zoom", "", LIBRARY, 3, 1, 0)                                               \
    X(SYNC, "nextcloud-desktop", "/usr/bin/nextcloud", "", LIBRARY, 1, 1, 0)                                 \
    X(LIBREOFFICE, "libreoffice-core", "/usr/lib/libreoffice/program/soffice.bin", "", LIBRARY, 6, 0, 0)     \
    X(EDITOR, "code", "/usr/share/code/code", "", CHROMIUM, 3, 1, 0)                                         \
    X(GIT, "git", "/usr/lib/git-core/git-remote-http", "", LIBRARY, 20, 1, 0)                                \
    X(NPM, "nodejs", "/usr/bin/node", "/usr/share/nodejs/npm/bin/npm-cli.js", LIBRARY, 25, 0.3, 0)           \
    X(PIP, "python3.11-minimal", "/usr/bin/python3.11", "/usr/bin/pip3", LIBRARY, 40, 0.05, 0)               \
    X(CARGO, "", "/home/dev/.cargo/bin/cargo", "", LIBRARY, 20, 0.2, USERS)                                  \
    X(GO, "golang-1.19-go", "/usr/lib/go-1.19/bin/go", "", LIBRARY, 30, 0.1, 0)                              \
    X(DOCKER, "docker-ce", "/usr/bin/dockerd", "", LIBRARY, 1, 1, 0)                                         \
    X(CURL, "curl", "/usr/bin/curl", "", LIBRARY, 8, 1, 0)                                                   \
    X(AWS, "awscli", "/usr/bin/python3.11", "/usr/bin/aws", LIBRARY, 12, 0.9, 0)                             \
    X(KUBECTL, "kubectl", "/usr/bin/kubectl", "", LIBRARY, 12, 0.9, 0)                                       \
    X(SCRIPT, "python3.11-minimal", "/usr/bin/python3.11", "/home/user/work/s%u.py", LIBRARY, 40, 0.1,       \
      USERS)                                                                                                 \
    X(SYSTEM_PYTHON, "python3.11-minimal", "/usr/bin/python3.11", "/usr/share/helper/check.py", LIBRARY, 40, \
      0.1, 0)                                                                                                \
    X(APT, "apt", "/usr/lib/apt/methods/http", "", LIBRARY, 4, 1, 0)                                         \
    X(FIRMWARE, "fwupd", "/usr/libexec/fwupd/fwupd", "", LIBRARY, 1, 1, 0)                                   \
    X(SENSOR, "falcon-sensor", "/opt/CrowdStrike/falcon-sensor", "", LIBRARY, 1, 1, 0)                       \
    X(BACKUP, "restic", "/usr/bin/restic", "", LIBRARY, 1, 1, 0)                                             \
    X(MONITOR, "telegraf", "/usr/bin/telegraf", "", LIBRARY, 1, 1, 0)                                        \
    X(CI_CURL, "curl", "/usr/bin/curl", "", LIBRARY, 60, 1, CI_UNIT)                                         \
    X(CI_NPM, "nodejs", "/usr/bin/node", "/usr/share/nodejs/npm/bin/npm-cli.js", LIBRARY, 60, 0.5, CI_UNIT)  \
    X(CI_AWS, "awscli", "/usr/bin/python3.11", "/usr/bin/aws", LIBRARY, 30, 1, CI_UNIT)                      \
    X(APP, "", "/home/user/Applications/app%u", "", CHROMIUM, 2, 1, USERS)                                   \
    X(APPIMAGE, "", "/tmp/.mount_app%u/app", "", CHROMIUM, 1, 1, USERS | TEMPORARY)                          \
    X(GO_TEST, "", "/tmp/go-build%u/b001/x.test", "", LIBRARY, 1, 1, USERS | TEMPORARY)                      \
    X(ROLLOUT, "suite%u", "/opt/suite%u/bin/suite", "", LIBRARY, 2, 1, 0)                                    \
    X(MESSENGER, "", "/home/user/Telegram/Telegram", "", LIBRARY, 1, 1, USERS)                               \
    X(TELEVISION, "", "", "", LIBRARY, 1, 1, NO_AGENT)                                                       \
    X(IMPLANT, "", "/home/user/.cache/upd/svc%u", "", LIBRARY, 2, 1, USERS)                                  \
    X(RCLONE, "rclone", "/usr/bin/rclone", "", LIBRARY, 1, 1, 0)                                             \
    X(DEBUGGER, "gdb", "/usr/bin/gdb", "", LIBRARY, 9, 0, 0)                                                 \
    X(DRIVEN, "google-chrome-stable", "/opt/google/chrome/chrome", "", CHROMIUM, 3, 1, BROWSER | DRIVEN)

enum program {
#define X(id, package, executable, script, hello, runs, share, flags) PROGRAM_##id,
    PROGRAMS(X)
#undef X
        PROGRAM_COUNT
};
enum { BROWSER = 1, USERS = 2, CI_UNIT = 4, TEMPORARY = 8, NO_AGENT = 16, DRIVEN = 32 };

/* ---- what there is to do ---- */

enum visit_kind {
    VISIT_TLS13,     /* certificates are hidden */
    VISIT_COMPANY,   /* the rest TLS 1.2, with certificates to be seen: of the company's own CA */
    VISIT_INSPECTED, /* of the firewall that inspects one office's TLS */
    VISIT_SELF_SIGNED,
    VISIT_RANDOM, /* bytes that look random from the first on */
    VISIT_SSH,
    VISIT_TURN,    /* media of a meeting, over TCP */
    VISIT_FRONTED, /* the hello names another server */
};

struct visit {
    int64_t at_ms; /* since the month began */
    uint32_t order;
    uint16_t host, variant, version;                        /* which of such programs; which build of it */
    uint8_t program, kind, plant;                           /* plant 0: none, else its number from 1 */
    bool unknown;                                           /* the agent could not tell */
    int16_t archive_age_s, archiver_age_s, sensitive_age_s; /* -1: nothing of that kind */
    int64_t archive_bytes;                                  /* of the archive that was written */
    const char *sensitive;                                  /* its class: lives for ever */
    const char *why;                                        /* what it is, for the table: lives for ever */
    uint64_t out, in;
    char name[NAME_BYTES];
};

enum role {
    ROLE_OFFICE,
    ROLE_ANALYST,
    ROLE_DEVELOPER,
    ROLE_SERVER,
    ROLE_CI,
    ROLE_TELEVISION,
    ROLE_IT,
    ROLE_COUNT
};

struct office_host {
    enum role role;
    bool inspected;                 /* in the office whose firewall inspects */
    uint32_t online[PROGRAM_COUNT]; /* how often a program that hardly ever connects did */
};

struct office {
    uint64_t seed;
    unsigned host_count, days;
    struct office_host *hosts; /* owned */
    struct visit *visits;      /* owned: of the day, in order once it is sorted */
    size_t count, room;
};

void office_init(struct office *o, uint64_t seed, unsigned hosts, unsigned days);
void office_free(struct office *o);

/* One more visit of the day; `at_s` since the month began. Valid until the next. */
struct visit *office_add(struct office *o, unsigned host, enum program program, double at_s, const char *name,
                         uint64_t out, uint64_t in, const char *why);

/* The visit's lineage has written an archive a while ago, of some megabytes or of `bytes`. */
void visit_add_archive(struct visit *v, unsigned age_s, uint64_t bytes, struct rng *r);

/* Fills o->visits with what happens on day `day` (0: a Monday). */
void office_make_day(struct office *o, unsigned day);
void people_make_day(struct office *o, unsigned host, unsigned day, struct rng *r);
void developer_make_day(struct office *o, unsigned host, struct rng *r, double from_s, double until_s);
void machines_make_day(struct office *o, unsigned host, unsigned day, struct rng *r);
void weeks_make_day(struct office *o, unsigned day); /* what a week brings: new software, services, devices */

/* "www.s00123.com": the site of a rank. */
const char *site_name(unsigned rank, char out[NAME_BYTES]);
void browse(struct office *o, unsigned host, double at_s, const char *name, uint64_t out, uint64_t in,
            const char *why, struct rng *r);

/* ---- what is hidden in it ---- */

unsigned plants_count(void);
const char *plant_what(unsigned plant); /* 1 to plants_count() */
bool plant_is_many(unsigned plant);     /* thousands of flows, of which each rule makes one finding */
void plants_make_day(struct office *o, unsigned day);
int64_t plant_begin_ms(const struct office *o, unsigned plant);

/* ---- playing ---- */

struct player;
typedef void player_found_fn(void *owner, json_t *record); /* a record of a finding */
/* `people`: somebody answers for what is found (answers.c). */
struct player *player_new(struct office *o, bool people, player_found_fn *found, void *owner);
void player_play(struct player *p, const struct visit *v);
/* Somebody will look at the finding with this record, and see whether it is an attack. */
void player_answer(struct player *p, json_t *record, bool attack);
/* A rule's name, by the id that findings have; the id where it has none. Borrowed until player_free(). */
const char *player_rule_name(const struct player *p, const char *id);
/* The end: checks that nothing is left open. */
void player_free(struct player *take_p);
struct player_stats {
    uint64_t flows, records, refused, evicted;
    unsigned suppressions; /* that somebody has written */
};
void player_stats(const struct player *p, struct player_stats *ret);

#endif
