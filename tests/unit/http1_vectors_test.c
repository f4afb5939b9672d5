/* http1_vectors_test.c: every file of tests/vectors/http1 gets the answer in its name, whole, byte by byte and cut in
 * two at every place; and every row of http1_faults.def is shown by at least one file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "http1_run.h"

#include <dirent.h>
#include <stdio.h>

#define VECTORS EXEAT_SOURCE_DIR "/tests/vectors/http1"

static const struct {
    const char *name;
    enum http1_kind kind;
    struct http1_asked asked;
} KINDS[] = {
    {"request", HTTP1_REQUEST, {0}},
    {"response", HTTP1_RESPONSE, {0}},
    {"response_head", HTTP1_RESPONSE, {.head = true}},
    {"response_connect", HTTP1_RESPONSE, {.connect = true}},
    {"response_upgrade", HTTP1_RESPONSE, {.upgrade = true}},
};

struct vector {
    char kind[32], expected[32];
    struct span bytes; /* owned */
};

static struct span file_read(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", VECTORS, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    uint8_t *data = malloc(1 << 17);
    assert_non_null(data);
    size_t len = fread(data, 1, 1 << 17, f);
    fclose(f);
    return span_of(data, len);
}

static void vector_run(const struct vector *v, struct run *r, size_t first, size_t step)
{
    for (size_t i = 0; i < ARRAY_LEN(KINDS); i++)
        if (strcmp(v->kind, KINDS[i].name) == 0) {
            run_init(r, KINDS[i].kind, KINDS[i].asked, &RUN_LIMITS);
            run_all(r, v->bytes, first, step);
            return;
        }
    fail_msg("unknown kind %s", v->kind);
}

static void answer_name(const struct run *r, char *out, size_t size)
{
    if (r->end == PARSE_BAD)
        snprintf(out, size, "%s", http1_fault_name(r->fault));
    else if (r->end == PARSE_MORE)
        snprintf(out, size, "more");
    else if (r->messages == 1)
        snprintf(out, size, "ok");
    else
        snprintf(out, size, "ok%u", r->messages);
}

static int vector_check(const char *name, bool *shown)
{
    struct vector v = {.bytes = file_read(name)};
    assert_int_equal(sscanf(name, "%31[^.].%31[^.].", v.kind, v.expected), 2);
    struct run whole, pieces;
    char answer[64];
    int bad = 0;
    vector_run(&v, &whole, v.bytes.len, 1);
    answer_name(&whole, answer, sizeof answer);
    if (strcmp(answer, v.expected) != 0) {
        print_error("%s: %s at %zu\n", name, answer, whole.offset);
        bad = 1;
    }
    shown[whole.fault] = true;
    vector_run(&v, &pieces, 1, 1);
    if (!run_same(&whole, &pieces)) {
        answer_name(&pieces, answer, sizeof answer);
        print_error("%s: byte by byte %s at %zu\n", name, answer, pieces.offset);
        bad = 1;
    }
    size_t stride = v.bytes.len > 2048 ? 97 : 1;
    for (size_t cut = 0; cut < v.bytes.len; cut += stride) {
        vector_run(&v, &pieces, cut, v.bytes.len);
        if (!run_same(&whole, &pieces)) {
            print_error("%s: cut at %zu\n", name, cut);
            bad = 1;
        }
    }
    free((void *)(uintptr_t)v.bytes.data);
    return bad;
}

static void every_vector_has_its_answer(void **state)
{
    (void)state;
    bool shown[HTTP1_FAULTS] = {false};
    int count = 0, bad = 0;
    DIR *dir = opendir(VECTORS);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        if (!strstr(e->d_name, ".raw"))
            continue;
        bad += vector_check(e->d_name, shown);
        count++;
    }
    closedir(dir);
    assert_true(count > 300);
    assert_int_equal(bad, 0);
    for (int f = 1; f < HTTP1_FAULTS;
         f++) /* these two take a state that bytes alone don't make: http1_test.c */
        if (!shown[f] && f != HTTP1_HEAD_NO_MEMORY && f != HTTP1_PARSERS_DISAGREE)
            fail_msg("no vector shows %s", http1_fault_name((enum http1_fault)f));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_vector_has_its_answer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
