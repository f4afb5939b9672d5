/* chain_verify_test.c: for each C id a chain that shows it and exactly it, beside the good chain that shows none. */
#include "chain_make.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <openssl/ocsp.h>

static bool suffix_is_test(const char *domain)
{
    return strcmp(domain, "test") == 0 || strcmp(domain, "co.test") == 0;
}

/* What a case changes: plans leaf, middle, root; which are sent; what is asked. */
struct trial {
    struct cert_plan sent[6]; /* until the first without a subject */
    struct cert_plan roots[2], publics[1],
        cached[2]; /* likewise; no roots and no publics: make_root is the configured one */
    const char *name, *connect, *time, *crl_of; /* crl_of: see test_crl */
    bool nothing_trusted;
};

static size_t count_plans(const struct cert_plan *plans, size_t room)
{
    size_t n = 0;
    while (n < room && plans[n].subject)
        n++;
    return n;
}

#define PLANS(list) make_chain(list, count_plans(list, ARRAY_LEN(list)))

static struct chain_report verify_trial(const struct trial *t)
{
    struct trial copy = *t;
    if (!copy.roots[0].subject && !copy.publics[0].subject && !copy.nothing_trusted)
        copy.roots[0] = make_root;
    struct chain *sent = PLANS(copy.sent), *roots = PLANS(copy.roots), *publics = PLANS(copy.publics),
                 *cached = PLANS(copy.cached);
    struct trust *trust = trust_new_from(publics, roots, NULL);
    struct chain_report r;
    struct chain_question q = {.name = t->name ? t->name : "a.test",
                               .connect_name = t->connect,
                               .time_s = make_now(),
                               .trust = trust,
                               .cached = cached,
                               .is_public_suffix = suffix_is_test};
    assert_true(!t->time || rfc3339_parse(span_str(t->time), &q.time_s));
    assert_int_equal(chain_verify(sent, &q, &r), 0);
    trust_free(trust);
    chain_free(sent), chain_free(roots), chain_free(publics), chain_free(cached);
    return r;
}

/* `found` and `refused` are lists of C ids. */
static void expect_ids(const char *what, const struct trial *t, const char *found, const char *refused)
{
    char text[512];
    struct chain_report r = verify_trial(t);
    if (strcmp(make_ids(r.found, 'C', text), found) != 0)
        fail_msg("%s: found \"%s\", not \"%s\"", what, text, found);
    if (strcmp(make_ids(r.refused, 'C', text), refused) != 0)
        fail_msg("%s: refused for \"%s\", not \"%s\"", what, text, refused);
    assert_int_equal(r.trusted, refused[0] == '\0');
}

/* The good chain, with one plan changed. */
static struct trial good(void)
{
    return (struct trial){.sent = {make_leaf, make_middle}};
}

static void test_good(void **state)
{
    (void)state;
    struct trial t = good();
    expect_ids("good", &t, "", "");
    struct chain_report r = verify_trial(&t);
    assert_int_equal(r.class, CHAIN_PRIVATE_KNOWN);
    assert_int_equal(r.path_count, 3);
    assert_int_equal(r.path[0], 0);
    assert_int_equal(r.path[1], 1);
    assert_int_equal(r.path[2], -1);
    t.publics[0] = make_root;
    t.sent[0].until = "2025-12-31T00:00:00Z";
    expect_ids("good, public", &t, "C27", "");
    assert_int_equal(verify_trial(&t).class, CHAIN_PUBLIC);
}

