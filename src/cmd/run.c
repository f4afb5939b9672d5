/* run.c: `exeat run`: agent and proxy together in the foreground, as one thing: both ready or none, and when one ends so does the
 * other. The proxy says that it is ready by NOTIFY_SOCKET, the agent by answering on its socket. */
#include "cmd/child.h"
#include "cmd/cmd.h"
#include "cmd/place.h"
#include "conf/conf.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    READY_WAIT_MS = 15000,
    LOOK_MS = 20,
    AGENT_END_MS = 5000,
    PROXY_END_MS = 10000, /* beside timeouts.drain */
};

static const char help[] =
    "usage: exeat run [--state DIR | --config FILE] [--agent PATH | --no-agent]\n"
    "\n"
    "Starts exeat-agent and exeatd in the foreground, says when both are ready, and ends both when one ends. "
    "Both are\n"
    "looked for beside this program, then in PATH. TERM and Ctrl-C stop them (a second one cuts the flows "
    "that are left),\n"
    "HUP makes the proxy read its configuration again, USR1 open its records' file again.\n"
    "\n"
    "  -s, --state DIR     the state folder; default /var/lib/exeat for root, ./exeat-state for others\n"
    "  -c, --config FILE   this configuration instead of the state folder's exeat.yaml\n"
    "      --agent PATH    this program as the agent\n"
    "      --no-agent      the proxy alone: the agent runs already, or senders stay unknown\n"
    "  -h, --help          this text\n"
    "\n"
    "exit codes: 0 stopped as asked   1 one of the two failed   2 wrong usage or configuration\n"
    "examples: exeat init && exeat run\n"
    "          exeat run --config /etc/exeat/exeat.yaml\n";

struct run {
    char config_file[PLACE_PATH_BYTES];
    const char *agent_program; /* borrowed from argv; NULL: find it */
    bool no_agent;
    struct conf *conf; /* owned */
    struct child agent, proxy;
    int notify_fd; /* owned; -1 */
    char notify_environment[64];
    struct err err;
};

static sigset_t our_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGCHLD);
    return set;
}

/* The next of our signals, or 0 after `ms`. */
static int next_signal(unsigned ms)
{
    sigset_t set = our_signals();
    struct timespec wait = {ms / 1000, (long)(ms % 1000) * 1000000};
    int number = sigtimedwait(&set, NULL, &wait);
    return number > 0 ? number : 0;
}

static bool is_stop(int number)
{
    return number == SIGTERM || number == SIGINT;
}

/* ---- readiness ---- */

/* An abstract address: the proxy may have become another user by the time it writes. Only datagrams of its pid count. */
static int open_notify_socket(struct run *r)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int on = 1,
        len = snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "exeat-run-%ld", (long)getpid());
    r->notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
    if (r->notify_fd < 0 || setsockopt(r->notify_fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0 ||
        bind(r->notify_fd, (struct sockaddr *)&address, size) != 0)
        return err_set(&r->err, NULL, 0, 0, "no socket to hear from exeatd: %s", strerror(errno));
    snprintf(r->notify_environment, sizeof r->notify_environment, "NOTIFY_SOCKET=@exeat-run-%ld",
             (long)getpid());
    return 0;
}

static bool proxy_said_ready(const struct run *r)
{
    char text[256];
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(struct ucred))];
    } control;
    struct iovec view = {text, sizeof text - 1};
    struct msghdr m = {
        .msg_iov = &view, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    for (ssize_t n; (n = recvmsg(r->notify_fd, &m, 0)) >= 0; m.msg_controllen = sizeof control) {
        struct ucred from = {0};
        const struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        if (c && c->cmsg_type == SCM_CREDENTIALS)
            memcpy(&from, CMSG_DATA(c), sizeof from);
        text[n] = '\0';
        if (from.pid == r->proxy.pid && strstr(text, "READY=1"))
            return true;
    }
    return false;
}

