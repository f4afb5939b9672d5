/* agent_connect_test.c: the agent with BPF, against real processes: who called connect(), also when he is gone, is another program
 * by now, or gave the socket away; and what others could do to be taken for him. Skipped where BPF is not permitted. */
#include "agent_help.h"

#include "agent/linux/owner_record.h"

#include <linux/io_uring.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { CHURN = 3000, CHURN_AT_ONCE = 16 };

static void need_bpf(struct link *l)
{
    proxy_cookie = 0;
    open_link(l, true);
    usleep(20000); /* until it has read the hello, and so watches the port */
    if (strcmp(agent_owner, "bpf") != 0) {
        close_link(l);
        print_message("BPF is not permitted here\n");
        skip();
    }
}

static char own_executable[4096];

/* As a proxy does, which knows the socket that it accepted. */
static int accept_known(struct endpoint *ret)
{
    int a = accept_client(ret);
    socklen_t len = sizeof proxy_cookie;
    assert_int_equal(getsockopt(a, SOL_SOCKET, SO_COOKIE, &proxy_cookie, &len), 0);
    return a;
}

static void check_sender(const struct agent_message *m, int64_t pid, const char *executable)
{
    const struct sender *s = m->u.answer.sender;
    assert_int_equal(m->u.answer.basis, AGENT_BASIS_CONNECT);
    assert_int_equal(ref_pid(m), pid);
    assert_non_null(s);
    assert_int_equal(s->pid, pid);
    assert_non_null(s->executable);
    assert_string_equal(s->executable, executable);
}

static void check_exact(const struct agent_message *m, int64_t pid, const char *executable)
{
    assert_int_equal(m->u.answer.reason, AGENT_REASON_NONE);
    assert_int_equal(m->u.answer.confidence, AGENT_CONFIDENCE_EXACT);
    assert_int_equal(m->u.answer.connect.exec_changed, 0);
    assert_int_equal(m->u.answer.connect.handed_over, 0);
    check_sender(m, pid, executable);
}

/* ---- who ---- */

static void own_process_is_exact(void **state)
{
    (void)state;
    struct link l;
    struct endpoint client;
    need_bpf(&l);
    int c = connect_client(), a = accept_known(&client);
    struct agent_message *m = ask(&l, &client, true);
    check_exact(m, getpid(), own_executable);
    const struct sender *s = m->u.answer.sender;
    assert_int_equal(m->u.answer.connect.other_namespace, 0);
    assert_int_equal(s->hash_state, SENDER_HASH_DONE);
    assert_int_equal(s->uid, getuid());
    assert_int_equal(s->parents[0].pid, getppid());
    assert_true(s->argument_count > 0);
    agent_message_free(m);
    proxy_cookie = 0; /* by the addresses, piece by piece */
    m = ask(&l, &client, true);
    check_exact(m, getpid(), own_executable);
    agent_message_free(m);
    close(c);
    close(a);
    close_link(&l);
}

static void exit_at_once(void)
{
    struct linger reset = {1, 0};
    int fd = connect_client();
    if (fd >= 0 && getpid() % 2) /* half of them by a reset: then nothing of the socket is left */
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    _exit(fd < 0);
}

/* Children that are gone, their sockets too, before anybody asks. */
static void clients_that_exit_at_once_are_exact(void **state)
{
    (void)state;
    struct link l;
    struct endpoint client;
    int exact = 0, wrong = 0, status;
    need_bpf(&l);
    for (int i = 0; i < CHURN; i++) {
        pid_t child = fork();
        if (child == 0)
            exit_at_once();
        waitpid(child, &status, 0);
        int a = accept_known(&client);
        struct agent_message *m = ask(&l, &client, true);
        bool named = m->u.answer.confidence == AGENT_CONFIDENCE_EXACT;
        const struct sender *s = m->u.answer.sender;
        exact += named;
        wrong +=
            named && (ref_pid(m) != child || !s->executable || strcmp(s->executable, own_executable) != 0);
        agent_message_free(m);
        close(a);
    }
    close_link(&l);
    assert_int_equal(wrong, 0);
    assert_int_equal(exact, CHURN);
}

