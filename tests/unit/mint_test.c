/* mint_test.c: the inspection CA and what is minted with it: mimicry, what the signing side refuses, distrusted leaves, a handshake. */
#include "chain_make.h"
#include "tls/ca.h"
#include "tls/mint.h"
#include "tls/staple.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];
static struct ca *ca;
static struct mint_keys *keys;
static struct buf der;

static const char *file(const char *name)
{
    static char paths[8][128];
    static unsigned turn;
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static struct ca *make_ca(const char *name, const char *constraints)
{
    struct err err = {0};
    char pem[32], key[32];
    snprintf(pem, sizeof pem, "%s.pem", name);
    snprintf(key, sizeof key, "%s.key", name);
    const struct ca_plan plan = {.name = name, .days = 400, .constraints = constraints};
    if (ca_create(&plan, file(pem), file(key), &err) != 0)
        fail_msg("%s", err.text);
    struct ca *made = ca_read_with_key(file(pem), file(key), &err);
    if (!made)
        fail_msg("%s", err.text);
    return made;
}

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/exeat-mint-XXXXXX");
    assert_non_null(mkdtemp(folder));
    ca = make_ca("inspection", NULL);
    keys = mint_keys_new();
    assert_non_null(keys);
    buf_init(&der, 64 * 1024);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[96];
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
    ca_free(ca);
    mint_keys_unref(keys);
    buf_free(&der);
    make_free_keys();
    return 0;
}

static int64_t now(void)
{
    return (int64_t)time(NULL);
}

/* ---- helpers ---- */

static const char *rfc(int64_t s)
{
    static char texts[4][32];
    static unsigned turn;
    char *text = texts[turn++ % 4];
    time_t t = (time_t)s;
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(text, sizeof texts[0], "%Y-%m-%dT%H:%M:%SZ", &tm);
    return text;
}

enum { DAY = 24 * 3600 };

static struct span server_leaf(int from_days, int until_days, const char *san)
{
    const struct cert_plan plan = {.subject = "CN=a.test,O=Server",
                                   .issuer = "CN=Some CA,O=Elsewhere",
                                   .from = rfc(now() + (int64_t)from_days * DAY),
                                   .until = rfc(now() + (int64_t)until_days * DAY),
                                   .san = san};
    return make_certificate(&plan);
}

static struct mint_order order_of(struct span leaf)
{
    return (struct mint_order){.leaf = leaf, .name = "a.test", .now_s = now()};
}

static struct chain *chain_of(const struct buf *certificate)
{
    struct span one = buf_span(certificate);
    struct chain *c = chain_parse_der(&one, 1, NULL);
    assert_non_null(c);
    return c;
}

/* Requests and signs; NULL or why not. */
static const char *mint(const struct ca *with, const struct mint_order *o)
{
    struct buf request;
    struct err err = {0};
    const char *why = NULL;
    buf_init(&request, 64 * 1024);
    buf_clear(&der);
    if (mint_request(with, keys, o, &request, &err) != 0)
        fail_msg("%s", err.text);
    mint_sign(with, buf_span(&request), now(), &der, &why);
    buf_free(&request);
    return why;
}

static bool is_trusted(const struct chain *c, const char *name)
{
    struct err err = {0};
    const char *roots[] = {file("inspection.pem")};
    struct trust *t = trust_new(false, roots, 1, &err);
    assert_non_null(t);
    const struct chain_question q = {.name = name, .time_s = now(), .trust = t};
    struct chain_report r;
    assert_int_equal(chain_verify(c, &q, &r), 0);
    trust_free(t);
    return r.trusted;
}

/* ---- tests ---- */

static void mimics_the_server(void **state)
{
    (void)state;
    struct span leaf = server_leaf(-200, 180, "DNS:a.test,DNS:*.b.test,IP:192.0.2.1,email:x@a.test");
    struct mint_order o = order_of(leaf);
    assert_null(mint(ca, &o));
    struct chain *c = chain_of(&der);
    const struct chain_certificate *f = chain_certificate_at(c, 0);
    assert_string_equal(f->subject, "O=Server,CN=a.test");
    assert_int_equal(f->name_count, 3); /* the address of a person is not a host's */
    assert_true(f->not_after_s - f->not_before_s < (int64_t)MINT_DAYS_MAX * DAY);
    int64_t from, until;
    ca_validity(ca, &from, &until);
    assert_true(f->not_before_s == from && f->not_after_s >= now() + 178 * DAY); /* no older than its CA */
    assert_true(is_trusted(c, "a.test"));
    assert_true(is_trusted(c, "x.b.test"));
    assert_false(is_trusted(c, "c.test"));
    chain_free(c);
    free((void *)(uintptr_t)leaf.data);
}

