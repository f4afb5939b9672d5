/* agent_parts_test.c: the agent's pure parts and its readers of made-up trees: secrets in arguments, scripts of
 * interpreters, cgroups, /proc/PID/stat, dpkg, writable paths. */
#include "agent/linux/cgroup.h"
#include "agent/linux/describe.h"
#include "agent/linux/packages.h"
#include "agent/linux/proc.h"
#include "agent/redact.h"
#include "agent/script.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void secrets_are_hidden(void **state)
{
    (void)state;
    static const struct {
        const char *previous, *argument, *wanted;
    } cases[] = {
        {NULL, "curl", "curl"},
        {"--password", "hunter2", "[redacted]"},
        {"--Token", "abc", "[redacted]"},
        {"--password-file", "/etc/x", "/etc/x"},
        {NULL, "--password=hunter2", "--password=[redacted]"},
        {NULL, "--api-key=k", "--api-key=[redacted]"},
        {NULL, "-Ddb.password=x", "-Ddb.password=[redacted]"},
        {NULL, "AWS_SECRET_ACCESS_KEY=abcd", "AWS_SECRET_ACCESS_KEY=[redacted]"},
        {NULL, "-phunter2", "-p[redacted]"},
        {NULL, "-p8080", "-p8080"},
        {"-p", "8080", "8080"},
        {"-p", "hunter2", "[redacted]"},
        {"-P", "somewhere", "somewhere"},
        {"-u", "ann:pw", "ann:[redacted]"},
        {"-u", "ann", "ann"},
        {"--proxy-user", "ann:pw", "ann:[redacted]"},
        {NULL, "-uann:pw", "-uann:[redacted]"},
        {NULL, "http://ann:pw@host/x", "http://[redacted]@host/x"},
        {NULL, "http://ann:p@w@host/x", "http://[redacted]@host/x"},
        {NULL, "http://host/x@y", "http://host/x@y"},
        {NULL, "https://h/?a=1&token=xyz&b=2", "https://h/?a=1&token=[redacted]&b=2"},
        {"-H", "Authorization: Bearer abcdef", "Authorization: [redacted]"},
        {NULL, "-HX-Api-Key:abc", "-HX-Api-Key:[redacted]"},
        {"-H", "Cookie: a=b; c=d", "Cookie: [redacted]"},
        {"-d", "{\"password\":\"x\"}", "{\"password\":[redacted]"},
        {NULL, "ghp_0123456789abcdef", "[redacted]"},
        {NULL, "x=eyJhbGciOiJIUzI1NiJ9.e30.abc", "x=[redacted]"},
        {NULL, "AKIAIOSFODNN7EXAMPLE", "[redacted]"},
        {NULL, "compass=north", "compass=north"},
        {NULL, "/usr/share/passwd.txt", "/usr/share/passwd.txt"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf out;
        buf_init(&out, 1000);
        redact_argument(cases[i].previous, cases[i].argument, &out);
        if (!span_is(buf_span(&out), cases[i].wanted))
            fail_msg("%s: got %.*s, wanted %s", cases[i].argument, (int)buf_len(&out),
                     (const char *)buf_span(&out).data, cases[i].wanted);
        buf_free(&out);
    }
}

static void scripts_are_found(void **state)
{
    (void)state;
    enum {
        NONE = SENDER_SCRIPT_NONE,
        FILE_ = SENDER_SCRIPT_FILE,
        COMMAND = SENDER_SCRIPT_COMMAND,
        MODULE = SENDER_SCRIPT_MODULE,
        INPUT = SENDER_SCRIPT_STDIN,
        UNCLEAR = SENDER_SCRIPT_UNCLEAR
    };
    static const struct {
        const char *executable, *argv[7];
        int kind;
        const char *script;
    } cases[] = {
        {"/usr/bin/curl", {"curl", "x.py"}, NONE, NULL},
        {"/usr/bin/python3.11", {"python3", "a.py", "-c", "x"}, FILE_, "a.py"},
        {"/usr/bin/python3.11", {"python3", "-Bsu", "-W", "ignore", "/a/b.py"}, FILE_, "/a/b.py"},
        {"/usr/bin/python3.11", {"python3", "-c", "print(1)", "a.py"}, COMMAND, NULL},
        {"/usr/bin/python3.11", {"python3", "-Bc", "print(1)"}, COMMAND, NULL},
        {"/usr/bin/python3.11", {"python3", "-m", "http.server"}, MODULE, NULL},
        {"/usr/bin/python3.11", {"python3", "-mhttp.server"}, MODULE, NULL},
        {"/usr/bin/python3.11", {"python3"}, INPUT, NULL},
        {"/usr/bin/python3.11", {"python3", "-"}, INPUT, NULL},
        {"/usr/bin/python3.11", {"python3", "-X", "pycache_prefix=/tmp", "a.py"}, UNCLEAR, NULL},
        {"/usr/bin/python3.11-dbg", {"python3", "a.py"}, FILE_, "a.py"},
        {"/home/x/pythonista", {"python3", "a.py"}, NONE, NULL},
        {"/usr/bin/node", {"node", "app.js"}, FILE_, "app.js"},
        {"/usr/bin/node", {"node", "-r", "./evil.js", "app.js"}, UNCLEAR, NULL},
        {"/usr/bin/node", {"node", "--require=./evil.js", "app.js"}, UNCLEAR, NULL},
        {"/usr/bin/node", {"node", "--no-warnings", "--title", "x", "app.js"}, FILE_, "app.js"},
        {"/usr/bin/node", {"node", "-e", "1"}, COMMAND, NULL},
        {"/usr/bin/node", {"node", "--eval=1"}, COMMAND, NULL},
        {"/usr/bin/perl", {"perl", "-w", "x.pl"}, FILE_, "x.pl"},
        {"/usr/bin/perl", {"perl", "-ne", "print"}, COMMAND, NULL},
        {"/usr/bin/perl", {"perl", "-Mevil", "x.pl"}, UNCLEAR, NULL},
        {"/usr/bin/perl", {"perl", "--", "-x.pl"}, FILE_, "-x.pl"},
        {"/usr/bin/ruby3.1", {"ruby", "x.rb"}, FILE_, "x.rb"},
        {"/usr/bin/ruby3.1", {"ruby", "-revil", "x.rb"}, UNCLEAR, NULL},
        {"/usr/bin/bash", {"bash", "-eux", "/x.sh", "-c"}, FILE_, "/x.sh"},
        {"/usr/bin/bash", {"bash", "-o", "pipefail", "/x.sh"}, FILE_, "/x.sh"},
        {"/usr/bin/bash", {"bash", "+e", "/x.sh"}, FILE_, "/x.sh"},
        {"/usr/bin/bash", {"bash", "-lc", "curl x"}, COMMAND, NULL},
        {"/usr/bin/bash", {"bash", "-s", "x"}, INPUT, NULL},
        {"/usr/bin/bash", {"bash", "--rcfile", "/evil", "-i"}, UNCLEAR, NULL},
        {"/usr/bin/dash", {"sh", "x"}, FILE_, "x"},
        {"/usr/bin/php8.2", {"php", "-f", "x.php"}, FILE_, "x.php"},
        {"/usr/bin/php8.2", {"php", "-r", "1;"}, COMMAND, NULL},
        {"/usr/bin/php8.2", {"php", "-d", "auto_prepend_file=/e", "x.php"}, UNCLEAR, NULL},
        {"/usr/lib/jvm/bin/java", {"java", "-Xmx1g", "-Dx=y", "-jar", "/a.jar", "x"}, FILE_, "/a.jar"},
        {"/usr/lib/jvm/bin/java", {"java", "-cp", "/x", "Main"}, MODULE, NULL},
        {"/usr/lib/jvm/bin/java", {"java", "-javaagent:/e.jar", "-jar", "/a.jar"}, UNCLEAR, NULL},
        {"/usr/bin/busybox", {"busybox", "sh", "x.sh"}, FILE_, "x.sh"},
        {"/usr/bin/busybox", {"sh", "-c", "x"}, COMMAND, NULL},
        {"/usr/bin/busybox", {"wget", "x"}, NONE, NULL},
        {"/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", {"ld.so", "./x"}, FILE_, "./x"},
        {"/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
         {"ld.so", "--library-path", "/tmp", "--argv0", "curl", "/opt/x", "y"},
         FILE_,
         "/opt/x"},
        {"/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
         {"ld.so", "--preload", "/e.so", "./x"},
         UNCLEAR,
         NULL},
        {"/usr/bin/python3.11", {NULL}, UNCLEAR, NULL}, /* argv unreadable or emptied */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t argc = 0;
        const char *script = "untouched";
        while (argc < 7 && cases[i].argv[argc])
            argc++;
        enum sender_script_kind kind = script_find(cases[i].executable, cases[i].argv, argc, &script);
        bool same =
            script && cases[i].script ? strcmp(script, cases[i].script) == 0 : script == cases[i].script;
        if ((int)kind != cases[i].kind || !same)
            fail_msg("case %zu (%s %s): kind %s script %s", i, cases[i].executable,
                     argc > 1 ? cases[i].argv[1] : "", sender_script_kind_name(kind),
                     script ? script : "none");
    }
}

#define ID64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void cgroups_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text, *unit, *container;
    } cases[] = {
        {"0::/\n", "", ""},
        {"", "", ""},
        {"0::/system.slice/cron.service\n", "cron.service", ""},
        {"0::/system.slice/cron.service/ssh.service\n", "cron.service",
         ""}, /* a delegated name is not a unit's */
        {"0::/user.slice/user-1000.slice/session-3.scope\n", "session-3.scope", ""},
        {"0::/user.slice/user-1000.slice/user@1000.service/app.slice/ssh.service\n",
         "user@1000.service/ssh.service", ""},
        {"0::/system.slice/docker-" ID64 ".scope\n", "docker-" ID64 ".scope", ID64},
        {"0::/docker/" ID64 "\n", "", ID64},
        {"0::/docker/" ID64 "0\n", "", ""},
        {"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-" ID64 ".scope\n",
         "cri-containerd-" ID64 ".scope", ID64},
        {"0::/lxc.payload.web/system.slice/a.service\n", "a.service", "web"},
        {"12:pids:/x.service\n1:name=systemd:/system.slice/a.service\n0::/\n", "a.service", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cgroup c;
        cgroup_parse(span_str(cases[i].text), &c);
        assert_string_equal(c.unit, cases[i].unit);
        assert_string_equal(c.container, cases[i].container);
    }
}

