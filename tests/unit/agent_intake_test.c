/* agent_intake_test.c: macOS' event streams as a history: lines of both generations (audit tokens as objects, and as lists) tell what a lineage
 * did; key pairs count unless a TLS client's handshake explains them; what was lost is counted; the programs that tell it end and are
 * started again. */
#include "agent/macos/streams.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { LEADER = 690, SHELL = 695, TAR = 700, CLIENT = 710, STARTED_S = 1790000000, PATIENCE_MS = 20000 };

static struct intake *intake;
static bool as_list; /* macOS 26 */
static int64_t now_ms, next_number;
static struct agent_history history;

static int64_t read_gzip(const char *path, uint8_t *head, size_t size, int64_t *ret_size)
{
    static const uint8_t gzip[] = {0x1f, 0x8b, 8, 0};
    if (strcmp(path, "/private/tmp/x.tgz") != 0 || size < sizeof gzip)
        return -1;
    memcpy(head, gzip, sizeof gzip);
    *ret_size = 4711;
    return sizeof gzip;
}

static int start(void **state)
{
    (void)state;
    intake = intake_new(read_gzip);
    next_number = 0;
    now_ms = 1000000;
    return intake ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    intake_free(intake);
    return 0;
}

/* ---- lines ---- */

static const char *process_of(int pid, int parent, const char *executable)
{
    static char text[2][1024];
    static unsigned turn;
    char token[256];
    if (as_list)
        snprintf(token, sizeof token, "[501,501,20,501,20,%d,100,%d]", pid, pid * 2);
    else
        snprintf(token, sizeof token,
                 "{\"asid\":100,\"auid\":501,\"egid\":20,\"euid\":501,\"pid\":%d,\"pidversion\":%d,\"rgid\":"
                 "20,\"ruid\":501}",
                 pid, pid * 2);
    char *out = text[turn++ % 2];
    snprintf(out, sizeof text[0],
             "{\"audit_token\":%s,\"original_ppid\":%d,\"session_id\":%d,\"start_time\":\"2026-09-21T14:13:"
             "20.000123Z\","
             "\"executable\":{\"path\":\"%s\",\"path_truncated\":false},\"is_platform_binary\":true,\"team_"
             "id\":null}",
             token, parent, LEADER, executable);
    return out;
}

static void say(const char *process, const char *event)
{
    char line[4096];
    snprintf(line, sizeof line,
             "{\"schema_version\":1,\"process\":%s,\"event\":{%s},\"seq_num\":0,\"global_seq_num\":%lld}",
             process, event, (long long)next_number++);
    intake_take(intake, INTAKE_EVENTS, span_str(line), now_ms);
}

static void say_process(const char *kind, const char *whom, int pid, int parent, const char *executable)
{
    char event[2048];
    snprintf(event, sizeof event, "\"%s\":{\"%s\":%s,\"args\":[\"a\",\"b\"]}", kind, whom,
             process_of(pid, parent, executable));
    say(process_of(parent, 1, "/bin/zsh"), event);
}

static void say_use(int pid, const char *function)
{
    char line[1024];
    snprintf(line, sizeof line,
             "{\"eventMessage\":\"%s\",\"eventType\":\"activityCreateEvent\",\"processID\":%d,"
             "\"processImagePath\":\"/x\","
             "\"senderImagePath\":\"/System/Library/Frameworks/Security.framework/Versions/A/Security\"}",
             function, pid);
    intake_take(intake, INTAKE_LOG, span_str(line), now_ms);
}

/* A login shell's script runs tar on a key's folder, then a client that it is asked about. */
static void run_session(void)
{
    say_process("fork", "child", SHELL, LEADER, "/bin/zsh");
    say_process("fork", "child", TAR, SHELL, "/bin/zsh");
    say_process("exec", "target", TAR, SHELL, "/usr/bin/tar");
    say(process_of(TAR, SHELL, "/usr/bin/tar"),
        "\"open\":{\"fflag\":1,\"file\":{\"path\":\"/Users/ann/.ssh/id_rsa\"}}");
    say(process_of(TAR, SHELL, "/usr/bin/tar"),
        "\"open\":{\"fflag\":1,\"file\":{\"path\":\"/Users/ann/.ssh/id_rsa.pub\"}}");
    say(process_of(TAR, SHELL, "/usr/bin/tar"),
        "\"close\":{\"modified\":false,\"target\":{\"path\":\"/private/tmp/x.tgz\"}}");
    say(process_of(TAR, SHELL, "/usr/bin/tar"),
        "\"close\":{\"modified\":true,\"target\":{\"path\":\"/private/tmp/x.tgz\"}}");
    say(process_of(TAR, SHELL, "/usr/bin/tar"), "\"exit\":{\"stat\":0}");
    now_ms += 5000;
    say_process("fork", "child", CLIENT, SHELL, "/bin/zsh");
    say_process("exec", "target", CLIENT, SHELL, "/Users/ann/up");
    say(process_of(CLIENT, SHELL, "/Users/ann/up"),
        "\"mmap\":{\"source\":{\"path\":\"/opt/homebrew/lib/libssl.3.dylib\"}}");
}

