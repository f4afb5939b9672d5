/* agent_linked_test.c: whether a program's package links a library: a dpkg of our own, with ELF files that hold nothing but what they need. */
#include "agent/linux/elf_needed.h"
#include "agent/linux/linked.h"

#include <elf.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { FILE_BYTES = 4096, TEXT_AT = 1024 };

static char folder[64];
static struct linked *linked;

static void write_file(const char *name, const void *bytes, size_t len)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
    close(fd);
}

static void write_text(const char *name, const char *format)
{
    char text[4096], *at = text;
    for (const char *c = format; *c; c++) /* '@' is the folder */
        at += snprintf(at, (size_t)(text + sizeof text - at), *c == '@' ? "%s" : "%.1s",
                       *c == '@' ? folder : c);
    write_file(name, text, strlen(text));
}

/* A file with these words: "name" is needed, "=name" is its soname, "!path" its runpath. */
static void make_elf(uint8_t file[FILE_BYTES], const char *words)
{
    Elf64_Ehdr e = {.e_type = ET_DYN, .e_phoff = 64, .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 2};
    Elf64_Phdr load = {.p_type = PT_LOAD, .p_vaddr = 0x10000, .p_filesz = FILE_BYTES};
    Elf64_Phdr dynamic = {.p_type = PT_DYNAMIC, .p_offset = 256};
    Elf64_Dyn entries[16] = {{.d_tag = DT_STRTAB, .d_un.d_val = 0x10000 + TEXT_AT}};
    char copy[512], *save = NULL;
    size_t count = 1, at = 1;
    memset(file, 0, FILE_BYTES);
    memcpy(e.e_ident, ELFMAG, SELFMAG);
    e.e_ident[EI_CLASS] = ELFCLASS64;
    e.e_ident[EI_DATA] = ELFDATA2LSB;
    snprintf(copy, sizeof copy, "%s", words);
    for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
        int64_t tag = w[0] == '=' ? DT_SONAME : w[0] == '!' ? DT_RUNPATH : DT_NEEDED;
        const char *name = tag == DT_NEEDED ? w : w + 1;
        entries[count++] = (Elf64_Dyn){.d_tag = tag, .d_un.d_val = at};
        memcpy(file + TEXT_AT + at, name, strlen(name) + 1);
        at += strlen(name) + 1;
    }
    dynamic.p_filesz = (count + 1) * sizeof entries[0];
    memcpy(file, &e, sizeof e);
    memcpy(file + 64, &load, sizeof load);
    memcpy(file + 64 + sizeof load, &dynamic, sizeof dynamic);
    memcpy(file + 256, entries, sizeof entries);
}

static void write_elf(const char *name, const char *words)
{
    uint8_t file[FILE_BYTES];
    make_elf(file, words);
    write_file(name, file, sizeof file);
}

static void make_folders(void)
{
    static const char *const names[] = {"dpkg", "dpkg/info", "bin", "lib", "lib/own", "home"};
    char path[256];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        assert_int_equal(mkdir(path, 0755), 0);
    }
}

static int begin(void **state)
{
    static char dpkg[96], lib[96];
    static const char *folders[] = {lib, NULL};
    (void)state;
    strcpy(folder, "/tmp/exeat-linked-XXXXXX");
    assert_non_null(mkdtemp(folder));
    make_folders();
    snprintf(dpkg, sizeof dpkg, "%s/dpkg", folder);
    snprintf(lib, sizeof lib, "%s/lib", folder);
    write_text("dpkg/status",
               "Package: direct\nVersion: 1\n\nPackage: plugged\nSource: thing (2.0)\nVersion: 1\n\n"
               "Package: thing-modules\nSource: thing\nVersion: 1\n\nPackage: plain\nVersion: 1\n"
               "Depends: libc6 (>= 2), libssl3x\n\nPackage: opens\nVersion: 1\nDepends: libc6, libnone | "
               "libssl3 (>= 3)\n\n"
               "Package: perl-base\nVersion: 1\n\nPackage: libssl3\nVersion: 3\n");
    write_text("dpkg/info/direct.list", "@/bin/direct\n");
    write_text("dpkg/info/plugged:amd64.list", "@/bin/plugged\n");
    write_text("dpkg/info/thing-modules.list", "@/lib/own\n@/lib/own/module.so\n");
    write_text("dpkg/info/plain.list", "@/bin/plain\n");
    write_text("dpkg/info/opens.list", "@/bin/opens\n");
    write_text("dpkg/info/perl-base.list", "@/bin/perl\n");
    write_text("dpkg/info/libssl3.list", "@/lib/libssl.so.3\n");
    write_elf("lib/libssl.so.3", "=libssl.so.3 libc.so.6");
    write_elf("lib/libc.so.6", "=libc.so.6");
    write_elf("lib/libcurl.so.4", "=libcurl.so.4 libssl.so.3 libcurl.so.4");
    write_elf("lib/own/module.so", "libhelp.so !/nowhere:$ORIGIN/../own");
    write_elf("lib/own/libhelp.so", "libssl.so.3");
    write_elf("bin/direct", "libcurl.so.4 libmissing.so.1");
    write_elf("bin/plugged", "libc.so.6");
    write_elf("bin/plain", "libc.so.6");
    write_elf("bin/opens", "libc.so.6");
    write_elf("bin/perl", "libc.so.6");
    write_elf("bin/unowned", "libcurl.so.4");
    write_elf("home/libssl.so.3", "=libssl.so.3");
    linked = linked_new(dpkg, folders, false);
    return linked ? 0 : -1;
}

