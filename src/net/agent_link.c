/* agent_link.c: the worker's link to the host agent (include/exeat/agent_protocol.h): asks are pipelined, answers matched
 * by id and nonce, senders kept by their ref. Called by flow/ for each accepted connection. A connection that lives a while
 * is asked about once more and then watched: the agent says when its answer would be another.
 *
 * An agent that is not there, silent, slow or wrong costs each flow at most its ask's deadline, and says so in the reason;
 * it is never waited for otherwise. What it sends is bounded (a line, senders kept) and one line that can't be read
 * ends the link: half-understood attribution is worse than none. */
#include "net/internal.h"
#include "net/keeps.h"
#include "net/lru.h"

#include "base/log.h"
#include "base/must.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    ASKS_MAX = 1024,              /* under way */
    ASK_SLOTS = 16384,            /* under way or watched; a power of two: the id's low bits */
    WATCH_AFTER_MS = 1000,        /* most connections are over by then, and cost nothing more */
    WATCH_REFUSED_MS = 15 * 1000, /* the agent watches too many: asked again instead */
    SENDERS_MAX =
        1024, /* the agent remembers more (AGENT_LINK_SENDERS): a forgotten one is asked for in full */
    OUT_BYTES_MAX = 512 * 1024,
    IN_BYTES_MAX = 2 * AGENT_LINE_BYTES,
    READ_BYTES = AGENT_LINE_BYTES,
    HELLO_TIMEOUT_MS = 2000,
    BACK_OFF_FIRST_MS = 100,
    BACK_OFF_MOST_MS = 5000,
};

enum link_state { LINK_OFF, LINK_DOWN, LINK_GREETING, LINK_UP };

/* LATER: answered, and to be watched from the deadline on. */
enum ask_stage { ASK_UNDER_WAY, ASK_LATER, ASK_WATCHED };

struct ask {
    enum ask_stage stage;
    struct net_deadline deadline;
    struct agent_link *link;     /* borrowed: outlives it */
    struct net_attribution *who; /* borrowed until done or cancel */
    struct agent_ask message;
};

struct known_sender {
    struct lru_entry entry;        /* the key is the sender's ref */
    struct sender *sender;         /* counted */
    struct agent_history *history; /* counted: what last came with it; NULL: none */
};

struct agent_link {
    struct net *net; /* borrowed: outlives it */
    enum link_state state;
    struct net_stream *stream; /* owned; NULL when down */
    struct buf in, out;
    struct lru senders;
    struct keeps keeps;
    struct ask *asks[ASK_SLOTS]; /* owned */
    uint16_t free_slots[ASK_SLOTS];
    unsigned free_count, under_way;
    uint64_t asked;           /* ids' high bits */
    struct net_deadline wake; /* DOWN: try again. GREETING: the hello is late */
    struct soon flush, fall;
    unsigned back_off_ms;
    uint64_t malformed; /* lines, over all links */
    bool said_down;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* of this connection */
    char host_id[33];                                       /* as its hello says; "" without */
    struct net_agent sees;                                  /* as its hello says */
    bool has_around;
    struct agent_around around; /* what it said last */
    char text[96];              /* the state, for people */
};

/* ---- asks ---- */

/* Frees the ask; its owner can be told then. */
static struct net_attribution *ask_end(struct ask *ask)
{
    struct agent_link *link = ask->link;
    struct net_attribution *who = ask->who;
    unsigned slot = ask->message.id % ASK_SLOTS;
    link->asks[slot] = NULL;
    link->free_slots[link->free_count++] = (uint16_t)slot;
    link->under_way -= ask->stage == ASK_UNDER_WAY;
    net_deadline_clear(&ask->deadline);
    free(ask);
    who->operation = NULL;
    return who;
}

static void set_unknown(struct net_attribution *who, const char *reason)
{
    who->confidence = AGENT_CONFIDENCE_UNKNOWN;
    who->basis = AGENT_BASIS_HOLDER_NOW;
    who->sender = NULL;
    who->history = NULL;
    who->peers = NULL;
    snprintf(who->reason, sizeof(who->reason), "%s", reason);
}