static bool agent_answers(const struct run *r)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(r->conf->agent.socket) >= sizeof address.sun_path)
        return false;
    memcpy(address.sun_path, r->conf->agent.socket, strlen(r->conf->agent.socket) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool answers = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0)
        close(fd);
    return answers;
}

/* 0 when ready; -1 when it ended first, took too long (err says which), or we were told to stop (err is empty). */
static int await_ready(struct run *r, struct child *c, bool (*is_ready)(const struct run *))
{
    for (int waited = 0; waited < READY_WAIT_MS; waited += LOOK_MS) {
        if (child_has_ended(c))
            return err_set(&r->err, NULL, 0, 0, "%s %s before it was ready", c->name, child_describe_end(c));
        if (is_ready(r))
            return 0;
        if (is_stop(next_signal(LOOK_MS)))
            return -1;
    }
    return err_set(&r->err, NULL, 0, 0, "%s is not ready after %d seconds", c->name, READY_WAIT_MS / 1000);
}

/* ---- starting ---- */

static int start_agent(struct run *r)
{
    char path[CHILD_PATH_BYTES], socket_flag[] = "--socket", allow_flag[] = "--allow-user",
                                 name[] = "exeat-agent";
    char foreground_flag[] = "--foreground", state_flag[] = "--state", known[CHILD_PATH_BYTES];
    struct conf *c = r->conf;
    if (r->no_agent || !c->agent.socket)
        return 0;
    if (r->agent_program)
        snprintf(path, sizeof path, "%s", r->agent_program);
    else if (child_find_program(name, path, &r->err) != 0)
        return -1;
    bool other_user = geteuid() == 0 && c->process.user;
    size_t folder = (size_t)(strrchr(c->agent.socket, '/') - c->agent.socket); /* the path is absolute */
    snprintf(known, sizeof known, "%.*s/known", (int)folder, c->agent.socket);
    char *argv[] = {name,
                    state_flag,
                    known,
                    foreground_flag,
                    socket_flag,
                    (char *)(uintptr_t)c->agent.socket,
                    other_user ? allow_flag : NULL,
                    (char *)(uintptr_t)c->process.user,
                    NULL};
    if (child_start(&r->agent, path, argv, NULL, &r->err) != 0)
        return -1;
    return await_ready(r, &r->agent, agent_answers);
}

static int start_proxy(struct run *r)
{
    char path[CHILD_PATH_BYTES], config_flag[] = "--config", name[] = "exeatd";
    char *argv[] = {name, config_flag, r->config_file, NULL};
    if (child_find_program(name, path, &r->err) != 0 || open_notify_socket(r) != 0 ||
        child_start(&r->proxy, path, argv, r->notify_environment, &r->err) != 0)
        return -1;
    return await_ready(r, &r->proxy, proxy_said_ready);
}

static void say_ready(const struct run *r)
{
    char text[ENDPOINT_TEXT_BYTES];
    const struct conf_endpoints *plain = &r->conf->listen.addresses, *tls = &r->conf->listen.tls_addresses;
    printf("exeat is ready: proxy at");
    for (size_t i = 0; i < plain->count; i++)
        printf(" %s", endpoint_format(&plain->items[i], text));
    for (size_t i = 0; i < tls->count; i++)
        printf(" %s (TLS)", endpoint_format(&tls->items[i], text));
    printf("%s\nrecords: %s\n", r->agent.pid ? "" : ", without an agent", r->conf->audit.file);
    printf("try:     curl -x http://%s https://example.com/    stop: Ctrl-C\n",
           plain->count ? endpoint_format(&plain->items[0], text) : "PROXY");
    fflush(stdout);
}

/* ---- watching ---- */

