/* agent_watch_test.c: connections that the agent watches: what their owners do while they live is told without being asked. With
 * BPF at once, without it within a round; here against real processes. Skipped where BPF is not permitted. */
#include "agent_help.h"

enum { SOON_MS = 1000, ROUND_MS = 10000 };

static struct link l;

static int accept_known(struct endpoint *ret)
{
    int a = accept_client(ret);
    socklen_t len = sizeof proxy_cookie;
    assert_int_equal(getsockopt(a, SOL_SOCKET, SO_COOKIE, &proxy_cookie, &len), 0);
    return a;
}

static void need_bpf(void)
{
    proxy_cookie = 0;
    open_link(&l, true);
    usleep(20000);
    if (strcmp(agent_owner, "bpf") != 0) {
        close_link(&l);
        print_message("BPF is not permitted here\n");
        skip();
    }
}

static void send_watch(const struct endpoint *client)
{
    struct buf out;
    struct agent_ask a = {.id = l.next_id++,
                          .nonce = "0123456789abcdef",
                          .client = *client,
                          .proxy = proxy,
                          .watch = true,
                          .age_ms = 0,
                          .proxy_cookie = proxy_cookie};
    buf_init(&out, 1000);
    assert_int_equal(agent_ask_write(&out, &a), 0);
    send_text(&l, (const char *)buf_span(&out).data, buf_len(&out));
    buf_free(&out);
}

static int shared; /* of the latest answer */
static size_t holder_count;
static int64_t first_holder;

/* The answer is exact, and the agent goes on looking. */
static void watch(const struct endpoint *client, int64_t pid)
{
    static struct agent_message m;
    send_watch(client);
    assert_true(receive(&l, &m));
    assert_int_equal(m.type, AGENT_MESSAGE_ANSWER);
    assert_int_equal(m.u.answer.confidence, AGENT_CONFIDENCE_EXACT);
    assert_int_equal(ref_pid(&m), pid);
    assert_true(m.u.answer.watched);
    shared = m.u.answer.connect.shared;
    holder_count = m.u.answer.holder_count;
    first_holder = holder_count ? m.u.answer.holders[0] : 0;
    agent_message_free(&m);
}

static bool is_quiet(int ms)
{
    struct pollfd p = {.fd = l.fd, .events = POLLIN};
    return poll(&p, 1, ms) == 0;
}

static struct agent_message *changed(int within_ms)
{
    static struct agent_message m;
    assert_false(is_quiet(within_ms));
    assert_true(receive(&l, &m));
    assert_int_equal(m.type, AGENT_MESSAGE_CHANGED);
    assert_true(m.u.answer.id == l.next_id - 1);
    assert_string_equal(m.u.answer.nonce, "0123456789abcdef");
    return &m;
}

static void done(void)
{
    struct buf out;
    buf_init(&out, 1000);
    assert_int_equal(agent_done_write(&out, l.next_id - 1), 0);
    send_text(&l, (const char *)buf_span(&out).data, buf_len(&out));
    buf_free(&out);
    usleep(50000);
}

/* What the children wait for before they go on. */
static int go[2], told[2]; /* and what they tell */

static void wait_go(void)
{
    char byte;
    if (read(go[0], &byte, 1) != 1)
        _exit(1);
}

static void say_go(void)
{
    assert_int_equal(write(go[1], "x", 1), 1);
}

static void run_exec_later(void)
{
    if (connect_client() < 0)
        _exit(1);
    wait_go();
    exec_sleep();
}

static void an_exec_is_told_at_once(void **state)
{
    (void)state;
    struct endpoint client;
    need_bpf();
    pid_t child = fork_child(run_exec_later);
    int a = accept_known(&client);
    watch(&client, child);
    say_go();
    struct agent_message *m = changed(SOON_MS);
    assert_int_equal(m->u.answer.confidence, AGENT_CONFIDENCE_STALE);
    assert_int_equal(m->u.answer.reason, AGENT_REASON_EXEC_CHANGED);
    assert_int_equal(ref_pid(m), child);
    agent_message_free(m);
    assert_true(is_quiet(200)); /* once */
    end_child(child);
    close(a);
    close_link(&l);
}

/* Its child has the socket still. */
static void run_fork_and_end(void)
{
    int c = connect_client();
    if (c < 0)
        _exit(1);
    wait_go();
    pid_t heir = fork();
    if (heir == 0) {
        close(go[0]); /* what follows is not for it */
        usleep(700000);
        _exit(0);
    }
    _exit(0);
}