static void ask_fail(struct ask *ask, const char *reason)
{
    struct net_attribution *who = ask_end(ask);
    set_unknown(who, reason);
    who->done(who);
}

static void on_ask_late(struct net_deadline *d)
{
    struct ask *ask = (struct ask *)((char *)d - offsetof(struct ask, deadline));
    ask->link->net->stats.ask_timeouts++;
    ask_fail(ask, "agent_timeout");
}

/* A nonce is fresh each time: an answer to what was asked before can't pass for this one's. */
static int ask_send(struct ask *ask)
{
    struct agent_link *link = ask->link;
    snprintf(ask->message.nonce, sizeof(ask->message.nonce), "%016llx", (unsigned long long)net_random());
    ask->message.age_ms = (int64_t)(net_now_ms(link->net) - ask->who->accepted_ms);
    if (agent_ask_write(&link->out, &ask->message) != 0)
        return -1;
    net_soon_set(link->net, &link->flush);
    return 0;
}

static struct ask *ask_new(struct agent_link *link, struct net_attribution *who)
{
    bool room = link->free_count > 0 && link->under_way < ASKS_MAX;
    struct ask *ask = room ? calloc(1, sizeof(*ask)) : NULL;
    if (!ask)
        return NULL;
    link->under_way++;
    unsigned slot = link->free_slots[--link->free_count];
    ask->message.id = (++link->asked % (UINT64_C(1) << 40)) * ASK_SLOTS + slot;
    ask->link = link;
    ask->who = who;
    ask->deadline.expired = on_ask_late;
    link->asks[slot] = ask;
    who->operation = ask;
    return ask;
}

/* The kernel's name of the socket, never used twice; 0 when it cannot be told. */
static uint64_t cookie_of(const struct net_stream *s)
{
    uint64_t cookie = 0;
    socklen_t len = sizeof(cookie);
    if (!s || getsockopt(s->fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) != 0 || cookie >= UINT64_C(1) << 53)
        return 0;
    return cookie;
}

bool net_attribute(struct net *net, struct net_attribution *who, const struct endpoint *client,
                   const struct endpoint *proxy, bool want_hash)
{
    struct agent_link *link = net->agent;
    unsigned wait_ms = want_hash ? net->options.hash_wait_ms : 0;
    who->operation = NULL;
    set_unknown(who, "agent_unavailable");
    struct ask *ask = link->stream ? ask_new(link, who) : NULL;
    if (!ask)
        return true;
    ask->message.client = *client;
    ask->message.proxy = *proxy;
    ask->message.proxy_cookie = cookie_of(who->accepted);
    ask->message.want_hash = want_hash;
    ask->message.brief = true;
    ask->message.hash_wait_ms = wait_ms < AGENT_HASH_WAIT_MAX_MS ? wait_ms : AGENT_HASH_WAIT_MAX_MS;
    if (ask_send(ask) != 0) {
        ask_end(ask);
        net_soon_set(net, &link->fall);
        return true;
    }
    net->stats.asks++;
    net_deadline_set(net, &ask->deadline, (uint64_t)net->options.agent_timeout_ms + wait_ms);
    return false;
}

void net_attribute_cancel(struct net *net, struct net_attribution *who)
{
    struct ask *ask = who->operation;
    if (!ask)
        return;
    struct agent_link *link = ask->link;
    if (ask->stage == ASK_WATCHED && link->stream) {
        if (agent_done_write(&link->out, ask->message.id) == 0)
            net_soon_set(net, &link->flush);
        else
            net_soon_set(net, &link->fall);
    }
    ask_end(ask);
}

/* An agent whose hello doesn't promise it is never asked. */
bool net_keep_ask(struct net *net, struct net_keep *k)
{
    struct agent_link *link = net->agent;
    if (link->state != LINK_UP || link->sees.keep == 0 || !keeps_ask(&link->keeps, net, k, &link->out))
        return false;
    net_soon_set(net, &link->flush);
    return true;
}

