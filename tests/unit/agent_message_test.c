/* agent_message_test.c: the agent's protocol: what is written can be read and means the same; what breaks the
 * protocol is refused with a reason; a sender's OCSF form is what the schema wants. */
#include <jansson.h>

#include "base/must.h"
#include "wire/agent_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct endpoint endpoint(const char *text)
{
    struct endpoint e;
    assert_true(endpoint_parse(span_str(text), &e));
    return e;
}

/* Takes the only line out of `out` and decodes it. */
static int decode(struct buf *out, struct agent_message *ret, struct agent_error *e)
{
    struct span line;
    size_t used;
    assert_int_equal(agent_line_next(buf_span(out), &line, &used), PARSE_OK);
    assert_int_equal(used, buf_len(out));
    int result = agent_message_decode(line, ret, e);
    buf_consume(out, used);
    return result;
}

static int decode_text(const char *text, struct agent_message *ret, struct agent_error *e)
{
    return agent_message_decode(span_str(text), ret, e);
}

static struct sender *make_sender(void)
{
    static const char *arguments[] = {"curl", "-H", "Authorization: [redacted]", "it's \x01 here", ""};
    struct sender *s = sender_new();
    assert_non_null(s);
    s->ref = arena_strdup(&s->arena, "42.1000.7");
    s->pid = 42;
    s->start_ticks = 1000;
    s->start_ms = 1700000000123;
    s->name = "curl";
    s->executable = "/usr/bin/c\xffurl";
    s->sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    s->hash_state = SENDER_HASH_DONE;
    s->package_name = "curl";
    s->package_version = "7.88";
    s->script_kind = SENDER_SCRIPT_COMMAND;
    s->script_writable_by_user = 1;
    s->arguments = arguments;
    s->argument_count = 5;
    s->arguments_truncated = true;
    s->cwd = "/";
    s->uid = 1000;
    s->user = "ann";
    s->parents = arena_alloc(&s->arena, 2 * sizeof *s->parents);
    s->parents[0] = (struct sender_parent){7, "/bin/bash", "bash", 0};
    s->parents[1] = (struct sender_parent){1, NULL, "init", -1};
    s->parent_count = 2;
    s->unit = "cron.service";
    s->who.signer = "EQHXZ8M8AV/com.google.Chrome";
    s->who.signature_valid = true;
    s->who.responsible_pid = 17;
    s->who.responsible_path = "/Applications/Term";
    s->writable_by_user = 0;
    s->provenance[SENDER_FIELD_EXECUTABLE] = AGENT_PROVENANCE_KERNEL;
    s->provenance[SENDER_FIELD_CWD] = AGENT_PROVENANCE_DENIED;
    return s;
}

static void hello_goes_round(void **state)
{
    (void)state;
    struct buf out;
    struct agent_error e;
    static struct agent_message m;
    static struct agent_hello h = {.program = "exeatd",
                                   .program_version = "1",
                                   .host_name = "ws",
                                   .owner = "proc",
                                   .degraded = {"one", "two"},
                                   .degraded_count = 2,
                                   .platform = "linux",
                                   .tells_observable = true,
                                   .not_observable = 1u << AGENT_HISTORY_SENSITIVE_ACCESS,
                                   .keep = 64,
                                   .bpf = true};
    h.proxies[0] = endpoint("127.0.0.1:3128");
    h.proxies[1] = endpoint("[::1]:3128");
    h.proxy_count = 2;
    buf_init(&out, 100000);
    assert_int_equal(agent_hello_write(&out, &h), 0);
    assert_int_equal(decode(&out, &m, &e), 0);
    assert_int_equal(m.type, AGENT_MESSAGE_HELLO);
    assert_int_equal(m.u.hello.version, 1);
    assert_string_equal(m.u.hello.program, "exeatd");
    assert_string_equal(m.u.hello.owner, "proc");
    assert_true(m.u.hello.bpf);
    assert_int_equal(m.u.hello.degraded_count, 2);
    assert_string_equal(m.u.hello.degraded[1], "two");
    assert_string_equal(m.u.hello.platform, "linux");
    assert_true(m.u.hello.tells_observable);
    assert_int_equal(m.u.hello.not_observable, 1u << AGENT_HISTORY_SENSITIVE_ACCESS);
    assert_int_equal(m.u.hello.keep, 64);
    assert_int_equal(m.u.hello.proxy_count, 2);
    assert_int_equal(m.u.hello.proxies[1].ip.version, 6);
    assert_string_equal(m.u.hello.host_id, "");
    buf_free(&out);
}

