/* server_flight_test.c: real handshakes of every kind read as they pass, whole and byte by byte; and what no server says. */
#include "flight_make.h"

#include "facts/conformance.h"
#include "facts/ja3s.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <openssl/err.h>

/* The client's hello of a conversation, parsed; its message is malloc'ed into *ret_memory. */
static struct client_hello hello_of(const struct conversation *c, struct arena *arena)
{
    struct hello_reader r = {0};
    struct client_hello h;
    struct hello_error error;
    struct span all = buf_span(&c->pieces[0].bytes);
    assert_int_equal(hello_reader_feed(&r, all), PARSE_OK);
    assert_int_equal(client_hello_parse(hello_reader_message(&r, all, arena), &h, &error), PARSE_OK);
    return h;
}

static void ids(const struct anomaly_set *set, char *ret)
{
    ret[0] = '\0';
    for (enum anomaly a = anomaly_set_next(set, 0); a != ANOMALY_NONE; a = anomaly_set_next(set, a + 1)) {
        strcat(ret, ret[0] ? "," : "");
        strcat(ret, anomaly_table[a].id);
    }
}

struct row {
    const char *name;
    struct flight_plan plan;
    const char *history, *anomalies;
    uint16_t version;
    size_t certificates;
};

static size_t count_certificates(const struct flight *f)
{
    struct span one;
    size_t cursor = 0, count = 0;
    bool malformed = false;
    if (buf_len(&f->certificate) == 0)
        return 0;
    while (flight_next_certificate(buf_span(&f->certificate), &cursor, &one, &malformed))
        count++;
    assert_false(malformed);
    return count;
}

static void check(const struct row *row, const struct conversation *c, size_t step)
{
    struct flight f;
    struct arena arena;
    struct anomaly_set set = {0};
    char found[256];
    flight_init(&f);
    arena_init(&arena, 1 << 20);
    struct client_hello hello = hello_of(c, &arena);
    enum parse answer = flight_replay(&f, c, step);
    conformance_judge_flight(&f, &hello, &set);
    ids(&set, found);
    if (answer != PARSE_OK || strcmp(f.history, row->history) != 0 || strcmp(found, row->anomalies) != 0)
        fail_msg("%s, %zu at a time: answer %d (%s), history %s, anomalies %s", row->name, step, answer,
                 flight_fault_text(f.fault), f.history, found);
    assert_int_equal(f.version, row->version);
    assert_int_equal(count_certificates(&f), row->certificates);
    assert_int_equal(flight_is_complete(&f), c->established);
    if (row->plan.staple && row->version < 0x0304)
        assert_true(span_is(buf_span(&f.ocsp), row->plan.staple));
    flight_free(&f);
    arena_reset(&arena);
}

