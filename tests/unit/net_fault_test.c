/* net_fault_test.c: net/ on real sockets while the kernel says no, says little, or the peer misbehaves: each case ends
 * with the right result, nothing spins and nothing leaks (descriptors here, memory by the sanitizer). */
#include "net_relay.h"

#include <sys/resource.h>
#include <sys/wait.h>

/* What goes wrong, and how often; one test at a time. */
static struct {
    unsigned calls;
    bool interrupt;                             /* every second call says EINTR */
    size_t most;                                /* bytes a call; 0 = as asked */
    int accept_error, pipe_error, splice_error; /* errno; 0 = none */
    unsigned accept_errors_left, errors_left;
} faults;

static bool interrupted(void)
{
    if (!faults.interrupt || faults.calls++ % 2)
        return false;
    errno = EINTR;
    return true;
}

static size_t shortened(size_t len)
{
    return faults.most && faults.most < len ? faults.most : len;
}

static ssize_t faulty_recv(int fd, void *data, size_t size, int flags)
{
    return interrupted() ? -1 : sys_libc.recv(fd, data, shortened(size), flags);
}

static ssize_t faulty_send(int fd, const void *data, size_t len, int flags)
{
    return interrupted() ? -1 : sys_libc.send(fd, data, shortened(len), flags);
}

static ssize_t faulty_splice(int from, int to, size_t len, unsigned flags)
{
    if (interrupted())
        return -1;
    if (faults.splice_error && faults.errors_left) {
        faults.errors_left--;
        errno = faults.splice_error;
        return -1;
    }
    return sys_libc.splice(from, to, shortened(len), flags);
}

static int faulty_accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
    if (interrupted())
        return -1;
    if (faults.accept_error && faults.accept_errors_left) {
        faults.accept_errors_left--;
        errno = faults.accept_error;
        return -1;
    }
    return sys_libc.accept4(fd, address, len, flags);
}

static int faulty_pipe2(int fds[2], int flags)
{
    if (faults.pipe_error) {
        errno = faults.pipe_error;
        return -1;
    }
    return sys_libc.pipe2(fds, flags);
}

static struct sys_table faulty;

static struct net *faulty_net(unsigned pipes)
{
    struct net_options o = help_options();
    o.splice_pipes = pipes;
    struct net *net = help_net(&o);
    memset(&faults, 0, sizeof(faults));
    faulty = sys_libc;
    faulty.recv = faulty_recv;
    faulty.send = faulty_send;
    faulty.splice = faulty_splice;
    faulty.accept4 = faulty_accept4;
    faulty.pipe2 = faulty_pipe2;
    net->sys = &faulty;
    return net;
}

static void finish_relay(struct relay *r)
{
    relay_until(r, relay_is_done(r));
    relay_check(r);
    relay_stop(r);
    net_free(r->net);
}

static void interruptions_change_nothing(void **state)
{
    (void)state;
    for (unsigned pipes = 0; pipes <= 16; pipes += 16) {
        struct relay r;
        struct net *net = faulty_net(pipes);
        faults.interrupt = true;
        relay_start(&r, net, 3000000, 50000);
        finish_relay(&r);
    }
}

static void short_moves_change_nothing(void **state)
{
    (void)state;
    static const size_t most[] = {1, 7, 1000, 4097};
    for (unsigned i = 0; i < ARRAY_LEN(most); i++) {
        for (unsigned pipes = 0; pipes <= 16; pipes += 16) {
            struct relay r;
            struct net *net = faulty_net(pipes);
            faults.most = most[i];
            faults.interrupt = i == 2;
            relay_start(&r, net, most[i] * 5000, 30000);
            finish_relay(&r);
        }
    }
}

static void without_pipes_lanes_copy(void **state)
{
    (void)state;
    static const int errors[] = {EMFILE, ENFILE, ENOMEM};
    for (unsigned i = 0; i < ARRAY_LEN(errors); i++) {
        struct relay r;
        struct net *net = faulty_net(16);
        faults.pipe_error = errors[i];
        relay_start(&r, net, 3000000, 50000);
        relay_until(&r, relay_is_done(&r));
        assert_int_equal(net->pipes.count, 0);
        finish_relay(&r);
    }
}

