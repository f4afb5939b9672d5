/* answerer.c: see answerer.h. */
#include "agent/answerer.h"

#include "agent/channel.h"
#include "agent/grants.h"
#include "agent/linux/quick.h"
#include "agent/platform.h"
#include "base/log.h"
#include "base/must.h"
#include "wire/agent_request.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    LINKS_MAX = 64,
    BACKLOG = 64,
    OUT_BYTES_MAX = 1024 * 1024, /* answers not read yet: then the link is closed */
    READ_BYTES = 16 * 1024,
    COUNTED_MS = 100, /* the collector hears that late of what he needn't answer */
    GENERATION_BITS = 32
};

/* One proxy's connection. */
struct asker {
    struct asker *next;        /* owned by the answerer's list */
    struct answerer *answerer; /* borrowed until closed; NULL then */
    uint64_t number;
    uv_pipe_t pipe;
    uv_write_t write;
    int64_t uid, pid;
    struct buf in, out, writing;
    bool is_writing, greeted, closing;
    unsigned bad_lines;
    struct packet_proxies proxies;
    struct grants grants;
    uint32_t netns;                /* of the last grant: the collector's own */
    struct packet_counted counted; /* not told yet */
};

struct answerer {
    uv_loop_t *loop;
    uv_pipe_t server;
    uv_timer_t counting;     /* runs while a link has counted what the collector doesn't know */
    struct channel *channel; /* owned until answerer_stop() */
    struct answerer_options options;
    struct asker *askers; /* owned */
    size_t count;
    uint64_t last_number;
    int look_fd, history_fd; /* owned, the collector's; -1: not given */
    bool ready, waits, was_ready, confined,
        stopping; /* waits: somebody connects while there is no collector */
    char host[AGENT_NAME_BYTES];
};

/* ---- the end of a link ---- */

static void on_closed(uv_handle_t *handle)
{
    struct asker *k = handle->data;
    buf_free(&k->in);
    buf_free(&k->out);
    buf_free(&k->writing);
    free(k);
}

/* A full queue: so many less are counted. */
static void tell_counted(struct asker *k)
{
    static struct packet p; /* large */
    if (k->counted.count == 0)
        return;
    p.kind = PACKET_COUNTED;
    p.link = k->number;
    p.u.counted = k->counted;
    channel_send(k->answerer->channel, &p);
    k->counted.count = 0;
}

static void tell_all_counted(struct answerer *a)
{
    for (struct asker *k = a->askers; k; k = k->next)
        tell_counted(k);
    uv_timer_stop(&a->counting);
}

/* What was counted before goes first: who asks is told of it. */
static int tell(struct asker *k, struct packet *p)
{
    if (!k->answerer)
        return 0; /* closed: he was told that */
    tell_all_counted(k->answerer);
    p->link = k->number;
    return channel_send(k->answerer->channel, p);
}

static void close_asker(struct asker *k)
{
    struct packet closed = {.kind = PACKET_CLOSED};
    if (k->closing)
        return;
    k->closing = true;
    if (k->answerer) {
        struct asker **at = &k->answerer->askers;
        tell(k, &closed); /* a full queue: it is said again when a line comes for it */
        while (*at != k)
            at = &(*at)->next;
        *at = k->next;
        k->answerer->count--;
    }
    k->answerer = NULL;
    uv_close((uv_handle_t *)&k->pipe, on_closed);
}

static void close_all(struct answerer *a)
{
    while (a->askers)
        close_asker(a->askers);
}

/* ---- out ---- */

static void flush(struct asker *k);

static void on_written(uv_write_t *write, int status)
{
    struct asker *k = write->data;
    k->is_writing = false;
    buf_clear(&k->writing);
    if (status < 0)
        close_asker(k);
    else
        flush(k);
}

static void flush(struct asker *k)
{
    struct span text = buf_span(&k->out);
    if (k->closing || k->is_writing || text.len == 0)
        return;
    uv_buf_t block = uv_buf_init((char *)(uintptr_t)text.data, (unsigned)text.len);
    int n = uv_try_write((uv_stream_t *)&k->pipe, &block, 1);
    if (n < 0 && n != UV_EAGAIN) {
        close_asker(k);
        return;
    }
    buf_consume(&k->out, n > 0 ? (size_t)n : 0);
    text = buf_span(&k->out);
    if (text.len == 0)
        return;
    struct buf rest = k->out; /* the two change places: what is being written must not move */
    k->out = k->writing;
    k->writing = rest;
    block = uv_buf_init((char *)(uintptr_t)text.data, (unsigned)text.len);
    k->write.data = k;
    k->is_writing = true;
    if (uv_write(&k->write, (uv_stream_t *)&k->pipe, &block, 1, on_written) != 0) {
        k->is_writing = false;
        close_asker(k);
    }
}