static void every_kind_of_handshake(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"1.3", {.version = 0}, "CsidID", "", 0x0304, 0},
        {"1.2", {.version = TLS1_2_VERSION}, "CsxknGIFtif", "", 0x0303, 1},
        {"1.2 RSA",
         {.version = TLS1_2_VERSION, .key = "rsa:2048", .ciphers = "ECDHE-RSA-AES128-GCM-SHA256"},
         "CsxknGIFtif",
         "",
         0x0303,
         1},
        {"1.2 RSA key exchange",
         {.version = TLS1_2_VERSION, .key = "rsa:2048", .ciphers = "AES128-SHA"},
         "CsxnGIFtif",
         "H20",
         0x0303,
         1},
        {"1.2 Ed25519", {.version = TLS1_2_VERSION, .key = "ed25519"}, "CsxknGIFtif", "", 0x0303, 1},
        {"1.2 DHE",
         {.version = TLS1_2_VERSION, .key = "rsa:2048", .ciphers = "DHE-RSA-AES128-SHA256"},
         "CsxknGIFtif",
         "",
         0x0303,
         1},
        {"1.2 DHE weak",
         {.version = TLS1_2_VERSION, .key = "rsa:1024", .ciphers = "DHE-RSA-AES128-SHA256"},
         "CsxknGIFtif",
         "H20",
         0x0303,
         1},
        {"1.2 NULL",
         {.version = TLS1_2_VERSION, .key = "rsa:2048", .ciphers = "NULL-SHA256:@SECLEVEL=0"},
         "CsxnGIFtif",
         "H19,H20",
         0x0303,
         1},
        {"1.2 anonymous",
         {.version = TLS1_2_VERSION, .ciphers = "AECDH-AES128-SHA:@SECLEVEL=0"},
         "CsknGIFtif",
         "H19",
         0x0303,
         0},
        {"1.1", {.version = TLS1_1_VERSION}, "CsxknGIFtif", "H18", 0x0302, 1},
        {"1.0", {.version = TLS1_VERSION}, "CsxknGIFtif", "H18", 0x0301, 1},
        {"1.2 client auth",
         {.version = TLS1_2_VERSION, .client_auth = true},
         "CsxkrnXGYIFtif",
         "H40",
         0x0303,
         1},
        {"1.2 stapled", {.version = TLS1_2_VERSION, .staple = "a response"}, "CsxuknGIFtif", "", 0x0303, 1},
        {"1.2, 30 certificates",
         {.version = TLS1_2_VERSION, .extra_certificates = 29},
         "CsxknGIFtif",
         "",
         0x0303,
         30},
        {"1.2, 64 KiB",
         {.version = TLS1_2_VERSION, .extra_certificates = 189},
         "CsxknGIFtif",
         "",
         0x0303,
         190},
        {"1.2 ALPN", {.version = TLS1_2_VERSION, .alpn_wire = "\x02h2"}, "CsxknGIFtif", "", 0x0303, 1},
        {"1.3 HRR",
         {.client_groups = "X25519:P-256", .server_groups = "P-256"},
         "CjiICsdD",
         "H23",
         0x0304,
         0},
        {"1.3 client auth", {.client_auth = true}, "CsidID", "", 0x0304, 0},
        {"1.3 distrusted", {.client_distrusts = true}, "CsidL", "H25", 0x0304, 0},
        {"1.2 distrusted", {.version = TLS1_2_VERSION, .client_distrusts = true}, "CsxknL", "H25", 0x0303, 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct conversation c;
        flight_converse(&rows[i].plan, NULL, &c);
        for (size_t step = 0; step < 8; step += step < 2 ? 1 : 3)
            check(&rows[i], &c, step);
        conversation_free(&c);
    }
}

static void resumption_of_each_kind(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"1.2 ticket", {.version = TLS1_2_VERSION}, "CsifIF", "", 0x0303, 0},
        {"1.2 session id", {.version = TLS1_2_VERSION, .no_tickets = true}, "CsifIF", "", 0x0303, 0},
        {"1.3 PSK", {.version = 0}, "CsidID", "", 0x0304, 0},
        {"1.3 early data", {.early_data = true}, "CIDsidD", "H29", 0x0304, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct conversation first, second;
        SSL_CTX *server = NULL;
        SSL_SESSION *session = NULL;
        struct flight_plan plan = rows[i].plan;
        plan.session = &session;
        plan.early_data = false;
        flight_converse(&plan, &server, &first);
        plan.early_data = rows[i].plan.early_data;
        flight_converse(&plan, &server, &second);
        check(&rows[i], &second, 0);
        check(&rows[i], &second, 1);
        struct flight f;
        flight_init(&f);
        flight_replay(&f, &first, 0);
        assert_false(f.resumed);
        flight_free(&f);
        flight_init(&f);
        flight_replay(&f, &second, 0);
        assert_true(f.resumed);
        flight_free(&f);
        conversation_free(&first);
        conversation_free(&second);
        SSL_SESSION_free(session);
        SSL_CTX_free(server);
    }
}

/* ---- what no server says ---- */

#define HELLO_RECORD      "\x16\x03\x01\x00\x04\x01\x00\x00\x00"
#define SERVER_RANDOM     "0123456789abcdef0123456789abcdef"
#define SERVER_HELLO_12   "\x02\x00\x00\x26\x03\x03" SERVER_RANDOM "\x00\xc0\x2b\x00"
#define SERVER_RECORD_12  "\x16\x03\x03\x00\x2a" SERVER_HELLO_12
#define BYTES_OF(literal) span_of(literal, sizeof(literal) - 1)

