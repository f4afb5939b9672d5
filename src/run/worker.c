/* worker.c: see worker.h. What other threads want arrives as messages (net_post) that own what they carry. */
#include "run/worker.h"

#include "base/log.h"
#include "base/must.h"
#include "run/settings.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

enum {
    REDECIDE_BATCH = 256, /* flows decided again in one go; between two batches the sockets have their turn */
    DRAIN_LOOK_MS = 20,   /* how often a draining worker looks whether its flows are gone */
    LISTENERS_MAX = 128,  /* listen.addresses and tls_addresses are 64 at most each */
    POST_TRIES = 100,
    POST_PAUSE_US = 10000,
};

struct worker {
    struct flow_env env;
    struct net *net;                               /* owned */
    struct net_listener *listeners[LISTENERS_MAX]; /* owned until the drain */
    struct flow_listener tags[LISTENERS_MAX];
    unsigned listener_count;
    struct net_deadline redecide, drained;
    pthread_t thread;
    bool started;
    atomic_bool draining; /* main's, so that a second request is not sent */
    atomic_bool ended;    /* the thread's: the loop is over */
};

/* ---- on the worker's thread ---- */

static void on_accept(void *owner, struct net_stream *take_s, void *tag)
{
    struct worker *w = owner;
    flow_accept(&w->env, take_s, tag);
}

static struct worker *of_redecide(struct net_deadline *d)
{
    return (struct worker *)(void *)((char *)d - offsetof(struct worker, redecide));
}

static void on_redecide(struct net_deadline *d)
{
    struct worker *w = of_redecide(d);
    if (flow_env_redecide(&w->env, REDECIDE_BATCH))
        net_deadline_set(w->net, d, 1);
}

static void on_look_drained(struct net_deadline *d)
{
    struct worker *w = (struct worker *)(void *)((char *)d - offsetof(struct worker, drained));
    if (w->env.flow_count == 0)
        net_stop(w->net);
    else
        net_deadline_set(w->net, d, DRAIN_LOOK_MS);
}

static void close_listeners(struct worker *w)
{
    for (unsigned i = 0; i < w->listener_count; i++)
        net_listener_close(w->listeners[i]);
    w->listener_count = 0;
}

static void on_drain(void *argument)
{
    struct worker *w = argument;
    if (w->env.stopping || atomic_load(&w->ended))
        return;
    close_listeners(w);
    flow_env_stop(&w->env);
    w->drained.expired = on_look_drained;
    net_deadline_set(w->net, &w->drained, 0);
}

static void on_abort(void *argument)
{
    struct worker *w = argument;
    if (atomic_load(&w->ended))
        return;
    on_drain(w);
    if (w->env.flow_count > 0)
        log_notice("worker", "%u flows are cut", w->env.flow_count);
    flow_env_abort(&w->env);
}

struct publication {
    struct worker *worker;     /* borrowed */
    struct snapshot *snapshot; /* counted */
    struct net_settings settings;
    struct endpoint *proxies; /* owned */
};

static void on_publish(void *argument)
{
    struct publication *p = argument;
    struct worker *w = p->worker;
    if (!atomic_load(&w->ended)) {
        net_reconfigure(w->net, &p->settings.options);
        flow_env_publish(&w->env, snapshot_ref(p->snapshot));
        w->redecide.expired = on_redecide;
        net_deadline_set(w->net, &w->redecide, 0);
    }
    snapshot_unref(p->snapshot);
    free(p->proxies);
    free(p);
}

struct question {
    struct worker *worker; /* borrowed */
    worker_answer_fn *answer;
    void *argument;
};

static void on_question(void *argument)
{
    struct question *q = argument;
    struct worker_view view = {.index = q->worker->env.worker, .env = &q->worker->env, .net = q->worker->net};
    q->answer(&view, q->argument);
    free(q);
}

static void *run(void *argument)
{
    struct worker *w = argument;
    char name[16];
    snprintf(name, sizeof name, "worker %u", w->env.worker);
    pthread_setname_np(pthread_self(), name);
    net_run(w->net);
    net_deadline_clear(&w->redecide);
    atomic_store(&w->ended, true);
    return NULL;
}

/* ---- on the main thread ---- */

static int listen_all(struct worker *w, const struct worker_options *o, struct err *reterr)
{
    must(o->listener_count <= LISTENERS_MAX);
    for (unsigned i = 0; i < o->listener_count; i++) {
        const char *error = NULL;
        char text[ENDPOINT_TEXT_BYTES];
        int fd = o->take_fds[i];
        o->take_fds[i] = -1;
        w->tags[i] = o->listeners[i];
        w->listeners[i] = net_listen(w->net, fd, o->backlog, on_accept, w, &w->tags[i], &error);
        if (!w->listeners[i])
            return err_set(reterr, NULL, 0, 0, "cannot listen on %s: %s",
                           endpoint_format(&o->listeners[i].endpoint, text), error);
        w->listener_count++;
    }
    return 0;
}

