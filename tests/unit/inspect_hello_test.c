/* inspect_hello_test.c: `exeat inspect hello` between streams and as a command: lines, errors, exit codes, hostile bytes. */
#include "hello_build.h"

#include "cmd/inspect_hello.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>
#include <cmocka.h>

struct answer {
    int code;
    char *text; /* owned */
};

static struct answer inspect(struct span input)
{
    struct answer a = {0};
    size_t len;
    FILE *in =
        fmemopen((void *)(input.len ? input.data : (const uint8_t *)"\n"), input.len ? input.len : 1, "r");
    FILE *out = open_memstream(&a.text, &len);
    assert_non_null(in);
    a.code = inspect_hello_stream(in, out);
    fclose(in);
    fclose(out);
    return a;
}

static void expect_answer(struct span input, int code, const char *text)
{
    struct answer a = inspect(input);
    assert_string_equal(a.text, text);
    assert_int_equal(a.code, code);
    free(a.text);
}

static char *hex_of(struct span bytes)
{
    char *text = malloc(2 * bytes.len + 1);
    *hex_write(bytes, text) = '\0';
    return text;
}

#define GOOD_ANSWER                                                                                          \
    "{\"ja3\":\"771,4865-49195,0-10-16-43-13,29-23,\",\"ja3_hash\":\"b237de3d8e53432db3c9a7d265134649\","    \
    "\"ja4\":\"t13d0205h2_777cda164f4b_"                                                                     \
    "fbabbea27ee8\",\"ja4_r\":\"t13d0205h2_1301,c02b_000a,000d,002b_0403,0804\",\"sni\":\"example.net\","    \
    "\"alpn\":["                                                                                             \
    "\"h2\",\"http/1.1\"],\"version\":\"1.3\",\"anomalies\":[]}\n"

static void test_message_and_records(void **state)
{
    (void)state;
    static struct hello_bytes bytes;
    struct hello_plan plan = hello_plan_good();
    struct span message = hello_build(&plan, &bytes), records = hello_wrap(message, 100, 0x0301);
    char *one = hex_of(message), *two = hex_of(records), input[4096];
    expect_answer(span_str(one), INSPECT_OK, GOOD_ANSWER);
    snprintf(input, sizeof input, "\n \t\n%s\n\r\n%.10s  %s\t\r\n", one, two, two + 10);
    expect_answer(span_str(input), INSPECT_OK, GOOD_ANSWER GOOD_ANSWER);
    snprintf(input, sizeof input, "%s\nzz\n%s", one, two);
    expect_answer(span_str(input), INSPECT_SOME_BAD,
                  GOOD_ANSWER "{\"error\":\"not a hexadecimal digit\",\"offset\":0}\n" GOOD_ANSWER);
    for (char *c = one; *c; c++)
        *c = (char)(*c >= 'a' ? *c - 32 : *c);
    expect_answer(span_str(one), INSPECT_OK, GOOD_ANSWER);
    free((void *)records.data);
    free(one);
    free(two);
}

