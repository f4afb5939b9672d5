/* sightings_test.c: what was seen, by how many, in a window; across a restart; bounded; from several threads at once. */
#include "base/must.h"
#include "flow/sightings.h"
#include "store/store.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { DAY_S = 86400, CLOSE_MS = 20000 };

static const struct span nothing;

static struct sighting look(struct sightings *s, enum sighting_kind kind, const char *name, int64_t now_s)
{
    struct sighting ret;
    sightings_look(s, kind, span_str(name), NULL, now_s, &ret);
    return ret;
}

static void note(struct sightings *s, enum sighting_kind kind, const char *name, unsigned sender,
                 unsigned host, int64_t now_s)
{
    struct sighting_by by = {.host = host ? (uint64_t)host << 56 | host : 0};
    char text[16];
    snprintf(text, sizeof text, "%u", sender);
    by.sender = sightings_hash(s, span_str(text));
    sightings_note(s, kind, span_str(name), &by, nothing, now_s, NULL);
}

static void test_first_last_and_how_many(void **state)
{
    (void)state;
    int64_t now = 1700000000;
    struct sightings *s = sightings_new(NULL, 1000);
    assert_false(look(s, SIGHTING_DOMAIN, "example.com", now).known);
    note(s, SIGHTING_DOMAIN, "example.com", 1, 1, now);
    note(s, SIGHTING_DOMAIN, "example.com", 1, 2, now + 60);
    note(s, SIGHTING_DOMAIN, "example.com", 2, 0, now + 2 * DAY_S);
    struct sighting v = look(s, SIGHTING_DOMAIN, "example.com", now + 2 * DAY_S);
    assert_true(v.known);
    assert_int_equal(v.first_s, now);
    assert_int_equal(v.last_s, now + 2 * DAY_S);
    assert_int_equal(v.count, 3);
    assert_int_equal(v.senders, 2);
    assert_int_equal(v.hosts, 2);
    assert_int_equal(v.users, 0);
    assert_false(look(s, SIGHTING_JA4, "example.com", now).known); /* another kind, another name */
    v = look(s, SIGHTING_DOMAIN, "example.com", now + 31 * DAY_S);
    assert_int_equal(v.senders, 1); /* the first two are out of the window */
    assert_int_equal(v.first_s, now);
    sightings_free(s);
}

static void test_the_memo_is_what_was_said_last(void **state)
{
    (void)state;
    struct sightings *s = sightings_new(NULL, 1000);
    struct sighting before;
    uint8_t long_memo[100];
    memset(long_memo, 7, sizeof long_memo);
    sightings_note(s, SIGHTING_DESTINATION_CHAIN, span_str("a:443"), NULL, span_str("one"), 1000, &before);
    assert_false(before.known);
    sightings_note(s, SIGHTING_DESTINATION_CHAIN, span_str("a:443"), NULL, nothing, 1001, &before);
    sightings_note(s, SIGHTING_DESTINATION_CHAIN, span_str("a:443"), NULL, span_of(long_memo, 100), 1002,
                   &before);
    assert_true(before.known);
    assert_int_equal(before.memo_len, 3);
    assert_memory_equal(before.memo, "one", 3);
    assert_int_equal(before.last_s, 1001);
    assert_int_equal(look(s, SIGHTING_DESTINATION_CHAIN, "a:443", 1003).memo_len, SIGHTING_MEMO_BYTES);
    sightings_free(s);
}

/* However many come, no more than there is room for are kept, the latest among them. */
static void test_it_is_bounded(void **state)
{
    (void)state;
    struct sightings *s = sightings_new(NULL, 1024);
    struct table_stats stats;
    char name[32];
    for (int i = 0; i < 20000; i++) {
        snprintf(name, sizeof name, "%d.example", i);
        note(s, SIGHTING_DOMAIN, name, 1, 1, 1700000000 + i);
        note(s, SIGHTING_DOMAIN, "often.example", 1, 1, 1700000000 + i);
    }
    sightings_stats(s, &stats);
    assert_true(stats.used <= stats.entries);
    assert_int_equal(stats.used + stats.evicted, 20001);
    assert_int_equal(look(s, SIGHTING_DOMAIN, "often.example", 1700020000).count, 20000);
    assert_true(look(s, SIGHTING_DOMAIN, "19999.example", 1700020000).known);
    assert_false(look(s, SIGHTING_DOMAIN, "0.example", 1700020000).known);
    sightings_free(s);
}