static void check_queue(struct asker *k, int appended)
{
    if (appended == 0)
        return;
    log_warning("link", "uid %" PRId64 " does not read its answers: closed", k->uid);
    close_asker(k);
}

static void send_error(struct asker *k, const struct agent_error *e)
{
    check_queue(k, agent_error_write(&k->out, e));
    if (k->closing || ++k->bad_lines <= AGENT_BAD_LINES_MAX)
        return;
    log_warning("link", "uid %" PRId64 " sends what cannot be understood: closed", k->uid);
    close_asker(k);
}

/* What needs no collector to be said. */
static void refuse(struct asker *k, const struct agent_ask *ask, enum agent_reason reason)
{
    struct agent_answer answer = {.id = ask->id, .reason = reason};
    memcpy(answer.nonce, ask->nonce, sizeof answer.nonce);
    memcpy(answer.host, k->answerer->host, sizeof answer.host);
    check_queue(k, agent_answer_write(&k->out, &answer));
}

/* ---- in ---- */

static bool is_any(const struct ip *ip)
{
    static const uint8_t zero[16];
    return memcmp(ip->bytes, zero, sizeof zero) == 0;
}

/* "[::]:3128" stands for IPv4 too: a listener for both is one socket. */
static bool is_listener(const struct asker *k, const struct endpoint *proxy)
{
    for (size_t i = 0; i < k->proxies.count; i++) {
        const struct endpoint *p = &k->proxies.items[i];
        if (p->port == proxy->port && (ip_equal(&p->ip, &proxy->ip) || is_any(&p->ip)))
            return true;
    }
    return false;
}

/* ---- what needs no hop ---- */

/* Nothing that a process did waits for the collector to take it in: what he said last is still so. */
static bool is_quiet(const struct answerer *a)
{
    struct pollfd history = {.fd = a->history_fd, .events = POLLIN};
    return a->history_fd < 0 || poll(&history, 1, 0) == 0;
}

/* First what waits, then the turn: what was taken in between has begun one. */
static const struct packet_grant *find_grant(struct asker *k, const struct agent_ask *ask)
{
    const struct answerer *a = k->answerer;
    struct known_caller caller;
    if (a->look_fd < 0 || !a->options.turns || k->netns == 0 || ask->proxy_cookie == 0 || ask->full ||
        ask->watch || !quick_look(a->look_fd, ask, k->netns, &caller) || !is_quiet(a))
        return NULL;
    return grants_find(&k->grants, &caller, ask, atomic_load(a->options.turns), (int64_t)uv_hrtime());
}

static void on_counting(uv_timer_t *timer)
{
    tell_all_counted(timer->data);
}

/* Telling wakes the collector, which costs as much as the answer: so many are told at once, or those of a moment. */
static void note_counted(struct asker *k, struct packet_count what)
{
    struct answerer *a = k->answerer;
    if (!a) /* it reads nothing, and was closed */
        return;
    k->counted.items[k->counted.count++] = what;
    if (k->counted.count == PACKET_COUNTED_MAX)
        tell_all_counted(a);
    else if (!uv_is_active((uv_handle_t *)&a->counting))
        uv_timer_start(&a->counting, on_counting, COUNTED_MS, 0);
}

/* A program that connects again and again: the collector said a moment ago who that is. */
static bool answer_at_once(struct asker *k, const struct agent_ask *ask)
{
    const struct packet_grant *grant = find_grant(k, ask);
    if (!grant)
        return false;
    struct agent_answer answer = {.id = ask->id,
                                  .confidence = AGENT_CONFIDENCE_EXACT,
                                  .basis = AGENT_BASIS_CONNECT,
                                  .reason = AGENT_REASON_NONE,
                                  .history_same = grant->has_history};
    memcpy(answer.nonce, ask->nonce, sizeof answer.nonce);
    memcpy(answer.host, k->answerer->host, sizeof answer.host);
    memcpy(answer.sender_ref, grant->ref, sizeof answer.sender_ref);
    check_queue(k, agent_answer_write(&k->out, &answer));
    note_counted(k, (struct packet_count){grant->serial, ask->proxy_cookie});
    return true;
}

static void take_ask(struct asker *k, const struct agent_ask *ask)
{
    static struct packet p; /* large */
    if (!k->greeted) {
        struct agent_error e = {
            .has_id = true, .id = ask->id, .code = AGENT_ERROR_NO_HELLO, .text = "hello first"};
        send_error(k, &e);
    } else if (!is_listener(k, &ask->proxy)) {
        refuse(k, ask, AGENT_REASON_NOT_OURS);
    } else if (!answer_at_once(k, ask)) {
        p.kind = PACKET_ASK;
        p.u.ask = *ask;
        if (tell(k, &p) != 0)
            refuse(k, ask, AGENT_REASON_BUSY);
    }
}