static void ask_goes_round(void **state)
{
    (void)state;
    struct buf out;
    struct agent_error e;
    static struct agent_message m;
    struct agent_ask a = {.id = 9007199254740991,
                          .nonce = "0123456789abcdef",
                          .want_hash = true,
                          .hash_wait_ms = 77,
                          .age_ms = 1234,
                          .proxy_cookie = 8209};
    a.client = endpoint("127.0.0.1:40000");
    a.proxy = endpoint("[::1]:3128");
    buf_init(&out, 1000);
    assert_int_equal(agent_ask_write(&out, &a), 0);
    assert_int_equal(decode(&out, &m, &e), 0);
    assert_int_equal(m.type, AGENT_MESSAGE_ASK);
    assert_true(m.u.ask.id == a.id);
    assert_string_equal(m.u.ask.nonce, a.nonce);
    assert_int_equal(m.u.ask.client.port, 40000);
    assert_true(ip_equal(&m.u.ask.proxy.ip, &a.proxy.ip));
    assert_true(m.u.ask.want_hash);
    assert_false(m.u.ask.full);
    assert_int_equal(m.u.ask.hash_wait_ms, 77);
    assert_int_equal(m.u.ask.age_ms, 1234);
    assert_int_equal(m.u.ask.proxy_cookie, 8209);
    buf_clear(&out);
    a.age_ms = -1; /* not told */
    assert_int_equal(agent_ask_write(&out, &a), 0);
    assert_null(memmem(buf_span(&out).data, buf_len(&out), "age_ms", 6));
    assert_int_equal(decode(&out, &m, &e), 0);
    assert_int_equal(m.u.ask.age_ms, -1);
    buf_free(&out);
}

static void full_answer_goes_round(void **state)
{
    (void)state;
    struct buf out;
    struct agent_error e;
    static struct agent_message m;
    struct sender *s = make_sender();
    struct agent_answer a = {.id = 3,
                             .nonce = "00000000000000ff",
                             .host = "ws",
                             .confidence = AGENT_CONFIDENCE_STALE,
                             .basis = AGENT_BASIS_CONNECT,
                             .reason = AGENT_REASON_EXEC_CHANGED,
                             .connect = {.exec_changed = 1, .handed_over = -1, .other_namespace = 0},
                             .sender_ref = "42.1000.7",
                             .sender = s};
    buf_init(&out, 100000);
    assert_int_equal(agent_answer_write(&out, &a), 0);
    assert_int_equal(decode(&out, &m, &e), 0);
    const struct sender *got = m.u.answer.sender;
    assert_non_null(got);
    assert_int_equal(m.u.answer.confidence, AGENT_CONFIDENCE_STALE);
    assert_int_equal(m.u.answer.reason, AGENT_REASON_EXEC_CHANGED);
    assert_int_equal(m.u.answer.basis, AGENT_BASIS_CONNECT);
    assert_int_equal(m.u.answer.connect.exec_changed, 1);
    assert_int_equal(m.u.answer.connect.handed_over, -1);
    assert_int_equal(m.u.answer.connect.other_namespace, 0);
    assert_int_equal(got->script_writable_by_user, 1);
    assert_string_equal(got->ref, "42.1000.7");
    assert_int_equal(got->pid, 42);
    assert_int_equal(got->start_ms, 1700000000123);
    assert_string_equal(got->executable, "/usr/bin/c\xef\xbf\xbdurl"); /* not UTF-8: not exact any more */
    assert_string_equal(got->sha256, s->sha256);
    assert_string_equal(got->package_version, "7.88");
    assert_int_equal(got->package_verified, -1);
    assert_int_equal(got->script_kind, SENDER_SCRIPT_COMMAND);
    assert_int_equal(got->argument_count, 5);
    assert_string_equal(got->arguments[3], "it's \x01 here");
    assert_true(got->arguments_truncated);
    assert_int_equal(got->login_uid, -1);
    assert_int_equal(got->parent_count, 2);
    assert_null(got->parents[1].executable);
    assert_int_equal(got->writable_by_user, 0);
    assert_string_equal(got->who.signer, s->who.signer);
    assert_true(got->who.signature_valid);
    assert_int_equal(got->who.responsible_pid, 17);
    assert_string_equal(got->who.responsible_path, "/Applications/Term");
    assert_int_equal(got->provenance[SENDER_FIELD_CWD], AGENT_PROVENANCE_DENIED);
    assert_non_null(got->ocsf_json);
    struct sender *kept = sender_ref(m.u.answer.sender);
    agent_message_free(&m);
    assert_string_equal(kept->cwd, "/");
    sender_unref(kept);
    sender_unref(s);
    buf_free(&out);
}

