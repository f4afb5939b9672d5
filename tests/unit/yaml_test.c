/* yaml_test.c: the tree knows its places, and everything that people can't see through is refused with one. */
#include "base/must.h"
#include "base/buf.h"
#include "base/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct arena arena;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 64 * 1024 * 1024);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_reset(&arena);
    return 0;
}

static const struct yaml_node *read_text(const char *text)
{
    struct err err = {0};
    const struct yaml_node *n = yaml_read(&arena, span_str(text), "t.yaml", &err);
    if (!n)
        fail_msg("%s: %u:%u %s", text, err.line, err.column, err.text);
    return n;
}

static void the_tree(void **state)
{
    (void)state;
    const struct yaml_node *top =
        read_text("# a comment\na: 1\n\"b c\":\n  - x\n  - 'y'\n  - [p, {q: r}]\nd:\n");
    assert_int_equal(top->kind, YAML_MAPPING);
    assert_int_equal(top->count, 3);
    const struct yaml_node *b = yaml_find(top, "b c");
    assert_non_null(b);
    assert_int_equal(b->key_line, 3);
    assert_int_equal(b->key_column, 1);
    assert_int_equal(b->count, 3);
    const struct yaml_node *y = b->items->next;
    assert_string_equal(y->text, "y");
    assert_true(y->quoted);
    assert_false(b->items->quoted);
    assert_int_equal(y->line, 5);
    assert_int_equal(y->column, 5);
    const struct yaml_node *q = y->next->items->next->items;
    assert_string_equal(q->key, "q");
    assert_string_equal(q->text, "r");
    assert_int_equal(q->line, 6);
    assert_int_equal(q->column, 13);
    assert_string_equal(q->file, "t.yaml");
    assert_true(yaml_is_null(yaml_find(top, "d")));
    assert_null(yaml_find(top, "e"));
}

static void empty_texts(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "\n", "# only this\n", "---\n", "--- ~\n...\n", "null"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_true(yaml_is_null(read_text(texts[i])));
    struct err err = {0};
    assert_non_null(yaml_read(&arena, span_of(NULL, 0), "t.yaml", &err));
}

static void refuse(struct span text, unsigned line, unsigned column, const char *part)
{
    struct err err = {0};
    if (yaml_read(&arena, text, "t.yaml", &err))
        fail_msg("\"%.*s\" was taken", (int)text.len, (const char *)text.data);
    if (err.line != line || err.column != column || !strstr(err.text, part))
        fail_msg("\"%.*s\": %s:%u:%u: %s", (int)text.len, (const char *)text.data, err.file, err.line,
                 err.column, err.text);
    assert_string_equal(err.file, "t.yaml");
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        const char *text, *part;
        unsigned line, column;
    } rows[] = {
        {"a: 1\nb: 2\na: 3\n", "\"a\" is given twice: first in line 1", 3, 1},
        {"a: 1\n'a': 3\n", "given twice", 2, 1},
        {"x: {k: 1, k: 2}", "given twice", 1, 11},
        {"a: &x 1", "anchors", 1, 4},
        {"a: &x [1]", "anchors", 1, 4},
        {"a: &x {b: 1}", "anchors", 1, 4},
        {"a: *x", "anchors", 1, 4},
        {"a: *.example.com", "anchors", 1, 4},
        {"a: !!int 1", "tags", 1, 4},
        {"a: !x [1]", "tags", 1, 4},
        {"a: ! b", "tags", 1, 4},
        {"a: !<tag:yaml.org,2002:str> 1", "tags", 1, 4},
        {"a: 1\n---\nb: 2\n", "second document", 2, 1},
        {"a: 1\n...\n---\n", "second document", 3, 1},
        {"<<: {a: 1}", "merge", 1, 1},
        {"? [a]\n: 1\n", "key must be", 1, 3},
        {"{{a: 1}: 2}", "key must be", 1, 2},
        {"'': 1", "key is empty", 1, 1},
        {"a: \"x\\0y\"", "NUL", 1, 4},
        {"a: [1, 2", "flow sequence", 2, 0},
        {"a:\n\t- b", "cannot start", 2, 1},
        {"a: b: c", "mapping values are not allowed", 1, 5},
        {"a: \"b", "end of stream", 1, 0},
        {"a: 1\n b: 2", "mapping", 2, 0},
        {"- a\nb: 1", "", 2, 1},
        {"\xff\xfe"
         "a",
         "", 1, 1},
        {"a: 1\nb: \x01", "control characters", 2, 4},
        {"a: 1\nb: \xc3\x28", "UTF-8", 2, 5},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = {0};
        struct span text = span_str(rows[i].text);
        if (rows[i].column) {
            refuse(text, rows[i].line, rows[i].column, rows[i].part);
            continue;
        }
        assert_null(
            yaml_read(&arena, text, "t.yaml", &err)); /* libyaml's own place: only that there is one */
        if (err.line == 0 || !strstr(err.text, rows[i].part))
            fail_msg("\"%s\": %u:%u: %s", rows[i].text, err.line, err.column, err.text);
    }
    refuse(span_of("a: x\0y", 6), 1, 5, "control characters");
}