static void take_hello(struct asker *k, const struct agent_hello *hello)
{
    static struct packet p;
    k->greeted = true;
    k->proxies.count = hello->proxy_count;
    memcpy(k->proxies.items, hello->proxies, sizeof k->proxies.items);
    p.kind = PACKET_HELLO;
    p.u.proxies = k->proxies;
    if (tell(k, &p) != 0)
        close_asker(k);
}

/* A full queue: it is as full as what it would ask for. */
static void take_keep(struct asker *k, const struct agent_keep *keep)
{
    struct packet p = {.kind = PACKET_KEEP, .u.keep = *keep};
    struct agent_kept kept = {.id = keep->id, .outcome = AGENT_KEEP_FULL};
    if (!k->greeted) {
        struct agent_error e = {
            .has_id = true, .id = keep->id, .code = AGENT_ERROR_NO_HELLO, .text = "hello first"};
        send_error(k, &e);
    } else if (tell(k, &p) != 0) {
        memcpy(kept.nonce, keep->nonce, sizeof kept.nonce);
        memcpy(kept.host, k->answerer->host, sizeof kept.host);
        memcpy(kept.sender_ref, keep->sender_ref, sizeof kept.sender_ref);
        check_queue(k, agent_kept_write(&k->out, &kept));
    }
}

static void take_line(struct asker *k, struct span line)
{
    static struct agent_message m;
    struct agent_error e;
    struct packet done = {.kind = PACKET_DONE};
    if (agent_request_read(line, &m, &e) != 0) {
        send_error(k, &e);
        return;
    }
    if (m.type == AGENT_MESSAGE_ASK) {
        take_ask(k, &m.u.ask);
    } else if (m.type == AGENT_MESSAGE_HELLO) {
        take_hello(k, &m.u.hello);
    } else if (m.type == AGENT_MESSAGE_DONE) {
        done.u.done = m.u.done;
        if (tell(k, &done) != 0)
            close_asker(k);
    } else if (m.type == AGENT_MESSAGE_KEEP) {
        take_keep(k, &m.u.keep);
    }
}

static void take_lines(struct asker *k)
{
    struct span line;
    size_t used;
    enum parse parse = PARSE_OK;
    while (!k->closing && (parse = agent_line_next(buf_span(&k->in), &line, &used)) == PARSE_OK) {
        take_line(k, line);
        buf_consume(&k->in, used);
    }
    if (parse == PARSE_BAD && !k->closing) {
        log_warning("link", "uid %" PRId64 " sent a line that is too long: closed", k->uid);
        close_asker(k);
    }
    flush(k);
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    struct asker *k = handle->data;
    size_t room = 0;
    (void)suggested;
    uint8_t *at = buf_reserve(&k->in, READ_BYTES, &room);
    *ret = uv_buf_init((char *)at, (unsigned)(at ? room : 0));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *block)
{
    struct asker *k = stream->data;
    (void)block;
    if (n > 0) {
        buf_commit(&k->in, (size_t)n);
        take_lines(k);
    } else if (n < 0) {
        close_asker(k);
    }
}

/* ---- the begin of a link ---- */

static bool may_speak(int64_t uid, const struct answerer_options *options)
{
    if (uid == 0 || uid == (int64_t)geteuid())
        return true;
    for (size_t i = 0; i < options->allowed_count; i++)
        if (options->allowed_uids[i] == uid)
            return true;
    return false;
}

/* Notes who is at the other end, as the kernel did when it connected; uid -1 when it can't be told. */
static void note_peer(struct asker *k)
{
    uv_os_fd_t fd;
    struct ucred peer;
    socklen_t len = sizeof peer;
    bool known = uv_fileno((uv_handle_t *)&k->pipe, &fd) == 0 &&
                 getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0;
    k->uid = known ? (int64_t)peer.uid : -1;
    k->pid = known ? peer.pid : 0;
}

/* Not in the list: it is closed again, unless begin_link() takes it. NULL without memory. */
static struct asker *accept_asker(struct answerer *a)
{
    struct asker *k = calloc(1, sizeof *k);
    if (!k)
        return NULL;
    buf_init(&k->in, AGENT_LINE_BYTES);
    buf_init(&k->out, OUT_BYTES_MAX);
    buf_init(&k->writing, OUT_BYTES_MAX);
    must(uv_pipe_init(a->loop, &k->pipe, 0) == 0);
    k->pipe.data = k;
    k->uid = -1;
    if (uv_accept((uv_stream_t *)&a->server, (uv_stream_t *)&k->pipe) == 0)
        note_peer(k);
    return k;
}

