/* agent_who_test.c: who a sender is, in parts: places of paths, what is known of programs, environments, mappings; and that it
 * comes through the agent's protocol as it went in. */
#include "agent/linux/borrowed.h"
#include "agent/pathclass.h"
#include "agent/programs.h"
#include "base/json.h"
#include "base/must.h"
#include "wire/agent_message.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define BIT(name)   (1u << SENDER_BORROWED_##name)
#define PLACE(name) (1u << SENDER_PATH_##name)

static void places_of_paths(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        uint32_t wanted;
    } cases[] = {
        {"/usr/bin/curl", PLACE(SYSTEM)},
        {"/usr/local/bin/x", PLACE(OPTIONAL)},
        {"/lib64/ld-linux-x86-64.so.2", PLACE(SYSTEM)},
        {"/opt/x/y", PLACE(OPTIONAL)},
        {"/home/ann/bin/x", PLACE(HOME)},
        {"/home/ann/.cache/x", PLACE(HOME) | PLACE(HIDDEN)},
        {"/home/ann/Downloads/x", PLACE(HOME) | PLACE(DOWNLOADS)},
        {"/home/ann/T\xc3\xa9l\xc3\xa9"
         "chargements/a/x",
         PLACE(HOME) | PLACE(DOWNLOADS)},
        {"/home/ann/downloads", PLACE(HOME)}, /* a program of that name */
        {"/tmp/x", PLACE(TEMPORARY)},
        {"/tmp/.x/y", PLACE(TEMPORARY) | PLACE(HIDDEN)},
        {"/dev/shm/x", PLACE(TEMPORARY)},
        {"/run/user/1000/x", PLACE(TEMPORARY)},
        {"/run/media/ann/stick/x", PLACE(REMOVABLE)},
        {"/media/x", PLACE(REMOVABLE)},
        {"/memfd:x", PLACE(MEMORY)},
        {"/var/lib/x", PLACE(OTHER)},
        {"/", PLACE(OTHER)},
        {"", PLACE(OTHER)},
        {NULL, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (pathclass_of(cases[i].path) != cases[i].wanted)
            fail_msg("%s: %x", cases[i].path, pathclass_of(cases[i].path));
}

/* ---- programs ---- */

static struct programs *built_in(void)
{
    struct err e = {.line = 0};
    char text[256];
    struct programs *p = programs_parse(programs_builtin(), PROGRAMS_BUILTIN_NAME, &e);
    if (!p)
        fail_msg("%s", err_format(&e, text, sizeof text));
    return p;
}

static void what_is_built_in(void **state)
{
    (void)state;
    struct programs *p = built_in();
    const struct program_id node = {"nodejs", "/usr/bin/node"}, curl = {"curl", "/usr/bin/curl"},
                            chrome = {NULL, "/opt/google/chrome/chrome"}, nobody = {NULL, NULL};
    assert_true(programs_is_jit(p, &node));
    assert_true(programs_is_jit(p, &chrome));
    assert_false(programs_is_jit(p, &curl));
    assert_false(programs_is_jit(p, &nobody));
    assert_string_equal(programs_browser(p, &chrome), "chromium");
    assert_null(programs_browser(p, &curl));
    programs_free(p);
}

static uint32_t not_browser(const struct programs *p, const char *package, const char *option,
                            const char *next)
{
    const struct program_id id = {package, NULL};
    const char *const argv[] = {"it", "--proxy-server=x", option, next ? next : "https://example.com"};
    return programs_not_browser(p, &id, argv, ARRAY_LEN(argv));
}

static void browsers_that_are_none(void **state)
{
    (void)state;
    struct programs *p = built_in();
    static const struct {
        const char *package, *option, *next;
        uint32_t wanted;
    } cases[] = {
        {"chromium", "https://example.com", NULL, 0},
        {"chromium", "--headless", NULL, 1u << SENDER_NOT_BROWSER_HEADLESS},
        {"chromium", "--headless=new", NULL, 1u << SENDER_NOT_BROWSER_HEADLESS},
        {"chromium", "-headless", NULL, 1u << SENDER_NOT_BROWSER_HEADLESS},
        {"chromium", "--headlessly", NULL, 0},
        {"chromium", "headless", NULL, 0},
        {"chromium", "--remote-debugging-port=9222", NULL, 1u << SENDER_NOT_BROWSER_DEBUGGING},
        {"chromium", "--remote-debugging-pipe", NULL, 1u << SENDER_NOT_BROWSER_DEBUGGING},
        {"chromium", "--user-data-dir=/tmp/x", NULL, 1u << SENDER_NOT_BROWSER_TEMPORARY_PROFILE},
        {"chromium", "--user-data-dir=profile", NULL, 1u << SENDER_NOT_BROWSER_TEMPORARY_PROFILE},
        {"chromium", "--user-data-dir=/home/ann/work", NULL, 0},
        {"chromium", "--load-extension=/x", NULL, 1u << SENDER_NOT_BROWSER_EXTENSION},
        {"firefox-esr", "--marionette", NULL, 1u << SENDER_NOT_BROWSER_DEBUGGING},
        {"firefox-esr", "-profile", "/tmp/x", 1u << SENDER_NOT_BROWSER_TEMPORARY_PROFILE},
        {"firefox-esr", "-profile", "/home/ann/x", 0},
        {"curl", "--headless", NULL, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (not_browser(p, cases[i].package, cases[i].option, cases[i].next) != cases[i].wanted)
            fail_msg("%s %s", cases[i].package, cases[i].option);
    programs_free(p);
}

static void orders_from_elsewhere(void **state)
{
    (void)state;
    struct programs *p = built_in();
    static const struct {
        const char *package, *argument;
        bool wanted;
    } cases[] = {
        {"curl", "-K", true},
        {"curl", "-sK/tmp/x", true},
        {"curl", "-oK", false},
        {"curl", "--config", true},
        {"curl", "--config=x", true},
        {"curl", "https://example.com/-K", false},
        {"wget", "-e", true},
        {"wget", "-Oe", false},
        {"wget", "--execute=x", true},
        {"openssh-client", "-oProxyCommand=x", true},
        {"openssh-client", "-vF", true},
        {"git", "-ccore.sshCommand=x", true},
        {"git", "clone", false},
        {"nodejs", "-K", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct program_id id = {cases[i].package, NULL};
        const char *const argv[] = {"-K", cases[i].argument}; /* its own name is no option */
        if ((programs_orders(p, &id, argv, 2) == argv[1]) != cases[i].wanted)
            fail_msg("%s %s", cases[i].package, cases[i].argument);
    }
    programs_free(p);
}

static void errors_of_the_file(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned line;
        const char *says;
    } cases[] = {
        {"jit: {packages: [x]}", 1, "version"},
        {"version: 2", 1, ""},
        {"version: 1\njits: {}", 2, "jit"},
        {"version: 1\njit: {}", 2, "packages or executables"},
        {"version: 1\njit: {executables: [node]}", 2, "absolute"},
        {"version: 1\nbrowsers:\n  - {packages: [x]}", 3, "name"},
        {"version: 1\norders: x", 2, ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = {.line = 0};
        assert_null(programs_parse(span_str(cases[i].text), "p.yaml", &e));
        if (e.line != cases[i].line || !strstr(e.text, cases[i].says))
            fail_msg("%s: line %u: %s", cases[i].text, e.line, e.text);
    }
}

/* ---- environments ---- */

static char own_folder[64];

static uint32_t environment(const char *executable, const char *variable, char *why)
{
    struct borrowed b = {.set = 0};
    char text[512];
    int n = snprintf(text, sizeof text, "HOME=/x%c%s%cA=b", 0, variable, 0);
    borrowed_by_environment(span_of(text, (size_t)n + 1), executable, &b);
    if (why)
        memcpy(why, b.why, sizeof b.why);
    return b.set;
}

static void variables_that_count(void **state)
{
    (void)state;
    char open[128], both[128];
    snprintf(open, sizeof open, "PYTHONPATH=%s", own_folder);
    snprintf(both, sizeof both, "PYTHONPATH=/usr/lib:%s", own_folder);
    const struct {
        const char *executable, *variable;
        uint32_t wanted;
    } cases[] = {
        {"/usr/bin/curl", "LD_PRELOAD=/usr/lib/x.so", BIT(PRELOAD)},
        {"/usr/bin/curl", "LD_PRELOAD=", 0},
        {"/usr/bin/curl", "LD_PRELOADED=x", 0},
        {"/usr/bin/curl", "XLD_PRELOAD=x", 0},
        {"/usr/bin/curl", "LD_PRELOAD", 0},
        {"/usr/bin/curl", "LD_AUDIT=x", BIT(AUDIT)},
        {"/usr/bin/curl", "LD_LIBRARY_PATH=/usr/lib", 0},
        {"/usr/bin/curl", "LD_LIBRARY_PATH=/usr/lib:", BIT(LIBRARY_PATH)}, /* where it was started */
        {"/usr/bin/curl", "LD_LIBRARY_PATH=lib", BIT(LIBRARY_PATH)},
        {"/usr/bin/curl", "LD_LIBRARY_PATH=/usr/not/there", 0},
        {"/usr/bin/curl", "NODE_OPTIONS=-r x", 0},
        {"/usr/bin/node", "NODE_OPTIONS=-r x", BIT(NODE_OPTIONS)},
        {"/opt/app/app", "ELECTRON_RUN_AS_NODE=1", BIT(NODE_OPTIONS)},
        {"/usr/bin/python3.11", open, BIT(PYTHON_PATH)},
        {"/usr/bin/python3.11", both, BIT(PYTHON_PATH)},
        {"/usr/bin/python3.11", "PYTHONPATH=/usr/lib/python3", 0},
        {"/usr/bin/pythonista", open, 0},
        {"/usr/bin/perl", "PERL5OPT=-Mx", BIT(PERL_OPTIONS)},
        {"/usr/bin/ruby3.1", "RUBYOPT=-rx", BIT(RUBY_OPTIONS)},
        {"/usr/lib/jvm/bin/java", "JAVA_TOOL_OPTIONS=-javaagent:x", BIT(JAVA_OPTIONS)},
        {"/usr/bin/curl", "JAVA_TOOL_OPTIONS=-Djavax.net.ssl.trustStore=/etc/roots.jks", 0},
        {"/usr/lib/jvm/bin/java",
         "_JAVA_OPTIONS= -Djavax.net.ssl.trustStore=/x\t-Djavax.net.ssl.trustStorePassword=x ", 0},
        {"/usr/lib/jvm/bin/java", "JAVA_TOOL_OPTIONS=-Djavax.net.ssl.trustStore=/x\v-javaagent:x",
         BIT(JAVA_OPTIONS)},
        {"/usr/lib/jvm/bin/java", "JDK_JAVA_OPTIONS=-Djavax.net.ssl.trustStore=/x @/home/x",
         BIT(JAVA_OPTIONS)},
        {"/usr/bin/bash", "BASH_ENV=/x", BIT(SHELL_STARTUP)},
        {"/usr/bin/dash", "BASH_ENV=/x", 0},
        {"/usr/bin/dash", "ENV=/x", BIT(SHELL_STARTUP)},
        {"/usr/lib/git-core/git-remote-http", "GIT_SSH_COMMAND=x", BIT(GIT_COMMAND)},
        {"/usr/bin/git", "GIT_CONFIG_PARAMETERS='core.fsMonitor'='x'", BIT(GIT_COMMAND)},
        {"/usr/bin/git", "GIT_CONFIG_PARAMETERS='http.proxy'='x'", 0},
        {"/usr/bin/git", "GIT_CONFIG_GLOBAL=/dev/null", 0},
        {NULL, "LD_PRELOAD=x", BIT(PRELOAD)},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint32_t set = environment(cases[i].executable, cases[i].variable, NULL);
        if (set != cases[i].wanted)
            fail_msg("%s %s: %x", cases[i].executable, cases[i].variable, set);
    }
}

static void evidence_repeats_no_secret(void **state)
{
    (void)state;
    char why[BORROWED_WHY_BYTES];
    environment("/usr/bin/curl", "LD_PRELOAD=/usr/lib/x.so", why);
    assert_string_equal(why, "LD_PRELOAD=/usr/lib/x.so");
    environment("/usr/lib/jvm/bin/java", "JAVA_TOOL_OPTIONS=-Dpassword=hunter2", why);
    assert_null(strstr(why, "hunter2"));
    assert_true(strlen(why) > 0);
}

static void an_environment_that_is_cut_off(void **state)
{
    (void)state;
    struct borrowed b = {.set = 0};
    borrowed_by_environment(span_str("A=b"), "/x", &b);
    borrowed_by_environment(span_of("LD_PRELOAD=/x", 13), "/x", &b); /* no end: whoever read it says so */
    borrowed_by_environment(span_of("\0\0\0", 3), "/x", &b);
    borrowed_by_environment(span_of("=\0", 2), "/x", &b);
    assert_int_equal(b.set, 0);
}

static void loaders(void **state)
{
    (void)state;
    assert_true(borrowed_is_loader("/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"));
    assert_true(borrowed_is_loader("/lib/ld-musl-x86_64.so.1"));
    assert_true(borrowed_is_loader("/usr/bin/ld.so"));
    assert_false(borrowed_is_loader("/usr/bin/ld"));
    assert_false(borrowed_is_loader("/usr/bin/ldd"));
    assert_false(borrowed_is_loader(NULL));
}

/* ---- mappings ---- */

/* What a line of our own /proc/PID/maps would say. */
static uint32_t mapping(const char *line, bool is_jit)
{
    static struct borrowed_looker looker;
    struct sender *s = sender_new();
    s->executable = "/usr/bin/true";
    struct process p = {.sender = s, .is_jit = is_jit};
    struct entry e = {.pid = getpid(), .dirfd = open("/proc/self", O_RDONLY | O_DIRECTORY)};
    struct borrowed b = {.set = 0};
    memset(&looker, 0, sizeof looker);
    borrowed_by_maps(&looker, &e, &p, span_str(line), &b);
    close(e.dirfd);
    sender_unref(s);
    return b.set;
}

static void mappings_that_count(void **state)
{
    (void)state;
    char ours[256], theirs[256], gone[256], other[256];
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s/code", own_folder);
    int fd = open(path, O_CREAT | O_RDWR, 0755);
    assert_int_equal(fstat(fd, &st), 0);
    close(fd);
    snprintf(ours, sizeof ours, "7f00-7f01 r-xp 00000000 fd:00 %llu      %s\n", (unsigned long long)st.st_ino,
             path);
    snprintf(gone, sizeof gone, "7f00-7f01 r-xp 00000000 fd:00 1234      %s (deleted)\n", path);
    assert_int_equal(stat("/usr/bin/env", &st), 0);
    snprintf(theirs, sizeof theirs, "7f00-7f01 r-xp 00000000 fd:00 %llu      /usr/bin/env\n",
             (unsigned long long)st.st_ino);
    snprintf(other, sizeof other, "7f00-7f01 r-xp 00000000 fd:00 %llu      /usr/bin/env\n",
             (unsigned long long)st.st_ino + 1);
    const struct {
        const char *line;
        uint32_t plain, jit;
    } cases[] = {
        {"7f00-7f01 r-xp 00000000 00:00 0\n", BIT(ANONYMOUS_EXEC), 0},
        {"7f00-7f01 rwxp 00000000 00:00 0 \n", BIT(ANONYMOUS_EXEC), 0},
        {"7f00-7f01 rw-p 00000000 00:00 0 \n", 0, 0},
        {"7f00-7f01 r-xp 00000000 00:00 0                  [vdso]\n", 0, 0},
        {"7f00-7f01 r-xp 00000000 00:00 0                  [stack]\n", BIT(ANONYMOUS_EXEC), 0},
        {"7f00-7f01 r-xp 00000000 00:00 0                  [heap]\n", BIT(ANONYMOUS_EXEC), 0},
        {"7f00-7f01 r-xp 00000000 00:00 0                  [anon:it]\n", BIT(ANONYMOUS_EXEC), 0},
        {"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n", 0, 0},
        {"7f00-7f01 r-xp 00000000 00:01 1 /memfd:it (deleted)\n", BIT(MEMFD), 0},
        {"7f00-7f01 r-xs 00000000 00:01 1 /dev/zero (deleted)\n", BIT(ANONYMOUS_EXEC), 0},
        {theirs, 0, 0},
        {other, BIT(WRITABLE_EXEC), BIT(WRITABLE_EXEC)}, /* another file than the one that lies there */
        {"7f00-7f01 r-xp 00000000 fd:00 99 /usr/lib/old.so (deleted)\n", 0, 0}, /* replaced by its package */
        {ours, BIT(WRITABLE_EXEC), BIT(WRITABLE_EXEC)},
        {gone, BIT(DELETED_EXEC), BIT(DELETED_EXEC)},
        {"nonsense\n", 0, 0},
        {"", 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint32_t plain = mapping(cases[i].line, false), jit = mapping(cases[i].line, true);
        if (plain != cases[i].plain || jit != cases[i].jit)
            fail_msg("%s: %x %x", cases[i].line, plain, jit);
    }
    unlink(path);
}

/* ---- the protocol ---- */

static void through_the_protocol(void **state)
{
    (void)state;
    static struct agent_message m;
    struct agent_error error;
    struct buf out;
    struct sender *s = sender_new();
    s->pid = 7;
    s->who = (struct sender_who){.borrowed_known = true,
                                 .borrowed = BIT(PRELOAD) | BIT(TRACER),
                                 .borrowed_why = "LD_PRELOAD=x",
                                 .path_class = PLACE(HOME) | PLACE(HIDDEN),
                                 .first_seen_ms = 5,
                                 .first_seen_by_user_ms = -1,
                                 .browser = "chromium",
                                 .not_browser = 1u << SENDER_NOT_BROWSER_DEBUGGING,
                                 .job = {.kind = SENDER_JOB_TIMER,
                                         .name = "it.service",
                                         .file = "/etc/systemd/system/it.service",
                                         .trigger = "OnCalendar=daily",
                                         .owner_uid = 0,
                                         .changed_ms = 9,
                                         .first_seen_ms = -1}};
    struct agent_answer a = {.nonce = "0123456789abcdef",
                             .confidence = AGENT_CONFIDENCE_EXACT,
                             .sender_ref = "7.1.1",
                             .sender = s};
    buf_init(&out, AGENT_LINE_BYTES);
    assert_int_equal(agent_answer_write(&out, &a), 0);
    struct span line = buf_span(&out);
    assert_int_equal(agent_message_decode(span_of(line.data, line.len - 1), &m, &error), 0);
    const struct sender_who *w = &m.u.answer.sender->who;
    assert_true(w->borrowed_known);
    assert_int_equal(w->borrowed, BIT(PRELOAD) | BIT(TRACER));
    assert_int_equal(w->borrowed_names.count, 2);
    assert_true(span_is(w->borrowed_names.items[0], "preload"));
    assert_true(span_is(w->borrowed_names.items[1], "tracer"));
    assert_string_equal(w->borrowed_why, "LD_PRELOAD=x");
    assert_int_equal(w->path_class, PLACE(HOME) | PLACE(HIDDEN));
    assert_int_equal(w->script_path_class, 0);
    assert_int_equal(w->first_seen_ms, 5);
    assert_int_equal(w->first_seen_by_user_ms, -1);
    assert_string_equal(w->browser, "chromium");
    assert_int_equal(w->not_browser, 1u << SENDER_NOT_BROWSER_DEBUGGING);
    assert_int_equal(w->job.kind, SENDER_JOB_TIMER);
    assert_string_equal(w->job.trigger, "OnCalendar=daily");
    assert_int_equal(w->job.changed_ms, 9);
    assert_null(w->job.sha256);
    agent_message_free(&m);
    buf_free(&out);
    sender_unref(s);
}

static int decode(const char *members, struct agent_message *ret)
{
    char line[1024];
    struct agent_error e;
    snprintf(line, sizeof line,
             "{\"v\":1,\"type\":\"answer\",\"id\":1,\"nonce\":\"0123456789abcdef\",\"host\":\"h\","
             "\"confidence\":\"exact\",\"basis\":\"connect\",\"reason\":null,\"holders\":[],\"sender_ref\":"
             "\"1.1.1\","
             "\"sender\":{\"pid\":1,\"hash_state\":\"pending\"%s}}",
             members);
    return agent_message_decode(span_str(line), ret, &e);
}

static void what_others_may_send(void **state)
{
    (void)state;
    static struct agent_message m;
    assert_int_equal(decode("", &m), 0); /* an agent that does not look */
    assert_false(m.u.answer.sender->who.borrowed_known);
    assert_int_equal(m.u.answer.sender->who.borrowed, 0);
    agent_message_free(&m);
    assert_int_equal(decode(",\"borrowed\":[]", &m), 0);
    assert_true(m.u.answer.sender->who.borrowed_known);
    agent_message_free(&m);
    assert_int_equal(decode(",\"borrowed\":[\"of_tomorrow\",5]", &m),
                     0); /* what we don't know approves nothing */
    assert_int_equal(m.u.answer.sender->who.borrowed, BIT(UNOBSERVED));
    agent_message_free(&m);
    assert_int_equal(decode(",\"job\":{\"kind\":\"of_tomorrow\"}", &m), 0);
    assert_int_equal(m.u.answer.sender->who.job.kind, SENDER_JOB_NONE);
    agent_message_free(&m);
    assert_int_equal(decode(",\"borrowed\":\"preload\"", &m), -1);
    assert_int_equal(decode(",\"first_seen_ms\":-5", &m), -1);
    assert_int_equal(decode(",\"browser\":{}", &m), -1);
    assert_int_equal(decode(",\"job\":{\"kind\":\"unit\",\"file\":7}", &m), -1);
}

static void what_goes_around(void **state)
{
    (void)state;
    static struct agent_message m;
    struct agent_error e;
    struct buf out;
    static struct agent_around a = {.lock = 0, .observed = true, .tcp = 5, .udp = 2, .sender_count = 2};
    a.senders[0] = (struct around_sender){.name = "x", .pid = 7, .uid = 1000, .last_ms = 9, .count = 5};
    a.senders[0].last = (struct endpoint){{4, {203, 0, 113, 5}}, 443};
    a.senders[1] = (struct around_sender){.name = "y", .executable = "/y", .udp = true, .count = 2};
    a.senders[1].last = (struct endpoint){{6, {0x20, 1}}, 53};
    buf_init(&out, AGENT_LINE_BYTES);
    assert_int_equal(agent_around_message_write(&out, &a), 0);
    struct span line = buf_span(&out);
    assert_int_equal(agent_message_decode(span_of(line.data, line.len - 1), &m, &e), 0);
    assert_int_equal(m.type, AGENT_MESSAGE_AROUND);
    assert_int_equal(m.u.around.lock, 0);
    assert_int_equal(m.u.around.tcp, 5);
    assert_int_equal(m.u.around.sender_count, 2);
    assert_string_equal(m.u.around.senders[1].executable, "/y");
    assert_true(m.u.around.senders[1].udp);
    assert_int_equal(m.u.around.senders[0].last.port, 443);
    buf_free(&out);
    static const char *const bad[] = {"{\"v\":1,\"type\":\"around\"}",
                                      "{\"v\":1,\"type\":\"around\",\"tcp\":-1,\"udp\":0}",
                                      "{\"v\":1,\"type\":\"around\",\"tcp\":1,\"udp\":0,\"senders\":[{}]}"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(agent_message_decode(span_str(bad[i]), &m, &e), -1);
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(own_folder, sizeof own_folder, "/tmp/agent_who_XXXXXX");
    return mkdtemp(own_folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(own_folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_of_paths),
        cmocka_unit_test(what_is_built_in),
        cmocka_unit_test(browsers_that_are_none),
        cmocka_unit_test(orders_from_elsewhere),
        cmocka_unit_test(errors_of_the_file),
        cmocka_unit_test(variables_that_count),
        cmocka_unit_test(evidence_repeats_no_secret),
        cmocka_unit_test(an_environment_that_is_cut_off),
        cmocka_unit_test(loaders),
        cmocka_unit_test(mappings_that_count),
        cmocka_unit_test(through_the_protocol),
        cmocka_unit_test(what_others_may_send),
        cmocka_unit_test(what_goes_around),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
