/* agent_quick_test.c: what the answerer answers by himself: the collector is stopped, and who asked about a program a moment ago is
 * answered nevertheless; not when that program did something that nobody took in, not another program, not for long. */
#include "agent_help.h"

#include "agent/grants.h"

#include <sys/utsname.h>

enum { TRIES = 200, AT_ONCE_MS = 40 };

static struct link asker;

static int start_all(void **state)
{
    with_bpf = with_history = quick = brief = true;
    return start(state);
}

/* A connection of our own that is accepted; asks about it, and is answered within `wait_ms`, or not. */
static bool ask_for(int wait_ms, int fds[2])
{
    struct endpoint client;
    socklen_t len = sizeof proxy_cookie;
    fds[0] = connect_client();
    fds[1] = accept_client(&client);
    getsockopt(fds[1], SOL_SOCKET, SO_COOKIE, &proxy_cookie, &len);
    send_ask(&asker, &client, &proxy, false);
    struct pollfd p = {.fd = asker.fd, .events = POLLIN};
    return poll(&p, 1, wait_ms) == 1;
}

static void close_both(const int fds[2])
{
    close(fds[0]);
    close(fds[1]);
}

/* The answer that was waited for; the caller's to free. */
static struct agent_message *answer(void)
{
    static struct agent_message m;
    do
        assert_true(receive(&asker, &m));
    while (m.type != AGENT_MESSAGE_ANSWER || m.u.answer.id != asker.next_id - 1);
    return &m;
}

static void get_known(void)
{
    int fds[2];
    assert_true(ask_for(ANSWER_WAIT_MS, fds));
    struct agent_message *m = answer();
    assert_int_equal(m->u.answer.confidence, AGENT_CONFIDENCE_EXACT);
    agent_message_free(m);
    close_both(fds);
}

static void run_archiver(void)
{
    close(STDOUT_FILENO);
    execl("/bin/gzip", "gzip", "--version", (char *)NULL);
    _exit(1);
}

/* Kernels before 6.10 do not take the program that looks. */
static bool can_look(void)
{
    struct utsname u;
    char *end = u.release;
    if (uname(&u) != 0 || strcmp(agent_owner, "bpf") != 0)
        return false;
    long major = strtol(u.release, &end, 10), minor = *end == '.' ? strtol(end + 1, NULL, 10) : 0;
    return major > 6 || (major == 6 && minor >= 10);
}

/* A grant lasts a moment, and what else happens on this host ends it: one of many tries is enough. */
static void test_without_the_collector(void **state)
{
    bool answered = false;
    int fds[2];
    (void)state;
    open_link(&asker, true);
    if (!can_look()) {
        close_link(&asker);
        skip();
    }
    for (int i = 0; i < TRIES && !answered; i++) {
        get_known();
        kill(agent_pid, SIGSTOP);
        answered = ask_for(AT_ONCE_MS, fds);
        kill(agent_pid, SIGCONT);
        struct agent_message *m = answer();
        assert_int_equal(m->u.answer.confidence, AGENT_CONFIDENCE_EXACT);
        assert_int_equal(m->u.answer.basis, AGENT_BASIS_CONNECT);
        assert_int_equal(ref_pid(m), getpid());
        agent_message_free(m);
        close_both(fds);
    }
    assert_true(answered);
    close_link(&asker);
}

static void test_not_past_what_was_done(void **state)
{
    int fds[2], status;
    (void)state;
    open_link(&asker, true);
    if (!can_look()) {
        close_link(&asker);
        skip();
    }
    get_known();
    kill(agent_pid, SIGSTOP);
    pid_t archiver = fork();
    if (archiver == 0)
        run_archiver();
    waitpid(archiver, &status, 0);
    ask_for(AT_ONCE_MS, fds);
    kill(agent_pid, SIGCONT);
    struct agent_message *m = answer();
    assert_true(m->u.answer.history != NULL && !m->u.answer.history_same);
    agent_message_free(m);
    close_both(fds);
    close_link(&asker);
}

/* In full, so that it is the collector who answers: how often we connected, as it knew until then. */
static int64_t connections_known(void)
{
    int fds[2];
    brief = false;
    assert_true(ask_for(ANSWER_WAIT_MS, fds));
    brief = true;
    struct agent_message *m = answer();
    assert_true(m->u.answer.history && m->u.answer.history->has_usage);
    int64_t count = m->u.answer.history->usage.connections;
    agent_message_free(m);
    close_both(fds);
    return count;
}

/* What was answered for here is told to the collector later, several at once: before it is asked anything. */
static void test_what_is_counted_late(void **state)
{
    enum { CONNECTIONS = 100 };
    (void)state;
    open_link(&asker, true);
    if (!can_look()) {
        close_link(&asker);
        skip();
    }
    int64_t before = connections_known();
    for (int i = 0; i < CONNECTIONS; i++)
        get_known();
    assert_int_equal(connections_known() - before, CONNECTIONS + 1); /* that question's own connection, too */
    close_link(&asker);
}

/* ---- grants ---- */

static void test_what_a_grant_is_for(void **state)
{
    static struct grants g;
    struct packet_grant grant = {
        .caller = {.image = 7, .start_ticks = 100, .pid = 4711, .uid = 1000, .netns = 5},
        .proxy = {{4, {127, 0, 0, 1}}, 3128},
        .turn = 9,
        .until_ns = 1000,
        .has_history = true,
        .ref = "4711.100.1"};
    struct agent_ask question = {.client = {{4, {127, 0, 0, 1}}, 40000}, .proxy = grant.proxy, .brief = true};
    (void)state;
    assert_null(grants_find(&g, &grant.caller, &question, 9, 0));
    grants_take(&g, &grant);
    assert_non_null(grants_find(&g, &grant.caller, &question, 9, 999));
    assert_null(grants_find(&g, &grant.caller, &question, 9, 1000));
    assert_null(grants_find(&g, &grant.caller, &question, 10, 0));
    struct known_caller other = grant.caller;
    other.image++;
    assert_null(grants_find(&g, &other, &question, 9, 0));
    other = grant.caller;
    other.uid++;
    assert_null(grants_find(&g, &other, &question, 9, 0));
    other = grant.caller;
    other.start_ticks++;
    assert_null(grants_find(&g, &other, &question, 9, 0));
    question.proxy.port++;
    assert_null(grants_find(&g, &grant.caller, &question, 9, 0));
    question.proxy.port--;
    question.brief = false;
    assert_null(grants_find(&g, &grant.caller, &question, 9, 0));
    question.brief = question.full = true;
    assert_null(grants_find(&g, &grant.caller, &question, 9, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_grant_is_for),
        cmocka_unit_test(test_without_the_collector),
        cmocka_unit_test(test_not_past_what_was_done),
        cmocka_unit_test(test_what_is_counted_late),
    };
    return cmocka_run_group_tests(tests, start_all, stop);
}
