/* agent.c: see agent.h. Asks are QUEUED as their packets come; once the loop has heard all of them (uv_check) they are
 * attributed together; those that want a hash not known yet go on WAITING until it is, or until their time is over. */
#include "agent/agent.h"

#include "agent/around.h"
#include "agent/channel.h"
#include "agent/link.h"
#include "agent/observe.h"
#include "agent/watch.h"
#include "base/log.h"
#include "base/must.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BATCH_MAX = 64, TICKS_AFTER_ASK = 300 };

enum ask_state { ASK_QUEUED, ASK_WAITING };

struct asked {
    struct asked *next;      /* owned by the agent's list, oldest first */
    struct agent_link *link; /* borrowed until forget_link() */
    struct agent_ask ask;
    struct attribution attribution; /* holds a reference to its process */
    enum ask_state state;
    uint64_t deadline_ms; /* of the loop's clock */
};

struct agent {
    uv_loop_t *loop;
    struct channel *channel; /* owned until agent_stop(); NULL before agent_serve() */
    uv_check_t check;        /* after the loop heard everybody */
    uv_idle_t more;          /* runs while asks are left over: the loop must not sleep */
    uv_timer_t deadline;     /* the earliest of those WAITING */
    uv_timer_t tick;         /* runs while asks come: an idle agent sleeps */
    uv_poll_t events;        /* of the platform, where it has such */
    bool has_events;
    unsigned ticks_left, ticks;
    struct agent_options options;
    struct programs *programs; /* owned */
    struct seen *seen;         /* owned */
    struct platform *platform;
    struct around *around;   /* owned until agent_stop(); NULL: no memory for it */
    struct observe *observe; /* owned until agent_stop(); NULL: no history */
    struct hasher *hasher;
    struct agent_link *links; /* owned */
    size_t link_count;
    struct asked *first, **last; /* owned */
    size_t ask_count;
    struct watches *watches; /* owned */
    struct agent_hello hello;
    struct agent_losses losses; /* as said last */
    bool stopping, keeps_full;
};

uint64_t agent_now_ms(const struct agent *a)
{
    return uv_now(a->loop);
}

const struct agent_hello *agent_hello_now(struct agent *a)
{
    a->hello.has_around = a->around != NULL;
    if (a->around)
        a->hello.around = *around_now(a->around);
    return &a->hello;
}

static void flush_links(struct agent *a);

static void on_second(void *context)
{
    struct agent *a = context;
    struct agent_losses now;
    if (!platform_history_losses(a->platform, &now) || memcmp(&now, &a->losses, sizeof now) == 0)
        return;
    a->losses = now;
    for (struct agent_link *l = a->links; l; l = link_next(l))
        link_losses(l, &now);
    flush_links(a);
}

static void on_around(void *context)
{
    struct agent *a = context;
    for (struct agent_link *l = a->links; l; l = link_next(l))
        link_around(l, around_now(a->around));
    flush_links(a);
}

/* ---- hashes ---- */

static void set_hash(struct process *p, enum sender_hash_state state, const struct hash_digests *digests)
{
    const char *hex = digests ? digests->sha256 : NULL;
    p->sender->hash_state = state;
    p->sender->sha256 = hex ? arena_strdup(&p->sender->arena, hex) : NULL;
    if (hex && !p->sender->sha256)
        p->sender->hash_state = SENDER_HASH_FAILED;
    if (hex && p->package_md5[0] && digests->md5[0])
        p->sender->package_verified = strcmp(p->package_md5, digests->md5) == 0;
    p->sender->provenance[SENDER_FIELD_SHA256] = hex ? AGENT_PROVENANCE_KERNEL : AGENT_PROVENANCE_UNAVAILABLE;
    p->revision++;
}

static void set_script_hash(struct process *p, const char *hex)
{
    p->sender->script_sha256 = hex ? arena_strdup(&p->sender->arena, hex) : NULL;
    p->script_failed = !p->sender->script_sha256;
    p->revision++;
}

static void seek_executable_hash(struct agent *a, struct process *p)
{
    struct hash_digests digests;
    if (p->sender->hash_state != SENDER_HASH_PENDING)
        return;
    enum hash_answer answer = hasher_look(a->hasher, &p->executable, &digests);
    if (answer == HASH_BUSY) {
        int fd = platform_open_executable(p);
        if (fd < 0)
            set_hash(p, SENDER_HASH_FAILED, NULL);
        else
            answer = hasher_ask(a->hasher, &p->executable, fd, &digests);
    }
    if (answer == HASH_KNOWN)
        set_hash(p, SENDER_HASH_DONE, &digests);
}

