/* ledger_test.c: records reach the file in order; room is bounded; a disk that fails fills the queue and loses nothing when it
 * comes back; rotation, torn lines, closing in time; several threads at once. */
#include "audit/ledger.h"
#include "base/log.h"
#include "base/must.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64], path[96];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/exeat-ledger-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/audit.jsonl", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static void put(struct ledger *l, const char *line)
{
    assert_int_equal(ledger_reserve(l, 1), 0);
    ledger_append(l, span_str(line));
}

static void expect_content(const char *file, const char *wanted)
{
    char got[4096];
    FILE *f = fopen(file, "r");
    assert_non_null(f);
    got[fread(got, 1, sizeof got - 1, f)] = '\0';
    fclose(f);
    assert_string_equal(got, wanted);
}

/* Asks until the statistics satisfy; a test that never sees it runs into ctest's timeout. */
static void await(struct ledger *l, bool (*satisfied)(const struct ledger_stats *))
{
    struct ledger_stats stats;
    do {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        ledger_stats(l, &stats);
    } while (!satisfied(&stats));
}

static bool all_written(const struct ledger_stats *s)
{
    return s->queued == 0;
}

static bool has_failed(const struct ledger_stats *s)
{
    return s->write_errors > 0 && s->last_error[0];
}

static void test_lines_in_order(void **state)
{
    (void)state;
    struct err err = {0};
    struct ledger *l = ledger_open(path, 100, &err);
    assert_non_null(l);
    put(l, "one\n");
    put(l, "two\n");
    await(l, all_written);
    put(l, "three\n");
    assert_int_equal(ledger_close(l, 1000), 0);
    expect_content(path, "one\ntwo\nthree\n");
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0137, 0);
}

static void test_room_is_bounded(void **state)
{
    (void)state;
    struct ledger *l = ledger_open(path, 4, NULL);
    assert_int_equal(ledger_reserve(l, 5), -1);
    assert_int_equal(ledger_reserve(l, 4), 0);
    assert_int_equal(ledger_reserve(l, 1), -1);
    ledger_release(l, 2);
    assert_int_equal(ledger_reserve(l, 3), -1);
    ledger_append(l, span_str("x\n"));
    ledger_append(l, span_str("y\n"));
    await(l, all_written);
    struct ledger_stats stats;
    ledger_stats(l, &stats);
    assert_int_equal(stats.written, 2);
    assert_int_equal(stats.reserved, 0);
    assert_int_equal(stats.slots, 4);
    assert_int_equal(ledger_close(l, 1000), 0);
}

static void test_torn_line_is_ended(void **state)
{
    (void)state;
    FILE *f = fopen(path, "w");
    fputs("{\"a\":1}\n{\"b\"", f);
    fclose(f);
    struct ledger *l = ledger_open(path, 4, NULL);
    put(l, "{\"c\":2}\n");
    assert_int_equal(ledger_close(l, 1000), 0);
    expect_content(path, "{\"a\":1}\n{\"b\"\n{\"c\":2}\n");
}

/* /dev/full answers ENOSPC; the path is a link, so that "making room" is a rename and a reopen. */
static void test_full_disk_keeps_records(void **state)
{
    (void)state;
    char target[128];
    unlink(path);
    assert_int_equal(symlink("/dev/full", path), 0);
    struct ledger *l = ledger_open(path, 3, NULL);
    assert_non_null(l);
    put(l, "1\n");
    put(l, "2\n");
    assert_int_equal(ledger_reserve(l, 1), 0);
    await(l, has_failed);
    assert_int_equal(ledger_reserve(l, 1), -1); /* what is not on disk keeps its slot */
    ledger_append(l, span_str("3\n"));
    struct ledger_stats stats;
    ledger_stats(l, &stats);
    assert_int_equal(stats.queued, 3);
    assert_non_null(strstr(stats.last_error, "No space"));
    unlink(path);
    snprintf(target, sizeof target, "%s/room", folder);
    assert_int_equal(symlink(target, path), 0);
    ledger_reopen(l);
    await(l, all_written);
    ledger_stats(l, &stats);
    assert_string_equal(stats.last_error, "");
    assert_int_equal(ledger_reserve(l, 3), 0);
    ledger_release(l, 3);
    assert_int_equal(ledger_close(l, 1000), 0);
    expect_content(target, "1\n2\n3\n");
}

