/* store_test.c: what is put in comes out after a restart; files that are damaged, newer, missing, full: said, never fatal. */
#include "base/must.h"
#include "store/store.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { CLOSE_MS = 20000 };

static char folder[64], path[128], aside[160];
static int64_t now_s;

static void in_folder(const char *command)
{
    char line[512];
    snprintf(line, sizeof line, "cd '%s' && %s", folder, command);
    assert_int_equal(system(line), 0);
}

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/exeat-store-XXXXXX");
    now_s = (int64_t)time(NULL);
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/history.db", folder);
    snprintf(aside, sizeof aside, "%s.damaged", path);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    in_folder("rm -f history.db*");
    return rmdir(folder);
}

static void start(struct store *s)
{
    struct err e = {0};
    assert_int_equal(store_start(s, &e), 0);
}

static void put_some(struct store *s, int from, int to)
{
    for (int i = from; i < to; i++) {
        char name[32];
        int len = snprintf(name, sizeof name, "name %d", i);
        struct store_sighting row = {.kind = 2,
                                     .name = span_of(name, (size_t)len),
                                     .first_s = now_s - 100,
                                     .last_s = now_s + i,
                                     .count = (uint64_t)i + 1,
                                     .state = span_of(&i, sizeof i)};
        row.id[3] = (uint8_t)i;
        store_put_sighting(s, &row);
    }
}

struct tally {
    unsigned rows, named;
    uint64_t counts;
    int64_t first_s, last_s;
};

static void count_row(void *owner, const struct store_sighting *row)
{
    struct tally *t = owner;
    t->rows++;
    t->named += row->name.len > 5 && memcmp(row->name.data, "name ", 5) == 0;
    t->counts += row->count;
    t->first_s = row->first_s;
    t->last_s = row->last_s;
}

static struct tally tally_of(unsigned kind)
{
    struct tally t = {0};
    struct store *s = store_open(path);
    assert_non_null(s);
    assert_int_equal(store_each_sighting(s, kind, count_row, &t), 0);
    assert_true(store_close(s, CLOSE_MS));
    return t;
}

static void test_rows_come_back(void **state)
{
    (void)state;
    struct store *s = store_open(path);
    uint8_t secret[STORE_SECRET_BYTES];
    memcpy(secret, store_secret(s), sizeof secret);
    start(s);
    put_some(s, 0, 10);
    assert_true(store_close(s, CLOSE_MS));
    struct tally t = tally_of(2);
    assert_int_equal(t.rows, 10);
    assert_int_equal(t.named, 10);
    assert_int_equal(t.counts, 55);
    assert_int_equal(tally_of(3).rows, 0);
    s = store_open(path);
    assert_memory_equal(secret, store_secret(s), sizeof secret);
    assert_true(store_close(s, CLOSE_MS));
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
}

/* Who forgot when it was first seen doesn't change what is known. */
static void test_the_earliest_first_and_the_largest_count_stay(void **state)
{
    (void)state;
    struct store *s = store_open(path);
    struct store_sighting row = {
        .kind = 4, .name = span_str("name x"), .first_s = now_s - 50, .last_s = now_s, .count = 7};
    start(s);
    store_put_sighting(s, &row);
    row.name = span_of(NULL, 0);
    row.first_s = now_s;
    row.last_s = now_s + 9;
    row.count = 2;
    store_put_sighting(s, &row);
    assert_true(store_close(s, CLOSE_MS));
    struct tally t = tally_of(4);
    assert_int_equal(t.rows, 1);
    assert_int_equal(t.named, 1);
    assert_int_equal(t.counts, 7);
    assert_int_equal(t.first_s, now_s - 50);
    assert_int_equal(t.last_s, now_s + 9);
}

static void remember(void *owner, const struct store_chain *chain)
{
    struct store_chain *last = owner;
    assert_string_equal(chain->destination, "example.com:443");
    assert_string_equal(chain->source, "probed");
    assert_string_equal(chain->class, "self_signed");
    assert_string_equal(chain->found, "C02 P01");
    assert_int_equal(chain->sha256.len, 2 * STORE_SHA256_BYTES);
    last->count += chain->count;
    last->first_s = chain->first_s;
    last->last_s = chain->last_s;
}

