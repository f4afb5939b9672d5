/* tls_session_test.c: two sessions back to back in memory: handshakes in any slices, names, trust, ends, garbage, bounds. */
#include "tls/devca.h"
#include "tls/session_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

static const char *file(const char *name)
{
    static char paths[4][128];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void issue(struct devca *ca, const char *name, struct devca_leaf leaf)
{
    char cert[96], key[96];
    snprintf(cert, sizeof cert, "%s/%s.pem", folder, name);
    snprintf(key, sizeof key, "%s/%s.key", folder, name);
    leaf.not_after_days = leaf.not_after_days ? leaf.not_after_days : 30;
    struct err err = {0};
    assert_int_equal(devca_issue(ca, &leaf, cert, key, &err), 0);
}

static int make_certificates(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/exeat-tls-XXXXXX");
    assert_non_null(mkdtemp(folder));
    struct err err = {0};
    struct devca *ca = devca_create("test CA", file("ca.pem"), file("ca.key"), &err);
    assert_non_null(ca);
    issue(ca, "good",
          (struct devca_leaf){.common_name = "a.test",
                              .alt_names = "DNS:a.test,DNS:*.w.test,IP:127.0.0.1,IP:::1"});
    issue(ca, "cn", (struct devca_leaf){.common_name = "a.test"});
    issue(
        ca, "old",
        (struct devca_leaf){
            .common_name = "a.test", .alt_names = "DNS:a.test", .not_before_days = -9, .not_after_days = -2});
    issue(ca, "self",
          (struct devca_leaf){.common_name = "a.test", .alt_names = "DNS:a.test", .self_signed = true});
    devca_free(ca);
    return 0;
}

static int remove_certificates(void **state)
{
    (void)state;
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

struct pair {
    struct tls_context *server_context, *client_context;
    struct tls_session *server, *client;
};

static struct pair pair_new(const char *certificate, const char *name, bool is_ip)
{
    char cert[96], key[96];
    snprintf(cert, sizeof cert, "%s/%s.pem", folder, certificate);
    snprintf(key, sizeof key, "%s/%s.key", folder, certificate);
    struct err err = {0};
    struct pair p = {tls_context_new_server(cert, key, &err), tls_context_new_client(file("ca.pem"), &err),
                     NULL, NULL};
    assert_non_null(p.server_context);
    assert_non_null(p.client_context);
    p.server = tls_session_accept(p.server_context);
    p.client = tls_session_connect(p.client_context, name, is_ip);
    assert_non_null(p.server);
    assert_non_null(p.client);
    return p;
}

static void pair_free(struct pair *p)
{
    tls_context_free(p->server_context); /* before its session: the count holds it */
    tls_context_free(p->client_context);
    tls_session_free(p->server);
    tls_session_free(p->client);
}

/* Carries up to `slice` bytes at a time; true when something moved. */
static bool carry(struct tls_session *from, struct tls_session *to, size_t slice)
{
    struct span out = tls_session_outgoing(from);
    if (out.len == 0)
        return false;
    if (out.len > slice)
        out.len = slice;
    tls_session_receive(to, out);
    tls_session_sent(from, out.len);
    return true;
}

static void shake(struct pair *p, size_t slice)
{
    tls_session_handshake(p->client);
    while ((int)carry(p->client, p->server, slice) | (int)carry(p->server, p->client, slice))
        ;
}

static void test_handshake_and_data_in_any_slices(void **state)
{
    (void)state;
    for (size_t slice = 1; slice < 70000; slice = slice * 7 + 1) {
        struct pair p = pair_new("good", "a.test", false);
        shake(&p, slice);
        assert_int_equal(tls_session_handshake(p.client), TLS_OPEN);
        assert_int_equal(tls_session_handshake(p.server), TLS_OPEN);
        assert_string_equal(tls_session_version(p.client), "1.3");
        assert_non_null(strstr(tls_session_cipher(p.server), "TLS_"));
        static char sent[40000], got[40000];
        for (size_t i = 0; i < sizeof sent; i++)
            sent[i] = (char)(i * 31);
        assert_int_equal(tls_session_write(p.client, sent, sizeof sent), sizeof sent);
        size_t have = 0;
        while (carry(p.client, p.server, slice)) {
            ssize_t n;
            while ((n = tls_session_read(p.server, got + have,
                                         sizeof got - have > 0 ? sizeof got - have : 1)) > 0)
                have += (size_t)n;
            assert_int_equal(n, TLS_IO_AGAIN);
        }
        assert_int_equal(have, sizeof sent);
        assert_memory_equal(sent, got, sizeof sent);
        pair_free(&p);
    }
}

static void test_end_is_told_from_truncation(void **state)
{
    (void)state;
    struct pair p = pair_new("good", "a.test", false);
    shake(&p, 9999);
    char c;
    assert_int_equal(tls_session_write(p.server, "x", 1), 1);
    tls_session_finish(p.server);
    tls_session_finish(p.server);
    while (carry(p.server, p.client, 9999))
        ;
    assert_int_equal(tls_session_read(p.client, &c, 1), 1);
    assert_int_equal(tls_session_read(p.client, &c, 1), 0); /* close_notify */
    assert_int_equal(tls_session_read(p.server, &c, 1),
                     TLS_IO_AGAIN);                           /* none came this way: at EOF it is truncated */
    assert_int_equal(tls_session_write(p.client, "y", 1), 1); /* half-close */
    while (carry(p.client, p.server, 9999))
        ;
    assert_int_equal(tls_session_read(p.server, &c, 1), 1);
    assert_int_equal(c, 'y');
    pair_free(&p);
}

static void expect_outcome(const char *certificate, const char *name, bool is_ip, bool good)
{
    struct pair p = pair_new(certificate, name, is_ip);
    shake(&p, 9999);
    if (good) {
        assert_int_equal(tls_session_handshake(p.client), TLS_OPEN);
        assert_false(tls_session_certificate_failed(p.client));
    } else {
        assert_int_equal(tls_session_handshake(p.client), TLS_FAILED);
        assert_true(tls_session_certificate_failed(p.client));
        assert_non_null(strstr(tls_session_error(p.client), "certificate"));
        char c;
        /* TLS 1.3: the server may have finished before the alert came. Then reading says so. */
        assert_int_equal(tls_session_read(p.server, &c, 1), TLS_IO_FAILED);
        assert_false(tls_session_certificate_failed(p.server));
        assert_int_equal(tls_session_write(p.client, "x", 1), TLS_IO_FAILED);
    }
    pair_free(&p);
}

static void test_names_and_trust(void **state)
{
    (void)state;
    expect_outcome("good", "a.test", false, true);
    expect_outcome("good", "x.w.test", false, true);
    expect_outcome("good", "127.0.0.1", true, true);
    expect_outcome("good", "::1", true, true);
    expect_outcome("good", "b.test", false, false);
    expect_outcome("good", "x.y.w.test", false, false);
    expect_outcome("good", "127.0.0.2", true, false);
    expect_outcome("cn", "a.test", false, false); /* the common name is no name */
    expect_outcome("old", "a.test", false, false);
    expect_outcome("self", "a.test", false, false);
}

static void test_connect_needs_a_name_to_check(void **state)
{
    (void)state;
    struct tls_context *c = tls_context_new_client(NULL, NULL);
    assert_null(tls_session_connect(c, "", false));
    assert_null(tls_session_connect(c, "a.test", true));
    tls_context_free(c);
}

static void test_garbage_fails(void **state)
{
    (void)state;
    static const char *const inputs[] = {"GET / HTTP/1.1\r\n\r\n", "SSH-2.0-x\r\n",
                                         "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00zzzzzzzz"};
    for (size_t i = 0; i < 3; i++) {
        struct pair p = pair_new("good", "a.test", false);
        tls_session_handshake(p.client);
        size_t len = i == 2 ? 18 : strlen(inputs[i]);
        assert_int_equal(tls_session_receive(p.server, span_of(inputs[i], len)), TLS_FAILED);
        assert_int_equal(tls_session_receive(p.client, span_of(inputs[i], len)), TLS_FAILED);
        assert_false(tls_session_certificate_failed(p.client));
        assert_true(strlen(tls_session_error(p.server)) > 0);
        assert_null(tls_session_version(p.server));
        assert_int_equal(tls_session_receive(p.server, span_of(inputs[i], len)), TLS_FAILED);
        pair_free(&p);
    }
}

static void test_damaged_record_fails(void **state)
{
    (void)state;
    struct pair p = pair_new("good", "a.test", false);
    shake(&p, 9999);
    assert_int_equal(tls_session_write(p.client, "hello", 5), 5);
    uint8_t wire[256];
    struct span out = tls_session_outgoing(p.client);
    memcpy(wire, out.data, out.len);
    wire[out.len - 1] ^= 1;
    assert_int_equal(tls_session_receive(p.server, span_of(wire, out.len)), TLS_OPEN);
    char c;
    assert_int_equal(tls_session_read(p.server, &c, 1), TLS_IO_FAILED);
    assert_int_equal(tls_session_read(p.server, &c, 1), TLS_IO_FAILED);
    pair_free(&p);
}

static void test_writes_and_receives_are_bounded(void **state)
{
    (void)state;
    struct pair p = pair_new("good", "a.test", false);
    static char data[65536];
    assert_int_equal(tls_session_write(p.client, data, 10), TLS_IO_AGAIN); /* no handshake yet */
    shake(&p, 9999);
    int writes = 0;
    while (tls_session_write(p.client, data, sizeof data) > 0)
        assert_true(++writes < 10);
    assert_int_equal(tls_session_write(p.client, data, sizeof data), TLS_IO_AGAIN);
    assert_true(tls_session_outgoing(p.client).len < 300 * 1024);
    int receives = 0;
    while (tls_session_receive(p.server, span_of(data, sizeof data)) == TLS_OPEN)
        assert_true(++receives < 10);
    pair_free(&p);
}

static void test_contexts_name_the_bad_file(void **state)
{
    (void)state;
    struct err err = {0};
    assert_null(tls_context_new_server(file("none.pem"), file("good.key"), &err));
    assert_non_null(strstr(err.file, "none.pem"));
    err = (struct err){0};
    assert_null(
        tls_context_new_server(file("good.pem"), file("self.key"), &err)); /* another certificate's key */
    assert_non_null(strstr(err.file, "self.key"));
    err = (struct err){0};
    assert_null(tls_context_new_client(file("good.key"), &err));
    assert_non_null(strstr(err.file, "good.key"));
    err = (struct err){0};
    assert_null(devca_create("again", file("ca.pem"), file("ca.key"), &err)); /* never overwrites */
    struct stat st;
    assert_int_equal(stat(file("ca.key"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

/* One exchange of a few bytes, so that what TLS 1.3 says after the handshake is read. */
static void greet(struct pair *p, const struct tls_ticket *ticket)
{
    const struct tls_greeting g = {.sni = "a.test", .ticket = ticket};
    char got[8];
    p->server = tls_session_accept(p->server_context);
    p->client = tls_session_greet(p->client_context, &g);
    shake(p, 1 << 16);
    assert_int_equal(tls_session_handshake(p->client), TLS_OPEN);
    assert_int_equal(tls_session_write(p->server, "hello", 5), 5);
    while (carry(p->server, p->client, 1 << 16))
        ;
    assert_int_equal(tls_session_read(p->client, got, sizeof got), 5);
}

static void resume(int version, bool by_id)
{
    struct err err = {0};
    struct pair p = {.server_context = tls_context_new_server(file("good.pem"), file("good.key"), &err),
                     .client_context = tls_context_new_unverified(&err)};
    SSL_CTX_set_max_proto_version(p.server_context->ctx, version);
    if (by_id) {
        SSL_CTX_set_options(p.server_context->ctx, SSL_OP_NO_TICKET);
        SSL_CTX_set_session_cache_mode(p.server_context->ctx, SSL_SESS_CACHE_SERVER);
    }
    greet(&p, NULL);
    assert_false(tls_session_resumed(p.client));
    struct chain *chain = tls_session_chain(p.client);
    assert_int_equal(chain_count(chain), 1);
    struct tls_ticket *ticket = tls_session_take_ticket(p.client), *more = tls_session_take_ticket(p.client);
    assert_non_null(ticket);
    assert_int_equal(tls_ticket_is_single_use(ticket), version == TLS1_3_VERSION);
    tls_ticket_free(more);
    tls_session_free(p.client); /* its connection is cut off: the session can be taken up all the same */
    tls_session_free(p.server);
    for (int again = 0; again < 2; again++) {
        greet(&p, ticket);
        assert_true(tls_session_resumed(p.client));
        struct chain *same = tls_session_chain(p.client);
        assert_int_equal(chain_count(same), 1);
        assert_string_equal(chain_certificate_at(same, 0)->sha256, chain_certificate_at(chain, 0)->sha256);
        chain_free(same);
        struct tls_ticket *next = tls_session_take_ticket(p.client);
        if (next || version == TLS1_3_VERSION) {
            tls_ticket_free(ticket);
            ticket = next;
        }
        tls_session_free(p.client);
        tls_session_free(p.server);
        assert_non_null(ticket);
    }
    p.client = p.server = NULL;
    tls_ticket_free(ticket);
    chain_free(chain);
    pair_free(&p);
}

static void test_sessions_are_taken_up(void **state)
{
    (void)state;
    resume(TLS1_3_VERSION, false);
    resume(TLS1_2_VERSION, false);
    resume(TLS1_2_VERSION, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handshake_and_data_in_any_slices),
        cmocka_unit_test(test_end_is_told_from_truncation),
        cmocka_unit_test(test_names_and_trust),
        cmocka_unit_test(test_connect_needs_a_name_to_check),
        cmocka_unit_test(test_garbage_fails),
        cmocka_unit_test(test_damaged_record_fails),
        cmocka_unit_test(test_writes_and_receives_are_bounded),
        cmocka_unit_test(test_contexts_name_the_bad_file),
        cmocka_unit_test(test_sessions_are_taken_up),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
