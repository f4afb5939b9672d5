/* payload_test.c: the fully-encrypted test against its published verdicts and at each border, entropy and chi-square against values
 * worked out elsewhere, and `exeat inspect payload`. */
#include "cmd/hex_lines.h"
#include "cmd/inspect_payload.h"
#include "facts/payload.h"

#include "base/hex.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static struct payload judge(const void *data, size_t len)
{
    struct payload p;
    payload_judge(span_of(data, len), &p);
    return p;
}

static size_t decode(const char *hex, uint8_t *out)
{
    size_t len = 0;
    for (; hex_value(hex[0]) >= 0 && hex_value(hex[1]) >= 0; hex += 2)
        out[len++] = (uint8_t)(hex_value(hex[0]) << 4 | hex_value(hex[1]));
    return len;
}

static void test_published_verdicts(void **state)
{
    (void)state;
    FILE *f = fopen(EXEAT_SOURCE_DIR "/../shared/vectors/fully_encrypted.tsv", "re");
    char line[8192];
    uint8_t bytes[4096];
    unsigned lines = 0;
    if (!f)
        skip();
    while (fgets(line, sizeof line, f)) {
        const char *tab = strchr(line, '\t');
        if (line[0] == '#' || !tab)
            continue;
        size_t len = decode(line, bytes);
        assert_int_equal(judge(bytes, len).fully_encrypted, strncmp(tab + 1, "true", 4) == 0);
        lines++;
    }
    fclose(f);
    assert_true(lines > 250);
}

/* `len` bytes that no exemption fits (four bits each, none printable), to be spoilt. */
static void fill(uint8_t *bytes, size_t len)
{
    static const uint8_t four_bits[] = {0x0f, 0x8b, 0x93, 0xc5, 0xe1, 0xd2,
                                        0xb4, 0x99, 0xaa, 0xf0, 0x17, 0x1b};
    for (size_t i = 0; i < len; i++)
        bytes[i] = four_bits[i % sizeof four_bits];
}

static void expect_exempt(const uint8_t *bytes, size_t len, const char *name)
{
    struct payload p = judge(bytes, len);
    const char *got = payload_exemption_name(p.exempt);
    assert_string_equal(got ? got : "none", name);
    assert_int_equal(p.fully_encrypted, strcmp(name, "none") == 0);
}

static void test_each_exemption(void **state)
{
    (void)state;
    uint8_t b[200];
    fill(b, sizeof b);
    expect_exempt(b, 100, "none");
    memset(b, 0xff, 15); /* 15 of 100 bytes with eight bits: 4.6 */
    expect_exempt(b, 100, "popcount");
    b[14] = 0xfe; /* 4.59 */
    expect_exempt(b, 100, "none");
    fill(b, sizeof b);
    memset(b, 0, 15); /* 3.4 */
    expect_exempt(b, 100, "popcount");
    b[14] = 1;
    expect_exempt(b, 100, "none");
    fill(b, sizeof b);
    memcpy(b, "\x27\x2b\x2d\x2e\x33\x35", 6);
    expect_exempt(b, 100, "prefix");
    b[5] = 0x7f;
    expect_exempt(b, 100, "none");
    fill(b, sizeof b);
    for (size_t i = 0; i < 50; i++)
        b[2 * i + 1] = 0x2d;
    expect_exempt(b, 100, "none"); /* half is not more than half */
    b[98] = 0x2d;
    expect_exempt(b, 100, "half");
    fill(b, sizeof b);
    memset(b + 10, 0x2d, 20);
    expect_exempt(b, 100, "none");
    b[30] = 0x2d;
    expect_exempt(b, 100, "run");
    fill(b, sizeof b);
    memcpy(b, "\x16\x03\x09", 3);
    expect_exempt(b, 100, "protocol");
    b[2] = 10;
    expect_exempt(b, 100, "none");
    memcpy(b, "\x17\x03\x00", 3);
    expect_exempt(b, 100, "protocol");
    fill(b, sizeof b);
    memcpy(b, "GET ", 4); /* the fifth byte is not printable */
    expect_exempt(b, 100, "protocol");
}

static void test_order_of_exemptions(void **state)
{
    (void)state;
    expect_exempt((const uint8_t *)"GET / HTTP/1.1\r\n\r\n", 18,
                  "popcount"); /* few bits come before the rest */
    expect_exempt((const uint8_t *)"wwww{{{{wwww{{{{ooooo", 21, "popcount");
    expect_exempt((const uint8_t *)"=.;+-.=.;+-.=.;+-.=.;+-.=.", 26, "prefix");
}

static void test_empty(void **state)
{
    (void)state;
    struct payload p = judge(NULL, 0);
    assert_false(p.fully_encrypted);
    assert_true(p.entropy == 0 && p.entropy_expected == 0 && p.chi_square == 0);
    assert_string_equal(p.kind, "unknown");
}