static void faults(void **state)
{
    (void)state;
    const struct {
        enum flight_side side;
        struct span bytes;
        enum flight_fault fault;
    } rows[] = {
        {FLIGHT_SERVER, BYTES_OF("HTTP/1.1 400 Bad Request\r\n"), FLIGHT_FAULT_RECORD_TYPE},
        {FLIGHT_SERVER, BYTES_OF("\x16\x04\x03\x00\x10"), FLIGHT_FAULT_RECORD_VERSION},
        {FLIGHT_SERVER, BYTES_OF("\x16\x03\x03\x48\x01"), FLIGHT_FAULT_RECORD_LENGTH},
        {FLIGHT_SERVER, BYTES_OF("\x16\x03\x03\x00\x04\x0b\x00\x00\x00"),
         FLIGHT_FAULT_ORDER}, /* no hello before */
        {FLIGHT_SERVER, BYTES_OF("\x17\x03\x03\x00\x04xxxx"), FLIGHT_FAULT_ORDER},
        {FLIGHT_SERVER, BYTES_OF("\x14\x03\x03\x00\x01\x02"), FLIGHT_FAULT_CIPHER_SPEC},
        {FLIGHT_SERVER, BYTES_OF("\x15\x03\x03\x00\x03\x02\x28\x00"), FLIGHT_FAULT_ALERT},
        {FLIGHT_SERVER, BYTES_OF("\x16\x03\x03\x00\x04\x02\x00\x00\x00"), FLIGHT_FAULT_HELLO},
        {FLIGHT_SERVER, BYTES_OF(SERVER_RECORD_12 SERVER_RECORD_12), FLIGHT_FAULT_ORDER},
        {FLIGHT_SERVER, BYTES_OF(SERVER_RECORD_12 "\x17\x03\x03\x00\x01x"), FLIGHT_FAULT_ORDER},
        {FLIGHT_SERVER, BYTES_OF(SERVER_RECORD_12 "\x16\x03\x03\x00\x07\x0b\x00\x00\x03\x00\x00\x09"),
         FLIGHT_FAULT_MESSAGE},
        {FLIGHT_SERVER, BYTES_OF(SERVER_RECORD_12 "\x16\x03\x03\x00\x04\x0b\x08\x00\x00"),
         FLIGHT_FAULT_TOO_LONG},
        {FLIGHT_SERVER,
         BYTES_OF(SERVER_RECORD_12
                  "\x16\x03\x03\x00\x04\x0e\x00\x00\x00\x16\x03\x03\x00\x04\x0b\x00\x00\x00"),
         FLIGHT_FAULT_ORDER},
        {FLIGHT_CLIENT, BYTES_OF(HELLO_RECORD HELLO_RECORD), FLIGHT_FAULT_ORDER},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t step = 1; step <= rows[i].bytes.len; step += rows[i].bytes.len - 1) {
            struct flight f;
            flight_init(&f);
            if (rows[i].side == FLIGHT_SERVER)
                assert_int_equal(flight_feed(&f, FLIGHT_CLIENT, BYTES_OF(HELLO_RECORD)), PARSE_MORE);
            for (size_t at = 0; at < rows[i].bytes.len; at += step) {
                size_t left = rows[i].bytes.len - at;
                flight_feed(&f, rows[i].side, span_of(rows[i].bytes.data + at, left < step ? left : step));
            }
            if (f.fault != rows[i].fault)
                fail_msg("row %zu by %zu: %s", i, step, flight_fault_text(f.fault));
            assert_int_equal(flight_feed(&f, FLIGHT_CLIENT, BYTES_OF("x")), PARSE_BAD);
            flight_free(&f);
        }
}

/* Some clients encrypt the alert with which they turn away (TLS 1.3): only its length gives it away. */
static void hidden_alert(void **state)
{
    (void)state;
    struct flight f;
    struct conversation c;
    struct flight_plan plan = {.version = 0};
    struct anomaly_set set = {0};
    flight_converse(&plan, NULL, &c);
    flight_init(&f);
    flight_feed(&f, FLIGHT_CLIENT, buf_span(&c.pieces[0].bytes));
    flight_feed(&f, FLIGHT_SERVER, buf_span(&c.pieces[1].bytes));
    assert_int_equal(flight_feed(&f, FLIGHT_CLIENT,
                                 BYTES_OF("\x17\x03\x03\x00\x13"
                                          "0123456789abcdef012")),
                     PARSE_OK);
    assert_true(f.client_alert_hidden);
    assert_false(flight_is_complete(&f));
    conformance_judge_flight(&f, NULL, &set);
    assert_true(anomaly_set_has(&set, ANOMALY_H25));
    flight_free(&f);
    conversation_free(&c);
}

