/* server.c: the socket, its clients and their requests. Each client: one request, one answer, closed. Everything about a client
 * has one deadline, one bound on what it sends, and there are at most CLIENTS_MAX of them. See admin.h. */
#include "admin/admin.h"

#include "admin/coverage.h"
#include "admin/recall.h"
#include "admin/selftest.h"
#include "admin/status.h"
#include "base/log.h"
#include "base/must.h"
#include "flow/findings.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    CLIENTS_MAX = 16,
    REQUEST_BYTES = 4096,
    ANSWER_BYTES = 8 * 1024 * 1024,
    ANSWER_WAIT_MS = 2000,      /* for the workers */
    CLIENT_DEADLINE_MS = 10000, /* for the client, in all */
    FLOWS_PRESET = 100,
};

struct client {
    uv_pipe_t pipe;
    uv_timer_t deadline, wait;
    uv_write_t write;
    struct admin *admin;   /* borrowed: closes its clients before it ends */
    struct gather *gather; /* owned; NULL when nothing is asked */
    struct reply *reply;   /* likewise */
    bool used, closing, flows, coverage;
    int handles; /* not yet closed */
    size_t received;
    char request[REQUEST_BYTES];
    struct buf answer;
};

struct admin {
    uv_loop_t loop;
    uv_pipe_t listener;
    uv_async_t wake, stop;
    struct client clients[CLIENTS_MAX];
    struct daemon *daemon; /* borrowed */
    pthread_t thread;
    char path[108];
};

/* ---- a client's end ---- */

static void on_handle_closed(uv_handle_t *handle)
{
    struct client *c = handle->data;
    if (--c->handles == 0)
        c->used = false;
}

static void client_close(struct client *c)
{
    if (!c->used || c->closing)
        return;
    c->closing = true;
    gather_end(c->gather);
    c->gather = NULL;
    reply_end(c->reply);
    c->reply = NULL;
    uv_close((uv_handle_t *)&c->pipe, on_handle_closed);
    uv_close((uv_handle_t *)&c->deadline, on_handle_closed);
    uv_close((uv_handle_t *)&c->wait, on_handle_closed);
}

static void on_deadline(uv_timer_t *timer)
{
    client_close(timer->data);
}

/* ---- answers ---- */

static void on_written(uv_write_t *write, int status)
{
    struct client *c = write->data;
    (void)status;
    buf_free(&c->answer);
    client_close(c);
}

static void send_answer(struct client *c)
{
    struct span all = buf_span(&c->answer);
    uv_buf_t view = uv_buf_init((char *)(uintptr_t)all.data, (unsigned)all.len);
    c->write.data = c;
    uv_read_stop((uv_stream_t *)&c->pipe);
    if (c->answer.failed || uv_write(&c->write, (uv_stream_t *)&c->pipe, &view, 1, on_written) != 0) {
        buf_free(&c->answer);
        client_close(c);
    }
}

static void refuse(struct client *c, const char *status, const char *text)
{
    struct json j;
    buf_printf(&c->answer, "HTTP/1.0 %s\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n",
               status);
    json_init(&j, &c->answer);
    json_object(&j, NULL);
    json_str(&j, "error", text);
    json_end_object(&j);
    buf_append_str(&c->answer, "\n");
    send_answer(c);
}

static void begin_answer(struct client *c)
{
    buf_append_str(&c->answer,
                   "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n"
                   "Connection: close\r\n\r\n");
}

/* With what is there now. Who wakes us after that means another client. */
static void answer(struct client *c)
{
    struct gather *gather = c->gather;
    struct reply *reply = c->reply;
    c->gather = NULL;
    c->reply = NULL;
    uv_timer_stop(&c->wait);
    if (reply && !reply_is_done(reply)) {
        refuse(c, "503 Service Unavailable", "the worker does not answer");
    } else {
        begin_answer(c);
        if (reply)
            reply_write(reply, &c->answer);
        else if (c->coverage)
            coverage_write(c->admin->daemon, gather, &c->answer);
        else if (c->flows)
            status_write_flows(gather, &c->answer);
        else
            status_write(c->admin->daemon, gather, &c->answer);
        send_answer(c);
    }
    reply_end(reply);
    gather_end(gather);
}

static void on_waited(uv_timer_t *timer)
{
    answer(timer->data);
}

static void on_woken(uv_async_t *async)
{
    struct admin *a = async->data;
    for (int i = 0; i < CLIENTS_MAX; i++) {
        struct client *c = &a->clients[i];
        if (!c->used || c->closing)
            continue;
        if ((c->gather && gather_is_complete(c->gather)) || (c->reply && reply_is_done(c->reply)))
            answer(c);
    }
}

/* ---- requests ---- */