static void test_leaf(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct cert_plan change; /* subject and issuer of the good leaf unless set */
        const char *found, *refused;
    } cases[] = {
        {"expired", {.until = "2025-06-15T11:59:59Z"}, "C04", "C04"},
        {"the last second", {.until = "2025-06-15T12:00:00Z"}, "", ""},
        {"not yet", {.from = "2025-06-15T12:00:01Z"}, "C05", "C05"},
        {"the first second", {.from = "2025-06-15T12:00:00Z"}, "", ""},
        {"another name", {.subject = "CN=x", .san = "DNS:b.test"}, "C07", "C07"},
        {"no names, a host as CN", {.san = "-"}, "C07 C08", "C07 C08"},
        {"CN not among the names", {.subject = "CN=b.test"}, "C08", "C08"},
        {"CN above the names",
         {.subject = "CN=test.example", .san = "DNS:a.test,DNS:a.test.example"},
         "",
         ""},
        {"CN is no host", {.subject = "CN=The A of Test"}, "", ""},
        {"CN an address in hexadecimal",
         {.subject = "CN=0xC0000201", .san = "DNS:a.test,IP:192.0.2.1"},
         "C08",
         "C08"},
        {"CN in other letters", {.subject = "CN=A.test"}, "C08", "C08"},
        {"partial wildcard", {.subject = "CN=x", .san = "DNS:a*.test.example,DNS:a.test"}, "C09", ""},
        {"wildcard in the middle", {.subject = "CN=x", .san = "DNS:a.*.test,DNS:a.test"}, "C09", ""},
        {"wildcard over a public suffix", {.subject = "CN=x", .san = "DNS:*.co.test,DNS:a.test"}, "C09", ""},
        {"wildcard over a top-level domain", {.subject = "CN=x", .san = "DNS:*.test"}, "C07 C09", "C07"},
        {"RSA 1024", {.key = "rsa:1024"}, "C11", "C11"},
        {"RSA 2047", {.key = "rsa:2047"}, "C11", "C11"},
        {"RSA 2048", {.key = "rsa:2048"}, "", ""},
        {"exponent 3", {.key = "rsa3"}, "C11", "C11"},
        {"DSA", {.key = "dsa"}, "C11", "C11"},
        {"P-192", {.key = "P-192"}, "C11", "C11"},
        {"curve written out", {.key = "explicit"}, "C11", "C11"},
        {"Ed25519", {.key = "ed25519"}, "", ""},
        {"spoilt signature", {.spoil_signature = true}, "C12", "C12"},
        {"a CA as leaf", {.basic = "critical,CA:TRUE"}, "C13", "C13"},
        {"a leaf that signs", {.usage = "digitalSignature,keyCertSign"}, "C13", "C13"},
        {"client certificate", {.purpose = "clientAuth"}, "C15", "C15"},
        {"any purpose alone", {.purpose = "anyExtendedKeyUsage"}, "C15", "C15"},
        {"no purpose", {.purpose = "-"}, "C15", ""},
        {"any purpose, too", {.purpose = "serverAuth,anyExtendedKeyUsage"}, "C15", ""},
        {"critical purpose", {.purpose = "critical,serverAuth"}, "C15", ""},
        {"both purposes", {.purpose = "serverAuth,clientAuth"}, "", ""},
        {"unknown critical", {.extra_oid = "!1.2.3.4.5"}, "C16", "C16"},
        {"unknown", {.extra_oid = "1.2.3.4.5"}, "", ""},
        {"constraints in the leaf", {.constraints = "critical,permitted;DNS:a.test"}, "C17", "C17"},
        {"two of an extension", {.twice_basic = true}, "C25", "C25"},
        {"serial 0", {.serial = "0"}, "C25", "C25"},
        {"serial negative", {.serial = "-2f8ae1c09b7d46350001"}, "C25", "C25"},
        {"serial of 20 octets", {.serial = "7f8ae1c09b7d46352f8ae1c09b7d46352f8ae1c0"}, "", ""},
        {"serial of 21 octets", {.serial = "8f8ae1c09b7d46352f8ae1c09b7d46352f8ae1c0"}, "C25", "C25"},
        {"SAN critical beside a subject", {.san = "critical,DNS:a.test"}, "C25", "C25"},
        {"no subject, SAN critical", {.subject = "", .key = "a", .san = "critical,DNS:a.test"}, "", ""},
        {"no subject, SAN not critical", {.subject = "", .key = "a"}, "C25", "C25"},
        {"no authority's key identifier", {.akid = "-"}, "C25", "C25"},
        {"no key identifier of its own", {.skid = "-"}, "", ""},
        {"two algorithms", {.tbs_algorithm_differs = true}, "C12 C26", "C12 C26"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct trial t = good();
        t.sent[0] = cases[i].change;
        t.sent[0].subject = cases[i].change.subject ? cases[i].change.subject : make_leaf.subject;
        t.sent[0].issuer = make_leaf.issuer;
        expect_ids(cases[i].what, &t, cases[i].found, cases[i].refused);
    }
}

static void test_digests(void **state)
{
    (void)state;
    struct trial t = good();
    t.sent[0].digest = EVP_sha1();
    expect_ids("SHA-1 leaf", &t, "C10", "C10");
    t = good();
    t.sent[1].digest = EVP_sha1();
    expect_ids("SHA-1 intermediate", &t, "C10", "C10");
    t = good();
    t.roots[0] = make_root;
    t.roots[0].digest = EVP_sha1();
    expect_ids("SHA-1 anchor", &t, "", "");
    t = good();
    t.sent[0].digest = EVP_sha512();
    expect_ids("SHA-512", &t, "", "");
    t.sent[0].version = 1;
    expect_ids("version 1", &t, "C07 C08 C15 C25 C26", "C07 C08 C25 C26");
}

