/* net_stream_test.c: listeners and streams on real sockets: readiness, hang-ups told once, endpoints, options. */
#include "net_help.h"

#include <netinet/tcp.h>

struct heard {
    unsigned ready, calls, hangups;
    bool close;
};

static void on_ready(void *owner, struct net_stream *s, unsigned ready)
{
    struct heard *h = owner;
    h->ready |= ready;
    h->calls++;
    h->hangups += ready & NET_HANGUP ? 1 : 0;
    if (h->close)
        net_stream_close(s, NET_CLOSE_FIN);
}

static int option(const struct net_stream *s, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof(value);
    assert_int_equal(getsockopt(s->fd, level, name, &value, &len), 0);
    return value;
}

static void accepted_streams_have_endpoints_and_options(void **state)
{
    (void)state;
    static const char *const at[] = {"127.0.0.1", "::1"};
    struct net *net = help_net(NULL);
    for (int i = 0; i < 2; i++) {
        struct help_accept a;
        struct net_stream *s;
        help_accept_start(&a, net, at[i]);
        int fd = help_pair(&a, &s);
        struct endpoint peer = help_local(fd);
        assert_true(ip_equal(&net_stream_peer(s)->ip, &peer.ip) && net_stream_peer(s)->port == peer.port);
        assert_true(ip_equal(&net_stream_local(s)->ip, &a.at.ip) && net_stream_local(s)->port == a.at.port);
        assert_int_equal(option(s, IPPROTO_TCP, TCP_NODELAY), 1);
        assert_int_equal(option(s, SOL_SOCKET, SO_OOBINLINE), 1);
        assert_int_equal(option(s, SOL_SOCKET, SO_KEEPALIVE), 1);
        assert_int_equal(option(s, IPPROTO_TCP, TCP_KEEPIDLE), 60);
        assert_int_equal(option(s, IPPROTO_TCP, TCP_KEEPINTVL), 15);
        assert_int_equal(option(s, IPPROTO_TCP, TCP_USER_TIMEOUT), 30000);
        assert_true(fcntl(s->fd, F_GETFD) & FD_CLOEXEC);
        assert_true(fcntl(s->fd, F_GETFL) & O_NONBLOCK);
        net_stream_close(s, NET_CLOSE_FIN);
        char byte;
        help_until(net, recv(fd, &byte, 1, 0) == 0);
        close(fd);
        net_listener_close(a.listener);
    }
    assert_true(sizeof(struct net_stream) < 400);
    net_free(net);
}

static void bytes_go_both_ways(void **state)
{
    (void)state;
    struct net *net = help_net(NULL);
    struct help_accept a;
    struct net_stream *s;
    struct heard h = {0};
    char data[16];
    help_accept_start(&a, net, "127.0.0.1");
    int fd = help_pair(&a, &s);
    net_stream_own(s, &h, on_ready);
    assert_int_equal(net_stream_read(s, data, sizeof(data)), NET_AGAIN);
    net_stream_want(s, NET_READABLE | NET_WRITABLE);
    help_until(net, h.ready == NET_WRITABLE);
    net_stream_want(s, NET_READABLE);
    assert_int_equal(send(fd, "hello", 5, 0), 5);
    help_until(net, h.ready & NET_READABLE);
    assert_int_equal(net_stream_read(s, data, sizeof(data)), 5);
    assert_memory_equal(data, "hello", 5);
    assert_int_equal(net_stream_write(s, "there", 5), 5);
    assert_int_equal(net_stream_write(s, "", 0), 0);
    net_stream_finish(s);
    help_until(net, recv(fd, data, sizeof(data), MSG_PEEK) == 5);
    assert_int_equal(recv(fd, data, 5, 0), 5);
    help_until(net, recv(fd, data, 1, 0) == 0);
    shutdown(fd, SHUT_WR);
    help_until(net, net_stream_read(s, data, sizeof(data)) == 0);
    net_stream_close(s, NET_CLOSE_FIN);
    close(fd);
    net_listener_close(a.listener);
    net_free(net);
}

/* FIN and RST while nobody reads, with every `want` without reading: told once, and the loop sleeps afterwards. */
static void a_hangup_is_told_once_and_nothing_spins(void **state)
{
    (void)state;
    for (int reset = 0; reset < 2; reset++) {
        struct net *net = help_net(NULL);
        struct help_accept a;
        struct net_stream *s;
        struct heard h = {0};
        help_accept_start(&a, net, "127.0.0.1");
        int fd = help_pair(&a, &s);
        net_stream_own(s, &h, on_ready);
        net_stream_want(s, 0);
        help_step(net);
        assert_int_equal(send(fd, "unread", 6, 0), 6);
        assert_true(help_turns(net, 60) < 10); /* bytes alone are not a hang-up */
        assert_int_equal(h.calls, 0);
        if (reset)
            help_reset(fd);
        else
            close(fd);
        help_until(net, h.hangups);
        assert_true(help_turns(net, 100) < 10);
        assert_int_equal(h.calls, 1);
        assert_int_equal(h.ready, NET_HANGUP);
        char data[16];
        assert_int_equal(net_stream_read(s, data, sizeof(data)), 6); /* Linux keeps what came before a RST */
        assert_int_equal(net_stream_read(s, data, sizeof(data)), reset ? NET_FAILED : 0);
        if (reset)
            assert_int_equal(net_stream_errno(s), ECONNRESET);
        net_stream_close(s, NET_CLOSE_FIN);
        net_listener_close(a.listener);
        net_free(net);
    }
}