static void names_what_was_asked_for_where_there_is_no_certificate(void **state)
{
    (void)state;
    struct mint_order o = {.name = "page.test", .now_s = now()};
    assert_null(mint(ca, &o));
    struct chain *c = chain_of(&der);
    assert_true(is_trusted(c, "page.test"));
    chain_free(c);
    o = (struct mint_order){.name = "192.0.2.9", .name_is_ip = true, .now_s = now()};
    assert_null(mint(ca, &o));
    c = chain_of(&der);
    assert_true(is_trusted(c, "192.0.2.9"));
    chain_free(c);
}

static void keeps_a_bound_on_names(void **state)
{
    (void)state;
    char san[8192] = "";
    for (int i = 0; i < 150; i++)
        snprintf(san + strlen(san), sizeof san - strlen(san), "DNS:n%d.test,", i);
    strcat(san, "DNS:a.test");
    struct span leaf = server_leaf(-1, 30, san);
    struct mint_order o = order_of(leaf);
    assert_null(mint(ca, &o));
    struct chain *c = chain_of(&der);
    assert_int_equal(chain_certificate_at(c, 0)->name_count, MINT_NAMES_MAX);
    assert_true(is_trusted(c, "a.test"));
    chain_free(c);
    free((void *)(uintptr_t)leaf.data);
}

static void distrusted_ones_fail_like_the_server(void **state)
{
    (void)state;
    struct err err = {0};
    struct span leaf = server_leaf(-90, -3, "DNS:a.test"); /* expired */
    struct mint_order o = order_of(leaf);
    buf_clear(&der);
    assert_int_equal(mint_distrusted(keys, &o, &der, &err), 0);
    struct chain *c = chain_of(&der);
    const struct chain_certificate *f = chain_certificate_at(c, 0);
    assert_string_equal(f->issuer, "O=Elsewhere,CN=Some CA");
    assert_true(f->not_after_s < now() && f->not_after_s > now() - 4 * DAY);
    assert_false(is_trusted(c, "a.test"));
    chain_free(c);
    assert_string_equal(mint(ca, &o),
                        "it is not valid now, or for too long"); /* nor does the CA sign such a thing */
    free((void *)(uintptr_t)leaf.data);
    struct mint_order nothing = {.name = "a.test", .now_s = now()};
    assert_int_equal(mint_distrusted(keys, &nothing, &der, &err), -1);
}

