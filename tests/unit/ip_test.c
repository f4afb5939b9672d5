/* ip_test.c: addresses are read strictly and written canonically, and the borders of every special-purpose range. */
#include "base/ip.h"
#include "base/must.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct ip ip_of(const char *text)
{
    struct ip ip = {0};
    if (!ip_parse(span_str(text), &ip))
        fail_msg("%s is an address", text);
    return ip;
}

static void reads_and_writes(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"0.0.0.0", "0.0.0.0"},
        {"255.255.255.255", "255.255.255.255"},
        {"::", "::"},
        {"::1", "::1"},
        {"1::", "1::"},
        {"2001:DB8::A", "2001:db8::a"},
        {"2001:0db8:0000:0000:0001:0000:0000:0001", "2001:db8::1:0:0:1"},
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
        {"1:0:0:2:0:0:0:3", "1:0:0:2::3"},
        {"0:0:0:0:0:0:0:0", "::"},
        {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
        {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
        {"::ffff:1.2.3.4", "1.2.3.4"},
        {"::ffff:102:304", "1.2.3.4"},
        {"64:ff9b::1.2.3.4", "64:ff9b::102:304"},
        {"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[IP_TEXT_BYTES];
        struct ip ip = ip_of(rows[i].in), again;
        assert_string_equal(ip_format(&ip, text), rows[i].out);
        assert_true(ip_parse(span_str(text), &again));
        assert_true(ip_equal(&ip, &again));
    }
}

static void refuses(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "1",
        "1.2.3",
        "1.2.3.4.",
        "1.2.3.4.5",
        "01.2.3.4",
        "1.2.3.256",
        "1.2.3.-4",
        "1.2.3.0x4",
        " 1.2.3.4",
        "1.2.3.4 ",
        "1..2.3",
        "0x7f.0.0.1",
        "2130706433",
        ":",
        ":::",
        "1::2::3",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "1:2:3:4:5:6:7:8::",
        "12345::",
        "::g",
        "[::1]",
        "fe80::1%lo",
        "::1.2.3",
        "1.2.3.4::",
        "::1.2.3.4:5",
        "1:2:3:4:5:6:7:1.2.3.4",
        ":1::2",
        "1::2:",
        "::01.2.3.4",
        "1:2:3:4::5:6:7:8",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ip ip = {.version = 9};
        if (ip_parse(span_str(rows[i]), &ip))
            fail_msg("\"%s\" was taken", rows[i]);
        assert_int_equal(ip.version, 9);
    }
    assert_false(ip_parse(span_of(NULL, 0), &(struct ip){0}));
    assert_false(ip_parse(span_of("1.2.3.4\0", 8), &(struct ip){0}));
}

