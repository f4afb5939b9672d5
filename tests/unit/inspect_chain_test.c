/* inspect_chain_test.c: the command as people and scripts call it: options, files, exit codes, the JSON. */
#include <jansson.h>

#include "chain_make.h"
#include "cmd/inspect_chain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[] = "/tmp/exeat-chain-XXXXXX";

static const char *path_of(const char *name)
{
    static char paths[8][64];
    static unsigned next;
    char *path = paths[next++ % ARRAY_LEN(paths)];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void write_pem(const char *name, const struct cert_plan *plans, size_t count)
{
    FILE *f = fopen(path_of(name), "w");
    assert_non_null(f);
    for (size_t i = 0; i < count; i++) {
        struct span der = make_certificate(&plans[i]);
        const unsigned char *at = der.data;
        X509 *x = d2i_X509(NULL, &at, (long)der.len);
        must(x && PEM_write_X509(f, x) == 1);
        X509_free(x);
        free((void *)(uintptr_t)der.data);
    }
    fclose(f);
}

/* Runs the command on words split at blanks ("@name" is a file of the folder); its exit code, and stdout in `out`. */
static int run(const char *words, char *out, size_t size)
{
    char copy[1024], *argv[32] = {(char *)(uintptr_t) "chain"}, *at = copy;
    int argc = 1;
    snprintf(copy, sizeof copy, "%s", words);
    for (char *word; (word = strsep(&at, " "));)
        argv[argc++] = word[0] == '@' ? (char *)(uintptr_t)path_of(word + 1) : word;
    fflush(stdout), fflush(stderr);
    int saved_out = dup(1), saved_err = dup(2);
    assert_non_null(freopen(path_of("out"), "w+", stdout));
    assert_non_null(freopen(path_of("err"), "w+", stderr));
    int result = cmd_inspect_chain(argc, argv);
    fflush(stdout), fflush(stderr);
    rewind(stdout);
    out[fread(out, 1, size - 1, stdout)] = '\0';
    dup2(saved_out, 1), dup2(saved_err, 2);
    close(saved_out), close(saved_err);
    return result;
}

static char output[65536];

static int run_json(const char *words, json_t **ret)
{
    int result = run(words, output, sizeof output);
    *ret = json_loads(output, JSON_REJECT_DUPLICATES, NULL);
    return result;
}

static const char *joined(const json_t *array)
{
    static char text[512];
    size_t i;
    json_t *item;
    text[0] = '\0';
    json_array_foreach(array, i, item) snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s",
                                                i ? " " : "", json_string_value(item));
    return text;
}

#define AT " --time 2025-06-15T12:00:00Z "