static void seek_script_hash(struct agent *a, struct process *p)
{
    struct hash_digests digests;
    if (!p->has_script_file || p->script_failed || p->sender->script_sha256)
        return;
    if (p->script.inode && hasher_look(a->hasher, &p->script, &digests) == HASH_KNOWN) {
        set_script_hash(p, digests.sha256);
        return;
    }
    int fd = platform_open_script(p);
    if (fd < 0 || !platform_file_key(fd, &p->script)) {
        if (fd >= 0)
            close(fd);
        set_script_hash(p, NULL);
        return;
    }
    if (hasher_ask(a->hasher, &p->script, fd, &digests) == HASH_KNOWN)
        set_script_hash(p, digests.sha256);
}

static bool hashes_are_settled(const struct process *p)
{
    bool script = !p->has_script_file || p->script_failed || p->sender->script_sha256;
    return p->sender->hash_state != SENDER_HASH_PENDING && script;
}

/* ---- asks ---- */

static void fill_answer(const struct agent *a, const struct attribution *from, struct agent_answer *out)
{
    out->confidence = from->confidence;
    out->basis = from->basis;
    out->reason = from->reason;
    out->connect = from->connect;
    out->peers = from->peers;
    out->holder_count = from->holder_count;
    memcpy(out->holders, from->holders, sizeof out->holders);
    memcpy(out->host, a->hello.host_name, sizeof out->host);
}

static void answer(struct agent *a, struct asked *q)
{
    struct agent_answer out = {.id = q->ask.id};
    fill_answer(a, &q->attribution, &out);
    memcpy(out.nonce, q->ask.nonce, sizeof out.nonce);
    struct agent_history history;
    if (q->attribution.process &&
        platform_history(a->platform, q->attribution.process->sender, &q->attribution, &history))
        out.history = &history;
    out.watched = q->ask.watch && q->attribution.reason != AGENT_REASON_BUSY &&
                  watches_add(a->watches, q->link, &q->ask, &q->attribution);
    struct agent_history *said = out.history;
    link_answer(q->link, &out, q->attribution.process, q->ask.full, q->ask.brief);
    if (a->options.turns && q->attribution.caller.image != 0 && q->attribution.process &&
        (!said || q->ask.brief))
        link_grant(q->link, a->channel, &q->attribution, atomic_load(a->options.turns), said);
}

static void remove_ask(struct agent *a, struct asked **at)
{
    struct asked *q = *at;
    *at = q->next;
    if (a->last == &q->next)
        a->last = at;
    a->ask_count--;
    if (q->attribution.process)
        process_unref(q->attribution.process);
    free(q);
}

/* The first one that is ready; the list is another one then. */
static bool answer_first(struct agent *a, bool (*is_ready)(struct agent *a, struct asked *q))
{
    for (struct asked **at = &a->first; *at; at = &(*at)->next) {
        struct asked *q = *at;
        if (!is_ready(a, q))
            continue;
        *at = q->next;
        if (a->last == &q->next)
            a->last = at;
        a->ask_count--;
        answer(a, q);
        if (q->attribution.process)
            process_unref(q->attribution.process);
        free(q);
        return true;
    }
    return false;
}

static bool is_over(struct agent *a, struct asked *q)
{
    return q->state == ASK_WAITING &&
           (uv_now(a->loop) >= q->deadline_ms || hashes_are_settled(q->attribution.process));
}

static void end_link(struct agent *a, struct agent_link *link);

static void refuse_link(struct agent *a, uint64_t number)
{
    const struct packet p = {.kind = PACKET_CLOSE, .link = number};
    channel_send(a->channel, &p); /* a full queue: it is said again when something comes for it */
}

static void flush_links(struct agent *a)
{
    for (struct agent_link *l = a->links, *next; l; l = next) {
        next = link_next(l);
        if (link_flush(l, a->channel) == 0)
            continue;
        refuse_link(a, link_number(l));
        end_link(a, l);
    }
}

static void on_deadline(uv_timer_t *timer);

