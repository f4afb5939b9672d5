/* exeat_agent.c: the host agent's main: options, folder and socket, then two processes until TERM, kept by this one (agent/keeper.h): the
 * collector (agent/agent.h) with the rights to look at other processes, the answerer (agent/answerer.h) with none. See
 * include/exeat/agent_protocol.h for what it says. Exit: 0 ended by a signal, 1 could not start, 2 usage. */
#include "agent/agent.h"
#include "agent/answerer.h"
#include "agent/daemon.h"
#include "agent/keeper.h"
#include "agent/linux/confine.h"
#include "base/log.h"
#include "base/must.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static const char help[] =
    "exeat-agent: tells a local Exeat proxy which process is behind a connection\n"
    "\n"
    "usage: exeat-agent [--socket PATH] [--allow-user NAME]... [--user NAME] [--no-bpf] [--programs FILE]\n"
    "                   [--state FOLDER] [--keys off|seen|all]\n"
    "                   [--foreground]\n"
    "                   [--window SECONDS] [--depth N] [--watch CLASS=GLOB]... [--no-default-watches] "
    "[--no-history]\n"
    "\n"
    "  --socket PATH      where the proxy connects (default " AGENT_SOCKET_DEFAULT ");\n"
    "                     its folder is made (0750), or must be writable by nobody else\n"
    "  --allow-user NAME  this user may ask, beside root and the agent's own (several times);\n"
    "                     the first one's group may enter the folder\n"
    "  --user NAME        become this user before listening. Whoever it is, of root's rights the process\n"
    "                     that looks at others keeps CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH only, and\n"
    "                     the one that listens none (CAP_BPF and CAP_PERFMON are needed at the start);\n"
    "                     CAP_SYS_ADMIN is kept by one that can only watch what is mounted later\n"
    "  --no-bpf           do not have the kernel write down who connects: the answer then is\n"
    "                     who holds the connection now, and fewer can be told\n"
    "  --programs FILE    what is known of programs (browsers, those that make code while they run)\n"
    "                     instead of what is built in: policy/agent/programs.yaml\n"
    "\n"
    "  What processes did lately goes along with the answer (root's rights at the start are needed):\n"
    "  --window SECONDS   remember that long (default 3600)\n"
    "  --depth N          what a process does counts for those that started it, so many steps up,\n"
    "                     below the session's leader (0 to 8, default 4)\n"
    "  --watch CLASS=GLOB note who opens these files; two stars behind the last slash: everything below\n"
    "                     (several times; they come before the defaults: keys, browser profiles,\n"
    "                     cloud credentials, /etc/shadow, documents)\n"
    "  --no-default-watches\n"
    "  --state FOLDER     keep there how often programs ran and connected, and since when they and\n"
    "                     the jobs behind them are known here (default: nowhere)\n"
    "  --keys off|seen|all  watch who uses ciphers and key pairs outside TLS: nobody (the default),\n"
    "                     programs that were seen at the proxy, everybody (some microseconds a call)\n"
    "  --no-history       remember nothing\n"
    "\n"
    "  --foreground       stay in the foreground (otherwise: return when it serves)\n"
    "  --debug            log more\n"
    "  --version, --help\n"
    "\n"
    "Without root it sees the processes of its own user only, and says so.\n"
    "\n"
    "examples:\n"
    "  exeat-agent --user exeat-agent --allow-user exeat --foreground     # by systemd\n"
    "  exeat-agent --socket /tmp/me/agent.sock --foreground               # for oneself\n"
    "\n"
    "exit status: 0 ended by TERM or INT, 1 could not start, 2 wrong usage\n";

enum { NOFILE_WANTED = 8192, WATCHES_MAX = 64, WINDOW_MAX_S = 7 * 24 * 3600, DEPTH_MAX = 8 };

struct program {
    const char *socket_path, *user, *programs_path;
    const char *first_allowed;
    struct agent_options collector;
    struct answerer_options answerer;
    struct history_options history;
    const char *watches[WATCHES_MAX];
    bool foreground, debug, no_bpf, no_history;
    _Atomic uint64_t *turns;          /* shared by both processes (platform.h); NULL: no memory for it */
    struct daemon_user self;          /* who we are to be */
    int socket_fd, lock_fd, ready_fd; /* ready: of the parent that waits; -1 */
};

enum {
    OPT_SOCKET = 's',
    OPT_ALLOW = 'a',
    OPT_USER = 'u',
    OPT_NO_BPF = 'b',
    OPT_WINDOW = 'w',
    OPT_DEPTH = 'p',
    OPT_WATCH = 'W',
    OPT_NO_WATCHES = 'N',
    OPT_NO_HISTORY = 'H',
    OPT_KEYS = 'K',
    OPT_PROGRAMS = 'P',
    OPT_STATE = 'S',
    OPT_FOREGROUND = 'f',
    OPT_DEBUG = 'd',
    OPT_VERSION = 'V',
    OPT_HELP = 'h'
};