/* ---- watching ---- */

static void watch_later(struct ask *ask, uint64_t after_ms)
{
    ask->stage = ASK_LATER;
    net_deadline_set(ask->link->net, &ask->deadline, after_ms);
}

/* Without an answer nothing is known to have changed. */
static void on_watch(struct net_deadline *d)
{
    struct ask *ask = (struct ask *)((char *)d - offsetof(struct ask, deadline));
    struct agent_link *link = ask->link;
    ask->message.watch = true;
    ask->message.want_hash = ask->message.full = false;
    ask->message.hash_wait_ms = 0;
    if (link->state == LINK_UP && ask_send(ask) == 0)
        ask->stage = ASK_WATCHED;
    else
        watch_later(ask, WATCH_AFTER_MS);
}

static void begin_to_watch(struct ask *ask)
{
    ask->link->under_way--;
    ask->deadline.expired = on_watch;
    watch_later(ask, WATCH_AFTER_MS);
}

/* ---- the link's state ---- */

static void known_free(struct known_sender *take_k)
{
    sender_unref(take_k->sender);
    agent_history_unref(take_k->history);
    free(take_k);
}

static void senders_drop(struct agent_link *link, struct known_sender *k)
{
    lru_remove(&link->senders, &k->entry);
    known_free(k);
}

/* Refs mean nothing on another link. */
static void link_reset(struct agent_link *link)
{
    if (link->stream)
        net_stream_close(link->stream, NET_CLOSE_FIN);
    link->stream = NULL;
    while (link->senders.newest)
        senders_drop(link, (struct known_sender *)link->senders.newest);
    buf_clear(&link->in);
    buf_clear(&link->out);
    net_soon_clear(&link->flush);
    net_soon_clear(&link->fall);
    net_deadline_clear(&link->wake);
}

/* Said once until it is up again; status shows the latest cause. */
static void link_down(struct agent_link *link, const char *cause)
{
    bool was_up = link->state == LINK_UP;
    link_reset(link);
    link->state = LINK_DOWN;
    snprintf(link->text, sizeof(link->text), "not connected: %.70s", cause);
    if (was_up || !link->said_down)
        log_warning("agent", "%s (%s)", link->text, link->path);
    link->said_down = true;
    net_deadline_set(link->net, &link->wake, link->back_off_ms);
    link->back_off_ms = link->back_off_ms * 2 < BACK_OFF_MOST_MS ? link->back_off_ms * 2 : BACK_OFF_MOST_MS;
    for (unsigned i = 0; i < ASK_SLOTS; i++) {
        if (link->asks[i] && link->asks[i]->stage == ASK_UNDER_WAY)
            ask_fail(link->asks[i], "agent_unavailable");
        else if (link->asks[i])
            watch_later(link->asks[i], WATCH_AFTER_MS);
    }
    keeps_end_all(&link->keeps);
}

static void on_fall(struct soon *soon)
{
    link_down((struct agent_link *)((char *)soon - offsetof(struct agent_link, fall)),
              "the agent does not read");
}

static void on_flush(struct soon *soon)
{
    struct agent_link *link = (struct agent_link *)((char *)soon - offsetof(struct agent_link, flush));
    while (link->stream && buf_len(&link->out) > 0) {
        struct span s = buf_span(&link->out);
        ssize_t n = net_stream_write(link->stream, s.data, s.len);
        if (n == NET_FAILED) {
            link_down(link, strerrordesc_np(net_stream_errno(link->stream)));
            return;
        }
        if (n == NET_AGAIN)
            break;
        buf_consume(&link->out, (size_t)n);
    }
    if (link->stream)
        net_stream_want(link->stream, NET_READABLE | (buf_len(&link->out) ? NET_WRITABLE : 0));
}

/* ---- what the agent says ---- */

