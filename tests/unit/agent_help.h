/* agent_help.h: what the agent's tests share: an agent's core in a process of its own, a proxy's side of its link, and clients that
 * connect. Included by each test program once; static, for each is one file. */
#ifndef EXEAT_TESTS_AGENT_HELP_H
#define EXEAT_TESTS_AGENT_HELP_H

#include "agent/agent.h"
#include "agent/answerer.h"
#include "agent/daemon.h"
#include "wire/agent_message.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <unistd.h>

#include <cmocka.h>

#define HELPER static __attribute__((unused))

enum { ANSWER_WAIT_MS = 20000, NOBODY = 65534 };

static char folder[64] = "/tmp/agent_test_XXXXXX", socket_path[96];
static pid_t agent_pid, answerer_pid; /* agent: the collector */
static int listener;
static int older_client, older_server; /* connected before there was an agent */
static struct endpoint older_endpoint;
static bool with_bpf, with_history; /* set before start() */
static bool quick;                  /* likewise: the answerer may answer by himself */
static _Atomic uint64_t *turns;
static struct endpoint proxy; /* where clients connect */

/* ---- the agent ---- */

HELPER void on_agent_term(uv_signal_t *handle, int number)
{
    (void)number;
    agent_stop(handle->data);
}

HELPER void on_answerer_term(uv_signal_t *handle, int number)
{
    (void)number;
    answerer_stop(handle->data);
}

HELPER void run_until_term(uv_loop_t *loop, uv_signal_cb stop, void *context)
{
    uv_signal_t term;
    uv_signal_init(loop, &term);
    term.data = context;
    uv_unref((uv_handle_t *)&term);
    uv_signal_start(&term, stop, SIGTERM);
    uv_run(loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&term, NULL);
    uv_run(loop, UV_RUN_DEFAULT);
}

/* Loads what needs rights only when a test asks for it. exit(): the leak checker is to look. */
HELPER void run_agent(int pair)
{
    uv_loop_t loop;
    const char *error = "";
    struct agent_options options = {.take_early = platform_early_new(with_bpf), .turns = turns};
    struct history_options history = {.depth = 4, .window_s = 3600, .turns = turns};
    if (with_history)
        platform_early_watch(options.take_early, &history);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (uv_loop_init(&loop) != 0)
        _exit(10);
    struct agent *a = agent_new(&loop, &options, &error);
    if (!a || agent_serve(a, pair) != 0)
        _exit(11);
    run_until_term(&loop, on_agent_term, a);
    agent_free(a);
    exit(uv_loop_close(&loop) == 0 ? 0 : 12);
}

/* Not confined here: what looks for leaks could not do its work. */
HELPER void run_answerer(int fd, int pair)
{
    uv_loop_t loop;
    struct answerer_options options = {.generation = 1, .turns = turns};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    if (uv_loop_init(&loop) != 0)
        _exit(10);
    struct answerer *a = answerer_new(&loop, pair, &options);
    if (!a || answerer_serve(a, fd, true) != 0)
        _exit(11);
    run_until_term(&loop, on_answerer_term, a);
    answerer_free(a);
    exit(uv_loop_close(&loop) == 0 ? 0 : 12);
}

HELPER int start(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    struct err e = {.line = 0};
    int lock, pair[2];
    if (!mkdtemp(folder) || chmod(folder, 0755) != 0)
        return -1;
    snprintf(socket_path, sizeof socket_path, "%s/agent.sock", folder);
    int fd = daemon_bind(socket_path, true, &lock, &e);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(listener, (struct sockaddr *)&address, len) != 0 || listen(listener, 4096) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &len) != 0)
        return -1;
    proxy = (struct endpoint){{4, {127, 0, 0, 1}}, ntohs(address.sin_port)};
    listen(fd, 16); /* clients may come before the agent serves */
    older_client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(older_client, (struct sockaddr *)&address, len) != 0 ||
        getsockname(older_client, (struct sockaddr *)&address, &len) != 0)
        return -1;
    older_endpoint = (struct endpoint){proxy.ip, ntohs(address.sin_port)};
    older_server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return -1;
    if (quick)
        turns = mmap(NULL, sizeof *turns, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    agent_pid = fork();
    answerer_pid = agent_pid > 0 ? fork() : -1;
    if (agent_pid == 0 || answerer_pid == 0) {
        close(listener);
        close(older_client);
        close(older_server);
        close(pair[agent_pid == 0]);
        if (agent_pid == 0)
            run_agent(pair[0]);
        run_answerer(fd, pair[1]);
    }
    close(fd);
    close(pair[0]);
    close(pair[1]);
    return answerer_pid > 0 ? 0 : -1;
}

HELPER int stop(void **state)
{
    (void)state;
    int status = -1, answerer = -1;
    char command[128];
    kill(answerer_pid, SIGTERM);
    waitpid(answerer_pid, &answerer, 0);
    kill(agent_pid, SIGTERM);
    waitpid(agent_pid, &status, 0);
    snprintf(command, sizeof command, "rm -r %s", folder);
    if (system(command) != 0)
        return -1;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 && WIFEXITED(answerer) && WEXITSTATUS(answerer) == 0
               ? 0
               : -1;
}

/* ---- a proxy's side ---- */

static char agent_owner[AGENT_NAME_BYTES]; /* as the last hello said: "bpf", "proc" */

static uint64_t proxy_cookie; /* goes along with asks; 0: not */
static bool brief;            /* likewise */