static void answer_ready(struct agent *a)
{
    while (answer_first(a, is_over))
        ;
    uint64_t earliest = UINT64_MAX, now = uv_now(a->loop);
    for (struct asked *q = a->first; q; q = q->next)
        if (q->state == ASK_WAITING && q->deadline_ms < earliest)
            earliest = q->deadline_ms;
    if (earliest != UINT64_MAX)
        uv_timer_start(&a->deadline, on_deadline, earliest > now ? earliest - now : 0, 0);
    else
        uv_timer_stop(&a->deadline);
    flush_links(a);
}

static void on_deadline(uv_timer_t *timer)
{
    answer_ready(timer->data);
}

static void on_hash(void *context, const struct file_key *key, const struct hash_digests *digests)
{
    struct agent *a = context;
    for (struct asked *q = a->first; q; q = q->next) {
        struct process *p = q->state == ASK_WAITING ? q->attribution.process : NULL;
        if (!p)
            continue;
        if (p->sender->hash_state == SENDER_HASH_PENDING && memcmp(&p->executable, key, sizeof *key) == 0)
            set_hash(p, digests ? SENDER_HASH_DONE : SENDER_HASH_FAILED, digests);
        if (p->has_script_file && !p->sender->script_sha256 && !p->script_failed &&
            memcmp(&p->script, key, sizeof *key) == 0)
            set_script_hash(p, digests ? digests->sha256 : NULL);
    }
    answer_ready(a);
}

/* After the platform: what is left to wait for decides whether the ask is answered now. */
static void settle(struct agent *a, struct asked *q)
{
    struct process *p = q->attribution.process;
    q->state = ASK_WAITING;
    q->deadline_ms = uv_now(a->loop);
    if (!p)
        return;
    seek_executable_hash(a, p);
    seek_script_hash(a, p);
    if (q->ask.want_hash)
        q->deadline_ms += q->ask.hash_wait_ms;
}

static bool is_settled_now(struct agent *a, struct asked *q)
{
    return q->state == ASK_WAITING && (!q->attribution.process || is_over(a, q));
}

/* ---- what became of the connections that are watched ---- */

static void say_changed(struct agent *a, const struct watched *w, const struct attribution *now,
                        struct agent_history *history)
{
    struct agent_answer out = {.id = w->id, .watched = true, .history = history};
    fill_answer(a, now, &out);
    memcpy(out.nonce, w->nonce, sizeof out.nonce);
    link_changed(w->link, &out, now->process);
}

/* Who it is may have changed, or what it did. */
static void compare(struct agent *a, struct watched *w, struct attribution *now)
{
    struct agent_history history, *known = NULL;
    if (now->process && platform_history(a->platform, now->process->sender, NULL, &history))
        known = &history;
    uint64_t did = agent_history_signature(known);
    bool did_more = known && did != w->did && (now->confidence == w->said.confidence);
    w->did = known ? did : w->did;
    if (watched_note(w, now) || did_more)
        say_changed(a, w, now, known);
}

/* Asks the platform again about those that are due, and about `turns` more. */
static void look_again(struct agent *a, size_t turns)
{
    struct watched *due[WATCH_BATCH];
    struct attribution now[WATCH_BATCH], *batch[WATCH_BATCH];
    size_t count = watches_walk(a->watches, uv_now(a->loop), turns, due);
    for (size_t i = 0; i < count; i++) {
        const struct attribution *said = &due[i]->said;
        now[i] = (struct attribution){.client = said->client,
                                      .proxy = said->proxy,
                                      .peer_uid = said->peer_uid,
                                      .peer_pid = said->peer_pid,
                                      .accepted_cookie = said->accepted_cookie,
                                      .accepted_ns = said->accepted_ns,
                                      .again = true};
        batch[i] = &now[i];
    }
    if (count > 0)
        platform_attribute(a->platform, batch, count);
    for (size_t i = 0; i < count; i++) {
        compare(a, due[i], &now[i]);
        if (now[i].process)
            process_unref(now[i].process);
        agent_peers_unref(now[i].peers);
    }
    watches_walked(a->watches);
    if (count > 0)
        flush_links(a);
}

static void on_tick(uv_timer_t *timer)
{
    struct agent *a = timer->data;
    size_t watched = watches_count(a->watches), rounds = WATCH_ROUND_MS / PLATFORM_TICK_MS;
    platform_tick(a->platform);
    for (size_t left = (watched + rounds - 1) / rounds, n; left > 0; left -= n) {
        n = left < WATCH_BATCH ? left : WATCH_BATCH;
        look_again(a, n);
    }
    if (--a->ticks_left == 0)
        uv_timer_stop(timer);
    if (a->ticks_left % TICKS_AFTER_ASK == 0 || ++a->ticks % TICKS_AFTER_ASK == 0)
        seen_keep(a->seen);
    if (watches_count(a->watches) > 0 && a->ticks_left == 0) {
        a->ticks_left = TICKS_AFTER_ASK;
        uv_timer_again(timer);
    }
}

