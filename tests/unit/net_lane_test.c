/* net_lane_test.c: relaying by splice and by copy on healthy sockets: content, half-close, back-pressure, pipes. */
#include "net_relay.h"

static void run_both_ways(unsigned pipes, uint64_t bytes, size_t chunk)
{
    struct net_options o = help_options();
    struct relay r;
    o.splice_pipes = pipes;
    struct net *net = help_net(&o);
    relay_start(&r, net, bytes, chunk);
    relay_until(&r, relay_is_done(&r));
    assert_int_equal(r.raw[0].sent, bytes);
    relay_check(&r);
    assert_true(net->pipes.count <= pipes);
    relay_stop(&r);
    net_free(net);
}

static void bytes_arrive_whole_by_splice(void **state)
{
    (void)state;
    run_both_ways(16, 20000000, 65536);
}

static void bytes_arrive_whole_without_pipes(void **state)
{
    (void)state;
    run_both_ways(0, 20000000, 65536);
}

static void bytes_arrive_whole_with_one_pipe_for_two_lanes(void **state)
{
    (void)state;
    run_both_ways(1, 5000000, 30000);
}

static void small_pieces_and_nothing_at_all_arrive(void **state)
{
    (void)state;
    run_both_ways(16, 3000, 1);
    run_both_ways(16, 0, 1);
}

/* Every record header is seen, whether its bytes are spliced or copied, and however the queue cuts them. */
static void watch_records(unsigned pipes, size_t record_bytes, size_t chunk, uint64_t spoil_record)
{
    enum { RECORDS = 400 };
    struct net_options o = help_options();
    struct relay r;
    struct record_watch watches[2] = {0};
    uint64_t period = record_bytes + 5;
    o.splice_pipes = pipes;
    struct net *net = help_net(&o);
    relay_start(&r, net, RECORDS * period, chunk);
    for (int i = 0; i < 2; i++) {
        r.raw[i].record_bytes = record_bytes;
        r.lane[i].watch = &watches[i];
        r.lane[i].splice = pipes > 0;
    }
    r.raw[0].spoil_at = spoil_record * period;
    relay_until(&r, relay_is_done(&r));
    relay_check(&r);
    for (int i = 0; i < 2; i++) {
        bool spoilt = i == 0 && spoil_record > 0;
        assert_int_equal(watches[i].fault, spoilt ? RECORD_FAULT_TYPE : RECORD_FAULT_NONE);
        assert_int_equal(watches[i].records, spoilt ? spoil_record : RECORDS);
        assert_false(record_watch_is_cut(&watches[i]));
    }
    assert_false(net->pipes.no_peek);
    relay_stop(&r);
    net_free(net);
}

static void record_headers_are_seen(void **state)
{
    (void)state;
    static const size_t sizes[] = {16, 300, 4096, 16384}, chunks[] = {1000, 16389, 65536};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        for (size_t k = 0; k < ARRAY_LEN(chunks); k++) {
            watch_records(16, sizes[i], chunks[k], 0);
            watch_records(0, sizes[i], chunks[k], 0);
            watch_records(16, sizes[i], chunks[k], 137);
        }
    watch_records(16, 300, 1, 77);
}

/* One side ends, the other goes on: no lane ends the other. */
static void half_close_leaves_the_other_way_open(void **state)
{
    (void)state;
    struct net *net = help_net(NULL);
    struct relay r;
    relay_start(&r, net, 100000, 1000);
    r.raw[1].to_send = 0;
    r.raw[1].finishes = false;
    relay_until(&r, r.state[0] == NET_LANE_DONE && r.raw[1].eof);
    assert_int_equal(r.state[1], NET_LANE_WAIT_READ);
    assert_true(help_turns(net, 50) < 10);
    r.raw[1].to_send = 200000;
    r.raw[1].finishes = true;
    relay_until(&r, relay_is_done(&r));
    relay_check(&r);
    relay_stop(&r);
    net_free(net);
}