static void stat_survives_names(void **state)
{
    (void)state;
    struct proc_stat s;
    static const char text[] =
        "7 (a) S 9 (\n) R 3 1 1 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 5 0 777 1 1 1 10 11 12 0 0 0 0 0 0 "
        "0 0 0 17 0 0 0 0 0 0 20 21 22 30 31 32 33 0\n";
    assert_true(proc_stat_parse(span_str(text), &s));
    assert_string_equal(s.name, "a) S 9 (\n");
    assert_int_equal(s.state, 'R');
    assert_int_equal(s.ppid, 3);
    assert_int_equal(s.threads, 5);
    assert_int_equal(s.start_ticks, 777);
    assert_int_equal(s.start_stack, 12);
    assert_int_equal(s.start_brk, 22);
    assert_int_equal(s.env_end, 33);
    assert_false(proc_stat_parse(span_str(""), &s));
    assert_false(proc_stat_parse(span_str("7 (a"), &s));
    assert_false(proc_stat_parse(span_str("7 )("), &s));
    assert_int_equal(proc_socket_inode("socket:[123]", 12), 123);
    assert_int_equal(proc_socket_inode("pipe:[123]", 10), 0);
    assert_int_equal(proc_socket_inode("socket:[99999999999]", 20), 0);
}

static void a_fixed_layout_is_not_trusted(void **state)
{
    (void)state;
    struct identity id = {
        .stat = {.start_stack = 0x7ffc12345678, .arg_start = 0x7ffc12346000, .env_end = 0x7ffc12347fed}};
    assert_true(identity_is_random(&id));
    id.stat.env_end = 0x7fffffffefe8; /* ADDR_NO_RANDOMIZE */
    assert_false(identity_is_random(&id));
    id.stat = (struct proc_stat){
        .start_stack = 0xffd31000, .arg_start = 0xffd32000, .env_end = 0xffd33000}; /* 32 bits */
    assert_false(identity_is_random(&id));
    id.stat = (struct proc_stat){.start_stack = 0}; /* not for our eyes */
    assert_false(identity_is_random(&id));
}