/* The kernel keeps a note of so many executions: a busy host has more of them than a long-lived program has occasions. */
static void a_note_that_made_room_is_made_again(void **state)
{
    (void)state;
    struct link l;
    struct endpoint client;
    int status;
    need_bpf(&l);
    for (int i = 0; i < IMAGES_MAX + IMAGES_MAX / 4; i++) {
        pid_t child = vfork();
        if (child == 0) {
            execl("/bin/true", "true", (char *)NULL);
            _exit(1);
        }
        waitpid(child, &status, 0);
    }
    pid_t child = fork();
    if (child == 0)
        exit_at_once();
    waitpid(child, &status, 0);
    int a = accept_known(&client);
    struct agent_message *m = ask(&l, &client, true);
    check_exact(m, child, own_executable);
    agent_message_free(m);
    close(a);
    close_link(&l);
}

static void a_program_that_is_gone_is_described(void **state)
{
    (void)state;
    struct link l;
    struct endpoint client;
    char script[128], command[256];
    int status;
    if (access("/usr/bin/python3", X_OK) != 0)
        skip();
    need_bpf(&l);
    snprintf(script, sizeof script, "%s/brief.py", folder);
    FILE *f = fopen(script, "w");
    fputs("import socket,sys,os\nsocket.create_connection(('127.0.0.1',int(sys.argv[1])))\nos._exit(0)\n", f);
    fclose(f);
    usleep(20000); /* files keep the time of the clock's last tick: it must lie before the exec */
    snprintf(command, sizeof command, "cd %s && exec /usr/bin/python3 -B brief.py %u --password hunter2",
             folder, proxy.port);
    pid_t child = fork();
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(1);
    }
    waitpid(child, &status, 0);
    int a = accept_known(&client);
    struct agent_message *m = ask(&l, &client, true);
    assert_int_equal(m->u.answer.confidence, AGENT_CONFIDENCE_EXACT);
    const struct sender *s = m->u.answer.sender;
    assert_int_equal(s->pid, child);
    assert_non_null(strstr(s->executable, "/usr/bin/python3"));
    assert_int_equal(s->hash_state, SENDER_HASH_DONE);
    assert_int_equal(s->writable_by_user, 0);
    assert_int_equal(s->script_kind, SENDER_SCRIPT_FILE);
    assert_string_equal(s->script, script);
    assert_int_equal(s->script_writable_by_user, 1); /* it lies below /tmp */
    assert_non_null(s->script_sha256);
    assert_string_equal(s->cwd, folder);
    assert_string_equal(s->arguments[5], "[redacted]");
    assert_int_equal(s->parents[0].pid, getpid());
    assert_string_equal(s->parents[0].executable, own_executable);
    agent_message_free(m);
    close(a);
    close_link(&l);
}

/* ---- what became of it ---- */

static void run_connect_exec(void)
{
    if (connect_client() < 0)
        _exit(1);
    exec_sleep();
}

static void exec_after_connect_names_who_connected(void **state)
{
    (void)state;
    struct link l;
    struct endpoint client;
    need_bpf(&l);
    pid_t child = fork_child(run_connect_exec);
    int a = accept_known(&client);
    wait_for_program(child, "sleep"); /* which shows a moment before the exec is done */
    struct agent_message *m = ask(&l, &client, true);
    for (int i = 0; i < 200 && m->u.answer.confidence == AGENT_CONFIDENCE_EXACT; i++) {
        agent_message_free(m);
        usleep(5000);
        m = ask(&l, &client, true);
    }
    assert_int_equal(m->u.answer.confidence, AGENT_CONFIDENCE_STALE);
    assert_int_equal(m->u.answer.reason, AGENT_REASON_EXEC_CHANGED);
    assert_int_equal(m->u.answer.connect.exec_changed, 1);
    check_sender(m, child, own_executable);
    agent_message_free(m);
    end_child(child);
    close(a);
    close_link(&l);
}