struct link {
    int fd;
    uint64_t next_id;
    struct buf in;
};

HELPER int connect_agent(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", socket_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

HELPER void send_text(struct link *l, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = send(l->fd, text, len, MSG_NOSIGNAL);
        assert_true(n > 0);
        text += n;
        len -= (size_t)n;
    }
}

/* One message; false at the end of the link. */
HELPER bool receive_any(struct link *l, struct agent_message *ret)
{
    struct span line;
    struct agent_error e;
    size_t used, room;
    while (agent_line_next(buf_span(&l->in), &line, &used) != PARSE_OK) {
        struct pollfd p = {.fd = l->fd, .events = POLLIN};
        assert_int_equal(poll(&p, 1, ANSWER_WAIT_MS), 1);
        uint8_t *at = buf_reserve(&l->in, 16384, &room);
        assert_non_null(at);
        ssize_t n = read(l->fd, at, room);
        if (n <= 0)
            return false;
        buf_commit(&l->in, (size_t)n);
    }
    assert_int_equal(agent_message_decode(line, ret, &e), 0);
    buf_consume(&l->in, used);
    return true;
}

/* The next message that is not about what goes around the proxy: on this host somebody may. */
HELPER bool receive(struct link *l, struct agent_message *ret)
{
    bool any;
    while ((any = receive_any(l, ret)) && ret->type == AGENT_MESSAGE_AROUND)
        ;
    return any;
}

HELPER void open_link(struct link *l, bool greet)
{
    static struct agent_message m;
    static struct agent_hello h = {.program = "test", .program_version = "1"};
    struct buf out;
    *l = (struct link){.fd = connect_agent(), .next_id = 1};
    buf_init(&l->in, 1 << 20);
    assert_true(receive(l, &m));
    assert_int_equal(m.type, AGENT_MESSAGE_HELLO);
    snprintf(agent_owner, sizeof agent_owner, "%s", m.u.hello.owner);
    if (!greet)
        return;
    h.proxies[0] = proxy;
    h.proxies[1] = (struct endpoint){{4, {127, 0, 0, 1}}, 1}; /* nobody listens there */
    h.proxy_count = 2;
    buf_init(&out, 65536);
    assert_int_equal(agent_hello_write(&out, &h), 0);
    send_text(l, (const char *)buf_span(&out).data, buf_len(&out));
    buf_free(&out);
}

HELPER void close_link(struct link *l)
{
    close(l->fd);
    buf_free(&l->in);
}

HELPER void send_ask(struct link *l, const struct endpoint *client, const struct endpoint *end, bool full)
{
    struct buf out;
    struct agent_ask a = {.id = l->next_id++,
                          .nonce = "0123456789abcdef",
                          .client = *client,
                          .proxy = *end,
                          .want_hash = full,
                          .hash_wait_ms = full ? 10000 : 0,
                          .full = full,
                          .brief = brief,
                          .proxy_cookie = proxy_cookie};
    buf_init(&out, 1000);
    assert_int_equal(agent_ask_write(&out, &a), 0);
    send_text(l, (const char *)buf_span(&out).data, buf_len(&out));
    buf_free(&out);
}

/* The answer; its sender is the caller's to drop with agent_message_free(). */
HELPER struct agent_message *ask(struct link *l, const struct endpoint *client, bool full)
{
    static struct agent_message m;
    send_ask(l, client, &proxy, full);
    assert_true(receive(l, &m));
    assert_int_equal(m.type, AGENT_MESSAGE_ANSWER);
    assert_true(m.u.answer.id == l->next_id - 1);
    return &m;
}

HELPER int64_t ref_pid(const struct agent_message *m)
{
    return strtoll(m->u.answer.sender_ref, NULL, 10);
}

/* ---- clients ---- */

HELPER int connect_client(void)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(proxy.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0); /* not CLOEXEC: some exec on purpose */
    return fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0 ? fd : -1;
}

HELPER int accept_client(struct endpoint *ret)
{
    struct sockaddr_in address = {.sin_port = 0};
    socklen_t len = sizeof address;
    struct pollfd p = {.fd = listener, .events = POLLIN};
    assert_int_equal(poll(&p, 1, ANSWER_WAIT_MS), 1);
    int fd = accept4(listener, (struct sockaddr *)&address, &len, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    *ret = (struct endpoint){{4, {127, 0, 0, 1}}, ntohs(address.sin_port)};
    return fd;
}

HELPER pid_t fork_child(void (*run)(void))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        run();
        pause();
        _exit(0);
    }
    return pid;
}

HELPER void end_child(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

HELPER void run_connect(void)
{
    if (connect_client() < 0)
        _exit(1);
}

HELPER void exec_sleep(void)
{
    execl("/bin/sleep", "sleep", "60", (char *)NULL);
    _exit(1);
}

HELPER void wait_byte(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, ANSWER_WAIT_MS), 1);
}

HELPER void wait_for_program(pid_t pid, const char *name)
{
    char path[64], comm[64];
    snprintf(path, sizeof path, "/proc/%d/comm", pid);
    for (int i = 0; i < 1000; i++, usleep(5000)) {
        FILE *f = fopen(path, "r");
        bool same = f && fgets(comm, sizeof comm, f) && strncmp(comm, name, strlen(name)) == 0;
        if (f)
            fclose(f);
        if (same)
            return;
    }
    fail();
}

#endif
