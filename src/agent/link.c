/* link.c: see link.h. */
#include "agent/link.h"

#include "base/log.h"
#include "base/must.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    OUT_BYTES_MAX = 1024 * 1024, /* answers not read yet: then the link is closed */
    READ_BYTES = 16 * 1024,
    SENT_MAX = 1024 /* senders remembered as sent, by serial */
};

struct sent {
    uint64_t serial; /* 0: none */
    unsigned revision;
    uint64_t history_ms,
        signature; /* when its history went over last (0: not yet), and what kinds were in it */
};

struct agent_link {
    struct agent_link *next; /* owned by the agent's list */
    struct agent *agent;     /* borrowed until closed; NULL then */
    uv_pipe_t pipe;
    uv_write_t write;
    int64_t peer_uid, peer_pid;
    struct buf in, out, writing;
    bool is_writing, greeted, closing;
    unsigned bad_lines;
    struct endpoint proxies[AGENT_PROXIES_MAX];
    size_t proxy_count;
    struct sent sent[SENT_MAX];
};

int64_t link_peer_uid(const struct agent_link *link)
{
    return link->peer_uid;
}

int64_t link_peer_pid(const struct agent_link *link)
{
    return link->peer_pid;
}

struct agent_link *link_next(const struct agent_link *link)
{
    return link->next;
}

void link_unlist(struct agent_link **list, struct agent_link *link)
{
    while (*list && *list != link)
        list = &(*list)->next;
    if (*list)
        *list = link->next;
}

static void on_closed(uv_handle_t *handle)
{
    struct agent_link *link = handle->data;
    buf_free(&link->in);
    buf_free(&link->out);
    buf_free(&link->writing);
    free(link);
}

void link_close(struct agent_link *link)
{
    if (link->closing)
        return;
    link->closing = true;
    if (link->agent)
        agent_forget_link(link->agent, link);
    link->agent = NULL;
    uv_close((uv_handle_t *)&link->pipe, on_closed);
}

/* ---- out ---- */

static void on_written(uv_write_t *write, int status)
{
    struct agent_link *link = write->data;
    link->is_writing = false;
    buf_clear(&link->writing);
    if (status < 0)
        link_close(link);
    else
        link_flush(link);
}

void link_flush(struct agent_link *link)
{
    struct span text = buf_span(&link->out);
    if (link->closing || link->is_writing || text.len == 0)
        return;
    uv_buf_t block = uv_buf_init((char *)(uintptr_t)text.data, (unsigned)text.len);
    int n = uv_try_write((uv_stream_t *)&link->pipe, &block, 1);
    if (n < 0 && n != UV_EAGAIN) {
        link_close(link);
        return;
    }
    buf_consume(&link->out, n > 0 ? (size_t)n : 0);
    text = buf_span(&link->out);
    if (text.len == 0)
        return;
    struct buf rest = link->out; /* the two change places: what is being written must not move */
    link->out = link->writing;
    link->writing = rest;
    block = uv_buf_init((char *)(uintptr_t)text.data, (unsigned)text.len);
    link->write.data = link;
    link->is_writing = true;
    if (uv_write(&link->write, (uv_stream_t *)&link->pipe, &block, 1, on_written) != 0) {
        link->is_writing = false;
        link_close(link);
    }
}

static void check_queue(struct agent_link *link, int appended)
{
    if (appended == 0)
        return;
    log_warning("link", "uid %" PRId64 " does not read its answers: closed", link->peer_uid);
    link_close(link);
}

static void add_sender(struct agent_link *link, struct agent_answer *answer, const struct process *process,
                       bool full)
{
    answer->sender = NULL;
    if (!process)
        return;
    struct sent *sent = &link->sent[process->serial % SENT_MAX];
    bool known = sent->serial == process->serial && sent->revision == process->revision;
    snprintf(answer->sender_ref, sizeof answer->sender_ref, "%s", process->sender->ref);
    answer->sender = known && !full ? NULL : process->sender;
    if (sent->serial != process->serial || full)
        sent->history_ms = 0;
    sent->serial = process->serial;
    sent->revision = process->revision;
}

