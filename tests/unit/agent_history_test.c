/* agent_history_test.c: the memory of what lineages did: for whom a thing counts, windows, bounds; and how an answer tells it. */
#include <jansson.h>

#include "agent/history.h"
#include "wire/agent_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { WINDOW_MS = 3600000, SHELL = 100, SCRIPT = 110, TAR = 120, CURL = 130 };

static struct history *h;
static struct agent_history told;
static const char gzip[] = "gzip", keys[] = "ssh_key";

static int begin(void **state)
{
    (void)state;
    h = history_new(4, WINDOW_MS);
    return h ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    history_free(h);
    return 0;
}

static struct history_id id_of(int64_t pid)
{
    return (struct history_id){pid, pid * 10};
}

static void fork_child(int64_t pid, int64_t parent, int64_t session, const char *name)
{
    struct history_process p = {.id = id_of(pid), .parent = id_of(parent), .session = session, .name = name};
    history_tell(h, &p, 1000);
}

static void see(int64_t pid, enum agent_history_kind kind, const char *class_name, const char *path,
                int64_t now_ms)
{
    struct history_seen s = {.kind = kind, .class_name = class_name, .path = path, .bytes = -1};
    assert_true(history_see(h, pid, &s, now_ms));
}

static const struct agent_history_row *ask(int64_t pid, enum agent_history_kind kind, int64_t now_ms)
{
    struct history_id id = id_of(pid);
    history_ask(h, &id, now_ms, &told);
    for (size_t i = 0; i < told.row_count; i++)
        if (told.rows[i].kind == kind)
            return &told.rows[i];
    return NULL;
}

static void make_session(void)
{
    fork_child(SHELL, 1, SHELL, "bash");
    fork_child(SCRIPT, SHELL, SHELL, "backup.sh");
    fork_child(TAR, SCRIPT, SHELL, "tar");
    fork_child(CURL, SCRIPT, SHELL, "curl");
}

static void a_scripts_archive_counts_for_its_curl(void **state)
{
    (void)state;
    make_session();
    see(TAR, AGENT_HISTORY_ARCHIVE_WRITTEN, gzip, "/tmp/x.tgz", 5000);
    struct history_id tar = id_of(TAR);
    history_end(h, &tar, 6000);
    const struct agent_history_row *r = ask(CURL, AGENT_HISTORY_ARCHIVE_WRITTEN, 17000);
    assert_non_null(r);
    assert_int_equal(r->count, 1);
    assert_int_equal(r->last_s, 12);
    assert_int_equal(r->pid, TAR);
    assert_string_equal(r->name, "tar");
    assert_string_equal(r->path, "/tmp/x.tgz");
    assert_false(r->at_least);
    assert_null(ask(CURL, AGENT_HISTORY_SENSITIVE_ACCESS, 17000));
}

static void the_sessions_leader_counts_for_nobody(void **state)
{
    (void)state;
    make_session();
    see(SHELL, AGENT_HISTORY_SENSITIVE_ACCESS, keys, "/k", 2000);
    fork_child(140, SHELL, SHELL, "tar");
    see(140, AGENT_HISTORY_ARCHIVE_WRITTEN, gzip, "/tmp/y.tgz", 3000);
    assert_null(ask(CURL, AGENT_HISTORY_SENSITIVE_ACCESS, 4000));
    assert_null(ask(CURL, AGENT_HISTORY_ARCHIVE_WRITTEN, 4000));
    assert_null(ask(SHELL, AGENT_HISTORY_ARCHIVE_WRITTEN, 4000));
    assert_non_null(ask(SHELL, AGENT_HISTORY_SENSITIVE_ACCESS, 4000)); /* its own */
}

static void a_services_first_process_counts(void **state)
{
    (void)state;
    struct history_process service = {
        .id = id_of(200), .parent = id_of(1), .session = 200, .is_service = true, .name = "job.sh"};
    history_tell(h, &service, 1000);
    fork_child(201, 200, 200, "tar");
    fork_child(202, 200, 200, "curl");
    see(201, AGENT_HISTORY_ARCHIVE_WRITTEN, gzip, "/a", 2000);
    assert_non_null(ask(202, AGENT_HISTORY_ARCHIVE_WRITTEN, 3000));
    assert_non_null(ask(200, AGENT_HISTORY_ARCHIVE_WRITTEN, 3000));
}

