/* rules_inline_test.c: what rules say of facts as they become known: three values, several sources, what only grows; actions.yaml; what
 * correlations of several exchanges come to; points at which to ask again. */
#include "flow/tally.h"
#include "rules/evaluate.h"

#include "base/must.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

struct bench {
    struct arena arena;
    const struct logsource *tables;
    struct sigma_document *first, **tail;
    struct rulebook *book;
    struct evaluator *evaluator;
    struct evaluation x;
    struct facts facts;
};

static void take(void *context, struct sigma_document *d, const struct err *e)
{
    struct bench *b = context;
    if (!d)
        fail_msg("%u:%u %s", e->line, e->column, e->text);
    struct err err = {0};
    if (logsource_check(b->tables, d, &err) != 0)
        fail_msg("%u:%u %s", err.line, err.column, err.text);
    *b->tail = d;
    b->tail = &d->next;
}

static void reject(void *context, const struct sigma_document *d, const struct err *e)
{
    (void)context;
    (void)d;
    fail_msg("%u:%u %s", e->line, e->column, e->text);
}

static const char *name_field(void *context, const struct sigma_document *d, const char *field)
{
    const struct bench *b = context;
    return logsource_name_field(b->tables, &d->logsource, field);
}

static void start(struct bench *b, const char *rules, const char *actions)
{
    struct err err = {0};
    char why[COMPILE_WHY_BYTES];
    *b = (struct bench){0};
    b->tail = &b->first;
    arena_init(&b->arena, 64 << 20);
    b->tables = logsource_read_all(&b->arena, &err);
    assert_non_null(b->tables);
    sigma_read(&b->arena, span_str(rules), "test.yml", &(struct sigma_options){0}, take, b);
    struct ruleset *set = ruleset_link_named(b->first, name_field, reject, b);
    struct compiled *compiled = compile_all(set, why);
    assert_non_null(compiled);
    struct actions *a = actions ? actions_parse(span_str(actions), "actions.yaml", &err) : NULL;
    assert_true(!actions || a);
    b->book = rulebook_make(&b->arena, set, compiled, b->tables, a, &err);
    actions_free(a);
    assert_non_null(b->book);
    b->evaluator = evaluator_new(b->book);
    assert_non_null(b->evaluator);
}

static void next_exchange(struct bench *b)
{
    evaluation_free(&b->x);
    b->facts = (struct facts){0};
}

static void end(struct bench *b)
{
    next_exchange(b);
    evaluator_free(b->evaluator);
    rulebook_free(b->book);
}

/* The titles of the rules that are true, in a row. */
static const char *ask(struct bench *b, enum fact_phase phase)
{
    static char text[256];
    const uint32_t *rules;
    size_t count;
    text[0] = '\0';
    assert_int_equal(evaluate(b->evaluator, &b->x, &b->facts,
                              (struct evaluate_how){.phase = phase, .always = true}, &rules, &count),
                     0);
    for (size_t i = 0; i < count; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s ",
                 b->book->set->rules[rules[i]].document->title);
    return text;
}

#define RULE(title, detection)                                                                               \
    "title: " title "\nid: " title "\nname: " title "\nlogsource: {category: proxy}\ndetection: " detection  \
    "\n---\n"