/* A program that connects a thousand times a second did nothing new in between: its history goes over once a second, and at
 * once when there is something of another kind in it. */
static void shorten_history(struct agent_link *link, struct agent_answer *answer,
                            const struct process *process)
{
    struct sent *sent = &link->sent[process->serial % SENT_MAX];
    uint64_t now_ms = uv_now(link->pipe.loop) + 1, signature = agent_history_signature(answer->history);
    answer->history_same = !answer->sender && sent->history_ms && sent->signature == signature &&
                           now_ms - sent->history_ms < AGENT_HISTORY_SAME_MS;
    if (answer->history_same)
        return;
    sent->history_ms = now_ms;
    sent->signature = signature;
}

void link_answer(struct agent_link *link, struct agent_answer *answer, const struct process *process,
                 bool full, bool brief)
{
    if (link->closing)
        return;
    add_sender(link, answer, process, full);
    if (brief && process && answer->history)
        shorten_history(link, answer, process);
    check_queue(link, agent_answer_write(&link->out, answer));
}

void link_changed(struct agent_link *link, struct agent_answer *changed, const struct process *process)
{
    if (link->closing)
        return;
    add_sender(link, changed, process, false);
    check_queue(link, agent_changed_write(&link->out, changed));
}

void link_around(struct agent_link *link, const struct agent_around *around)
{
    if (!link->closing)
        check_queue(link, agent_around_message_write(&link->out, around));
}

static void send_error(struct agent_link *link, const struct agent_error *e)
{
    check_queue(link, agent_error_write(&link->out, e));
    if (++link->bad_lines <= AGENT_BAD_LINES_MAX || link->closing)
        return;
    log_warning("link", "uid %" PRId64 " sends what cannot be understood: closed", link->peer_uid);
    link_close(link);
}

/* ---- in ---- */

static bool is_any(const struct ip *ip)
{
    static const uint8_t zero[16];
    return memcmp(ip->bytes, zero, sizeof zero) == 0;
}

/* "[::]:3128" stands for IPv4 too: a listener for both is one socket. */
static bool is_listener(const struct agent_link *link, const struct endpoint *proxy)
{
    for (size_t i = 0; i < link->proxy_count; i++) {
        const struct endpoint *p = &link->proxies[i];
        if (p->port == proxy->port && (ip_equal(&p->ip, &proxy->ip) || is_any(&p->ip)))
            return true;
    }
    return false;
}

static void take_ask(struct agent_link *link, const struct agent_ask *ask)
{
    if (!link->greeted) {
        struct agent_error e = {
            .has_id = true, .id = ask->id, .code = AGENT_ERROR_NO_HELLO, .text = "hello first"};
        send_error(link, &e);
    } else if (!is_listener(link, &ask->proxy)) {
        struct agent_answer answer = {.id = ask->id, .reason = AGENT_REASON_NOT_OURS};
        memcpy(answer.nonce, ask->nonce, sizeof answer.nonce);
        memcpy(answer.host, agent_hello(link->agent)->host_name, sizeof answer.host);
        link_answer(link, &answer, NULL, false, false);
    } else {
        agent_take_ask(link->agent, link, ask);
    }
}