static void another_session_is_another_lineage(void **state)
{
    (void)state;
    make_session();
    fork_child(150, SCRIPT, 150, "daemon"); /* it called setsid() */
    see(TAR, AGENT_HISTORY_ARCHIVE_WRITTEN, gzip, "/a", 2000);
    assert_null(ask(150, AGENT_HISTORY_ARCHIVE_WRITTEN, 3000));
    see(150, AGENT_HISTORY_SENSITIVE_ACCESS, keys, "/k", 2000);
    assert_null(ask(CURL, AGENT_HISTORY_SENSITIVE_ACCESS, 3000));
}

static void orphans_keep_their_lineage(void **state)
{
    (void)state;
    make_session();
    fork_child(160, SCRIPT, SHELL, "middle");
    fork_child(161, 160, SHELL, "orphan");
    struct history_id middle = id_of(160);
    history_end(h, &middle, 1500);
    see(161, AGENT_HISTORY_SENSITIVE_ACCESS, keys, "/k", 2000);
    assert_non_null(ask(CURL, AGENT_HISTORY_SENSITIVE_ACCESS, 3000));
}

static void a_new_session_is_another_lineage(void **state)
{
    (void)state;
    fork_child(SCRIPT, SHELL, SHELL, "sh");
    fork_child(TAR, SCRIPT, SHELL, "tar");
    fork_child(CURL, SCRIPT, SHELL, "curl");
    see(TAR, AGENT_HISTORY_ARCHIVE_WRITTEN, gzip, NULL, 2000);
    assert_non_null(ask(CURL, AGENT_HISTORY_ARCHIVE_WRITTEN, 3000));
    history_lead(h, CURL);
    assert_null(ask(CURL, AGENT_HISTORY_ARCHIVE_WRITTEN, 3000));
    history_lead(h, 9999); /* nobody knows it */
}

static void a_child_that_nobody_saw_is_its_parents(void **state)
{
    (void)state;
    struct history_id id;
    fork_child(SCRIPT, SHELL, SHELL, "sh");
    fork_child(CURL, SCRIPT, SHELL, "curl");
    history_fork(h, SCRIPT, TAR, 1500);
    assert_true(history_latest(h, TAR, &id));
    see(TAR, AGENT_HISTORY_ARCHIVE_WRITTEN, gzip, NULL, 2000);
    assert_string_equal(ask(CURL, AGENT_HISTORY_ARCHIVE_WRITTEN, 3000)->name, "sh");
    history_fork(h, 9999, 9998, 1500); /* of nobody */
    assert_false(history_latest(h, 9998, &id));
}

static void depth_is_bounded(void **state)
{
    (void)state;
    fork_child(SHELL, 1, SHELL, "bash");
    for (int64_t i = 0; i < 10; i++)
        fork_child(300 + i, i == 0 ? SHELL : 299 + i, SHELL, "deep");
    see(309, AGENT_HISTORY_SENSITIVE_ACCESS, keys, "/k", 2000);
    assert_non_null(ask(309, AGENT_HISTORY_SENSITIVE_ACCESS, 3000));
    assert_non_null(ask(305, AGENT_HISTORY_SENSITIVE_ACCESS, 3000));
    assert_null(ask(304, AGENT_HISTORY_SENSITIVE_ACCESS, 3000));
}

static void repeated_things_are_counted(void **state)
{
    (void)state;
    make_session();
    for (int i = 0; i < 1000; i++)
        see(TAR, AGENT_HISTORY_SENSITIVE_ACCESS, keys, i < 999 ? "/k" : "/last", 2000 + i);
    see(CURL, AGENT_HISTORY_SENSITIVE_ACCESS, keys, "/mine", 2500);
    const struct agent_history_row *r = ask(CURL, AGENT_HISTORY_SENSITIVE_ACCESS, 12000);
    assert_int_equal(r->count, 1001);
    assert_string_equal(r->path, "/last");
    assert_int_equal(r->first_s, 10);
    assert_int_equal(told.row_count, 1);
}

static void what_is_old_is_over(void **state)
{
    (void)state;
    make_session();
    see(TAR, AGENT_HISTORY_ARCHIVE_WRITTEN, gzip, "/a", 2000);
    assert_non_null(ask(CURL, AGENT_HISTORY_ARCHIVE_WRITTEN, 2000 + WINDOW_MS));
    assert_null(ask(CURL, AGENT_HISTORY_ARCHIVE_WRITTEN, 2001 + WINDOW_MS));
    see(TAR, AGENT_HISTORY_ARCHIVE_WRITTEN, gzip, "/b", 3000 + WINDOW_MS);
    assert_int_equal(ask(CURL, AGENT_HISTORY_ARCHIVE_WRITTEN, 3000 + WINDOW_MS)->count, 1);
    history_age(h, 4000 + 2 * (int64_t)WINDOW_MS);
    assert_null(ask(TAR, AGENT_HISTORY_ARCHIVE_WRITTEN, 3000 + WINDOW_MS));
}

