/* host_test.c: one canonical form of a host, and every fault with a near miss that is fine. */
#include "base/must.h"
#include "wire/host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define L63  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define L61  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define N253 L63 "." L63 "." L63 "." L61

static void canonical_forms(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
        bool is_ip;
    } rows[] = {
        {"Example.COM", "example.com", false},
        {"example.com.", "example.com", false},
        {"a", "a", false},
        {"_dmarc.example", "_dmarc.example", false},
        {"_", "_", false},
        {"xn--bcher-kva.example", "xn--bcher-kva.example", false},
        {"a--b.example", "a--b.example", false},
        {"1.example", "1.example", false},
        {"1.2.3.4a", "1.2.3.4a", false},
        {"0x7f.example", "0x7f.example", false},
        {"1.2.3.0xg", "1.2.3.0xg", false},
        {"3com", "3com", false},
        {L63 ".a", L63 ".a", false},
        {N253, N253, false},
        {N253 ".", N253, false},
        {"192.0.2.1", "192.0.2.1", true},
        {"[2001:DB8::1]", "2001:db8::1", true},
        {"[::ffff:192.0.2.1]", "192.0.2.1", true},
        {"[::]", "::", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct host h;
        assert_int_equal(host_canonical(span_str(rows[i].in), &h), HOST_OK);
        assert_string_equal(h.name, rows[i].out);
        assert_int_equal(h.len, strlen(rows[i].out));
        assert_int_equal(h.is_ip, rows[i].is_ip);
        assert_int_equal(h.ip.version != 0, rows[i].is_ip);
    }
}

static void faults(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        enum host_fault fault;
    } rows[] = {
        {"", HOST_EMPTY},
        {L63 "a.b", HOST_LABEL_TOO_LONG},
        {N253 "a", HOST_TOO_LONG},
        {".", HOST_LABEL_EMPTY},
        {"..", HOST_LABEL_EMPTY},
        {".a", HOST_LABEL_EMPTY},
        {"a..", HOST_LABEL_EMPTY},
        {"a..b", HOST_LABEL_EMPTY},
        {"-a", HOST_HYPHEN},
        {"a-.b", HOST_HYPHEN},
        {"-", HOST_HYPHEN},
        {"b\xc3\xbc"
         "cher.example",
         HOST_NOT_ASCII},
        {"example\xe3\x80\x82"
         "com",
         HOST_NOT_ASCII},
        {"a b", HOST_CHARACTER},
        {"a/b", HOST_CHARACTER},
        {"a@b", HOST_CHARACTER},
        {"a%62", HOST_CHARACTER},
        {"*.example", HOST_CHARACTER},
        {"a\tb", HOST_CHARACTER},
        {"a\r\n", HOST_CHARACTER},
        {"127.1", HOST_IPV4_FORM},
        {"2130706433", HOST_IPV4_FORM},
        {"0x7f000001", HOST_IPV4_FORM},
        {"0x7f.1", HOST_IPV4_FORM},
        {"0177.0.0.1", HOST_IPV4_FORM},
        {"127.0.0.01", HOST_IPV4_FORM},
        {"1.2.3.4.", HOST_IPV4_FORM},
        {"1.2.3.4.5", HOST_IPV4_FORM},
        {"1.2.3.256", HOST_IPV4_FORM},
        {"example.0x", HOST_IPV4_FORM},
        {"example.0X1F", HOST_IPV4_FORM},
        {"example.1", HOST_IPV4_FORM},
        {"::1", HOST_IPV6_BRACKETS},
        {"[]", HOST_IPV6_FORM},
        {"[", HOST_IPV6_FORM},
        {"[1.2.3.4]", HOST_IPV6_FORM},
        {"[::1", HOST_IPV6_FORM},
        {"[:::]", HOST_IPV6_FORM},
        {"[v1.a]", HOST_IPV6_FORM},
        {"[fe80::1%25eth0]", HOST_IPV6_ZONE},
        {"[fe80::1%eth0]", HOST_IPV6_ZONE},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct host h = {.len = 77};
        enum host_fault fault = host_canonical(span_str(rows[i].in), &h);
        if (fault != rows[i].fault)
            fail_msg("\"%s\": %s", rows[i].in, host_fault_name(fault));
        assert_int_equal(h.len, 77);
        assert_true(strlen(host_fault_text(fault)) > 5);
    }
    assert_int_equal(host_canonical(span_of("a\0b", 3), &(struct host){0}), HOST_CHARACTER);
    assert_int_equal(host_canonical(span_of(NULL, 0), &(struct host){0}), HOST_EMPTY);
}