static void take_line(struct agent_link *link, struct span line)
{
    struct agent_message m;
    struct agent_error e;
    if (agent_message_decode(line, &m, &e) != 0) {
        send_error(link, &e);
        return;
    }
    if (m.type == AGENT_MESSAGE_ASK) {
        take_ask(link, &m.u.ask);
    } else if (m.type == AGENT_MESSAGE_HELLO) {
        link->greeted = true;
        link->proxy_count = m.u.hello.proxy_count;
        memcpy(link->proxies, m.u.hello.proxies, sizeof link->proxies);
        for (size_t i = 0; i < link->proxy_count; i++)
            agent_expect(link->agent, &link->proxies[i]);
    } else if (m.type == AGENT_MESSAGE_DONE) {
        agent_take_done(link->agent, link, m.u.done);
    } else if (m.type == AGENT_MESSAGE_ANSWER || m.type == AGENT_MESSAGE_CHANGED) {
        e = (struct agent_error){.code = AGENT_ERROR_UNKNOWN_TYPE, .text = "an agent takes no answers"};
        send_error(link, &e);
    }
    agent_message_free(&m);
}

static void take_lines(struct agent_link *link)
{
    struct span line;
    size_t used;
    enum parse parse = PARSE_OK;
    while (!link->closing && (parse = agent_line_next(buf_span(&link->in), &line, &used)) == PARSE_OK) {
        take_line(link, line);
        buf_consume(&link->in, used);
    }
    if (parse == PARSE_BAD && !link->closing) {
        log_warning("link", "uid %" PRId64 " sent a line that is too long: closed", link->peer_uid);
        link_close(link);
    }
    link_flush(link);
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    struct agent_link *link = handle->data;
    size_t room = 0;
    (void)suggested;
    uint8_t *at = buf_reserve(&link->in, READ_BYTES, &room);
    *ret = uv_buf_init((char *)at, (unsigned)(at ? room : 0));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *block)
{
    struct agent_link *link = stream->data;
    (void)block;
    if (n > 0) {
        buf_commit(&link->in, (size_t)n);
        take_lines(link);
    } else if (n < 0) {
        link_close(link);
    }
}

/* ---- begin ---- */

static bool may_speak(int64_t uid, const struct agent_options *options)
{
    if (uid == 0 || uid == (int64_t)geteuid())
        return true;
    for (size_t i = 0; i < options->allowed_count; i++)
        if (options->allowed_uids[i] == uid)
            return true;
    return false;
}

/* Notes who is at the other end, as the kernel did when it connected; uid -1 when it can't be told. */
static void note_peer(struct agent_link *link)
{
    uv_os_fd_t fd;
    struct ucred peer;
    socklen_t len = sizeof peer;
    bool known = uv_fileno((uv_handle_t *)&link->pipe, &fd) == 0 &&
                 getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0;
    link->peer_uid = known ? (int64_t)peer.uid : -1;
    link->peer_pid = known ? peer.pid : 0;
}

static struct agent_link *link_new(struct agent *a, uv_loop_t *loop)
{
    struct agent_link *link = calloc(1, sizeof *link);
    if (!link)
        return NULL;
    link->agent = a;
    buf_init(&link->in, AGENT_LINE_BYTES);
    buf_init(&link->out, OUT_BYTES_MAX);
    buf_init(&link->writing, OUT_BYTES_MAX);
    must(uv_pipe_init(loop, &link->pipe, 0) == 0);
    link->pipe.data = link;
    return link;
}

struct agent_link *link_accept(struct agent *a, uv_stream_t *server, const struct agent_options *options,
                               struct agent_link *next)
{
    struct agent_link *link = link_new(a, server->loop);
    if (!link)
        return NULL;
    bool accepted = uv_accept(server, (uv_stream_t *)&link->pipe) == 0;
    link->peer_uid = -1;
    if (accepted)
        note_peer(link);
    if (accepted && !may_speak(link->peer_uid, options))
        log_warning("link", "uid %" PRId64 " may not ask: closed", link->peer_uid);
    else if (accepted && agent_hello_write(&link->out, agent_hello_now(a)) == 0 &&
             uv_read_start((uv_stream_t *)&link->pipe, on_room, on_read) == 0) {
        link->next = next;
        return link; /* the core flushes, once it is in its list */
    }
    link->agent = NULL;
    link_close(link);
    return NULL;
}