static void test_a_restart_keeps_all(void **state)
{
    (void)state;
    char folder[] = "/tmp/exeat-sightings-XXXXXX", path[64], command[80], name[32];
    int64_t now = (int64_t)time(NULL);
    uint64_t hash = 0;
    unsigned senders = 0;
    struct err e = {0};
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/history.db", folder);
    for (int round = 0; round < 2; round++) {
        struct store *store = store_open(path);
        struct sightings *s = sightings_new(store, 1024);
        if (round == 1) {
            struct sighting v = look(s, SIGHTING_DOMAIN, "example.com", now);
            assert_int_equal(v.senders, senders);
            assert_int_equal(v.hosts, 3);
            assert_int_equal(v.first_s, now);
            assert_int_equal(v.last_s, now + 39);
            assert_int_equal(v.count, 40);
            v = look(s, SIGHTING_DESTINATION_CHAIN, "x:443", now);
            assert_int_equal(v.memo_len, 4);
            assert_memory_equal(v.memo, "memo", 4);
            assert_int_equal(sightings_hash(s, span_str("a")), hash);
            assert_true(look(s, SIGHTING_DOMAIN, "4999.example", now).known);
        }
        hash = sightings_hash(s, span_str("a"));
        assert_int_equal(store_start(store, &e), 0);
        for (int i = 0; round == 0 && i < 40; i++)
            note(s, SIGHTING_DOMAIN, "example.com", (unsigned)i % 40, (unsigned)i % 3 + 1, now + i);
        if (round == 0)
            sightings_note(s, SIGHTING_DESTINATION_CHAIN, span_str("x:443"), NULL, span_str("memo"), now,
                           NULL);
        /* past 16 not exact, and never too many: each database has a key of its own, under which so many share a cell once in 10^9 */
        if (round == 0)
            senders = look(s, SIGHTING_DOMAIN, "example.com", now).senders;
        assert_true(round == 1 || (senders >= 25 && senders <= 40));
        for (int i = 0; i < 5000; i++) { /* most give way, and are on disk all the same */
            snprintf(name, sizeof name, "%d.example", i);
            note(s, SIGHTING_DOMAIN, name, 1, 1, now - 5000 + i);
        }
        assert_true(store_close(store, CLOSE_MS));
        sightings_free(s);
    }
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

static void *note_many(void *argument)
{
    for (int i = 0; i < 20000; i++) {
        char name[32];
        snprintf(name, sizeof name, "%d.example", i % 3000);
        note(argument, SIGHTING_DOMAIN, name, (unsigned)i, 1, 1700000000 + i);
        note(argument, SIGHTING_HISTORY, "all", (unsigned)i % 50, 1, 1700000000 + i);
        look(argument, SIGHTING_DOMAIN, "7.example", 1700000000);
    }
    return NULL;
}

static void test_threads_share_it(void **state)
{
    (void)state;
    pthread_t threads[4];
    struct sightings *s = sightings_new(NULL, 1024);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, note_many, s), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    struct sighting all = look(s, SIGHTING_HISTORY, "all", 1700000000);
    assert_int_equal(all.count, 80000);
    assert_in_range(all.senders, 32, 50); /* as above */
    sightings_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_last_and_how_many), cmocka_unit_test(test_the_memo_is_what_was_said_last),
        cmocka_unit_test(test_it_is_bounded),           cmocka_unit_test(test_a_restart_keeps_all),
        cmocka_unit_test(test_threads_share_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