/* Executes itself anew in between: the same file, yet not the same program any more. */
static void run_connect_exec_itself(void)
{
    char fd[16];
    int c = connect_client();
    if (c < 0)
        _exit(1);
    snprintf(fd, sizeof fd, "%d", c);
    execl("/proc/self/exe", "itself", "--hold", fd, (char *)NULL);
    _exit(1);
}

static void exec_of_the_same_file_is_seen(void **state)
{
    (void)state;
    struct link l;
    struct endpoint client;
    need_bpf(&l);
    pid_t child = fork_child(run_connect_exec_itself);
    int a = accept_known(&client);
    wait_byte(a);
    struct agent_message *m = ask(&l, &client, true);
    assert_int_equal(m->u.answer.confidence, AGENT_CONFIDENCE_STALE);
    assert_int_equal(m->u.answer.connect.exec_changed, 1);
    check_sender(m, child, own_executable);
    agent_message_free(m);
    end_child(child);
    close(a);
    close_link(&l);
}

static void run_connect_fork(void)
{
    int c = connect_client();
    if (c < 0)
        _exit(1);
    if (fork() == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        exec_sleep();
    }
    usleep(50000);
    send(c, "x", 1, MSG_NOSIGNAL);
}

static void a_fork_does_not_confuse(void **state)
{
    (void)state;
    struct link l;
    struct endpoint client;
    need_bpf(&l);
    pid_t child = fork_child(run_connect_fork);
    int a = accept_known(&client);
    wait_byte(a);
    struct agent_message *m = ask(&l, &client, true);
    check_exact(m, child, own_executable);
    agent_message_free(m);
    end_child(child);
    close(a);
    close_link(&l);
}

static int handover[2];

static int pass(int fd, int take_from)
{
    char byte = 'x', room[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec text = {&byte, 1};
    struct msghdr m = {.msg_iov = &text, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    if (take_from >= 0) {
        if (recvmsg(take_from, &m, 0) != 1 || !CMSG_FIRSTHDR(&m))
            return -1;
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
        return fd;
    }
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    return (int)sendmsg(handover[0], &m, 0);
}

/* Connects, passes the socket on and keeps nothing. */
static void run_giver(void)
{
    int c = connect_client();
    if (c < 0 || pass(c, -1) != 1)
        _exit(1);
    close(c);
}

static void run_taker(void)
{
    int c = pass(-1, handover[1]);
    usleep(100000); /* the giver is to have closed it */
    send(c, "x", 1, MSG_NOSIGNAL);
}

static void a_socket_that_was_passed_on_is_told(void **state)
{
    (void)state;
    struct link l;
    struct endpoint client;
    need_bpf(&l);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, handover), 0);
    pid_t taker = fork_child(run_taker), giver = fork_child(run_giver);
    close(handover[0]);
    close(handover[1]);
    int a = accept_known(&client);
    wait_byte(a);
    struct agent_message *m = ask(&l, &client, true);
    assert_int_equal(m->u.answer.confidence, AGENT_CONFIDENCE_STALE);
    assert_int_equal(m->u.answer.reason, AGENT_REASON_HANDED_OVER);
    assert_int_equal(m->u.answer.connect.handed_over, 1);
    check_sender(m, giver, own_executable);
    agent_message_free(m);
    end_child(giver); /* gone, and the taker still speaks */
    m = ask(&l, &client, true);
    assert_int_equal(m->u.answer.connect.handed_over, 1);
    check_sender(m, giver, own_executable);
    agent_message_free(m);
    end_child(taker);
    close(a);
    close_link(&l);
}

/* ---- other ways to connect ---- */

struct ring {
    struct io_uring_params params;
    int fd;
    char *queue;
    struct io_uring_sqe *entries;
};

/* Who of the kernel's does it: the caller itself, a worker thread, or the one that polls the queue. */
static uint32_t ring_flags;
static uint8_t entry_flags;