static void endless_handshakes_end(void **state)
{
    (void)state;
    struct flight f;
    flight_init(&f);
    flight_feed(&f, FLIGHT_CLIENT, BYTES_OF(HELLO_RECORD));
    enum parse answer = PARSE_MORE;
    size_t fed = 0;
    for (; answer == PARSE_MORE && fed < 8u << 20; fed += 11)
        answer = flight_feed(&f, FLIGHT_SERVER, BYTES_OF("\x15\x03\x03\x00\x02\x01\x70\x18\x03\x03\x00"));
    assert_int_equal(answer, PARSE_BAD);
    flight_free(&f);
    flight_init(&f);
    for (answer = PARSE_MORE, fed = 0; answer == PARSE_MORE; fed++)
        answer = flight_feed(&f, FLIGHT_SERVER, BYTES_OF("\x16\x03\x03\x00\x00"));
    assert_int_equal(f.fault, FLIGHT_FAULT_RECORDS_EMPTY);
    assert_true(fed < 40);
    flight_free(&f);
}

/* ---- what was offered and what was chosen ---- */

static struct server_hello server_hello(struct span message)
{
    struct server_hello h;
    assert_int_equal(server_hello_parse(message, &h), PARSE_OK);
    return h;
}

/* What a flight that begins with it shows. */
static struct anomaly_set judge_pick(const struct client_hello *hello, struct span message)
{
    struct flight f;
    struct anomaly_set set = {0};
    uint8_t record[5 + 128] = {22, 3, 3, 0, (uint8_t)message.len};
    assert_true(message.len <= 128);
    memcpy(record + 5, message.data, message.len);
    flight_init(&f);
    flight_feed(&f, FLIGHT_SERVER, span_of(record, 5 + message.len));
    conformance_judge_flight(&f, hello, &set);
    flight_free(&f);
    return set;
}