static void on_more(uv_idle_t *idle)
{
    (void)idle; /* its being active is all */
}

static void on_check(uv_check_t *check)
{
    struct agent *a = check->data;
    struct attribution *batch[BATCH_MAX];
    struct asked *asked[BATCH_MAX];
    size_t count = 0, left = 0;
    for (struct asked *q = a->first; q; q = q->next) {
        if (q->state != ASK_QUEUED)
            continue;
        if (count == BATCH_MAX) {
            left++;
            break;
        }
        asked[count] = q;
        batch[count++] = &q->attribution;
    }
    if (count > 0) {
        uv_update_time(a->loop);
        if (a->ticks_left == 0)
            uv_timer_start(&a->tick, on_tick, PLATFORM_TICK_MS, PLATFORM_TICK_MS);
        a->ticks_left = TICKS_AFTER_ASK;
        platform_attribute(a->platform, batch, count);
        for (size_t i = 0; i < count; i++)
            settle(a, asked[i]);
        while (answer_first(a, is_settled_now))
            ;
        answer_ready(a);
    }
    flush_links(a);
    if (left)
        uv_idle_start(&a->more, on_more);
    else
        uv_idle_stop(&a->more);
}

static void take_ask(struct agent *a, struct agent_link *link, const struct agent_ask *ask)
{
    struct asked *q = a->ask_count < AGENT_ASKS_MAX ? calloc(1, sizeof *q) : NULL;
    if (!q) {
        struct asked busy = {.link = link, .ask = *ask, .attribution.reason = AGENT_REASON_BUSY};
        answer(a, &busy);
        return;
    }
    *q = (struct asked){.link = link, .ask = *ask};
    q->attribution.client = ask->client;
    q->attribution.proxy = ask->proxy;
    q->attribution.peer_uid = link_peer_uid(link);
    q->attribution.peer_pid = link_peer_pid(link);
    q->attribution.accepted_cookie = ask->proxy_cookie;
    q->attribution.accepted_ns = ask->age_ms < 0 ? 0 : (int64_t)uv_hrtime() - ask->age_ms * 1000000;
    *a->last = q;
    a->last = &q->next;
    a->ask_count++;
}

/* ---- links ---- */

static void forget_asks(struct agent *a, const struct agent_link *link)
{
    for (struct asked **at = &a->first; *at;) {
        if ((*at)->link == link)
            remove_ask(a, at);
        else
            at = &(*at)->next;
    }
}

static void end_link(struct agent *a, struct agent_link *link)
{
    forget_asks(a, link);
    watches_forget_link(a->watches, link);
    link_unlist(&a->links, link);
    a->link_count--;
    bool has_others = false; /* a proxy has a link for each worker */
    for (struct agent_link *l = a->links; l; l = link_next(l))
        has_others |= link_peer_pid(l) == link_peer_pid(link);
    if (!has_others)
        platform_except(a->platform, link_peer_pid(link), false);
    link_free(link);
}

/* Into the hellos to come, once, or out of them. */
static void add_sentence(struct agent *a, const char *sentence, bool holds)
{
    struct agent_hello *h = &a->hello;
    size_t i = 0;
    while (i < h->degraded_count && strcmp(h->degraded[i], sentence) != 0)
        i++;
    bool said = i < h->degraded_count;
    if (said && !holds)
        memmove(h->degraded[i], h->degraded[i + 1], (--h->degraded_count - i) * sizeof h->degraded[0]);
    else if (!said && holds && h->degraded_count < AGENT_DEGRADED_MAX)
        snprintf(h->degraded[h->degraded_count++], AGENT_TEXT_BYTES, "%s", sentence);
}

static void begin_link(struct agent *a, uint64_t number, const struct packet_peer *peer)
{
    if (peer->unconfined)
        add_sentence(a, "the answerer could not give up its rights (seccomp)", true);
    struct agent_link *link = a->link_count < AGENT_LINKS_MAX ? link_new(a, number, peer, a->links) : NULL;
    if (!link) {
        refuse_link(a, number);
        return;
    }
    a->links = link;
    a->link_count++;
    if (a->losses.events + a->losses.files + a->losses.forgotten > 0)
        link_losses(link, &a->losses);
    platform_except(a->platform, link_peer_pid(link), true);
}

