/* agent_macos_test.c: the lines of macOS' event streams, of both generations, from the fuzzers' seeds: what is told of whom, what was
 * lost, and that a program's own log lines say nothing of keys. */
#include "agent/macos/eslogger_parse.h"
#include "agent/macos/launchctl_parse.h"
#include "agent/macos/log_parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define SEEDS EXEAT_SOURCE_DIR "/tests/fuzz/corpus/macos_events/"

static struct eslogger_reader reader;
static char bytes[16384];

/* The line with this number of a seed. */
static struct span line_of(const char *name, int number)
{
    char path[512];
    snprintf(path, sizeof path, SEEDS "%s", name);
    FILE *in = fopen(path, "re");
    assert_non_null(in);
    do {
        assert_non_null(fgets(bytes, sizeof bytes, in));
    } while (number-- > 0);
    fclose(in);
    return span_of(bytes, strcspn(bytes, "\n"));
}

static struct eslogger_event event_of(const char *name, int number)
{
    struct eslogger_event e;
    assert_int_equal(eslogger_parse(&reader, line_of(name, number), &e), PARSE_OK);
    return e;
}

static void both_generations(void **state)
{
    (void)state;
    struct eslogger_event e = event_of("exec_15", 0);
    assert_int_equal(e.kind, ESLOGGER_EXEC);
    assert_int_equal(e.process.pid, 700);
    assert_int_equal(e.process.pid_version, 1401); /* what it is from now on */
    assert_int_equal(e.process.euid, 501);
    assert_int_equal(e.process.parent, 690);
    assert_string_equal(e.path, "/usr/bin/tar");
    assert_string_equal(e.process.signing_id, "com.apple.bsdtar");
    assert_true(e.process.is_platform_binary);
    e = event_of("exec_26", 0);
    assert_int_equal(e.process.pid, 700);
    assert_int_equal(e.process.pid_version, 1401);
    assert_int_equal(e.process.euid, 501);
    assert_string_equal(e.process.team_id, "EQHXZ8M8AV");
    assert_int_equal(reader.lost, 3); /* 42, 43, 44 */
}

static void files(void **state)
{
    (void)state;
    static const struct {
        enum eslogger_event_kind kind;
        const char *path;
    } wanted[] = {{ESLOGGER_OPEN, "/Users/ann/.ssh/id_ed25519"},
                  {ESLOGGER_CREATE, "/tmp/x.tgz"},
                  {ESLOGGER_CLOSE, "/tmp/x.tgz"},
                  {ESLOGGER_RENAME, "/tmp/y"},
                  {ESLOGGER_MMAP, "/opt/homebrew/lib/libssl.3.dylib"}};
    reader.next_seq = 0;
    reader.lost = 0;
    for (int i = 0; i < 5; i++) {
        struct eslogger_event e = event_of("files", i);
        assert_int_equal(e.kind, wanted[i].kind);
        assert_string_equal(e.path, wanted[i].path);
        assert_int_equal(e.process.pid, 700);
        assert_int_equal(e.modified, wanted[i].kind == ESLOGGER_CLOSE);
    }
    assert_int_equal(reader.lost, 2);
}

static void what_is_no_event(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "{}",
        "[]",
        "{\"event\":{\"open\":{}}}",
        "{\"event\":{\"close\":{\"target\":{\"path\":\"/x\"}}},\"process\":{\"audit_token\":[1,2,3],"
        "\"executable\":{\"path\":\"/y\"}}}",
        "{\"event\":{\"close\":{\"target\":{\"path\":\"\"}}},\"process\":{\"audit_token\":{\"pid\":1},"
        "\"executable\":{\"path\":\"/y\"}}}",
        "{\"event\":{\"fork\":{}},\"process\":{\"audit_token\":{\"pid\":1},\"executable\":{\"path\":\"/"
        "y\"}}}"};
    struct eslogger_event e;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (eslogger_parse(&reader, span_str(bad[i]), &e) != PARSE_BAD)
            fail_msg("taken: %s", bad[i]);
}

static void keys(void **state)
{
    (void)state;
    struct log_event e;
    assert_int_equal(log_parse(line_of("log", 0), &e), PARSE_BAD); /* a sentence comes first */
    assert_int_equal(log_parse(line_of("log", 1), &e), PARSE_OK);
    assert_int_equal(e.use, LOG_SIGN);
    assert_string_equal(e.function, "SecKeyCreateSignature");
    assert_int_equal(e.pid, 812);
    assert_string_equal(e.executable, "/Users/ann/up");
    assert_int_equal(log_parse(line_of("log", 2), &e), PARSE_OK);
    assert_int_equal(e.use, LOG_TRUST);
    assert_int_equal(log_parse(line_of("log", 3), &e), PARSE_MORE); /* anybody can say so */
}

static void jobs(void **state)
{
    (void)state;
    int64_t pid = -1;
    struct span label;
    assert_int_equal(launchctl_parse(line_of("launchctl", 0), &pid, &label), PARSE_BAD);
    assert_int_equal(launchctl_parse(line_of("launchctl", 1), &pid, &label), PARSE_OK);
    assert_int_equal(pid, 312);
    assert_true(span_is(label, "com.apple.Spotlight"));
    assert_int_equal(launchctl_parse(line_of("launchctl", 2), &pid, &label), PARSE_MORE);
    assert_int_equal(launchctl_parse(line_of("launchctl", 3), &pid, &label), PARSE_BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(both_generations), cmocka_unit_test(files),
                                       cmocka_unit_test(what_is_no_event), cmocka_unit_test(keys),
                                       cmocka_unit_test(jobs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