static void run_uring(void)
{
    struct ring r = {.fd = -1, .params = {.flags = ring_flags, .sq_thread_idle = 1000}};
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(proxy.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int c = socket(AF_INET, SOCK_STREAM, 0);
    r.fd = (int)syscall(SYS_io_uring_setup, 4, &r.params);
    if (r.fd < 0)
        _exit(77);
    r.queue =
        mmap(NULL, r.params.sq_off.array + 64, PROT_READ | PROT_WRITE, MAP_SHARED, r.fd, IORING_OFF_SQ_RING);
    r.entries = mmap(NULL, 4 * sizeof *r.entries, PROT_READ | PROT_WRITE, MAP_SHARED, r.fd, IORING_OFF_SQES);
    r.entries[0] = (struct io_uring_sqe){.opcode = IORING_OP_CONNECT,
                                         .fd = c,
                                         .flags = entry_flags,
                                         .addr = (uint64_t)(uintptr_t)&address,
                                         .off = sizeof address};
    uint32_t *tail = (uint32_t *)(void *)(r.queue + r.params.sq_off.tail);
    uint32_t *array = (uint32_t *)(void *)(r.queue + r.params.sq_off.array);
    array[0] = 0;
    __atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
    unsigned how = IORING_ENTER_GETEVENTS | (ring_flags & IORING_SETUP_SQPOLL ? IORING_ENTER_SQ_WAKEUP : 0);
    if (syscall(SYS_io_uring_enter, r.fd, 1, 1, how, NULL, 0) < 0)
        _exit(78);
}

static void connect_by_uring(struct link *l)
{
    struct endpoint client;
    int status;
    pid_t child = fork_child(run_uring);
    int a = accept_known(&client);
    struct agent_message *m = ask(l, &client, true);
    check_exact(m, child, own_executable);
    agent_message_free(m);
    end_child(child);
    waitpid(child, &status, WNOHANG);
    close(a);
}

static void io_uring_connects_for_its_process(void **state)
{
    (void)state;
    struct link l;
    need_bpf(&l);
    struct io_uring_params params = {0};
    int probe = (int)syscall(SYS_io_uring_setup, 1, &params);
    if (probe < 0) {
        close_link(&l);
        print_message("no io_uring here\n");
        skip();
    }
    close(probe);
    connect_by_uring(&l);
    entry_flags = IOSQE_ASYNC;
    connect_by_uring(&l);
    entry_flags = 0;
    ring_flags = IORING_SETUP_SQPOLL;
    connect_by_uring(&l);
    close_link(&l);
}

/* ---- who would like to be another ---- */

/* A user opens a namespace of his own and makes the connection that another has, all four numbers of it. */
static void run_decoy_namespace(const struct endpoint *client)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in there = here;
    here.sin_port = htons(client->port);
    there.sin_port = htons(proxy.port);
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
        _exit(77);
    struct ifreq loopback = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int server = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);
    if (ioctl(server, SIOCSIFFLAGS, &loopback) != 0 ||
        bind(server, (struct sockaddr *)&there, sizeof there) != 0 || listen(server, 1) != 0 ||
        bind(c, (struct sockaddr *)&here, sizeof here) != 0 ||
        connect(c, (struct sockaddr *)&there, sizeof there) != 0)
        _exit(78);
    if (write(handover[1], "x", 1) != 1)
        _exit(79);
    pause();
    _exit(0);
}

static pid_t start_decoy(const struct endpoint *client)
{
    char byte;
    assert_int_equal(pipe2(handover, O_CLOEXEC), 0);
    pid_t decoy = fork();
    if (decoy == 0) {
        dup2(handover[1], 3); /* nothing of ours is to be held by him */
        handover[1] = 3;
        syscall(SYS_close_range, 4, ~0U, 0);
        if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0)
            _exit(80);
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a new user clears it */
        run_decoy_namespace(client);
    }
    close(handover[1]);
    bool made = read(handover[0], &byte, 1) == 1;
    close(handover[0]);
    if (made)
        return decoy;
    waitpid(decoy, NULL, 0);
    return -1;
}