/* Passes signals on until one of the two has ended. */
static bool watch(struct run *r)
{
    bool stopping = false;
    while (!child_has_ended(&r->proxy) && (r->agent.pid == 0 || !child_has_ended(&r->agent))) {
        int number = next_signal(1000);
        if (is_stop(number) && !stopping)
            fprintf(stderr, "exeat: stopping (again to cut what is left)\n");
        stopping = stopping || is_stop(number);
        if (number != 0 && number != SIGCHLD)
            child_signal(&r->proxy, number); /* the agent has to answer until the proxy is done */
    }
    return stopping;
}

/* What to answer for the end of both. */
static int conclude(struct run *r, bool asked)
{
    bool proxy_ended = child_has_ended(&r->proxy);
    struct child *dead = proxy_ended ? &r->proxy : &r->agent;
    bool fine = asked && proxy_ended && WIFEXITED(r->proxy.status) && WEXITSTATUS(r->proxy.status) == 0;
    if (!fine)
        fprintf(stderr, "exeat: %s %s; ending the other\n", dead->name, child_describe_end(dead));
    child_end(&r->proxy, (unsigned)r->conf->timeouts.drain_ms + PROXY_END_MS);
    child_end(&r->agent, AGENT_END_MS);
    return fine ? CMD_OK : CMD_FAILED;
}

static int start_and_watch(struct run *r)
{
    sigset_t set = our_signals();
    sigprocmask(SIG_BLOCK, &set, NULL);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (start_agent(r) == 0 && start_proxy(r) == 0) {
        say_ready(r);
        return conclude(r, watch(r));
    }
    bool misconfigured =
        r->proxy.ended && WIFEXITED(r->proxy.status) && WEXITSTATUS(r->proxy.status) == CMD_USAGE;
    child_end(&r->proxy, PROXY_END_MS);
    child_end(&r->agent, AGENT_END_MS);
    if (!r->err.text[0])
        return CMD_OK; /* stopped while starting, as asked */
    return cmd_fail(&r->err, misconfigured ? CMD_USAGE : CMD_FAILED);
}

static int run_configured(struct run *r, bool by_state)
{
    char path[PATH_MAX]; /* absolute: the agent wants its socket's path so */
    if (!realpath(r->config_file, path)) {
        fprintf(stderr, "exeat: %s: %s%s\n", r->config_file, strerror(errno),
                by_state ? "; make one with `exeat init`" : "");
        return CMD_USAGE;
    }
    snprintf(r->config_file, sizeof r->config_file, "%s", path);
    r->conf = conf_load(r->config_file, &r->err);
    if (!r->conf)
        return cmd_fail(&r->err, CMD_USAGE);
    int code = start_and_watch(r);
    conf_free(r->conf);
    if (r->notify_fd >= 0)
        close(r->notify_fd);
    return code;
}

int cmd_run(int argc, char **argv)
{
    static const struct option options[] = {
        {"state", required_argument, NULL, 's'}, {"config", required_argument, NULL, 'c'},
        {"agent", required_argument, NULL, 'a'}, {"no-agent", no_argument, NULL, 'n'},
        {"help", no_argument, NULL, 'h'},        {0}};
    struct run r = {.agent = {.name = "exeat-agent"}, .proxy = {.name = "exeatd"}, .notify_fd = -1};
    const char *state = NULL, *config = NULL;
    optind = 1;
    for (int o; (o = getopt_long(argc, argv, "s:c:h", options, NULL)) != -1;) {
        if (o == 'h')
            return fputs(help, stdout), CMD_OK;
        if (o == 's')
            state = optarg;
        else if (o == 'c')
            config = optarg;
        else if (o == 'a')
            r.agent_program = optarg;
        else if (o == 'n')
            r.no_agent = true;
        else
            return cmd_bad_option("run", argc, argv);
    }
    if (optind < argc)
        return cmd_usage("run", "%s is not understood", argv[optind]);
    if ((state && config) || (r.agent_program && r.no_agent))
        return cmd_usage("run", "%s exclude each other",
                         state && config ? "--state and --config" : "--agent and --no-agent");
    place_config(config, state, r.config_file);
    return run_configured(&r, config == NULL);
}