static void ambiguous_answer_goes_round(void **state)
{
    (void)state;
    struct buf out;
    struct agent_error e;
    static struct agent_message m;
    struct agent_answer a = {.id = 3,
                             .nonce = "00000000000000ff",
                             .host = "ws",
                             .holders = {5, 6},
                             .holder_count = 2,
                             .confidence = AGENT_CONFIDENCE_AMBIGUOUS,
                             .reason = AGENT_REASON_SEVERAL_HOLDERS};
    buf_init(&out, 100000);
    assert_int_equal(agent_answer_write(&out, &a), 0);
    assert_int_equal(decode(&out, &m, &e), 0);
    assert_int_equal(m.u.answer.reason, AGENT_REASON_SEVERAL_HOLDERS);
    assert_int_equal(m.u.answer.holder_count, 2);
    assert_int_equal(m.u.answer.holders[1], 6);
    assert_string_equal(m.u.answer.sender_ref, "");
    assert_null(m.u.answer.sender);
    struct agent_error error = {.has_id = true, .id = 3, .code = AGENT_ERROR_NO_HELLO, .text = "hello first"};
    assert_int_equal(agent_error_write(&out, &error), 0);
    assert_int_equal(decode(&out, &m, &e), 0);
    assert_int_equal(m.type, AGENT_MESSAGE_ERROR);
    assert_int_equal(m.u.error.code, AGENT_ERROR_NO_HELLO);
    assert_true(m.u.error.has_id && m.u.error.id == 3);
    buf_free(&out);
}

#define ASK(rest) "{\"v\":1,\"type\":\"ask\"," rest "}"
#define ANSWER(rest)                                                                                         \
    "{\"v\":1,\"type\":\"answer\",\"id\":1,\"nonce\":\"0123456789abcdef\",\"basis\":\"holder_now\"," rest "}"
#define TUPLE "\"proto\":\"tcp\",\"client\":\"1.2.3.4:5\",\"proxy\":\"1.2.3.4:6\""
#define IDS   "\"id\":1,\"nonce\":\"0123456789abcdef\","