static void say_ready(struct agent *a)
{
    const struct packet p = {.kind = PACKET_READY};
    const int fds[CHANNEL_FDS] = {platform_quick_fd(a->platform), platform_history_fd(a->platform)};
    if (channel_send_fds(a->channel, &p, fds) != 0)
        channel_send(a->channel, &p);
}

static void count(struct agent *a, const struct agent_link *link, const struct packet_counted *counted)
{
    for (size_t i = 0; i < counted->count; i++) {
        const struct process *p = link_granted(link, counted->items[i].serial);
        if (p)
            platform_count(a->platform, p->sender, counted->items[i].proxy_cookie, link_peer_uid(link));
    }
}

/* Said in the hello from here on, to be seen by people. */
static void say_full(struct agent *a)
{
    static const char sentence[] =
        "as many histories are kept for findings as there is room for: others are forgotten as they age";
    bool full = platform_keep_is_full(a->platform);
    if (full == a->keeps_full)
        return;
    a->keeps_full = full;
    if (full)
        log_warning("agent", "%s", sentence);
    add_sentence(a, sentence, full);
    for (struct agent_link *l = a->links; l; l = link_next(l))
        link_hello(l, agent_hello_now(a));
}

static void take_keep(struct agent *a, struct agent_link *link, const struct agent_keep *keep)
{
    struct agent_history history;
    struct agent_kept kept = {.id = keep->id};
    memcpy(kept.nonce, keep->nonce, sizeof kept.nonce);
    memcpy(kept.host, a->hello.host_name, sizeof kept.host);
    memcpy(kept.sender_ref, keep->sender_ref, sizeof kept.sender_ref);
    kept.outcome = platform_keep(a->platform, keep, link_peer_uid(link), &history, &kept.until_ms);
    if (kept.outcome == AGENT_KEEP_KEPT || kept.outcome == AGENT_KEEP_NOT_KEPT)
        kept.history = &history;
    link_kept(link, &kept);
    say_full(a);
}

static void on_link_packet(struct agent *a, struct agent_link *link, const struct packet *p)
{
    if (p->kind == PACKET_ASK)
        take_ask(a, link, &p->u.ask);
    else if (p->kind == PACKET_KEEP)
        take_keep(a, link, &p->u.keep);
    else if (p->kind == PACKET_DONE)
        watches_done(a->watches, link, p->u.done);
    else if (p->kind == PACKET_COUNTED)
        count(a, link, &p->u.counted);
    else if (p->kind == PACKET_CLOSED)
        end_link(a, link);
    for (size_t i = 0; p->kind == PACKET_HELLO && i < p->u.proxies.count; i++)
        platform_expect(a->platform, &p->u.proxies.items[i]);
}

static void on_packet(void *context, const struct packet *p)
{
    struct agent *a = context;
    struct agent_link *link = a->links;
    while (link && link_number(link) != p->link)
        link = link_next(link);
    if (p->kind == PACKET_RESET) {
        while (a->links)
            end_link(a, a->links);
        say_ready(a);
    } else if (link) {
        on_link_packet(a, link, p);
    } else if (p->kind == PACKET_LINK) {
        begin_link(a, p->link, &p->u.peer);
    } else if (p->kind == PACKET_ASK || p->kind == PACKET_HELLO) {
        refuse_link(a, p->link);
    }
}

/* ---- begin and end ---- */

static void fill_hello(struct agent *a)
{
    const char *const *sentences;
    struct agent_hello *h = &a->hello;
    *h = (struct agent_hello){.program = "exeat-agent", .program_version = EXEAT_VERSION};
    snprintf(h->owner, sizeof h->owner, "%s", platform_owner(a->platform));
    h->bpf = strcmp(h->owner, "bpf") == 0;
    log_notice("agent", "senders are told by %s",
               h->bpf ? "BPF: who connected" : "/proc: who holds the connection now");
    platform_host(h->host_name, h->host_id);
    snprintf(h->platform, sizeof h->platform, "%s", platform_name());
    h->tells_observable = true;
    h->not_observable = platform_not_observable(a->platform);
    h->keep = platform_keep_max(a->platform);
    h->degraded_count = platform_degraded(a->platform, &sentences);
    for (size_t i = 0; i < h->degraded_count; i++) {
        snprintf(h->degraded[i], sizeof h->degraded[i], "%s", sentences[i]);
        log_notice("agent", "%s", sentences[i]);
    }
    if (!a->options.take_seen && h->degraded_count < AGENT_DEGRADED_MAX)
        snprintf(h->degraded[h->degraded_count++], AGENT_TEXT_BYTES,
                 "no state folder: since when a program is known is forgotten at the end");
}

