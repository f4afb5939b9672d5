/* daemon.c: see daemon.h. The order of the start: read everything - descriptors and listeners, as root if we are - become the
 * user for good - lock, ledger and all other files, as that user, because they must be opened again later - workers. */
#include "run/daemon.h"

#include "flow/pins.h"

#include "base/descriptors.h"
#include "base/log.h"
#include "base/must.h"
#include "run/notify.h"
#include "run/privileges.h"
#include "run/reload.h"
#include "run/settings.h"
#include "run/signer.h"
#include "run/snapshot.h"
#include "flow/executions.h"
#include "flow/findings.h"
#include "flow/observed.h"
#include "store/store.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    LISTENERS_MAX = 128,
    LOOK_MS = 50,          /* how often a drain looks for its end */
    ABORT_GRACE_MS = 5000, /* flows that were cut have this long to write their last record */
    LEDGER_CLOSE_MS = 10000,
    STORE_CLOSE_MS = 5000,
    SWEEP_MS = 30000, /* findings that are over are closed */
};

struct daemon {
    char *config_file;         /* owned */
    pthread_mutex_t lock;      /* guards snapshot and reload_error */
    struct snapshot *snapshot; /* counted */
    char reload_error[512];
    struct flow_listener listeners[LISTENERS_MAX];
    struct endpoint proxies[LISTENERS_MAX]; /* the same, for the agent */
    unsigned listener_count;
    int *fds;                /* owned; worker by worker, LISTENERS_MAX each; -1 once taken */
    struct worker **workers; /* owned, and each of them */
    unsigned worker_count;
    struct ledger *ledger;         /* owned */
    struct limits *limits;         /* owned */
    struct store *store;           /* owned */
    struct sightings *sightings;   /* owned */
    struct observed *observed;     /* owned */
    struct pins *pins;             /* owned */
    struct signing *signing;       /* owned; NULL: there is no inspection CA */
    struct pairs *pairs;           /* owned */
    struct habits *habits;         /* owned */
    struct executions *executions; /* owned */
    struct findings *findings;     /* owned */
    struct identity identity;
    int pid_fd;
    uint64_t started_ms;
};

/* ---- start ---- */

static void add_listeners(struct daemon *d, const struct conf_endpoints *endpoints, bool tls)
{
    for (size_t i = 0; i < endpoints->count && d->listener_count < LISTENERS_MAX; i++)
        d->listeners[d->listener_count++] = (struct flow_listener){endpoints->items[i], tls};
}

/* Each worker has a socket of its own on every address; the kernel spreads connections over them. */
static int bind_all(struct daemon *d, struct err *reterr)
{
    for (unsigned w = 0; w < d->worker_count; w++)
        for (unsigned i = 0; i < d->listener_count; i++) {
            const char *error = NULL;
            char text[ENDPOINT_TEXT_BYTES];
            int fd = net_bind(&d->listeners[i].endpoint, &error);
            if (fd < 0)
                return err_set(reterr, d->config_file, 0, 0, "cannot listen on %s: %s",
                               endpoint_format(&d->listeners[i].endpoint, text), error);
            d->fds[w * LISTENERS_MAX + i] = fd;
        }
    for (unsigned i = 0; i < d->listener_count; i++)
        d->proxies[i] = d->listeners[i].endpoint;
    return 0;
}

/* A relative file lies in the configuration's folder, as everywhere; a provider's URI is no file. */
static int start_signing(struct daemon *d, struct err *reterr)
{
    const struct conf *c = d->snapshot->conf;
    const char *key = c->inspection.ca_key;
    char path[4096];
    if (!c->inspection.ca_certificate)
        return 0;
    if (key[0] != '/' && !strchr(key, ':')) {
        if ((size_t)snprintf(path, sizeof path, "%s/%s", c->folder, key) >= sizeof path)
            return err_set(reterr, d->config_file, 0, 0, "inspection.ca_key: the name is too long");
        key = path;
    }
    d->signing = signing_start(c->inspection.ca_certificate, key, &d->identity, reterr);
    return d->signing ? 0 : -1;
}

static void raise_descriptors(const struct daemon *d)
{
    const struct conf *c = d->snapshot->conf;
    unsigned long wanted = settings_descriptors(c, d->worker_count);
    unsigned long have = privileges_raise_descriptors(wanted);
    descriptors_reserve(wanted);
    if (have < wanted)
        log_warning("exeatd",
                    "%lu file descriptors are allowed (ulimit -n), %lu are needed for limits.flows %lld",
                    have, wanted, (long long)c->limits.flows);
}

/* Of this run, so that ids are never given twice. */
static void make_prefix(char ret[17])
{
    uint64_t random;
    must(getrandom(&random, sizeof random, 0) == (ssize_t)sizeof random);
    snprintf(ret, 17, "%016llx", (unsigned long long)random);
}

