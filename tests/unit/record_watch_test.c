/* record_watch_test.c: every kind of TLS passes however it is cut; what isn't TLS any more is told. */
#include "flight_make.h"

#include "wire/record_watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void feed_in_steps(struct record_watch *w, struct span s, size_t step)
{
    while (s.len > 0) {
        size_t len = step && step < s.len ? step : s.len, skip = record_watch_skippable(w);
        if (step == 3 && skip > 0) { /* as net/ does it: payloads are skipped */
            len = skip < s.len ? skip : s.len;
            record_watch_skip(w, len);
        } else {
            record_watch_feed(w, span_of(s.data, len));
        }
        s = span_from(s, len);
    }
}

static void real_handshakes_conform(void **state)
{
    (void)state;
    const struct flight_plan plans[] = {
        {.version = 0},
        {.version = TLS1_2_VERSION},
        {.version = TLS1_1_VERSION},
        {.version = TLS1_VERSION, .key = "rsa:2048", .ciphers = "AES128-SHA:@SECLEVEL=0"},
        {.version = TLS1_2_VERSION, .key = "rsa:2048", .ciphers = "NULL-SHA256:@SECLEVEL=0"},
        {.client_groups = "X25519:P-256", .server_groups = "P-256"},
        {.client_auth = true},
        {.version = TLS1_2_VERSION, .client_auth = true},
        {.version = TLS1_2_VERSION, .extra_certificates = 100},
        {.client_distrusts = true},
        {.version = TLS1_2_VERSION, .client_distrusts = true},
    };
    for (size_t i = 0; i < ARRAY_LEN(plans); i++) {
        struct conversation c;
        flight_converse(&plans[i], NULL, &c);
        for (size_t step = 0; step < 4; step++) {
            struct record_watch w[2] = {0};
            for (size_t k = 0; k < c.count; k++)
                feed_in_steps(&w[c.pieces[k].side], buf_span(&c.pieces[k].bytes), step);
            for (size_t side = 0; side < 2; side++)
                if (w[side].fault || record_watch_is_cut(&w[side]) || w[side].records == 0 ||
                    w[side].renegotiation)
                    fail_msg("plan %zu, side %zu by %zu: %s", i, side, step,
                             record_fault_name(w[side].fault));
        }
        conversation_free(&c);
    }
}

static void early_data_conforms(void **state)
{
    (void)state;
    SSL_CTX *server = NULL;
    SSL_SESSION *session = NULL;
    struct conversation c;
    struct flight_plan plan = {.session = &session};
    for (int again = 0; again < 2; again++) {
        struct record_watch w[2] = {0};
        plan.early_data = again;
        flight_converse(&plan, &server, &c);
        for (size_t k = 0; k < c.count; k++)
            feed_in_steps(&w[c.pieces[k].side], buf_span(&c.pieces[k].bytes), 1);
        assert_int_equal(w[0].fault, 0);
        assert_int_equal(w[1].fault, 0);
        conversation_free(&c);
    }
    SSL_SESSION_free(session);
    SSL_CTX_free(server);
}

#define HELLO "\x16\x03\x01\x00\x04\x01\x00\x00\x00"
#define SPEC  "\x14\x03\x03\x00\x01\x01"
#define DATA                                                                                                 \
    "\x17\x03\x03\x00\x10"                                                                                   \
    "0123456789abcdef"

static void what_is_not_tls_any_more(void **state)
{
    (void)state;
    const struct {
        const char *bytes;
        size_t len;
        enum record_fault fault;
    } rows[] = {
#define ROW(text, fault) {text, sizeof(text) - 1, RECORD_FAULT_##fault}
        ROW(HELLO SPEC DATA DATA, NONE),
        ROW(HELLO SPEC HELLO DATA, NONE),
        ROW(HELLO SPEC DATA "GET / HTTP/1.1\r\n", TYPE),
        ROW(HELLO "SSH-2.0-x\r\n", TYPE),
        ROW(HELLO "\x16\x02\x01\x00\x04", VERSION),
        ROW(HELLO SPEC DATA "\x17\x03\x01\x00\x10", VERSION),
        ROW(HELLO "\x17\x03\x03\xff\xff", LENGTH),
        ROW(HELLO "\x17\x03\x03\x00\x04", LENGTH),
        ROW(HELLO "\x14\x03\x03\x00\x02", LENGTH),
        ROW(DATA, SEQUENCE),
        ROW(SPEC, SEQUENCE),
        ROW(HELLO SPEC DATA HELLO, VERSION),
        ROW(HELLO SPEC DATA "\x16\x03\x03\x00\x04", SEQUENCE), /* TLS 1.3 shows no handshake any more */
        ROW(HELLO DATA "\x15\x03\x03\x00\x02", SEQUENCE),
#undef ROW
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t step = 0; step < 3; step++) {
            struct record_watch w = {0};
            feed_in_steps(&w, span_of(rows[i].bytes, rows[i].len), step);
            if (w.fault != rows[i].fault)
                fail_msg("row %zu by %zu: %s", i, step, record_fault_name(w.fault));
        }
}

static void oddities_of_old_tls(void **state)
{
    (void)state;
    struct record_watch w = {0};
    static const char text[] =
        HELLO SPEC "\x16\x03\x03\x00\x04xxxx" DATA "\x18\x03\x03\x00\x01x\x16\x03\x03\x00\x10"
                   "0123456789abcde";
    assert_true(record_watch_feed(&w, span_of(text, sizeof text - 1)));
    assert_true(w.heartbeat && w.renegotiation && record_watch_is_cut(&w));
    struct record_watch empty = {0};
    record_watch_feed(&empty, span_of(HELLO, sizeof HELLO - 1));
    unsigned fed = 0;
    while (record_watch_feed(&empty, span_of("\x16\x03\x03\x00\x00", 5)))
        fed++;
    assert_int_equal(fed, 32);
}

static int teardown(void **state)
{
    (void)state;
    make_free_keys();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_handshakes_conform),
        cmocka_unit_test(early_data_conforms),
        cmocka_unit_test(what_is_not_tls_any_more),
        cmocka_unit_test(oddities_of_old_tls),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