static const struct option options[] = {
    {"socket", required_argument, NULL, OPT_SOCKET},
    {"allow-user", required_argument, NULL, OPT_ALLOW},
    {"user", required_argument, NULL, OPT_USER},
    {"foreground", no_argument, NULL, OPT_FOREGROUND},
    {"no-bpf", no_argument, NULL, OPT_NO_BPF},
    {"programs", required_argument, NULL, OPT_PROGRAMS},
    {"window", required_argument, NULL, OPT_WINDOW},
    {"depth", required_argument, NULL, OPT_DEPTH},
    {"watch", required_argument, NULL, OPT_WATCH},
    {"no-default-watches", no_argument, NULL, OPT_NO_WATCHES},
    {"no-history", no_argument, NULL, OPT_NO_HISTORY},
    {"state", required_argument, NULL, OPT_STATE},
    {"keys", required_argument, NULL, OPT_KEYS},
    {"debug", no_argument, NULL, OPT_DEBUG},
    {"version", no_argument, NULL, OPT_VERSION},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static int fail(const struct err *e)
{
    char text[1024];
    fprintf(stderr, "exeat-agent: %s\n", err_format(e, text, sizeof text));
    return 1;
}

static int add_allowed(struct program *p, const char *name)
{
    struct daemon_user user;
    struct err e = {.line = 0};
    if (daemon_find_user(name, &user, &e) != 0)
        return fail(&e);
    if (p->answerer.allowed_count == ANSWERER_ALLOWED_MAX) {
        fprintf(stderr, "exeat-agent: at most %d users can be allowed\n", ANSWERER_ALLOWED_MAX);
        return 2;
    }
    p->answerer.allowed_uids[p->answerer.allowed_count++] = (int64_t)user.uid;
    if (!p->first_allowed)
        p->first_allowed = name;
    return -1;
}

static int take_number(const char *what, unsigned most, unsigned *ret)
{
    char *end;
    unsigned long n = strtoul(optarg, &end, 10);
    if (optarg[0] < '0' || optarg[0] > '9' || *end || n > most) {
        fprintf(stderr, "exeat-agent: %s: \"%s\" is no number from 0 to %u\n", what, optarg, most);
        return 2;
    }
    *ret = (unsigned)n;
    return -1;
}

static int add_watch(struct program *p)
{
    const char *sign = strchr(optarg, '=');
    if (!sign || sign == optarg || sign[1] != '/' || p->history.watch_count == WATCHES_MAX) {
        fprintf(stderr, "exeat-agent: --watch: CLASS=GLOB with an absolute path, at most %d times\n",
                WATCHES_MAX);
        return 2;
    }
    p->watches[p->history.watch_count++] = optarg;
    return -1;
}

static int take_keys(struct program *p)
{
    static const char *const words[] = {
        [HISTORY_KEYS_OFF] = "off", [HISTORY_KEYS_SEEN] = "seen", [HISTORY_KEYS_ALL] = "all"};
    for (enum history_keys i = HISTORY_KEYS_OFF; i <= HISTORY_KEYS_ALL; i++) {
        if (strcmp(optarg, words[i]) == 0) {
            p->history.keys = i;
            return -1;
        }
    }
    fprintf(stderr, "exeat-agent: --keys: off, seen or all\n");
    return 2;
}

static int take_history_option(struct program *p, int option)
{
    switch (option) {
    case OPT_WINDOW:
        return take_number("--window", WINDOW_MAX_S, &p->history.window_s);
    case OPT_DEPTH:
        return take_number("--depth", DEPTH_MAX, &p->history.depth);
    case OPT_WATCH:
        return add_watch(p);
    case OPT_NO_WATCHES:
        p->history.no_default_watches = true;
        return -1;
    case OPT_KEYS:
        return take_keys(p);
    case OPT_STATE:
        p->history.state_folder = optarg;
        return -1;
    case OPT_NO_HISTORY:
        p->no_history = true;
        return -1;
    default:
        fputs("exeat-agent: try --help\n", stderr);
        return 2;
    }
}

/* -1 to go on, else the exit status. */
static int take_option(struct program *p, int option)
{
    switch (option) {
    case OPT_SOCKET:
        p->socket_path = optarg;
        return -1;
    case OPT_ALLOW:
        return add_allowed(p, optarg);
    case OPT_USER:
        p->user = optarg;
        return -1;
    case OPT_NO_BPF:
        p->no_bpf = true;
        return -1;
    case OPT_PROGRAMS:
        p->programs_path = optarg;
        return -1;
    case OPT_FOREGROUND:
        p->foreground = true;
        return -1;
    case OPT_DEBUG:
        p->debug = true;
        return -1;
    case OPT_VERSION:
        puts("exeat-agent " EXEAT_VERSION);
        return 0;
    case OPT_HELP:
        fputs(help, stdout);
        return 0;
    default:
        return take_history_option(p, option);
    }
}

/* Runs the loop until a signal, which `stop` answers: then everything is closed and the loop runs dry. The signals' handles must not
 * keep it alive. */
static void run_until_signal(uv_loop_t *loop, uv_signal_cb stop, void *context)
{
    uv_signal_t term, interrupt;
    uv_signal_init(loop, &term);
    uv_signal_init(loop, &interrupt);
    term.data = interrupt.data = context;
    uv_unref((uv_handle_t *)&term);
    uv_unref((uv_handle_t *)&interrupt);
    uv_signal_start(&term, stop, SIGTERM);
    uv_signal_start(&interrupt, stop, SIGINT);
    uv_run(loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&term, NULL);
    uv_close((uv_handle_t *)&interrupt, NULL);
    uv_run(loop, UV_RUN_DEFAULT);
}

/* ---- the collector ---- */

static void stop_collector(uv_signal_t *handle, int number)
{
    log_notice("agent", "ending: signal %d", number);
    agent_stop(handle->data);
}

static int collect(struct program *p, int take_fd)
{
    uv_loop_t loop;
    const char *error = "libuv's loop cannot be made";
    struct agent *a = uv_loop_init(&loop) == 0 ? agent_new(&loop, &p->collector, &error) : NULL;
    if (!a || agent_serve(a, take_fd) != 0) {
        fprintf(stderr, "exeat-agent: %s\n", error);
        return 1;
    }
    run_until_signal(&loop, stop_collector, a);
    agent_free(a);
    return uv_loop_close(&loop) == 0 ? 0 : 1;
}

static void close_files(struct program *p)
{
    close(p->lock_fd);
    if (p->ready_fd >= 0)
        close(p->ready_fd);
}

/* What needs rights is had first, then they are given up. */
static int run_collector(void *context, int take_fd, uint32_t generation)
{
    struct program *p = context;
    struct err e = {.line = 0};
    close_files(p);
    close(p->socket_fd);
    p->collector.take_early = platform_early_new(!p->no_bpf);
    p->history.watches = p->watches;
    p->history.no_bpf = p->no_bpf;
    p->history.restarts = generation;
    p->history.turns = p->collector.turns = p->turns;
    if (!p->no_history)
        platform_early_watch(p->collector.take_early, &p->history);
    bool fine = daemon_drop_privileges(p->user, &p->self, true, &e) == 0;
    keeper_end_together();
    if (fine && p->history.state_folder)
        fine = (p->collector.take_seen = seen_open(p->history.state_folder, &e)) != NULL;
    if (fine)
        return collect(p, take_fd);
    platform_early_free(p->collector.take_early);
    return fail(&e);
}

/* ---- the answerer ---- */

static void stop_answerer(uv_signal_t *handle, int number)
{
    (void)number;
    answerer_stop(handle->data);
}

static void on_ready(void *context)
{
    struct program *p = context;
    log_notice("agent", "serving %s", p->socket_path);
    if (p->ready_fd >= 0 && write(p->ready_fd, "r", 1) == 1)
        close(p->ready_fd);
    p->ready_fd = -1;
}

/* Everything that needs a right or a file comes before confine_answerer(). */
static int run_answerer(void *context, int take_fd, uint32_t generation)
{
    struct program *p = context;
    struct err e = {.line = 0};
    uv_loop_t loop;
    uv_signal_t none;
    close(p->lock_fd);
    if (daemon_drop_privileges(p->user, &p->self, false, &e) != 0)
        return fail(&e);
    keeper_end_together();
    p->answerer.generation = generation;
    p->answerer.turns = p->turns;
    p->answerer.on_ready = on_ready;
    p->answerer.context = p;
    if (uv_loop_init(&loop) != 0 || uv_signal_init(&loop, &none) != 0)
        return 1;
    struct answerer *a = answerer_new(&loop, take_fd, &p->answerer);
    bool confined = confine_answerer() == 0;
    if (!confined)
        log_warning("agent", "the answerer cannot be confined: %s", strerror(errno));
    if (!a || answerer_serve(a, p->socket_fd, confined) != 0) {
        fputs("exeat-agent: the socket cannot be listened on\n", stderr);
        _exit(1);
    }
    run_until_signal(&loop, stop_answerer, a);
    answerer_free(a);
    _exit(0); /* what looks for leaks at exit() would ask for more than it may */
}

/* ---- the keeper ---- */

/* The parent waits until the child serves, so that who started us knows. Returns in the child only. */
static void detach(struct program *p)
{
    int ends[2];
    char byte;
    if (pipe(ends) != 0)
        exit(1);
    pid_t child = fork();
    if (child < 0)
        exit(1);
    if (child > 0) {
        close(ends[1]);
        exit(read(ends[0], &byte, 1) == 1 ? 0 : 1);
    }
    close(ends[0]);
    p->ready_fd = ends[1];
    setsid();
}

/* Another file than the one that is built in. */
static int read_programs(struct program *p, struct err *reterr)
{
    char *text = NULL;
    size_t len = 0;
    FILE *in = fopen(p->programs_path, "re");
    ssize_t n = in ? getdelim(&text, &len, 0, in) : -1; /* text files have no NUL */
    if (in)
        fclose(in);
    if (n < 0)
        err_set(reterr, p->programs_path, 0, 0, "cannot be read: %s", strerror(errno));
    else
        p->collector.take_programs = programs_parse(span_of(text, (size_t)n), p->programs_path, reterr);
    free(text);
    return p->collector.take_programs ? 0 : -1;
}

/* Its files are the user's that the agent becomes. */
static int bind_as_user(struct program *p, struct err *reterr)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    if (daemon_borrow_user(&p->self, reterr) != 0)
        return -1;
    p->socket_fd = daemon_bind(p->socket_path, p->first_allowed != NULL, &p->lock_fd, reterr);
    daemon_give_back_user(uid, gid);
    return p->socket_fd < 0 ? -1 : 0;
}

