/* agent_recorded_test.c: what is pure in reading the kernel's records: which socket could be the one that was accepted, and paths. */
#include "agent/linux/describe.h"
#include "agent/linux/recorded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define AT(seconds)    ((int64_t)((seconds)*1e9))
#define SINCE(seconds) ((uint64_t)((seconds)*1e9))

static void chosen_by_time(void **state)
{
    (void)state;
    uint64_t cookie = 0;
    struct owner_sockets one = {.next = 1, .cookie = {7}, .established_ns = {SINCE(100)}};
    assert_int_equal(recorded_choose(&one, AT(100.001), AT(200), &cookie), RECORDED_ONE);
    assert_int_equal(cookie, 7);
    cookie = 0;
    assert_int_equal(recorded_choose(&one, AT(103), AT(200), &cookie), RECORDED_NONE); /* waited too long */
    assert_int_equal(recorded_choose(&one, AT(99), AT(200), &cookie), RECORDED_NONE);  /* a later one's */
    assert_int_equal(recorded_choose(&one, 0, AT(101), &cookie), RECORDED_ONE);        /* when: not told */
    cookie = 0;
    assert_int_equal(recorded_choose(&one, 0, AT(103), &cookie), RECORDED_NONE);
    assert_int_equal(cookie, 0);
}

static void several_name_nobody(void **state)
{
    (void)state;
    uint64_t cookie = 0;
    struct owner_sockets two = {.next = 2, .cookie = {7, 8}, .established_ns = {SINCE(100), SINCE(101)}};
    assert_int_equal(recorded_choose(&two, AT(101), AT(200), &cookie), RECORDED_SEVERAL);
    assert_int_equal(cookie, 0);
    assert_int_equal(recorded_choose(&two, AT(100.001), AT(200), &cookie), RECORDED_ONE);
    assert_int_equal(cookie, 7);
    assert_int_equal(recorded_choose(&two, AT(102.5), AT(200), &cookie), RECORDED_ONE);
    assert_int_equal(cookie, 8);
    struct owner_sockets round = {.next = 6,
                                  .cookie = {11, 12, 9, 10},
                                  .established_ns = {SINCE(104), SINCE(105), SINCE(102), SINCE(103)}};
    assert_int_equal(recorded_choose(&round, AT(104), AT(200), &cookie), RECORDED_SEVERAL);
    assert_int_equal(recorded_choose(&round, AT(102), AT(200), &cookie), RECORDED_ONE);
    assert_int_equal(cookie, 9);
}

static void check_path(const char *path)
{
    char parts[OWNER_PATH_BYTES + OWNER_PART_BYTES], back[4096];
    size_t used = recorded_path_write(path, parts, sizeof parts);
    assert_true(used > 0);
    assert_int_equal(recorded_path_read(parts, used, back, sizeof back), strlen(path));
    assert_string_equal(back, path);
}

static void paths_go_round(void **state)
{
    (void)state;
    char parts[64], out[64];
    check_path("/x");
    check_path("/usr/bin/curl");
    check_path("/a b/\xff/c (deleted)");
    assert_int_equal(recorded_path_write("relative", parts, sizeof parts), 0);
    assert_int_equal(recorded_path_write("/a//b", parts, sizeof parts), 0);
    assert_int_equal(recorded_path_write("/", parts, sizeof parts), 0);
    assert_int_equal(recorded_path_write("/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789",
                                         parts, sizeof parts),
                     0);
    assert_int_equal(recorded_path_read("", 0, out, sizeof out), 0);
    assert_int_equal(recorded_path_read("no end", 6, out, sizeof out), 0);
    assert_int_equal(recorded_path_read("a\0\0b", 5, out, sizeof out), 0); /* an empty part */
    assert_int_equal(recorded_path_read("0123456789\0abc", 15, out, 8), 0);
    assert_int_equal(recorded_path_read("curl\0bin\0usr", 13, out, sizeof out), 13);
    assert_string_equal(out, "/usr/bin/curl");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chosen_by_time),
        cmocka_unit_test(several_name_nobody),
        cmocka_unit_test(paths_go_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