static void keep_and_kept_go_round(void **state)
{
    (void)state;
    struct buf out;
    struct agent_error e;
    static struct agent_message m;
    const struct agent_keep k = {9, "0123456789abcdef", "42.1000.7", 3600};
    static struct agent_history history = {
        .window_s = 7200, .rows = {{.kind = AGENT_HISTORY_EXEC_ARCHIVER, .count = 3}}, .row_count = 1};
    struct agent_kept kept = {.id = 9,
                              .nonce = "0123456789abcdef",
                              .host = "ws",
                              .sender_ref = "42.1000.7",
                              .outcome = AGENT_KEEP_KEPT,
                              .until_ms = 1790000000000,
                              .history = &history};
    buf_init(&out, 10000);
    assert_int_equal(agent_keep_write(&out, &k), 0);
    assert_int_equal(decode(&out, &m, &e), 0);
    assert_int_equal(m.type, AGENT_MESSAGE_KEEP);
    assert_true(m.u.keep.id == 9 && m.u.keep.seconds == 3600);
    assert_string_equal(m.u.keep.sender_ref, "42.1000.7");
    assert_int_equal(agent_kept_write(&out, &kept), 0);
    assert_int_equal(decode(&out, &m, &e), 0);
    assert_int_equal(m.type, AGENT_MESSAGE_KEPT);
    assert_true(m.u.kept.outcome == AGENT_KEEP_KEPT && m.u.kept.until_ms == 1790000000000);
    assert_true(m.u.kept.history && m.u.kept.history->rows[0].count == 3);
    agent_message_free(&m);
    kept = (struct agent_kept){.id = 9, .nonce = "0123456789abcdef", .outcome = AGENT_KEEP_FULL};
    assert_int_equal(agent_kept_write(&out, &kept), 0);
    assert_int_equal(decode(&out, &m, &e), 0);
    assert_true(m.u.kept.outcome == AGENT_KEEP_FULL && m.u.kept.until_ms == 0 && !m.u.kept.history);
    buf_free(&out);
}

