/* limits_test.c: limits a client and in all, IPv6 by /64, full buckets err toward refusing, threads agree. */
#include "flow/limits.h"
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
    struct limits *l = limits_new(100);
    struct ip a = address("192.0.2.1"), b = address("192.0.2.2");
    assert_int_equal(limits_client_enter(l, &a, 2, 3), LIMITS_ADMITTED);
    assert_int_equal(limits_client_enter(l, &a, 2, 3), LIMITS_ADMITTED);
    assert_int_equal(limits_client_enter(l, &a, 2, 3), LIMITS_OVER_ITS_OWN);
    assert_int_equal(limits_client_enter(l, &b, 2, 3), LIMITS_ADMITTED);
    assert_int_equal(limits_client_enter(l, &b, 2, 3), LIMITS_OVER_THE_TOTAL);
    limits_client_leave(l, &a);
    assert_int_equal(limits_client_enter(l, &b, 2, 3), LIMITS_ADMITTED);
    limits_client_leave(l, &a);
    limits_client_leave(l, &b);
    limits_client_leave(l, &b);
    assert_int_equal(limits_client_enter(l, &a, 1, 1), LIMITS_ADMITTED); /* nothing was left behind */
    limits_client_leave(l, &a);
    limits_free(l);
}

static void test_a_v6_host_is_its_64(void **state)
{
    (void)state;
    struct limits *l = limits_new(100);
    struct ip a = address("2001:db8:1:2::1"), same = address("2001:db8:1:2:ffff::9"),
              other = address("2001:db8:1:3::1");
    assert_int_equal(limits_client_enter(l, &a, 1, 10), LIMITS_ADMITTED);
    assert_int_equal(limits_client_enter(l, &same, 1, 10), LIMITS_OVER_ITS_OWN);
    assert_int_equal(limits_client_enter(l, &other, 1, 10), LIMITS_ADMITTED);
    limits_client_leave(l, &same);
    limits_client_leave(l, &other);
    limits_free(l);
}

/* Far more addresses than places: everyone is counted somewhere, some too strictly, and all of it comes back. */
static void test_a_crowd_is_bounded(void **state)
{
    (void)state;
    enum { CROWD = 20000 };
    struct limits *l = limits_new(10);
    static bool admitted[CROWD];
    for (int round = 0; round < 2; round++) {
        unsigned count = 0;
        for (uint32_t i = 0; i < CROWD; i++) {
            struct ip ip = numbered(i);
            enum limits_admission answer = limits_client_enter(l, &ip, 3, 1000000);
            assert_int_not_equal(answer, LIMITS_OVER_THE_TOTAL);
            admitted[i] = answer == LIMITS_ADMITTED;
            count += admitted[i];
        }
        assert_in_range(count, 64 * 8, 64 * (8 + 3)); /* entries, and three sharers a bucket */
        for (uint32_t i = 0; i < CROWD; i++) {
            struct ip ip = numbered(i);
            if (admitted[i])
                limits_client_leave(l, &ip);
        }
    }
    limits_free(l);
}

static void *come_and_go(void *argument)
{
    struct limits *l = argument;
    for (uint32_t i = 0; i < 20000; i++) {
        struct ip ip = numbered(i % 7);
        if (limits_client_enter(l, &ip, 3, 9) == LIMITS_ADMITTED)
            limits_client_leave(l, &ip);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    struct limits *l = limits_new(10);
    pthread_t threads[4];
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_create(&threads[i], NULL, come_and_go, l);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    for (uint32_t i = 0; i < 3; i++)
        for (uint32_t k = 0; k < 3; k++) {
            struct ip ip = numbered(i);
            assert_int_equal(limits_client_enter(l, &ip, 3, 9), LIMITS_ADMITTED);
        }
    limits_free(l);
}

static void test_requests_a_minute(void **state)
{
    (void)state;
    struct limits *l = limits_new(100);
    struct ip a = address("192.0.2.1"), b = address("192.0.2.2");
    for (int round = 0; round < 3; round++) {
        uint64_t now = 600000 + (uint64_t)round * 60000;
        for (int i = 0; i < 5; i++)
            assert_true(limits_client_request(l, &a, 5, now + (uint64_t)i));
        assert_false(limits_client_request(l, &a, 5, now + 59999));
        assert_true(limits_client_request(l, &b, 5, now + 59999));
    }
    for (uint32_t i = 0; i < 20000;
         i++) { /* a crowd shares what is left, and leaves connections' counts alone */
        struct ip ip = numbered(i);
        limits_client_request(l, &ip, 2, 10000000);
    }
    assert_true(limits_client_request(l, &a, 1, 20000000)); /* the crowd's minute is over */
    for (uint32_t i = 0; i < 40; i++) { /* nor do its entries make connections share a count */
        struct ip ip = numbered(i);
        assert_int_equal(limits_client_enter(l, &ip, 1, 1000), LIMITS_ADMITTED);
    }
    for (uint32_t i = 0; i < 40; i++) {
        struct ip ip = numbered(i);
        limits_client_leave(l, &ip);
    }
    limits_free(l);
}

static void test_senders(void **state)
{
    (void)state;
    struct limits *l = limits_new(100);
    const uint8_t curl[LIMITS_SENDER_BYTES] = {1}, git[LIMITS_SENDER_BYTES] = {2};
    assert_true(limits_sender_enter(l, curl, 1));
    assert_false(limits_sender_enter(l, curl, 1));
    assert_true(limits_sender_enter(l, git, 1));
    limits_sender_leave(l, curl);
    assert_true(limits_sender_enter(l, curl, 1));
    limits_sender_leave(l, curl);
    limits_sender_leave(l, git);
    limits_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_a_v6_host_is_its_64),
        cmocka_unit_test(test_a_crowd_is_bounded),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_requests_a_minute),
        cmocka_unit_test(test_senders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