/* In a child, as a user whose pipe pages are all in use: new pipes are tiny and can't grow. 0 when the lanes copied. */
static int relay_without_pipe_pages(void)
{
    struct relay r;
    int fds[2], grown = 0;
    if (setuid(65533) != 0)
        return 2;
    while (pipe2(fds, O_CLOEXEC) == 0 && fcntl(fds[0], F_SETPIPE_SZ, 1024 * 1024) > 0)
        grown++;
    while (pipe2(fds, O_CLOEXEC) == 0 && fcntl(fds[0], F_SETPIPE_SZ, 64 * 1024) > 0)
        grown++;
    struct net *net = faulty_net(16);
    relay_start(&r, net, 1000000, 50000);
    for (int i = 0; i < 1000000 && !relay_is_done(&r); i++)
        relay_step(&r);
    bool whole = r.raw[0].got_hash == r.raw[1].sent_hash && r.raw[1].got_hash == r.raw[0].sent_hash;
    return grown > 0 && relay_is_done(&r) && whole && net->pipes.count == 0 ? 0 : 1;
}

static void without_pipe_pages_lanes_copy(void **state)
{
    (void)state;
    int status = -1;
    if (geteuid() != 0)
        skip(); /* another user's pages are needed, lest other programs' pipes suffer */
    pid_t child = fork();
    if (child == 0)
        _exit(relay_without_pipe_pages());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* splice that fails for its own reasons is no failure of the connection. */
static void splice_out_of_memory_falls_back_to_copying(void **state)
{
    (void)state;
    struct relay r;
    struct net *net = faulty_net(16);
    relay_start(&r, net, 0, 50000);
    r.raw[0].finishes = r.raw[1].finishes = false;
    faults.splice_error = ENOMEM;
    faults.errors_left = 1; /* the first: from the socket */
    r.raw[0].to_send = 100;
    relay_until(&r, r.raw[1].got == 100);
    assert_int_equal(faults.errors_left, 0);
    r.raw[0].to_send = r.raw[1].to_send = 1000000;
    r.raw[0].finishes = r.raw[1].finishes = true;
    finish_relay(&r);
}

/* ---- urgent data ---- */

static void urgent_bytes_are_relayed_and_nothing_spins(void **state)
{
    (void)state;
    for (unsigned pipes = 0; pipes <= 16; pipes += 16) {
        struct relay r;
        struct net *net = faulty_net(pipes);
        relay_start(&r, net, 0, 1000);
        r.raw[0].finishes = r.raw[1].finishes = false;
        r.raw[0].reads = r.raw[1].reads = false;
        char got[4];
        for (int round = 0; round < 20; round++) {
            assert_int_equal(send(r.raw[0].fd, "!", 1, MSG_OOB), 1);
            relay_until(&r, recv(r.raw[1].fd, got, sizeof(got), 0) == 1);
            assert_int_equal(got[0], '!');
            assert_true(help_turns(net, 20) < 10);
        }
        /* In the middle of a stream, and left lying while the reader is stopped. */
        r.raw[0].to_send = 200000;
        for (int i = 0; i < 20; i++) {
            raw_step_send(&r.raw[0]);
            assert_int_equal(send(r.raw[0].fd, "!", 1, MSG_OOB), 1);
        }
        while (r.raw[0].sent < 200000) {
            raw_step_send(&r.raw[0]);
            help_step(net);
        }
        uint64_t expected = 20 + 200000 + 20;
        r.raw[1].reads = true;
        relay_until(&r, r.raw[1].got + 20 == expected);
        assert_true(help_turns(net, 50) < 10);
        assert_int_equal(r.lane[0].moved_bytes, expected);
        relay_stop(&r);
        net_free(net);
    }
}

/* ---- resets ---- */

enum reset_when { RESET_IDLE, RESET_WHILE_SENDING, RESET_WITH_A_FULL_PIPE, RESET_HALF_CLOSED, RESET_COUNT };

static void reset_in(enum reset_when when, int side, unsigned pipes)
{
    struct relay r;
    unsigned before = help_open_descriptors();
    struct net *net = faulty_net(pipes);
    relay_start(&r, net, 100000000, 65536);
    r.raw[1].to_send = 0;
    r.raw[1].finishes = false;
    if (when == RESET_IDLE) {
        r.raw[0].to_send = 0;
        r.raw[0].finishes = false;
        relay_step(&r);
    } else if (when == RESET_WHILE_SENDING) {
        relay_until(&r, r.raw[1].got > 1000000);
    } else if (when == RESET_WITH_A_FULL_PIPE) {
        r.raw[1].reads = false;
        relay_until(&r, r.state[0] == NET_LANE_WAIT_WRITE);
    } else {
        r.raw[0].to_send = 1000;
        relay_until(&r, r.state[0] == NET_LANE_DONE && r.raw[1].eof);
        r.raw[1].to_send = 100000000;
    }
    help_reset(r.raw[side].fd);
    r.raw[side].fd = -1;
    r.raw[1 - side].reads = true;
    relay_until(&r, r.state[0] > NET_LANE_DONE || r.state[1] > NET_LANE_DONE);
    for (int i = 0; i < 2; i++) {
        int from = r.state[i] == NET_LANE_READ_FAILED ? i : 1 - i;
        if (r.state[i] <= NET_LANE_DONE)
            continue;
        assert_int_equal(from, side);
        int error = net_stream_errno(r.stream[from]);
        assert_true(error == ECONNRESET || error == EPIPE);
    }
    relay_stop(&r);
    net_free(net);
    assert_int_equal(help_open_descriptors(), before);
}

static void a_reset_ends_the_relay_in_every_state(void **state)
{
    (void)state;
    for (unsigned pipes = 0; pipes <= 16; pipes += 16) {
        for (enum reset_when when = 0; when < RESET_COUNT; when++) {
            for (int side = 0; side < 2; side++)
                reset_in(when, side, pipes);
        }
    }
}

/* A slow reader: a few bytes at a time, both kinds of lanes. */
static void a_slow_reader_gets_everything(void **state)
{
    (void)state;
    for (unsigned pipes = 0; pipes <= 16; pipes += 16) {
        struct relay r;
        struct net *net = faulty_net(pipes);
        int small = 8192;
        relay_start(&r, net, 100000, 65536);
        setsockopt(r.raw[1].fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
        setsockopt(r.stream[1]->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
        finish_relay(&r);
    }
}

/* ---- accepting ---- */

static void running_out_pauses_accepting_and_goes_on(void **state)
{
    (void)state;
    static const int errors[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM};
    for (unsigned i = 0; i < ARRAY_LEN(errors); i++) {
        struct help_accept a;
        struct net *net = faulty_net(0);
        help_accept_start(&a, net, "127.0.0.1");
        faults.accept_error = errors[i];
        faults.accept_errors_left = 2;
        int fd = help_connect(&a.at);
        help_until(net, net->stats.accept_paused == 1);
        assert_true(help_turns(net, 50) < 10);
        assert_int_equal(a.count, 0);
        help_until(net, a.count == 1);
        assert_int_equal(net->stats.accept_paused, 2);
        assert_int_equal(net->stats.accepted, 1);
        net_stream_close(a.stream, NET_CLOSE_FIN);
        close(fd);
        net_listener_close(a.listener);
        net_free(net);
    }
}

static void passing_errors_do_not_pause_accepting(void **state)
{
    (void)state;
    static const int errors[] = {ECONNABORTED, EINTR, EPROTO};
    for (unsigned i = 0; i < ARRAY_LEN(errors); i++) {
        struct help_accept a;
        struct net *net = faulty_net(0);
        help_accept_start(&a, net, "127.0.0.1");
        faults.accept_error = errors[i];
        faults.accept_errors_left = 200; /* more than one turn's */
        int fd = help_connect(&a.at);
        help_until(net, a.count == 1);
        assert_int_equal(net->stats.accept_paused, 0);
        net_stream_close(a.stream, NET_CLOSE_FIN);
        close(fd);
        net_listener_close(a.listener);
        net_free(net);
    }
}

/* The real thing: no descriptor left in the process. */
static void descriptors_really_running_out_lose_no_client(void **state)
{
    (void)state;
    struct help_accept a;
    struct net *net = faulty_net(0);
    int spare[64], clients[3], count = 0;
    struct rlimit old, low;
    help_accept_start(&a, net, "127.0.0.1");
    help_step(net);
    for (int i = 0; i < 3; i++)
        clients[i] = help_connect(&a.at);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    low = old;
    low.rlim_cur = 64;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    while (count < 64 && (spare[count] = dup(0)) >= 0)
        count++;
    help_until(net, net->stats.accept_paused > 0);
    assert_int_equal(a.count, 0);
    while (count > 0)
        close(spare[--count]);
    help_until(net, a.count == 3);
    setrlimit(RLIMIT_NOFILE, &old);
    for (int i = 0; i < 3; i++) {
        net_stream_close(a.all[i], NET_CLOSE_FIN);
        close(clients[i]);
    }
    net_listener_close(a.listener);
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interruptions_change_nothing),
        cmocka_unit_test(short_moves_change_nothing),
        cmocka_unit_test(without_pipes_lanes_copy),
        cmocka_unit_test(without_pipe_pages_lanes_copy),
        cmocka_unit_test(splice_out_of_memory_falls_back_to_copying),
        cmocka_unit_test(urgent_bytes_are_relayed_and_nothing_spins),
        cmocka_unit_test(a_reset_ends_the_relay_in_every_state),
        cmocka_unit_test(a_slow_reader_gets_everything),
        cmocka_unit_test(running_out_pauses_accepting_and_goes_on),
        cmocka_unit_test(passing_errors_do_not_pause_accepting),
        cmocka_unit_test(descriptors_really_running_out_lose_no_client),
    };
    return cmocka_run_group_tests_name("net_fault", tests, NULL, NULL);
}