static void test_several_sources(void **state)
{
    (void)state;
    struct bench b;
    start(&b,
          RULE("is", "{a: {cs-host: evil.test}, condition: a}")
              RULE("not", "{a: {cs-host: evil.test}, condition: not a}")
                  RULE("none", "{a: {cs-host: null}, condition: a}"),
          NULL);
    fact_set_text(&b.facts, FACT_host, "good.test");
    assert_string_equal(ask(&b, FACT_CONNECT), ""); /* the hello may still say evil.test */
    fact_set_text(&b.facts, FACT_sni, "evil.test");
    assert_string_equal(ask(&b, FACT_CONNECT), ""); /* not before its phase */
    assert_string_equal(ask(&b, FACT_HELLO), "is ");
    assert_string_equal(ask(&b, FACT_CLOSE), "is ");
    next_exchange(&b);
    fact_set_text(&b.facts, FACT_host, "good.test");
    fact_set_text(&b.facts, FACT_sni, NULL);
    assert_string_equal(ask(&b, FACT_HELLO), ""); /* the Host field is still to come */
    facts_settle(&b.facts, FACT_REQUEST, FACT_UNOBSERVABLE);
    assert_string_equal(ask(&b, FACT_HELLO), "not ");
    next_exchange(&b);
    fact_set_text(&b.facts, FACT_host, NULL);
    facts_settle(&b.facts, FACT_HELLO, FACT_ABSENT);
    assert_string_equal(ask(&b, FACT_HELLO), "");
    facts_settle(&b.facts, FACT_REQUEST, FACT_UNOBSERVABLE);
    assert_string_equal(ask(&b, FACT_HELLO), "not none ");
    next_exchange(&b);
    facts_settle(&b.facts, FACT_CONNECT, FACT_UNOBSERVABLE);
    facts_settle(&b.facts, FACT_HELLO, FACT_UNOBSERVABLE);
    facts_settle(&b.facts, FACT_REQUEST, FACT_UNOBSERVABLE);
    assert_string_equal(ask(&b, FACT_HELLO), ""); /* nobody looked: neither null nor not */
    assert_string_equal(ask(&b, FACT_CLOSE), "");
    end(&b);
}

static void test_what_grows(void **state)
{
    (void)state;
    struct bench b;
    start(&b,
          RULE("more", "{a: {cs-bytes|gt: 100}, condition: a}")
              RULE("less", "{a: {cs-bytes|lt: 1000}, condition: a}")
                  RULE("same", "{a: {cs-bytes: 150}, condition: a}")
                      RULE("not", "{a: {cs-bytes|gte: 1000}, condition: not a}"),
          NULL);
    fact_set_int(&b.facts, FACT_bytes_out, 100);
    assert_string_equal(ask(&b, FACT_RELAY), "");
    fact_set_int(&b.facts, FACT_bytes_out, 150);
    assert_string_equal(ask(&b, FACT_RELAY), "more ");
    assert_string_equal(ask(&b, FACT_CLOSE), "more less same not ");
    assert_int_equal(rulebook_next_point(b.book, FACT_bytes_out, 0), 101);
    assert_int_equal(rulebook_next_point(b.book, FACT_bytes_out, 101), 1000);
    assert_true(rulebook_next_point(b.book, FACT_bytes_out, 1000) == INT64_MAX);
    assert_true(rulebook_next_point(b.book, FACT_bytes_in, 0) == INT64_MAX);
    end(&b);
}

static void test_what_is_still_to_come(void **state)
{
    (void)state;
    struct bench b;
    start(&b, RULE("url", "{a: {c-uri|contains: x}, h: {cs-host: a.test}, condition: a and h}"), NULL);
    fact_set_text(&b.facts, FACT_host, "a.test");
    ask(&b, FACT_HELLO);
    assert_int_equal(match_rule(evaluator_match(b.evaluator), 0), TRUTH_UNKNOWN);
    assert_true(evaluator_may_become_known(b.evaluator, 0));
    facts_settle(&b.facts, FACT_HELLO, FACT_ABSENT);
    facts_settle(&b.facts, FACT_REQUEST, FACT_UNOBSERVABLE);
    ask(&b, FACT_HELLO);
    assert_int_equal(match_rule(evaluator_match(b.evaluator), 0), TRUTH_UNKNOWN);
    assert_false(evaluator_may_become_known(b.evaluator, 0));
    next_exchange(&b);
    fact_set_text(&b.facts, FACT_host, "b.test");
    facts_settle(&b.facts, FACT_HELLO, FACT_ABSENT);
    facts_settle(&b.facts, FACT_REQUEST, FACT_UNOBSERVABLE);
    ask(&b, FACT_HELLO);
    assert_int_equal(match_rule(evaluator_match(b.evaluator), 0), TRUTH_FALSE);
    end(&b);
}