static int end(void **state)
{
    char command[128];
    (void)state;
    linked_free(linked);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static enum history_linked judge(const char *program, const char *library)
{
    char a[256], b[256];
    snprintf(a, sizeof a, "%s/%s", folder, program);
    snprintf(b, sizeof b, "%s/%s", folder, library);
    return linked_judge(linked, a, b);
}

static void what_it_needs_is_its_own(void **state)
{
    (void)state;
    assert_int_equal(judge("bin/direct", "lib/libssl.so.3"),
                     HISTORY_LINKED_YES); /* by libcurl, which needs itself */
    assert_int_equal(judge("bin/plugged", "lib/libssl.so.3"),
                     HISTORY_LINKED_YES); /* by a module of its source */
    assert_int_equal(judge("bin/opens", "lib/libssl.so.3"), HISTORY_LINKED_YES); /* it depends on it */
}

static void what_nothing_explains_is_foreign(void **state)
{
    char path[256];
    (void)state;
    assert_int_equal(judge("bin/plain", "lib/libssl.so.3"),
                     HISTORY_LINKED_NO); /* libssl3x is another package */
    assert_int_equal(judge("bin/plain", "home/libssl.so.3"), HISTORY_LINKED_NO);
    snprintf(path, sizeof path, "%s/home/libssl.so.3",
             folder); /* its name is needed, but it is another file */
    assert_int_equal(chmod(path, 0666), 0);
    assert_int_equal(judge("bin/direct", "home/libssl.so.3"), HISTORY_LINKED_NO);
}

static void what_nobody_can_say_is_unknown(void **state)
{
    (void)state;
    assert_int_equal(judge("bin/unowned", "lib/libssl.so.3"), HISTORY_LINKED_UNKNOWN);
    assert_int_equal(judge("bin/perl", "lib/libssl.so.3"), HISTORY_LINKED_UNKNOWN);
    assert_int_equal(judge("bin/plain", "lib/libgone.so.1"), HISTORY_LINKED_UNKNOWN);
}

static int read_bytes(const uint8_t *bytes, size_t len, struct arena *arena, struct elf_needed *ret)
{
    int fd = memfd_create("elf", MFD_CLOEXEC);
    assert_true(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
    int result = elf_needed_read(fd, arena, ret);
    close(fd);
    return result;
}

/* Any byte may be any other, and the file may end anywhere. */
static void hostile_files(void **state)
{
    uint8_t file[FILE_BYTES];
    struct arena arena;
    struct elf_needed of;
    (void)state;
    arena_init(&arena, 1 << 20);
    make_elf(file, "=a.so b.so c.so !$ORIGIN");
    assert_int_equal(read_bytes(file, sizeof file, &arena, &of), 0);
    assert_int_equal(of.count, 2);
    assert_string_equal(of.names[1], "c.so");
    assert_string_equal(of.soname, "a.so");
    assert_string_equal(of.runpath, "$ORIGIN");
    for (size_t i = 0; i < 400; i++)
        for (unsigned value = 0; value < 256; value += 85) {
            uint8_t before = file[i];
            file[i] = (uint8_t)value;
            read_bytes(file, sizeof file, &arena, &of);
            file[i] = before;
            arena_reset(&arena);
        }
    for (size_t len = 0; len < TEXT_AT; len += 13)
        assert_int_equal(read_bytes(file, len, &arena, &of), -1);
    arena_reset(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_it_needs_is_its_own),
        cmocka_unit_test(what_nothing_explains_is_foreign),
        cmocka_unit_test(what_nobody_can_say_is_unknown),
        cmocka_unit_test(hostile_files),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