static bool begin_link(struct answerer *a, struct asker *k)
{
    struct packet p = {.kind = PACKET_LINK, .u.peer = {k->uid, k->pid, !a->confined}};
    k->answerer = a;
    k->number = (uint64_t)a->options.generation << GENERATION_BITS | ++a->last_number;
    if (tell(k, &p) == 0 && uv_read_start((uv_stream_t *)&k->pipe, on_room, on_read) == 0) {
        k->next = a->askers;
        a->askers = k;
        a->count++;
        return true;
    }
    k->answerer = NULL;
    return false;
}

static void accept_one(struct answerer *a)
{
    struct asker *k = accept_asker(a);
    if (!k)
        return;
    if (!may_speak(k->uid, &a->options))
        log_warning("link", "uid %" PRId64 " may not ask: closed", k->uid);
    else if (a->count >=
             LINKS_MAX) /* the newest goes: a link that works is worth more than one that may not */
        log_warning("link", "too many links: one more was refused");
    else if (begin_link(a, k))
        return;
    close_asker(k);
}

/* What is not accepted waits: libuv asks no more until it is. */
static void on_connection(uv_stream_t *server, int status)
{
    struct answerer *a = server->data;
    if (status != 0)
        return;
    a->waits = !a->ready;
    if (a->ready)
        accept_one(a);
}

/* ---- the collector ---- */

static void take_ready(struct answerer *a)
{
    a->ready = true;
    if (a->options.on_ready && !a->was_ready)
        a->options.on_ready(a->options.context);
    a->was_ready = true;
    if (a->waits)
        accept_one(a);
    a->waits = false;
}

static void forget_fds(struct answerer *a)
{
    if (a->look_fd >= 0)
        close(a->look_fd);
    if (a->history_fd >= 0)
        close(a->history_fd);
    a->look_fd = a->history_fd = -1;
}

static void take_fds(void *context, const int fds[CHANNEL_FDS])
{
    struct answerer *a = context;
    forget_fds(a);
    a->look_fd = fds[0];
    a->history_fd = fds[1];
}

static struct asker *find(struct answerer *a, uint64_t number)
{
    struct asker *k = a->askers;
    while (k && k->number != number)
        k = k->next;
    return k;
}

static void on_packet(void *context, const struct packet *p)
{
    struct answerer *a = context;
    struct asker *k = find(a, p->link);
    const struct packet closed = {.kind = PACKET_CLOSED, .link = p->link};
    if (p->kind == PACKET_READY) {
        take_ready(a);
    } else if (k && p->kind == PACKET_GRANT) {
        grants_take(&k->grants, &p->u.grant);
        k->netns = p->u.grant.caller.netns;
    } else if (p->kind == PACKET_GONE) {
        a->ready = false;
        forget_fds(a);
        close_all(a);
    } else if (k && p->kind == PACKET_LINES) {
        check_queue(k, buf_append(&k->out, p->u.lines.data, p->u.lines.len));
        flush(k);
    } else if (k && p->kind == PACKET_CLOSE) {
        flush(k);
        close_asker(k);
    } else if (p->kind == PACKET_LINES) {
        channel_send(a->channel, &closed);
    }
}

/* ---- begin and end ---- */

struct answerer *answerer_new(uv_loop_t *loop, int take_fd, const struct answerer_options *options)
{
    struct answerer *a = calloc(1, sizeof *a);
    char id[AGENT_NAME_BYTES];
    if (!a) {
        close(take_fd);
        return NULL;
    }
    a->loop = loop;
    a->options = *options;
    a->look_fd = a->history_fd = -1;
    a->channel = channel_new(loop, take_fd, on_packet, a);
    if (!a->channel) {
        free(a);
        return NULL;
    }
    channel_expect_fds(a->channel, take_fds);
    platform_host(a->host, id);
    must(uv_pipe_init(loop, &a->server, 0) == 0 && uv_timer_init(loop, &a->counting) == 0);
    a->server.data = a->counting.data = a;
    return a;
}

int answerer_serve(struct answerer *a, int take_fd, bool confined)
{
    a->confined = confined;
    if (uv_pipe_open(&a->server, take_fd) != 0) {
        close(take_fd);
        return -1;
    }
    return uv_listen((uv_stream_t *)&a->server, BACKLOG, on_connection) == 0 ? 0 : -1;
}

void answerer_stop(struct answerer *a)
{
    if (a->stopping)
        return;
    a->stopping = true;
    close_all(a);
    channel_close(a->channel);
    forget_fds(a);
    uv_close((uv_handle_t *)&a->server, NULL);
    uv_close((uv_handle_t *)&a->counting, NULL);
}

void answerer_free(struct answerer *a)
{
    must(a->stopping && !a->askers);
    free(a);
}
