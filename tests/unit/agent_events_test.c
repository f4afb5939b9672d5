/* agent_events_test.c: readers of what the kernel and files tell the agent about processes: archives by their first bytes, archivers,
 * globs, records of executions, mapped libraries, counts of programs. */
#include "agent/archive.h"
#include "agent/crypto_names.h"
#include "agent/linux/elf_symbols.h"
#include "agent/linux/exec.h"
#include "agent/linux/connector.h"
#include "agent/linux/globs.h"
#include "agent/linux/keys.h"
#include "agent/linux/keys_record.h"
#include "agent/linux/libraries.h"
#include "agent/usage.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <cmocka.h>

#define BYTES(text) span_of(text, sizeof(text) - 1)

static void archives_by_their_first_bytes(void **state)
{
    (void)state;
    char tar[512] = "name";
    memcpy(tar + 257, "ustar", 5);
    assert_string_equal(archive_kind(BYTES("\x1f\x8b\x08\0\0\0")), "gzip");
    assert_string_equal(archive_kind(BYTES("PK\3\4....")), "zip");
    assert_string_equal(archive_kind(BYTES("\xfd"
                                           "7zXZ\0\0")),
                        "xz");
    assert_string_equal(archive_kind(BYTES("\x28\xb5\x2f\xfd.")), "zstd");
    assert_string_equal(archive_kind(BYTES("7z\xbc\xaf\x27\x1c")), "7z");
    assert_string_equal(archive_kind(BYTES("Rar!\x1a\7\1\0")), "rar");
    assert_string_equal(archive_kind(BYTES("BZh9\x31\x41\x59\x26")), "bzip2");
    assert_string_equal(archive_kind(span_of(tar, sizeof tar)), "tar");
    assert_null(archive_kind(span_of(tar, 260)));
    assert_null(archive_kind(BYTES("BZh and so on")));
    assert_null(archive_kind(BYTES("\x1f\x8b")));
    assert_null(archive_kind(span_of(NULL, 0)));
}

static void archivers_by_name(void **state)
{
    (void)state;
    assert_string_equal(archiver_kind("/usr/bin/tar", BYTES("x\0")), "tar");
    assert_string_equal(archiver_kind("/usr/lib/p7zip/7z", BYTES("")), "7z");
    assert_string_equal(archiver_kind("/bin/busybox", BYTES("/bin/gzip\0-9\0")), "gzip");
    assert_string_equal(archiver_kind("/bin/busybox", BYTES("busybox\0tar\0c\0")), "tar");
    assert_null(archiver_kind("/bin/busybox", BYTES("sh\0")));
    assert_null(archiver_kind("/usr/bin/target", BYTES("tar\0")));
    assert_null(archiver_kind("", span_of(NULL, 0)));
}

static void places_by_glob(void **state)
{
    (void)state;
    static struct globs g;
    bool in_folder;
    g.count = 0;
    globs_add_defaults(&g);
    assert_string_equal(globs_class(&g, "/home/a/.ssh/id_ed25519", &in_folder), "ssh_key");
    assert_null(globs_class(&g, "/home/a/.ssh/id_ed25519.pub", &in_folder));
    assert_true(in_folder);
    assert_null(globs_class(&g, "/home/a/.ssh/known_hosts", &in_folder));
    assert_true(in_folder);
    assert_null(globs_class(&g, "/tmp/id_rsa", &in_folder));
    assert_false(in_folder);
    assert_string_equal(globs_class(&g, "/home/a/Documents/x/y/z.odt", &in_folder), "documents");
    assert_null(globs_class(&g, "/home/a/b/Documents/x", &in_folder));
    assert_string_equal(globs_class(&g, "/etc/shadow", &in_folder), "shadow");
    assert_string_equal(globs_class(&g, "/home/a/.config/google-chrome/Default/Login Data", &in_folder),
                        "browser_profile");
    assert_int_equal(globs_add_text(&g, "plans=/var/plans/**"), 0);
    assert_int_equal(globs_add_text(&g, "mine=/etc/shadow"), 0);
    assert_string_equal(globs_class(&g, "/var/plans/2027/q1", &in_folder), "plans");
    assert_string_equal(globs_class(&g, "/etc/shadow", &in_folder), "mine"); /* the newest first */
    assert_int_equal(globs_add_text(&g, "=/x"), -1);
    assert_int_equal(globs_add_text(&g, "x=relative"), -1);
    assert_int_equal(globs_add_text(&g, "x=/"), -1);
    assert_int_equal(globs_add_text(&g, "nothing"), -1);
    while (globs_add(&g, "x", "/x") == 0)
        ;
    assert_int_equal(g.count, GLOBS_MAX);
}