static int make_workers(struct daemon *d, struct err *reterr)
{
    struct net_settings settings;
    char prefix[17];
    make_prefix(prefix);
    if (settings_from_conf(d->snapshot->conf, d->worker_count, &settings, reterr) != 0)
        return -1;
    settings.options.proxies = d->proxies;
    settings.options.proxies_count = d->listener_count;
    for (unsigned i = 0; i < d->worker_count; i++) {
        struct worker_options o = {.index = i,
                                   .net = &settings.options,
                                   .ledger = d->ledger,
                                   .limits = d->limits,
                                   .sightings = d->sightings,
                                   .pairs = d->pairs,
                                   .habits = d->habits,
                                   .executions = d->executions,
                                   .store = d->store,
                                   .findings = d->findings,
                                   .observed = d->observed,
                                   .signer = signing_signer(d->signing),
                                   .pins = d->pins,
                                   .snapshot = d->snapshot,
                                   .uid_prefix = prefix,
                                   .listeners = d->listeners,
                                   .take_fds = d->fds + i * LISTENERS_MAX,
                                   .listener_count = d->listener_count,
                                   .backlog = (int)d->snapshot->conf->listen.backlog};
        d->workers[i] = worker_new(&o, reterr);
        if (!d->workers[i])
            return -1;
    }
    return 0;
}

/* As root, if we are. */
static int prepare(struct daemon *d, struct err *reterr)
{
    const struct conf *c = d->snapshot->conf;
    raise_descriptors(d);
    if (start_signing(d, reterr) != 0)
        return -1;
    if (privileges_make_folder(c->process.state_folder, &d->identity, reterr) != 0)
        return -1;
    return bind_all(d, reterr);
}

static int open_history(struct daemon *d)
{
    const struct conf *c = d->snapshot->conf;
    size_t entries = (size_t)c->history.entries;
    d->store = store_open(c->history.database);
    if (!d->store)
        return -1;
    d->sightings = sightings_new(d->store, entries);
    d->pairs = pairs_new(d->store, entries / 4);
    d->habits = habits_new(d->store, entries / 8);
    d->executions = executions_new(d->store, entries / 16);
    d->pins = pins_new(d->store);
    char prefix[17];
    make_prefix(prefix);
    const struct findings_options options = {.store = d->store,
                                             .ledger = d->ledger,
                                             .uid_prefix = prefix,
                                             .version = EXEAT_VERSION,
                                             .quiet_ms = c->findings.quiet_ms,
                                             .daily_budget = (unsigned)c->findings.daily_budget};
    d->findings = findings_new(&options);
    d->observed = observed_new(d->store);
    return d->observed && d->sightings && d->pairs && d->habits && d->executions && d->pins && d->findings
               ? 0
               : -1;
}

/* As the user. */
static int open_all(struct daemon *d, struct err *reterr)
{
    const struct conf *c = d->snapshot->conf;
    if (privileges_drop(&d->identity, reterr) != 0)
        return -1;
    d->pid_fd = privileges_lock_pid_file(c->process.pid_file, reterr);
    if (d->pid_fd < 0)
        return -1;
    d->ledger = ledger_open(c->audit.file, (unsigned)c->audit.queue_records, reterr);
    if (!d->ledger)
        return -1;
    d->limits = limits_new((unsigned)c->limits.flows);
    return d->limits && open_history(d) == 0 && store_start(d->store, reterr) == 0
               ? make_workers(d, reterr)
               : err_set(reterr, NULL, 0, 0, "no memory");
}