static int keep(struct program *p)
{
    static const struct keeper_part parts[KEEPER_PARTS] = {
        [KEEPER_COLLECTOR] = {"exeat-collector", run_collector, PACKET_GONE},
        [KEEPER_ANSWERER] = {"exeat-answerer", run_answerer, PACKET_RESET}};
    void *shared = mmap(NULL, sizeof *p->turns, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    p->turns = shared == MAP_FAILED ? NULL : shared;
    int status = keeper_keep(parts, p);
    uid_t uid = geteuid();
    gid_t gid = getegid();
    struct err e = {.line = 0};
    must(p->socket_path); /* daemon_bind() needed it */
    if (daemon_borrow_user(&p->self, &e) == 0) {
        unlink(p->socket_path);
        daemon_give_back_user(uid, gid);
    }
    close(p->socket_fd);
    close(p->lock_fd);
    return status;
}

static int prepare(struct program *p, struct err *reterr)
{
    struct daemon_user allowed;
    gid_t group = (gid_t)-1;
    p->self = (struct daemon_user){geteuid(), getegid()};
    if (p->user && daemon_find_user(p->user, &p->self, reterr) != 0)
        return -1;
    if (p->first_allowed && daemon_find_user(p->first_allowed, &allowed, reterr) == 0)
        group = allowed.gid;
    const char *state = p->history.state_folder;
    if (state && daemon_make_state(state, p->self.uid, p->self.gid, reterr) != 0)
        return -1;
    if (daemon_make_folder(p->socket_path, p->self.uid, group == (gid_t)-1 ? p->self.gid : group, reterr) !=
        0)
        return -1;
    return bind_as_user(p, reterr);
}

static int prepare_and_keep(struct program *p)
{
    struct err e = {.line = 0};
    if (p->programs_path && read_programs(p, &e) != 0)
        return fail(&e);
    int status = prepare(p, &e) == 0 ? keep(p) : fail(&e);
    programs_free(p->collector.take_programs);
    return status;
}

int main(int argc, char **argv)
{
    struct program p = {
        .socket_path = AGENT_SOCKET_DEFAULT, .history = {.depth = 4, .window_s = 3600}, .ready_fd = -1};
    int option, status;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1)
        if ((status = take_option(&p, option)) >= 0)
            return status;
    if (optind < argc) {
        fprintf(stderr, "exeat-agent: what is \"%s\"? Try --help\n", argv[optind]);
        return 2;
    }
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < NOFILE_WANTED) {
        files.rlim_cur = files.rlim_max < NOFILE_WANTED ? files.rlim_max : NOFILE_WANTED;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    signal(SIGPIPE, SIG_IGN);
    log_init("exeat-agent", p.debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
    if (!p.foreground)
        detach(&p);
    return prepare_and_keep(&p);
}