static void test_errors(void **state)
{
    (void)state;
    const struct {
        const char *line, *answer;
    } cases[] = {
        {"0", "{\"error\":\"odd number of hexadecimal digits\",\"offset\":0}\n"},
        {"160301 0", "{\"error\":\"odd number of hexadecimal digits\",\"offset\":3}\n"},
        {"1603x1", "{\"error\":\"not a hexadecimal digit\",\"offset\":2}\n"},
        {"01", "{\"error\":\"truncated\",\"offset\":1}\n"},
        {"0100000100", "{\"error\":\"message ends before its fixed part\",\"offset\":4}\n"},
        {"16030100", "{\"error\":\"truncated\",\"offset\":4}\n"},
        {"474554", "{\"error\":\"not TLS\",\"offset\":0}\n"},
        {"802e01", "{\"error\":\"SSLv2 hello\",\"offset\":0}\n"},
        {"160401", "{\"error\":\"record version is not TLS\",\"offset\":1}\n"},
        /* in records the offset is the line's, not the message's */
        {"1603010002 0100 1603010003 000100",
         "{\"error\":\"message ends before its fixed part\",\"offset\":14}\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect_answer(span_str(cases[i].line), INSPECT_SOME_BAD, cases[i].answer);
    expect_answer(span_str(""), INSPECT_OK, "");
    expect_answer(BYTES("\x00\n\xff\xfe\n"), INSPECT_SOME_BAD,
                  "{\"error\":\"not a hexadecimal digit\",\"offset\":0}\n"
                  "{\"error\":\"not a hexadecimal digit\",\"offset\":0}\n");
}

static void test_over_long_line(void **state)
{
    (void)state;
    size_t len = 3u << 20;
    char *input = malloc(len + 4);
    memset(input, '1', len);
    memcpy(input + len, "\n01\n", 4);
    struct answer a = inspect(span_of(input, len + 4));
    assert_string_equal(a.text, "{\"error\":\"line is too long\",\"offset\":393216}\n"
                                "{\"error\":\"truncated\",\"offset\":1}\n");
    assert_int_equal(a.code, INSPECT_SOME_BAD);
    free(a.text);
    free(input);
}

static void expect_contains(const struct hello_plan *plan, const char *part)
{
    static struct hello_bytes bytes;
    char *hex = hex_of(hello_build(plan, &bytes));
    struct answer a = inspect(span_str(hex));
    assert_int_equal(a.code, INSPECT_OK);
    assert_non_null(strstr(a.text, part));
    free(a.text);
    free(hex);
}

static void test_odd_names(void **state)
{
    (void)state;
    struct hello_plan plan = hello_plan_good();
    hello_plan_set(&plan, BYTES("\x00\x10\x00\x0b\x00\x09\x02\xff\xfe\x02\x1b[\x02\xc3\xa4"));
    expect_contains(&plan, "\"alpn\":[{\"hex\":\"fffe\"},\"\\u001b[\",\"\xc3\xa4\"]");
    hello_plan_set(&plan, BYTES("\x00\x00\x00\x07\x00\x05\x00\x00\x02\xff\x00"));
    expect_contains(&plan, "\"sni\":{\"hex\":\"ff00\"}");
    hello_plan_drop(&plan, 0);
    expect_contains(&plan, "\"sni\":null");
    hello_plan_drop(&plan, 16);
    expect_contains(&plan, "\"alpn\":[]");
    expect_contains(&plan, "\"anomalies\":[\"H12\"]");
    hello_plan_drop(&plan, 43);
    plan.legacy_version = 0x0300;
    expect_contains(&plan, "\"version\":\"SSL3\"");
    plan.legacy_version = 0x7777;
    expect_contains(&plan, "\"version\":null");
}

/* The largest answers there can be: every ALPN byte needs six characters, every suite and extension is listed. */
static void test_largest_answers(void **state)
{
    (void)state;
    static uint8_t alpn[60000], suites[60000];
    struct hello_plan plan = hello_plan_good();
    memset(alpn, 1, sizeof alpn); /* names of one byte, 01 */
    memcpy(alpn,
           (uint8_t[]){0, 16, (sizeof alpn - 4) >> 8, (sizeof alpn - 4) & 255, (sizeof alpn - 6) >> 8,
                       (sizeof alpn - 6) & 255},
           6);
    hello_plan_set(&plan, span_of(alpn, sizeof alpn));
    expect_contains(&plan, "\"\\u0001\"],\"version\":\"1.3\",\"anomalies\":[\"H17\"]}\n");
    memset(alpn + 6, 255, sizeof alpn - 6); /* names of 255 bytes that aren't text */
    expect_contains(&plan, "\"hex\":\"ffff");
    plan = hello_plan_good();
    memset(suites, 0xfe, sizeof suites);
    plan.suites = span_of(suites, sizeof suites);
    expect_contains(&plan, "\"anomalies\":[\"H34\"]}\n");
}

/* Runs the command with stdin and stdout on temporary files; returns the exit code. */
static int run_command(int argc, char **argv, const char *input, char *ret_output, size_t size)
{
    FILE *in = tmpfile(), *out = tmpfile();
    int saved_in = dup(0), saved_out = dup(1), saved_err = dup(2), null = open("/dev/null", O_WRONLY);
    fputs(input, in);
    rewind(in);
    fflush(stdout);
    dup2(fileno(in), 0);
    dup2(fileno(out), 1);
    dup2(null, 2);
    clearerr(stdin);
    int code = cmd_inspect_hello(argc, argv);
    fflush(stdout);
    dup2(saved_in, 0);
    dup2(saved_out, 1);
    dup2(saved_err, 2);
    rewind(out);
    size_t len = fread(ret_output, 1, size - 1, out);
    ret_output[len] = '\0';
    close(saved_in), close(saved_out), close(saved_err), close(null);
    fclose(in);
    fclose(out);
    return code;
}

static void test_command(void **state)
{
    (void)state;
    char output[8192], path[] = "/tmp/inspect_hello_test.XXXXXX";
    int fd = mkstemp(path);
    assert_int_equal(write(fd, "474554\n", 7), 7);
    close(fd);
    static const char not_tls[] = "{\"error\":\"not TLS\",\"offset\":0}\n";
    assert_int_equal(run_command(2, (char *[]){"hello", "--help", NULL}, "", output, sizeof output),
                     INSPECT_OK);
    assert_non_null(strstr(output, "examples:"));
    assert_int_equal(run_command(2, (char *[]){"hello", path, NULL}, "", output, sizeof output),
                     INSPECT_SOME_BAD);
    assert_string_equal(output, not_tls);
    assert_int_equal(run_command(3, (char *[]){"hello", "--", path, NULL}, "", output, sizeof output),
                     INSPECT_SOME_BAD);
    assert_int_equal(run_command(2, (char *[]){"hello", "/nonexistent/x", NULL}, "", output, sizeof output),
                     INSPECT_FAILED);
    assert_int_equal(run_command(2, (char *[]){"hello", "/tmp", NULL}, "", output, sizeof output),
                     INSPECT_FAILED);
    assert_int_equal(run_command(2, (char *[]){"hello", "--frob", NULL}, "", output, sizeof output),
                     INSPECT_FAILED);
    assert_int_equal(run_command(3, (char *[]){"hello", path, path, NULL}, "", output, sizeof output),
                     INSPECT_FAILED);
    assert_int_equal(run_command(1, (char *[]){"hello", NULL}, "474554\n", output, sizeof output),
                     INSPECT_SOME_BAD);
    assert_string_equal(output, not_tls);
    unlink(path);
}

static void test_output_that_cannot_be_written(void **state)
{
    (void)state;
    FILE *full = fopen("/dev/full", "w"), *in = fmemopen((void *)"474554\n", 7, "r");
    if (!full || !in)
        skip();
    assert_int_equal(inspect_hello_stream(in, full), INSPECT_FAILED);
    fclose(in);
    fclose(full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_message_and_records),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_over_long_line),
        cmocka_unit_test(test_odd_names),
        cmocka_unit_test(test_largest_answers),
        cmocka_unit_test(test_command),
        cmocka_unit_test(test_output_that_cannot_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
