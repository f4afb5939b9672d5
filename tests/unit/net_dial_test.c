/* net_dial_test.c: RFC 8305 on loopback: order, delay, failures, the most telling error, cancelling. */
#include "net_help.h"

static struct {
    struct endpoint order[32];
    unsigned count;
    struct {
        const char *endpoint;
        int error;
    } answers[8]; /* connect() to that endpoint fails at once */
    int socket_error;
    uint16_t bind_port; /* sockets are bound to 127.0.0.1 and this port first */
} world;

static int recorded_connect(int fd, const struct sockaddr *address, socklen_t len)
{
    struct sockaddr_storage storage = {0};
    char text[ENDPOINT_TEXT_BYTES];
    memcpy(&storage, address, len);
    struct endpoint e = endpoint_from_sockaddr(&storage);
    world.order[world.count++ % 32] = e;
    endpoint_format(&e, text);
    for (unsigned i = 0; i < 8 && world.answers[i].endpoint; i++) {
        if (strcmp(world.answers[i].endpoint, text) == 0) {
            errno = world.answers[i].error;
            return -1;
        }
    }
    return sys_libc.connect(fd, address, len);
}

static int recorded_socket(int family, int type, int protocol)
{
    if (world.socket_error) {
        errno = world.socket_error;
        return -1;
    }
    int fd = sys_libc.socket(family, type, protocol);
    if (world.bind_port) {
        struct sockaddr_in in = {.sin_family = AF_INET,
                                 .sin_port = htons(world.bind_port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    }
    return fd;
}

static struct sys_table recording;

static struct net *recording_net(void)
{
    struct net_options o = help_options();
    o.dial_timeout_ms = 600;
    struct net *net = help_net(&o);
    memset(&world, 0, sizeof(world));
    recording = sys_libc;
    recording.connect = recorded_connect;
    recording.socket = recorded_socket;
    net->sys = &recording;
    return net;
}

struct dialled {
    struct net_dialing dialing;
    unsigned done;
};

static void on_done(struct net_dialing *d)
{
    struct dialled *dialled = (struct dialled *)d;
    assert_null(d->operation);
    dialled->done++;
}

static void dial(struct net *net, struct dialled *d, const struct endpoint *addresses, unsigned count)
{
    *d = (struct dialled){.dialing = {.done = on_done}};
    net_dial(net, &d->dialing, addresses, count);
    assert_int_equal(d->done, 0);
    assert_non_null(d->dialing.operation);
}

/* A port on which nobody listens. */
static struct endpoint closed_port(const char *address)
{
    struct endpoint e;
    int fd = help_listen(address, 1, &e);
    assert_true(fd >= 0);
    close(fd);
    return e;
}

/* A listener with a full backlog: SYNs to it are dropped. */
struct silent {
    struct endpoint at;
    int listener, clients[8];
};

static void silent_start(struct silent *s, const char *address)
{
    s->listener = help_listen(address, 0, &s->at);
    assert_true(s->listener >= 0);
    for (int i = 0; i < 8; i++) {
        struct sockaddr_storage to;
        socklen_t len = endpoint_to_sockaddr(&s->at, &to);
        s->clients[i] = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(s->clients[i], (struct sockaddr *)&to, len);
    }
}

static void silent_stop(struct silent *s)
{
    for (int i = 0; i < 8; i++)
        close(s->clients[i]);
    close(s->listener);
}

static void it_connects_over_both_families(void **state)
{
    (void)state;
    static const char *const at[] = {"127.0.0.1", "::1"};
    struct net *net = recording_net();
    for (int i = 0; i < 2; i++) {
        struct endpoint to;
        struct dialled d;
        int listener = help_listen(at[i], 16, &to);
        dial(net, &d, &to, 1);
        help_until(net, d.done);
        assert_non_null(d.dialing.stream);
        assert_int_equal(d.dialing.error, 0);
        assert_int_equal(net_stream_peer(d.dialing.stream)->port, to.port);
        assert_true(ip_equal(&net_stream_peer(d.dialing.stream)->ip, &to.ip));
        assert_true(net_stream_local(d.dialing.stream)->port != 0);
        assert_int_equal(net->stats.streams, 1);
        net_stream_close(d.dialing.stream, NET_CLOSE_FIN);
        close(listener);
    }
    net_free(net);
}

static void families_take_turns_and_failures_go_on_at_once(void **state)
{
    (void)state;
    struct net *net = recording_net();
    struct endpoint to[5], open;
    struct dialled d;
    int listener = help_listen("127.0.0.1", 16, &open);
    to[0] = closed_port("127.0.0.1");
    to[1] = closed_port("127.0.0.1");
    to[2] = open;
    to[3] = closed_port("::1");
    to[4] = closed_port("::1");
    uint64_t from = net_now_ms(net);
    dial(net, &d, to, 5);
    help_until(net, d.done);
    assert_non_null(d.dialing.stream);
    assert_true(net_now_ms(net) - from < 400); /* four failures, no attempt delay */
    assert_int_equal(world.count, 5);
    static const unsigned order[] = {3, 0, 4, 1, 2};
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(world.order[i].port, to[order[i]].port);
        assert_int_equal(world.order[i].ip.version, to[order[i]].ip.version);
    }
    net_stream_close(d.dialing.stream, NET_CLOSE_FIN);
    close(listener);
    net_free(net);
}

static void a_silent_address_is_overtaken(void **state)
{
    (void)state;
    struct net *net = recording_net();
    struct silent silent;
    struct endpoint to[2];
    struct dialled d;
    int listener = help_listen("127.0.0.1", 16, &to[0]);
    silent_start(&silent, "::1");
    to[1] = silent.at; /* IPv6: tried first */
    uint64_t from = net_now_ms(net);
    dial(net, &d, to, 2);
    help_until(net, d.done);
    assert_int_equal(world.order[0].port, silent.at.port);
    assert_non_null(d.dialing.stream);
    assert_int_equal(net_stream_peer(d.dialing.stream)->port, to[0].port);
    assert_true(net_now_ms(net) - from >= 100);
    assert_int_equal(net->stats.streams, 1); /* the loser is closed */
    net_stream_close(d.dialing.stream, NET_CLOSE_FIN);
    silent_stop(&silent);
    close(listener);
    net_free(net);
}

static void silence_everywhere_times_out(void **state)
{
    (void)state;
    struct net *net = recording_net();
    struct silent silent;
    struct dialled d;
    silent_start(&silent, "127.0.0.1");
    uint64_t from = net_now_ms(net);
    dial(net, &d, &silent.at, 1);
    help_until(net, d.done);
    assert_null(d.dialing.stream);
    assert_int_equal(d.dialing.error, ETIMEDOUT);
    assert_int_equal(d.dialing.failed.port, silent.at.port);
    assert_true(net_now_ms(net) - from >= 600);
    assert_int_equal(net->stats.dial_failures, 1);
    assert_int_equal(net->stats.streams, 0);
    silent_stop(&silent);
    net_free(net);
}

static void the_most_telling_error_is_kept(void **state)
{
    (void)state;
    static const char *const to_text[] = {"192.0.2.1:1", "192.0.2.2:2", "192.0.2.3:3"};
    static const struct {
        int errors[3];
        int kept, whose;
    } cases[] = {
        {{ENETUNREACH, ECONNREFUSED, ETIMEDOUT}, ECONNREFUSED, 1},
        {{ETIMEDOUT, EHOSTUNREACH, ENETUNREACH}, EHOSTUNREACH, 1},
        {{EACCES, ETIMEDOUT, EADDRNOTAVAIL}, ETIMEDOUT, 1},
        {{EADDRNOTAVAIL, EACCES, EACCES}, EADDRNOTAVAIL, 0},
        {{ECONNREFUSED, ECONNREFUSED, ECONNREFUSED}, ECONNREFUSED, 0},
    };
    for (unsigned c = 0; c < ARRAY_LEN(cases); c++) {
        struct net *net = recording_net();
        struct endpoint to[3];
        struct dialled d;
        for (int i = 0; i < 3; i++) {
            to[i] = help_endpoint(to_text[i]);
            world.answers[i].endpoint = to_text[i];
            world.answers[i].error = cases[c].errors[i];
        }
        dial(net, &d, to, 3);
        help_until(net, d.done);
        assert_null(d.dialing.stream);
        assert_int_equal(d.dialing.error, cases[c].kept);
        assert_int_equal(d.dialing.failed.port, to[cases[c].whose].port);
        net_free(net);
    }
}

static void lack_of_descriptors_is_reported(void **state)
{
    (void)state;
    struct net *net = recording_net();
    struct endpoint to[2] = {help_endpoint("127.0.0.1:1"), help_endpoint("127.0.0.1:2")};
    struct dialled d;
    world.socket_error = EMFILE;
    dial(net, &d, to, 2);
    help_until(net, d.done);
    assert_int_equal(d.dialing.error, EMFILE);
    dial(net, &d, to, 0);
    help_until(net, d.done);
    assert_null(d.dialing.stream);
    assert_true(d.dialing.error != 0);
    net_free(net);
}

/* TCP's simultaneous open with oneself: connected, yet to nobody. */
static void a_connection_to_itself_is_refused(void **state)
{
    (void)state;
    struct net *net = recording_net();
    struct endpoint to = closed_port("127.0.0.1");
    struct dialled d;
    world.bind_port = to.port;
    dial(net, &d, &to, 1);
    help_until(net, d.done);
    assert_null(d.dialing.stream);
    assert_int_equal(d.dialing.error, ECONNREFUSED);
    assert_int_equal(net->stats.streams, 0);
    net_free(net);
}

static void cancelling_at_any_time_is_the_end_of_it(void **state)
{
    (void)state;
    unsigned before = help_open_descriptors();
    for (int steps = 0; steps < 4; steps++) {
        struct net *net = recording_net();
        struct silent silent;
        struct endpoint to[2];
        struct dialled d;
        silent_start(&silent, "127.0.0.1");
        to[0] = to[1] = silent.at;
        dial(net, &d, to, 2);
        for (int i = 0; i < steps; i++)
            help_step(net);
        if (steps == 3)
            help_until(net, world.count == 2);
        net_dial_cancel(net, &d.dialing);
        net_dial_cancel(net, &d.dialing);
        help_turns(net, 50);
        assert_int_equal(d.done, 0);
        assert_int_equal(net->stats.streams, 0);
        silent_stop(&silent);
        net_free(net);
    }
    assert_int_equal(help_open_descriptors(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_connects_over_both_families),
        cmocka_unit_test(families_take_turns_and_failures_go_on_at_once),
        cmocka_unit_test(a_silent_address_is_overtaken),
        cmocka_unit_test(silence_everywhere_times_out),
        cmocka_unit_test(the_most_telling_error_is_kept),
        cmocka_unit_test(lack_of_descriptors_is_reported),
        cmocka_unit_test(a_connection_to_itself_is_refused),
        cmocka_unit_test(cancelling_at_any_time_is_the_end_of_it),
    };
    return cmocka_run_group_tests_name("net_dial", tests, NULL, NULL);
}