static void arguments_are_bounded(void **state)
{
    (void)state;
    struct arena arena;
    const char *const *argv;
    bool truncated;
    arena_init(&arena, 1 << 20);
    assert_int_equal(arguments_split(&arena, "a\0\0b\0", 5, &argv, &truncated), 3);
    assert_string_equal(argv[1], "");
    assert_false(truncated);
    assert_int_equal(arguments_split(&arena, "", 0, &argv, &truncated), 0);
    static char many[1000];
    assert_int_equal(arguments_split(&arena, many, sizeof many, &argv, &truncated), AGENT_ARGUMENTS_MAX);
    assert_true(truncated);
    static char longest[20000];
    memset(longest, 'x', sizeof longest);
    assert_int_equal(arguments_split(&arena, longest, sizeof longest, &argv, &truncated), 1);
    assert_int_equal(strlen(argv[0]), AGENT_PATH_BYTES - 1);
    assert_true(truncated);
    arena_reset(&arena);
}

static void write_file(const char *folder, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void packages_are_found(void **state)
{
    (void)state;
    char folder[] = "/tmp/agent_dpkg_XXXXXX", info[64], command[128];
    assert_non_null(mkdtemp(folder));
    snprintf(info, sizeof info, "%s/info", folder);
    mkdir(info, 0755);
    write_file(info, "bash.list", "/.\n/bin\n/bin/bash\n");
    write_file(info, "libc6:amd64.list", "/lib/x/libc.so.6\n");
    write_file(info, "curl.list", "/usr\n/usr/bin/curl\n");
    write_file(info, "curl.md5sums", "x\n");
    write_file(folder, "status",
               "Package: curl\nStatus: x\nArchitecture: amd64\nVersion: 7.88\n\nPackage: "
               "libc6\nArchitecture: i386\nVersion: "
               "1\n\nPackage: libc6\nArchitecture: amd64\nVersion: 2.36\n\nPackage: bash\nVersion: 5.2\n");
    struct packages p;
    struct arena arena;
    const char *name = NULL, *version = NULL;
    arena_init(&arena, 65536);
    packages_init(&p, folder, 42);
    assert_true(packages_find(&p, "/usr/bin/curl", &arena, &name, &version));
    assert_string_equal(name, "curl");
    assert_string_equal(version, "7.88");
    assert_true(packages_find(&p, "/usr/bin/bash", &arena, &name, &version)); /* listed before the merge */
    assert_string_equal(name, "bash");
    assert_string_equal(version, "5.2");
    assert_true(packages_find(&p, "/usr/lib/x/libc.so.6", &arena, &name, &version));
    assert_string_equal(name, "libc6");
    assert_string_equal(version, "2.36");
    assert_false(packages_find(&p, "/usr/bin/cur", &arena, &name, &version));
    assert_false(packages_find(&p, "/home/usr/bin/curl", &arena, &name, &version));
    assert_false(packages_find(&p, "/usr/local/bin/curl", &arena, &name, &version));
    usleep(20000); /* an installation shows in the folder's time */
    write_file(info, "new.list", "/usr/bin/new\n");
    assert_true(packages_find(&p, "/usr/bin/new", &arena, &name, &version));
    assert_null(version);
    packages_free(&p);
    packages_init(&p, "/nonexistent", 1);
    assert_false(packages_find(&p, "/usr/bin/curl", &arena, &name, &version));
    packages_free(&p);
    arena_reset(&arena);
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

static void writable_paths_show(void **state)
{
    (void)state;
    assert_false(path_is_writable_by_user("/usr/bin/env"));
    assert_true(path_is_writable_by_user("relative"));
    assert_true(path_is_writable_by_user("/nonexistent/x"));
    char file[] = "/tmp/agent_path_XXXXXX"; /* root's file perhaps, but in a folder for all */
    int fd = mkstemp(file);
    assert_true(fd >= 0);
    close(fd);
    assert_true(path_is_writable_by_user(file));
    unlink(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secrets_are_hidden),    cmocka_unit_test(scripts_are_found),
        cmocka_unit_test(cgroups_are_read),      cmocka_unit_test(stat_survives_names),
        cmocka_unit_test(arguments_are_bounded), cmocka_unit_test(packages_are_found),
        cmocka_unit_test(writable_paths_show),   cmocka_unit_test(a_fixed_layout_is_not_trusted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
