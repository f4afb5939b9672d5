/* anomaly_test.c: for each anomaly a hello alone can show: hellos that show it, and near ones that don't. */
#include "hello_build.h"

#include "facts/anomaly.h"
#include "facts/registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static struct hello_bytes bytes;

static const struct hello_context context_good = {"example.net", 443, false};

static struct anomaly_set look(const struct hello_plan *plan, const struct hello_context *ctx)
{
    struct anomaly_set set = {0};
    struct client_hello h;
    struct hello_error error;
    assert_int_equal(client_hello_parse(hello_build(plan, &bytes), &h, &error), PARSE_OK);
    anomaly_from_hello(&h, ctx, &set);
    return set;
}

/* `ids` is "H12 H17" or "". */
static void expect_set(const struct anomaly_set *set, const char *ids)
{
    char found[512] = "";
    for (enum anomaly a = anomaly_set_next(set, 0); a != ANOMALY_NONE; a = anomaly_set_next(set, a + 1)) {
        strcat(found, found[0] ? " " : "");
        strcat(found, anomaly_table[a].id);
    }
    assert_string_equal(found, ids);
}

static void expect_plan(const struct hello_plan *plan, const struct hello_context *ctx, const char *ids)
{
    struct anomaly_set set = look(plan, ctx);
    expect_set(&set, ids);
}

static void test_good_shows_nothing(void **state)
{
    (void)state;
    struct hello_plan plan = hello_plan_good();
    expect_plan(&plan, NULL, "");
    expect_plan(&plan, &context_good, "");
}