/* Looked at step by step or all at once: the same. And another exchange in between changes nothing. */
static void test_again_is_the_same(void **state)
{
    (void)state;
    struct bench b;
    struct evaluation other = {0};
    struct facts noise = {0};
    const uint32_t *rules;
    size_t count;
    start(&b,
          RULE("both", "{a: {cs-host|contains: ev}, u: {c-uri|re: 'x+y'}, condition: a and u}")
              RULE("any", "{k: [needle], condition: k}")
                  RULE("net", "{n: {dst_ip|cidr: 192.0.2.0/24, dst_port: 443}, condition: n}"),
          NULL);
    struct ip ip;
    assert_true(ip_parse(span_str("192.0.2.9"), &ip));
    fact_set_text(&b.facts, FACT_host, "evil.test");
    fact_set_int(&b.facts, FACT_port, 443);
    assert_string_equal(ask(&b, FACT_CONNECT), "");
    fact_set_text(&noise, FACT_host, "needle");
    assert_int_equal(
        evaluate(b.evaluator, &other, &noise, (struct evaluate_how){.phase = FACT_CONNECT}, &rules, &count),
        0);
    assert_int_equal(count, 1);
    fact_set_ip(&b.facts, FACT_server_ip, &ip);
    assert_string_equal(ask(&b, FACT_ADDRESS), "net ");
    fact_set_text(&b.facts, FACT_url_whole, "https://evil.test/xxy");
    assert_string_equal(ask(&b, FACT_REQUEST), "both net ");
    fact_set_text(&b.facts, FACT_cookie, "a needle");
    assert_string_equal(ask(&b, FACT_REQUEST), "both any net ");
    assert_int_equal(
        evaluate(b.evaluator, &b.x, &b.facts, (struct evaluate_how){.phase = FACT_REQUEST}, &rules, &count),
        0);
    assert_int_equal(count, 0); /* nothing new */
    evaluation_free(&b.x);
    assert_string_equal(ask(&b, FACT_REQUEST), "both any net ");
    evaluation_free(&other);
    end(&b);
}

/* What a process is asked once holds for its other exchanges, and for no other process. */
static void test_processes(void **state)
{
    (void)state;
    struct bench b;
    start(&b,
          "title: p\nid: p\nlogsource: {category: process_creation}\n"
          "detection: {s: {Image|endswith: /curl, CommandLine|contains: secret}, condition: s}\n---\n"
          "title: n\nid: n\nlogsource: {category: process_creation}\n"
          "detection: {s: {CommandLine: null}, condition: s}\n---\n"
          "title: h\nid: h\nlogsource: {category: network_connection}\n"
          "detection: {s: {Image|endswith: /curl, DestinationHostname: a.test}, condition: s}\n",
          NULL);
    static const struct {
        const char *image, *line, *host, *matched;
    } rows[] = {
        {"/usr/bin/curl", "curl secret", "a.test", "p h "},
        {"/usr/bin/curl", "curl secret", "b.test", "p "},
        {"/usr/bin/curl", "curl public", "a.test", "h "},
        {"/usr/bin/wget", "curl secret", "a.test", ""},
        {"/usr/bin/curl", NULL, "a.test", "n h "},
        {"/usr/bin/curl", "curl secret", "a.test", "p h "},
        {"/usr/bin/curl", NULL, "b.test", "n "},
    };
    for (size_t i = 0; i < 2 * ARRAY_LEN(rows); i++) {
        size_t n = i % ARRAY_LEN(rows);
        next_exchange(&b);
        fact_set_text(&b.facts, FACT_sender_image, rows[n].image);
        fact_set_text(&b.facts, FACT_sender_command_line, rows[n].line);
        fact_set_text(&b.facts, FACT_host, rows[n].host);
        assert_string_equal(ask(&b, FACT_CONNECT), rows[n].matched);
        fact_set_text(&b.facts, FACT_sni, "a.test");
        assert_int_equal(strstr(ask(&b, FACT_HELLO), "h ") != NULL,
                         strcmp(rows[n].image, "/usr/bin/curl") == 0);
    }
    assert_int_equal(evaluator_processes_asked(b.evaluator), 4); /* of 14 exchanges with 28 looks */
    end(&b);
}