static void depth_and_size(void **state)
{
    (void)state;
    char deep[128] = "";
    memset(deep, '[', YAML_DEPTH_MAX);
    memset(deep + YAML_DEPTH_MAX, ']', YAML_DEPTH_MAX);
    assert_non_null(read_text(deep));
    memset(deep, '[', YAML_DEPTH_MAX + 1);
    refuse(span_of(deep, YAML_DEPTH_MAX + 1), 1, YAML_DEPTH_MAX + 1, "nested deeper");
    char *large = calloc(1, YAML_BYTES_MAX + 1);
    assert_non_null(large);
    memset(large, '\n', YAML_BYTES_MAX + 1);
    struct err err = {0};
    assert_non_null(yaml_read(&arena, span_of(large, YAML_BYTES_MAX), "t.yaml", &err));
    assert_null(yaml_read(&arena, span_of(large, YAML_BYTES_MAX + 1), "t.yaml", &err));
    assert_non_null(strstr(err.text, "larger than"));
    memset(large, '[', YAML_BYTES_MAX);
    err = (struct err){0};
    assert_null(yaml_read(&arena, span_of(large, YAML_BYTES_MAX), "t.yaml", &err));
    free(large);
}

static void budgets(void **state)
{
    (void)state;
    static const char text[] = "a: [1, 2, 3]\nb: {c: d}\nlonger: some more text\n";
    for (size_t budget = 0; budget < 4096; budget += 16) { /* every place that may run out does once */
        struct arena small;
        struct err err = {0};
        arena_init(&small, budget);
        const struct yaml_node *n = yaml_read(&small, span_str(text), "t.yaml", &err);
        assert_true((n == NULL) == (err.text[0] != '\0'));
        arena_reset(&small);
    }
    struct buf many;
    buf_init(&many, 1 << 20);
    for (int i = 0; i < 1025; i++)
        buf_printf(&many, "k%d: 1\n", i);
    refuse(buf_span(&many), 1025, 1, "more than 1024 keys");
    buf_free(&many);
}