struct worker *worker_new(const struct worker_options *o, struct err *reterr)
{
    const char *error = "no memory";
    struct worker *w = calloc(1, sizeof *w);
    if (w)
        w->net = net_new(o->net, &error);
    if (!w || !w->net) {
        free(w);
        return err_set(reterr, NULL, 0, 0, "worker %u cannot be made: %s", o->index, error), NULL;
    }
    w->env = (struct flow_env){.net = w->net,
                               .ledger = o->ledger,
                               .limits = o->limits,
                               .sightings = o->sightings,
                               .pairs = o->pairs,
                               .habits = o->habits,
                               .executions = o->executions,
                               .store = o->store,
                               .findings = o->findings,
                               .observed = o->observed,
                               .signer = o->signer,
                               .pins = o->pins,
                               .snapshot = snapshot_ref(o->snapshot),
                               .worker = o->index};
    snprintf(w->env.uid_prefix, sizeof w->env.uid_prefix, "%s", o->uid_prefix);
    must(getrandom(w->env.auth_salt, sizeof w->env.auth_salt, 0) == (ssize_t)sizeof w->env.auth_salt);
    flow_env_init(&w->env);
    if (listen_all(w, o, reterr) == 0)
        return w;
    worker_free(w);
    return NULL;
}

/* Signals are the main thread's. */
int worker_start(struct worker *w, struct err *reterr)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = pthread_create(&w->thread, NULL, run, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (error)
        return err_set(reterr, NULL, 0, 0, "worker %u cannot be started: %s", w->env.worker, strerror(error));
    w->started = true;
    return 0;
}

/* The mailbox is bounded, and what is posted here must not be lost: wait a little for a place. */
static int post(struct worker *w, void (*call)(void *), void *argument)
{
    for (int i = 0; i < POST_TRIES; i++) {
        if (net_post(w->net, call, argument) == 0)
            return 0;
        usleep(POST_PAUSE_US);
    }
    log_error("worker", "worker %u does not read its messages", w->env.worker);
    return -1;
}

int worker_publish(struct worker *w, struct snapshot *snapshot, const struct net_options *net)
{
    struct publication *p = calloc(1, sizeof *p);
    struct endpoint *proxies = calloc(net->proxies_count ? net->proxies_count : 1, sizeof *proxies);
    if (!p || !proxies) {
        free(p);
        free(proxies);
        return -1;
    }
    memcpy(proxies, net->proxies, net->proxies_count * sizeof *proxies);
    *p = (struct publication){.worker = w, .snapshot = snapshot_ref(snapshot), .proxies = proxies};
    /* the strings of `net` are the snapshot's, which we hold, or the settings' own */
    p->settings.options = *net;
    p->settings.options.proxies = proxies;
    if (net->dns_servers) {
        snprintf(p->settings.dns_servers, sizeof p->settings.dns_servers, "%s", net->dns_servers);
        p->settings.options.dns_servers = p->settings.dns_servers;
    }
    if (post(w, on_publish, p) == 0)
        return 0;
    snapshot_unref(snapshot);
    free(proxies);
    free(p);
    return -1;
}

void worker_drain(struct worker *w)
{
    if (w->started && !atomic_exchange(&w->draining, true))
        post(w, on_drain, w);
}

void worker_abort(struct worker *w)
{
    if (w->started)
        post(w, on_abort, w);
}

bool worker_has_ended(struct worker *w)
{
    return !w->started || atomic_load(&w->ended);
}

void worker_free(struct worker *take_w)
{
    struct worker *w = take_w;
    if (!w)
        return;
    if (w->started)
        pthread_join(w->thread, NULL);
    atomic_store(&w->ended, true); /* for messages that arrive late: net_free() runs them */
    close_listeners(w);
    net_deadline_clear(&w->drained);
    flow_env_close(&w->env);
    net_free(w->net);
    free(w);
}

int worker_ask(struct worker *w, worker_answer_fn *answer, void *argument)
{
    struct question *q = malloc(sizeof *q);
    if (!q)
        return -1;
    *q = (struct question){w, answer, argument};
    if (!atomic_load(&w->ended) && net_post(w->net, on_question, q) == 0)
        return 0;
    free(q);
    return -1;
}