/* Rules as people write them elsewhere, one for each log source that the tables in policy/sigma map. */
static void test_each_logsource(void **state)
{
    (void)state;
    static const struct {
        const char *logsource, *detection;
        enum fact fact;
        const char *text;
        enum fact_phase phase;
    } rows[] = {
        {"{category: proxy}", "{s: {c-uri|contains: /gate.php}, condition: s}", FACT_url_whole,
         "http://a.test/gate.php?x", FACT_REQUEST},
        {"{category: network_connection, product: windows}",
         "{s: {DestinationHostname|endswith: .evil.test}, condition: s}", FACT_host, "x.evil.test",
         FACT_CONNECT},
        {"{category: dns}", "{s: {query|endswith: .evil.test}, condition: s}", FACT_host, "y.evil.test",
         FACT_CONNECT},
        {"{category: dns_query, product: windows}", "{s: {QueryName: evil.test}, condition: s}", FACT_host,
         "evil.test", FACT_CONNECT},
        {"{category: firewall}", "{s: {dst_ip|cidr: 203.0.113.0/24}, condition: s}", FACT_server_ip,
         "203.0.113.9", FACT_ADDRESS},
        {"{product: zeek, service: conn}", "{s: {id.resp_h: 203.0.113.9}, condition: s}", FACT_server_ip,
         "203.0.113.9", FACT_ADDRESS},
        {"{product: zeek, service: ssl}", "{s: {server_name: sni.test}, condition: s}", FACT_sni, "sni.test",
         FACT_HELLO},
        {"{product: zeek, service: x509}", "{s: {certificate.issuer|contains: Evil}, condition: s}",
         FACT_chain_issuer, "CN=Evil CA", FACT_CHAIN},
        {"{product: zeek, service: http}", "{s: {uri|startswith: /panel}, condition: s}", FACT_url_target,
         "/panel?a", FACT_REQUEST},
        {"{product: zeek, service: dns}", "{s: {query: evil.test}, condition: s}", FACT_host, "evil.test",
         FACT_CONNECT},
        {"{category: webserver}", "{s: {cs-method: TRACE}, condition: s}", FACT_request_method, "TRACE",
         FACT_REQUEST},
        {"{category: process_creation, product: linux}",
         "{s: {Image|endswith: /nc, CommandLine|contains: ' -e '}, condition: s}", FACT_sender_image,
         "/usr/bin/nc", FACT_CONNECT},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct bench b;
        struct ip ip;
        char rule[512];
        snprintf(rule, sizeof rule,
                 "title: r\nid: 6f4e7a5c-0000-4000-8000-000000000000\nstatus: test\nlevel: high\n"
                 "logsource: %s\ndetection: %s\n",
                 rows[i].logsource, rows[i].detection);
        start(&b, rule, NULL);
        fact_set_text(&b.facts, FACT_sender_command_line, "nc -e /bin/sh");
        assert_string_equal(ask(&b, FACT_CONNECT), "");
        if (fact_table[rows[i].fact].type == FACT_IP) {
            assert_true(ip_parse(span_str(rows[i].text), &ip));
            fact_set_ip(&b.facts, rows[i].fact, &ip);
        } else {
            fact_set_text(&b.facts, rows[i].fact, rows[i].text);
        }
        if (strcmp(ask(&b, rows[i].phase), "r ") != 0)
            fail_msg("%s", rows[i].logsource);
        assert_true(b.book->phases[0] <= rows[i].phase);
        end(&b);
    }
}