static void test_expected_entropy(void **state)
{
    (void)state;
    /* the sum over all terms, in Python's math.lgamma */
    static const struct {
        size_t len;
        double entropy;
    } cases[] = {{1, 0},
                 {2, 0.99609375},
                 {64, 5.765716928946417},
                 {128, 6.550083402174302},
                 {256, 7.174966352532717},
                 {512, 7.590437684435015},
                 {1024, 7.808756571172598},
                 {4096, 7.954588733869495}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_true(fabs(payload_entropy_expected(cases[i].len) - cases[i].entropy) < 1e-6);
    /* Miller and Madow: 8 - 255 / (2 N ln 2) where N is large */
    for (double n = 1 << 16; n <= 1 << 30; n *= 4)
        assert_true(fabs(payload_entropy_expected((size_t)n) - (8 - 255 / (2 * n * log(2)))) < 1e-5);
}

static void test_entropy_and_chi_square(void **state)
{
    (void)state;
    uint8_t all[512];
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (uint8_t)i;
    assert_true(fabs(judge(all, 512).entropy - 8) < 1e-12);
    assert_true(judge(all, 512).chi_square < 1e-12);
    struct payload same = judge("aaaaaaaaaaaaaaaa", 16);
    assert_true(same.entropy == 0 && !signbit(same.entropy));
    assert_true(fabs(same.chi_square - 16 * 255) < 1e-9);
    struct payload three = judge("aab", 3); /* log2(3) - 2/3; 256/3 * (4+1) - 3 */
    assert_true(fabs(three.entropy - 0.9182958340544896) < 1e-12);
    assert_true(fabs(three.chi_square - (256.0 / 3 * 5 - 3)) < 1e-9);
}

static void test_kind(void **state)
{
    (void)state;
    assert_string_equal(judge("\x16\x03\x01\x02\x00\x01", 6).kind, "tls");
    assert_string_equal(judge("\x17\x03\x03", 3).kind, "tls");
    assert_string_equal(judge("\x16\x03\x05\x02\x00\x01", 6).kind, "unknown");
    assert_string_equal(judge("\x16\x03\x01\xff\xff\x01", 6).kind, "unknown");
    assert_string_equal(judge("SSH-2.0-OpenSSH_9.2\r\n", 21).kind, "ssh");
    assert_string_equal(judge("GET / HTTP/1.1\r\n", 16).kind, "http");
    assert_string_equal(judge("\x01\x02\x03", 3).kind, "unknown");
}

static void test_unexplained(void **state)
{
    (void)state;
    uint8_t random[4096];
    uint32_t x = 1;
    for (size_t i = 0; i < sizeof random; i++) {
        x = x * 1664525 + 1013904223;
        random[i] = (uint8_t)(x >> 24);
    }
    struct payload p = judge(random, sizeof random), small = judge(random, 200);
    struct span none = {NULL, 0};
    assert_true(payload_is_unexplained(&p, span_str("text/html"), none));
    assert_true(payload_is_unexplained(&p, none, span_str("identity")));
    assert_true(payload_is_unexplained(&p, span_str("image/svg+xml"), none));
    assert_false(payload_is_unexplained(&p, span_str("text/html"), span_str("gzip")));
    assert_false(payload_is_unexplained(&p, span_str("IMAGE/PNG"), none));
    assert_false(payload_is_unexplained(&small, span_str("text/html"), none));
    for (size_t i = 0; i < sizeof random; i++)
        random[i] = (uint8_t)('A' + random[i] % 26);
    p = judge(random, sizeof random);
    assert_false(payload_is_unexplained(&p, span_str("text/html"), none));
}

static void expect_lines(const char *input, int code, const char *output)
{
    char *text = NULL;
    size_t len;
    FILE *in = fmemopen((void *)(uintptr_t)input, strlen(input), "r"), *out = open_memstream(&text, &len);
    assert_int_equal(inspect_payload_stream(in, out), code);
    fclose(in);
    fclose(out);
    bool same = strcmp(text, output) == 0;
    if (!same)
        print_message("%s", text);
    free(text);
    assert_true(same);
}

static void test_command(void **state)
{
    (void)state;
    expect_lines(
        "61 61 62\n\n", HEX_LINES_OK,
        "{\"fully_encrypted\":false,\"exempt_by\":\"popcount\",\"entropy\":0.918296,\"entropy_expected\":"
        "1.577156,\"chi_square\":423.666667,\"kind\":\"unknown\"}\n");
    expect_lines("0f8b93c5e1d2b499\n", HEX_LINES_OK,
                 "{\"fully_encrypted\":true,\"exempt_by\":null,\"entropy\":3.000000,\"entropy_expected\":"
                 "2.972789,\"chi_square\":248.000000,\"kind\":\"unknown\"}\n");
    expect_lines("0f8\n6x\n", HEX_LINES_SOME_BAD,
                 "{\"error\":\"odd number of hexadecimal digits\",\"offset\":1}\n"
                 "{\"error\":\"not a hexadecimal digit\",\"offset\":0}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_verdicts),
        cmocka_unit_test(test_each_exemption),
        cmocka_unit_test(test_order_of_exemptions),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_expected_entropy),
        cmocka_unit_test(test_entropy_and_chi_square),
        cmocka_unit_test(test_kind),
        cmocka_unit_test(test_unexplained),
        cmocka_unit_test(test_command),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