/* A half-closed peer that was read to its end is no hang-up: the loop sleeps while we wait for the other side. */
static void after_eof_was_read_nothing_is_told_again(void **state)
{
    (void)state;
    struct net *net = help_net(NULL);
    struct help_accept a;
    struct net_stream *s;
    struct heard h = {0};
    char byte;
    help_accept_start(&a, net, "127.0.0.1");
    int fd = help_pair(&a, &s);
    net_stream_own(s, &h, on_ready);
    net_stream_want(s, NET_READABLE);
    shutdown(fd, SHUT_WR);
    help_until(net, h.ready & NET_READABLE);
    assert_int_equal(net_stream_read(s, &byte, 1), 0);
    net_stream_want(s, 0);
    h = (struct heard){0};
    assert_true(help_turns(net, 100) < 10);
    assert_int_equal(h.calls, 0);
    net_stream_close(s, NET_CLOSE_RST);
    help_until(net, recv(fd, &byte, 1, 0) < 0 && errno == ECONNRESET);
    close(fd);
    net_listener_close(a.listener);
    net_free(net);
}

static void a_reset_reaches_reader_and_writer(void **state)
{
    (void)state;
    struct net *net = help_net(NULL);
    for (unsigned want = NET_READABLE; want <= (NET_READABLE | NET_WRITABLE); want++) {
        struct help_accept a;
        struct net_stream *s;
        struct heard h = {0};
        char byte;
        help_accept_start(&a, net, "127.0.0.1");
        int fd = help_pair(&a, &s);
        net_stream_own(s, &h, on_ready);
        help_reset(fd);
        net_stream_want(s, want);
        help_until(net, (h.ready & want) == want);
        if (want == NET_WRITABLE)
            assert_int_equal(net_stream_write(s, "x", 1), NET_FAILED);
        else
            assert_int_equal(net_stream_read(s, &byte, 1), NET_FAILED);
        assert_true(net_stream_errno(s) == ECONNRESET || net_stream_errno(s) == EPIPE);
        net_stream_close(s, NET_CLOSE_FIN);
        net_listener_close(a.listener);
    }
    net_free(net);
}

static void closing_inside_a_callback_is_fine(void **state)
{
    (void)state;
    struct net *net = help_net(NULL);
    struct help_accept a;
    struct net_stream *s;
    struct heard h = {.close = true};
    help_accept_start(&a, net, "127.0.0.1");
    int fd = help_pair(&a, &s);
    net_stream_own(s, &h, on_ready);
    net_stream_want(s, NET_READABLE | NET_WRITABLE);
    help_until(net, h.calls);
    assert_true(help_turns(net, 50) < 10);
    assert_int_equal(h.calls, 1);
    assert_int_equal(net->stats.streams, 0);
    close(fd);
    net_listener_close(a.listener);
    net_free(net);
}

/* Wants that change and change back within a turn touch no registration. */
static void wants_are_registered_once_a_turn(void **state)
{
    (void)state;
    struct net *net = help_net(NULL);
    struct help_accept a;
    struct net_stream *s;
    help_accept_start(&a, net, "127.0.0.1");
    int fd = help_pair(&a, &s);
    net_stream_want(s, NET_READABLE);
    help_step(net);
    assert_int_equal(s->armed, UV_READABLE);
    net_stream_want(s, 0);
    net_stream_want(s, NET_WRITABLE);
    assert_int_equal(s->armed, UV_READABLE);
    net_stream_want(s, NET_READABLE);
    help_step(net);
    assert_int_equal(s->armed, UV_READABLE);
    net_stream_close(s, NET_CLOSE_FIN);
    close(fd);
    net_listener_close(a.listener);
    net_free(net);
}

static void close_listener_on_accept(void *owner, struct net_stream *s, void *tag)
{
    struct help_accept *a = owner;
    (void)tag;
    net_stream_close(s, NET_CLOSE_FIN);
    net_listener_close(a->listener);
    a->count++;
}

static void a_listener_may_close_itself(void **state)
{
    (void)state;
    struct net *net = help_net(NULL);
    struct help_accept a = {0};
    const char *error = NULL;
    struct endpoint e = help_any_port("127.0.0.1");
    int fd = net_bind(&e, &error);
    a.at = help_local(fd);
    a.listener = net_listen(net, fd, 16, close_listener_on_accept, &a, NULL, &error);
    assert_non_null(a.listener);
    int clients[3];
    for (int i = 0; i < 3; i++)
        clients[i] = help_connect(&a.at);
    help_until(net, a.count);
    assert_int_equal(a.count, 1);
    for (int i = 0; i < 3; i++)
        close(clients[i]);
    net_free(net);
}

static void ports_in_use_and_foreign_addresses_are_refused(void **state)
{
    (void)state;
    struct endpoint taken, foreign = help_endpoint("192.0.2.1:1");
    const char *error = NULL;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    assert_int_equal(listen(fd, 1), 0);
    taken = help_local(fd);
    assert_int_equal(net_bind(&taken, &error), -1);
    assert_string_equal(error, "Address already in use");
    assert_int_equal(net_bind(&foreign, &error), -1);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepted_streams_have_endpoints_and_options),
        cmocka_unit_test(bytes_go_both_ways),
        cmocka_unit_test(a_hangup_is_told_once_and_nothing_spins),
        cmocka_unit_test(after_eof_was_read_nothing_is_told_again),
        cmocka_unit_test(a_reset_reaches_reader_and_writer),
        cmocka_unit_test(closing_inside_a_callback_is_fine),
        cmocka_unit_test(wants_are_registered_once_a_turn),
        cmocka_unit_test(a_listener_may_close_itself),
        cmocka_unit_test(ports_in_use_and_foreign_addresses_are_refused),
    };
    return cmocka_run_group_tests_name("net_stream", tests, NULL, NULL);
}