static void test_intermediate(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct cert_plan change;
        const char *ids;
    } cases[] = {
        {"expired", {.until = "2025-03-01T00:00:00Z"}, "C04"},
        {"weak key", {.key = "rsa:1024"}, "C11"},
        {"a key to spend our time on", {.key = "curve:sect571r1"}, "C12"},
        {"no CA", {.basic = "critical,CA:FALSE"}, "C14"},
        {"no basic constraints", {.basic = "-"}, "C14"},
        {"basic constraints not critical", {.basic = "CA:TRUE"}, "C14"},
        {"may not sign", {.usage = "critical,cRLSign"}, "C14"},
        {"no key usage", {.usage = "-"}, ""},
        {"path length 0", {.basic = "critical,CA:TRUE,pathlen:0"}, ""},
        {"for clients", {.purpose = "clientAuth"}, "C15"},
        {"for servers", {.purpose = "serverAuth"}, ""},
        {"unknown critical", {.extra_oid = "!1.2.3.4.5"}, "C16"},
        {"permits the name", {.constraints = "critical,permitted;DNS:a.test"}, ""},
        {"permits what is above", {.constraints = "critical,permitted;DNS:test"}, ""},
        {"permits another", {.constraints = "critical,permitted;DNS:b.test"}, "C17"},
        {"permits addresses", {.constraints = "critical,permitted;IP:192.0.2.0/255.255.255.0"}, ""},
        {"excludes the name", {.constraints = "critical,excluded;DNS:a.test"}, "C17"},
        {"excludes another", {.constraints = "critical,excluded;DNS:b.test"}, ""},
        {"constraint with a dot in front", {.constraints = "critical,permitted;DNS:.test"}, "C17"},
        {"not critical, but kept", {.constraints = "permitted;DNS:b.test"}, "C17"},
        {"policy constraints not critical", {.policy = "requireExplicitPolicy:3"}, "C25"},
        {"an explicit policy that isn't there", {.policy = "critical,requireExplicitPolicy:0"}, "C25"},
        {"no key identifier", {.skid = "-"}, "C25"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct trial t = good();
        t.sent[1] = cases[i].change;
        t.sent[1].subject = make_middle.subject;
        t.sent[1].issuer = make_middle.issuer;
        t.sent[1].is_ca = true;
        t.sent[0].signer = cases[i].change.key;
        expect_ids(cases[i].what, &t, cases[i].ids, cases[i].ids);
    }
}