static void block_signals(void)
{
    sigset_t ours;
    sigemptyset(&ours);
    sigaddset(&ours, SIGHUP);
    sigaddset(&ours, SIGTERM);
    sigaddset(&ours, SIGINT);
    sigaddset(&ours, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &ours, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file size limit is a write error like others */
}

static struct daemon *allocate(const char *config_file, struct snapshot *take_snapshot)
{
    struct daemon *d = calloc(1, sizeof *d);
    if (!d) {
        snapshot_unref(take_snapshot);
        return NULL;
    }
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    d->started_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    pthread_mutex_init(&d->lock, NULL);
    d->snapshot = take_snapshot;
    d->pid_fd = -1;
    d->worker_count = settings_workers(take_snapshot->conf);
    d->config_file = realpath(config_file, NULL);
    d->workers = calloc(d->worker_count, sizeof(struct worker *));
    d->fds = calloc((size_t)d->worker_count * LISTENERS_MAX, sizeof *d->fds);
    for (size_t i = 0; d->fds && i < (size_t)d->worker_count * LISTENERS_MAX; i++)
        d->fds[i] = -1;
    if (d->config_file && d->workers && d->fds)
        return d;
    daemon_free(d);
    return NULL;
}

struct daemon *daemon_new(const char *config_file, struct err *reterr, enum daemon_exit *ret_exit)
{
    umask(0027);
    block_signals();
    *ret_exit = DAEMON_MISCONFIGURED;
    struct snapshot *s = snapshot_load(config_file, 1, reterr);
    if (!s)
        return NULL;
    log_init("exeatd", s->conf->process.log_level);
    struct daemon *d = allocate(config_file, s);
    if (!d)
        return err_set(reterr, NULL, 0, 0, "no memory"), NULL;
    add_listeners(d, &d->snapshot->conf->listen.addresses, false);
    add_listeners(d, &d->snapshot->conf->listen.tls_addresses, true);
    if (d->listener_count == 0)
        err_set(reterr, config_file, 0, 0, "listen: there is no address to listen on");
    else if (privileges_find(d->snapshot->conf->process.user, d->snapshot->conf->process.group, config_file,
                             &d->identity, reterr) == 0) {
        *ret_exit = DAEMON_FAILED;
        if (prepare(d, reterr) == 0 && open_all(d, reterr) == 0)
            return d;
    }
    daemon_free(d);
    return NULL;
}

int daemon_start(struct daemon *d, struct err *reterr)
{
    char text[ENDPOINT_TEXT_BYTES];
    for (unsigned i = 0; i < d->worker_count; i++)
        if (worker_start(d->workers[i], reterr) != 0)
            return -1;
    for (unsigned i = 0; i < d->listener_count; i++)
        log_notice("exeatd", "listening on %s%s", endpoint_format(&d->listeners[i].endpoint, text),
                   d->listeners[i].tls ? " (TLS)" : "");
    log_notice("exeatd", "%s started: %u workers, records in %s", EXEAT_VERSION, d->worker_count,
               d->snapshot->conf->audit.file);
    if (geteuid() == 0)
        log_warning("exeatd", "running as root: set process.user to a user without rights");
    notify_send("READY=1");
    return 0;
}

/* ---- signals ---- */

static void publish(struct daemon *d, struct snapshot *take_snapshot)
{
    struct net_settings settings;
    if (settings_from_conf(take_snapshot->conf, d->worker_count, &settings, NULL) != 0) {
        snapshot_unref(take_snapshot); /* it was right a moment ago: the user database changed */
        return;
    }
    settings.options.proxies = d->proxies;
    settings.options.proxies_count = d->listener_count;
    for (unsigned i = 0; i < d->worker_count; i++)
        worker_publish(d->workers[i], take_snapshot, &settings.options);
    log_set_level(take_snapshot->conf->process.log_level);
    if (take_snapshot->ca && d->snapshot->ca &&
        memcmp(ca_sha256(take_snapshot->ca), ca_sha256(d->snapshot->ca), CA_SHA256_BYTES) != 0)
        signing_reload(d->signing);
    pthread_mutex_lock(&d->lock);
    struct snapshot *old = d->snapshot;
    d->snapshot = take_snapshot;
    d->reload_error[0] = '\0';
    pthread_mutex_unlock(&d->lock);
    snapshot_unref(old);
    log_notice("exeatd", "policy generation %llu is in force", (unsigned long long)take_snapshot->generation);
}

static void reload(struct daemon *d)
{
    struct err err = {0};
    notify_reloading();
    ledger_reopen(d->ledger);
    struct snapshot *wanted = reload_load(d->snapshot, d->config_file, &err);
    if (wanted) {
        publish(d, wanted);
    } else {
        char text[sizeof d->reload_error];
        log_error("exeatd", "reload refused, the old policy stays in force: %s",
                  err_format(&err, text, sizeof text));
        pthread_mutex_lock(&d->lock);
        memcpy(d->reload_error, text, sizeof text);
        pthread_mutex_unlock(&d->lock);
    }
    notify_send("READY=1");
}

/* The next signal, or 0 after `ms` (none: forever). */
static int next_signal(long ms)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGUSR1);
    struct timespec wait = {ms / 1000, (ms % 1000) * 1000000};
    int number = ms < 0 ? sigwaitinfo(&set, NULL) : sigtimedwait(&set, NULL, &wait);
    return number > 0 ? number : 0;
}

static bool all_ended(const struct daemon *d)
{
    for (unsigned i = 0; i < d->worker_count; i++)
        if (!worker_has_ended(d->workers[i]))
            return false;
    return true;
}

/* Waits for the workers' end; true when they did, false at the deadline or at another TERM or INT. */
static bool await_end(struct daemon *d, int64_t deadline_ms)
{
    for (; deadline_ms > 0; deadline_ms -= LOOK_MS) {
        if (all_ended(d))
            return true;
        int number = next_signal(LOOK_MS);
        if (number == SIGTERM || number == SIGINT)
            return false;
    }
    return all_ended(d);
}