static const struct agent_history_row *row_of(enum agent_history_kind kind)
{
    for (size_t i = 0; i < history.row_count; i++)
        if (history.rows[i].kind == kind)
            return &history.rows[i];
    return NULL;
}

static void ask(int pid, int64_t start_s)
{
    memset(&history, 0, sizeof history);
    intake_ask(intake, pid, start_s, now_ms, &history);
}

/* ---- tests ---- */

static void check_session(void)
{
    run_session();
    ask(CLIENT, STARTED_S);
    const struct agent_history_row *archiver = row_of(AGENT_HISTORY_EXEC_ARCHIVER),
                                   *written = row_of(AGENT_HISTORY_ARCHIVE_WRITTEN),
                                   *access = row_of(AGENT_HISTORY_SENSITIVE_ACCESS),
                                   *library = row_of(AGENT_HISTORY_TLS_LIBRARY);
    assert_true(archiver && written && access && library);
    assert_string_equal(archiver->class_name, "tar");
    assert_true(archiver->pid == TAR && archiver->last_s == 5 && archiver->count == 1);
    assert_string_equal(written->class_name, "gzip");
    assert_true(written->bytes == 4711 && written->count == 1);
    assert_string_equal(access->class_name, "ssh_key");
    assert_string_equal(access->path, "/Users/ann/.ssh/id_rsa");
    assert_string_equal(access->name, "tar");
    assert_string_equal(library->class_name, "openssl");
    assert_int_equal(history.lost_events, 0);
    ask(CLIENT, STARTED_S + 60); /* the number is another process' now, of which nothing was told */
    assert_int_equal(history.row_count, 0);
    ask(LEADER, STARTED_S); /* its session's, not its own */
    assert_int_equal(history.row_count, 0);
}

static void objects(void **state)
{
    (void)state;
    as_list = false;
    check_session();
}

static void lists(void **state)
{
    (void)state;
    as_list = true;
    check_session();
}

static void keys(void **state)
{
    (void)state;
    run_session();
    say_use(CLIENT, "SecTrustEvaluateIfNecessary");
    say_use(CLIENT, "SecKeyVerifySignature");
    say_use(CLIENT, "SecKeyCreateSignature"); /* a client certificate's, perhaps */
    say_use(4242, "SecKeyCreateSignature");   /* of whom nothing is known */
    ask(CLIENT, STARTED_S);
    assert_null(row_of(AGENT_HISTORY_PUBLIC_KEY_OUTSIDE_TLS));
    say_use(CLIENT, "SecKeyCreateSignature");
    say_use(CLIENT, "SecKeyCreateSignature");
    ask(CLIENT, STARTED_S);
    const struct agent_history_row *use = row_of(AGENT_HISTORY_PUBLIC_KEY_OUTSIDE_TLS);
    assert_true(use && use->count == 2 && use->pid == CLIENT);
    assert_string_equal(use->class_name, "SecKeyCreateSignature");
    say_use(CLIENT, "SecKeyCreateEncryptedDataWithParameters");
    ask(CLIENT, STARTED_S);
    assert_int_equal(history.row_count, 6);
}

static void losses(void **state)
{
    (void)state;
    run_session();
    next_number += 7;
    say(process_of(CLIENT, SHELL, "/Users/ann/up"), "\"exit\":{\"stat\":0}");
    intake_take(intake, INTAKE_LOG,
                span_str("{\"eventType\":\"lossEvent\",\"eventMessage\":\"lost >=3 messages\"}"), now_ms);
    ask(CLIENT, STARTED_S);
    assert_int_equal(history.lost_events, 8);
    struct agent_losses all;
    intake_losses(intake, &all);
    assert_true(all.events == 8 && all.files == 0 && all.forgotten == 0);
}

static bool sees(enum agent_history_kind kind)
{
    ask(CLIENT, STARTED_S);
    return !(history.not_observable >> kind & 1);
}