static void libraries_by_name(void **state)
{
    (void)state;
    assert_true(crypto_name_of("/usr/lib/libssl.so.3").is_tls);
    assert_false(crypto_name_of("/usr/lib/libssl.so.3").is_cipher);
    assert_string_equal(crypto_name_of("/x/libcrypto-1a2b.so.1.1").family,
                        "openssl"); /* as wheels bundle it */
    assert_string_equal(crypto_name_of("/x/libgnutls.so.30").family, "gnutls");
    assert_null(crypto_name_of("/x/libsslscan.so").family);
    assert_null(crypto_name_of("/x/libcrypto.a").family);
    assert_null(crypto_name_of("/libssl/libc.so.6").family);
    assert_string_equal(crypto_mark_in(BYTES("..crypto/tls.(*Conn).Handshake..")), "go");
    assert_null(crypto_mark_in(BYTES("SSL_connect")));
}

static struct history *h;
static struct agent_history told;
static const struct history_id self = {1234, 100};

static int begin(void **state)
{
    (void)state;
    h = history_new(4, 3600000);
    struct history_process p = {.id = self, .parent = {7, 1}, .session = 7, .name = "client"};
    history_tell(h, &p, 1000);
    return 0;
}

static int end(void **state)
{
    (void)state;
    history_free(h);
    return 0;
}

static size_t ask(const struct history_id *id)
{
    history_ask(h, id, exec_now_ms(), &told);
    return told.row_count;
}

static void mapped_libraries(void **state)
{
    (void)state;
    static const char maps[] = "7f00-7f01 r--p 00000000 08:01 99      /usr/lib/libssl.so.3\n"
                               "7f01-7f02 r-xp 00001000 08:01 99      /usr/lib/libcrypto.so.3\n"
                               "7f02-7f03 r-xp 00000000 00:00 0       [vdso]\n";
    library_maps_take(h, 1234, BYTES(maps));
    assert_int_equal(ask(&self), 1); /* what is not executable was only opened */
    assert_int_equal(told.rows[0].kind, AGENT_HISTORY_CRYPTO_LIBRARY);
    assert_string_equal(told.rows[0].path, "/usr/lib/libcrypto.so.3");
    struct {
        uint32_t type;
        uint16_t misc, size;
        uint32_t pid, tid;
        uint64_t address, length, offset;
        uint32_t major, minor;
        uint64_t inode, generation;
        uint32_t prot, flags;
        char path[24];
    } note = {.type = 10, .size = sizeof note, .pid = 1234, .path = "/usr/lib/libssl.so.3"};
    assert_int_equal(library_note_take(h, span_of(&note, sizeof note)), 0);
    assert_int_equal(ask(&self), 2);
    uint64_t lost[3] = {2 | (uint64_t)24 << 48, 1, 500};
    assert_int_equal(library_note_take(h, span_of(lost, sizeof lost)), 500);
    assert_int_equal(library_note_take(h, span_of(&note, 40)), 0); /* cut */
}

static struct exec_record record_of(uint32_t type, uint32_t pid, uint32_t parent, uint32_t session)
{
    struct exec_record r = {.type = type,
                            .pid = pid,
                            .start_ns = 2000000000,
                            .parent = parent,
                            .parent_start_ns = 1000000000,
                            .now_ns = (uint64_t)exec_now_ms() * 1000000,
                            .session = session,
                            .name = "tar"};
    return r;
}

static void records_of_executions(void **state)
{
    (void)state;
    static const char parts[] = "tar\0bin\0usr";
    struct executed e;
    char path[EXEC_PATH_BYTES];
    struct exec_record r = record_of(EXEC_FORK, 4000, 1234, 7);
    assert_false(exec_record_take(h, -1, &r, EXEC_SHORT_BYTES, &e, path));
    assert_true(history_knows(h, 4000));
    r.type = EXEC_EXEC;
    r.path_bytes = sizeof parts;
    memcpy(r.path, parts, sizeof parts);
    memcpy(r.arguments, "tar\0c", 6);
    r.arguments_bytes = 6;
    assert_false(exec_record_take(h, -1, &r, EXEC_SHORT_BYTES, &e, path)); /* cut */
    assert_true(exec_record_take(h, -1, &r, offsetof(struct exec_record, path) + sizeof parts, &e, path));
    assert_string_equal(e.path, "/usr/bin/tar");
    assert_int_equal(e.id.pid, 4000);
    assert_int_equal(e.arguments.len, 6);
    r.path_bytes = 1 << 30; /* more than was sent */
    assert_true(exec_record_take(h, -1, &r, offsetof(struct exec_record, path) + sizeof parts, &e, path));
    assert_string_equal(e.path, "/usr/bin/tar");
    r.type = EXEC_EXIT;
    assert_false(exec_record_take(h, -1, &r, EXEC_SHORT_BYTES, &e, path));
    assert_false(history_knows(h, 4000));
}