static enum daemon_exit drain(struct daemon *d)
{
    notify_send("STOPPING=1");
    int64_t patience_ms = d->snapshot->conf->timeouts.drain_ms;
    log_notice("exeatd", "stopping: flows have %lld ms to end", (long long)patience_ms);
    for (unsigned i = 0; i < d->worker_count; i++)
        worker_drain(d->workers[i]);
    if (await_end(d, patience_ms))
        return DAEMON_OK;
    for (unsigned i = 0; i < d->worker_count; i++)
        worker_abort(d->workers[i]);
    for (int64_t left_ms = ABORT_GRACE_MS; left_ms > 0 && !all_ended(d); left_ms -= LOOK_MS)
        next_signal(LOOK_MS);
    if (all_ended(d))
        return DAEMON_OK;
    log_error("exeatd", "some flows do not end; leaving without them");
    ledger_close(d->ledger, LEDGER_CLOSE_MS);
    _exit(DAEMON_FAILED); /* threads still use what would be freed */
}

static int64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

enum daemon_exit daemon_run(struct daemon *d)
{
    for (;;) {
        int number = next_signal(SWEEP_MS);
        if (number == 0)
            findings_sweep(d->findings, wall_ms());
        else if (number == SIGHUP)
            reload(d);
        else if (number == SIGUSR1)
            ledger_reopen(d->ledger);
        else
            return drain(d);
    }
}

enum daemon_exit daemon_free(struct daemon *take_d)
{
    struct daemon *d = take_d;
    if (!d)
        return DAEMON_OK;
    for (unsigned i = 0; d->workers && i < d->worker_count; i++) {
        if (d->workers[i] && !worker_has_ended(d->workers[i]))
            worker_abort(d->workers[i]); /* the start failed half way */
        worker_free(d->workers[i]);
    }
    for (size_t i = 0; d->fds && i < (size_t)d->worker_count * LISTENERS_MAX; i++)
        if (d->fds[i] >= 0)
            close(d->fds[i]);
    unsigned lost = ledger_close(d->ledger, LEDGER_CLOSE_MS);
    if (lost)
        log_error("exeatd", "%u records could not be written", lost);
    if (store_close(d->store, STORE_CLOSE_MS)) {
        sightings_free(d->sightings);
        pairs_free(d->pairs);
        habits_free(d->habits);
        executions_free(d->executions);
        pins_free(d->pins);
        findings_free(d->findings);
    }
    observed_free(d->observed);
    limits_free(d->limits);
    signing_stop(d->signing);
    snapshot_unref(d->snapshot);
    if (d->pid_fd >= 0)
        close(d->pid_fd); /* the file stays: its lock says who is running, and removing it would race */
    pthread_mutex_destroy(&d->lock);
    free(d->workers);
    free(d->fds);
    free(d->config_file);
    free(d);
    return lost ? DAEMON_FAILED : DAEMON_OK;
}

/* ---- what admin/ asks ---- */

struct snapshot *daemon_snapshot(struct daemon *d)
{
    pthread_mutex_lock(&d->lock);
    struct snapshot *s = snapshot_ref(d->snapshot);
    pthread_mutex_unlock(&d->lock);
    return s;
}

unsigned daemon_workers(const struct daemon *d)
{
    return d->worker_count;
}

struct worker *daemon_worker(const struct daemon *d, unsigned index)
{
    must(index < d->worker_count);
    return d->workers[index];
}

struct ledger *daemon_ledger(const struct daemon *d)
{
    return d->ledger;
}

uint64_t daemon_started_ms(const struct daemon *d)
{
    return d->started_ms;
}

struct store *daemon_store(const struct daemon *d)
{
    return d->store;
}

struct findings *daemon_findings(const struct daemon *d)
{
    return d->findings;
}

struct observed *daemon_observed(const struct daemon *d)
{
    return d->observed;
}

struct sightings *daemon_sightings(const struct daemon *d)
{
    return d->sightings;
}

const char *daemon_config_file(const struct daemon *d)
{
    return d->config_file;
}

const char *daemon_last_reload(struct daemon *d, char ret[512])
{
    pthread_mutex_lock(&d->lock);
    memcpy(ret, d->reload_error, sizeof d->reload_error);
    pthread_mutex_unlock(&d->lock);
    return ret;
}

const struct flow_listener *daemon_listeners(const struct daemon *d, unsigned *ret_count)
{
    *ret_count = d->listener_count;
    return d->listeners;
}

struct pins *daemon_pins(const struct daemon *d)
{
    return d->pins;
}
