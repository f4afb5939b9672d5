/* agent_attribution_test.c: the agent's core in a process of its own, asked over its socket about real connections of
 * real processes on loopback. Here it is without BPF: who holds the socket now. What counts above all: never a wrong sender. */
#include "agent_help.h"

enum { CONNECTIONS = 2000, SHORT_LIVED = 200 };

/* ---- tests ---- */

static void own_process_is_exact(void **state)
{
    (void)state;
    struct link l;
    struct endpoint client;
    open_link(&l, true);
    assert_string_equal(agent_owner, "proc");
    int c = connect_client(), a = accept_client(&client);
    struct agent_message *m = ask(&l, &client, true);
    const struct sender *s = m->u.answer.sender;
    char exe[4096] = "";
    assert_true(readlink("/proc/self/exe", exe, sizeof exe - 1) > 0);
    assert_int_equal(m->u.answer.confidence, AGENT_CONFIDENCE_EXACT);
    assert_non_null(s);
    assert_int_equal(s->pid, getpid());
    assert_string_equal(s->executable, exe);
    assert_int_equal(s->hash_state, SENDER_HASH_DONE); /* it was waited for */
    assert_int_equal(s->uid, getuid());
    assert_true(s->argument_count > 0);
    assert_int_equal(s->parents[0].pid, getppid());
    assert_int_equal(s->provenance[SENDER_FIELD_EXECUTABLE], AGENT_PROVENANCE_KERNEL);
    agent_message_free(m);
    m = ask(&l, &client, false);
    assert_int_equal(m->u.answer.confidence, AGENT_CONFIDENCE_EXACT);
    assert_null(m->u.answer.sender); /* the link had it */
    assert_int_equal(ref_pid(m), getpid());
    m = ask(&l, &client, true);
    assert_non_null(m->u.answer.sender); /* asked for in full */
    agent_message_free(m);
    close(c);
    close(a);
    close_link(&l);
}

static void many_connections_none_wrong(void **state)
{
    (void)state;
    struct link l;
    struct endpoint client;
    int wrong = 0, exact = 0;
    open_link(&l, true);
    for (int i = 0; i < CONNECTIONS; i++) {
        bool ends = i % (CONNECTIONS / SHORT_LIVED) == 0;
        pid_t child = ends ? fork_child(run_connect) : 0;
        int c = ends ? -1 : connect_client(), a = accept_client(&client);
        struct agent_message *m = ask(&l, &client, false);
        if (m->u.answer.confidence == AGENT_CONFIDENCE_EXACT) {
            exact++;
            wrong += ref_pid(m) != (ends ? child : getpid());
        }
        agent_message_free(m);
        if (ends)
            end_child(child);
        else
            close(c);
        close(a);
    }
    close_link(&l);
    assert_int_equal(wrong, 0);
    assert_true(exact >= CONNECTIONS - 5); /* a foreign fork at a bad moment is no failure of ours */
}

/* Connects, hands the socket to programs that know nothing of it, by fork, double fork and setsid. */
static void run_decoy(void)
{
    int c = connect_client();
    if (c < 0)
        _exit(1);
    for (int i = 0; i < 2; i++) {
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            setsid();
            exec_sleep();
        }
    }
    usleep(100000); /* they are to be asleep when we speak */
    send(c, "x", 1, MSG_NOSIGNAL);
}

static void decoys_are_ambiguous(void **state)
{
    (void)state;
    struct link l;
    struct endpoint client;
    open_link(&l, true);
    for (int round = 0; round < 3; round++) {
        pid_t child = fork_child(run_decoy);
        int a = accept_client(&client);
        wait_byte(a);
        struct agent_message *m = ask(&l, &client, false);
        assert_int_equal(m->u.answer.confidence, AGENT_CONFIDENCE_AMBIGUOUS);
        assert_int_equal(m->u.answer.reason, AGENT_REASON_SEVERAL_HOLDERS);
        assert_int_equal(m->u.answer.holder_count, 3);
        assert_string_equal(m->u.answer.sender_ref, "");
        end_child(child);
        close(a);
    }
    close_link(&l);
}