static void test_constraints_and_wildcards(void **state)
{
    (void)state;
    static const struct {
        const char *san, *constraints, *name, *ids;
    } cases[] = {
        {"DNS:*.b.test", "critical,excluded;DNS:a.b.test", "x.b.test", "C17"},
        {"DNS:*.b.test", "critical,excluded;DNS:y.a.b.test", "x.b.test", ""},
        {"DNS:*.b.test", "critical,permitted;DNS:a.b.test", "a.b.test", "C17"},
        {"DNS:*.b.test", "critical,permitted;DNS:b.test", "a.b.test", ""},
        {"IP:192.0.2.1", "critical,permitted;IP:192.0.2.0/255.255.255.0", "192.0.2.1", ""},
        {"IP:192.0.3.1", "critical,permitted;IP:192.0.2.0/255.255.255.0", "192.0.3.1", "C17"},
        {"IP:192.0.2.1", "critical,excluded;IP:192.0.2.0/255.255.255.0", "192.0.2.1", "C17"},
        {"IP:192.0.2.1", "critical,permitted;IP:192.0.2.0/255.0.255.0", "192.0.2.1", "C17"},
        {"DNS:a.test,email:a@b.test", "critical,excluded;email:b.test", "a.test", "C17"},
        {"DNS:a.test,email:a@c.test", "critical,excluded;email:b.test", "a.test", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct trial t = good();
        t.sent[0].subject = "CN=x";
        t.sent[0].san = cases[i].san;
        t.sent[1].constraints = cases[i].constraints;
        t.name = cases[i].name;
        expect_ids(cases[i].constraints, &t, cases[i].ids, cases[i].ids);
    }
}

static void test_path_length(void **state)
{
    (void)state;
    const struct cert_plan upper = {.subject = "CN=Upper",
                                    .issuer = make_root.subject,
                                    .is_ca = true,
                                    .basic = "critical,CA:TRUE,pathlen:0"};
    struct trial t = good();
    t.sent[1].issuer = upper.subject;
    t.sent[2] = upper;
    expect_ids("one too many below", &t, "C14", "C14");
    t.sent[1].subject = t.sent[0].issuer = upper.subject; /* self-issued, with another key: doesn't count */
    t.sent[1].key = t.sent[0].signer = "another";
    expect_ids("self-issued", &t, "", "");
}

static void test_roots(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct cert_plan change;
        const char *configured, *public; /* refused when the root is one of these */
    } cases[] = {
        {"not critical", {.basic = "CA:TRUE"}, "C14", ""},
        {"no key identifier", {.skid = "-"}, "C25", ""},
        {"authority's issuer", {.akid = "keyid:always,issuer:always"}, "C25", ""},
        {"exponent 3", {.key = "rsa3"}, "C11", ""},
        {"expired", {.until = "2025-03-01T00:00:00Z"}, "C04", "C04"},
        {"RSA 1024", {.key = "rsa:1024"}, "C11", "C11"},
        {"unknown critical", {.extra_oid = "!1.2.3.4.5"}, "C16", "C16"},
        {"purpose", {.purpose = "serverAuth"}, "", ""},
        {"constraints", {.constraints = "critical,permitted;DNS:b.test"}, "C17", "C17"},
        {"no key usage", {.usage = "-"}, "", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (int public = 0; public <= 1; public ++) {
            char text[512];
            struct trial t = good();
            struct cert_plan root = cases[i].change;
            root.subject = make_root.subject;
            root.is_ca = true;
            root.until = root.until ? root.until : make_root.until;
            t.sent[1].signer = root.key;
            *(public ? &t.publics[0] : &t.roots[0]) = root;
            struct chain_report r = verify_trial(&t);
            if (strcmp(make_ids(r.refused, 0, text), public ? cases[i].public : cases[i].configured) != 0)
                fail_msg("%s root, public %d: %s", cases[i].what, public, text);
        }
}

static void test_public_is_stricter(void **state)
{
    (void)state;
    static const char *const purposes[] = {"-", "serverAuth,anyExtendedKeyUsage", "critical,serverAuth"};
    for (size_t i = 0; i < ARRAY_LEN(purposes); i++) {
        struct trial t = good();
        t.publics[0] = make_root;
        t.sent[0].purpose = purposes[i];
        expect_ids(purposes[i], &t, "C15 C27", "C15");
    }
}

static void test_ends(void **state)
{
    (void)state;
    struct trial t = {.sent = {make_leaf}};
    expect_ids("no intermediate", &t, "C03", "C03");
    assert_int_equal(verify_trial(&t).class, CHAIN_PRIVATE_UNKNOWN);
    t.cached[0] = make_middle;
    expect_ids("cached intermediate", &t, "", "");
    t = (struct trial){.sent = {make_leaf, make_middle, make_root}, .nothing_trusted = true};
    expect_ids("untrusted root", &t, "C02 C22", "C02");
    assert_int_equal(verify_trial(&t).class, CHAIN_PRIVATE_UNKNOWN);
    t = (struct trial){.sent = {make_leaf}};
    t.sent[0].issuer = NULL;
    t.sent[0].akid = "-";
    expect_ids("self-signed", &t, "C01", "C01");
    assert_int_equal(verify_trial(&t).class, CHAIN_SELF_SIGNED);
    t = good();
    t.sent[0].issuer = make_leaf.subject; /* its own name as issuer, another's signature: not self-signed */
    t.sent[0].signer = "somebody";
    expect_ids("self-issued, signed by another", &t, "C03 C21", "C03");
    t = good();
    t.roots[0] = make_root;
    t.roots[0].key = t.roots[0].signer = "not the root's key";
    expect_ids("a root of the same name", &t, "C12", "C12");
    assert_int_equal(verify_trial(&t).class, CHAIN_PRIVATE_UNKNOWN);
}

/* A leaf that is itself configured: told to be self-signed, and trusted. */
static void test_pinned_leaf(void **state)
{
    (void)state;
    char text[512];
    struct cert_plan plan = make_leaf;
    plan.issuer = NULL;
    plan.akid = "-";
    struct chain *c = make_chain(&plan, 1), *other = make_chain(&plan, 1);
    struct trust *trust = trust_new_from(NULL, c, NULL);
    struct chain_question q = {.name = "a.test", .time_s = make_now(), .trust = trust};
    struct chain_report r;
    assert_int_equal(chain_verify(c, &q, &r), 0);
    assert_true(r.trusted);
    assert_int_equal(r.class, CHAIN_PRIVATE_KNOWN);
    assert_string_equal(make_ids(r.found, 'C', text), "C01");
    assert_int_equal(chain_verify(other, &q, &r), 0); /* the same name and key, another certificate */
    assert_false(r.trusted);
    assert_int_equal(r.class, CHAIN_SELF_SIGNED);
    chain_free(c), chain_free(other), trust_free(trust);
}

static void test_sending(void **state)
{
    (void)state;
    const struct cert_plan upper = {.subject = "CN=Upper", .issuer = make_root.subject, .is_ca = true};
    const struct cert_plan stranger = {.subject = "CN=Stranger", .issuer = "CN=Far", .is_ca = true};
    struct trial t = {.sent = {make_leaf, upper, make_middle}};
    t.sent[2].issuer = upper.subject;
    expect_ids("in disorder", &t, "C19", "");
    t = good();
    t.sent[1].serial = "2f8ae1c09b7d463500000001";
    t.sent[2] = t.sent[1];
    expect_ids("differ in the signature only", &t, "", "");
    t = good();
    t.sent[2] = stranger;
    expect_ids("a stranger", &t, "C21", "");
    t = good();
    t.sent[2] = make_root;
    expect_ids("root sent", &t, "C22", "");
    t = (struct trial){.sent[0].subject = NULL};
    expect_ids("nothing", &t, "C23", "C23");
    t = (struct trial){.sent = {make_leaf, make_middle, upper, upper, upper, upper}};
    t.sent[1].issuer = upper.subject;
    expect_ids("six", &t, "C24", "");
}

static void test_duplicate_and_malformed(void **state)
{
    (void)state;
    char text[512];
    struct span leaf = make_certificate(&make_leaf), middle = make_certificate(&make_middle),
                root = make_certificate(&make_root);
    struct chain *roots = chain_parse_der(&root, 1, NULL);
    struct trust *trust = trust_new_from(NULL, roots, NULL);
    struct chain_question q = {.name = "a.test", .time_s = make_now(), .trust = trust};
    struct span short_leaf = {leaf.data, leaf.len - 1};
    const struct {
        struct span sent[3];
        const char *found, *refused;
    } cases[] = {{{leaf, middle, middle}, "C20", ""},
                 {{leaf, middle, short_leaf}, "C21 C25", ""},
                 {{short_leaf, middle, leaf}, "C21 C25", "C25"},
                 {{{NULL, 0}, middle, leaf}, "C21 C25", "C25"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct chain *c = chain_parse_der(cases[i].sent, 3, NULL);
        struct chain_report r;
        assert_int_equal(chain_verify(c, &q, &r), 0);
        assert_string_equal(make_ids(r.found, 'C', text), cases[i].found);
        assert_string_equal(make_ids(r.refused, 'C', text), cases[i].refused);
        chain_free(c);
    }
    trust_free(trust), chain_free(roots);
    free((void *)(uintptr_t)leaf.data), free((void *)(uintptr_t)middle.data),
        free((void *)(uintptr_t)root.data);
}

/* A bad path never hides a good one. */
static void test_alternatives(void **state)
{
    (void)state;
    struct trial t = {.sent = {make_leaf, make_middle, make_middle}};
    t.sent[1].until = "2025-02-01T00:00:00Z";
    expect_ids("expired beside a good one", &t, "", "");
    t.sent[1] = make_middle;
    t.sent[1].constraints = "critical,excluded;DNS:a.test";
    expect_ids("constrained beside a good one", &t, "", "");
    t.sent[1] = make_middle;
    t.sent[1].issuer = "CN=Far Root";
    expect_ids("a cross certificate that leads nowhere", &t, "", "");
    t.sent[1] = make_middle;
    t.sent[1].key = "another key";
    expect_ids("a CA of the same name", &t, "", "");
    t = (struct trial){.sent = {make_leaf, make_middle, make_root},
                       .roots = {make_root, {.subject = "CN=Old", .is_ca = true}}};
    t.sent[2].issuer = "CN=Old";
    expect_ids("the root, cross-signed", &t, "", "");
    t = (struct trial){.sent = {make_leaf, make_middle, make_middle}};
    t.sent[1].issuer = "CN=B", t.sent[2].issuer = make_middle.subject, t.sent[2].subject = "CN=B";
    expect_ids("a circle", &t, "C03", "C03");
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *san, *name;
        bool matches;
    } cases[] = {
        {"DNS:a.test", "a.test", true},          {"DNS:A.Test", "a.test", true},
        {"DNS:a.test", "b.a.test", false},       {"DNS:b.a.test", "a.test", false},
        {"DNS:*.b.test", "a.b.test", true},      {"DNS:*.b.test", "a.a.b.test", false},
        {"DNS:*.b.test", "b.test", false},       {"DNS:*.b.test", "a_a.b.test", true},
        {"DNS:a_a.b.test", "a_a.b.test", false}, {"DNS:*", "a.test", false},
        {"DNS:a*.b.test", "aa.b.test", false},   {"DNS:*.*.test", "a.b.test", false},
        {"DNS:x.*.test", "x.b.test", false},     {"DNS:.b.test", "a.b.test", false},
        {"DNS:a.test.", "a.test", false},        {"IP:192.0.2.1", "192.0.2.1", true},
        {"IP:192.0.2.1", "192.0.2.2", false},    {"DNS:192.0.2.1", "192.0.2.1", false},
        {"IP:2001:db8::1", "2001:db8::1", true}, {"DNS:*.2.1", "192.0.2.1", false},
        {"email:a@b.test", "b.test", false},     {"URI:https://a.test/", "a.test", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct trial t = good();
        t.sent[0].subject = "CN=x";
        t.sent[0].san = cases[i].san;
        t.name = cases[i].name;
        if (verify_trial(&t).name_mismatch == cases[i].matches)
            fail_msg("%s against %s", cases[i].san, cases[i].name);
    }
    struct trial t = good();
    t.connect = "b.test";
    struct chain_report r = verify_trial(&t);
    assert_true(!r.name_mismatch && r.connect_mismatch && !r.trusted && chain_set_has(r.refused, CHAIN_C07));
}

/* ---- revocation ---- */

static struct chain_crls *make_crl(const char *issuer, const char *revoked_hex, const char *next,
                                   bool numbered)
{
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *t = ASN1_TIME_new();
    BIGNUM *n = NULL;
    make_name((X509_NAME *)(uintptr_t)X509_CRL_get_issuer(crl), issuer);
    make_time(t, "2025-06-01T00:00:00Z");
    must(X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1 && X509_CRL_set1_lastUpdate(crl, t) == 1);
    make_time(t, next);
    must(X509_CRL_set1_nextUpdate(crl, t) == 1);
    X509_REVOKED *entry = X509_REVOKED_new();
    must(BN_hex2bn(&n, revoked_hex) > 0);
    ASN1_INTEGER *serial = BN_to_ASN1_INTEGER(n, NULL);
    must(X509_REVOKED_set_serialNumber(entry, serial) == 1 &&
         X509_REVOKED_set_revocationDate(entry, t) == 1 && X509_CRL_add0_revoked(crl, entry) == 1);
    if (numbered)
        must(X509_CRL_add1_ext_i2d(crl, NID_crl_number, serial, 0, 0) == 1);
    must(X509_CRL_sort(crl) == 1 && X509_CRL_sign(crl, make_key(issuer), EVP_sha256()) > 0);
    unsigned char *der = NULL;
    int len = i2d_X509_CRL(crl, &der);
    struct chain_crls *c = chain_crls_parse(span_of(der, (size_t)len), NULL);
    must(c);
    OPENSSL_free(der), ASN1_INTEGER_free(serial), BN_free(n), ASN1_TIME_free(t), X509_CRL_free(crl);
    return c;
}

/* A response about `leaf`, signed by `key` as `responder`; the caller's. */
static struct span make_ocsp(struct span leaf_der, struct span issuer_der, const char *key,
                             struct span responder_der, int status, const char *from, const char *until)
{
    const unsigned char *l = leaf_der.data, *i = issuer_der.data, *r = responder_der.data;
    X509 *leaf = d2i_X509(NULL, &l, (long)leaf_der.len), *issuer = d2i_X509(NULL, &i, (long)issuer_der.len),
         *responder = d2i_X509(NULL, &r, (long)responder_der.len);
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    ASN1_TIME *this_update = ASN1_TIME_new(), *next_update = ASN1_TIME_new();
    make_time(this_update, from);
    make_time(next_update, until);
    ASN1_TIME *a = ASN1_TIME_to_generalizedtime(this_update, NULL),
              *b = ASN1_TIME_to_generalizedtime(next_update, NULL);
    OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), leaf, issuer);
    must(OCSP_basic_add1_status(basic, id, status, 0, status == V_OCSP_CERTSTATUS_REVOKED ? a : NULL, a, b));
    must(OCSP_basic_sign(basic, responder, make_key(key), EVP_sha256(), NULL, 0) == 1);
    OCSP_RESPONSE *response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    unsigned char *der = NULL;
    int len = i2d_OCSP_RESPONSE(response, &der);
    must(len > 0);
    void *copy = malloc((size_t)len);
    must(copy);
    memcpy(copy, der, (size_t)len);
    OPENSSL_free(der), OCSP_RESPONSE_free(response), OCSP_BASICRESP_free(basic), OCSP_CERTID_free(id);
    ASN1_TIME_free(this_update), ASN1_TIME_free(next_update), ASN1_TIME_free(a), ASN1_TIME_free(b);
    X509_free(leaf), X509_free(issuer), X509_free(responder);
    return span_of(copy, (size_t)len);
}

static void test_ocsp(void **state)
{
    (void)state;
    const struct cert_plan appointed_plan = {.subject = "CN=Responder",
                                             .issuer = make_middle.subject,
                                             .purpose = "OCSPSigning"},
                           stranger_plan = {.subject = "CN=Stranger", .purpose = "OCSPSigning"},
                           other_plan = {.subject = "CN=b.test", .issuer = make_middle.subject};
    struct span root = make_certificate(&make_root), middle = make_certificate(&make_middle),
                leaf = make_certificate(&make_leaf), appointed = make_certificate(&appointed_plan),
                stranger = make_certificate(&stranger_plan), other = make_certificate(&other_plan);
    const char *const from = "2025-06-01T00:00:00Z", *const until = "2025-12-01T00:00:00Z";
    const struct {
        const char *name, *key;
        struct span about, responder;
        int status;
        const char *from, *until;
        bool found, trusted;
    } rows[] = {
        {"good", make_middle.subject, leaf, middle, V_OCSP_CERTSTATUS_GOOD, from, until, false, true},
        {"good, by an appointed responder", "CN=Responder", leaf, appointed, V_OCSP_CERTSTATUS_GOOD, from,
         until, false, true},
        {"revoked", make_middle.subject, leaf, middle, V_OCSP_CERTSTATUS_REVOKED, from, until, true, false},
        {"revoked, says a stranger", "CN=Stranger", leaf, stranger, V_OCSP_CERTSTATUS_REVOKED, from, until,
         true, true},
        {"good, says another leaf", "CN=b.test", leaf, other, V_OCSP_CERTSTATUS_GOOD, from, until, true,
         true},
        {"unknown", make_middle.subject, leaf, middle, V_OCSP_CERTSTATUS_UNKNOWN, from, until, true, true},
        {"about another", make_middle.subject, other, middle, V_OCSP_CERTSTATUS_GOOD, from, until, true,
         true},
        {"over", make_middle.subject, leaf, middle, V_OCSP_CERTSTATUS_GOOD, "2025-01-02T00:00:00Z",
         "2025-01-09T00:00:00Z", true, true},
        {"to come", make_middle.subject, leaf, middle, V_OCSP_CERTSTATUS_GOOD, "2025-11-01T00:00:00Z", until,
         true, true},
    };
    const struct span sent[] = {leaf, middle};
    struct err err = {0};
    struct chain *chain = chain_parse_der(sent, 2, &err), *roots = chain_parse_der(&root, 1, &err);
    struct trust *trust = trust_new_from(roots, NULL, &err);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct chain_report r;
        struct span ocsp = make_ocsp(rows[i].about, middle, rows[i].key, rows[i].responder, rows[i].status,
                                     rows[i].from, rows[i].until);
        struct chain_question q = {.name = "a.test", .time_s = make_now(), .trust = trust, .ocsp = ocsp};
        assert_int_equal(chain_verify(chain, &q, &r), 0);
        if (chain_set_has(r.found, CHAIN_C18) != rows[i].found || r.trusted != rows[i].trusted)
            fail_msg("%s: found %d, trusted %d", rows[i].name, chain_set_has(r.found, CHAIN_C18), r.trusted);
        assert_int_equal(r.staple_until_s > 0, !rows[i].found);
        q.staple_counts = true;
        assert_int_equal(chain_verify(chain, &q, &r), 0);
        assert_int_equal(r.trusted, !rows[i].found);
        q.ocsp.len -= 7; /* cut short */
        assert_int_equal(chain_verify(chain, &q, &r), 0);
        assert_true(chain_set_has(r.found, CHAIN_C18) && !r.trusted);
        q.staple_counts = false;
        assert_int_equal(chain_verify(chain, &q, &r), 0);
        assert_true(chain_set_has(r.found, CHAIN_C18) && r.trusted && r.staple_until_s == 0);
        free((void *)(uintptr_t)ocsp.data);
    }
    trust_free(trust);
    chain_free(roots);
    chain_free(chain);
    const struct span all[] = {root, middle, leaf, appointed, stranger, other};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        free((void *)(uintptr_t)all[i].data);
}