/* What ends has its descriptors for a moment still. */
static void on_process(void *context, int64_t pid, bool ended)
{
    struct agent *a = context;
    watches_hasten(a->watches, pid, uv_now(a->loop) + (ended ? PLATFORM_TICK_MS / 2 : 0));
}

static void on_events(uv_poll_t *poll, int status, int events)
{
    struct agent *a = poll->data;
    (void)events;
    if (status == 0) {
        uv_update_time(a->loop);
        platform_look_ahead(a->platform, on_process, a);
        look_again(a, 0);
    } else {
        uv_poll_stop(poll);
    }
}

static void watch_events(struct agent *a)
{
    int fd = platform_events_fd(a->platform);
    a->has_events = fd >= 0 && uv_poll_init(a->loop, &a->events, fd) == 0;
    if (!a->has_events)
        return;
    a->events.data = a;
    uv_poll_start(&a->events, UV_READABLE, on_events);
}

struct agent *agent_new(uv_loop_t *loop, const struct agent_options *options, const char **ret_error)
{
    struct agent *a = calloc(1, sizeof *a);
    struct err e = {.line = 0};
    *ret_error = "out of memory";
    if (!a) {
        programs_free(options->take_programs);
        seen_close(options->take_seen);
        platform_early_free(options->take_early);
        return NULL;
    }
    a->loop = loop;
    a->options = *options;
    a->last = &a->first;
    a->programs = options->take_programs;
    if (!a->programs)
        a->programs = programs_parse(programs_builtin(), PROGRAMS_BUILTIN_NAME, &e);
    must(a->programs); /* a test reads what is built in */
    a->seen = options->take_seen ? options->take_seen : seen_open(NULL, &e);
    must(a->seen);
    const struct knowledge know = {a->programs, a->seen};
    a->platform = platform_new(options->take_early, &know, ret_error);
    a->hasher = a->platform ? hasher_new(loop, on_hash, a) : NULL;
    a->watches = a->hasher ? watches_new(platform_watch_max(a->platform)) : NULL;
    if (!a->watches) {
        if (a->hasher)
            hasher_free(a->hasher);
        if (a->platform)
            platform_free(a->platform);
        programs_free(a->programs);
        seen_close(a->seen);
        free(a);
        return NULL;
    }
    fill_hello(a);
    must(uv_check_init(loop, &a->check) == 0);
    must(uv_idle_init(loop, &a->more) == 0 && uv_timer_init(loop, &a->deadline) == 0);
    must(uv_timer_init(loop, &a->tick) == 0);
    watch_events(a);
    a->observe = observe_new(loop, a->platform, on_second, a);
    a->around = around_new(loop, a->platform, on_around, a);
    a->check.data = a->more.data = a->deadline.data = a->tick.data = a;
    return a;
}

int agent_serve(struct agent *a, int take_fd)
{
    a->channel = channel_new(a->loop, take_fd, on_packet, a);
    if (!a->channel)
        return -1;
    uv_check_start(&a->check, on_check);
    say_ready(a);
    return 0;
}

void agent_stop(struct agent *a)
{
    if (a->stopping)
        return;
    a->stopping = true;
    while (a->links)
        end_link(a, a->links);
    channel_close(a->channel);
    around_stop(a->around);
    a->around = NULL;
    observe_stop(a->observe);
    a->observe = NULL;
    uv_close((uv_handle_t *)&a->check, NULL);
    uv_close((uv_handle_t *)&a->more, NULL);
    uv_close((uv_handle_t *)&a->deadline, NULL);
    uv_close((uv_handle_t *)&a->tick, NULL);
    if (a->has_events)
        uv_close((uv_handle_t *)&a->events, NULL);
}

void agent_free(struct agent *a)
{
    must(a->stopping && !a->links && !a->first);
    watches_free(a->watches);
    hasher_free(a->hasher);
    platform_free(a->platform);
    programs_free(a->programs);
    seen_close(a->seen);
    free(a);
}
