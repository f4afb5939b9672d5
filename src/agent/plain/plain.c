/* plain.c: see plain.h. */
#include "agent/plain/plain.h"

#include "agent/plain/hashes.h"
#include "agent/watch.h"
#include "base/must.h"
#include "wire/agent_request.h"

#include <stdio.h>
#include <stdlib.h>

enum { SENT_MAX = 1024, IN_BYTES = 2 * AGENT_LINE_BYTES, AGAIN_EVERY_MS = 100, LOSSES_EVERY_MS = 1000 };

struct plain_link {
    struct plain *plain;     /* borrowed: it outlives its links */
    struct plain_link *next; /* of the core's */
    int64_t peer_uid, peer_pid;
    struct buf in, out;
    struct endpoint proxies[AGENT_PROXIES_MAX];
    size_t proxy_count, bad_lines;
    bool greeted, failed; /* failed: it does not read what it is told */
    struct {
        uint64_t serial;
        unsigned revision;
    } sent[SENT_MAX]; /* the whole sender went over; by serial */
};

/* An ask whose sender's hash is still to be made. */
struct waiting {
    struct plain_link *link;
    struct agent_ask ask;
    struct attribution found; /* its process is counted */
    int64_t until_ms;
};

struct plain {
    struct platform *platform; /* owned */
    struct hashes *hashes;     /* owned */
    struct agent_hello hello;
    struct plain_link *links;
    struct waiting *waiting[PLAIN_WAITING_MAX]; /* owned */
    size_t waiting_count;
    struct watches *watches;    /* owned */
    struct agent_losses losses; /* as said last */
    int64_t losses_ms;          /* when they were looked at last */
    int64_t now_ms, again_ms;   /* again: when those that are watched were looked at last */
};

/* ---- begin and end ---- */

static void fill_hello(struct plain *p)
{
    const char *const *sentences;
    struct agent_hello *h = &p->hello;
    h->version = AGENT_PROTOCOL_VERSION;
    snprintf(h->program, sizeof h->program, "exeat-agent");
    snprintf(h->program_version, sizeof h->program_version, "%s", EXEAT_VERSION);
    snprintf(h->owner, sizeof h->owner, "%s", platform_owner(p->platform));
    snprintf(h->platform, sizeof h->platform, "%s", platform_name());
    h->tells_observable = true;
    h->not_observable = platform_not_observable(p->platform);
    platform_host(h->host_name, h->host_id);
    size_t count = platform_degraded(p->platform, &sentences);
    for (size_t i = 0; i < count && i < AGENT_DEGRADED_MAX; i++)
        snprintf(h->degraded[h->degraded_count++], AGENT_TEXT_BYTES, "%s", sentences[i]);
}

struct plain *plain_new(const struct knowledge *know, const char **ret_error)
{
    struct plain *p = calloc(1, sizeof *p);
    struct hashes *hashes = hashes_new();
    struct watches *watches = watches_new(PLAIN_WATCHED_MAX);
    struct platform *platform = p && hashes && watches ? platform_new(NULL, know, ret_error) : NULL;
    if (!platform) {
        if (!p || !hashes || !watches)
            *ret_error = "no memory";
        hashes_free(hashes);
        watches_free(watches);
        free(p);
        return NULL;
    }
    p->platform = platform;
    p->hashes = hashes;
    p->watches = watches;
    fill_hello(p);
    return p;
}

void plain_free(struct plain *p)
{
    if (!p)
        return;
    must(!p->links && p->waiting_count == 0);
    hashes_free(p->hashes);
    watches_free(p->watches);
    platform_free(p->platform);
    free(p);
}

struct platform *plain_platform(struct plain *p)
{
    return p->platform;
}

struct plain_link *plain_link_open(struct plain *p, int64_t peer_uid, int64_t peer_pid)
{
    struct plain_link *link = calloc(1, sizeof *link);
    if (!link)
        return NULL;
    link->plain = p;
    link->peer_uid = peer_uid;
    link->peer_pid = peer_pid;
    buf_init(&link->in, IN_BYTES);
    buf_init(&link->out, PLAIN_OUT_BYTES);
    agent_hello_write(&link->out, &p->hello);
    if (p->losses.events + p->losses.files + p->losses.forgotten > 0)
        agent_losses_write(&link->out, &p->losses);
    link->next = p->links;
    p->links = link;
    return link;
}