static void count_chain(void *owner, const struct store_chain *chain)
{
    assert_string_equal(chain->destination, "example.com:443");
    assert_string_equal(chain->class, "");
    ++*(unsigned *)owner;
}

static void test_certificates_and_chains(void **state)
{
    (void)state;
    uint8_t ids[2][STORE_SHA256_BYTES] = {{1}, {2}}, der[3000];
    struct store *s = store_open(path);
    struct store_certificate c;
    struct err e = {0};
    memset(der, 0x5a, sizeof der);
    start(s);
    store_put_certificate(s, ids[0], span_of(der, sizeof der), now_s);
    store_put_certificate(s, ids[0], span_of(der, sizeof der), now_s + 5);
    struct store_chain put = {.destination = "example.com:443",
                              .source = "observed",
                              .class = "public",
                              .found = "",
                              .sha256 = span_of(ids, sizeof ids)};
    store_put_chain(s, &put, now_s);
    put.source = "probed", put.class = "self_signed", put.found = "C02 P01";
    store_put_chain(s, &put, now_s + 7);
    assert_true(store_close(s, CLOSE_MS));

    s = store_open_to_read(path, &e);
    assert_non_null(s);
    assert_true(store_find_certificate(s, ids[0], &c));
    assert_int_equal(c.der.len, sizeof der);
    assert_memory_equal(c.der.data, der, sizeof der);
    assert_int_equal(c.first_s, now_s);
    assert_int_equal(c.last_s, now_s + 5);
    assert_false(store_find_certificate(s, ids[1], &c));
    struct store_chain chain = {0};
    assert_int_equal(store_each_chain(s, "example.com:443", remember, &chain), 0);
    assert_int_equal(chain.count, 2);
    assert_int_equal(chain.first_s, now_s);
    assert_int_equal(chain.last_s, now_s + 7);
    chain.count = 0;
    assert_int_equal(store_each_chain(s, "example.net:443", remember, &chain), 0);
    assert_int_equal(chain.count, 0);
    assert_int_equal(store_each_chain(s, NULL, remember, &chain), 0);
    assert_int_equal(chain.count, 2);
    store_close(s, CLOSE_MS);
}

/* A file of the version before: its chains come along, and what is new of them is empty. Only exeatd renews it. */
static void test_an_older_version(void **state)
{
    (void)state;
    struct store_chain chain = {
        .destination = "example.com:443", .source = "probed", .class = "", .found = ""};
    struct err e = {0};
    struct store *s = store_open(path);
    start(s);
    store_put_chain(s, &chain, now_s);
    assert_true(store_close(s, CLOSE_MS));
    in_folder(
        "python3 -c \"import sqlite3; d = sqlite3.connect('history.db'); d.execute('ALTER TABLE chains DROP "
        "COLUMN class'); d.execute('ALTER TABLE chains DROP COLUMN found'); d.execute('PRAGMA "
        "user_version=1')\"");
    assert_null(store_open_to_read(path, &e));
    assert_non_null(strstr(e.text, "older version"));
    s = store_open(path);
    store_close(s, CLOSE_MS);
    s = store_open_to_read(path, &e);
    assert_non_null(s);
    unsigned count = 0;
    assert_int_equal(store_each_chain(s, NULL, count_chain, &count), 0);
    assert_int_equal(count, 1);
    store_close(s, CLOSE_MS);
}

/* ---- sources ---- */

struct source {
    int calls, everything;
};

static void give(void *owner, struct store *s, bool everything)
{
    struct source *source = owner;
    struct store_sighting row = {
        .kind = 5, .name = span_str("name"), .first_s = now_s, .last_s = now_s, .count = 1};
    source->calls++;
    source->everything += everything;
    store_write_sighting(s, &row);
}

static void test_a_source_is_asked_at_the_end(void **state)
{
    (void)state;
    struct source source = {0};
    struct store *s = store_open(path);
    store_add_source(s, give, &source);
    start(s);
    assert_true(store_close(s, CLOSE_MS));
    assert_true(source.calls > 0);
    assert_int_equal(source.everything, 0);
    assert_int_equal(tally_of(5).rows, 1);
}

/* ---- what goes wrong ---- */

static void expect_new_one(void)
{
    struct store *s = store_open(path);
    struct store_stats stats;
    store_stats(s, &stats);
    assert_true(stats.available);
    assert_int_equal(access(aside, F_OK), 0);
    start(s);
    put_some(s, 0, 3);
    assert_true(store_close(s, CLOSE_MS));
    assert_int_equal(tally_of(2).rows, 3);
}

