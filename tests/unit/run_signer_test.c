/* run_signer_test.c: the signing process: what it answers, that it is replaced when it dies, and that nobody waits for it for long. The
 * processes are this program's own, started with --signer as exeatd starts itself. */
#include "base/must.h"
#include "run/signer.h"
#include "tls/mint.h"

#include <setjmp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { HEAD = 4 + CA_SHA256_BYTES + 1 + 8 };

static char folder[64], certificate[96], key[96];
static struct ca *ca;
static struct mint_keys *keys;

static int set_up(void **state)
{
    (void)state;
    const struct ca_plan plan = {.name = "signer test", .days = 30};
    struct err err = {0};
    snprintf(folder, sizeof folder, "/tmp/exeat-signer-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(certificate, sizeof certificate, "%s/ca.pem", folder);
    snprintf(key, sizeof key, "%s/ca.key", folder);
    assert_int_equal(ca_create(&plan, certificate, key, &err), 0);
    assert_non_null(ca = ca_read_with_key(certificate, key, &err));
    assert_non_null(keys = mint_keys_new());
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    ca_free(ca);
    mint_keys_unref(keys);
    unlink(certificate);
    unlink(key);
    return rmdir(folder);
}

static void make_request(struct buf *ret)
{
    const struct mint_order o = {.name = "a.test", .now_s = (int64_t)time(NULL)};
    buf_init(ret, MINT_CERTIFICATE_MAX_BYTES);
    assert_int_equal(mint_request(ca, keys, &o, ret, NULL), 0);
}

static void answers_packets(void **state)
{
    (void)state;
    uint8_t packet[HEAD + 4096] = {7, 0, 0, 0};
    struct buf request, answer;
    make_request(&request);
    buf_init(&answer, 1 << 16);
    size_t len = buf_len(&request);
    assert_true(len < 4096);
    memcpy(packet + 4, ca_sha256(ca), CA_SHA256_BYTES);
    memcpy(packet + HEAD, buf_span(&request).data, len);
    int64_t now_s = (int64_t)time(NULL);
    assert_int_equal(signing_answer(ca, span_of(packet, HEAD + len), now_s, &answer), 0);
    assert_true(buf_len(&answer) > 100 && buf_span(&answer).data[0] == 7 &&
                buf_span(&answer).data[4] == SIGNER_SIGNED);
    for (size_t cut = 0; cut < HEAD; cut++) { /* too short to be answered */
        assert_int_equal(signing_answer(ca, span_of(packet, cut), now_s, &answer), 0);
        assert_int_equal(buf_len(&answer), 0);
    }
    assert_int_equal(signing_answer(ca, span_of(packet, HEAD), now_s, &answer), 0);
    assert_int_equal(buf_span(&answer).data[4], SIGNER_REFUSED);
    packet[HEAD - 9] = SIGNER_WORK_COUNT; /* nobody's work */
    assert_int_equal(signing_answer(ca, span_of(packet, HEAD + len), now_s, &answer), 0);
    assert_int_equal(buf_span(&answer).data[4], SIGNER_REFUSED);
    packet[HEAD - 9] = SIGNER_LEAF;
    packet[10] ^= 1; /* another CA */
    assert_int_equal(signing_answer(ca, span_of(packet, HEAD + len), now_s, &answer), 0);
    assert_int_equal(buf_span(&answer).data[4], SIGNER_REFUSED);
    memset(packet + 4, 0, CA_SHA256_BYTES);
    assert_int_equal(signing_answer(ca, span_of(packet, HEAD), now_s, &answer), 1); /* read the files again */
    buf_free(&answer);
    buf_free(&request);
}

static enum signer_result ask(struct signing *s, struct buf *answer)
{
    struct buf request;
    char why[SIGNER_WHY_BYTES];
    make_request(&request);
    buf_clear(answer);
    const struct signer_request r = {.work = SIGNER_LEAF, .certificate = buf_span(&request)};
    enum signer_result result = signing_signer(s)->sign(signing_signer(s), ca_sha256(ca), &r, answer, why);
    buf_free(&request);
    return result;
}

/* The signing process: the child of our only child. */
static pid_t find_signer(void)
{
    char path[64];
    long pid = getpid();
    for (int generation = 0; generation < 2; generation++) {
        snprintf(path, sizeof path, "/proc/%ld/task/%ld/children", pid, pid);
        FILE *f = fopen(path, "re");
        if (!f || fscanf(f, "%ld", &pid) != 1)
            pid = 0;
        if (f)
            fclose(f);
        if (pid == 0)
            return 0;
    }
    return (pid_t)pid;
}

static void a_dead_one_is_replaced(void **state)
{
    (void)state;
    struct err err = {0};
    struct identity who = {0};
    struct buf answer;
    struct signing *s = signing_start(certificate, key, &who, &err);
    if (!s)
        fail_msg("%s", err.text);
    buf_init(&answer, 1 << 16);
    assert_int_equal(ask(s, &answer), SIGNER_SIGNED);
    assert_true(buf_len(&answer) > 100);
    pid_t first = find_signer();
    if (first == 0)
        skip(); /* a kernel without the list of children */
    assert_int_equal(kill(first, SIGKILL), 0);
    while (kill(first, 0) == 0) /* or it takes the next request with it */
        sched_yield();
    assert_int_equal(ask(s, &answer),
                     SIGNER_SIGNED); /* waits for the next one, which takes a second at most */
    assert_true(find_signer() != first);
    signing_reload(s);
    assert_int_equal(ask(s, &answer), SIGNER_SIGNED);
    time_t begun = time(NULL);
    pid_t second = find_signer();
    assert_int_equal(kill(second, SIGSTOP), 0); /* it hangs: nobody waits longer than that */
    assert_int_equal(ask(s, &answer), SIGNER_GONE);
    assert_true(time(NULL) - begun <= SIGNER_WAIT_MS / 1000 + 2);
    assert_int_equal(kill(second, SIGCONT), 0);
    assert_int_equal(ask(s, &answer), SIGNER_SIGNED); /* the late answer is passed over */
    buf_free(&answer);
    signing_stop(s);
}

static void mistakes_are_told_at_once(void **state)
{
    (void)state;
    struct err err = {0};
    struct identity who = {0};
    assert_null(signing_start("/nowhere/ca.pem", key, &who, &err));
    assert_non_null(strstr(err.text, "cannot be read"));
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--signer") == 0)
        return signing_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_packets),
        cmocka_unit_test(a_dead_one_is_replaced),
        cmocka_unit_test(mistakes_are_told_at_once),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
