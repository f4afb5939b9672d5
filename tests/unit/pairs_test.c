/* pairs_test.c: what a pair and a sender did: added up, judged, kept across a restart, and not pushed out by a flood of others. */
#include "base/must.h"
#include "flow/habits.h"
#include "flow/pairs.h"
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

enum { CLOSE_MS = 20000 };
static const char pair[] = "ann\nlocal\npath /usr/bin/curl\nexample.com";

static void test_pieces_add_up(void **state)
{
    (void)state;
    struct pairs *p = pairs_new(NULL, 1024);
    struct pair_view v;
    int64_t now = 1767225600;
    pairs_look(p, span_str(pair), true, now * 1000, &v);
    assert_false(v.known);
    for (int i = 0; i < 20; i++) {
        char host[32];
        snprintf(host, sizeof host, "x%d.example.com", i % 5);
        pairs_add(p, span_str(pair), 3000, 10, now + 60 * i);
        pairs_add(p, span_str(pair), 1096, 0, now + 60 * i);
        pairs_end(p, span_str(pair), (now + 60 * i) * 1000, 4096, span_str(host), now + 60 * i + 1);
    }
    pairs_look(p, span_str(pair), true, (now + 1200) * 1000, &v);
    assert_true(v.known && v.has_rhythm);
    assert_int_equal(v.sums[VOLUME_HOUR].out, 20 * 4096);
    assert_int_equal(v.sums[VOLUME_MONTH].in, 200);
    assert_int_equal(v.names, 5);
    assert_int_equal(v.count, 20);
    assert_int_equal(v.flows, 20);
    assert_true(v.rhythm.interval_s > 59.9 && v.rhythm.interval_s < 60.1);
    assert_true(v.rhythm.intervals > 0.99 && v.rhythm.sizes > 0.99);
    pairs_look(p, span_str(pair), false, (now + 1200) * 1000, &v);
    assert_false(v.has_rhythm); /* nobody asked */
    pairs_free(p);
}

static void test_a_flood_pushes_out_the_small(void **state)
{
    (void)state;
    struct pairs *p = pairs_new(NULL, 512);
    struct pair_view v;
    int64_t now = 1767225600;
    pairs_add(p, span_str(pair), 10 << 20, 0, now);
    pairs_add(p, span_str("bob\nlocal\nx\nexample.org"), 100, 0, now);
    for (int i = 0; i < 20000; i++) {
        char other[64];
        snprintf(other, sizeof other, "ann\nlocal\npath /usr/bin/curl\nx%d.com", i);
        pairs_add(p, span_str(other), 100, 100, now + 3600 + i);
    }
    pairs_look(p, span_str(pair), true, (now + 90000) * 1000, &v);
    assert_int_equal(v.sums[VOLUME_MONTH].out, 10 << 20);
    pairs_look(p, span_str("bob\nlocal\nx\nexample.org"), true, (now + 90000) * 1000, &v);
    assert_false(v.known);
    pairs_free(p);
}

static void test_a_habit_is_ones_own_or_the_peers(void **state)
{
    (void)state;
    struct habits *h = habits_new(NULL, 1024);
    struct habit_view v;
    struct span own = span_str("a\nsender"), other = span_str("b\nsender"), sender = span_str("sender");
    for (int i = 0; i < 19; i++)
        habits_add(h, own, sender, 1000, 3000, 1767225600 + i);
    habits_look(h, own, sender, &v);
    assert_false(v.known);
    habits_add(h, own, sender, 1000, 3000, 1767225700);
    habits_look(h, own, sender, &v);
    assert_true(v.known && !v.of_peers);
    assert_in_range(v.p99_bytes, 1000, 1200);
    assert_true(v.ratio_mean > -0.51 && v.ratio_mean < -0.49);
    habits_look(h, other, sender, &v);
    assert_true(v.known && v.of_peers);
    habits_free(h);
}

static void test_a_restart_keeps_them(void **state)
{
    (void)state;
    char folder[] = "/tmp/exeat-pairs-XXXXXX", path[64], command[80];
    int64_t now = (int64_t)time(NULL);
    struct err e = {0};
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/history.db", folder);
    for (int round = 0; round < 2; round++) {
        struct store *store = store_open(path);
        struct pairs *p = pairs_new(store, 1024);
        struct habits *h = habits_new(store, 1024);
        struct pair_view v;
        struct habit_view habit;
        pairs_look(p, span_str(pair), true, now * 1000, &v);
        habits_look(h, span_str("a\ns"), span_str("s"), &habit);
        assert_true(v.known == (round == 1) && habit.known == (round == 1));
        assert_int_equal(v.sums[VOLUME_DAY].out, round ? 9 * 5000 : 0);
        assert_int_equal(v.flows, round ? 9 : 0);
        assert_int_equal(v.names, round);
        assert_int_equal(store_start(store, &e), 0);
        for (int i = 0; i < 9 && round == 0; i++) {
            pairs_add(p, span_str(pair), 5000, 1, now - 9 + i);
            pairs_end(p, span_str(pair), (now - 9 + i) * 1000, 5000, span_str("example.com"), now);
        }
        for (int i = 0; i < 20; i++)
            habits_add(h, span_str("a\ns"), span_str("s"), 5000, 1, now);
        if (round == 0)
            pairs_add(p, span_str("much"), 10 << 20, 0, now - 1000);
        for (int i = 0; i < 20000 && round == 1; i++) { /* a flood after the restart */
            char other[32];
            snprintf(other, sizeof other, "flood %d", i);
            pairs_add(p, span_str(other), 100, 100, now + i);
        }
        pairs_look(p, span_str("much"), false, now * 1000, &v);
        assert_int_equal(v.sums[VOLUME_MONTH].out, 10 << 20);
        assert_true(store_close(store, CLOSE_MS));
        pairs_free(p);
        habits_free(h);
    }
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_add_up),
        cmocka_unit_test(test_a_flood_pushes_out_the_small),
        cmocka_unit_test(test_a_habit_is_ones_own_or_the_peers),
        cmocka_unit_test(test_a_restart_keeps_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