static void test_crl(void **state)
{
    (void)state;
    static const char serial[] = "2f8ae1c09b7d463512345678", other[] = "2f8ae1c09b7d463512345679",
                      later[] = "2025-07-01T00:00:00Z";
    const struct {
        const char *what, *issuer, *revoked, *next;
        bool numbered;
        const char *ids;
    } cases[] = {{"revoked", make_middle.subject, serial, later, true, "C18"},
                 {"not revoked", make_middle.subject, other, later, true, ""},
                 {"another issuer's", "CN=Far", serial, later, true, ""},
                 {"too old", make_middle.subject, other, "2025-06-02T00:00:00Z", true, "C18"},
                 {"no number", make_middle.subject, other, later, false, "C18"}};
    struct cert_plan leaf = make_leaf;
    leaf.serial = serial;
    const struct cert_plan sent[] = {leaf, make_middle};
    struct chain *c = make_chain(sent, 2), *roots = make_chain(&make_root, 1);
    struct trust *trust = trust_new_from(NULL, roots, NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[512];
        struct chain_crls *crls =
            make_crl(cases[i].issuer, cases[i].revoked, cases[i].next, cases[i].numbered);
        struct chain_question q = {.name = "a.test", .time_s = make_now(), .trust = trust, .crls = crls};
        struct chain_report r;
        assert_int_equal(chain_verify(c, &q, &r), 0);
        if (strcmp(make_ids(r.refused, 0, text), cases[i].ids) != 0)
            fail_msg("%s: %s", cases[i].what, text);
        chain_crls_free(crls);
    }
    struct err err = {0};
    assert_null(chain_crls_parse(span_str("nothing"), &err));
    assert_string_not_equal(err.text, "");
    chain_free(c), chain_free(roots), trust_free(trust);
}