static void bare_form(void **state)
{
    (void)state;
    struct host h;
    assert_int_equal(host_canonical_bare(span_str("2001:db8:0::1"), &h), HOST_OK);
    assert_string_equal(h.name, "2001:db8::1");
    assert_int_equal(host_canonical_bare(span_str("::ffff:10.0.0.1"), &h), HOST_OK);
    assert_string_equal(h.name, "10.0.0.1");
    assert_int_equal(host_canonical_bare(span_str("Example.com."), &h), HOST_OK);
    assert_string_equal(h.name, "example.com");
    assert_int_equal(host_canonical_bare(span_str("fe80::1%eth0"), &h), HOST_IPV6_ZONE);
    assert_int_equal(host_canonical_bare(span_str("[::1]"), &h), HOST_IPV6_FORM);
    assert_int_equal(host_canonical_bare(span_str("a:80"), &h), HOST_IPV6_FORM);
}

static void authorities(void **state)
{
    (void)state;
    static const struct {
        const char *in, *name;
        enum host_fault fault;
        uint16_t preset, port;
        bool had;
    } rows[] = {
        {"example.com:443", "example.com", HOST_OK, 80, 443, true},
        {"example.com", "example.com", HOST_OK, 80, 80, false},
        {"[::1]:1", "::1", HOST_OK, 80, 1, true},
        {"[::1]", "::1", HOST_OK, 80, 80, false},
        {"1.2.3.4:65535", "1.2.3.4", HOST_OK, 0, 65535, true},
        {"example.com.:80", "example.com", HOST_OK, 0, 80, true},
        {"example.com", NULL, HOST_PORT_MISSING, 0, 0, false},
        {"[::1]", NULL, HOST_PORT_MISSING, 0, 0, false},
        {"example.com:", NULL, HOST_PORT, 80, 0, false},
        {"example.com:0", NULL, HOST_PORT, 80, 0, false},
        {"example.com:00080", NULL, HOST_PORT, 80, 0, false},
        {"example.com:65536", NULL, HOST_PORT, 80, 0, false},
        {"example.com:100000", NULL, HOST_PORT, 80, 0, false},
        {"example.com:+80", NULL, HOST_PORT, 80, 0, false},
        {"example.com: 80", NULL, HOST_PORT, 80, 0, false},
        {"example.com:80 ", NULL, HOST_PORT, 80, 0, false},
        {"example.com:8a", NULL, HOST_PORT, 80, 0, false},
        {":80", NULL, HOST_EMPTY, 80, 0, false},
        {"", NULL, HOST_EMPTY, 80, 0, false},
        {"::1:80", NULL, HOST_EMPTY, 80, 0, false},
        {"2001:db8::1", NULL, HOST_IPV6_BRACKETS, 80, 0, false},
        {"a:80:90", NULL, HOST_IPV6_BRACKETS, 80, 0, false},
        {"[::1]80", NULL, HOST_CHARACTER, 80, 0, false},
        {"[::1]:80:90", NULL, HOST_PORT, 80, 0, false},
        {"user@example.com:80", NULL, HOST_CHARACTER, 80, 0, false},
        {"user:pw@example.com:80", NULL, HOST_IPV6_BRACKETS, 80, 0, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct host h = {.len = 77};
        uint16_t port = 7;
        bool had = !rows[i].had;
        enum host_fault fault = host_port_parse(span_str(rows[i].in), rows[i].preset, &h, &port, &had);
        if (fault != rows[i].fault)
            fail_msg("\"%s\": %s", rows[i].in, host_fault_name(fault));
        if (fault != HOST_OK) {
            assert_int_equal(h.len, 77);
            assert_int_equal(port, 7);
            continue;
        }
        assert_string_equal(h.name, rows[i].name);
        assert_int_equal(port, rows[i].port);
        assert_int_equal(had, rows[i].had);
    }
    assert_int_equal(host_port_parse(span_of(NULL, 0), 80, &(struct host){0}, &(uint16_t){0}, NULL),
                     HOST_EMPTY);
}

static void within(void **state)
{
    (void)state;
    static const struct {
        const char *host, *domain;
        bool in;
    } rows[] = {
        {"example.com", "example.com", true},
        {"a.example.com", "example.com", true},
        {"notexample.com", "example.com", false},
        {"example.com", "a.example.com", false},
        {"example.com", "com", true},
        {"192.0.2.1", "2.1", false},
        {"example.com", "", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct host h;
        assert_int_equal(host_canonical(span_str(rows[i].host), &h), HOST_OK);
        assert_int_equal(host_is_within(&h, rows[i].domain), rows[i].in);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(canonical_forms), cmocka_unit_test(faults), cmocka_unit_test(bare_form),
        cmocka_unit_test(authorities),     cmocka_unit_test(within),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