static bool sender_keep(struct agent_link *link, struct sender *sender)
{
    struct known_sender *old = (struct known_sender *)lru_find(&link->senders, sender->ref);
    struct known_sender *k = calloc(1, sizeof(*k));
    if (old)
        senders_drop(link, old);
    if (!k)
        return false;
    k->sender = sender_ref(sender);
    k->entry.key = sender->ref;
    lru_add(&link->senders, &k->entry);
    struct known_sender *excess = (struct known_sender *)lru_take_excess(&link->senders);
    if (excess)
        known_free(excess);
    return true;
}

static void fill(struct net_attribution *who, const struct agent_answer *answer)
{
    bool exact = answer->confidence == AGENT_CONFIDENCE_EXACT;
    who->confidence = answer->confidence;
    who->basis = answer->basis;
    who->connect = answer->connect;
    who->holder_count = answer->holder_count;
    memcpy(who->holders, answer->holders, sizeof(who->holders));
    snprintf(who->reason, sizeof(who->reason), "%s", exact ? "" : agent_reason_name(answer->reason));
}

static void ask_finish(struct ask *ask, const struct agent_answer *answer, struct sender *sender,
                       struct agent_history *history)
{
    struct net_attribution *who = ask->who;
    const struct agent_link *link = ask->link;
    if (who->changed && answer->confidence == AGENT_CONFIDENCE_EXACT)
        begin_to_watch(ask);
    else
        ask_end(ask);
    fill(who, answer);
    who->sender = sender ? sender_ref(sender) : NULL;
    who->history = agent_history_ref(history);
    snprintf(who->host, sizeof(who->host), "%.64s", answer->host);
    snprintf(who->host_id, sizeof(who->host_id), "%.32s", link->host_id);
    memcpy(who->platform, link->sees.platform, sizeof(who->platform));
    who->done(who);
}

/* A ref that we don't know: once, ask for the whole sender, within the same deadline. */
static void ask_again_in_full(struct ask *ask)
{
    if (!ask->message.full) {
        ask->message.full = true;
        if (ask_send(ask) == 0)
            return;
    }
    if (ask->stage == ASK_UNDER_WAY)
        ask_fail(ask, "unknown");
}

static bool says_the_same(const struct net_attribution *who, const struct agent_answer *now, bool same_sender)
{
    const struct agent_connect *a = &who->connect, *b = &now->connect;
    if (now->peers && !agent_peers_equal(who->peers, now->peers))
        return false;
    return same_sender && who->confidence == now->confidence && who->basis == now->basis &&
           a->exec_changed == b->exec_changed && a->handed_over == b->handed_over && a->shared == b->shared &&
           who->holder_count == now->holder_count &&
           memcmp(who->holders, now->holders, now->holder_count * sizeof(*now->holders)) == 0;
}

/* What is said of a watched connection: the answer that began it, or a change. The sender stays the same object while it is
 * the same process, or nobody else is named: its owner has views into it. */
static void take_change(struct ask *ask, const struct agent_answer *now, struct sender *sender)
{
    struct net_attribution *who = ask->who;
    const char *ref = who->sender ? who->sender->ref : "";
    bool same_sender = strcmp(ref, now->sender_ref) == 0;
    ask->message.full = false;
    if (!now->watched)
        watch_later(ask, WATCH_REFUSED_MS);
    bool same = says_the_same(who, now, same_sender);
    bool did_more =
        now->history && agent_history_signature(now->history) != agent_history_signature(who->history);
    if (same && !did_more)
        return;
    fill(who, now);
    if (now->peers) {
        agent_peers_unref(who->peers);
        who->peers = agent_peers_ref(now->peers);
    }
    who->did_more = same;
    struct agent_history *before = who->history;
    who->history = agent_history_ref(now->history ? now->history : before);
    if (!same_sender && sender) {
        sender_unref(who->sender);
        who->sender = sender_ref(sender);
    }
    who->changed(who);
    agent_history_unref(before);
}

/* The agent says "same" of the one that came last, whichever ask it answered. */
static void history_keep(struct agent_link *link, const struct agent_answer *answer)
{
    struct known_sender *k = NULL;
    if (answer->history && answer->sender_ref[0])
        k = (struct known_sender *)lru_find(&link->senders, answer->sender_ref);
    if (!k)
        return;
    agent_history_unref(k->history);
    k->history = agent_history_ref(answer->history);
}