/* H22 */
static void picks_that_were_not_offered(void **state)
{
    (void)state;
    struct conversation c;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct flight_plan plan = {.version = TLS1_2_VERSION, .ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256"};
    flight_converse(&plan, NULL, &c);
    struct client_hello hello = hello_of(&c, &arena);
    const struct {
        struct span message;
        bool offered;
    } rows[] = {
        {BYTES_OF(SERVER_HELLO_12), true},
        {BYTES_OF("\x02\x00\x00\x26\x03\x03" SERVER_RANDOM "\x00\xc0\x2f\x00"), false}, /* suite */
        {BYTES_OF("\x02\x00\x00\x26\x03\x03" SERVER_RANDOM "\x00\xc0\x2b\x01"), false}, /* compression */
        {BYTES_OF("\x02\x00\x00\x2c\x03\x03" SERVER_RANDOM "\x00\xc0\x2b\x00\x00\x04\x00\x0f\x00\x00"),
         false},
        {BYTES_OF("\x02\x00\x00\x2c\x03\x03" SERVER_RANDOM "\x00\xc0\x2b\x00\x00\x04\x00\x17\x00\x00"), true},
        {BYTES_OF("\x02\x00\x00\x2d\x03\x03" SERVER_RANDOM "\x00\xc0\x2b\x00\x00\x05\xff\x01\x00\x01\x00"),
         true},
        {BYTES_OF("\x02\x00\x00\x2e\x03\x03" SERVER_RANDOM
                  "\x00\xc0\x2b\x00\x00\x06\x00\x2b\x00\x02\x03\x04"),
         false},
        {BYTES_OF("\x02\x00\x00\x31\x03\x03" SERVER_RANDOM
                  "\x00\xc0\x2b\x00\x00\x09\x00\x10\x00\x05\x00\x03\x02h2"),
         false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct server_hello h = server_hello(rows[i].message);
        if (conformance_was_offered(&hello, &h) != rows[i].offered)
            fail_msg("row %zu", i);
        const struct anomaly_set set = judge_pick(&hello, rows[i].message);
        assert_int_equal(anomaly_set_has(&set, ANOMALY_H22), !rows[i].offered);
    }
    conversation_free(&c);
    arena_reset(&arena);
}

static void downgrade_sentinel(void **state)
{
    (void)state;
    struct conversation c;
    struct flight f;
    struct arena arena;
    struct anomaly_set set = {0};
    static const uint8_t record[] = SERVER_RECORD_12;
    uint8_t marked[sizeof record - 1];
    memcpy(marked, record, sizeof marked);
    memcpy(marked + 5 + 6 + 24, "DOWNGRD\x01", 8);
    arena_init(&arena, 1 << 20);
    struct flight_plan plan = {.version = 0};
    flight_converse(&plan, NULL, &c);
    struct client_hello hello = hello_of(&c, &arena);
    for (int with = 0; with < 2; with++) {
        flight_init(&f);
        flight_feed(&f, FLIGHT_SERVER,
                    with ? span_of(marked, sizeof marked) : span_of(record, sizeof marked));
        set = (struct anomaly_set){0};
        conformance_judge_flight(&f, &hello, &set);
        assert_int_equal(anomaly_set_has(&set, ANOMALY_H21), with);
        flight_free(&f);
    }
    conversation_free(&c);
    arena_reset(&arena);
}

/* What real servers don't do. */
static void oddities_of_a_hello(void **state)
{
    (void)state;
    const struct {
        struct span record;
        enum anomaly anomaly;
    } rows[] = {
        {BYTES_OF("\x16\x03\x03\x00\x34\x02\x00\x00\x30\x03\x03" SERVER_RANDOM
                  "\x00\xc0\x2b\x00\x00\x08\x00\x17\x00\x00\x00\x17\x00\x00"),
         ANOMALY_H10},
        {BYTES_OF("\x16\x03\x03\x00\x31\x02\x00\x00\x2d\x03\x03" SERVER_RANDOM
                  "\x00\xc0\x2b\x00\x00\x05\x00\x0f\x00\x01\x01"),
         ANOMALY_H24},
        {BYTES_OF("\x16\x03\x03\x00\x32\x02\x00\x00\x2e\x03\x03" SERVER_RANDOM
                  "\x00\xc0\x2b\x00\x00\x06\x00\x10\x00\x02\x00\x09"),
         ANOMALY_H07},
        {BYTES_OF("\x16\x03\x04\x00\x2a" SERVER_HELLO_12), ANOMALY_H03},
        {BYTES_OF("\x16\x03\x03\x00\x00" SERVER_RECORD_12), ANOMALY_H05},
    };
    static const enum anomaly watched[] = {ANOMALY_H03, ANOMALY_H05, ANOMALY_H07, ANOMALY_H10, ANOMALY_H24};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct flight f;
        struct anomaly_set set = {0};
        flight_init(&f);
        flight_feed(&f, FLIGHT_SERVER, rows[i].record);
        conformance_judge_flight(&f, NULL, &set);
        for (size_t k = 0; k < ARRAY_LEN(watched); k++)
            if (anomaly_set_has(&set, watched[k]) != (watched[k] == rows[i].anomaly))
                fail_msg("row %zu: %s (%s)", i, anomaly_table[watched[k]].id, flight_fault_text(f.fault));
        flight_free(&f);
    }
}

static void ja3s(void **state)
{
    (void)state;
    struct buf text;
    char hash[JA3_HASH_BYTES];
    struct server_hello h =
        server_hello(BYTES_OF("\x02\x00\x00\x31\x03\x03" SERVER_RANDOM
                              "\x00\xc0\x2f\x00\x00\x09\xff\x01\x00\x01\x00\x00\x17\x00\x00"));
    buf_init(&text, 1024);
    assert_int_equal(ja3s_write(&h, &text), 0);
    assert_true(span_is(buf_span(&text), "771,49199,65281-23"));
    buf_free(&text);
    assert_int_equal(ja3s_hash(&h, hash), 0);
    assert_string_equal(hash, "394441ab65754e2207b1e1b457b3641d");
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
        cmocka_unit_test(every_kind_of_handshake),
        cmocka_unit_test(resumption_of_each_kind),
        cmocka_unit_test(faults),
        cmocka_unit_test(hidden_alert),
        cmocka_unit_test(endless_handshakes_end),
        cmocka_unit_test(picks_that_were_not_offered),
        cmocka_unit_test(downgrade_sentinel),
        cmocka_unit_test(oddities_of_a_hello),
        cmocka_unit_test(ja3s),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