static void a_decoy_namespace_changes_nothing(void **state)
{
    (void)state;
    struct link l;
    struct endpoint client;
    need_bpf(&l);
    int c = connect_client(), a = accept_known(&client);
    pid_t decoy = geteuid() == 0 ? start_decoy(&client) : -1;
    if (decoy < 0) {
        close(c);
        close(a);
        close_link(&l);
        print_message("no namespaces for users here\n");
        skip();
    }
    struct agent_message *m = ask(&l, &client, true);
    check_exact(m, getpid(), own_executable);
    assert_int_equal(m->u.answer.connect.other_namespace, 0);
    agent_message_free(m);
    struct linger reset = {1, 0}; /* and when the real one is gone without a trace */
    setsockopt(c, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(c);
    m = ask(&l, &client, true);
    check_exact(m, getpid(), own_executable);
    agent_message_free(m);
    struct endpoint never = {client.ip, 1}; /* one that only the decoy could have */
    m = ask(&l, &never, true);
    assert_int_equal(m->u.answer.confidence, AGENT_CONFIDENCE_UNKNOWN);
    agent_message_free(m);
    end_child(decoy);
    close(a);
    close_link(&l);
}

/* The decoy is all there is: an address of this host is never another namespace's. */
static void a_decoy_alone_is_nobody(void **state)
{
    (void)state;
    struct link l;
    need_bpf(&l);
    struct endpoint client = {proxy.ip, 23456};
    pid_t decoy = geteuid() == 0 ? start_decoy(&client) : -1;
    if (decoy < 0) {
        close_link(&l);
        print_message("no namespaces for users here\n");
        skip();
    }
    struct agent_message *m = ask(&l, &client, false);
    assert_int_equal(m->u.answer.confidence, AGENT_CONFIDENCE_UNKNOWN);
    assert_int_equal(m->u.answer.reason, AGENT_REASON_NO_SUCH_SOCKET);
    end_child(decoy);
    close_link(&l);
}

static void older_sockets_are_told_by_their_holders(void **state)
{
    (void)state;
    assert_true(older_client >= 0);
    struct link l;
    need_bpf(&l);
    struct agent_message *m = ask(&l, &older_endpoint, true);
    assert_int_equal(m->u.answer.confidence, AGENT_CONFIDENCE_EXACT);
    assert_int_equal(m->u.answer.basis, AGENT_BASIS_HOLDER_NOW);
    assert_int_equal(m->u.answer.sender->pid, getpid());
    agent_message_free(m);
    close_link(&l);
}

static int start_with_bpf(void **state)
{
    with_bpf = quick = brief = true;
    return start(state);
}

/* What run_connect_exec_itself() becomes. */
static int hold(const char *fd)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    send(atoi(fd), "x", 1, MSG_NOSIGNAL);
    pause();
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--hold") == 0)
        return hold(argv[2]);
    if (readlink("/proc/self/exe", own_executable, sizeof own_executable - 1) < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_process_is_exact),
        cmocka_unit_test(clients_that_exit_at_once_are_exact),
        cmocka_unit_test(a_note_that_made_room_is_made_again),
        cmocka_unit_test(a_program_that_is_gone_is_described),
        cmocka_unit_test(exec_after_connect_names_who_connected),
        cmocka_unit_test(exec_of_the_same_file_is_seen),
        cmocka_unit_test(a_fork_does_not_confuse),
        cmocka_unit_test(a_socket_that_was_passed_on_is_told),
        cmocka_unit_test(io_uring_connects_for_its_process),
        cmocka_unit_test(a_decoy_namespace_changes_nothing),
        cmocka_unit_test(a_decoy_alone_is_nobody),
        cmocka_unit_test(older_sockets_are_told_by_their_holders),
    };
    return cmocka_run_group_tests(tests, start_with_bpf, stop);
}