static uint64_t found_offset;

static void on_symbol(void *context, const char *name, uint64_t offset)
{
    if (strcmp(name, context) == 0)
        found_offset = offset;
}

/* Against what the dynamic linker says of a library that is loaded. */
static void functions_in_a_library(void **state)
{
    (void)state;
    Dl_info info;
    struct stat st;
    char name[] = "EVP_EncryptInit_ex";
    if (!dladdr((void *)(uintptr_t)EVP_EncryptInit_ex, &info) || !strstr(info.dli_fname, "libcrypto"))
        skip();
    int fd = open(info.dli_fname, O_RDONLY | O_CLOEXEC);
    assert_int_equal(fstat(fd, &st), 0);
    void *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    assert_true(bytes != MAP_FAILED);
    assert_true(elf_symbols_each(span_of(bytes, (size_t)st.st_size), on_symbol, name));
    assert_memory_equal((char *)bytes + found_offset, (void *)(uintptr_t)EVP_EncryptInit_ex, 32);
    assert_false(elf_symbols_each(span_of(bytes, 63), on_symbol, name));
    elf_symbols_each(span_of(bytes, (size_t)st.st_size / 2), on_symbol, name);
    munmap(bytes, (size_t)st.st_size);
}

static void calls_count_by_who_makes_them(void **state)
{
    (void)state;
    struct keys_record r = {.caller = {.pid = 1234},
                            .now_ns = (uint64_t)exec_now_ms() * 1000000,
                            .count = 4,
                            .has_file = 1,
                            .name = "libssl.so.3"};
    key_record_take(h, &r, sizeof r);
    assert_int_equal(ask(&self), 0); /* a TLS library's own */
    snprintf(r.name, sizeof r.name, "locker");
    key_record_take(h, &r, sizeof r);
    assert_int_equal(ask(&self), 1);
    assert_int_equal(told.rows[0].kind, AGENT_HISTORY_SYMMETRIC_OUTSIDE_TLS);
    assert_int_equal(told.rows[0].count, 4);
    r.has_file = 0;
    key_record_take(h, &r, sizeof r);
    ask(&self);
    assert_string_equal(told.rows[0].path, "[no file]");
    r.call = 1000;
    key_record_take(h, &r, sizeof r);
    key_record_take(h, &r, 10);
    ask(&self);
    assert_int_equal(told.rows[0].count, 8);
}

/* Beside the sums since ever, those of the last 30 days, which go by; and a file of before has none. */
static void the_last_days_are_counted_apart(void **state)
{
    (void)state;
    enum { DAY_MS = 86400000 };
    const int64_t begin = INT64_C(20000) * DAY_MS;
    struct usage *u = usage_new(), *again = usage_new();
    struct agent_usage n;
    struct buf out;
    for (int day = 0; day < 100; day++)
        for (int i = 0; i < 2; i++)
            usage_execute(u, "/bin/a", begin + day * (int64_t)DAY_MS);
    usage_connect(u, "/bin/a", true, begin + 99 * (int64_t)DAY_MS);
    buf_init(&out, USAGE_TEXT_BYTES);
    assert_int_equal(usage_write(u, &out), 0);
    assert_int_equal(usage_read(again, buf_span(&out)), 1);
    for (int i = 0; i < 2; i++) {
        assert_true(usage_find(i ? again : u, "/bin/a", begin + 99 * (int64_t)DAY_MS, &n));
        assert_true(n.executions == 200 && n.connected_executions == 1 && n.recent_days == 30);
        assert_true(n.recent_executions > 50 && n.recent_executions <= 60 && n.recent_connected == 1);
    }
    assert_true(usage_find(again, "/bin/a", begin + 115 * (int64_t)DAY_MS, &n));
    assert_true(n.recent_executions >= 20 && n.recent_executions < 40 && n.recent_connected == 1);
    assert_true(usage_find(again, "/bin/a", begin + 140 * (int64_t)DAY_MS, &n));
    assert_true(n.executions == 200 && n.recent_executions == 0 && n.recent_connected == 0);
    assert_int_equal(
        usage_read(again, BYTES("7 1 2 3 4 5 6 /before\n7 1 2 3 4 5 6 @1 /y\n7 1 2 3 4 5 6 @1:1,2,3 /y\n")),
        1);
    assert_true(usage_find(again, "/before", begin, &n));
    assert_true(n.executions == 7 && n.recent_executions == 0);
    buf_free(&out);
    usage_free(u);
    usage_free(again);
}

