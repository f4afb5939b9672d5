/* proxy_header_test.c: both versions, whole, cut at every byte, and what isn't one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/proxy_header.h"

struct good {
    const char *bytes;
    size_t len;
    bool local;
    const char *client;
};

#define V2 "\r\n\r\n\0\r\nQUIT\n"
#define CASE(text, local, client)                                                                            \
    {                                                                                                        \
        text, sizeof(text) - 1, local, client                                                                \
    }

static const struct good goods[] = {
    CASE("PROXY TCP4 192.0.2.1 198.51.100.1 40000 3128\r\n", false, "192.0.2.1:40000"),
    CASE("PROXY TCP6 2001:db8::1 2001:db8::2 40000 3128\r\n", false, "[2001:db8::1]:40000"),
    CASE("PROXY UNKNOWN\r\n", true, ""),
    CASE("PROXY UNKNOWN ffff:f:f:f 1 2 whatever\r\n", true, ""),
    CASE(V2 "\x21\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\1\x9c\x40\x0c\x38", false, "192.0.2.1:40000"),
    CASE(V2 "\x21\x11\0\x0f\xc0\0\2\1\xc6\x33\x64\1\x9c\x40\x0c\x38\4\0\0", false, "192.0.2.1:40000"),
    CASE(V2 "\x21\x21\0\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2"
            "\x9c\x40\x0c\x38",
         false, "[2001:db8::1]:40000"),
    CASE(V2 "\x20\0\0\0", true, ""),
};

static void good_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof goods / sizeof goods[0]; i++) {
        char buffer[256], text[ENDPOINT_TEXT_BYTES];
        memcpy(buffer, goods[i].bytes, goods[i].len);
        memcpy(buffer + goods[i].len, "CONNECT", 7); /* what follows isn't part of it */
        struct proxy_header h;
        for (size_t n = 0; n < goods[i].len; n++)
            assert_int_equal(proxy_header_parse(span_of(buffer, n), &h), PARSE_MORE);
        assert_int_equal(proxy_header_parse(span_of(buffer, goods[i].len + 7), &h), PARSE_OK);
        assert_int_equal(h.bytes, goods[i].len);
        assert_int_equal(h.local, goods[i].local);
        if (!h.local)
            assert_string_equal(endpoint_format(&h.client, text), goods[i].client);
    }
}

static const struct good bads[] = {
    CASE("GET / HTTP/1.1\r\n", false, ""),
    CASE("PROXY TCP4 192.0.2.1 198.51.100.1 40000 3128\n", false, ""),
    CASE("PROXY TCP4 192.0.2.1 198.51.100.1 40000 3128 \r\n", false, ""),
    CASE("PROXY TCP4 192.0.2.1  198.51.100.1 40000 3128\r\n", false, ""),
    CASE("PROXY TCP4 192.0.2.1 198.51.100.1 040000 3128\r\n", false, ""),
    CASE("PROXY TCP4 192.0.2.1 198.51.100.1 65536 3128\r\n", false, ""),
    CASE("PROXY TCP4 192.0.2.01 198.51.100.1 1 3128\r\n", false, ""),
    CASE("PROXY UDP4 192.0.2.1 198.51.100.1 1 3128\r\n", false, ""),
    CASE("PROXY TCP4\r\n", false, ""),
    CASE(V2 "\x11\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\1\x9c\x40\x0c\x38", false, ""),
    CASE(V2 "\x22\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\1\x9c\x40\x0c\x38", false, ""),
    CASE(V2 "\x21\x12\0\x0c\xc0\0\2\1\xc6\x33\x64\1\x9c\x40\x0c\x38", false, ""),
    CASE(V2 "\x21\x11\0\x0b\xc0\0\2\1\xc6\x33\x64\1\x9c\x40\x0c", false, ""),
    CASE(V2 "\x21\x11\xff\xff", false, ""),
};

static void bad_headers(void **state)
{
    (void)state;
    struct proxy_header h;
    for (size_t i = 0; i < sizeof bads / sizeof bads[0]; i++)
        assert_int_equal(proxy_header_parse(span_of(bads[i].bytes, bads[i].len), &h), PARSE_BAD);
    char endless[200];
    memset(endless, 'x', sizeof endless);
    memcpy(endless, "PROXY TCP4 ", 11);
    assert_int_equal(proxy_header_parse(span_of(endless, 106), &h), PARSE_MORE);
    assert_int_equal(proxy_header_parse(span_of(endless, 200), &h), PARSE_BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(good_headers), cmocka_unit_test(bad_headers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