/* What is kept has an end, no time is longer than the longest, a newer agent's outcome promises nothing. */
static void keep_is_judged(void **state)
{
    (void)state;
    struct agent_error e;
    static struct agent_message m;
#define KEEP "{\"v\":1,\"type\":\"keep\",\"id\":1,\"nonce\":\"0123456789abcdef\""
#define KEPT "{\"v\":1,\"type\":\"kept\",\"id\":1,\"nonce\":\"0123456789abcdef\",\"outcome\":"
    static const char *const wrong[] = {
        KEEP ",\"seconds\":1}", KEEP ",\"sender_ref\":\"1.2.3\",\"seconds\":-1}", KEPT "\"kept\"}",
        KEPT "\"full\",\"until_ms\":1}", KEPT "\"not_kept\",\"history\":\"same\"}"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_int_equal(decode_text(wrong[i], &m, &e), -1);
    assert_int_equal(decode_text(KEEP ",\"sender_ref\":\"1.2.3\",\"seconds\":999999999}", &m, &e), 0);
    assert_int_equal(m.u.keep.seconds, AGENT_KEEP_SECONDS_MAX);
    assert_int_equal(decode_text(KEPT "\"for_ever\"}", &m, &e), 0);
    assert_int_equal(m.u.kept.outcome, AGENT_KEEP_UNKNOWN);
}

static void malformed_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum agent_error_code code;
    } cases[] = {
        {"", AGENT_ERROR_BAD_JSON},
        {"[]", AGENT_ERROR_BAD_JSON},
        {"{\"v\":1}", AGENT_ERROR_BAD_MESSAGE},
        {"{\"v\":1,\"v\":1,\"type\":\"hello\"}", AGENT_ERROR_BAD_JSON},
        {"{\"v\":1,\"type\":\"dance\"}", AGENT_ERROR_UNKNOWN_TYPE},
        {"{\"v\":0,\"type\":\"hello\"}", AGENT_ERROR_VERSION},
        {"{\"v\":\"1\",\"type\":\"hello\"}", AGENT_ERROR_BAD_MESSAGE},
        {ASK(TUPLE), AGENT_ERROR_BAD_ASK},
        {ASK("\"id\":-1,\"nonce\":\"0123456789abcdef\"," TUPLE), AGENT_ERROR_BAD_ASK},
        {ASK("\"id\":1,\"nonce\":\"0123456789ABCDEF\"," TUPLE), AGENT_ERROR_BAD_ASK},
        {ASK("\"id\":1,\"nonce\":\"0123\"," TUPLE), AGENT_ERROR_BAD_ASK},
        {ASK(IDS "\"proto\":\"udp\",\"client\":\"1.2.3.4:5\",\"proxy\":\"1.2.3.4:6\""), AGENT_ERROR_BAD_ASK},
        {ASK(IDS "\"proto\":\"tcp\",\"client\":\"1.2.3:5\",\"proxy\":\"1.2.3.4:6\""), AGENT_ERROR_BAD_ASK},
        {ASK(IDS "\"proto\":\"tcp\",\"client\":\"1.2.3.4:5\",\"proxy\":6"), AGENT_ERROR_BAD_ASK},
        {ASK(IDS TUPLE ",\"hash_wait_ms\":\"x\""), AGENT_ERROR_BAD_ASK},
        {"{\"v\":1,\"type\":\"hello\",\"proxies\":[7]}", AGENT_ERROR_BAD_HELLO},
        {"{\"v\":1,\"type\":\"hello\",\"program\":7}", AGENT_ERROR_BAD_HELLO},
        {ANSWER("\"confidence\":\"exact\""), AGENT_ERROR_BAD_ANSWER}, /* of whom? */
        {ANSWER("\"confidence\":\"sure\",\"sender_ref\":\"1\""), AGENT_ERROR_BAD_ANSWER},
        {ANSWER("\"confidence\":\"exact\",\"sender_ref\":\"1\",\"reason\":\"busy\""), AGENT_ERROR_BAD_ANSWER},
        {ANSWER("\"confidence\":\"unknown\",\"sender_ref\":\"1\""), AGENT_ERROR_BAD_ANSWER},
        {ANSWER("\"confidence\":\"exact\",\"sender_ref\":\"1\",\"sender\":{}"), AGENT_ERROR_BAD_ANSWER},
        {ANSWER(
             "\"confidence\":\"exact\",\"sender_ref\":\"1\",\"sender\":{\"pid\":1,\"hash_state\":\"done\"}"),
         AGENT_ERROR_BAD_ANSWER}, /* done without a hash */
        {ANSWER("\"confidence\":\"exact\",\"sender_ref\":\"1\",\"sender\":{\"pid\":1,\"arguments\":[1]}"),
         AGENT_ERROR_BAD_ANSWER},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static struct agent_message m;
        struct agent_error e;
        if (decode_text(cases[i].text, &m, &e) == 0 || e.code != cases[i].code)
            fail_msg("case %zu: %s", i, cases[i].text);
        assert_true(e.text[0]);
    }
}

static void future_names_fall_to_the_careful_side(void **state)
{
    (void)state;
    static struct agent_message m;
    struct agent_error e;
    assert_int_equal(
        decode_text(ANSWER("\"confidence\":\"unknown\",\"reason\":\"moon\",\"later\":[{}]"), &m, &e), 0);
    assert_int_equal(m.u.answer.reason, AGENT_REASON_UNKNOWN);
    assert_int_equal(
        decode_text(
            ANSWER("\"confidence\":\"exact\",\"sender_ref\":\"1\",\"sender\":{\"pid\":1,\"hash_state\":"
                   "\"new\",\"script_kind\":\"new\",\"writable_by_user\":\"no\"}"),
            &m, &e),
        0);
    assert_int_equal(m.u.answer.sender->hash_state, SENDER_HASH_FAILED);
    assert_int_equal(m.u.answer.sender->script_kind, SENDER_SCRIPT_UNCLEAR);
    assert_int_equal(m.u.answer.sender->writable_by_user, -1);
    agent_message_free(&m);
    assert_int_equal(decode_text(ASK(IDS TUPLE ",\"hash_wait_ms\":99999999"), &m, &e), 0);
    assert_int_equal(m.u.ask.hash_wait_ms, AGENT_HASH_WAIT_MAX_MS);
}

