/* agent_bench.c: what an answer of the host agent costs, and how often it is right, printed. A program of its own: the agent's core in two
 * children, this process in the proxy's place.
 *   agent_bench [CLIENTS]     short-lived clients in the churn (25000)
 *   agent_bench --no-bpf ...
 *   agent_bench --history ... with what processes did, as the program has it by default
 *   agent_bench ... --warm ... the first measurement only
 *   agent_bench ... --awake ... with something on each core that only runs when nothing else does: a virtual core that sleeps is woken by its
 *                             host, which takes longer than an answer */
#include "../unit/agent_help.h"

#include <dirent.h>
#include <inttypes.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

enum { WARM = 5000, COLD = 300, MAKERS = 2, WATCHED = 400, WATCHED_S = 6, EXECS = 2000 };

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* Nanoseconds that a thread was on a processor: /proc/PID/stat counts in hundredths of a second. */
static uint64_t thread_cpu_ns(pid_t pid, const char *tid)
{
    char path[300];
    uint64_t ns = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", pid, tid);
    FILE *f = fopen(path, "r");
    if (f && fscanf(f, "%" SCNu64, &ns) != 1)
        ns = 0;
    if (f)
        fclose(f);
    return ns;
}

/* CPU time of a process, in microseconds; its resident size in KiB is added. */
static double cpu_us_of(pid_t pid, long *kib)
{
    char path[64];
    uint64_t ns = 0;
    long pages = 0;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    for (struct dirent *e; tasks && (e = readdir(tasks));)
        if (e->d_name[0] != '.')
            ns += thread_cpu_ns(pid, e->d_name);
    if (tasks)
        closedir(tasks);
    snprintf(path, sizeof path, "/proc/%d/statm", pid);
    FILE *f = fopen(path, "r");
    if (f && fscanf(f, "%*d %ld", &pages) == 1)
        *kib += pages * (sysconf(_SC_PAGESIZE) / 1024);
    if (f)
        fclose(f);
    return (double)ns / 1e3;
}

/* Of both processes of the agent together. */
static double agent_cpu_us(long *ret_kib)
{
    *ret_kib = 0;
    return cpu_us_of(agent_pid, ret_kib) + cpu_us_of(answerer_pid, ret_kib);
}

/* How often a process slept until something woke it, so far. Does not depend on what else the machine does. */
static long sleeps_of(pid_t pid)
{
    char path[64], line[128];
    long count = 0;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "voluntary_ctxt_switches: %ld", &count) == 1)
            break;
    if (f)
        fclose(f);
    return count;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_times(const char *what, double *times, size_t count)
{
    qsort(times, count, sizeof *times, compare);
    printf("%-28s p50 %8.1f us   p99 %8.1f us   max %8.1f us   (%zu)\n", what, times[count / 2],
           times[count * 99 / 100], times[count - 1], count);
}

static void know(int accepted)
{
    socklen_t len = sizeof proxy_cookie;
    getsockopt(accepted, SOL_SOCKET, SO_COOKIE, &proxy_cookie, &len);
}

static void measure_warm(struct link *l)
{
    static double times[WARM];
    struct endpoint client;
    long kib, collector = sleeps_of(agent_pid), answerer = sleeps_of(answerer_pid);
    double cpu[2] = {cpu_us_of(agent_pid, &kib), cpu_us_of(answerer_pid, &kib)};
    for (int i = 0; i < WARM; i++) {
        int c = connect_client(), a = accept_client(&client);
        know(a);
        double began = now_us();
        agent_message_free(ask(l, &client, false));
        times[i] = now_us() - began;
        close(c);
        close(a);
    }
    cpu[0] = cpu_us_of(agent_pid, &kib) - cpu[0];
    cpu[1] = cpu_us_of(answerer_pid, &kib) - cpu[1];
    collector = sleeps_of(agent_pid) - collector;
    answerer = sleeps_of(answerer_pid) - answerer;
    print_times("a process seen before", times, WARM);
    printf("%-28s CPU per 1000 connections: answerer %.1f ms, collector %.1f ms; woken %.0f and %.0f times\n",
           "", cpu[1] / WARM, cpu[0] / WARM, (double)answerer * 1000 / WARM, (double)collector * 1000 / WARM);
}

static void measure_cold(struct link *l)
{
    static double times[COLD];
    struct endpoint client;
    for (int i = 0; i < COLD; i++) {
        pid_t child = fork_child(run_connect);
        int a = accept_client(&client);
        know(a);
        double began = now_us();
        agent_message_free(ask(l, &client, false));
        times[i] = now_us() - began;
        end_child(child);
        close(a);
    }
    print_times("a process seen first", times, COLD);
}

/* Makes children that connect, say who they are and are gone. */
static void make_clients(int count)
{
    for (int i = 0; i < count; i++) {
        pid_t child = fork();
        if (child == 0) {
            int fd = connect_client();
            int32_t pid = (int32_t)getpid();
            if (fd >= 0)
                send(fd, &pid, sizeof pid, MSG_NOSIGNAL);
            _exit(0);
        }
        waitpid(child, NULL, 0);
    }
    _exit(0);
}