static void test_tally(void **state)
{
    (void)state;
    struct bench b;
    start(&b,
          RULE("asked",
               "{a: {cs-host|endswith: .test}, condition: a}") "title: spread\nid: spread\ncorrelation: "
                                                               "{type: value_count, rules: [asked], "
                                                               "group-by: [c-ip], timespan: 1m, "
                                                               "condition: {field: r-ip, gte: 2}}\n",
          NULL);
    struct tally *t = tally_new(b.book);
    assert_non_null(t);
    assert_true(tally_counts(t, 0) && !tally_counts(t, 1));
    uint32_t fired[4], rule = 0;
    size_t count = 0;
    for (int i = 0; i < 2; i++) {
        struct ip client, server;
        char text[32];
        snprintf(text, sizeof text, "192.0.2.%d", i + 1);
        assert_true(ip_parse(span_str("127.0.0.1"), &client) && ip_parse(span_str(text), &server));
        next_exchange(&b);
        fact_set_ip(&b.facts, FACT_client_ip, &client);
        fact_set_text(&b.facts, FACT_host, "a.test");
        assert_string_equal(ask(&b, FACT_CONNECT), "asked ");
        assert_false(tally_is_ready(t, evaluator_match(b.evaluator), 0)); /* the address isn't known */
        fact_set_ip(&b.facts, FACT_server_ip, &server);
        ask(&b, FACT_ADDRESS);
        assert_true(tally_is_ready(t, evaluator_match(b.evaluator), 0));
        count = tally_count(t, evaluator_match(b.evaluator), 1000 + i, &rule, 1, 0, fired, 4);
        assert_int_equal(count, i);
    }
    assert_int_equal(fired[0], 1);
    tally_free(t);
    end(&b);
}

#define COUNTED                                                                                              \
    RULE("asked", "{a: {cs-host|endswith: .test}, condition: a}")                                            \
    "title: often\nid: often\ncorrelation: {type: event_count, rules: [asked], group-by: [c-ip], "           \
    "timespan: 1m, condition: {gte: 3}}\n"

static size_t count_one(struct bench *b, struct tally *t, int64_t now_ms)
{
    struct ip client;
    uint32_t fired[4], rule = 0;
    while (strcmp(b->book->set->rules[rule].document->title, "asked") != 0)
        rule++;
    assert_true(ip_parse(span_str("192.0.2.1"), &client));
    next_exchange(b);
    fact_set_ip(&b->facts, FACT_client_ip, &client);
    fact_set_text(&b->facts, FACT_host, "a.test");
    ask(b, FACT_CONNECT);
    return tally_count(t, evaluator_match(b->evaluator), now_ms, &rule, 1, 0, fired, 4);
}

/* The same correlation in the next policy counts on, together with exchanges that are still under the old one; a changed one begins anew. */
static void test_tally_after_a_reload(void **state)
{
    (void)state;
    static struct bench first, second, third;
    start(&first, COUNTED, NULL);
    start(&second, RULE("new", "{a: {cs-host: n.test}, condition: a}") COUNTED, NULL);
    start(
        &third,
        RULE(
            "asked",
            "{a: {cs-host|endswith: .tests}, b: {cs-host|endswith: .test}, condition: a or b}") "title: "
                                                                                                "often\nid: "
                                                                                                "often\ncorre"
                                                                                                "lation: "
                                                                                                "{type: "
                                                                                                "event_count,"
                                                                                                " rules: "
                                                                                                "[asked], "
                                                                                                "group-by: "
                                                                                                "[c-ip], "
                                                                                                "timespan: "
                                                                                                "1m, "
                                                                                                "condition: "
                                                                                                "{gte: 3}}\n",
        NULL);
    struct tally *a = tally_new(first.book), *b = tally_new(second.book), *c = tally_new(third.book);
    assert_true(a && b && c);
    assert_int_equal(count_one(&first, a, 1000), 0);
    tally_adopt(b, a);
    tally_adopt(c, b);
    assert_int_equal(count_one(&first, a, 1001), 0);
    assert_int_equal(count_one(&second, b, 1002), 1);
    tally_free(a);
    assert_int_equal(count_one(&second, b, 1003), 1);
    assert_int_equal(count_one(&third, c, 1004), 0);
    assert_int_equal(count_one(&third, c, 1005), 0);
    assert_int_equal(count_one(&second, b, 70000), 0); /* the minute is over */
    tally_free(b);
    assert_int_equal(count_one(&third, c, 1006), 1);
    tally_free(c);
    end(&first);
    end(&second);
    end(&third);
}