static void a_number_used_again_is_somebody_else(void **state)
{
    (void)state;
    make_session();
    see(TAR, AGENT_HISTORY_ARCHIVE_WRITTEN, gzip, "/a", 2000);
    struct history_process again = {.id = {TAR, 99999}, .parent = id_of(1), .session = TAR, .name = "other"};
    history_tell(h, &again, 3000); /* the first one's end was missed */
    see(TAR, AGENT_HISTORY_SENSITIVE_ACCESS, keys, "/k", 4000);
    history_ask(h, &again.id, 5000, &told);
    assert_int_equal(told.row_count, 1);
    assert_int_equal(told.rows[0].kind, AGENT_HISTORY_SENSITIVE_ACCESS);
    assert_null(ask(TAR, AGENT_HISTORY_SENSITIVE_ACCESS, 5000));
    assert_non_null(ask(CURL, AGENT_HISTORY_ARCHIVE_WRITTEN, 5000));
    struct history_seen s = {.kind = AGENT_HISTORY_TLS_LIBRARY, .bytes = -1};
    assert_false(history_see(h, 31337, &s, 1));
}

static void many_processes_are_bounded_and_said(void **state)
{
    (void)state;
    make_session();
    see(TAR, AGENT_HISTORY_ARCHIVE_WRITTEN, gzip, "/a", 2000);
    for (int64_t i = 0; i < 5 * HISTORY_PROCESSES_MAX; i++) { /* those that end and did nothing go first */
        struct history_id id = id_of(1000 + i);
        fork_child(1000 + i, SHELL, SHELL, "noise");
        history_end(h, &id, 3000);
    }
    assert_non_null(ask(CURL, AGENT_HISTORY_ARCHIVE_WRITTEN, 4000));
    assert_int_equal(told.forgotten, 0);
    for (int64_t i = 0; i < 2 * HISTORY_PROCESSES_MAX; i++)
        fork_child(100000 + i, SHELL, SHELL, "alive");
    assert_null(ask(CURL, AGENT_HISTORY_ARCHIVE_WRITTEN, 4000));
    assert_true(told.forgotten > HISTORY_PROCESSES_MAX / 2);
}

static void many_things_are_bounded_and_said(void **state)
{
    (void)state;
    char names[40][8];
    make_session();
    for (int i = 0; i < 40; i++) {
        snprintf(names[i], sizeof names[i], "c%d", i);
        see(TAR, AGENT_HISTORY_SENSITIVE_ACCESS, names[i], "/k", 2000 + i);
    }
    const struct agent_history_row *r = ask(CURL, AGENT_HISTORY_SENSITIVE_ACCESS, 3000);
    assert_non_null(r);
    assert_true(r->at_least);
    assert_true(told.row_count <= AGENT_HISTORY_ROWS_MAX);
    for (int64_t i = 0; i < HISTORY_PROCESSES_MAX - 10; i++) {
        fork_child(1000 + i, SHELL, SHELL, "busy");
        for (int k = 0; k < 8; k++)
            see(1000 + i, AGENT_HISTORY_SENSITIVE_ACCESS, names[k], "/k", 3000);
    }
    ask(CURL, AGENT_HISTORY_SENSITIVE_ACCESS, 3000);
    assert_true(told.forgotten > 0);
}

static void losses_and_blindness_are_told(void **state)
{
    (void)state;
    history_lose(h, 7, 3);
    history_cannot_see(h, AGENT_HISTORY_PUBLIC_KEY_OUTSIDE_TLS);
    assert_null(ask(CURL, AGENT_HISTORY_ARCHIVE_WRITTEN, 1));
    assert_int_equal(told.lost_events, 7);
    assert_int_equal(told.lost_files, 3);
    assert_int_equal(told.not_observable, 1u << AGENT_HISTORY_PUBLIC_KEY_OUTSIDE_TLS);
    struct history_id id = id_of(CURL);
    assert_false(history_connect(h, &id, 0));
    make_session();
    assert_true(history_connect(h, &id, 0));
    assert_false(history_connect(h, &id, 0));
    assert_true(history_knows(h, CURL));
}