static void networks(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "/8",
                                      "10.0.0.1/8",
                                      "10.0.0.0/33",
                                      "10.0.0.0/",
                                      "10.0.0.0/08",
                                      "10.0.0.0/8 ",
                                      "10.0.0.0/-1",
                                      "::1/127",
                                      "::/129",
                                      "10.0.0.0/8/8",
                                      "10/8",
                                      "::ffff:0:0/90",
                                      "::ffff:10.0.0.1/104"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (ip_network_parse(span_str(bad[i]), &(struct ip_network){0}))
            fail_msg("\"%s\" was taken", bad[i]);
    static const struct {
        const char *net, *ip;
        bool in;
    } rows[] = {
        {"10.0.0.0/8", "10.255.255.255", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"0.0.0.0/0", "255.1.2.3", true},
        {"0.0.0.0/0", "::1", false},
        {"::/0", "1.2.3.4", false},
        {"::/0", "ff::", true},
        {"1.2.3.4", "1.2.3.4", true},
        {"1.2.3.4", "1.2.3.5", false},
        {"fe80::/10", "febf::1", true},
        {"fe80::/10", "fec0::", false},
        {"::ffff:10.0.0.0/104", "10.1.2.3", true},
        {"198.18.0.0/15", "198.19.255.255", true},
        {"198.18.0.0/15", "198.20.0.0", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ip_network net;
        struct ip ip = ip_of(rows[i].ip);
        assert_true(ip_network_parse(span_str(rows[i].net), &net));
        if (ip_in(&ip, &net) != rows[i].in)
            fail_msg("%s in %s", rows[i].ip, rows[i].net);
    }
    struct ip none = {0};
    assert_false(ip_in(&none, &(struct ip_network){0}));
}

static void endpoints(void **state)
{
    (void)state;
    static const char *const good[] = {"1.2.3.4:80", "[::1]:65535", "[2001:db8::1]:1"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct endpoint e;
        char text[ENDPOINT_TEXT_BYTES];
        assert_true(endpoint_parse(span_str(good[i]), &e));
        assert_string_equal(endpoint_format(&e, text), good[i]);
    }
    struct endpoint folded;
    char text[ENDPOINT_TEXT_BYTES];
    assert_true(endpoint_parse(span_str("[::ffff:1.2.3.4]:5"), &folded));
    assert_string_equal(endpoint_format(&folded, text), "1.2.3.4:5");
    static const char *const bad[] = {
        "",        ":",     "1.2.3.4", "1.2.3.4:",     "1.2.3.4:0", "1.2.3.4:65536", "1.2.3.4:080",
        "::1:80",  "[::1]", "[::1]80", "[1.2.3.4]:80", "[]:80",     "1.2.3.4:+80",   "1.2.3.4: 80",
        "[::1:80", "x:80"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (endpoint_parse(span_str(bad[i]), &(struct endpoint){0}))
            fail_msg("\"%s\" was taken", bad[i]);
}

/* Each range: its first and last address, and the neighbours outside it (NULL: another range is there). */
static void special_ranges(void **state)
{
    (void)state;
    static const struct {
        const char *name, *first, *last, *before, *after;
    } rows[] = {
        {"unspecified", "0.0.0.0", "0.255.255.255", NULL, "1.0.0.0"},
        {"private", "10.0.0.0", "10.255.255.255", "9.255.255.255", "11.0.0.0"},
        {"cgnat", "100.64.0.0", "100.127.255.255", "100.63.255.255", "100.128.0.0"},
        {"loopback", "127.0.0.0", "127.255.255.255", "126.255.255.255", "128.0.0.0"},
        {"link_local", "169.254.0.0", "169.254.255.255", "169.253.255.255", "169.255.0.0"},
        {"private", "172.16.0.0", "172.31.255.255", "172.15.255.255", "172.32.0.0"},
        {"ietf_protocol", "192.0.0.0", "192.0.0.255", "191.255.255.255", "192.0.1.0"},
        {"documentation", "192.0.2.0", "192.0.2.255", "192.0.1.255", "192.0.3.0"},
        {"6to4", "192.88.99.0", "192.88.99.255", "192.88.98.255", "192.88.100.0"},
        {"private", "192.168.0.0", "192.168.255.255", "192.167.255.255", "192.169.0.0"},
        {"benchmark", "198.18.0.0", "198.19.255.255", "198.17.255.255", "198.20.0.0"},
        {"documentation", "198.51.100.0", "198.51.100.255", "198.51.99.255", "198.51.101.0"},
        {"documentation", "203.0.113.0", "203.0.113.255", "203.0.112.255", "203.0.114.0"},
        {"multicast", "224.0.0.0", "239.255.255.255", "223.255.255.255", NULL},
        {"reserved", "240.0.0.0", "255.255.255.254", NULL, NULL},
        {"broadcast", "255.255.255.255", "255.255.255.255", NULL, NULL},
        {"unspecified", "::", "::", NULL, NULL},
        {"loopback", "::1", "::1", NULL, NULL},
        {"ipv4_compatible", "::2", "::ffff:ffff", NULL, NULL},
        {"reserved", "::1:0:0", "::fffe:ffff:ffff", NULL, NULL},
        {"reserved", "64:ff9a::", "64:ff9a::808:808", NULL, NULL},
        {"discard", "100::", "100::ffff:ffff:ffff:ffff", NULL, NULL},
        {"reserved", "100:0:0:1::", "1fff:ffff::", NULL, "2000::"},
        {"teredo", "2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", "2000:ffff::", NULL},
        {"benchmark", "2001:2::", "2001:2:0:ffff::", NULL, NULL},
        {"orchid", "2001:10::", "2001:1f:ffff::", NULL, NULL},
        {"orchid", "2001:20::", "2001:2f:ffff::", NULL, NULL},
        {"ietf_protocol", "2001:1::", "2001:1ff:ffff::", NULL, "2001:200::"},
        {"documentation", "2001:db8::", "2001:db8:ffff::", "2001:db7:ffff::", "2001:db9::"},
        {"6to4", "2002::", "2002:ffff::", "2001:ffff::", "2003::"},
        {"documentation", "3fff::", "3fff:fff:ffff::", "3ffe:ffff::", "3fff:1000::"},
        {"reserved", "4000::", "fbff:ffff::", "3fff:ffff::", NULL},
        {"private", "fc00::", "fdff:ffff::", NULL, NULL},
        {"reserved", "fe00::", "fe7f:ffff::", NULL, NULL},
        {"link_local", "fe80::", "febf:ffff::", NULL, NULL},
        {"site_local", "fec0::", "feff:ffff::", NULL, NULL},
        {"multicast", "ff00::", "ffff:ffff::", NULL, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ip first = ip_of(rows[i].first), last = ip_of(rows[i].last);
        assert_string_equal(ip_special_range(&first), rows[i].name);
        assert_string_equal(ip_special_range(&last), rows[i].name);
        struct ip before = ip_of(rows[i].before ? rows[i].before : "8.8.8.8"),
                  after = ip_of(rows[i].after ? rows[i].after : "8.8.8.8");
        if (ip_special_range(&before) || ip_special_range(&after))
            fail_msg("a neighbour of %s, %s", rows[i].first, rows[i].name);
    }
    assert_string_equal(ip_special_range(&(struct ip){0}), "unspecified");
}

static void embedded_ipv4(void **state)
{
    (void)state;
    static const struct {
        const char *ip, *name; /* NULL: ordinary */
    } rows[] = {
        {"64:ff9b::8.8.8.8", NULL},
        {"64:ff9b::127.0.0.1", "loopback"},
        {"64:ff9b::10.0.0.1", "private"},
        {"64:ff9b::0.0.0.0", "unspecified"},
        {"64:ff9b::169.254.169.254", "link_local"},
        {"64:ff9b:0:0:0:1:808:808", "reserved"},
        {"64:ff9b:1::8.8.8.8", NULL},
        {"64:ff9b:1::10.0.0.1", "private"},
        {"64:ff9b:1::", "unspecified"},
        {"64:ff9b:1:7f00:0:100::", "loopback"},       /* /48: 127.0 . 0.1 around the byte of zeros */
        {"64:ff9b:1:7f00:0:100:808:808", "loopback"}, /* the same with a suffix that looks harmless */
        {"64:ff9b:1:0a:0:1::", "private"},            /* /56: 10.0.0.1 at bits 56-95 */
        {"64:ff9b:1::a:0:100:0", "private"},          /* /64: 10.0.0.1 at bits 72-103 */
        {"64:ff9b:2::8.8.8.8", "reserved"},
        {"::ffff:127.0.0.1", "loopback"},
        {"::ffff:8.8.8.8", NULL},
        {"::8.8.8.8", "ipv4_compatible"},
        {"2002:808:808::", "6to4"},
        {"::ffff:0:8.8.8.8", "reserved"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ip ip = ip_of(rows[i].ip);
        const char *name = ip_special_range(&ip);
        if ((name == NULL) != (rows[i].name == NULL) || (name && strcmp(name, rows[i].name) != 0))
            fail_msg("%s is %s", rows[i].ip, name ? name : "ordinary");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_and_writes), cmocka_unit_test(refuses),        cmocka_unit_test(networks),
        cmocka_unit_test(endpoints),        cmocka_unit_test(special_ranges), cmocka_unit_test(embedded_ipv4),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