static void measure_churn(struct link *l, int clients)
{
    struct endpoint client;
    int exact = 0, wrong = 0, ambiguous = 0, unknown = 0;
    long kib;
    double cpu = agent_cpu_us(&kib), began = now_us();
    pid_t makers[MAKERS];
    for (int i = 0; i < MAKERS; i++) {
        makers[i] = fork();
        if (makers[i] == 0)
            make_clients(clients / MAKERS);
    }
    for (int i = 0; i < clients / MAKERS * MAKERS; i++) {
        int32_t pid = 0;
        int a = accept_client(&client);
        know(a);
        struct agent_message *m = ask(l, &client, false);
        if (recv(a, &pid, sizeof pid, MSG_WAITALL) != sizeof pid)
            pid = 0;
        bool named = m->u.answer.sender_ref[0] != 0;
        exact += m->u.answer.confidence == AGENT_CONFIDENCE_EXACT && ref_pid(m) == pid;
        wrong += named && ref_pid(m) != pid;
        ambiguous += m->u.answer.confidence == AGENT_CONFIDENCE_AMBIGUOUS;
        unknown += m->u.answer.confidence == AGENT_CONFIDENCE_UNKNOWN;
        agent_message_free(m);
        close(a);
    }
    double seconds = (now_us() - began) / 1e6;
    cpu = agent_cpu_us(&kib) - cpu;
    for (int i = 0; i < MAKERS; i++)
        waitpid(makers[i], NULL, 0);
    printf("%-28s %d at %.0f/s: exact %d (%.3f %%), wrong %d, ambiguous %d, unknown %d\n",
           "clients that exit at once", clients, clients / seconds, exact, 100.0 * exact / clients, wrong,
           ambiguous, unknown);
    printf("%-28s %.1f ms CPU of the agent per 1000; %ld KiB resident\n", "", cpu / clients, kib);
}

static void send_watch(struct link *l, const struct endpoint *client)
{
    struct buf out;
    struct agent_ask a = {.id = l->next_id++,
                          .nonce = "0123456789abcdef",
                          .client = *client,
                          .proxy = proxy,
                          .watch = true,
                          .age_ms = 0,
                          .proxy_cookie = proxy_cookie};
    buf_init(&out, 1000);
    agent_ask_write(&out, &a);
    send_text(l, (const char *)buf_span(&out).data, buf_len(&out));
    buf_free(&out);
}

/* Connections that live and do nothing: each is looked at every WATCH_ROUND_MS. */
static void measure_watched(struct link *l)
{
    static struct agent_message m;
    struct endpoint client;
    int fds[WATCHED * 2];
    long kib;
    for (int i = 0; i < WATCHED; i++) {
        fds[i * 2] = connect_client();
        fds[i * 2 + 1] = accept_client(&client);
        know(fds[i * 2 + 1]);
        send_watch(l, &client);
        if (receive(l, &m))
            agent_message_free(&m);
    }
    double cpu = agent_cpu_us(&kib);
    sleep(WATCHED_S);
    cpu = agent_cpu_us(&kib) - cpu;
    printf("%-28s %.2f ms CPU of the agent a second for 1000; %ld KiB resident\n",
           "connections that are watched", cpu / 1000 / WATCHED_S / WATCHED * 1000, kib);
    for (int i = 0; i < WATCHED * 2; i++)
        close(fds[i]);
}

/* CPU time of so many executions, in microseconds each. */
static double execs_cpu_us(void)
{
    struct rusage before, after;
    getrusage(RUSAGE_CHILDREN, &before);
    for (int i = 0; i < EXECS; i++) {
        pid_t child = vfork();
        if (child == 0) {
            execl("/bin/true", "true", (char *)NULL);
            _exit(1);
        }
        waitpid(child, NULL, 0);
    }
    getrusage(RUSAGE_CHILDREN, &after);
    double s = (double)(after.ru_utime.tv_sec + after.ru_stime.tv_sec - before.ru_utime.tv_sec -
                        before.ru_stime.tv_sec);
    double us = (double)(after.ru_utime.tv_usec + after.ru_stime.tv_usec - before.ru_utime.tv_usec -
                         before.ru_stime.tv_usec);
    return (s * 1e6 + us) / EXECS;
}

static void measure_all(struct link *l, int clients)
{
    measure_cold(l);
    measure_churn(l, clients);
    measure_watched(l);
}

static bool is_told(int argc, char **argv, const char *option)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], option) == 0)
            return true;
    return false;
}

/* They end with us. */
static void keep_awake(void)
{
    static const struct sched_param none;
    pid_t parent = getpid();
    for (long i = sysconf(_SC_NPROCESSORS_ONLN); i > 0; i--) {
        if (fork() != 0)
            continue;
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent ||
            sched_setscheduler(0, SCHED_IDLE, &none) != 0)
            _exit(1);
        for (;;)
            ;
    }
}

int main(int argc, char **argv)
{
    void *nothing = NULL;
    struct link l;
    int clients = argc > 1 && atoi(argv[argc - 1]) > 0 ? atoi(argv[argc - 1]) : 25000;
    with_bpf = !is_told(argc, argv, "--no-bpf");
    with_history = is_told(argc, argv, "--history");
    quick = brief = true;
    if (is_told(argc, argv, "--awake"))
        keep_awake();
    if (start(&nothing) != 0)
        return 1;
    open_link(&l, true);
    usleep(50000);
    printf("agent by %s\n", agent_owner);
    measure_warm(&l);
    if (is_told(argc, argv, "--warm"))
        return stop(&nothing) == 0 ? 0 : 1;
    measure_all(&l, clients);
    close_link(&l);
    double with = execs_cpu_us();
    int ended = stop(&nothing);
    printf("%-28s %.1f us CPU each with the agent, %.1f us without\n", "programs executed", with,
           execs_cpu_us());
    return ended == 0 ? 0 : 1;
}