static void test_garbage_is_set_aside(void **state)
{
    (void)state;
    in_folder("head -c 20000 /dev/urandom > history.db");
    expect_new_one();
    in_folder("rm history.db*; printf 'SQLite format 3' > history.db");
    expect_new_one();
}

static void test_a_damaged_page_is_noticed(void **state)
{
    (void)state;
    struct store *s = store_open(path);
    start(s);
    put_some(s, 0, 200);
    assert_true(store_close(s, CLOSE_MS));
    in_folder("for page in 1 2 3 4 5 6 7; do"
              " dd if=/dev/urandom of=history.db bs=1 seek=$((page * 4096)) count=300 conv=notrunc "
              "2>/dev/null; done");
    expect_new_one();
}

static void expect_unavailable(struct store *s)
{
    struct store_stats stats;
    start(s);
    put_some(s, 0, 3);
    store_stats(s, &stats);
    assert_false(stats.available);
    assert_int_equal(stats.dropped, 3);
    assert_true(stats.last_error[0] != '\0');
    assert_int_equal(store_each_sighting(s, 2, count_row, NULL), -1);
    assert_true(store_close(s, CLOSE_MS));
}

static void test_a_newer_one_is_left_alone(void **state)
{
    (void)state;
    in_folder(
        "python3 -c \"import sqlite3; sqlite3.connect('history.db').execute('PRAGMA user_version=99')\"");
    expect_unavailable(store_open(path));
    assert_int_not_equal(access(aside, F_OK), 0);
}

static void test_no_folder(void **state)
{
    (void)state;
    struct err e = {0};
    expect_unavailable(store_open("/nonexistent/folder/history.db"));
    assert_null(store_open_to_read("/nonexistent/folder/history.db", &e));
    assert_true(e.text[0] != '\0');
}

static void test_the_queue_is_bounded(void **state)
{
    (void)state;
    struct store *s = store_open(path); /* not started: nobody empties it */
    uint8_t id[STORE_SHA256_BYTES] = {0};
    static uint8_t der[STORE_DER_MAX_BYTES + 1];
    struct store_stats stats;
    for (int i = 0; i < 5000; i++)
        put_some(s, 1, 2);
    store_stats(s, &stats);
    assert_int_equal(stats.queued + stats.dropped, 5000);
    assert_true(stats.dropped > 0);
    uint64_t before = stats.dropped;
    store_put_certificate(s, id, span_of(der, sizeof der), now_s); /* too large, whatever room there is */
    store_stats(s, &stats);
    assert_int_equal(stats.dropped, before + 1);
    assert_true(store_close(s, CLOSE_MS));
}

/* A full disk, as a limit on file sizes: it is said, and when there is room again everything is asked for. */
static void test_a_full_disk(void **state)
{
    (void)state;
    struct source source = {0};
    struct store *s = store_open(path);
    struct store_stats stats = {0};
    struct rlimit old, none;
    store_add_source(s, give, &source);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    none = old;
    none.rlim_cur = 1;
    setrlimit(RLIMIT_FSIZE, &none);
    start(s);
    put_some(s, 0, 100);
    for (int i = 0; i < 200 && stats.failures == 0; i++) {
        usleep(100000);
        store_stats(s, &stats);
    }
    setrlimit(RLIMIT_FSIZE, &old);
    assert_true(stats.failures > 0);
    assert_true(stats.last_error[0] != '\0');
    assert_int_equal(stats.queued, 100);
    assert_true(store_close(s, CLOSE_MS));
    assert_true(source.everything > 0);
    assert_int_equal(tally_of(2).rows, 100);
    assert_int_equal(tally_of(5).rows, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_rows_come_back),
        TEST(test_the_earliest_first_and_the_largest_count_stay),
        TEST(test_certificates_and_chains),
        TEST(test_an_older_version),
        TEST(test_a_source_is_asked_at_the_end),
        TEST(test_garbage_is_set_aside),
        TEST(test_a_damaged_page_is_noticed),
        TEST(test_a_newer_one_is_left_alone),
        TEST(test_no_folder),
        TEST(test_the_queue_is_bounded),
        TEST(test_a_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