static void take_answer(struct agent_link *link, const struct agent_answer *answer)
{
    if (answer->sender) /* also when it comes too late: the agent won't send it again */
        sender_keep(link, answer->sender);
    history_keep(link, answer);
    struct ask *ask = link->asks[answer->id % ASK_SLOTS];
    if (!ask || ask->stage == ASK_LATER || ask->message.id != answer->id ||
        strcmp(ask->message.nonce, answer->nonce) != 0)
        return;
    bool names = answer->confidence == AGENT_CONFIDENCE_EXACT || answer->confidence == AGENT_CONFIDENCE_STALE;
    struct known_sender *k = NULL;
    if (names && answer->sender_ref[0])
        k = (struct known_sender *)lru_find(&link->senders, answer->sender_ref);
    struct sender *sender = !names ? NULL : answer->sender ? answer->sender : k ? k->sender : NULL;
    if (ask->stage == ASK_WATCHED && ask->who->sender &&
        strcmp(ask->who->sender->ref, answer->sender_ref) == 0)
        sender = ask->who->sender;
    if (names && !sender)
        ask_again_in_full(ask);
    else if (ask->stage == ASK_WATCHED)
        take_change(ask, answer, sender);
    else
        ask_finish(ask, answer, sender, answer->history_same && k ? k->history : answer->history);
}

/* For status; the agent itself says it in the log of its host. */
static void take_around(struct agent_link *link, const struct agent_around *around)
{
    link->has_around = true;
    link->around = *around;
}

static void take_hello(struct agent_link *link, const struct agent_hello *hello)
{
    bool first = link->state == LINK_GREETING;
    snprintf(link->text, sizeof(link->text), "connected: host %.48s, owner by %.16s", hello->host_name,
             hello->owner);
    snprintf(link->host_id, sizeof(link->host_id), "%.32s", hello->host_id);
    link->sees = (struct net_agent){.tells_observable = hello->tells_observable,
                                    .not_observable = hello->not_observable,
                                    .keep = hello->keep};
    snprintf(link->sees.host, sizeof link->sees.host, "%.64s", hello->host_name);
    link->sees.degraded_count = hello->degraded_count;
    memcpy(link->sees.degraded, hello->degraded, sizeof link->sees.degraded);
    snprintf(link->sees.platform, sizeof link->sees.platform, "%s", hello->platform);
    link->has_around = false;
    if (hello->has_around)
        take_around(link, &hello->around);
    link->state = LINK_UP;
    link->back_off_ms = BACK_OFF_FIRST_MS;
    link->said_down = false;
    net_deadline_clear(&link->wake);
    if (!first)
        return;
    log_notice("agent", "%s (%s)", link->text, link->path);
    for (size_t i = 0; i < hello->degraded_count; i++)
        log_notice("agent", "%s", hello->degraded[i]);
    net_soon_set(link->net, &link->flush);
}

static void take_error(struct agent_link *link, const struct agent_error *e)
{
    if (e->has_id && e->id < KEEP_IDS)
        keeps_end(&link->keeps, e->id);
    struct ask *ask = e->has_id ? link->asks[e->id % ASK_SLOTS] : NULL;
    if (ask && ask->message.id == e->id && ask->stage == ASK_UNDER_WAY)
        ask_fail(ask, "agent_error");
}

