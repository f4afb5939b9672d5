/* bursts_test.c: handshakes inside a tunnel's TLS are told by the sizes of its records, whatever framing carries them; what browsers and programs say
 * is not. Sizes are of records as they were captured: outer TLS 1.3 (17 bytes more than what is inside) unless said. */
#include "wire/bursts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { END = 0 };

/* Positive: the client's record; negative: the server's. */
static bool found(bool sealed, const int *records)
{
    struct bursts b = {0};
    bool at_any = false;
    for (; *records != END; records++) {
        bursts_add(&b, *records > 0, sealed, (size_t)(*records > 0 ? *records : -*records));
        at_any = at_any || b.found;
    }
    return at_any && b.found;
}

#define OUTER_13 -40, -2200, -280, -53, 53 /* the server's flight, then the client's Finished */

static void test_handshakes_inside(void **state)
{
    (void)state;
    static const int raw_13[] = {OUTER_13, 58 + 517 + 17, -255, -255, -2900, 64 + 17, 180, -600, END},
                     tickets_between[] = {OUTER_13, -255, -255, 517 + 17, -1400, -1800, 80 + 17, 300, END},
                     websocket_13[] = {OUTER_13, 320, -146, 517 + 8 + 17, -2900, 64 + 6 + 17, 120, END},
                     h2_data_13[] = {OUTER_13, 330, -120, 517 + 9 + 17, -1400, -1500, 64 + 9 + 17, 200, END},
                     connect_13[] = {OUTER_13, 190, -56, 1800, -3000, 64 + 17, 120, END},
                     raw_12[] = {OUTER_13, 300, -3400, 93 + 17, -51 - 17, 400, END},
                     ticket_12[] = {OUTER_13, 300, -3400, 126 + 17, -258 - 17, 400, END};
    assert_true(found(true, raw_13));
    assert_true(found(true, tickets_between));
    assert_true(found(true, websocket_13));
    assert_true(found(true, h2_data_13));
    assert_true(found(true, connect_13));
    assert_true(found(true, raw_12));
    assert_true(found(true, ticket_12));
    static const int outer_12[] = {517 + 24, -2900, 64 + 24, 180, END};
    assert_true(found(false, outer_12));
}

static void test_what_is_none(void **state)
{
    (void)state;
    static const int browser_h2[] = {OUTER_13, 90,    420, -255, -255, -60, -31,
                                     26,       -5000, 60,  -900, 81,   100, END},
                     curl_h2[] = {OUTER_13, 150, -255, -255, -80, 26, -4000, END},
                     keep_alive[] = {OUTER_13, 350, -2900, 330, -2000, 64 + 17, -900, END},
                     keep_alive_short[] = {OUTER_13, 350, -2900, 64 + 17, -900, 120, END},
                     keep_alive_12[] = {OUTER_13, 350, -2900, 93 + 17, -900, 120, END},
                     upload[] = {OUTER_13, 350, 4000, 4000, -900, 64 + 17, 100, END},
                     chat[] = {OUTER_13, 500, -146, 64 + 17, -60, 300, -70, 64 + 17, 20, END},
                     later[] = {OUTER_13, 500, -9000, 400, -9000, 400, -800, 534, -2900, 64 + 17, 180, END},
                     flight_too_short[] = {OUTER_13, 517 + 17, -300, 64 + 17, 180, END},
                     odd[] = {OUTER_13, 517 + 17, -2900, 65 + 17, 180, END},
                     download[] = {OUTER_13, 300, -16000, -16000, -16000, 64 + 17, 180, END};
    assert_false(found(true, browser_h2));
    assert_false(found(true, curl_h2));
    assert_false(found(true, keep_alive));
    assert_false(found(true, keep_alive_short));
    assert_false(found(true, keep_alive_12));
    assert_false(found(true, upload));
    assert_false(found(true, chat));
    assert_false(found(true, later));
    assert_false(found(true, flight_too_short));
    assert_false(found(true, odd));
    assert_false(found(true, download));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handshakes_inside),
        cmocka_unit_test(test_what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
