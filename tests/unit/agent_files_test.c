/* agent_files_test.c: files known by what they are (watched.h), names that appear in watched folders (renames.h), looks into the roots of
 * others (rooted.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/linux/renames.h"
#include "agent/linux/rooted.h"
#include "agent/linux/watched.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void a_file_is_its_number_and_its_birth(void **state)
{
    (void)state;
    struct watched *w = watched_new();
    struct watched_file a = {.device = 1, .inode = 2, .born_ns = 3, .size = 4}, b = a;
    assert_non_null(w);
    assert_null(watched_class(w, &a));
    assert_true(watched_add(w, &a, "key"));
    assert_false(watched_add(w, &a, "other"));
    b.size = 5;
    assert_string_equal(watched_class(w, &b), "key"); /* as it was found first, whatever its size */
    b.born_ns = 4;
    assert_null(watched_class(w, &b));
    watched_free(w);
}

static void it_is_bounded(void **state)
{
    (void)state;
    struct watched *w = watched_new();
    struct watched_file f = {.device = 1};
    unsigned known = 0;
    for (f.inode = 1; f.inode <= 4 * WATCHED_FILES_MAX; f.inode++)
        watched_add(w, &f, "key");
    for (f.inode = 1; f.inode <= 4 * WATCHED_FILES_MAX; f.inode++)
        known += watched_class(w, &f) != NULL;
    assert_in_range(known, WATCHED_FILES_MAX / 2, WATCHED_FILES_MAX);
    f.inode = 4 * WATCHED_FILES_MAX;
    assert_string_equal(watched_class(w, &f), "key"); /* the latest is never the one that goes */
    watched_free(w);
}

/* ---- names ---- */

struct place {
    char folder[64], seen[1024];
    struct globs globs;
    struct renames *names;
    uint64_t lost;
};

static int set_up(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    char glob[128];
    snprintf(p->folder, sizeof p->folder, "/tmp/exeat-names-XXXXXX");
    assert_non_null(mkdtemp(p->folder));
    snprintf(glob, sizeof glob, "key=%s/id_*", p->folder);
    assert_int_equal(globs_add_text(&p->globs, glob), 0);
    p->names = renames_new(&p->globs);
    assert_non_null(p->names);
    int fd = open(p->folder, O_PATH | O_DIRECTORY);
    assert_true(renames_add(p->names, fd, p->folder, 7));
    close(fd);
    *state = p;
    return 0;
}

static void make(const struct place *p, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", p->folder, name);
    int fd = open(path, O_CREAT | O_WRONLY | O_EXCL, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static void move(const struct place *p, const char *from, const char *to)
{
    char a[128], b[128];
    snprintf(a, sizeof a, "%s/%s", p->folder, from);
    snprintf(b, sizeof b, "%s/%s", p->folder, to);
    assert_int_equal(rename(a, b), 0);
}

static void drop(const struct place *p, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", p->folder, name);
    assert_int_equal(remove(path), 0);
}

static int tear_down(void **state)
{
    struct place *p = *state;
    renames_free(p->names);
    assert_int_equal(rmdir(p->folder), 0);
    free(p);
    return 0;
}

static void each(void *context, const struct name_appeared *a)
{
    struct place *p = context;
    size_t len = strlen(p->seen);
    assert_int_equal(a->root, 7);
    snprintf(p->seen + len, sizeof p->seen - len, "%s%s=%s%s", len ? " " : "", strrchr(a->path, '/') + 1,
             a->class_name ? a->class_name : "-", a->is_folder ? "/" : "");
}

/* What was seen since. */
static const char *turn(struct place *p, unsigned max_bytes)
{
    p->seen[0] = 0;
    while (renames_turn(p->names, max_bytes, &p->lost, each, p))
        ;
    assert_int_equal(p->lost, 0);
    return p->seen;
}

static void a_class_goes_with_the_file(void **state)
{
    struct place *p = *state;
    make(p, "a");
    move(p, "a", "id_x");
    move(p, "id_x", "b");
    move(p, "b", "c");
    make(p, "b");
    assert_string_equal(turn(p, 16384), "a=- id_x=key b=key c=key b=-");
    move(p, "c", "d"); /* in a turn of its own */
    assert_string_equal(turn(p, 16384), "d=key");
    move(p, "b", "d"); /* what was there is replaced */
    move(p, "d", "e");
    assert_string_equal(turn(p, 16384), "d=- e=-");
    drop(p, "e");
}

static void folders_and_small_turns(void **state)
{
    struct place *p = *state;
    char path[128];
    snprintf(path, sizeof path, "%s/new", p->folder);
    assert_int_equal(mkdir(path, 0700), 0);
    make(p, "id_1");
    make(p, "id_2");
    assert_string_equal(turn(p, 300), "new=-/ id_1=key id_2=key");
    drop(p, "id_1");
    drop(p, "id_2");
    drop(p, "new");
    assert_string_equal(turn(p, 300), "");
}

/* ---- other roots ---- */

static void count(void *context, int fd, const char *path)
{
    (void)fd;
    assert_int_equal(path[0], '/');
    ++*(int *)context;
}

static int found(const struct rooted *r, const char *folder, const char *rest)
{
    char pattern[128];
    int n = 0;
    snprintf(pattern, sizeof pattern, "%s/%s", folder, rest);
    rooted_glob(r, pattern, count, &n);
    return n;
}

static void no_link_leads_out(void **state)
{
    (void)state;
    char folder[] = "/tmp/exeat-rooted-XXXXXX", path[128];
    struct rooted r;
    int n = 0;
    assert_non_null(mkdtemp(folder));
    assert_true(rooted_open(getpid(), &r));
    int fd = rooted_at(&r, folder);
    if (fd < 0)
        skip(); /* /tmp lies elsewhere */
    snprintf(path, sizeof path, "%s/in", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/out", folder);
    assert_int_equal(symlink("/etc", path), 0);
    snprintf(path, sizeof path, "%s/in/passwd", folder);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(found(&r, folder, "*/passwd"), 1);
    assert_int_equal(found(&r, folder, "out/passwd"), 0);
    assert_int_equal(found(&r, folder, "in/../in/passwd"), 0);
    assert_int_equal(found(&r, folder, "i?"), 1);
    assert_int_equal(found(&r, "/proc/self", "*"), 0); /* not a file system whose data lies anywhere */
    rooted_below(&r, fd, folder, 8, count, &n);
    assert_int_equal(n, 2); /* and no link */
    close(fd);
    rooted_close(&r);
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof path, "%s/out", folder);
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof path, "%s/in", folder);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_its_number_and_its_birth),
        cmocka_unit_test(it_is_bounded),
        cmocka_unit_test_setup_teardown(a_class_goes_with_the_file, set_up, tear_down),
        cmocka_unit_test(no_link_leads_out),
        cmocka_unit_test_setup_teardown(folders_and_small_turns, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