static void an_end_that_leaves_an_heir_is_told_at_once(void **state)
{
    (void)state;
    struct endpoint client;
    need_bpf();
    pid_t child = fork_child(run_fork_and_end);
    int a = accept_known(&client);
    watch(&client, child);
    say_go();
    waitpid(child, NULL, 0);
    struct agent_message *m = changed(SOON_MS);
    assert_int_equal(m->u.answer.confidence, AGENT_CONFIDENCE_STALE);
    assert_int_equal(m->u.answer.reason, AGENT_REASON_HANDED_OVER);
    assert_int_equal(ref_pid(m), child);
    agent_message_free(m);
    close(a);
    close_link(&l);
}

static void run_end_later(void)
{
    if (connect_client() < 0)
        _exit(1);
    wait_go();
    _exit(0);
}

static void a_plain_end_is_no_change(void **state)
{
    (void)state;
    struct endpoint client;
    need_bpf();
    pid_t child = fork_child(run_end_later);
    int a = accept_known(&client);
    watch(&client, child);
    say_go();
    waitpid(child, NULL, 0);
    assert_true(is_quiet(ROUND_MS / 2)); /* also when its turn comes */
    close(a);
    close_link(&l);
}

static void what_is_done_is_not_watched(void **state)
{
    (void)state;
    struct endpoint client;
    need_bpf();
    pid_t child = fork_child(run_exec_later);
    int a = accept_known(&client);
    watch(&client, child);
    done();
    say_go();
    wait_for_program(child, "sleep");
    assert_true(is_quiet(300));
    end_child(child);
    close(a);
    close_link(&l);
}

/* A link that ends takes its connections along; another one's are watched still. */
static void links_are_told_apart(void **state)
{
    (void)state;
    struct endpoint client;
    struct link other;
    need_bpf();
    pid_t child = fork_child(run_exec_later);
    int a = accept_known(&client);
    watch(&client, child);
    other = l;
    open_link(&l, true);
    watch(&client, child);
    close_link(&other);
    usleep(50000);
    say_go();
    struct agent_message *m = changed(SOON_MS);
    assert_int_equal(m->u.answer.connect.exec_changed, 1);
    agent_message_free(m);
    end_child(child);
    close(a);
    close_link(&l);
}

/* ---- who else has it ---- */

static pid_t heir_of_caller(void)
{
    int32_t pid = 0;
    assert_int_equal(read(told[0], &pid, sizeof pid), sizeof pid);
    return pid;
}

static void tell_pid(pid_t pid)
{
    int32_t n = (int32_t)pid;
    if (write(told[1], &n, sizeof n) != sizeof n)
        _exit(1);
}

static void stay(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    tell_pid(getpid());
    pause();
    _exit(0);
}

static void run_with_child(void)
{
    if (connect_client() < 0)
        _exit(1);
    if (fork() == 0)
        stay();
}

static void a_child_that_has_it_is_named_at_once(void **state)
{
    (void)state;
    struct endpoint client;
    need_bpf();
    pid_t child = fork_child(run_with_child), heir = heir_of_caller();
    int a = accept_known(&client);
    watch(&client, child);
    assert_int_equal(shared, 1);
    assert_int_equal(holder_count, 1);
    assert_int_equal(first_holder, heir);
    end_child(child);
    close(a);
    close_link(&l);
}

/* Not its child any more: an orphan, whom only a walk through all processes finds. */
static void run_orphan_later(void)
{
    if (connect_client() < 0)
        _exit(1);
    wait_go();
    pid_t between = fork();
    if (between == 0) {
        if (fork() == 0) {
            usleep(20000); /* its parent is to be gone */
            tell_pid(getpid());
            usleep(20 * 1000 * 1000);
        }
        _exit(0);
    }
    waitpid(between, NULL, 0);
}

static void an_heir_is_found_in_a_round(void **state)
{
    (void)state;
    struct endpoint client;
    need_bpf();
    pid_t child = fork_child(run_orphan_later);
    int a = accept_known(&client);
    watch(&client, child);
    assert_int_equal(shared, 0); /* nobody else */
    say_go();
    pid_t heir = heir_of_caller();
    struct agent_message *m = changed(ROUND_MS);
    while (m->u.answer.holder_count != 1 ||
           m->u.answer.holders[0] != heir) { /* it may see the one in between */
        agent_message_free(m);
        m = changed(ROUND_MS);
    }
    assert_int_equal(m->u.answer.confidence, AGENT_CONFIDENCE_EXACT);
    assert_int_equal(m->u.answer.connect.shared, 1);
    agent_message_free(m);
    kill(heir, SIGKILL);
    m = changed(ROUND_MS);
    assert_int_equal(m->u.answer.connect.shared, 0);
    agent_message_free(m);
    end_child(child);
    close(a);
    close_link(&l);
}

static void run_hold_older(void)
{
    tell_pid(getpid());
}