/* A process that answered before (the short way knows it) makes a socket and forks: the fork must be seen. */
static void fork_of_a_known_process_is_seen(void **state)
{
    (void)state;
    struct link l;
    struct endpoint client;
    open_link(&l, true);
    int c = connect_client(), a = accept_client(&client);
    agent_message_free(ask(&l, &client, false));
    close(c);
    close(a);
    for (int i = 0; i < 20; i++) {
        c = connect_client();
        pid_t child = fork_child(exec_sleep); /* inherits c */
        a = accept_client(&client);
        struct agent_message *m = ask(&l, &client, false);
        assert_int_equal(m->u.answer.confidence, AGENT_CONFIDENCE_AMBIGUOUS);
        end_child(child);
        m = ask(&l, &client, false);
        assert_int_equal(m->u.answer.confidence, AGENT_CONFIDENCE_EXACT);
        assert_int_equal(ref_pid(m), getpid());
        agent_message_free(m);
        close(c);
        close(a);
    }
    close_link(&l);
}

static int hidden_fd;

static void *hide(void *unused)
{
    (void)unused;
    if (unshare(CLONE_FILES) != 0)
        _exit(1);
    send(hidden_fd, "x", 1, MSG_NOSIGNAL);
    pause(); /* this thread's table keeps the socket */
    return NULL;
}

/* The socket's maker hides it in a thread with a table of its own; its first thread's table and a decoy remain. */
static void run_hider(void)
{
    pthread_t thread;
    hidden_fd = connect_client();
    if (hidden_fd < 0)
        _exit(1);
    if (fork() == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        exec_sleep();
    }
    if (pthread_create(&thread, NULL, hide, NULL) != 0)
        _exit(1);
    usleep(100000);
    close(hidden_fd);
}

static void hidden_in_a_thread_is_found(void **state)
{
    (void)state;
    struct link l;
    struct endpoint client;
    open_link(&l, true);
    pid_t child = fork_child(run_hider);
    int a = accept_client(&client);
    wait_byte(a);
    usleep(300000); /* until the first table has lost it */
    struct agent_message *m = ask(&l, &client, false);
    assert_int_equal(m->u.answer.confidence, AGENT_CONFIDENCE_AMBIGUOUS);
    end_child(child);
    close(a);
    close_link(&l);
}

static void run_connect_exec(void)
{
    if (connect_client() < 0)
        _exit(1);
    exec_sleep();
}

static int exec_gate[2];

static void run_connect_wait_exec(void)
{
    char byte;
    if (connect_client() < 0 || read(exec_gate[0], &byte, 1) != 1)
        _exit(1);
    exec_sleep();
}

static void exec_names_the_holder_now(void **state)
{
    (void)state;
    struct link l;
    struct endpoint client;
    open_link(&l, true);
    pid_t child = fork_child(run_connect_exec);
    int a = accept_client(&client);
    wait_for_program(child, "sleep");
    struct agent_message *m = ask(&l, &client, true);
    assert_int_equal(m->u.answer.basis, AGENT_BASIS_HOLDER_NOW);
    assert_int_equal(m->u.answer.sender->pid, child);
    assert_non_null(strstr(m->u.answer.sender->executable, "sleep"));
    agent_message_free(m);
    end_child(child);
    close(a);
    close_link(&l);
}

