/* executions_test.c: what a program normally does, over hosts: who tells, of which days, since when; and a restart. */
#include "flow/executions.h"

#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { DAY_S = 86400 };
static int64_t begin; /* now: the store forgets what is old */

static struct agent_usage recently(int64_t executions, int64_t connected)
{
    return (struct agent_usage){.executions = 1000000,
                                .connected_executions = 900000,
                                .executions_first_ms = 1,
                                .recent_days = 30,
                                .recent_executions = executions,
                                .recent_connected = connected};
}

static struct executions_view tell(struct executions *e, const char *host, struct agent_usage told,
                                   int64_t at_s)
{
    struct executions_view v;
    executions_tell(e, span_str("/usr/bin/x\t\t"), span_str(host), &told, at_s, &v);
    return v;
}

static void hosts_add_up(void **state)
{
    (void)state;
    struct executions *e = executions_new(NULL, 1024);
    struct executions_view v = tell(e, "a", recently(40, 0), begin);
    assert_true(v.hosts == 1 && v.executions == 40 && v.connected == 0);
    v = tell(e, "b", recently(60, 0), begin + 1);
    /* before: not these two connections */
    assert_true(v.hosts == 2 && v.executions == 100 && v.connected == 0);
    v = tell(e, "a", recently(41, 1), begin + 2); /* the latest word of each counts */
    assert_true(v.hosts == 2 && v.executions == 101 && v.connected == 1);
    v = tell(e, "c", recently(100, 0), begin + 3);
    assert_true(v.hosts == 3 && v.executions == 201 && v.connected == 1 && v.unknown_hosts == 0);
    struct agent_usage told = recently(7, 0);
    executions_tell(e, span_str("/usr/bin/y\t\t"), span_str("a"), &told, begin + 4, &v);
    assert_true(v.hosts == 1 && v.executions == 7); /* another program */
    executions_free(e);
}

/* What is older than the days, and what nobody tells apart. */
static void thirty_days_count(void **state)
{
    (void)state;
    struct executions *e = executions_new(NULL, 1024);
    struct agent_usage all = {
        .executions = 70, .connected_executions = 3, .executions_first_ms = (begin - DAY_S) * 1000};
    tell(e, "a", recently(40, 0), begin);
    struct executions_view v =
        tell(e, "b", all, begin); /* knows the program for a day: all of it is within */
    assert_true(v.hosts == 2 && v.executions == 110 && v.connected == 3);
    all.executions_first_ms = (begin - 31 * DAY_S) * 1000LL;
    v = tell(e, "c", all, begin); /* for longer: how much was within is not known */
    assert_true(v.hosts == 2 && v.unknown_hosts == 1 && v.executions == 110);
    v = tell(e, "d", recently(1, 0), begin + 30 * DAY_S - 1);
    assert_true(v.hosts == 3 && v.unknown_hosts == 1);
    v = tell(e, "d", recently(1, 0), begin + 30 * DAY_S);
    assert_true(v.hosts == 1 && v.unknown_hosts == 0 && v.executions == 1 && v.connected == 0);
    executions_free(e);
}

static void as_many_hosts_as_there_is_room_for(void **state)
{
    (void)state;
    struct executions *e = executions_new(NULL, 1024);
    struct executions_view v = {0};
    char host[16];
    for (int i = 0; i < 100; i++) {
        snprintf(host, sizeof host, "host-%d", i);
        v = tell(e, host, recently(i, 1), begin + i);
    }
    assert_true(v.hosts == EXECUTIONS_HOSTS && v.connected == EXECUTIONS_HOSTS);
    assert_true(v.executions == (99 + 76) * EXECUTIONS_HOSTS / 2); /* those that told last */
    v = tell(e, "host-99", recently(INT64_MAX, INT64_MAX), begin + 100);
    assert_true(v.executions > 0 && v.connected > 0 && v.executions < (int64_t)EXECUTIONS_HOSTS * INT32_MAX);
    executions_free(e);
}

static void a_restart_forgets_nothing(void **state)
{
    (void)state;
    char path[] = "/tmp/executions-test-XXXXXX", more[64];
    struct err err;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    struct executions_view v = {0};
    for (int run = 0; run < 2; run++) {
        struct store *s = store_open(path);
        struct executions *e = executions_new(s, 1024);
        assert_int_equal(store_start(s, &err), 0);
        if (run == 0)
            tell(e, "a", recently(40, 0), begin), tell(e, "b", recently(41, 2), begin);
        v = tell(e, "c", recently(42, 0), begin + 1);
        assert_true(store_close(s, 10000));
        executions_free(e);
    }
    assert_true(v.hosts == 3 && v.executions == 123 && v.connected == 2);
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        snprintf(more, sizeof more, "%s%s", path, suffixes[i]);
        unlink(more);
    }
}

int main(void)
{
    begin = (int64_t)time(NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_add_up),
        cmocka_unit_test(thirty_days_count),
        cmocka_unit_test(as_many_hosts_as_there_is_room_for),
        cmocka_unit_test(a_restart_forgets_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