/* A connection that is older than the agent: its holders are all there is to know. */
static void older_connections_have_all_their_holders(void **state)
{
    (void)state;
    struct agent_message *m;
    need_bpf();
    pid_t child = fork_child(run_hold_older);
    heir_of_caller();
    m = ask(&l, &older_endpoint, false);
    assert_int_equal(m->u.answer.confidence, AGENT_CONFIDENCE_AMBIGUOUS);
    assert_int_equal(m->u.answer.reason, AGENT_REASON_SEVERAL_HOLDERS);
    assert_int_equal(m->u.answer.holder_count, 2);
    agent_message_free(m);
    end_child(child);
    m = ask(&l, &older_endpoint, true);
    assert_int_equal(m->u.answer.confidence, AGENT_CONFIDENCE_EXACT);
    assert_int_equal(m->u.answer.basis, AGENT_BASIS_HOLDER_NOW);
    assert_int_equal(m->u.answer.sender->pid, getpid());
    agent_message_free(m);
    close_link(&l);
}

/* ---- whom it may speak for ---- */

static int service_family;
static struct sockaddr_un service_unix = {.sun_family = AF_UNIX};
static struct sockaddr_in service_tcp = {.sin_family = AF_INET};

static int service(bool listens)
{
    bool local = service_family == AF_UNIX;
    struct sockaddr *address = local ? (struct sockaddr *)&service_unix : (struct sockaddr *)&service_tcp;
    socklen_t len = local ? sizeof service_unix : sizeof service_tcp;
    int fd = socket(service_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int done = listens ? bind(fd, address, len) : connect(fd, address, len);
    if (listens && done == 0 && listen(fd, 4) == 0 && !local)
        getsockname(fd, address, &len);
    assert_int_equal(done, 0);
    return fd;
}

static int service_listener;

static void run_relay(void)
{
    if (connect_client() < 0)
        _exit(1);
    for (;;)
        accept(service_listener, NULL, NULL);
}

static void run_same_session(void)
{
    service(false);
    tell_pid(getpid());
}

static void run_outsider(void)
{
    setsid();
    service(false);
    tell_pid(getpid());
}

static void check_relaying(int family, enum agent_peer_via via)
{
    struct endpoint client;
    need_bpf();
    service_family = family;
    service_listener = service(true);
    pid_t relay = fork_child(run_relay), same = fork_child(run_same_session);
    close(service_listener);
    heir_of_caller();
    int a = accept_known(&client);
    watch(&client, relay);
    assert_true(is_quiet(ROUND_MS / 2)); /* a login's programs talk to each other */
    pid_t outsider = fork_child(run_outsider);
    heir_of_caller();
    struct agent_message *m = changed(ROUND_MS);
    assert_int_equal(m->u.answer.confidence, AGENT_CONFIDENCE_EXACT);
    assert_non_null(m->u.answer.peers);
    assert_int_equal(m->u.answer.peers->count, 1);
    assert_int_equal(m->u.answer.peers->items[0].pid, outsider);
    assert_int_equal(m->u.answer.peers->items[0].via, via);
    assert_non_null(strstr(m->u.answer.peers->items[0].executable, "agent_watch_test"));
    agent_message_free(m);
    end_child(outsider);
    end_child(same);
    end_child(relay);
    close(a);
    close_link(&l);
}

static void who_connects_by_a_unix_socket_is_told(void **state)
{
    (void)state;
    snprintf(service_unix.sun_path, sizeof service_unix.sun_path, "%s/service", folder);
    check_relaying(AF_UNIX, AGENT_PEER_UNIX);
}

static void who_connects_on_loopback_is_told(void **state)
{
    (void)state;
    service_tcp.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check_relaying(AF_INET, AGENT_PEER_LOOPBACK);
}

static int start_with_bpf(void **state)
{
    with_bpf = quick = brief = true;
    return pipe2(go, O_CLOEXEC) == 0 && pipe2(told, O_CLOEXEC) == 0 ? start(state) : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_exec_is_told_at_once),
        cmocka_unit_test(an_end_that_leaves_an_heir_is_told_at_once),
        cmocka_unit_test(a_plain_end_is_no_change),
        cmocka_unit_test(what_is_done_is_not_watched),
        cmocka_unit_test(links_are_told_apart),
        cmocka_unit_test(a_child_that_has_it_is_named_at_once),
        cmocka_unit_test(an_heir_is_found_in_a_round),
        cmocka_unit_test(who_connects_by_a_unix_socket_is_told),
        cmocka_unit_test(who_connects_on_loopback_is_told),
        cmocka_unit_test(older_connections_have_all_their_holders),
    };
    return cmocka_run_group_tests(tests, start_with_bpf, stop);
}