/* ---- on the wire ---- */

static struct agent_message *round_trip(struct agent_history *history)
{
    static struct agent_message m;
    struct agent_answer a = {.id = 1,
                             .nonce = "0123456789abcdef",
                             .confidence = AGENT_CONFIDENCE_EXACT,
                             .sender_ref = "1.2.3",
                             .history = history};
    struct agent_error e;
    struct buf out;
    struct span line;
    size_t used;
    buf_init(&out, AGENT_LINE_BYTES);
    assert_int_equal(agent_answer_write(&out, &a), 0);
    assert_int_equal(agent_line_next(buf_span(&out), &line, &used), PARSE_OK);
    assert_int_equal(agent_message_decode(line, &m, &e), 0);
    buf_free(&out);
    return &m;
}

static void an_answer_carries_it(void **state)
{
    (void)state;
    make_session();
    see(TAR, AGENT_HISTORY_ARCHIVE_WRITTEN, gzip, "/tmp/\x1b[0m\xff.tgz", 2000);
    history_lose(h, 5, 0);
    ask(CURL, AGENT_HISTORY_ARCHIVE_WRITTEN, 4000);
    told.has_usage = true;
    told.usage = (struct agent_usage){12, 1, 2, 3, 4, 5, 2, 30, 7, 1};
    struct agent_message *m = round_trip(&told);
    const struct agent_history *back = m->u.answer.history;
    assert_int_equal(back->row_count, 1);
    assert_int_equal(back->rows[0].kind, AGENT_HISTORY_ARCHIVE_WRITTEN);
    assert_string_equal(back->rows[0].class_name, "gzip");
    assert_string_equal(back->rows[0].path, "/tmp/\x1b[0m\xef\xbf\xbd.tgz");
    assert_int_equal(back->rows[0].last_s, 2);
    assert_int_equal(back->rows[0].bytes, -1);
    assert_int_equal(back->lost_events, 5);
    assert_int_equal(back->usage.connected_executions, 2);
    assert_true(back->usage.recent_days == 30 && back->usage.recent_executions == 7 &&
                back->usage.recent_connected == 1);
    assert_non_null(strstr(back->json, "\"archive_written\""));
    assert_null(strchr(back->json, 0x1b));
    agent_message_free(m);
}

static int decode(const char *history)
{
    static struct agent_message m;
    struct agent_error e;
    char line[2048];
    snprintf(line, sizeof line,
             "{\"v\":1,\"type\":\"answer\",\"id\":1,\"nonce\":\"0123456789abcdef\",\"confidence\":\"exact\","
             "\"basis\":\"connect\",\"sender_ref\":\"1.2.3\",\"history\":%s}",
             history);
    int result = agent_message_decode(span_str(line), &m, &e);
    if (result == 0)
        agent_message_free(&m);
    return result;
}

static void malformed_ones_are_refused(void **state)
{
    (void)state;
    assert_int_equal(decode("null"), 0);
    assert_int_equal(decode("{}"), 0);
    assert_int_equal(decode("{\"seen\":[{\"kind\":\"of a newer agent\",\"count\":\"x\"}]}"), 0);
    assert_int_equal(decode("{\"seen\":[{\"kind\":\"tls_library\",\"count\":-1}]}"), -1);
    assert_int_equal(decode("{\"seen\":[{\"kind\":\"tls_library\",\"path\":7}]}"), -1);
    assert_int_equal(decode("[]"), -1);
    assert_int_equal(decode("\"x\""), -1);
    assert_int_equal(decode("{\"losses\":{\"events\":true}}"), -1);
}

int main(void)
{
#define HISTORY(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        HISTORY(a_scripts_archive_counts_for_its_curl),
        HISTORY(the_sessions_leader_counts_for_nobody),
        HISTORY(a_services_first_process_counts),
        HISTORY(another_session_is_another_lineage),
        HISTORY(orphans_keep_their_lineage),
        HISTORY(a_new_session_is_another_lineage),
        HISTORY(a_child_that_nobody_saw_is_its_parents),
        HISTORY(depth_is_bounded),
        HISTORY(repeated_things_are_counted),
        HISTORY(what_is_old_is_over),
        HISTORY(a_number_used_again_is_somebody_else),
        HISTORY(many_processes_are_bounded_and_said),
        HISTORY(many_things_are_bounded_and_said),
        HISTORY(losses_and_blindness_are_told),
        HISTORY(an_answer_carries_it),
        HISTORY(malformed_ones_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