static void typed_values(void **state)
{
    (void)state;
    const struct yaml_node *top = read_text(
        "t: true\nf: false\nq: 'true'\ny: yes\nn: -5\nz: 0\no: 010\nh: 0x1\nb: 99999999999999999999\n"
        "s: text\nnil: ~\ne: ''\nl: [a]\nqn: '5'\nmz: -0\np: +1\n");
    struct err err = {0};
    bool b = false;
    int64_t i = 7;
    const char *s;
    size_t which = 9;
    assert_int_equal(yaml_get_bool(yaml_find(top, "t"), &b, &err), 0);
    assert_true(b);
    assert_int_equal(yaml_get_bool(yaml_find(top, "f"), &b, &err), 0);
    assert_false(b);
    assert_int_equal(yaml_get_int(yaml_find(top, "n"), -5, 5, &i, &err), 0);
    assert_int_equal(i, -5);
    assert_int_equal(yaml_get_int(yaml_find(top, "z"), 0, 0, &i, &err), 0);
    assert_int_equal(yaml_get_string(yaml_find(top, "s"), &s, &err), 0);
    assert_string_equal(s, "text");
    assert_int_equal(yaml_get_string(yaml_find(top, "q"), &s, &err), 0);
    assert_int_equal(yaml_get_string(yaml_find(top, "y"), &s, &err), 0);
    static const char *const words[] = {"one", "text", "three"};
    assert_int_equal(yaml_get_enum(yaml_find(top, "s"), words, 3, &which, &err), 0);
    assert_int_equal(which, 1);
    assert_string_equal(err.text, "");
    static const char *const no_bool[] = {"q", "y", "z", "l", "nil"}, *const no_int[] = {"o",  "h", "b",
                                                                                         "s",  "l", "qn",
                                                                                         "mz", "p", "nil",
                                                                                         "n"},
                             *const no_string[] = {"t", "f", "nil", "e", "l"};
    for (size_t k = 0; k < ARRAY_LEN(no_bool); k++)
        assert_int_equal(yaml_get_bool(yaml_find(top, no_bool[k]), &b, NULL), -1);
    for (size_t k = 0; k < ARRAY_LEN(no_int); k++)
        assert_int_equal(yaml_get_int(yaml_find(top, no_int[k]), 0, 1000000000000000000, &i, NULL), -1);
    for (size_t k = 0; k < ARRAY_LEN(no_string); k++)
        assert_int_equal(yaml_get_string(yaml_find(top, no_string[k]), &s, NULL), -1);
    assert_int_equal(i, 0);
    assert_int_equal(yaml_get_enum(yaml_find(top, "n"), words, 3, &which, &err), -1);
    assert_string_equal(err.text, "one, text or three is expected here");
    assert_int_equal(err.line, 5);
    assert_int_equal(err.column, 4);
    err = (struct err){0};
    assert_int_equal(yaml_want(yaml_find(top, "l"), YAML_MAPPING, &err), -1);
    assert_string_equal(err.text, "a mapping (key: value) is expected here, not a list");
}

static void unknown_keys(void **state)
{
    (void)state;
    static const char *const names[] = {"timeout", "servers", "cache_entries"};
    struct err err = {0};
    assert_int_equal(yaml_check_keys(read_text("timeout: 1\nservers: 2"), names, 3, &err), 0);
    assert_int_equal(yaml_check_keys(read_text("servers: 1\n  \ntimeuot: 1"), names, 3, &err), -1);
    assert_string_equal(err.text, "unknown key \"timeuot\": did you mean \"timeout\"?");
    assert_int_equal(err.line, 3);
    assert_int_equal(err.column, 1);
    err = (struct err){0};
    assert_int_equal(yaml_check_keys(read_text("colour: 1"), names, 3, &err), -1);
    assert_string_equal(err.text, "unknown key \"colour\"");
    assert_int_equal(yaml_check_keys(read_text("[a]"), names, 3, NULL), -1);
    assert_string_equal(yaml_nearest("timeout_ms", names, 3), "timeout");
    assert_string_equal(yaml_nearest("cache-entries", names, 3), "cache_entries");
    assert_null(yaml_nearest("x", names, 3));
    assert_null(yaml_nearest("", names, 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tree),       cmocka_unit_test(empty_texts), cmocka_unit_test(refusals),
        cmocka_unit_test(depth_and_size), cmocka_unit_test(budgets),     cmocka_unit_test(typed_values),
        cmocka_unit_test(unknown_keys),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