/* False: the link is over. */
static bool take_line(struct agent_link *link, struct span line)
{
    struct agent_message m;
    struct agent_error error;
    if (agent_message_decode(line, &m, &error) != 0) {
        if (error.code == AGENT_ERROR_UNKNOWN_TYPE) { /* a newer agent's business */
            net_soon_set(link->net, &link->flush);
            return agent_error_write(&link->out, &error) == 0;
        }
        link->malformed++;
        log_warning("agent", "malformed line (%llu so far): %s", (unsigned long long)link->malformed,
                    error.text);
        return false;
    }
    bool greeted = link->state == LINK_UP || m.type == AGENT_MESSAGE_HELLO;
    if (m.type == AGENT_MESSAGE_HELLO)
        take_hello(link, &m.u.hello);
    else if (m.type == AGENT_MESSAGE_AROUND && greeted)
        take_around(link, &m.u.around);
    else if (m.type == AGENT_MESSAGE_LOSSES && greeted)
        link->sees.losses = m.u.losses;
    else if ((m.type == AGENT_MESSAGE_ANSWER || m.type == AGENT_MESSAGE_CHANGED) && greeted)
        take_answer(link, &m.u.answer);
    else if (m.type == AGENT_MESSAGE_KEPT && greeted)
        keeps_take(&link->keeps, &m.u.kept);
    else if (m.type == AGENT_MESSAGE_ERROR && greeted)
        take_error(link, &m.u.error);
    agent_message_free(&m);
    return greeted;
}

/* False: the link is over. */
static bool take_lines(struct agent_link *link)
{
    for (;;) {
        struct span line;
        size_t used;
        enum parse found = agent_line_next(buf_span(&link->in), &line, &used);
        if (found == PARSE_MORE)
            return true;
        if (found == PARSE_BAD || !take_line(link, line))
            return false;
        buf_consume(&link->in, used);
    }
}

static void on_ready(void *owner, struct net_stream *s, unsigned ready)
{
    struct agent_link *link = owner;
    if (ready & NET_WRITABLE)
        on_flush(&link->flush);
    if (!link->stream || !(ready & (NET_READABLE | NET_HANGUP)))
        return;
    size_t room;
    uint8_t *data = buf_reserve(&link->in, READ_BYTES, &room);
    ssize_t n = data ? net_stream_read(s, data, room) : NET_FAILED;
    if (n == NET_AGAIN)
        return;
    if (n <= 0) {
        link_down(link, n == 0 ? "the agent closed"
                        : data ? strerrordesc_np(net_stream_errno(s))
                               : "line too long");
        return;
    }
    buf_commit(&link->in, (size_t)n);
    if (!take_lines(link))
        link_down(link, "the agent's messages cannot be understood");
}

/* ---- connecting ---- */

static int write_hello(struct agent_link *link)
{
    const struct net_options *o = &link->net->options;
    struct agent_hello *hello = calloc(1, sizeof(*hello));
    if (!hello)
        return -1;
    hello->version = AGENT_PROTOCOL_VERSION;
    snprintf(hello->program, sizeof(hello->program), "exeatd");
    snprintf(hello->program_version, sizeof(hello->program_version), "%s", EXEAT_VERSION);
    for (unsigned i = 0; i < o->proxies_count && i < AGENT_PROXIES_MAX; i++)
        hello->proxies[hello->proxy_count++] = o->proxies[i];
    int written = agent_hello_write(&link->out, hello);
    free(hello);
    net_soon_set(link->net, &link->flush);
    return written;
}

/* NULL when the process behind the socket may attest, else why not. */
static const char *check_peer(const struct agent_link *link, int fd)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    long wanted = link->net->options.agent_uid;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
        return strerrordesc_np(errno);
    bool fine = wanted >= 0 ? peer.uid == (uid_t)wanted : peer.uid == 0 || peer.uid == geteuid();
    return fine ? NULL : "the socket belongs to a user who may not attest";
}

/* *ret is a connected socket of the right user, or the cause is returned. A Unix socket connects at once or not. */
static const char *link_socket(struct agent_link *link, int *ret)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct sys_table *sys = link->net->sys;
    const char *cause;
    snprintf(link->path, sizeof(link->path), "%s", link->net->options.agent_socket);
    size_t bytes = strlen(link->net->options.agent_socket) + 1;
    if (bytes > sizeof(address.sun_path))
        return strerrordesc_np(ENAMETOOLONG);
    memcpy(address.sun_path, link->path, bytes);
    int fd = sys->socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return strerrordesc_np(errno);
    if (sys->connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        cause = strerrordesc_np(errno);
    else
        cause = check_peer(link, fd);
    if (cause)
        close(fd);
    else
        *ret = fd;
    return cause;
}

