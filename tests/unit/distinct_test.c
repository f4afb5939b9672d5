/* distinct_test.c: counts of different ones: exact while few, never too many when many, forgetting with time; what disk gives back. SipHash
 * against the reference vectors. */
#include "base/must.h"
#include "base/siphash.h"
#include "facts/distinct.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { TODAY = 20000, WINDOW = 30 };

/* A good enough hash of small numbers (splitmix64). */
static uint64_t hash_of(uint64_t n)
{
    n += 0x9e3779b97f4a7c15u;
    n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9u;
    n = (n ^ n >> 27) * 0x94d049bb133111ebu;
    return n ^ n >> 31;
}

static void add_range(struct distinct *d, unsigned from, unsigned to, uint16_t day)
{
    for (unsigned i = from; i < to; i++)
        distinct_add(d, hash_of(i), day, WINDOW);
}

static void test_few_are_exact(void **state)
{
    (void)state;
    struct distinct d = {0};
    assert_int_equal(distinct_count(&d, TODAY, WINDOW), 0);
    for (unsigned i = 0; i < DISTINCT_EXACT_MAX; i++) {
        add_range(&d, 0, i + 1, TODAY);
        assert_int_equal(distinct_count(&d, TODAY, WINDOW), i + 1);
    }
    assert_false(d.sketch);
    distinct_free(&d);
}

static void test_many_are_never_too_many(void **state)
{
    (void)state;
    unsigned before = 0;
    for (unsigned n = DISTINCT_EXACT_MAX + 1; n <= 1200; n += 37) {
        struct distinct d = {0};
        add_range(&d, 0, n, TODAY);
        unsigned count = distinct_count(&d, TODAY, WINDOW);
        assert_true(d.sketch);
        assert_in_range(count, n <= 256 ? n * 3 / 4 : n / 2, n + n / 50);
        assert_true(count + 20 >= before);
        before = count;
        distinct_free(&d);
    }
}

static void test_a_flood_is_bounded(void **state)
{
    (void)state;
    struct distinct d = {0};
    add_range(&d, 0, 100000, TODAY);
    assert_in_range(distinct_count(&d, TODAY, WINDOW), 900, 1500);
    distinct_free(&d);
}

/* The last day of the window counts, the day after doesn't; exact and sketched. */
static void test_old_ones_leave(void **state)
{
    (void)state;
    for (unsigned many = 5; many <= 100; many += 95) {
        struct distinct d = {0};
        add_range(&d, 0, many, TODAY);
        unsigned all = distinct_count(&d, TODAY, WINDOW);
        assert_int_equal(distinct_count(&d, TODAY + WINDOW - 1, WINDOW), all);
        assert_true(distinct_has(&d, hash_of(4), TODAY + WINDOW - 1, WINDOW));
        assert_false(distinct_has(&d, hash_of(4), TODAY + WINDOW, WINDOW));
        assert_true(many > 5 || !distinct_has(&d, hash_of(5), TODAY, WINDOW));
        assert_int_equal(distinct_count(&d, TODAY + WINDOW, WINDOW), 0);
        add_range(&d, 0, 3, TODAY + 10); /* three of them again */
        assert_int_equal(distinct_count(&d, TODAY + WINDOW, WINDOW), 3);
        add_range(&d, 500, 504, TODAY + WINDOW);
        assert_int_equal(distinct_count(&d, TODAY + WINDOW, WINDOW), 7);
        for (unsigned later = 0; later < 800; later += 50) /* no day comes round again */
            assert_int_equal(distinct_count(&d, (uint16_t)(TODAY + 2 * WINDOW + later), WINDOW), 0);
        add_range(&d, 7, 8, TODAY + 700);
        assert_int_equal(distinct_count(&d, TODAY + 700, WINDOW), 1);
        distinct_free(&d);
    }
}

static void test_disk_gives_it_back(void **state)
{
    (void)state;
    for (unsigned many = 0; many <= 200; many += 10) {
        struct distinct d = {0}, back = {0};
        struct buf b;
        size_t at = 0;
        buf_init(&b, DISTINCT_ENCODED_MAX_BYTES);
        add_range(&d, 0, many, TODAY);
        assert_int_equal(distinct_encode(&d, &b), 0);
        for (size_t cut = 0; cut < buf_len(&b); cut++, at = 0)
            assert_int_equal(distinct_decode(span_of(buf_span(&b).data, cut), &at, &back), PARSE_BAD);
        assert_int_equal(distinct_decode(buf_span(&b), &at, &back), PARSE_OK);
        assert_int_equal(at, buf_len(&b));
        assert_int_equal(distinct_count(&back, TODAY, WINDOW), distinct_count(&d, TODAY, WINDOW));
        add_range(&back, 0, many + 1, TODAY);
        add_range(&d, 0, many + 1, TODAY);
        assert_int_equal(distinct_count(&back, TODAY, WINDOW), distinct_count(&d, TODAY, WINDOW));
        distinct_free(&d);
        distinct_free(&back);
        buf_free(&b);
    }
}

static void test_siphash_vectors(void **state)
{
    (void)state;
    static const struct {
        size_t len;
        uint8_t out[SIPHASH_BYTES];
    } vectors[] = {
        {0, {0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6, 0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55, 0x02, 0x93}},
        {1, {0xda, 0x87, 0xc1, 0xd8, 0x6b, 0x99, 0xaf, 0x44, 0x34, 0x76, 0x59, 0x11, 0x9b, 0x22, 0xfc, 0x45}},
        {2, {0x81, 0x77, 0x22, 0x8d, 0xa4, 0xa4, 0x5d, 0xc7, 0xfc, 0xa3, 0x8b, 0xde, 0xf6, 0x0a, 0xff, 0xe4}},
        {3, {0x9c, 0x70, 0xb6, 0x0c, 0x52, 0x67, 0xa9, 0x4e, 0x5f, 0x33, 0xb6, 0xb0, 0x29, 0x85, 0xed, 0x51}},
    };
    uint8_t key[SIPHASH_KEY_BYTES], in[8], out[SIPHASH_BYTES];
    for (uint8_t i = 0; i < sizeof key; i++)
        key[i] = i;
    memcpy(in, key, sizeof in);
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        siphash(key, span_of(in, vectors[i].len), out);
        assert_memory_equal(out, vectors[i].out, sizeof out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_few_are_exact),      cmocka_unit_test(test_many_are_never_too_many),
        cmocka_unit_test(test_a_flood_is_bounded), cmocka_unit_test(test_old_ones_leave),
        cmocka_unit_test(test_disk_gives_it_back), cmocka_unit_test(test_siphash_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
