/* client_limits_test.c: limits a client and in all, IPv6 by /64, full buckets err toward refusing, threads agree. */
#include "flow/client_limits.h"
#include "base/must.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct ip address(const char *text)
{
    struct ip ip;
    assert_true(ip_parse(span_str(text), &ip));
    return ip;
}

static struct ip numbered(uint32_t n)
{
    return (struct ip){.version = 4, .bytes = {10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n}};
}

static void test_limits(void **state)
{
    (void)state;
    struct client_limits *l = client_limits_new(100);
    struct ip a = address("192.0.2.1"), b = address("192.0.2.2");
    assert_int_equal(client_limits_enter(l, &a, 2, 3), CLIENT_ADMITTED);
    assert_int_equal(client_limits_enter(l, &a, 2, 3), CLIENT_ADMITTED);
    assert_int_equal(client_limits_enter(l, &a, 2, 3), CLIENT_OVER_ITS_LIMIT);
    assert_int_equal(client_limits_enter(l, &b, 2, 3), CLIENT_ADMITTED);
    assert_int_equal(client_limits_enter(l, &b, 2, 3), CLIENT_OVER_THE_TOTAL);
    client_limits_leave(l, &a);
    assert_int_equal(client_limits_enter(l, &b, 2, 3), CLIENT_ADMITTED);
    client_limits_leave(l, &a);
    client_limits_leave(l, &b);
    client_limits_leave(l, &b);
    assert_int_equal(client_limits_enter(l, &a, 1, 1), CLIENT_ADMITTED); /* nothing was left behind */
    client_limits_leave(l, &a);
    client_limits_free(l);
}

static void test_a_v6_host_is_its_64(void **state)
{
    (void)state;
    struct client_limits *l = client_limits_new(100);
    struct ip a = address("2001:db8:1:2::1"), same = address("2001:db8:1:2:ffff::9"),
              other = address("2001:db8:1:3::1");
    assert_int_equal(client_limits_enter(l, &a, 1, 10), CLIENT_ADMITTED);
    assert_int_equal(client_limits_enter(l, &same, 1, 10), CLIENT_OVER_ITS_LIMIT);
    assert_int_equal(client_limits_enter(l, &other, 1, 10), CLIENT_ADMITTED);
    client_limits_leave(l, &same);
    client_limits_leave(l, &other);
    client_limits_free(l);
}

/* Far more addresses than places: everyone is counted somewhere, some too strictly, and all of it comes back. */
static void test_a_crowd_is_bounded(void **state)
{
    (void)state;
    enum { CROWD = 20000 };
    struct client_limits *l = client_limits_new(10);
    static bool admitted[CROWD];
    for (int round = 0; round < 2; round++) {
        unsigned count = 0;
        for (uint32_t i = 0; i < CROWD; i++) {
            struct ip ip = numbered(i);
            enum client_admission answer = client_limits_enter(l, &ip, 3, 1000000);
            assert_int_not_equal(answer, CLIENT_OVER_THE_TOTAL);
            admitted[i] = answer == CLIENT_ADMITTED;
            count += admitted[i];
        }
        assert_in_range(count, 64 * 8, 64 * (8 + 3)); /* entries, and three sharers a bucket */
        for (uint32_t i = 0; i < CROWD; i++) {
            struct ip ip = numbered(i);
            if (admitted[i])
                client_limits_leave(l, &ip);
        }
    }
    client_limits_free(l);
}

static void *come_and_go(void *argument)
{
    struct client_limits *l = argument;
    for (uint32_t i = 0; i < 20000; i++) {
        struct ip ip = numbered(i % 7);
        if (client_limits_enter(l, &ip, 3, 9) == CLIENT_ADMITTED)
            client_limits_leave(l, &ip);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    struct client_limits *l = client_limits_new(10);
    pthread_t threads[4];
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_create(&threads[i], NULL, come_and_go, l);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    for (uint32_t i = 0; i < 3; i++)
        for (uint32_t k = 0; k < 3; k++) {
            struct ip ip = numbered(i);
            assert_int_equal(client_limits_enter(l, &ip, 3, 9), CLIENT_ADMITTED);
        }
    client_limits_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_a_v6_host_is_its_64),
        cmocka_unit_test(test_a_crowd_is_bounded),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
