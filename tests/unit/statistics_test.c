/* statistics_test.c: beacon score, habits, volumes, entropy and chi-square against an independent computation (statistics_reference.py), over made
 * flows: regular, jittered, bursts, office hours, noise; and what comes back from the disk is the same. */
#include "base/must.h"
#include "facts/beacon.h"
#include "facts/habit.h"
#include "facts/payload.h"
#include "facts/volume.h"

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { FLOWS_MOST = 400, ANSWERS_MOST = 8, DAY_S = 86400 };
static const int64_t begin_ms = 1767225600000; /* 2026-01-01 */

/* ---- the other computation ---- */

static FILE *to_python, *from_python;

static int start_python(void **state)
{
    (void)state;
    int in[2], out[2];
    signal(SIGPIPE, SIG_IGN);
    if (pipe(in) != 0 || pipe(out) != 0)
        return -1;
    if (fork() == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        close(in[1]);
        close(out[0]);
        execlp("python3", "python3", EXEAT_SOURCE_DIR "/tests/unit/statistics_reference.py", (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    to_python = fdopen(in[1], "w");
    from_python = fdopen(out[0], "r");
    return 0;
}

static int stop_python(void **state)
{
    (void)state;
    int status;
    fclose(to_python);
    fclose(from_python);
    return wait(&status) > 0 && status == 0 ? 0 : -1;
}

static void answer(double *ret, int count)
{
    fputc('\n', to_python);
    fflush(to_python);
    for (int i = 0; i < count; i++)
        assert_int_equal(fscanf(from_python, "%lf", &ret[i]), 1);
}

/* Repeatable noise, 0 to 1. */
static uint64_t seed = 1;
static double noise(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(seed >> 40) / (double)(1 << 24);
}

#define assert_near(a, b, by)                                                                                \
    do {                                                                                                     \
        if (fabs((a) - (b)) > (by))                                                                          \
            fail_msg("%.9f is not %.9f", (double)(a), (double)(b));                                          \
    } while (0)

/* ---- beacons ---- */

struct flow_made {
    int64_t start_ms;
    uint64_t out, in;
};

static size_t make_flows(int kind, size_t count, struct flow_made *ret)
{
    int64_t at = begin_ms;
    for (size_t i = 0; i < count; i++) {
        double gap_s = kind == 0   ? 60                                    /* a clock */
                       : kind == 1 ? 300 + 120 * noise()                   /* jitter */
                       : kind == 2 ? (i % 10 ? 1 : 1800) * (0.2 + noise()) /* a person */
                       : kind == 3 ? -3600 * log(1 - 0.9999 * noise())     /* chance */
                                   : 3600;
        at += (int64_t)(gap_s * 1000);
        ret[i] = (struct flow_made){at, kind == 0 ? 512 : (uint64_t)(20 + 100000 * noise() * noise()),
                                    (uint64_t)(1 + 5000 * noise())};
    }
    return count;
}

static void test_beacons(void **state)
{
    (void)state;
    static const size_t counts[] = {8, 9, 20, 47, 48, 49, 130, FLOWS_MOST};
    struct flow_made flows[FLOWS_MOST];
    for (size_t c = 0; c < ARRAY_LEN(counts); c++)
        for (int kind = 0; kind < 5; kind++) {
            struct beacon b = {0};
            struct beacon_score s;
            double want[6];
            size_t count = make_flows(kind, counts[c], flows);
            fputs("beacon", to_python);
            for (size_t i = 0; i < count; i++) {
                beacon_add(&b, flows[i].start_ms, flows[i].out);
                fprintf(to_python, " %lld:%llu", (long long)flows[i].start_ms,
                        (unsigned long long)flows[i].out);
            }
            answer(want, 6);
            assert_true(beacon_judge(&b, 0, &s));
            assert_near(s.score, want[0], 1e-6);
            assert_near(s.intervals, want[1], 1e-6);
            assert_near(s.sizes, want[2], 1e-6);
            assert_near(s.duration, want[3], 1e-6);
            assert_near(s.histogram, want[4], 1e-6);
            assert_near(s.interval_s, want[5], 1e-6);
        }
}

static double score_of(int kind, size_t count)
{
    struct flow_made flows[FLOWS_MOST];
    struct beacon b = {0};
    struct beacon_score s;
    make_flows(kind, count, flows);
    for (size_t i = 0; i < count; i++)
        beacon_add(&b, flows[i].start_ms, flows[i].out);
    assert_true(beacon_judge(&b, flows[count - 1].start_ms + 1000, &s));
    return s.score;
}

static void test_clocks_score_above_people(void **state)
{
    (void)state;
    double person = score_of(2, 300), chance = score_of(3, 300);
    assert_true(score_of(0, 300) > 0.7);
    assert_true(score_of(0, 300) > person + 0.2);
    assert_true(score_of(0, 300) > chance + 0.15);
}

static void test_a_few_flows_have_no_rhythm(void **state)
{
    (void)state;
    struct beacon b = {0};
    struct beacon_score s;
    for (int i = 0; i < BEACON_FLOWS_MIN; i++) {
        assert_false(beacon_judge(&b, begin_ms, &s));
        beacon_add(&b, begin_ms + i * 1000, 5);
    }
    assert_true(beacon_judge(&b, 0, &s));
    struct beacon same = {0}; /* all at once: no division by nothing */
    for (int i = 0; i < 60; i++)
        beacon_add(&same, begin_ms, 0);
    assert_true(beacon_judge(&same, begin_ms, &s));
    assert_true(isfinite(s.score) && s.score <= 1);
    struct beacon back = {0}; /* ended in another order than begun, and a clock that goes back */
    for (int i = 0; i < 60; i++)
        beacon_add(&back, begin_ms - i * 60000, 7);
    assert_true(beacon_judge(&back, 0, &s));
    assert_near(s.interval_s, 60, 1e-6);
}

/* ---- habits ---- */

static void test_habits(void **state)
{
    (void)state;
    struct flow_made flows[FLOWS_MOST];
    for (size_t count = HABIT_FLOWS_MIN; count <= FLOWS_MOST; count += 19) {
        struct habit h = {0};
        double want[2];
        make_flows(1, count, flows);
        fputs("habit", to_python);
        for (size_t i = 0; i < count; i++) {
            habit_add(&h, flows[i].out, flows[i].in);
            fprintf(to_python, " %llu:%llu", (unsigned long long)flows[i].out,
                    (unsigned long long)flows[i].in);
        }
        answer(want, 2);
        assert_true(habit_is_known(&h));
        assert_in_range(habit_p99_bytes(&h), (uint64_t)want[0], (uint64_t)(want[0] * 1.19 + 1));
        assert_near(h.ratio_mean, want[1], 1e-9);
    }
}

static void test_a_habit_forgets(void **state)
{
    (void)state;
    struct habit h = {0};
    for (int i = 0; i < 5000; i++)
        habit_add(&h, 1 << 20, 1);
    assert_true(habit_p99_bytes(&h) >= 1 << 20);
    for (int i = 0; i < 40000; i++)
        habit_add(&h, 100, 100000);
    assert_in_range(habit_p99_bytes(&h), 100, 120);
    assert_true(h.ratio_mean < -0.99);
    struct habit none = {0};
    habit_add(&none, 0, 0); /* nothing moved: nothing is learned */
    assert_int_equal(none.flows, 0);
    assert_int_equal(habit_p99_bytes(&none), 0);
    habit_add(&none, UINT64_MAX, 0);
    assert_true(habit_p99_bytes(&none) > 1ull << 39);
}

/* ---- volumes ---- */

static void test_volumes(void **state)
{
    (void)state;
    for (int round = 0; round < 60; round++) {
        struct volume v = {0};
        int64_t now = begin_ms / 1000;
        double want[6], scale_s = exp2(5 + 12 * noise());
        static struct flow_made flows[FLOWS_MOST];
        for (size_t i = 0; i < FLOWS_MOST; i++) {
            now += (int64_t)(scale_s * noise());
            flows[i] = (struct flow_made){now, (uint64_t)(5000 * noise()), (uint64_t)(300 * noise())};
            volume_add(&v, flows[i].out, flows[i].in, now);
        }
        now += (int64_t)(scale_s * noise() * 10);
        fprintf(to_python, "volume %lld", (long long)now);
        for (size_t i = 0; i < FLOWS_MOST; i++)
            fprintf(to_python, " %lld:%llu:%llu", (long long)flows[i].start_ms,
                    (unsigned long long)flows[i].out, (unsigned long long)flows[i].in);
        answer(want, 6);
        for (int w = 0; w < VOLUME_WINDOW_COUNT; w++) {
            uint64_t out = volume_sum(&v, (enum volume_window)w, now).out;
            /* what doesn't fill a unit of 64 bytes waits for the next, which may be of another slot */
            assert_in_range(out, want[2 * w] > 64 ? (uint64_t)want[2 * w] - 64 : 0,
                            (uint64_t)want[2 * w + 1] + 64);
        }
    }
}

/* 10 MB in 4 KiB pieces is 10 MB; nothing is lost under a unit; a slot is full and doesn't come round. */
static void test_volumes_add_up(void **state)
{
    (void)state;
    struct volume v = {0}, full = {0};
    for (int i = 0; i < 2560; i++)
        volume_add(&v, 4096, 1, begin_ms / 1000 + i % 600);
    for (int w = 0; w < VOLUME_WINDOW_COUNT; w++) {
        assert_int_equal(volume_sum(&v, (enum volume_window)w, begin_ms / 1000 + 600).out, 10 << 20);
        assert_int_equal(volume_sum(&v, (enum volume_window)w, begin_ms / 1000 + 600).in, 2560);
    }
    assert_true(volume_sum(&v, VOLUME_HOUR, begin_ms / 1000 + 3 * 3600).out < 64);
    assert_int_equal(volume_sum(&v, VOLUME_DAY, begin_ms / 1000 + 3 * 3600).out, 10 << 20);
    volume_add(&full, UINT64_MAX, UINT64_MAX / 2, begin_ms / 1000);
    volume_add(&full, UINT64_MAX, UINT64_MAX / 2, begin_ms / 1000);
    assert_true(volume_sum(&full, VOLUME_HOUR, begin_ms / 1000).out >= (uint64_t)UINT32_MAX * 64);
    volume_add(&full, 5, 5, 0); /* the clock goes back */
    assert_true(volume_sum(&full, VOLUME_HOUR, 0).out >= (uint64_t)UINT32_MAX * 64);
    assert_true(isnan(volume_ratio(0, 0)));
    assert_near(volume_ratio(3, 1), 0.5, 1e-12);
    assert_near(volume_ratio(UINT64_MAX, 0), 1, 1e-12);
}

/* ---- payload ---- */

static void test_entropy_and_chi_square(void **state)
{
    (void)state;
    for (size_t len = 1; len < 4000; len = len * 2 + 7) {
        uint8_t bytes[8192];
        struct payload p;
        double want[2];
        fputs("payload ", to_python);
        for (size_t i = 0; i < len; i++) {
            bytes[i] = (uint8_t)(256 * noise() * (len % 3 ? 1 : noise()));
            fprintf(to_python, "%02x", bytes[i]);
        }
        answer(want, 2);
        payload_judge(span_of(bytes, len), &p);
        assert_near(p.entropy, want[0], 1e-6);
        assert_near(p.chi_square, want[1], 1e-6 * want[1] + 1e-6);
    }
}

/* ---- disk ---- */

static void test_disk_gives_them_back(void **state)
{
    (void)state;
    struct flow_made flows[FLOWS_MOST];
    struct volume v = {0}, v2;
    struct habit h = {0}, h2;
    struct beacon b = {0}, b2;
    struct beacon_score s, s2;
    struct buf out;
    size_t at = 0;
    buf_init(&out, 1 << 16);
    make_flows(1, FLOWS_MOST, flows);
    for (size_t i = 0; i < FLOWS_MOST; i++) {
        volume_add(&v, flows[i].out, flows[i].in, flows[i].start_ms / 1000);
        habit_add(&h, flows[i].out, flows[i].in);
        beacon_add(&b, flows[i].start_ms, flows[i].out);
    }
    assert_int_equal(volume_encode(&v, &out) | habit_encode(&h, &out) | beacon_encode(&b, &out), 0);
    assert_int_equal(buf_len(&out), VOLUME_ENCODED_BYTES + HABIT_ENCODED_BYTES + BEACON_ENCODED_BYTES);
    assert_int_equal(volume_decode(buf_span(&out), &at, &v2), PARSE_OK);
    assert_int_equal(habit_decode(buf_span(&out), &at, &h2), PARSE_OK);
    assert_int_equal(beacon_decode(buf_span(&out), &at, &b2), PARSE_OK);
    assert_int_equal(at, buf_len(&out));
    assert_memory_equal(&v, &v2, sizeof v);
    assert_int_equal(habit_p99_bytes(&h), habit_p99_bytes(&h2));
    assert_near(h.ratio_mean, h2.ratio_mean, 1e-8);
    assert_true(beacon_judge(&b, 0, &s) && beacon_judge(&b2, 0, &s2));
    assert_near(s.score, s2.score, 1e-12);
    beacon_add(&b, begin_ms * 2, 1); /* the oldest gives way in both */
    beacon_add(&b2, begin_ms * 2, 1);
    assert_true(beacon_judge(&b, 0, &s) && beacon_judge(&b2, 0, &s2));
    assert_near(s.score, s2.score, 1e-12);
    struct span cut = span_of(buf_span(&out).data, VOLUME_ENCODED_BYTES - 1);
    at = 0;
    assert_int_equal(volume_decode(cut, &at, &v2), PARSE_BAD);
    assert_int_equal(habit_decode(span_of(cut.data, HABIT_ENCODED_BYTES - 1), &at, &h2), PARSE_BAD);
    assert_int_equal(beacon_decode(span_of(cut.data, BEACON_ENCODED_BYTES - 1), &at, &b2), PARSE_BAD);
    buf_free(&out);
}

int main(void)
{
    if (system("python3 -c 'import statistics' 2>/dev/null") != 0)
        return 77;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_beacons),
        cmocka_unit_test(test_clocks_score_above_people),
        cmocka_unit_test(test_a_few_flows_have_no_rhythm),
        cmocka_unit_test(test_habits),
        cmocka_unit_test(test_a_habit_forgets),
        cmocka_unit_test(test_volumes),
        cmocka_unit_test(test_volumes_add_up),
        cmocka_unit_test(test_entropy_and_chi_square),
        cmocka_unit_test(test_disk_gives_them_back),
    };
    return cmocka_run_group_tests(tests, start_python, stop_python);
}