static void test_actions(void **state)
{
    (void)state;
    struct bench b;
    start(&b,
          "title: a\nid: a\nlevel: high\nstatus: stable\ntags: [attack.t1]\nlogsource: {category: proxy}\n"
          "detection: {s: {cs-host: x}, condition: s}\n---\n"
          "title: b\nid: b\nname: bee\nlevel: high\nlogsource: {category: proxy}\ndetection: {s: {cs-host: "
          "x}, condition: s}\n---\n"
          "title: c\nid: c\nlevel: low\nlogsource: {category: proxy}\ndetection: {s: {cs-host: x}, "
          "condition: s}\n",
          "version: 1\nactions:\n"
          "  - {tag: attack.t1, action: cut, simulate: true}\n"
          "  - {rule: [bee, zzz], action: block, on_unknown: hold, on_unevaluable: refuse}\n"
          "  - {level: [high, critical], status: stable, action: terminate}\n");
    const struct action *a = b.book->actions;
    assert_true(a[0].kind == ACTION_CUT && a[0].simulate && a[0].line == 3);
    assert_true(a[1].kind == ACTION_BLOCK && a[1].on_unknown == ACTION_HOLD &&
                a[1].on_unevaluable == UNEVALUABLE_REFUSE);
    assert_true(a[2].kind == ACTION_ALERT && a[2].line == 0);
    assert_int_equal(b.book->gated_count, 1);
    end(&b);
}

static void test_bad_actions(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned line, column;
    } rows[] = {
        {"", 1, 1},
        {"version: 2\nactions: []\n", 1, 10},
        {"version: 1\n", 1, 1},
        {"version: 1\nactions:\n  - {action: block}\n", 3, 5},
        {"version: 1\nactions:\n  - {rule: a}\n", 3, 5},
        {"version: 1\nactions:\n  - {rule: a, action: blok}\n", 3, 23},
        {"version: 1\nactions:\n  - {rule: a, action: block, simulated: true}\n", 3, 30},
        {"version: 1\nactions:\n  - {level: hihg, action: block}\n", 3, 13},
        {"version: 1\nactions:\n  - {level: [], action: block}\n", 3, 13},
        {"version: 1\nactions:\n  - {rule: a, action: alert, on_unknown: block}\n", 3, 30},
        {"version: 1\nactions:\n  - {rule: a, action: block, on_unevaluable: hold}\n", 3, 46},
        {"version: 1\nactions:\n  - {rule: a, action: alert, on_unevaluable: refuse}\n", 3, 30},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = {0};
        assert_null(actions_parse(span_str(rows[i].text), "a.yaml", &err));
        if (err.line != rows[i].line || err.column != rows[i].column)
            fail_msg("row %zu: %u:%u %s", i, err.line, err.column, err.text);
    }
}

static bool has_none(void *context, const char *rule)
{
    (void)context;
    return strcmp(rule, "there") == 0;
}

static void test_actions_for_nobody(void **state)
{
    (void)state;
    struct err err = {0};
    struct actions *a = actions_parse(
        span_str("version: 1\nactions:\n  - {rule: [there, gone], action: block}\n"), "a.yaml", &err);
    assert_non_null(a);
    assert_int_equal(actions_check(a, has_none, NULL, &err), -1);
    assert_true(err.line == 3 && err.column == 20 && strstr(err.text, "gone"));
    actions_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_several_sources),
        cmocka_unit_test(test_what_grows),
        cmocka_unit_test(test_what_is_still_to_come),
        cmocka_unit_test(test_again_is_the_same),
        cmocka_unit_test(test_processes),
        cmocka_unit_test(test_each_logsource),
        cmocka_unit_test(test_tally),
        cmocka_unit_test(test_tally_after_a_reload),
        cmocka_unit_test(test_actions),
        cmocka_unit_test(test_bad_actions),
        cmocka_unit_test(test_actions_for_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
