/* agent_frozen_test.c: what is kept of lineages that a finding is about: longer than it is remembered otherwise, counted once, bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/frozen.h"

#include <stdio.h>
#include <string.h>

enum { WINDOW_MS = 60000, UID = 7, PID = 100 };

static struct history *h;
static struct frozen *f;
static struct agent_history told;
static const char gzip[] = "gzip", zip[] = "zip";
static const struct history_id it = {PID, 1000};

static int begin(void **state)
{
    (void)state;
    struct history_process p = {.id = it, .parent = {0, 0}, .session = 1, .name = "thief"};
    h = history_new(4, WINDOW_MS);
    f = frozen_new();
    history_tell(h, &p, 0);
    return h && f ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    frozen_free(f);
    history_free(h);
    return 0;
}

static void see(const char *class_name, const char *path, int64_t now_ms)
{
    struct history_seen s = {
        .kind = AGENT_HISTORY_ARCHIVE_WRITTEN, .class_name = class_name, .path = path, .bytes = 5};
    assert_true(history_see(h, PID, &s, now_ms));
}

/* What is told of the lineage, of that class; NULL: nothing. */
static const struct agent_history_row *ask(const char *class_name, int64_t now_ms)
{
    history_ask(h, &it, now_ms, &told);
    frozen_add(f, &it, now_ms, &told);
    for (size_t i = 0; i < told.row_count; i++)
        if (told.rows[i].class_name == class_name)
            return &told.rows[i];
    return NULL;
}

static void turn(int64_t now_ms)
{
    frozen_turn(f, h, now_ms);
    history_age(h, now_ms);
}

static void it_outlives_the_window(void **state)
{
    (void)state;
    see(gzip, "/tmp/a.gz", 1000);
    see(gzip, "/tmp/b.gz", 2000);
    assert_true(frozen_keep(f, &it, UID, 3000, 1000000));
    assert_int_equal(ask(gzip, 3000)->count, 2);
    see(gzip, "/tmp/c.gz", 4000);
    turn(5000);
    for (int64_t now = 10000; now < 500000; now += 10000)
        turn(now);
    const struct agent_history_row *r = ask(gzip, 500000);
    assert_int_equal(r->count, 3);
    assert_int_equal(r->first_s, 499);
    assert_int_equal(r->last_s, 496);
    assert_string_equal(r->path, "/tmp/c.gz");
    assert_string_equal(r->name, "thief");
    assert_int_equal(r->bytes, 5);
    assert_int_equal(told.window_s, WINDOW_MS / 1000 + 497);
    assert_int_equal(frozen_until(f, &it, UID, 500000), 1000000);
    turn(1000000);
    assert_int_equal(frozen_until(f, &it, UID, 1000000), 0);
    assert_null(ask(gzip, 1000001));
}

static void what_comes_later_is_added(void **state)
{
    (void)state;
    see(gzip, "/tmp/a.gz", 1000);
    assert_true(frozen_keep(f, &it, UID, 1000, 1000000));
    turn(2000);
    turn(100000); /* the first one is forgotten by the history */
    see(gzip, "/tmp/b.gz", 110000);
    see(zip, "/tmp/b.zip", 110000);
    turn(111000);
    assert_int_equal(ask(gzip, 112000)->count, 2);
    assert_int_equal(ask(gzip, 113000)->count, 2); /* asked again, nothing is counted again */
    assert_int_equal(ask(gzip, 113000)->first_s, 112);
    assert_int_equal(ask(zip, 113000)->count, 1);
}

/* The history may forget a part: never is more told than there was. */
static void a_count_is_a_lower_bound(void **state)
{
    (void)state;
    struct history_process child = {.id = {PID + 1, 2}, .parent = it, .session = 1, .name = "child"};
    struct history_seen s = {.kind = AGENT_HISTORY_ARCHIVE_WRITTEN, .class_name = gzip, .bytes = -1};
    history_tell(h, &child, 0);
    s.times = 5;
    history_see(h, PID, &s, 1000);
    assert_true(frozen_keep(f, &it, UID, 1000, 1000000));
    s.times = 3;
    history_see(h, PID + 1, &s, 30000);
    turn(31000);
    assert_int_equal(ask(gzip, 31000)->count, 8);
    turn(70000); /* the five are over */
    const struct agent_history_row *r = ask(gzip, 70000);
    assert_int_equal(r->count, 8);
    assert_true(r->at_least);
}

static void it_is_bounded_and_ones_own(void **state)
{
    (void)state;
    struct history_id id = it;
    assert_true(frozen_keep(f, &it, UID, 0, 1000));
    assert_false(frozen_keep(f, &it, UID + 1, 0, 1000));
    assert_int_equal(frozen_until(f, &it, UID + 1, 0), 0);
    assert_true(frozen_keep(f, &it, UID, 0, 500));
    assert_int_equal(frozen_until(f, &it, UID, 0), 1000); /* never shortened */
    for (int i = 1; i < FROZEN_MAX; i++) {
        id.pid++;
        assert_false(frozen_is_full(f));
        assert_true(frozen_keep(f, &id, UID, 0, 2000));
    }
    id.pid++;
    assert_true(frozen_is_full(f));
    assert_false(frozen_keep(f, &id, UID, 0, 2000));
    assert_true(frozen_keep(f, &it, UID, 0, 1000)); /* one that is there */
    turn(1000);
    assert_false(frozen_is_full(f));
    assert_true(frozen_keep(f, &id, UID, 1000, 2000));
}

int main(void)
{
#define KEPT(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        KEPT(it_outlives_the_window),
        KEPT(what_comes_later_is_added),
        KEPT(a_count_is_a_lower_bound),
        KEPT(it_is_bounded_and_ones_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