static void gather_for(struct client *c, unsigned flows_most)
{
    c->flows = flows_most > 0;
    c->gather = gather_start(c->admin->daemon, flows_most, &c->admin->wake);
    if (!c->gather)
        refuse(c, "503 Service Unavailable", "no memory");
    else if (gather_is_complete(c->gather))
        answer(c); /* all workers have ended: nobody will wake us */
    else
        uv_timer_start(&c->wait, on_waited, ANSWER_WAIT_MS, 0);
}

/* "/flows", "/flows?most=N" with N from 1 on: how many; 0: it is something else. */
static unsigned flows_wanted(const char *target)
{
    static const char flows[] = "/flows", most[] = "/flows?most=";
    if (strcmp(target, flows) == 0)
        return FLOWS_PRESET;
    const char *digits = target + sizeof most - 1;
    if (strncmp(target, most, sizeof most - 1) != 0 || digits[0] < '1' || digits[0] > '9')
        return 0;
    char *end;
    unsigned long n = strtoul(digits, &end, 10);
    return *end ? 0 : n > GATHER_FLOWS_MAX ? GATHER_FLOWS_MAX : (unsigned)n;
}

/* "/findings/UID/acknowledge?by=NAME", ".../close?by=NAME": what somebody says of a finding. Names are of letters, digits and "._@-". */
static void set_finding(struct client *c, const char *target)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@-";
    char uid[33], verb[16], by[64];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int end = 0;
    bool read = sscanf(target, "/findings/%32[0-9a-f]/%15[a-z]?by=%63s%n", uid, verb, by, &end) == 3 &&
                !target[end] && by[strspn(by, allowed)] == '\0';
    bool close = read && strcmp(verb, "close") == 0;
    if (!close && !(read && strcmp(verb, "acknowledge") == 0)) {
        refuse(c, "404 Not Found",
               "there are /findings/ID/acknowledge?by=NAME and /findings/ID/close?by=NAME");
        return;
    }
    if (findings_set_status(daemon_findings(c->admin->daemon), uid,
                            close ? FINDING_RESOLVED : FINDING_IN_PROGRESS, by,
                            (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000) != 0) {
        refuse(c, "404 Not Found", "there is no open finding of that id");
        return;
    }
    begin_answer(c);
    buf_append_str(&c->answer, "{}\n");
    send_answer(c);
}

/* NULL: it could not be asked. */
static void wait_for(struct client *c, struct reply *reply)
{
    c->reply = reply;
    if (!reply)
        refuse(c, "503 Service Unavailable", "no worker can be asked now");
    else
        uv_timer_start(&c->wait, on_waited, ANSWER_WAIT_MS, 0);
}

/* "/history?sender=REF": what the agent knows of that process' lineage by now. */
static void begin_recall(struct client *c, const char *ref)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    if (!ref[0] || strlen(ref) >= AGENT_REF_BYTES || ref[strspn(ref, allowed)])
        refuse(c, "404 Not Found", "there is /history?sender=REF, with the ref that a finding has");
    else
        wait_for(c, recall_begin(c->admin->daemon, ref, &c->admin->wake));
}

static void post_to(struct client *c, const char *target)
{
    if (strcmp(target, "/findings/selftest") == 0)
        wait_for(c, selftest_begin(c->admin->daemon, &c->admin->wake));
    else
        set_finding(c, target);
}

/* The request is a NUL-terminated head, of which only the first line is looked at. */
static void serve(struct client *c)
{
    static const char recall_path[] = "/history?sender=";
    char *target = strchr(c->request, ' '), *line_end = strpbrk(c->request, "\r\n");
    bool get = strncmp(c->request, "GET ", 4) == 0, post = strncmp(c->request, "POST ", 5) == 0;
    if (!get && !post) {
        refuse(c, "405 Method Not Allowed", "GET and POST only");
        return;
    }
    target++;
    *line_end = '\0'; /* there is one: the head is complete */
    char *version = strchr(target, ' ');
    if (!version || (strcmp(version, " HTTP/1.0") != 0 && strcmp(version, " HTTP/1.1") != 0)) {
        refuse(c, "400 Bad Request", "the request line is malformed");
        return;
    }
    *version = '\0';
    unsigned flows = flows_wanted(target);
    c->coverage = strcmp(target, "/coverage") == 0;
    bool recall = strncmp(target, recall_path, sizeof recall_path - 1) == 0;
    bool known = flows > 0 || recall || c->coverage || strcmp(target, "/status") == 0;
    if (post && known)
        refuse(c, "405 Method Not Allowed", "GET only");
    else if (post)
        post_to(c, target);
    else if (recall)
        begin_recall(c, target + sizeof recall_path - 1);
    else if (known)
        gather_for(c, flows);
    else
        refuse(c, "404 Not Found", "there are /status, /coverage, /flows?most=N and /history?sender=REF");
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    struct client *c = handle->data;
    (void)suggested;
    *ret = uv_buf_init(c->request + c->received, (unsigned)(REQUEST_BYTES - 1 - c->received));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *unused)
{
    struct client *c = stream->data;
    (void)unused;
    if (n < 0) { /* its end, or no room: UV_ENOBUFS */
        client_close(c);
        return;
    }
    c->received += (size_t)n;
    c->request[c->received] = '\0';
    if (strstr(c->request, "\r\n\r\n") || strstr(c->request, "\n\n")) {
        uv_read_stop(stream);
        serve(c);
    }
}