static void test_answers(void **state)
{
    (void)state;
    static const struct {
        const char *words;
        int code;
        const char *class, *errors, *refused;
    } cases[] = {
        {"--name a.test --trust @root" AT "@good", 0, "private_known", "", ""},
        {"--name A.TEST. --trust @root" AT "@good", 0, "private_known", "", ""},
        {"--trust @root" AT "@good", 0, "private_known", "", ""},
        {"--name b.test --trust @root" AT "@good", 1, "private_known", "C07", "C07"},
        {"--name a.test --connect b.test --trust @root" AT "@good", 1, "private_known", "C07", "C07"},
        {"--name a.test --trust @root --time 2026-06-15T12:00:00Z @good", 1, "private_known", "C04", "C04"},
        {"--name a.test --trust @other" AT "@good", 1, "private_unknown", "C03", "C03"},
        {"--name a.test --trust @other --trust @root" AT "@good", 0, "private_known", "", ""},
        {"--name a.test" AT "@good", 1, "private_unknown", "C03", "C03"},
        {"--name a.test --also-trust @root" AT "@good", 0, "private_known", "", ""},
        {"--name a.test --trust @root" AT "@leaf", 1, "private_unknown", "C03", "C03"},
        {"--name a.test --trust @root --intermediates @good" AT "@leaf", 0, "private_known", "", ""},
        {"--name a.test --trust @root --known @known" AT "@good", 0, "private_known", "C28", ""},
        {"--name a.test --trust @root" AT "@damaged", 1, "private_unknown", "C25", "C25"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        json_t *j;
        int code = run_json(cases[i].words, &j);
        assert_non_null(j);
        if (code != cases[i].code ||
            strcmp(json_string_value(json_object_get(j, "class")), cases[i].class) != 0 ||
            strcmp(joined(json_object_get(j, "errors")), cases[i].errors) != 0 ||
            strcmp(joined(json_object_get(j, "refused_for")), cases[i].refused) != 0 ||
            json_is_true(json_object_get(j, "trusted")) != (code == 0))
            fail_msg("%s: %d %s", cases[i].words, code, output);
        json_decref(j);
    }
}

static void test_certificate(void **state)
{
    (void)state;
    json_t *j;
    assert_int_equal(run_json("--name a.test --trust @root" AT "@good", &j), 0);
    json_t *chain = json_object_get(j, "chain"), *leaf = json_array_get(chain, 0),
           *path = json_object_get(j, "path");
    assert_int_equal(json_array_size(chain), 2);
    assert_int_equal(json_array_size(path), 3);
    assert_string_equal(json_string_value(json_array_get(path, 0)),
                        json_string_value(json_object_get(leaf, "sha256")));
    assert_string_equal(json_string_value(json_object_get(leaf, "subject")), "CN=a.test");
    assert_string_equal(json_string_value(json_object_get(leaf, "issuer")), "O=T,CN=Test Middle");
    assert_string_equal(joined(json_object_get(leaf, "sans")), "a.test 192.0.2.7 email:x@a.test");
    assert_string_equal(json_string_value(json_object_get(leaf, "not_before")), "2025-01-01T00:00:00Z");
    assert_string_equal(json_string_value(json_object_get(leaf, "not_after")), "2025-12-31T23:00:00Z");
    assert_string_equal(json_string_value(json_object_get(leaf, "signature")), "ecdsa-with-SHA256");
    assert_string_equal(json_string_value(json_object_get(json_object_get(leaf, "key"), "curve")), "P-256");
    assert_int_equal(json_integer_value(json_object_get(leaf, "version")), 3);
    assert_true(json_is_false(json_object_get(leaf, "is_ca")));
    assert_true(json_is_true(json_object_get(json_array_get(chain, 1), "is_ca")));
    json_decref(j);
}

/* What can't be read says so on stderr, with exit code 2 and nothing on stdout. */
static void test_unreadable(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "@nowhere",
        "@empty",
        "@good @good",
        "--name",
        "--name a.test --frobnicate @good",
        "--name a..test @good",
        "--name a.test --time yesterday @good",
        "--name a.test --trust @nowhere @good",
        "--name a.test --trust @empty @good",
        "--name a.test --trust @root --crl @empty @good",
        "--name a.test --trust @root --known @empty @good",
        "--name a.test --trust @root --known @nowhere @good",
        "--name a.test --trust @root --intermediates @nowhere @good",
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char err[1024] = "";
        if (run(cases[i], output, sizeof output) != INSPECT_CHAIN_UNREADABLE || output[0])
            fail_msg("\"%s\" was taken: %s", cases[i], output);
        FILE *f = fopen(path_of("err"), "r");
        assert_non_null(f);
        err[fread(err, 1, sizeof err - 1, f)] = '\0';
        fclose(f);
        assert_string_not_equal(err, "");
    }
}

static void test_help(void **state)
{
    (void)state;
    assert_int_equal(run("--help", output, sizeof output), 0);
    assert_non_null(strstr(output, "examples:"));
}

static void test_public_suffix(void **state)
{
    (void)state;
    assert_true(inspect_chain_public_suffix("com"));
    assert_true(inspect_chain_public_suffix("co.uk"));
    assert_false(inspect_chain_public_suffix("example.com"));
}

static int set_up(void **state)
{
    (void)state;
    static const char known[] = "version: 1\ninterceptors: [{name: Us, subject: Test Root}]\n";
    struct cert_plan leaf = make_leaf, other = make_root;
    leaf.san = "DNS:a.test,IP:192.0.2.7,email:x@a.test";
    other.subject = "CN=Other Root";
    const struct cert_plan good[] = {leaf, make_middle};
    if (!mkdtemp(folder))
        return -1;
    write_pem("good", good, 2);
    write_pem("leaf", good, 1);
    write_pem("root", &make_root, 1);
    write_pem("other", &other, 1);
    write_pem("empty", NULL, 0);
    FILE *f = fopen(path_of("known"), "w");
    fputs(known, f);
    fclose(f);
    f = fopen(path_of("damaged"), "w");
    fputs("-----BEGIN CERTIFICATE-----\nMIIBAA==\n-----END CERTIFICATE-----\n", f);
    fclose(f);
    write_pem("system", &other, 1); /* not the machine's: the tests are the same everywhere */
    setenv("SSL_CERT_FILE", path_of("system"), 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    static const char *const names[] = {"good",  "leaf",    "root",   "other", "empty",
                                        "known", "damaged", "system", "out",   "err"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        remove(path_of(names[i]));
    make_free_keys();
    return remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_answers), cmocka_unit_test(test_certificate),
                                       cmocka_unit_test(test_unreadable), cmocka_unit_test(test_help),
                                       cmocka_unit_test(test_public_suffix)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