/* Sixty-four CAs of one name that all sign for each other, and nothing that leads out: an answer, soon. */
static void test_maze(void **state)
{
    (void)state;
    struct cert_plan plans[MAKE_CHAIN_MAX];
    char keys[MAKE_CHAIN_MAX][16];
    plans[0] = make_leaf;
    plans[0].issuer = "CN=Maze";
    plans[0].signer = "maze 1";
    for (size_t i = 1; i < MAKE_CHAIN_MAX; i++) {
        snprintf(keys[i], sizeof keys[i], "maze %zu", i % 20);
        plans[i] = (struct cert_plan){.subject = "CN=Maze",
                                      .issuer = "CN=Maze",
                                      .is_ca = true,
                                      .key = keys[i],
                                      .akid = "-",
                                      .skid = "-"};
        plans[i].signer = keys[i];
    }
    for (size_t i = 1; i < MAKE_CHAIN_MAX; i++)
        plans[i].signer = keys[1 + (i * 7 + 3) % (MAKE_CHAIN_MAX - 1)];
    struct chain *c = make_chain(plans, MAKE_CHAIN_MAX);
    struct chain_question q = {.name = "a.test", .time_s = make_now()};
    struct chain_report r;
    assert_int_equal(chain_count(c), CHAIN_CERTIFICATES_MAX);
    assert_int_equal(chain_total_count(c), MAKE_CHAIN_MAX);
    assert_int_equal(chain_verify(c, &q, &r), 0);
    assert_false(r.trusted);
    assert_true(chain_set_has(r.found, CHAIN_C24));
    chain_free(c);
}

static int tear_down(void **state)
{
    (void)state;
    make_free_keys();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),         cmocka_unit_test(test_leaf),
        cmocka_unit_test(test_digests),      cmocka_unit_test(test_intermediate),
        cmocka_unit_test(test_path_length),  cmocka_unit_test(test_constraints_and_wildcards),
        cmocka_unit_test(test_roots),        cmocka_unit_test(test_public_is_stricter),
        cmocka_unit_test(test_ends),         cmocka_unit_test(test_sending),
        cmocka_unit_test(test_names),        cmocka_unit_test(test_duplicate_and_malformed),
        cmocka_unit_test(test_alternatives), cmocka_unit_test(test_crl),
        cmocka_unit_test(test_ocsp),         cmocka_unit_test(test_maze),
        cmocka_unit_test(test_pinned_leaf),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