static void drop_waiting(struct plain *p, size_t i)
{
    process_unref(p->waiting[i]->found.process);
    free(p->waiting[i]);
    p->waiting[i] = p->waiting[--p->waiting_count];
}

void plain_link_close(struct plain_link *link)
{
    struct plain *p = link->plain;
    watches_forget_link(p->watches, link);
    for (size_t i = p->waiting_count; i-- > 0;)
        if (p->waiting[i]->link == link)
            drop_waiting(p, i);
    struct plain_link **at = &p->links;
    while (*at != link)
        at = &(*at)->next;
    *at = link->next;
    buf_free(&link->in);
    buf_free(&link->out);
    free(link);
}

struct buf *plain_link_out(struct plain_link *link)
{
    return &link->out;
}

/* ---- answers ---- */

static void add_sender(struct plain_link *link, struct agent_answer *out, struct process *process, bool full)
{
    if (!process)
        return;
    size_t at = process->serial % SENT_MAX;
    bool known = link->sent[at].serial == process->serial && link->sent[at].revision == process->revision;
    snprintf(out->sender_ref, sizeof out->sender_ref, "%s", process->sender->ref);
    out->sender = known && !full ? NULL : process->sender;
    link->sent[at].serial = process->serial;
    link->sent[at].revision = process->revision;
}

static struct agent_answer answer_of(const struct plain *p, uint64_t id, const char nonce[AGENT_NONCE_BYTES],
                                     const struct attribution *found)
{
    struct agent_answer out = {.id = id,
                               .confidence = found->confidence,
                               .basis = found->basis,
                               .reason = found->reason,
                               .connect = found->connect,
                               .holder_count = found->holder_count};
    memcpy(out.nonce, nonce, sizeof out.nonce);
    memcpy(out.holders, found->holders, sizeof out.holders);
    memcpy(out.host, p->hello.host_name, sizeof out.host);
    return out;
}

static int answer(struct plain_link *link, const struct agent_ask *ask, const struct attribution *found)
{
    struct agent_answer out = answer_of(link->plain, ask->id, ask->nonce, found);
    struct agent_history history;
    add_sender(link, &out, found->process, ask->full);
    out.watched = ask->watch && watches_add(link->plain->watches, link, ask, found);
    if (found->process && platform_history(link->plain->platform, found->process->sender, found, &history))
        out.history = &history;
    return agent_answer_write(&link->out, &out);
}

static void set_hash(struct process *process, enum sender_hash_state state, const char *hex)
{
    struct sender *s = process->sender;
    if (s->hash_state != SENDER_HASH_PENDING)
        return;
    s->sha256 = hex ? arena_strdup(&s->arena, hex) : NULL;
    s->hash_state = state == SENDER_HASH_DONE && !s->sha256 ? SENDER_HASH_FAILED : state;
    s->provenance[SENDER_FIELD_SHA256] = s->sha256 ? AGENT_PROVENANCE_PROC : AGENT_PROVENANCE_UNAVAILABLE;
    process->revision++;
}

/* Is the hash known, or known not to be had? Asks for it else. */
static bool is_hashed(struct plain *p, struct process *process)
{
    const char *hex;
    if (process->sender->hash_state != SENDER_HASH_PENDING)
        return true;
    switch (hashes_ask(p->hashes, process, &hex)) {
    case HASHES_KNOWN:
        set_hash(process, SENDER_HASH_DONE, hex);
        return true;
    case HASHES_FAILED:
        set_hash(process, SENDER_HASH_FAILED, NULL);
        return true;
    case HASHES_BUSY:
        break;
    }
    return false;
}

static bool wait_for_hash(struct plain_link *link, const struct agent_ask *ask,
                          const struct attribution *found)
{
    struct plain *p = link->plain;
    struct waiting *w = p->waiting_count < PLAIN_WAITING_MAX ? malloc(sizeof *w) : NULL;
    if (!w)
        return false;
    *w = (struct waiting){
        .link = link, .ask = *ask, .found = *found, .until_ms = p->now_ms + ask->hash_wait_ms};
    p->waiting[p->waiting_count++] = w;
    return true;
}