/* The agent described the process before; the exec must show although pid and start time stay. */
static void exec_of_a_known_process_shows(void **state)
{
    (void)state;
    struct link l;
    struct endpoint client;
    char before[AGENT_REF_BYTES];
    open_link(&l, true);
    assert_int_equal(pipe(exec_gate), 0);
    pid_t child = fork_child(run_connect_wait_exec);
    int a = accept_client(&client);
    struct agent_message *m = ask(&l, &client, true);
    assert_int_equal(m->u.answer.sender->pid, child);
    assert_null(strstr(m->u.answer.sender->executable, "sleep"));
    memcpy(before, m->u.answer.sender_ref, sizeof before);
    agent_message_free(m);
    assert_int_equal(write(exec_gate[1], "x", 1), 1);
    wait_for_program(child, "sleep");
    m = ask(&l, &client, false);
    assert_string_not_equal(m->u.answer.sender_ref, before);
    assert_non_null(m->u.answer.sender); /* a new image goes in full */
    assert_non_null(strstr(m->u.answer.sender->executable, "sleep"));
    agent_message_free(m);
    end_child(child);
    close(a);
    close(exec_gate[0]);
    close(exec_gate[1]);
    close_link(&l);
}

static void gone_clients_are_unknown(void **state)
{
    (void)state;
    struct link l;
    struct endpoint client;
    open_link(&l, true);
    int c = connect_client(), a = accept_client(&client);
    close(c);
    struct agent_message *m = ask(&l, &client, false); /* the socket lives on without a file */
    assert_int_equal(m->u.answer.confidence, AGENT_CONFIDENCE_UNKNOWN);
    assert_int_equal(m->u.answer.reason, AGENT_REASON_VANISHED);
    close(a);
    struct endpoint nowhere = {{4, {127, 0, 0, 1}}, 9};
    m = ask(&l, &nowhere, false);
    assert_int_equal(m->u.answer.reason, AGENT_REASON_NO_SUCH_SOCKET);
    m = ask(&l, &proxy, false); /* the kernel offers the listener itself */
    assert_int_equal(m->u.answer.reason, AGENT_REASON_NO_SUCH_SOCKET);
    close_link(&l);
}

static void mapped_clients_are_found(void **state)
{
    (void)state;
    struct link l;
    struct endpoint client;
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(proxy.port)};
    inet_pton(AF_INET6, "::ffff:127.0.0.1", &address.sin6_addr);
    int c = socket(AF_INET6, SOCK_STREAM, 0);
    if (c < 0 || connect(c, (struct sockaddr *)&address, sizeof address) != 0)
        skip();
    int a = accept_client(&client);
    open_link(&l, true);
    struct agent_message *m = ask(&l, &client, false);
    assert_int_equal(m->u.answer.confidence, AGENT_CONFIDENCE_EXACT);
    assert_int_equal(ref_pid(m), getpid());
    agent_message_free(m);
    close(c);
    close(a);
    close_link(&l);
}

static void only_our_listeners_are_told(void **state)
{
    (void)state;
    struct link l;
    static struct agent_message m;
    struct endpoint client, silent = {{4, {127, 0, 0, 1}}, 1}, foreign = {{4, {127, 0, 0, 1}}, 2};
    int c = connect_client(), a = accept_client(&client);
    open_link(&l, true);
    const struct endpoint *ends[] = {&silent, &foreign};
    for (int i = 0; i < 2; i++) { /* named but not listening; not named */
        send_ask(&l, &client, ends[i], false);
        assert_true(receive(&l, &m));
        assert_int_equal(m.u.answer.confidence, AGENT_CONFIDENCE_UNKNOWN);
        assert_int_equal(m.u.answer.reason, AGENT_REASON_NOT_OURS);
    }
    close_link(&l);
    open_link(&l, false);
    send_ask(&l, &client, &proxy, false); /* before any hello */
    assert_true(receive(&l, &m));
    assert_int_equal(m.type, AGENT_MESSAGE_ERROR);
    assert_int_equal(m.u.error.code, AGENT_ERROR_NO_HELLO);
    close_link(&l);
    close(c);
    close(a);
}