static void what_cannot_be_seen(void **state)
{
    (void)state;
    assert_false(sees(AGENT_HISTORY_ARCHIVE_WRITTEN));
    intake_running(intake, INTAKE_LOG, true);
    assert_false(sees(AGENT_HISTORY_PUBLIC_KEY_OUTSIDE_TLS)); /* whose it is, nobody says */
    intake_running(intake, INTAKE_EVENTS, true);
    assert_true(sees(AGENT_HISTORY_ARCHIVE_WRITTEN) && sees(AGENT_HISTORY_PUBLIC_KEY_OUTSIDE_TLS));
    assert_int_equal(intake_never(true) & ~history.not_observable, 0);
    assert_false(sees(AGENT_HISTORY_SYMMETRIC_OUTSIDE_TLS)); /* CommonCrypto leaves no trace */
}

/* ---- programs ---- */

/* Until the program has ended and all was taken in. */
static void take_all(struct streams *s)
{
    int fds[INTAKE_STREAMS];
    for (streams_fds(s, fds); fds[INTAKE_EVENTS] >= 0; streams_fds(s, fds)) {
        struct pollfd p = {.fd = fds[INTAKE_EVENTS], .events = POLLIN};
        assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
        streams_turn(s, now_ms);
    }
}

/* Two events, and between them a line that is longer than any may be. */
static void a_program_that_tells(void **state)
{
    (void)state;
    static const char script[] = "p='{\"audit_token\":[501,501,20,501,20,7,100,1],\"session_id\":1,"
                                 "\"executable\":{\"path\":\"/bin/x\"}}'\n"
                                 "echo "
                                 "\"{\\\"process\\\":$p,\\\"event\\\":{\\\"open\\\":{\\\"file\\\":{"
                                 "\\\"path\\\":\\\"/Users/a/.netrc\\\"}}},\\\"global_seq_num\\\":0}\"\n"
                                 "head -c 600000 /dev/zero | tr '\\0' x; echo\n"
                                 "echo "
                                 "\"{\\\"process\\\":$p,\\\"event\\\":{\\\"open\\\":{\\\"file\\\":{"
                                 "\\\"path\\\":\\\"/Users/a/.netrc\\\"}}},\\\"global_seq_num\\\":1}\"\n";
    static const char *const shell[] = {"/bin/sh", "-c", script, NULL};
    const char *const *const commands[INTAKE_STREAMS] = {shell, NULL};
    struct streams *s = streams_new(intake, commands);
    assert_non_null(s);
    streams_turn(s, now_ms);
    take_all(s);
    ask(7, -1);
    assert_true(history.row_count == 1 && history.rows[0].count == 2);
    assert_int_equal(history.lost_events, 2); /* the long line, and what is not told from here on */
    assert_false(sees(AGENT_HISTORY_SENSITIVE_ACCESS));
    int fds[INTAKE_STREAMS];
    streams_turn(s, now_ms + STREAMS_RETRY_MS - 1);
    streams_fds(s, fds);
    assert_int_equal(fds[INTAKE_EVENTS], -1);
    now_ms += STREAMS_RETRY_MS;
    streams_turn(s, now_ms); /* it begins again */
    take_all(s);
    ask(7, -1);
    assert_int_equal(history.rows[0].count, 4);
    streams_free(s);
}

static void a_program_that_is_not_there(void **state)
{
    (void)state;
    static const char *const nothing[] = {"/nonexistent/eslogger", NULL}, *const forever[] = {"/bin/sleep",
                                                                                              "1000", NULL};
    const char *const *const commands[INTAKE_STREAMS] = {nothing, forever};
    struct streams *s = streams_new(intake, commands);
    int fds[INTAKE_STREAMS];
    streams_turn(s, now_ms);
    streams_fds(s, fds);
    assert_true(fds[INTAKE_EVENTS] == -1 && fds[INTAKE_LOG] >= 0);
    assert_false(sees(AGENT_HISTORY_SENSITIVE_ACCESS));
    streams_free(s); /* ends the one that runs */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(objects, start, stop),
        cmocka_unit_test_setup_teardown(lists, start, stop),
        cmocka_unit_test_setup_teardown(keys, start, stop),
        cmocka_unit_test_setup_teardown(losses, start, stop),
        cmocka_unit_test_setup_teardown(what_cannot_be_seen, start, stop),
        cmocka_unit_test_setup_teardown(a_program_that_tells, start, stop),
        cmocka_unit_test_setup_teardown(a_program_that_is_not_there, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
