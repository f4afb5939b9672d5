/* agent_job_test.c: the job behind a process, in a made-up tree of units, crontabs and desktop entries; what is remembered over a
 * restart; what a package says of its file. */
#include "agent/linux/job.h"
#include "agent/linux/packages.h"
#include "base/must.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[64];

/* Makes the folders above, too. */
static void put(const char *path, const char *text)
{
    char full[512];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *slash = strchr(full + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(full, 0755);
        *slash = '/';
    }
    FILE *f = fopen(full, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int make_tree(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/agent_job_XXXXXX");
    if (!mkdtemp(root))
        return -1;
    put("/etc/passwd", "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n");
    put("/usr/lib/systemd/system/backup.service", "[Service]\nExecStart=/usr/bin/backup\n");
    put("/usr/lib/systemd/system/backup.timer",
        "[Timer]\n# OnCalendar=never\nOnCalendar = daily\nOnBootSec=5min\n");
    put("/etc/systemd/system/report.service", "[Service]\nExecStart=/opt/report\n");
    put("/etc/systemd/system/other.timer", "[Timer]\nOnUnitActiveSec=1h\nUnit=report.service\n");
    put("/etc/systemd/system/report.service.d/10.conf", "[Service]\nEnvironment=A=b\n");
    put("/usr/lib/systemd/system/web@.service", "[Service]\n");
    put("/usr/lib/systemd/system/web@.socket", "[Socket]\nListenStream=80\n");
    put("/usr/lib/systemd/system/plain.service", "[Service]\n");
    put("/etc/systemd/system/multi-user.target.wants/plain.service", "[Service]\n");
    put("/home/ann/.config/systemd/user/sync.service", "[Service]\n");
    put("/run/systemd/transient/session-1.scope", "[Scope]\n");
    put("/etc/crontab",
        "# all\nSHELL=/bin/sh\n17 * * * * root cd / && run-parts --report /etc/cron.hourly\n");
    put("/etc/cron.d/fetch",
        "PATH=/bin\n*/5 * * * * ann /usr/bin/fetch --all\n@reboot root /usr/bin/begin\n");
    put("/etc/cron.daily/clean", "#!/bin/sh\n");
    put("/var/spool/cron/crontabs/ann", "0 4 * * 1 curl -s https://example.com | sh\n");
    put("/etc/xdg/autostart/org.tool-kit.desktop", "[Desktop Entry]\nExec=/usr/bin/toolkit --tray\n");
    put("/home/ann/.config/autostart/odd.desktop", "[Desktop Entry]\nName=x\nExec=\"odd\" -x\n");
    return 0;
}

static int remove_tree(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", root);
    return system(command);
}

struct found {
    struct sender *sender;
    const struct sender_job *job;
};

static struct found look(const char *unit, const char *parent, const char *const *argv, size_t argc,
                         struct seen *seen)
{
    static struct sender_parent parents[2];
    struct job_finder f;
    struct sender *s = sender_new();
    int procfd = open("/proc", O_RDONLY | O_DIRECTORY);
    assert_int_equal(job_finder_init(&f, procfd, root, seen), 0);
    s->uid = 1000;
    s->user = "ann";
    s->executable = argc ? argv[0] : "/usr/bin/it";
    s->unit = unit;
    parents[0] = (struct sender_parent){.pid = 1, .executable = parent};
    s->parents = parents;
    s->parent_count = parent ? 1 : 0;
    job_find(&f, s, argv, argc, 1000, 5000);
    job_find(&f, s, argv, argc, 1001, 6000); /* from what is known: the same */
    job_finder_free(&f);
    close(procfd);
    return (struct found){s, &s->who.job};
}

static void units(void **state)
{
    (void)state;
    static const struct {
        const char *unit;
        enum sender_job_kind kind;
        const char *file, *trigger, *trigger_file;
    } cases[] = {
        {"backup.service", SENDER_JOB_TIMER, "/usr/lib/systemd/system/backup.service",
         "OnCalendar = daily; OnBootSec=5min", "/usr/lib/systemd/system/backup.timer"},
        {"report.service", SENDER_JOB_TIMER, "/etc/systemd/system/report.service", "OnUnitActiveSec=1h",
         "/etc/systemd/system/other.timer"},
        {"web@1.service", SENDER_JOB_UNIT, "/usr/lib/systemd/system/web@.service", "ListenStream=80",
         "/usr/lib/systemd/system/web@.socket"},
        {"plain.service", SENDER_JOB_UNIT, "/usr/lib/systemd/system/plain.service", "multi-user.target",
         NULL},
        {"user@1000.service/sync.service", SENDER_JOB_UNIT, "/home/ann/.config/systemd/user/sync.service",
         NULL, NULL},
        {"user@1000.service/app-org.tool\\x2dkit@autostart.service", SENDER_JOB_AUTOSTART,
         "/etc/xdg/autostart/org.tool-kit.desktop", "session", NULL},
        {"nowhere.service", SENDER_JOB_NONE, NULL, NULL, NULL},
        {"session-1.scope", SENDER_JOB_NONE, NULL, NULL, NULL},
        {"../../../etc/passwd", SENDER_JOB_NONE, NULL, NULL, NULL},
        {NULL, SENDER_JOB_NONE, NULL, NULL, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct found f = look(cases[i].unit, NULL, NULL, 0, NULL);
        const char *const have[] = {f.job->file, f.job->trigger, f.job->trigger_file},
                          *const want[] = {cases[i].file, cases[i].trigger, cases[i].trigger_file};
        assert_int_equal(f.job->kind, cases[i].kind);
        for (size_t k = 0; k < 3; k++)
            if ((have[k] == NULL) != (want[k] == NULL) || (want[k] && strcmp(have[k], want[k]) != 0))
                fail_msg("%s: %s, not %s", cases[i].unit, have[k], want[k]);
        if (cases[i].file) {
            assert_int_equal(strlen(f.job->sha256), 64);
            assert_int_equal(f.job->owner_uid, geteuid());
            assert_true(f.job->changed_ms > 1600000000000);
        }
        sender_unref(f.sender);
    }
}

static void drop_ins_belong_to_a_unit(void **state)
{
    (void)state;
    char before[65];
    struct found f = look("report.service", NULL, NULL, 0, NULL);
    memcpy(before, f.job->sha256, sizeof before);
    sender_unref(f.sender);
    put("/etc/systemd/system/report.service.d/20.conf", "[Service]\nExecStartPre=/x\n");
    f = look("report.service", NULL, NULL, 0, NULL);
    assert_string_not_equal(before, f.job->sha256);
    sender_unref(f.sender);
}

static void crontabs(void **state)
{
    (void)state;
    static const struct {
        const char *argv[4];
        const char *file, *trigger;
    } cases[] = {
        {{"/bin/sh", "-c", "curl -s https://example.com | sh"}, "/var/spool/cron/crontabs/ann", "0 4 * * 1"},
        {{"curl", "-s", "https://example.com"}, "/var/spool/cron/crontabs/ann", "0 4 * * 1"},
        {{"/usr/bin/fetch", "--all"}, "/etc/cron.d/fetch", "*/5 * * * *"},
        {{"/usr/bin/begin"}, NULL, NULL}, /* root's, and it runs as ann */
        {{"/bin/sh", "/etc/cron.daily/clean"}, "/etc/cron.daily/clean", "cron.daily"},
        {{"/bin/sh", "/etc/cron.d/fetch"}, NULL, NULL},
        {{"/usr/bin/unheard-of"}, NULL, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t argc = 0;
        while (argc < 4 && cases[i].argv[argc])
            argc++;
        struct found f = look("cron.service", "/usr/sbin/cron", cases[i].argv, argc, NULL);
        assert_int_equal(f.job->kind, SENDER_JOB_CRON);
        if ((f.job->file == NULL) != (cases[i].file == NULL) ||
            (cases[i].file &&
             (strcmp(f.job->file, cases[i].file) != 0 || strcmp(f.job->trigger, cases[i].trigger) != 0)))
            fail_msg("case %zu: %s %s", i, f.job->file, f.job->trigger);
        sender_unref(f.sender);
    }
}

static void what_a_user_calls_cron_is_none(void **state)
{
    (void)state;
    static const char *const argv[] = {"/usr/bin/fetch", "--all"};
    struct found f = look(NULL, "/home/ann/cron", argv, 2, NULL);
    assert_int_equal(f.job->kind, SENDER_JOB_NONE);
    sender_unref(f.sender);
}

static void desktop_entries(void **state)
{
    (void)state;
    static const char *const odd[] = {"/opt/odd"}, *const toolkit[] = {"/usr/bin/toolkit"},
                             *const no[] = {"/x/toolkit"};
    struct found f = look(NULL, "/usr/bin/xfce4-session", odd, 1, NULL);
    assert_string_equal(f.job->file, "/home/ann/.config/autostart/odd.desktop");
    sender_unref(f.sender);
    f = look(NULL, "/usr/bin/xfce4-session", toolkit, 1, NULL);
    assert_string_equal(f.job->file, "/etc/xdg/autostart/org.tool-kit.desktop");
    sender_unref(f.sender);
    f = look(NULL, "/usr/bin/xfce4-session", no, 1, NULL);
    assert_int_equal(f.job->kind, SENDER_JOB_NONE);
    sender_unref(f.sender);
    f = look(NULL, "/usr/bin/bash", odd, 1, NULL);
    assert_int_equal(f.job->kind, SENDER_JOB_NONE);
    sender_unref(f.sender);
}

static void names_of_units(void **state)
{
    (void)state;
    char name[64];
    assert_true(jobs_desktop_name("app-a\\x2db@autostart.service", name, sizeof name));
    assert_string_equal(name, "a-b");
    assert_false(jobs_desktop_name("app-a@1.service", name, sizeof name));
    assert_false(jobs_desktop_name("app-@autostart.service", name, sizeof name));
    assert_false(jobs_desktop_name("app-..\\x2f..@autostart.service", name, sizeof name));
    assert_false(jobs_desktop_name("app-\\x2e\\x2e@autostart.service", name, sizeof name));
}

/* ---- since when ---- */

static int64_t note(struct seen *s, const char *a, const char *b, int64_t now_ms)
{
    const struct span parts[] = {span_str(a), span_str(b)};
    return seen_note(s, parts, 2, now_ms);
}

static void the_first_time_is_kept(void **state)
{
    (void)state;
    struct err e = {.line = 0};
    struct seen *s = seen_open(root, &e);
    assert_non_null(s);
    assert_int_equal(note(s, "a", "b", 100), 100);
    assert_int_equal(note(s, "a", "b", 200), 100);
    assert_int_equal(note(s, "ab", "", 300), 300); /* the parts' borders count */
    assert_int_equal(note(s, "a", "b", 50), 100);  /* the clock went back */
    seen_close(s);
    s = seen_open(root, &e);
    assert_int_equal(note(s, "a", "b", 900), 100);
    assert_int_equal(note(s, "c", "", 901), 901);
    seen_close(s);
    struct found f = look("backup.service", NULL, NULL, 0, s = seen_open(root, &e));
    assert_int_equal(f.job->first_seen_ms, 5000);
    sender_unref(f.sender);
    seen_close(s);
}

static void a_damaged_file_is_begun_anew(void **state)
{
    (void)state;
    struct err e = {.line = 0};
    put("/seen", "exeat-agent seen 1\nnonsense that is as long as a record....");
    struct seen *s = seen_open(root, &e);
    assert_non_null(s);
    assert_int_equal(note(s, "a", "b", 100), 100);
    seen_close(s);
    put("/seen", "something else");
    s = seen_open(root, &e);
    assert_int_equal(note(s, "a", "b", 200), 200);
    seen_close(s);
    assert_null(seen_open("/nowhere/at/all", &e));
}

static void what_is_seen_is_bounded(void **state)
{
    (void)state;
    struct err e = {.line = 0};
    struct seen *s = seen_open(NULL, &e);
    for (int i = 0; i < SEEN_MAX * 2; i++) {
        char text[32];
        snprintf(text, sizeof text, "%d", i);
        note(s, text, "", 1000 + i);
    }
    assert_int_equal(note(s, "65535", "", 900000), 1000 + 65535);
    assert_int_equal(note(s, "1", "", 900000), 900000); /* long ago */
    seen_close(s);
}

/* ---- packages ---- */

static void what_a_package_says_of_its_file(void **state)
{
    (void)state;
    char folder[128], md5[33] = "";
    struct packages p;
    put("/dpkg/info/tool.list", "/.\n/usr/bin/tool\n/etc/tool.conf\n/bin/old\n");
    put("/dpkg/info/tool.md5sums",
        "0123456789abcdef0123456789abcdef  usr/bin/tool\nffff6789abcdef0123456789abcdef01  bin/old\n");
    put("/dpkg/status", "Package: tool\nVersion: 1\n\n");
    snprintf(folder, sizeof folder, "%s/dpkg", root);
    packages_init(&p, folder, 7);
    assert_int_equal(packages_refresh(&p), 0);
    assert_true(packages_digest(&p, "/usr/bin/tool", md5));
    assert_string_equal(md5, "0123456789abcdef0123456789abcdef");
    assert_true(packages_digest(&p, "/usr/bin/old", md5));
    assert_string_equal(md5, "ffff6789abcdef0123456789abcdef01");
    assert_false(packages_digest(&p, "/etc/tool.conf", md5));
    assert_false(packages_digest(&p, "/usr/bin/other", md5));
    packages_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(units),
        cmocka_unit_test(drop_ins_belong_to_a_unit),
        cmocka_unit_test(crontabs),
        cmocka_unit_test(what_a_user_calls_cron_is_none),
        cmocka_unit_test(desktop_entries),
        cmocka_unit_test(names_of_units),
        cmocka_unit_test(the_first_time_is_kept),
        cmocka_unit_test(a_damaged_file_is_begun_anew),
        cmocka_unit_test(what_is_seen_is_bounded),
        cmocka_unit_test(what_a_package_says_of_its_file),
    };
    return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