static void another_users_listener_is_not_ours(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    struct link l;
    static struct agent_message m;
    struct endpoint client, before = proxy;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    assert_int_equal(seteuid(NOBODY), 0);
    int theirs = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(theirs, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(theirs, 5), 0);
    assert_int_equal(seteuid(0), 0);
    getsockname(theirs, (struct sockaddr *)&address, &len);
    proxy.port = ntohs(address.sin_port);
    open_link(&l, true);
    int c = connect_client();
    getsockname(c, (struct sockaddr *)&address, &len);
    client = (struct endpoint){{4, {127, 0, 0, 1}}, ntohs(address.sin_port)};
    send_ask(&l, &client, &proxy, false);
    assert_true(receive(&l, &m));
    assert_int_equal(m.u.answer.reason, AGENT_REASON_NOT_OURS);
    proxy = before;
    close(c);
    close(theirs);
    close_link(&l);
}

static void another_user_gets_nothing(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    int status = -1;
    pid_t pid = fork();
    if (pid == 0) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        char byte;
        snprintf(address.sun_path, sizeof address.sun_path, "%s", socket_path);
        if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0)
            _exit(2);
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
            _exit(3);
        _exit(read(fd, &byte, 1) <= 0 ? 0 : 4);
    }
    waitpid(pid, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void hundred_at_once_are_answered(void **state)
{
    (void)state;
    enum { COUNT = 100 };
    struct link l;
    static struct agent_message m;
    struct endpoint clients[COUNT];
    int fds[COUNT * 2];
    bool seen[COUNT + 1] = {false};
    open_link(&l, true);
    for (int i = 0; i < COUNT; i++) {
        fds[i * 2] = connect_client();
        fds[i * 2 + 1] = accept_client(&clients[i]);
    }
    for (int i = 0; i < COUNT; i++)
        send_ask(&l, &clients[i], &proxy, false);
    for (int i = 0; i < COUNT; i++) {
        assert_true(receive(&l, &m));
        assert_int_equal(m.u.answer.confidence, AGENT_CONFIDENCE_EXACT);
        assert_int_equal(ref_pid(&m), getpid());
        assert_true(m.u.answer.id >= 1 && m.u.answer.id <= COUNT && !seen[m.u.answer.id]);
        seen[m.u.answer.id] = true;
        agent_message_free(&m);
    }
    for (int i = 0; i < COUNT * 2; i++)
        close(fds[i]);
    close_link(&l);
}

static void bad_lines_end_the_link(void **state)
{
    (void)state;
    struct link l;
    static struct agent_message m;
    int errors = 0;
    open_link(&l, true);
    for (int i = 0; i <= AGENT_BAD_LINES_MAX; i++)
        send_text(&l, "{\"v\":1,\"type\":\"dance\"}\n", 23);
    while (receive(&l, &m)) {
        assert_int_equal(m.type, AGENT_MESSAGE_ERROR);
        assert_int_equal(m.u.error.code, AGENT_ERROR_UNKNOWN_TYPE);
        errors++;
    }
    assert_true(errors <= AGENT_BAD_LINES_MAX + 1);
    close_link(&l);
}

static void a_long_line_ends_the_link(void **state)
{
    (void)state;
    static char text[AGENT_LINE_BYTES];
    struct link l;
    static struct agent_message m;
    memset(text, ' ', sizeof text);
    open_link(&l, true);
    send_text(&l, text, sizeof text);
    assert_false(receive(&l, &m));
    close_link(&l);
}

static void one_who_does_not_read_is_closed(void **state)
{
    (void)state;
    struct link deaf, good;
    struct endpoint client, foreign = {{4, {127, 0, 0, 1}}, 2};
    struct buf out;
    struct agent_ask a = {.nonce = "0123456789abcdef", .client = foreign, .proxy = foreign};
    open_link(&deaf, true);
    buf_init(&out, 1000);
    assert_int_equal(agent_ask_write(&out, &a), 0);
    int64_t sent = 0;
    while (sent < 64 << 20 && send(deaf.fd, buf_span(&out).data, buf_len(&out), MSG_NOSIGNAL) > 0)
        sent += (int64_t)buf_len(&out);
    assert_true(errno == EPIPE || errno == ECONNRESET); /* it was closed, not fed for ever */
    buf_free(&out);
    int c = connect_client(), s = accept_client(&client);
    open_link(&good, true);
    struct agent_message *m = ask(&good, &client, false);
    assert_int_equal(m->u.answer.confidence, AGENT_CONFIDENCE_EXACT);
    agent_message_free(m);
    close(c);
    close(s);
    close_link(&good);
    close_link(&deaf);
}

static void a_script_is_named(void **state)
{
    (void)state;
    struct link l;
    struct endpoint client;
    char script[128], port[16];
    if (access("/usr/bin/python3", X_OK) != 0)
        skip();
    snprintf(script, sizeof script, "%s/client.py", folder);
    snprintf(port, sizeof port, "%u", proxy.port);
    FILE *f = fopen(script, "w");
    fputs("import "
          "socket,sys,time\nc=socket.create_connection(('127.0.0.1',int(sys.argv[1])))\ntime.sleep(60)\n",
          f);
    fclose(f);
    open_link(&l, true);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (chdir(folder) == 0)
            execl("/usr/bin/python3", "python3", "-B", "client.py", port, "--password", "hunter2",
                  (char *)NULL);
        _exit(1);
    }
    int a = accept_client(&client);
    struct agent_message *m = ask(&l, &client, true);
    const struct sender *s = m->u.answer.sender;
    assert_non_null(s);
    assert_int_equal(s->pid, child);
    assert_int_equal(s->script_kind, SENDER_SCRIPT_FILE);
    assert_string_equal(s->script, script);
    assert_non_null(s->script_sha256);
    assert_string_equal(s->arguments[5], "[redacted]");
    agent_message_free(m);
    end_child(child);
    close(a);
    close_link(&l);
}