static void test_close_gives_up_at_its_deadline(void **state)
{
    (void)state;
    unlink(path);
    assert_int_equal(symlink("/dev/full", path), 0);
    struct ledger *l = ledger_open(path, 10, NULL);
    put(l, "1\n");
    put(l, "2\n");
    assert_int_equal(ledger_close(l, 150), 2);
    unlink(path);
}

/* A limit on the file's size cuts a write in the middle of a line: the rest must follow, once. */
static void test_short_writes_are_completed(void **state)
{
    (void)state;
    struct rlimit old;
    unlink(path);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    struct ledger *l = ledger_open(path, 10, NULL);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){10, old.rlim_max});
    put(l, "123456\n");
    put(l, "abcdef\n");
    put(l, "uvwxyz\n");
    await(l, has_failed);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(ledger_close(l, 30000), 0);
    expect_content(path, "123456\nabcdef\nuvwxyz\n");
}

static void test_rotation(void **state)
{
    (void)state;
    char moved[128];
    unlink(path);
    struct ledger *l = ledger_open(path, 10, NULL);
    put(l, "old\n");
    await(l, all_written);
    snprintf(moved, sizeof moved, "%s/moved", folder);
    assert_int_equal(rename(path, moved), 0);
    ledger_reopen(l);
    while (access(path, F_OK) != 0)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    put(l, "new\n");
    assert_int_equal(ledger_close(l, 1000), 0);
    expect_content(moved, "old\n");
    expect_content(path, "new\n");
}

static void test_refusals_name_the_file(void **state)
{
    (void)state;
    struct err err = {0};
    assert_null(ledger_open("/nonexistent/audit", 10, &err));
    assert_string_equal(err.file, "/nonexistent/audit");
    err = (struct err){0};
    assert_null(ledger_open(folder, 10, &err));
    char fifo[128];
    snprintf(fifo, sizeof fifo, "%s/fifo", folder);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    err = (struct err){0};
    assert_null(ledger_open(fifo, 10, &err));
    assert_non_null(strstr(err.text, "not a regular file"));
}

static void test_what_does_not_fit_is_counted(void **state)
{
    (void)state;
    unlink(path);
    struct ledger *l = ledger_open(path, 10, NULL);
    unsigned long before = expect_failures();
    put(l, "no end");
    assert_int_equal(expect_failures(), before + 1);
    put(l, "fine\n");
    assert_int_equal(ledger_close(l, 1000), 1);
    expect_content(path, "fine\n");
}

enum { WRITERS = 4, LINES_EACH = 2000 };

static void *write_many(void *argument)
{
    struct ledger *l = argument;
    static atomic_int next_writer;
    int writer = next_writer++;
    for (int i = 0; i < LINES_EACH;) {
        char line[32];
        if (ledger_reserve(l, 2) != 0) {
            nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
            continue;
        }
        snprintf(line, sizeof line, "%d %d\n", writer, i++);
        ledger_append(l, span_str(line));
        ledger_release(l, 1);
    }
    return NULL;
}

static void test_many_threads(void **state)
{
    (void)state;
    unlink(path);
    struct ledger *l = ledger_open(path, 200, NULL);
    pthread_t threads[WRITERS];
    for (int i = 0; i < WRITERS; i++)
        pthread_create(&threads[i], NULL, write_many, l);
    for (int i = 0; i < 20; i++)
        ledger_reopen(l);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(ledger_close(l, 20000), 0);
    int next[WRITERS] = {0}, writer, number, lines = 0;
    FILE *f = fopen(path, "r");
    for (; fscanf(f, "%d %d\n", &writer, &number) == 2; lines++)
        assert_int_equal(number, next[writer]++);
    fclose(f);
    assert_int_equal(lines, WRITERS * LINES_EACH);
}

int main(void)
{
    log_init("ledger_test", LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_in_order),
        cmocka_unit_test(test_room_is_bounded),
        cmocka_unit_test(test_torn_line_is_ended),
        cmocka_unit_test(test_full_disk_keeps_records),
        cmocka_unit_test(test_close_gives_up_at_its_deadline),
        cmocka_unit_test(test_short_writes_are_completed),
        cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_refusals_name_the_file),
        cmocka_unit_test(test_what_does_not_fit_is_counted),
        cmocka_unit_test(test_many_threads),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