/* Whatever a worker that was taken over sends. */
static void signs_leaves_for_servers_and_nothing_else(void **state)
{
    (void)state;
    static const struct {
        struct cert_plan plan;
        const char *why;
    } rows[] = {
        {{.subject = "CN=a.test", .issuer = "CN=inspection", .is_ca = true, .skid = "-", .akid = "-"},
         "this is no server's leaf"},
        {{.subject = "CN=a.test",
          .issuer = "CN=inspection",
          .skid = "-",
          .akid = "-",
          .purpose = "clientAuth"},
         "this is no server's leaf"},
        {{.subject = "CN=a.test", .issuer = "CN=inspection", .skid = "-", .akid = "-", .san = "-"},
         "this is no server's leaf"},
        {{.subject = "CN=a.test",
          .issuer = "CN=inspection",
          .skid = "-",
          .akid = "-",
          .usage = "critical,keyCertSign"},
         "this is no server's leaf"},
        {{.subject = "CN=a.test",
          .issuer = "CN=inspection",
          .skid = "-",
          .akid = "-",
          .extra_oid = "1.2.3.4"},
         "this is no server's leaf"},
        {{.subject = "CN=a.test",
          .issuer = "CN=inspection",
          .skid = "-",
          .akid = "-",
          .san = "email:x@a.test"},
         "it names no hosts, or more than those"},
        {{.subject = "CN=a.test", .issuer = "CN=inspection", .skid = "-", .akid = "-", .key = "rsa:2048"},
         "its key is not P-256"},
        {{.subject = "CN=a.test", .issuer = "CN=other", .skid = "-", .akid = "-"},
         "its issuer is another CA"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct cert_plan plan = rows[i].plan;
        plan.from = rfc(now() - DAY);
        plan.until = rfc(now() + 30 * DAY);
        struct span request = make_certificate(&plan);
        const char *why = NULL;
        buf_clear(&der);
        assert_int_equal(mint_sign(ca, request, now(), &der, &why), -1);
        assert_string_equal(why, rows[i].why);
        assert_int_equal(buf_len(&der), 0);
        free((void *)(uintptr_t)request.data);
    }
    const char *why = NULL;
    assert_int_equal(mint_sign(ca, span_str("0000"), now(), &der, &why), -1);
    struct mint_order o = {.name = "a.test", .now_s = now()};
    struct buf request;
    buf_init(&request, 65536);
    assert_int_equal(mint_request(ca, keys, &o, &request, NULL), 0);
    assert_int_equal(mint_sign(ca, buf_span(&request), now() + 500 * (int64_t)DAY, &der, &why), -1);
    assert_string_equal(why, "the inspection CA has expired");
    assert_int_equal(mint_sign(ca, buf_span(&request), now() - DAY, &der, &why), -1);
    assert_string_equal(why, "the inspection CA is not valid yet");
    buf_free(&request);
}

static void name_constraints_hold(void **state)
{
    (void)state;
    struct ca *narrow = make_ca("narrow", "permitted;DNS:corp.test,excluded;DNS:x.corp.test");
    assert_non_null(strstr(ca_constraints(narrow), "DNS:corp.test"));
    struct mint_order o = {.name = "www.corp.test", .now_s = now()};
    assert_null(mint(narrow, &o));
    o.name = "www.bank.test";
    assert_string_equal(mint(narrow, &o), "the inspection CA's name constraints do not cover this server");
    o.name = "a.x.corp.test";
    assert_non_null(mint(narrow, &o));
    ca_free(narrow);
}

static void keys_are_read_with_care(void **state)
{
    (void)state;
    struct err err = {0};
    char uri[160];
    snprintf(uri, sizeof uri, "file:%s", file("inspection.key"));
    struct ca *by_uri = ca_read_with_key(file("inspection.pem"), uri, &err);
    assert_non_null(by_uri);
    ca_free(by_uri);
    struct stat st;
    assert_int_equal(stat(file("inspection.key"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(chmod(file("inspection.key"), 0640), 0);
    assert_null(ca_read_with_key(file("inspection.pem"), file("inspection.key"), &err));
    assert_non_null(strstr(err.text, "0600"));
    assert_int_equal(chmod(file("inspection.key"), 0600), 0);
    ca_free(make_ca("another", NULL));
    err = (struct err){0};
    assert_null(ca_read_with_key(file("inspection.pem"), file("another.key"), &err));
    assert_non_null(strstr(err.text, "not that of"));
    struct ca_plan again = {.name = "x", .days = 1};
    assert_int_equal(ca_create(&again, file("inspection.pem"), file("inspection.key"), &err), -1); /* kept */
    struct ca_plan by_key = {.name = "by key", .days = 1, .key = uri};
    err = (struct err){0};
    assert_int_equal(ca_create(&by_key, file("bykey.pem"), NULL, &err), 0);
    struct ca *read = ca_read(file("bykey.pem"), &err);
    assert_non_null(read);
    ca_free(read);
}

static void move(struct tls_session *from, struct tls_session *to)
{
    struct span wire = tls_session_outgoing(from);
    if (wire.len == 0)
        return;
    tls_session_receive(to, wire);
    tls_session_sent(from, wire.len);
}

static void clients_take_it(void **state)
{
    (void)state;
    struct err err = {0};
    struct span leaf = server_leaf(-1, 30, "DNS:a.test");
    struct mint_order o = order_of(leaf);
    assert_null(mint(ca, &o));
    struct tls_context *context = mint_context(buf_span(&der), keys, ca, &err);
    struct tls_context *client = tls_context_new_client(file("inspection.pem"), &err);
    assert_true(context && client);
    static const char *const offers[] = {"http/1.1", ""};
    for (size_t i = 0; i < ARRAY_LEN(offers); i++) {
        struct tls_session *a = tls_session_accept(context),
                           *b = tls_session_connect(client, "a.test", false);
        tls_session_offer(a, span_str(offers[i]));
        tls_session_handshake(b);
        for (int turn = 0; turn < 8; turn++) {
            move(b, a);
            move(a, b);
        }
        assert_int_equal(tls_session_handshake(b), TLS_OPEN);
        assert_true(span_is(tls_session_protocol(b), offers[i]));
        struct chain *c = tls_session_chain(b);
        assert_non_null(c);
        assert_int_equal(chain_count(c), 1);
        chain_free(c);
        tls_session_free(a);
        tls_session_free(b);
    }
    tls_context_free(context);
    tls_context_free(client);
    free((void *)(uintptr_t)leaf.data);
}

/* What our own judgement makes of a response about `leaf`: until when it says good. */
static int64_t staple_holds(struct span leaf, struct span response)
{
    struct err err = {0};
    const char *roots[] = {file("inspection.pem")};
    struct trust *t = trust_new(false, roots, 1, &err);
    struct chain *c = chain_parse_der(&leaf, 1, &err);
    assert_true(t && c);
    const struct chain_question q = {
        .name = "a.test", .time_s = now(), .trust = t, .ocsp = response, .staple_counts = true};
    struct chain_report r;
    assert_int_equal(chain_verify(c, &q, &r), 0);
    assert_int_equal(r.trusted, r.staple_until_s > 0);
    chain_free(c);
    trust_free(t);
    return r.staple_until_s;
}

static void answers_for_its_own_leaves_and_no_longer_than_told(void **state)
{
    (void)state;
    const char *why = NULL;
    struct mint_order o = {.name = "a.test", .now_s = now()};
    struct buf response, request;
    buf_init(&response, STAPLE_MAX_BYTES);
    buf_init(&request, 65536);
    assert_null(mint(ca, &o));
    struct span leaf = buf_span(&der);
    static const int64_t lives_s[] = {60, STAPLE_LIFE_MAX_S, 40 * DAY};
    for (size_t i = 0; i < ARRAY_LEN(lives_s); i++) {
        int64_t now_s = now(), until_s = now_s + lives_s[i];
        int64_t most_s = until_s < now_s + STAPLE_LIFE_MAX_S ? until_s : now_s + STAPLE_LIFE_MAX_S;
        buf_clear(&response);
        assert_int_equal(staple_sign(ca, leaf, until_s, now_s, &response, &why), 0);
        assert_int_equal(staple_holds(leaf, buf_span(&response)), most_s);
    }
    buf_append(&response, "x", 1);
    struct span cut = buf_span(&response);
    cut.len /= 2;
    assert_int_equal(staple_holds(leaf, cut), 0); /* and isn't trusted */
    buf_clear(&response);
    assert_int_equal(staple_sign(ca, leaf, now() - 1, now(), &response, &why), -1);
    assert_string_equal(why, "what the server said has ended");
    struct ca *other = make_ca("other", NULL);
    assert_int_equal(staple_sign(other, leaf, now() + DAY, now(), &response, &why), -1);
    assert_string_equal(why, "this is no leaf of this CA");
    assert_int_equal(mint_request(ca, keys, &o, &request, NULL), 0); /* nobody has signed that yet */
    assert_int_equal(staple_sign(ca, buf_span(&request), now() + DAY, now(), &response, &why), -1);
    assert_int_equal(
        staple_sign(ca, leaf, now() + 500 * (int64_t)DAY, now() + 400 * (int64_t)DAY, &response, &why), -1);
    assert_int_equal(buf_len(&response), 0);
    ca_free(other);
    buf_free(&request);
    buf_free(&response);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mimics_the_server),
        cmocka_unit_test(names_what_was_asked_for_where_there_is_no_certificate),
        cmocka_unit_test(keeps_a_bound_on_names),
        cmocka_unit_test(distrusted_ones_fail_like_the_server),
        cmocka_unit_test(signs_leaves_for_servers_and_nothing_else),
        cmocka_unit_test(name_constraints_hold),
        cmocka_unit_test(keys_are_read_with_care),
        cmocka_unit_test(clients_take_it),
        cmocka_unit_test(answers_for_its_own_leaves_and_no_longer_than_told),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