/* ---- asks ---- */

static bool is_any(const struct ip *ip)
{
    static const uint8_t zero[16];
    return memcmp(ip->bytes, zero, sizeof zero) == 0;
}

/* One of the listeners that the link's hello named? */
static bool is_its_proxy(const struct plain_link *link, const struct endpoint *proxy)
{
    for (size_t i = 0; i < link->proxy_count; i++) {
        const struct endpoint *e = &link->proxies[i];
        bool all = is_any(&e->ip) && (e->ip.version == 6 || proxy->ip.version == 4);
        if (e->port == proxy->port && (all || ip_equal(&e->ip, &proxy->ip)))
            return true;
    }
    return false;
}

static int take_ask(struct plain_link *link, const struct agent_ask *ask)
{
    struct attribution found = {.client = ask->client,
                                .proxy = ask->proxy,
                                .peer_uid = link->peer_uid,
                                .peer_pid = link->peer_pid,
                                .accepted_cookie = ask->proxy_cookie,
                                .reason = AGENT_REASON_NOT_OURS};
    struct attribution *batch[] = {&found};
    if (is_its_proxy(link, &ask->proxy))
        platform_attribute(link->plain->platform, batch, 1);
    agent_peers_unref(found.peers);
    found.peers = NULL;
    bool hashed = !found.process || is_hashed(link->plain, found.process);
    if (!hashed && ask->want_hash && ask->hash_wait_ms > 0 && wait_for_hash(link, ask, &found))
        return 0;
    int result = answer(link, ask, &found);
    if (found.process)
        process_unref(found.process);
    return result;
}

static int say_error(struct plain_link *link, const struct agent_error *e)
{
    link->bad_lines++;
    return agent_error_write(&link->out, e) == 0 && link->bad_lines <= AGENT_BAD_LINES_MAX ? 0 : -1;
}

static int take_line(struct plain_link *link, struct span line)
{
    static struct agent_message m; /* large; one thread */
    struct agent_error e;
    if (agent_request_read(line, &m, &e) != 0)
        return say_error(link, &e);
    if (m.type == AGENT_MESSAGE_HELLO) {
        link->greeted = true;
        link->proxy_count = m.u.hello.proxy_count;
        memcpy(link->proxies, m.u.hello.proxies, sizeof link->proxies);
        return 0;
    }
    if (m.type == AGENT_MESSAGE_DONE)
        watches_done(link->plain->watches, link, m.u.done);
    if (m.type == AGENT_MESSAGE_DONE || m.type == AGENT_MESSAGE_ERROR)
        return 0;
    if (m.type == AGENT_MESSAGE_KEEP) {
        e = (struct agent_error){.has_id = true, .id = m.u.keep.id, .code = AGENT_ERROR_UNKNOWN_TYPE};
        snprintf(e.text, sizeof e.text, "this agent keeps nothing, as its hello says");
        return say_error(link, &e);
    }
    if (link->greeted)
        return take_ask(link, &m.u.ask);
    e = (struct agent_error){.has_id = true, .id = m.u.ask.id, .code = AGENT_ERROR_NO_HELLO};
    snprintf(e.text, sizeof e.text, "ask before hello");
    return say_error(link, &e);
}

int plain_link_take(struct plain_link *link, struct span bytes, int64_t now_ms)
{
    struct span line;
    size_t used;
    link->plain->now_ms = now_ms;
    if (link->failed)
        return -1;
    while (bytes.len > 0) { /* never more than a line and a piece is kept */
        size_t piece = bytes.len < AGENT_LINE_BYTES ? bytes.len : AGENT_LINE_BYTES;
        enum parse found;
        if (buf_append(&link->in, bytes.data, piece) != 0)
            return -1;
        bytes = span_from(bytes, piece);
        while ((found = agent_line_next(buf_span(&link->in), &line, &used)) == PARSE_OK) {
            if (take_line(link, line) != 0)
                return -1;
            buf_consume(&link->in, used);
        }
        if (found == PARSE_BAD)
            return -1;
    }
    return 0;
}