static void programs_are_counted_and_kept(void **state)
{
    (void)state;
    struct usage *u = usage_new(), *again = usage_new();
    struct agent_usage n;
    struct buf out;
    char name[USAGE_PATH_BYTES], other[USAGE_PATH_BYTES];
    assert_true(usage_name("/bin/py", NULL, name) && usage_name("/bin/py", "/s/a", other));
    assert_string_not_equal(name, other);
    assert_true(usage_name("/bin/py", "/s/b", name));
    assert_string_not_equal(name, other);
    assert_false(usage_name("/bin/py\t/s", NULL, name));
    assert_false(usage_find(u, "/bin/a", 6000, &n));
    usage_execute(u, "/bin/a", 1000);
    usage_execute(u, "/bin/a", 2000);
    usage_connect(u, "/bin/a", true, 3000);
    usage_connect(u, "/bin/a", false, 4000);
    usage_execute(u, "/with a blank", 5000);
    usage_execute(u, "/with\na line", 5000);
    buf_init(&out, USAGE_TEXT_BYTES);
    assert_int_equal(usage_write(u, &out), 0);
    assert_int_equal(usage_read(again, buf_span(&out)), 2);
    assert_true(usage_find(again, "/bin/a", 6000, &n));
    assert_int_equal(n.executions, 2);
    assert_int_equal(n.executions_first_ms, 1000);
    assert_int_equal(n.executions_last_ms, 2000);
    assert_int_equal(n.connections, 2);
    assert_int_equal(n.connected_executions, 1);
    assert_true(usage_find(again, "/with a blank", 6000, &n));
    assert_int_equal(usage_read(again, BYTES("1 2 3 4 5 6 /x\n1 2 3 4 5 6 -7 /y\n\n\xff\n1 2 3 4 5 6 7 z\n")),
                     0);
    for (int i = 0; i < 3 * USAGE_MAX; i++) {
        char path[32];
        snprintf(path, sizeof path, "/p/%d", i);
        usage_execute(u, path, 6000 + i);
    }
    assert_true(usage_find(u, "/p/12287", 6000, &n)); /* the newest is there, the oldest is gone */
    assert_false(usage_find(u, "/bin/a", 6000, &n));
    buf_free(&out);
    usage_free(u);
    usage_free(again);
}

/* A message of the connector's, about one process. */
static struct span connector_message(uint8_t out[256], const struct proc_event *e, uint16_t len)
{
    struct nlmsghdr head = {.nlmsg_len = (uint32_t)(sizeof head + sizeof(struct cn_msg) + len)};
    struct cn_msg about = {.id = {CN_IDX_PROC, CN_VAL_PROC}, .len = len};
    memcpy(out, &head, sizeof head);
    memcpy(out + sizeof head, &about, sizeof about);
    memcpy(out + sizeof head + sizeof about, e, len);
    return span_of(out, head.nlmsg_len);
}

static void what_the_connector_says(void **state)
{
    (void)state;
    uint8_t bytes[256];
    struct connector_event got;
    struct proc_event e = {.what = PROC_EVENT_FORK};
    e.event_data.fork = (struct fork_proc_event){10, 10, 20, 20};
    struct span m = connector_message(bytes, &e, sizeof e);
    assert_true(connector_read(m, &got));
    assert_int_equal(got.what, CONNECTOR_FORK);
    assert_int_equal(got.pid, 20);
    assert_int_equal(got.parent, 10);
    for (size_t len = 0; len < m.len; len++) /* cut anywhere */
        assert_false(connector_read(span_of(bytes, len), &got));
    e.event_data.fork.child_pid = 21; /* a thread */
    assert_false(connector_read(connector_message(bytes, &e, sizeof e), &got));
    e = (struct proc_event){.what = PROC_EVENT_SID};
    e.event_data.sid = (struct sid_proc_event){30, 30};
    assert_true(connector_read(connector_message(bytes, &e, sizeof e), &got));
    assert_int_equal(got.what, CONNECTOR_SESSION);
    assert_int_equal(got.pid, 30);
    assert_false(connector_read(connector_message(bytes, &e, 4), &got)); /* says less than it should */
    e.what = PROC_EVENT_COMM;
    assert_false(connector_read(connector_message(bytes, &e, sizeof e), &got));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_connector_says),
        cmocka_unit_test(archives_by_their_first_bytes),
        cmocka_unit_test(archivers_by_name),
        cmocka_unit_test(places_by_glob),
        cmocka_unit_test(libraries_by_name),
        cmocka_unit_test_setup_teardown(mapped_libraries, begin, end),
        cmocka_unit_test_setup_teardown(records_of_executions, begin, end),
        cmocka_unit_test(functions_in_a_library),
        cmocka_unit_test_setup_teardown(calls_count_by_who_makes_them, begin, end),
        cmocka_unit_test(the_last_days_are_counted_apart),
        cmocka_unit_test(programs_are_counted_and_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