static struct client *vacant_client(struct admin *a)
{
    for (int i = 0; i < CLIENTS_MAX; i++)
        if (!a->clients[i].used)
            return &a->clients[i];
    return NULL;
}

static void on_drop_closed(uv_handle_t *handle)
{
    free(handle);
}

/* One too many: libuv can only refuse it by accepting it. */
static void drop_connection(struct admin *a)
{
    uv_pipe_t *pipe = malloc(sizeof *pipe);
    if (!pipe)
        return;
    uv_pipe_init(&a->loop, pipe, 0);
    uv_accept((uv_stream_t *)&a->listener, (uv_stream_t *)pipe);
    uv_close((uv_handle_t *)pipe, on_drop_closed);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct admin *a = listener->data;
    struct client *c = status == 0 ? vacant_client(a) : NULL;
    if (!c) {
        if (status == 0)
            drop_connection(a);
        return;
    }
    memset(c, 0, sizeof *c);
    c->admin = a;
    c->used = true;
    c->handles = 3;
    buf_init(&c->answer, ANSWER_BYTES);
    uv_pipe_init(&a->loop, &c->pipe, 0);
    uv_timer_init(&a->loop, &c->deadline);
    uv_timer_init(&a->loop, &c->wait);
    c->pipe.data = c->deadline.data = c->wait.data = c;
    if (uv_accept(listener, (uv_stream_t *)&c->pipe) != 0 ||
        uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read) != 0)
        client_close(c);
    else
        uv_timer_start(&c->deadline, on_deadline, CLIENT_DEADLINE_MS, 0);
}

/* ---- life ---- */

static void on_stop(uv_async_t *async)
{
    struct admin *a = async->data;
    for (int i = 0; i < CLIENTS_MAX; i++)
        client_close(&a->clients[i]);
    uv_close((uv_handle_t *)&a->listener, NULL);
    uv_close((uv_handle_t *)&a->wake, NULL);
    uv_close((uv_handle_t *)&a->stop, NULL);
}

static void *run(void *argument)
{
    struct admin *a = argument;
    pthread_setname_np(pthread_self(), "admin");
    uv_run(&a->loop, UV_RUN_DEFAULT); /* until on_stop() closed everything */
    return NULL;
}

static int listen_on(struct admin *a, struct err *reterr)
{
    unlink(a->path);
    mode_t old = umask(0117);
    int error = uv_pipe_bind(&a->listener, a->path);
    umask(old);
    if (error == 0)
        error = uv_listen((uv_stream_t *)&a->listener, CLIENTS_MAX, on_connection);
    return error ? err_set(reterr, a->path, 0, 0, "the admin socket cannot be made: %s", uv_strerror(error))
                 : 0;
}

static void end_loop(struct admin *a)
{
    uv_run(&a->loop, UV_RUN_DEFAULT);
    must(uv_loop_close(&a->loop) == 0);
    unlink(a->path);
    free(a);
}

static int start_thread(struct admin *a, struct err *reterr)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = pthread_create(&a->thread, NULL, run, a);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return error ? err_set(reterr, NULL, 0, 0, "the admin thread cannot be started: %s", strerror(error)) : 0;
}

struct admin *admin_start(struct daemon *d, struct err *reterr)
{
    struct admin *a = calloc(1, sizeof *a);
    if (!a || uv_loop_init(&a->loop) != 0) {
        free(a);
        return err_set(reterr, NULL, 0, 0, "no memory for the admin socket"), NULL;
    }
    struct snapshot *s = daemon_snapshot(d);
    const char *path = s->conf->admin.socket;
    bool fits = strlen(path) < sizeof a->path;
    if (fits)
        memcpy(a->path, path, strlen(path) + 1);
    else
        err_set(reterr, path, 0, 0, "admin.socket is longer than a Unix socket's path can be (%zu bytes)",
                sizeof a->path - 1);
    snapshot_unref(s);
    a->daemon = d;
    uv_pipe_init(&a->loop, &a->listener, 0);
    must(uv_async_init(&a->loop, &a->wake, on_woken) == 0 && uv_async_init(&a->loop, &a->stop, on_stop) == 0);
    a->listener.data = a->wake.data = a->stop.data = a;
    if (fits && listen_on(a, reterr) == 0 && start_thread(a, reterr) == 0)
        return a;
    on_stop(&a->stop);
    end_loop(a);
    return NULL;
}

void admin_stop(struct admin *take_a)
{
    if (!take_a)
        return;
    uv_async_send(&take_a->stop);
    pthread_join(take_a->thread, NULL);
    end_loop(take_a);
}