static void a_live_agents_socket_is_refused(void **state)
{
    (void)state;
    int lock;
    struct err e = {.line = 0};
    char open_folder[64] = "/tmp/agent_open_XXXXXX", path[96];
    pid_t child = fork(); /* the lock of start() is held by this process */
    if (child == 0)
        _exit(daemon_bind(socket_path, false, &lock, &e) == -1 && strstr(e.text, "another agent") ? 0 : 1);
    int status = -1;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    assert_non_null(mkdtemp(open_folder));
    assert_int_equal(chmod(open_folder, 0777), 0);
    snprintf(path, sizeof path, "%s/agent.sock", open_folder);
    assert_int_equal(daemon_make_folder(path, geteuid(), getegid(), &e), -1);
    assert_int_equal(chmod(open_folder, 0750), 0);
    assert_int_equal(daemon_make_folder(path, geteuid(), getegid(), NULL), 0);
    int dead = daemon_bind(path, false, &lock, NULL);
    assert_true(dead >= 0);
    close(dead);
    close(lock); /* it died without tidying up */
    dead = daemon_bind(path, false, &lock, NULL);
    assert_true(dead >= 0);
    close(dead);
    close(lock);
    unlink(path);
    snprintf(path, sizeof path, "%s/agent.sock.lock", open_folder);
    unlink(path);
    rmdir(open_folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_process_is_exact),
        cmocka_unit_test(many_connections_none_wrong),
        cmocka_unit_test(decoys_are_ambiguous),
        cmocka_unit_test(fork_of_a_known_process_is_seen),
        cmocka_unit_test(hidden_in_a_thread_is_found),
        cmocka_unit_test(exec_names_the_holder_now),
        cmocka_unit_test(exec_of_a_known_process_shows),
        cmocka_unit_test(gone_clients_are_unknown),
        cmocka_unit_test(mapped_clients_are_found),
        cmocka_unit_test(only_our_listeners_are_told),
        cmocka_unit_test(another_users_listener_is_not_ours),
        cmocka_unit_test(another_user_gets_nothing),
        cmocka_unit_test(hundred_at_once_are_answered),
        cmocka_unit_test(bad_lines_end_the_link),
        cmocka_unit_test(a_long_line_ends_the_link),
        cmocka_unit_test(one_who_does_not_read_is_closed),
        cmocka_unit_test(a_script_is_named),
        cmocka_unit_test(a_live_agents_socket_is_refused),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