static void link_connect(struct agent_link *link)
{
    int fd = -1;
    const char *cause = link_socket(link, &fd);
    if (!cause) {
        link->stream = stream_new(link->net, fd, EPOLLIN);
        if (!link->stream)
            cause = strerrordesc_np(errno);
    }
    if (cause) {
        link_down(link, cause);
        return;
    }
    link->state = LINK_GREETING;
    snprintf(link->text, sizeof(link->text), "connected, no hello yet");
    net_stream_own(link->stream, link, on_ready);
    net_stream_want(link->stream, NET_READABLE);
    net_deadline_set(link->net, &link->wake, HELLO_TIMEOUT_MS);
    if (write_hello(link) != 0)
        net_soon_set(link->net, &link->fall);
}

static void on_wake(struct net_deadline *d)
{
    struct agent_link *link = (struct agent_link *)((char *)d - offsetof(struct agent_link, wake));
    if (link->state == LINK_DOWN)
        link_connect(link);
    else
        link_down(link, "the agent sent no hello");
}

/* ---- life ---- */

/* The first connection is made at once: the agent's hello may be there before the first client. */
struct agent_link *agent_link_new(struct net *net)
{
    struct agent_link *link = calloc(1, sizeof(*link));
    if (!link || lru_init(&link->senders, SENDERS_MAX, net_random()) != 0) {
        free(link);
        return NULL;
    }
    link->net = net;
    link->wake.expired = on_wake;
    link->flush.call = on_flush;
    link->fall.call = on_fall;
    link->back_off_ms = BACK_OFF_FIRST_MS;
    buf_init(&link->in, IN_BYTES_MAX);
    buf_init(&link->out, OUT_BYTES_MAX);
    for (unsigned i = 0; i < ASK_SLOTS; i++)
        link->free_slots[link->free_count++] = (uint16_t)i;
    snprintf(link->text, sizeof(link->text), "not configured");
    if (net->options.agent_socket)
        link_connect(link);
    return link;
}

static void on_reconfigured(struct soon *soon)
{
    struct agent_link *link = (struct agent_link *)((char *)soon - offsetof(struct agent_link, fall));
    link->fall.call = on_fall;
    link->said_down = true; /* asked for: nothing to warn of */
    link->back_off_ms = BACK_OFF_FIRST_MS;
    link->state = link->state == LINK_UP ? LINK_GREETING : link->state;
    link_down(link, "not configured");
    net_deadline_clear(&link->wake);
    if (link->net->options.agent_socket)
        link_connect(link);
    else
        link->state = LINK_OFF;
}

void agent_link_reconfigure(struct agent_link *link)
{
    const char *path = link->net->options.agent_socket;
    if (link->stream && path && strcmp(path, link->path) == 0 && write_hello(link) == 0)
        return;
    link->fall.call = on_reconfigured;
    net_soon_set(link->net, &link->fall);
}

void agent_link_free(struct agent_link *take_link)
{
    struct agent_link *link = take_link;
    link_reset(link);
    keeps_end_all(&link->keeps);
    for (unsigned i = 0; i < ASK_SLOTS; i++) {
        if (link->asks[i])
            ask_end(link->asks[i]);
    }
    lru_free(&link->senders);
    buf_free(&link->in);
    buf_free(&link->out);
    free(link);
}

bool agent_link_around(const struct agent_link *link, struct agent_around *ret)
{
    if (link->state != LINK_UP || !link->has_around)
        return false;
    *ret = link->around;
    return true;
}

void agent_link_sees(const struct agent_link *link, struct net_agent *ret)
{
    *ret = link->state == LINK_UP ? link->sees : (struct net_agent){0};
}

void agent_link_state(const struct agent_link *link, char *ret_text, size_t size, unsigned *ret_connected)
{
    snprintf(ret_text, size, "%s", link->text);
    *ret_connected = link->state == LINK_UP;
}