/* Lanes of small records copy, large ones make them splice again. */
static void lanes_learn_what_suits_them(void **state)
{
    (void)state;
    struct net *net = help_net(NULL);
    struct relay r;
    relay_start(&r, net, 20, 1);
    r.raw[0].finishes = r.raw[1].finishes = false;
    r.raw[1].to_send = 0;
    for (uint64_t sent = 1; sent <= 20; sent++) {
        r.raw[0].to_send = sent;
        relay_until(&r, r.raw[1].got == sent);
    }
    assert_false(r.lane[0].splice); /* eight small moves */
    r.raw[0].chunk = 65536;
    r.raw[0].to_send += 100000000;
    relay_until(&r, r.lane[0].splice);
    r.raw[0].to_send = r.raw[0].sent;
    relay_until(&r, r.raw[1].got == r.raw[0].sent);
    r.raw[0].chunk = 1;
    for (uint64_t more = 1; more <= 20; more++) {
        uint64_t sent = ++r.raw[0].to_send;
        relay_until(&r, r.raw[1].got == sent);
    }
    assert_false(r.lane[0].splice);
    relay_check(&r);
    relay_stop(&r);
    net_free(net);
}

/* A reader that stopped: the relay holds a bounded amount, sleeps, and goes on when it reads again. */
static void a_stopped_reader_stops_the_sender(void **state)
{
    (void)state;
    for (unsigned pipes = 0; pipes <= 16; pipes += 16) {
        struct net_options o = help_options();
        struct relay r;
        o.splice_pipes = pipes;
        struct net *net = help_net(&o);
        relay_start(&r, net, 50000000, 65536);
        r.raw[1].reads = false;
        r.raw[1].to_send = 0;
        relay_until(&r, r.state[0] == NET_LANE_WAIT_WRITE);
        for (int i = 0; i < 2000; i++)
            relay_step(&r);
        assert_int_equal(r.state[0], NET_LANE_WAIT_WRITE);
        assert_true(r.raw[0].sent < r.raw[0].to_send);
        assert_non_null(r.lane[0].pipe);
        assert_true(help_turns(net, 100) < 10);
        r.raw[1].reads = true;
        relay_until(&r, relay_is_done(&r));
        relay_check(&r);
        relay_stop(&r);
        net_free(net);
    }
}

/* A lane keeps a pipe only while bytes are in it; one dropped full does not come back to the pool. */
static void pipes_go_back_and_full_ones_are_closed(void **state)
{
    (void)state;
    struct net *net = help_net(NULL);
    struct relay r;
    unsigned before = help_open_descriptors();
    relay_start(&r, net, 50000000, 65536);
    r.raw[1].reads = false;
    relay_until(&r, r.state[0] == NET_LANE_WAIT_WRITE);
    unsigned pipes = net->pipes.count;
    assert_true(pipes >= 1);
    net_lane_drop(net, &r.lane[0]);
    assert_null(r.lane[0].pipe);
    assert_int_equal(net->pipes.count, pipes - 1);
    relay_stop(&r);
    help_step(net);
    assert_int_equal(help_open_descriptors(), before + 2 * net->pipes.count);
    net_free(net);
}

/* What one call moves is bounded, so that a fast flow can't starve the others. */
static void one_call_keeps_to_its_budget(void **state)
{
    (void)state;
    struct net *net = help_net(NULL);
    struct relay r;
    relay_start(&r, net, 20000000, 65536);
    net_stream_want(r.stream[0], 0);
    uint64_t filled;
    do {
        filled = r.raw[0].sent;
        for (int i = 0; i < 50; i++)
            raw_step_send(&r.raw[0]);
    } while (r.raw[0].sent != filled);
    relay_move(&r);
    assert_true(r.lane[0].moved_bytes > 0);
    assert_true(r.lane[0].moved_bytes <= 2 * LANE_BUDGET_BYTES);
    relay_until(&r, relay_is_done(&r));
    relay_check(&r);
    relay_stop(&r);
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_arrive_whole_by_splice),
        cmocka_unit_test(bytes_arrive_whole_without_pipes),
        cmocka_unit_test(bytes_arrive_whole_with_one_pipe_for_two_lanes),
        cmocka_unit_test(small_pieces_and_nothing_at_all_arrive),
        cmocka_unit_test(record_headers_are_seen),
        cmocka_unit_test(half_close_leaves_the_other_way_open),
        cmocka_unit_test(lanes_learn_what_suits_them),
        cmocka_unit_test(a_stopped_reader_stops_the_sender),
        cmocka_unit_test(pipes_go_back_and_full_ones_are_closed),
        cmocka_unit_test(one_call_keeps_to_its_budget),
    };
    return cmocka_run_group_tests_name("net_lane", tests, NULL, NULL);
}