/* ---- what became of the connections that are watched ---- */

static bool did_more(struct plain *p, struct watched *w, const struct attribution *now,
                     struct agent_history *history)
{
    if (!platform_history(p->platform, now->process->sender, NULL, history))
        return false;
    uint64_t did = agent_history_signature(history);
    bool more = w->did != 0 && did != w->did && now->confidence == w->said.confidence;
    w->did = did;
    return more;
}

/* Who it is may have changed, what he executes, or what he did. */
static void compare(struct plain *p, struct watched *w, struct attribution *now)
{
    struct agent_history history;
    bool executed = now->process && w->serial != 0 && now->process->serial != w->serial;
    bool more = now->process && did_more(p, w, now, &history);
    struct plain_link *link = w->link;
    if (!watched_note(w, now) && !executed && !more)
        return;
    if (now->process)
        w->serial = now->process->serial;
    struct agent_answer out = answer_of(p, w->id, w->nonce, now);
    out.watched = true;
    out.history = more ? &history : NULL;
    add_sender(link, &out, now->process, false);
    link->failed = link->failed || agent_changed_write(&link->out, &out) != 0;
}

static void look_again(struct plain *p, size_t turns)
{
    struct watched *due[WATCH_BATCH];
    size_t count = watches_walk(p->watches, (uint64_t)p->now_ms, turns, due);
    for (size_t i = 0; i < count; i++) {
        const struct attribution *said = &due[i]->said;
        struct attribution now = {.client = said->client,
                                  .proxy = said->proxy,
                                  .peer_uid = said->peer_uid,
                                  .peer_pid = said->peer_pid,
                                  .accepted_cookie = said->accepted_cookie,
                                  .again = true};
        struct attribution *batch[] = {&now};
        platform_attribute(p->platform, batch, 1);
        compare(p, due[i], &now);
        agent_peers_unref(now.peers);
        if (now.process)
            process_unref(now.process);
    }
    watches_walked(p->watches);
}

/* A part of them, so that each has its turn once in a round. */
static void look_at_watched(struct plain *p)
{
    const size_t rounds = WATCH_ROUND_MS / AGAIN_EVERY_MS;
    if (watches_count(p->watches) == 0 || p->now_ms - p->again_ms < AGAIN_EVERY_MS)
        return;
    p->again_ms = p->now_ms;
    look_again(p, (watches_count(p->watches) + rounds - 1) / rounds);
}

static void say_losses(struct plain *p)
{
    struct agent_losses now;
    if (p->now_ms - p->losses_ms < LOSSES_EVERY_MS)
        return;
    p->losses_ms = p->now_ms;
    if (!platform_history_losses(p->platform, &now) || memcmp(&now, &p->losses, sizeof now) == 0)
        return;
    p->losses = now;
    for (struct plain_link *link = p->links; link; link = link->next)
        link->failed = link->failed || agent_losses_write(&link->out, &now) != 0;
}

static int sooner(int64_t a_ms, int64_t b_ms)
{
    return (int)(a_ms < 0 || (b_ms >= 0 && b_ms < a_ms) ? b_ms : a_ms);
}

int plain_turn(struct plain *p, int64_t now_ms)
{
    int64_t next_ms = -1;
    p->now_ms = now_ms;
    hashes_turn(p->hashes);
    look_at_watched(p);
    say_losses(p);
    for (size_t i = p->waiting_count; i-- > 0;) {
        struct waiting *w = p->waiting[i];
        if (!is_hashed(p, w->found.process) && now_ms < w->until_ms) {
            int64_t left_ms = w->until_ms - now_ms;
            next_ms = sooner(next_ms, left_ms);
            continue;
        }
        answer(w->link, &w->ask, &w->found);
        drop_waiting(p, i);
    }
    next_ms = sooner(next_ms, watches_count(p->watches) > 0 ? AGAIN_EVERY_MS : -1);
    return hashes_are_busy(p->hashes) ? 0 : (int)next_ms;
}