/* One extension put in place of the good one, or added. */
static void test_extensions(void **state)
{
    (void)state;
    static uint8_t padding[4 + 501] = {0, 21, 501 >> 8, 501 & 255},
                               less[4 + 500] = {0, 21, 500 >> 8, 500 & 255};
    const struct {
        struct span extension;
        const char *ids;
    } cases[] = {
        {BYTES("\x00\x2a\x00\x01x"), "H07 H29"},
        {BYTES("\x00\x2a\x00\x00"), "H29"},
        {BYTES("\x00\x00\x00\x0a\x00\x08\x00\x00\x01x\x00\x00\x01y"), "H10"},
        {BYTES("\x00\x00\x00\x06\x00\x04\x00\x00\x01x"), ""},
        {BYTES("\x00\x00\x00\x00"), "H07 H11"},
        {BYTES("\x00\x00\x00\x06\x00\x04\x01\x00\x01x"), "H07 H11"},
        {BYTES("\x00\x00\x00\x07\x00\x05\x00\x00\x02x."), "H11"},
        {BYTES("\x00\x00\x00\x08\x00\x06\x00\x00\x03x.y"), ""},
        {BYTES("\x00\x00\x00\x08\x00\x06\x00\x00\x03x\x00y"), "H11"},
        {BYTES("\x00\x00\x00\x08\x00\x06\x00\x00\x03x/y"), "H11"},
        {BYTES("\x00\x00\x00\x08\x00\x06\x00\x00\x03x_y"), ""},
        {BYTES("\x00\x00\x00\x08\x00\x06\x00\x00\x03x.."), "H11"},
        {BYTES("\x00\x00\x00\x08\x00\x06\x00\x00\x03\xc3\xa4y"), "H11"},
        {BYTES("\x00\x00\x00\x0c\x00\x0a\x00\x00\x07"
               "1.2.3.4"),
         "H13"},
        {BYTES("\x00\x00\x00\x08\x00\x06\x00\x00\x03"
               "::1"),
         "H13"},
        {BYTES("\x00\x00\x00\x0a\x00\x08\x00\x00\x05"
               "127.1"),
         "H13"},
        {BYTES("\x00\x00\x00\x09\x00\x07\x00\x00\x04"
               "0x7f"),
         "H13"},
        {BYTES("\x00\x00\x00\x0b\x00\x09\x00\x00\x06"
               "1.2.3x"),
         ""},
        {BYTES("\x00\x00\x00\x0a\x00\x08\x00\x00\x05[::1]"), "H11 H13"},
        {BYTES("\x00\x00\x00\x0a\x00\x08\x00\x00\x05\x00.1.1"), "H11 H13"},
        {BYTES("\x00\x10\x00\x06\x00\x04\x03h99"), "H17"},
        {BYTES("\x00\x10\x00\x0b\x00\x09\x08HTTP/1.1"), "H17"},
        {BYTES("\x00\x10\x00\x05\x00\x03\x02\xff\xfe"), "H17"},
        {BYTES("\x00\x10\x00\x05\x00\x03\x02\x1a\x1a"), ""},
        {BYTES("\x00\x10\x00\x05\x00\x03\x02h3"), ""},
        {BYTES("\x00\x2b\x00\x05\x04\x03\x02\x03\x01"), "H18"},
        {BYTES("\x00\x2b\x00\x05\x04\x03\x03\x03\x01"), ""},
        {BYTES("\x00\x0a\x00\x06\x00\x04\x00\x13\x00\x01"), "H20"},
        {BYTES("\x00\x0a\x00\x06\x00\x04\x00\x13\x0a\x0a"), "H20"},
        {BYTES("\x00\x0a\x00\x06\x00\x04\x00\x13\x00\x17"), ""},
        {BYTES("\x00\x0f\x00\x01\x01"), "H24"},
        {BYTES("\xfe\x0d\x00\x01\x00"), "H30"},
        {span_of(padding, sizeof padding), "H35"},
        {span_of(less, sizeof less), ""},
        {BYTES("\x00\x15\x00\x02\x00x"), "H07"},
        {BYTES("\x00\x3f\x00\x00"), "H36"},
        {BYTES("\xff\x00\x00\x00"), "H36"},
        {BYTES("\x0a\x1a\x00\x00"), "H36"},
        {BYTES("\x0a\x0a\x00\x00"), ""},
        {BYTES("\x44\x69\x00\x00"), ""}, /* application_settings */
        {BYTES("\xff\x01\x00\x01\x00"), ""},
        {BYTES("\xff\x01\x00\x02\x01x"), "H39"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct hello_plan plan = hello_plan_good();
        hello_plan_set(&plan, cases[i].extension);
        expect_plan(&plan, NULL, cases[i].ids);
    }
}

static void test_absent_extensions(void **state)
{
    (void)state;
    struct hello_plan plan = hello_plan_good();
    hello_plan_drop(&plan, 0);
    expect_plan(&plan, NULL, "H12 H17"); /* h2 without a server name */
    hello_plan_set(&plan, BYTES("\x00\x10\x00\x0b\x00\x09\x08http/1.1"));
    expect_plan(&plan, NULL, "H12");
    hello_plan_add(&plan, BYTES("\x00\x17\x00\x00"));
    hello_plan_add(&plan, BYTES("\x00\x17\x00\x00"));
    expect_plan(&plan, NULL, "H10 H12");
}

static void test_suites(void **state)
{
    (void)state;
    const struct {
        struct span suites;
        const char *ids;
    } cases[] = {
        {BYTES(""), "H07"},
        {BYTES("\xc0\x2b\x00\x0a"), "H19"},         /* 3DES */
        {BYTES("\xc0\x2b\x00\x05"), "H19"},         /* RC4 */
        {BYTES("\xc0\x2b\xc0\x18"), "H19"},         /* anonymous */
        {BYTES("\xc0\x2b\x00\x3b"), "H19"},         /* NULL */
        {BYTES("\xc0\x2b\x00\x03"), "H19"},         /* EXPORT */
        {BYTES("\x00\x2f\x00\x9c\x00\xff"), "H20"}, /* RSA only */
        {BYTES("\x1a\x1a\x00\x2f"), "H20"},
        {BYTES("\x00\x2f\x00\x9e"), ""}, /* and DHE */
        {BYTES("\x00\x04"), "H19 H20"},
        {BYTES("\xc0\x2f\x56\x00"), "H21"},
        {BYTES("\xc0\x2f\x00\xff"), ""},
        {BYTES("\xff\xff\x20\x20"), "H34"},
        {BYTES("\xff\xff\x00\xff\x0a\x0a"), "H34"},
        {BYTES("\xff\xff\x13\x01"), ""},
        {BYTES("\x0a\x0a"), ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct hello_plan plan = hello_plan_good();
        plan.suites = cases[i].suites;
        expect_plan(&plan, NULL, cases[i].ids);
    }
}

static void test_fixed_part(void **state)
{
    (void)state;
    static const char printable[] = "correct horse battery staple 123", zeros[33] = "";
    uint8_t counting[32];
    for (uint8_t i = 0; i < sizeof counting; i++)
        counting[i] = i;
    const struct {
        struct span random, session_id, compression;
        const char *ids;
    } cases[] = {
        {span_of(printable, 32), BYTES(""), BYTES("\x00"), "H37"},
        {span_of(zeros, 32), BYTES(""), BYTES("\x00"), "H37"},
        {span_of(counting, 32), BYTES(""), BYTES("\x00"), "H37"},
        {BYTES(RANDOM_GOOD), span_of(zeros, 32), BYTES("\x00"), "H37"},
        {BYTES(RANDOM_GOOD), BYTES("\x01\x02\x03\x04\x05\x06\x07\x08"), BYTES("\x00"), ""},
        {BYTES(RANDOM_GOOD), BYTES(""), BYTES("\x01\x00"), "H38"},
        {BYTES(RANDOM_GOOD), BYTES(""), BYTES(""), "H07"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct hello_plan plan = hello_plan_good();
        plan.random = cases[i].random;
        plan.session_id = cases[i].session_id;
        plan.compression = cases[i].compression;
        expect_plan(&plan, NULL, cases[i].ids);
    }
    struct hello_plan plan = hello_plan_good();
    hello_plan_drop(&plan, 43);
    plan.legacy_version = 0x0302;
    expect_plan(&plan, NULL, "H18");
    plan.legacy_version = 0x0303;
    expect_plan(&plan, NULL, "");
}

/* Random bytes hardly ever look odd. */
static void test_random_is_not_odd(void **state)
{
    (void)state;
    uint32_t x = 12345;
    for (unsigned round = 0; round < 20000; round++) {
        uint8_t random[32];
        for (size_t i = 0; i < sizeof random; i++) {
            x = x * 1664525u + 1013904223u;
            random[i] = (uint8_t)(x >> 24);
        }
        struct hello_plan plan = hello_plan_good();
        plan.random = plan.session_id = span_of(random, sizeof random);
        expect_plan(&plan, NULL, "");
    }
}

static void test_context(void **state)
{
    (void)state;
    const struct {
        struct span sni; /* NULL: the good one; empty: none */
        struct hello_context ctx;
        const char *ids;
    } cases[] = {
        {{NULL, 0}, {"example.net", 443, false}, ""},
        {{NULL, 0}, {"other.example", 443, false}, "H14"},
        {{NULL, 0}, {"xample.net", 443, false}, "H14"},
        {{NULL, 0}, {"192.0.2.1", 443, true}, "H15"},
        {{NULL, 0}, {"example.net", 8443, false}, ""},
        {{NULL, 0}, {"example.net", 80, false}, "H44"},
        {{NULL, 0}, {NULL, 0, false}, ""},
        {BYTES("\x00\x00\x00\x10\x00\x0e\x00\x00\x0b"
               "EXAMPLE.net"),
         {"example.net", 443, false},
         ""},
        {BYTES("\x00\x00\x00\x11\x00\x0f\x00\x00\x0c"
               "example.net."),
         {"example.net", 443, false},
         "H11"},
        {BYTES("\x00\x00\x00\x0c\x00\x0a\x00\x00\x07"
               "1.2.3.4"),
         {"example.net", 443, false},
         "H13 H14"},
        {BYTES("\x00\x00\x00\x0c\x00\x0a\x00\x00\x07"
               "1.2.3.4"),
         {"1.2.3.4", 443, true},
         "H13 H15"},
        {BYTES("\x00\x00\x00\x0c\x00\x0a\x00\x00\x07"
               "1.2.3.4"),
         {"1.2.3.5", 443, true},
         "H13 H14 H15"},
        {BYTES("\x00\x00\x00\x08\x00\x06\x00\x00\x03"
               "::1"),
         {"::1", 443, true},
         "H13 H15"},
        {BYTES("\x00\x00\x00\x1e\x00\x1c\x00\x00\x0b"
               "example.net\x00\x00\x0b"
               "evilhost.xx"),
         {"example.net", 443, false},
         "H10 H14"},
        {BYTES("\x00\x00\x00\x11\x00\x0e\x00\x00\x0b"
               "example.netx"),
         {"example.net", 443, false},
         "H07 H11 H14"},
        {BYTES("\x00\x00\x00\x00"), {"example.net", 443, false}, "H07 H11"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct hello_plan plan = hello_plan_good();
        if (cases[i].sni.data)
            hello_plan_set(&plan, cases[i].sni);
        expect_plan(&plan, &cases[i].ctx, cases[i].ids);
    }
    struct hello_plan plan = hello_plan_good();
    hello_plan_drop(&plan, 16);
    expect_plan(&plan, &context_good, "H16");
    expect_plan(&plan, &(struct hello_context){"example.net", 8443, false}, "");
    expect_plan(&plan, NULL, "");
    plan = hello_plan_good(); /* a second extension with another name */
    hello_plan_add(&plan, BYTES("\x00\x00\x00\x06\x00\x04\x00\x00\x01x"));
    expect_plan(&plan, &context_good, "H10 H14");
    plan = hello_plan_good(); /* no name: nothing to compare */
    hello_plan_drop(&plan, 0);
    hello_plan_drop(&plan, 16);
    expect_plan(&plan, &context_good, "H12 H16");
}

static void expect_reader(struct span all, const struct hello_context *ctx, const char *ids)
{
    struct anomaly_set set = {0};
    struct hello_reader r = {0};
    hello_reader_feed(&r, all);
    anomaly_from_reader(&r, ctx, &set);
    expect_set(&set, ids);
}

static void expect_wrapped(size_t record_bytes, uint16_t version, const char *ids)
{
    struct hello_plan plan = hello_plan_good();
    struct span all = hello_wrap(hello_build(&plan, &bytes), record_bytes, version);
    expect_reader(all, NULL, ids);
    free((void *)all.data);
}

static void test_reader(void **state)
{
    (void)state;
    const struct hello_context other_port = {"example.net", 8080, false}, address = {"192.0.2.1", 443, true};
    expect_wrapped(16384, 0x0301, "");
    expect_wrapped(16384, 0x0300, "H03");
    expect_wrapped(16384, 0x0304, "H03");
    expect_wrapped(64, 0x0301, "");
    expect_wrapped(30, 0x0301, "H35");
    expect_wrapped(1, 0x0303, "H35");
    expect_reader(BYTES("GET / HTTP/1.1\r\n"), NULL, "H01");
    expect_reader(BYTES("GET / HTTP/1.1\r\n"), &other_port, "H01");
    expect_reader(BYTES("GET / HTTP/1.1\r\n"), &context_good, "H01 H44 H45");
    expect_reader(BYTES("PRI * HTTP/2.0\r\n"), &context_good, "H01 H44 H45");
    expect_reader(BYTES("SSH-2.0-x"), &context_good, "H01 H44");
    expect_reader(BYTES("SSH-2.0-x"), &address, "H01 H15 H44");
    expect_reader(BYTES("\x16\x05\x00"), NULL, "H03");
    expect_reader(BYTES("\x16\x03\x01\x00\x01\x01\x63"), NULL, "H04");
    expect_reader(BYTES("\x16\x03\x01\x48\x01"), NULL, "H05");
    expect_reader(BYTES("\x16\x03\x01\x00\x00"), NULL, "H05");
    expect_reader(BYTES("\x16\x03\x01\x40\x01"), NULL, "H05");
    expect_reader(BYTES("\x16\x03\x01\x40\x00"), NULL, "");
    expect_reader(BYTES("\x80\x2e\x01\x03\x01"), NULL, "H06");
    expect_reader(BYTES("\x16\x03\x01\x00\x04\x01\x01\x00\x00"), NULL, "H07");
    expect_reader(BYTES("\x15\x03\x01\x00\x02"), NULL, "H08");
    expect_reader(BYTES("\x16\x03\x01\x00\x04\x02"), NULL, "H08");
    expect_reader(BYTES("\x16\x03\x01\x00\x06\x01\x00\x00\x00\x14\x00"), NULL, "H08"); /* a second message */
}

static void test_faults(void **state)
{
    (void)state;
    for (enum hello_fault f = HELLO_FAULT_FIXED_PART; f < HELLO_FAULT_COUNT; f++) {
        struct anomaly_set set = {0};
        anomaly_from_fault(f, &set);
        expect_set(&set, "H07");
    }
    struct anomaly_set set = {0};
    anomaly_from_fault(HELLO_FAULT_NONE, &set);
    assert_true(anomaly_set_is_empty(&set));
}

static void test_table_and_set(void **state)
{
    (void)state;
    struct anomaly_set a = {0}, b = {0};
    for (unsigned i = 0; i < ANOMALY_COUNT; i++) {
        assert_true(i == 0 || strcmp(anomaly_table[i - 1].id, anomaly_table[i].id) < 0);
        assert_true(anomaly_table[i].name[0] && anomaly_table[i].doc[0]);
    }
    assert_true(anomaly_set_is_empty(&a));
    anomaly_set_add(&a, ANOMALY_H45);
    anomaly_set_add(&b, ANOMALY_H01);
    anomaly_set_merge(&a, &b);
    expect_set(&a, "H01 H45");
    assert_true(anomaly_set_has(&a, ANOMALY_H45));
    assert_false(anomaly_set_has(&b, ANOMALY_H45));
}

static void test_registry(void **state)
{
    (void)state;
    enum suite_kind before = SUITE_UNKNOWN;
    unsigned known = 0;
    for (unsigned v = 0; v <= 0xffff; v++) {
        before = registry_suite_kind((uint16_t)v);
        known += before != SUITE_UNKNOWN;
        assert_false(before != SUITE_UNKNOWN && hello_is_grease((uint16_t)v));
    }
    assert_int_equal(known, 359);
    assert_int_equal(registry_suite_kind(0x1301), SUITE_EPHEMERAL);
    assert_int_equal(registry_suite_kind(0x002f), SUITE_STATIC);
    assert_int_equal(registry_suite_kind(0x0000), SUITE_WEAK_STATIC);
    assert_int_equal(registry_suite_kind(0x001c), SUITE_UNKNOWN);
    assert_int_equal(registry_suite_kind(0xd005), SUITE_EPHEMERAL);
    assert_int_equal(registry_suite_kind(0xd004), SUITE_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_shows_nothing),
        cmocka_unit_test(test_extensions),
        cmocka_unit_test(test_absent_extensions),
        cmocka_unit_test(test_suites),
        cmocka_unit_test(test_fixed_part),
        cmocka_unit_test(test_random_is_not_odd),
        cmocka_unit_test(test_context),
        cmocka_unit_test(test_reader),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_table_and_set),
        cmocka_unit_test(test_registry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
