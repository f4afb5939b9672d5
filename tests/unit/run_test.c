/* run_test.c: what a start needs: settings from the configuration, the pid lock, folders, notifications, snapshots and what a
 * reload may change. */
#include "run/notify.h"
#include "run/privileges.h"
#include "run/reload.h"
#include "run/settings.h"
#include "run/snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];
static char config_path[96];

static const char *in_folder(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(in_folder(name), "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/exeat-run-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(config_path, sizeof config_path, "%s/exeat.yaml", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static const char baseline[] = "version: 1\nmode: report\nunknown_sender: {action: block}\nsenders:\n"
                               "  - {name: a, match: {executable: /usr/bin/curl}, allow: [{host: a.test}]}\n";

static struct snapshot *load(const char *config, uint64_t generation, struct err *ret)
{
    *ret = (struct err){0};
    write_file("exeat.yaml", config);
    return snapshot_load(config_path, generation, ret);
}

static void expect_refused(const char *config, const char *file, const char *text)
{
    struct err err;
    assert_null(load(config, 1, &err));
    assert_non_null(strstr(err.file, file));
    assert_non_null(strstr(err.text, text));
}

static void test_snapshot(void **state)
{
    (void)state;
    struct err err;
    write_file("baseline.yaml", baseline);
    struct snapshot *s = load("agent: {socket: null}\n", 7, &err);
    assert_non_null(s);
    assert_int_equal(s->generation, 7);
    assert_int_equal(baseline_mode(s->baseline), MODE_REPORT);
    assert_false(s->needs_hash);
    assert_null(s->geo);
    assert_null(s->proxy_tls);
    assert_non_null(s->server_tls);
    struct ip loopback;
    bool found = false;
    assert_true(ip_parse(span_str("127.0.0.1"), &loopback));
    for (size_t i = 0; i < s->own_count; i++)
        found = found || ip_equal(&s->own_addresses[i], &loopback);
    assert_true(found);
    snapshot_unref(snapshot_ref(s));
    snapshot_unref(s);
}

static void test_mistakes_are_named_with_their_place(void **state)
{
    (void)state;
    write_file("baseline.yaml", baseline);
    expect_refused("listen: {worker: 2}\n", "exeat.yaml", "workers");
    expect_refused("policy: {baseline: none.yaml}\n", "none.yaml", "");
    expect_refused("agent: {user: no-such-user-here}\n", "exeat.yaml", "no-such-user-here");
    expect_refused("geoip: {asn_db: none.mmdb}\n", "none.mmdb", "GeoIP");
    expect_refused("tls_origin: {ca_file: none.pem}\n", "none.pem", "");
    write_file("baseline.yaml", "version: 1\nmode: never\n");
    struct err err;
    assert_null(load("", 1, &err));
    assert_non_null(strstr(err.file, "baseline.yaml"));
    assert_int_equal(err.line, 2);
    assert_int_equal(err.column, 7);
    assert_null(snapshot_load("/nonexistent/exeat.yaml", 1, &err));
    write_file("baseline.yaml",
               "version: 1\nmode: enforce\nsenders:\n- name: a\n  match: {user: a}\n  allow:\n"
               "  - {host: example.com, asn: 64500}\n");
    assert_null(load("", 1, &err)); /* without a database it could never hold */
    assert_int_equal(err.line, 7);
    assert_non_null(strstr(err.text, "geoip.asn_db"));
}

static void test_reload_is_all_or_nothing(void **state)
{
    (void)state;
    struct err err;
    write_file("baseline.yaml", baseline);
    struct snapshot *running = load("listen: {workers: 2}\n", 1, &err);
    assert_non_null(running);
    write_file("exeat.yaml", "listen: {workers: 2}\nlimits: {flows: 7, flows_per_client: 7}\n");
    struct snapshot *next = reload_load(running, config_path, &err);
    assert_non_null(next);
    assert_int_equal(next->generation, 2);
    assert_int_equal(next->conf->limits.flows, 7);
    snapshot_unref(next);
    write_file("exeat.yaml", "listen: {workers: 3}\nlimits: {flows: 7, flows_per_client: 7}\n");
    assert_null(reload_load(running, config_path, &err));
    assert_non_null(strstr(err.text, "listen.workers"));
    snapshot_unref(running);
}

static void test_settings(void **state)
{
    (void)state;
    struct err err;
    struct net_settings n;
    write_file("baseline.yaml", baseline);
    struct snapshot *s =
        load("resolver: {servers: [192.0.2.1, \"[2001:db8::1]:5353\"], max_ttl: 90s}\n"
             "limits: {flows: 100, flows_per_client: 9, splice_pipes: 30}\nlisten: {workers: 3}\n"
             "agent: {user: root, timeout: 40ms}\n",
             1, &err);
    assert_non_null(s);
    assert_int_equal(settings_workers(s->conf), 3);
    assert_int_equal(settings_from_conf(s->conf, 3, &n, &err), 0);
    assert_string_equal(n.options.dns_servers, "192.0.2.1:53,[2001:db8::1]:5353");
    assert_int_equal(n.options.dns_ttl_max_s, 90);
    assert_int_equal(n.options.splice_pipes, 10);
    assert_int_equal(n.options.agent_uid, 0);
    assert_int_equal(n.options.agent_timeout_ms, 40);
    assert_in_range(settings_descriptors(s->conf, 3), 260, 600);
    snapshot_unref(s);
    s = load("", 1, &err);
    assert_int_equal(settings_from_conf(s->conf, 1, &n, &err), 0);
    assert_null(n.options.dns_servers);
    assert_int_equal(n.options.agent_uid, -1);
    assert_true(settings_workers(s->conf) >= 1);
    snapshot_unref(s);
}

static void test_pid_file_keeps_a_second_one_out(void **state)
{
    (void)state;
    struct err err = {0};
    char path[128], wanted[32];
    snprintf(path, sizeof path, "%s", in_folder("pid"));
    int fd = privileges_lock_pid_file(path, &err);
    assert_true(fd >= 0);
    assert_int_equal(privileges_lock_pid_file(path, &err),
                     -1); /* another open file: as another process would */
    snprintf(wanted, sizeof wanted, "(pid %ld)", (long)getpid());
    assert_non_null(strstr(err.text, wanted));
    close(fd);
    fd = privileges_lock_pid_file(path, &err); /* left behind by a dead one */
    assert_true(fd >= 0);
    close(fd);
    write_file("target", "precious");
    assert_int_equal(symlink(in_folder("target"), "/tmp/exeat-run-link"), 0);
    err = (struct err){0};
    assert_int_equal(privileges_lock_pid_file("/tmp/exeat-run-link", &err), -1); /* never follows a link */
    unlink("/tmp/exeat-run-link");
}

static void test_folder(void **state)
{
    (void)state;
    struct err err = {0};
    struct identity who = {.uid = geteuid(), .gid = getegid()};
    struct stat st;
    umask(0027);
    assert_int_equal(privileges_make_folder(in_folder("state"), &who, &err), 0);
    assert_int_equal(stat(in_folder("state"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0750);
    assert_int_equal(privileges_make_folder(in_folder("state"), &who, &err), 0);
    chmod(in_folder("state"), 0777);
    assert_int_equal(privileges_make_folder(in_folder("state"), &who, &err), -1);
    assert_non_null(strstr(err.text, "everyone"));
    err = (struct err){0};
    write_file("file", "");
    assert_int_equal(privileges_make_folder(in_folder("file"), &who, &err), -1);
}

/* In a child: there is no way back. */
static void test_drop_is_for_good(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    struct identity who;
    struct err err = {0};
    assert_int_equal(privileges_find("no-such-user-here", NULL, "f", &who, &err), -1);
    err = (struct err){0};
    assert_int_equal(privileges_find("root", NULL, "f", &who, &err), -1);
    assert_int_equal(privileges_find(NULL, NULL, "f", &who, &err), 0);
    assert_false(who.change);
    err = (struct err){0};
    assert_int_equal(privileges_find("nobody", NULL, "f", &who, &err), 0);
    assert_true(who.change);
    pid_t child = fork();
    if (child == 0) {
        bool fine = privileges_drop(&who, &err) == 0 && geteuid() == who.uid && getegid() == who.gid &&
                    setuid(0) != 0 && access("/root/.", W_OK) != 0;
        _exit(fine ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void test_notifications(void **state)
{
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char text[64] = "";
    snprintf(address.sun_path, sizeof address.sun_path, "%.100s", in_folder("notify"));
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    notify_send("READY=1");
    assert_int_equal(recv(fd, text, sizeof text, MSG_DONTWAIT), 7);
    assert_memory_equal(text, "READY=1", 7);
    notify_reloading();
    assert_true(recv(fd, text, sizeof text, MSG_DONTWAIT) > 27);
    assert_memory_equal(text, "RELOADING=1\nMONOTONIC_USEC=", 27);
    close(fd);
    notify_send("READY=1"); /* nobody there: no harm */
    unsetenv("NOTIFY_SOCKET");
    notify_send("READY=1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_snapshot),
        cmocka_unit_test(test_mistakes_are_named_with_their_place),
        cmocka_unit_test(test_reload_is_all_or_nothing),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_pid_file_keeps_a_second_one_out),
        cmocka_unit_test(test_folder),
        cmocka_unit_test(test_drop_is_for_good),
        cmocka_unit_test(test_notifications),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