static void lines_have_an_end(void **state)
{
    (void)state;
    static char text[AGENT_LINE_BYTES + 1];
    struct span line;
    size_t used;
    memset(text, 'x', sizeof text);
    assert_int_equal(agent_line_next(span_of(text, 0), &line, &used), PARSE_MORE);
    assert_int_equal(agent_line_next(span_of(text, AGENT_LINE_BYTES - 1), &line, &used), PARSE_MORE);
    assert_int_equal(agent_line_next(span_of(text, AGENT_LINE_BYTES), &line, &used), PARSE_BAD);
    text[AGENT_LINE_BYTES - 1] = '\n';
    assert_int_equal(agent_line_next(span_of(text, AGENT_LINE_BYTES), &line, &used), PARSE_OK);
    assert_int_equal(line.len, AGENT_LINE_BYTES - 1);
    text[AGENT_LINE_BYTES - 1] = 'x';
    text[AGENT_LINE_BYTES] = '\n'; /* one too many */
    assert_int_equal(agent_line_next(span_of(text, sizeof text), &line, &used), PARSE_BAD);
}

static void what_does_not_fit_leaves_nothing(void **state)
{
    (void)state;
    struct buf out;
    struct agent_ask a = {.nonce = "0123456789abcdef"};
    a.client = a.proxy = endpoint("127.0.0.1:1");
    buf_init(&out, 100);
    assert_int_equal(agent_ask_write(&out, &a), -1);
    assert_int_equal(buf_len(&out), 0);
    assert_false(out.failed);
    buf_free(&out);
}

static void ocsf_passes_the_schema(void **state)
{
    (void)state;
    if (access(EXEAT_SOURCE_DIR "/../shared/schemas/ocsf_check.py", R_OK) != 0)
        skip();
    struct sender *s = make_sender();
    assert_int_equal(sender_render(s), 0);
    char path[] = "/tmp/agent_ocsf_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    dprintf(fd,
            "{\"class_uid\":4001,\"category_uid\":4,\"activity_id\":1,\"type_uid\":400101,\"time\":1,"
            "\"severity_id\":1,"
            "\"metadata\":{\"version\":\"1.9.0\",\"profiles\":[\"host\"],\"product\":{\"name\":\"Exeat\","
            "\"vendor_name\":\"Exeat\"}},"
            "\"dst_endpoint\":{\"ip\":\"1.2.3.4\"},\"src_endpoint\":{\"ip\":\"1.2.3.4\"},\"actor\":{"
            "\"process\":%s},\"unmapped\":{\"sender\":%s}}\n",
            s->ocsf_json, s->ocsf_unmapped_json);
    close(fd);
    char command[512];
    snprintf(command, sizeof command, "python3 '%s/../shared/schemas/ocsf_check.py' %s", EXEAT_SOURCE_DIR,
             path);
    int status = system(command);
    unlink(path);
    json_error_t where;
    json_t *root = json_loads(s->ocsf_json, JSON_REJECT_DUPLICATES, &where);
    assert_string_equal(json_string_value(json_object_get(root, "cmd_line")),
                        "curl -H 'Authorization: [redacted]' 'it'\\''s \x01 here' '' ...");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(root, "parent_process"), "pid")), 7);
    json_decref(root);
    sender_unref(s);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hello_goes_round),       cmocka_unit_test(ask_goes_round),
        cmocka_unit_test(full_answer_goes_round), cmocka_unit_test(ambiguous_answer_goes_round),
        cmocka_unit_test(malformed_is_refused),   cmocka_unit_test(future_names_fall_to_the_careful_side),
        cmocka_unit_test(lines_have_an_end),      cmocka_unit_test(what_does_not_fit_leaves_nothing),
        cmocka_unit_test(keep_and_kept_go_round), cmocka_unit_test(keep_is_judged),
        cmocka_unit_test(ocsf_passes_the_schema),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
