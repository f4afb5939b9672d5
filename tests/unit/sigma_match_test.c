/* sigma_match_test.c: every modifier, form of condition, null, absent and empty case, with events that match and that don't; filters,
 * correlations, and the three values of what is not known yet. */
#include "sigma_run.h"

#define HEAD "title: t\nid: r\nlogsource: {category: proxy}\ndetection:\n"

/* One detection item, an event that matches it and one that doesn't (NULL: none). */
struct item_case {
    const char *item, *yes, *no;
};

static void expect_items(const struct item_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct sigma_run r = {0};
        char rules[2048];
        snprintf(rules, sizeof rules, HEAD "  s:\n    %s\n  condition: s\n", cases[i].item);
        run_start(&r, rules);
        if (r.rejected[0])
            print_message("%s: %s", cases[i].item, r.rejected);
        assert_string_equal(r.rejected, "");
        if (cases[i].yes && strcmp(run_event(&r, cases[i].yes, 0), "r") != 0)
            fail_msg("%s doesn't match %s", cases[i].item, cases[i].yes);
        if (cases[i].no && strcmp(run_event(&r, cases[i].no, 0), "") != 0)
            fail_msg("%s matches %s", cases[i].item, cases[i].no);
        run_end(&r);
    }
}

static void test_texts(void **state)
{
    (void)state;
    static const struct item_case cases[] = {
        {"f: foo", "f=FOO", "f=foox"},
        {"f: foo", "f=foo", "f=foo\n"},
        {"f: foo", "f=fOo", ""},
        {"f: foo", "f=foo", "g=foo"},
        {"f: [foo, bar]", "f=bar", "f=foobar"},
        {"f: f*o", "f=f\no", "f=xfo"},
        {"f: f?o", "f=fäo", "f=fo"},
        {"f: 'f\\*o'", "f=f*o", "f=fxo"},
        {"f: 'f\\?'", "f=f?", "f=fx"},
        {"f: 'a\\b'", "f=a\\b", "f=ab"},
        {"f: 'a\\\\b'", "f=a\\b", "f=a\\\\b"},
        {"f: 'a\\\\*'", "f=a\\x", "f=a*"},
        {"f: 'a\\\\\\*'", "f=a\\*", "f=a\\x"},
        {"f: '*'", "f=", "g=x"},
        {"f: '*'", "f=x", "f"},
        {"f: '?*'", "f=x", "f="},
        {"f: ÄÖ", "f=äö", "f=ao"},
        {"f: 443", "f=443", "f=4433"},
        {"f: 10.50", "f=10.5", "f=10"},
        {"f: true", "f=true", "f=false"},
        {"f|contains: oo", "f=xOOx", "f=o-o"},
        {"f|startswith: fo", "f=Foo", "f=xfoo"},
        {"f|endswith: oo", "f=fOO", "f=foox"},
        {"f|endswith: aa", "f=aaaa", "f=aaab"},
        {"f|contains|all: [a, b]", "f=xbxa", "f=aaa"},
        {"f|contains|cased: Foo", "f=xFoox", "f=xfoox"},
        {"f|cased: FOO", "f=FOO", "f=foo"},
        {"f|neq: foo", "f=bar", "f=FOO"},
        {"f|neq: foo", "g=1", NULL},
        {"f|neq: [foo, bar]", "f=baz", "f=bar"},
    };
    expect_items(cases, ARRAY_LEN(cases));
}

static void test_encodings(void **state)
{
    (void)state;
    static const struct item_case cases[] = {
        {"f|base64: foobar", "f=Zm9vYmFy", "f=foobar"},
        {"f|base64: foob", "f=Zm9vYg==", "f=Zm9vYg"},
        {"f|base64offset|contains: foobar", "f=xxZm9vYmFyxx", "f=foobar"},
        {"f|base64offset|contains: foobar", "f=IGZvb2Jhcg==", NULL}, /* " foobar" */
        {"f|base64offset|contains: foobar", "f=ICBmb29iYXI=", NULL}, /* "  foobar" */
        {"f|wide|base64: ab", "f=YQBiAA==", "f=YWI="},
        {"f|utf16le|base64: ab", "f=YQBiAA==", NULL},
        {"f|utf16be|base64: ab", "f=AGEAYg==", NULL},
        {"f|utf16|base64: ab", "f=//5hAGIA", NULL},
        {"f|wide|base64: '\xf0\x9f\x98\x80'", "f=PdgA3g==", NULL}, /* a pair of surrogates */
        {"f|windash|contains: ' -enc '", "f=p /ENC x", "f=p +enc x"},
        {"f|windash|contains: ' -enc '",
         "f=p \xe2\x80\x93"
         "enc x",
         NULL},
        {"f|windash|contains: ' /enc '",
         "f=p \xe2\x80\x95"
         "enc x",
         NULL},
        {"f|windash: a-b", "f=a-b", "f=a/b"}, /* within a word it is no option */
        {"f|windash|contains|all: [' -a', ' -b']", "f=x /b /a", "f=x /a"},
        {"f|windash: '-a -b -c'", "f=/a -b /c", "f=+a -b -c"},
        {"f|windash|base64: '-a'", "f=L2E=", "f=K2E="},
    };
    expect_items(cases, ARRAY_LEN(cases));
}

static void test_other_questions(void **state)
{
    (void)state;
    static const struct item_case cases[] = {
        {"f|re: '^fo+$'", "f=foo", "f=FOO"},
        {"f|re|i: '^fo+$'", "f=FOO", "f=xfoo"},
        {"f|re: 'a.b'", "f=a-b", "f=a\nb"},
        {"f|re|s: 'a.b'", "f=a\nb", NULL},
        {"f|re: '^b'", "f=b", "f=a\nb"},
        {"f|re|m: '^b'", "f=a\nb", NULL},
        {"f|re: '^.{3}$'", "f=äöü", "f=äö"},
        {"f|re: '^$'", "f=", "f=x"},
        {"f|re: ['a', 'b']", "f=xb", "f=c"},
        {"f|re|all: ['a', 'b']", "f=ba", "f=b"},
        {"f|cidr: 10.0.0.0/8", "f=10.9.9.9", "f=11.0.0.0"},
        {"f|cidr: 10.0.0.0/8", "f=::ffff:10.0.0.1", "f=ten"},
        {"f|cidr: ['2001:db8::/32', '::1/128']", "f=2001:db8::1", "f=2001:db9::1"},
        {"f|gt: 5", "f=6", "f=5"},
        {"f|gte: 5", "f=5", "f=4.9"},
        {"f|lt: 5", "f=-1", "f=5"},
        {"f|lte: 5", "f=5.0", "f=5.1"},
        {"f|lt: 5", "f=1e0", "f=one"},
        {"f|gt: 9007199254740992", "f=9007199254740993", "f=9007199254740992"},
        {"f|exists: true", "f=x", "g=x"},
        {"f|exists: true", "f", NULL}, /* there, and null */
        {"f|exists: false", "g=x", "f="},
        {"f: null", "g=x", "f="},
        {"f: null", "f", "f=x"},
        {"f|neq: null", "f=", "g=x"},
        {"f: ''", "f=", "f=x"},
        {"f: ''", "f=", "g=x"},
        {"f: ''", "f=", "f"},
        {"f|fieldref: g", "f=a;g=A", "f=a;g=b"},
        {"f|fieldref: g", "g=a;f=a", "f=a"},
        {"f|fieldref|cased: g", "f=a;g=a", "f=a;g=A"},
        {"f|fieldref|contains: g", "f=xay;g=a", "f=a;g=xay"},
        {"f|fieldref|startswith: g", "f=ax;g=a", "f=xa;g=a"},
        {"f|fieldref|endswith: g", "f=xa;g=a", "f=ax;g=a"},
        {"f|fieldref|neq: g", "f=a;g=b", "f=a;g=a"},
        {"f|hour: 23", "f=2026-11-21T23:59:00+05:00", "f=2026-11-21T22:59:00Z"},
        {"f|minute: 59", "f=2026-11-21 23:59", "f=2026-11-21"},
        {"f|day: 21", "f=2026-11-21", "f=2026-11-31"},
        {"f|month: 11", "f=2026-11-21T00:00:00.123Z", "f=November"},
        {"f|year: 2026", "f=1795000000", "f=1700000000"},
        {"f|week: 53", "f=2027-01-03", "f=2027-01-04"},
        {"f|hour|gte: 18", "f=2026-11-21T18:00:00", "f=2026-11-21T17:59:59"},
        {"'|re': 'fo+'", "f=xfoo", "f=bar"},
        {"'|all': [foo, bar]", "f=xfoo;g=bar", "f=foo"},
    };
    expect_items(cases, ARRAY_LEN(cases));
}

/* Detections sel1: a=1, sel2: b=1, other: c=1, _hidden: d=1. */
static void expect_condition(const char *condition, const char *yes, const char *no)
{
    struct sigma_run r = {0};
    char rules[1024];
    snprintf(rules, sizeof rules,
             HEAD "  sel1: {a: 1}\n  sel2: {b: 1}\n  other: {c: 1}\n  _hidden: {d: 1}\n  condition: %s\n",
             condition);
    run_start(&r, rules);
    assert_string_equal(r.rejected, "");
    if (strcmp(run_event(&r, yes, 0), "r") != 0 || (no && strcmp(run_event(&r, no, 0), "") != 0))
        fail_msg("%s", condition);
    run_end(&r);
}

static void test_conditions(void **state)
{
    (void)state;
    expect_condition("sel1", "a=1", "b=1");
    expect_condition("sel1 and sel2", "a=1;b=1", "a=1");
    expect_condition("sel1 or sel2", "b=1", "c=1");
    expect_condition("not sel1", "a=2", "a=1");
    expect_condition("sel1 and not sel2", "a=1", "a=1;b=1");
    expect_condition("not sel1 or sel2", "", "a=1");          /* not binds strongest */
    expect_condition("sel1 or sel2 and other", "a=1", "b=1"); /* and before or */
    expect_condition("(sel1 or sel2) and other", "b=1;c=1", "a=1");
    expect_condition("1 of them", "c=1", "d=1");
    expect_condition("any of them", "b=1", "e=1");
    expect_condition("all of them", "a=1;b=1;c=1", "a=1;b=1");
    expect_condition("1 of sel*", "b=1", "c=1");
    expect_condition("all of sel*", "a=1;b=1", "a=1;c=1");
    expect_condition("all of *el*", "a=1;b=1", "a=1");
    expect_condition("1 of _*", "d=1", "a=1");
    expect_condition("sel1 and not 1 of other*", "a=1", "a=1;c=1");
    expect_condition("not (sel1 and not (sel2 or not other))", "a=1;b=1", "a=1;c=1");
    expect_condition("NOT sel1 AND sel2", "b=1", "a=1;b=1");
    expect_condition("[sel1, sel2 and other]", "b=1;c=1", "b=1");
}

static void test_detections(void **state)
{
    (void)state;
    struct sigma_run r = {0};
    run_start(&r, HEAD "  words: [foo, b?r]\n  maps: [{a: 1, b: 2}, {a: 3}]\n  mixed: [xyz, {a: 4}]\n"
                       "  condition: 1 of them\n");
    assert_string_equal(r.rejected, "");
    assert_string_equal(run_event(&r, "z=xxFOOxx", 0), "r");
    assert_string_equal(run_event(&r, "a=x bar x", 0), "r");
    assert_string_equal(run_event(&r, "a=1;b=2", 0), "r");
    assert_string_equal(run_event(&r, "a=1", 0), "");
    assert_string_equal(run_event(&r, "a=3", 0), "r");
    assert_string_equal(run_event(&r, "q=wxyz", 0), "r");
    assert_string_equal(run_event(&r, "a=4", 0), "r");
    run_end(&r);
}

static void test_expand(void **state)
{
    (void)state;
    static const char *const names[] = {"ann", "b*"};
    static const struct placeholder placeholders[] = {{"who", names, 2}};
    struct sigma_run r = {.options = {placeholders, 1}};
    run_start(&r, HEAD "  s: {f|expand: '\\%x-%who%'}\n  condition: s\n---\n" HEAD
                       "  s: {f|expand: '%whom%'}\n  condition: s\n");
    assert_string_equal(r.rejected, "12:17 the placeholder %whom% has no value\n");
    assert_string_equal(run_event(&r, "f=%x-bob", 0), "r");
    assert_string_equal(run_event(&r, "f=%x-Ann", 0), "r");
    assert_string_equal(run_event(&r, "f=%x-%who%", 0), "");
    run_end(&r);
}

#define RULE(id, item)                                                                                       \
    "title: t\nid: " id "\nname: n" id "\nlogsource: {category: proxy, product: p}\ndetection:\n  s: {" item \
    "}\n  condition: s\n---\n"

static void test_filters(void **state)
{
    (void)state;
    struct sigma_run r = {0};
    run_start(&r, RULE("a", "f: 1") RULE("b", "f: 1")
                      RULE("c", "f: 1") "title: f\nlogsource: {category: proxy}\nfilter:\n  rules: [a, nb]\n "
                                        " ok: {user|startswith: adm_}\n"
                                        "  condition: not ok\n---\n"
                                        "title: g\nlogsource: {category: dns}\nfilter:\n  rules: any\n  ok: "
                                        "{f: 1}\n  condition: not ok\n---\n"
                                        "title: h\nlogsource: {product: p}\nfilter:\n  rules: any\n  ok: {g: "
                                        "1}\n  condition: not ok\n");
    assert_string_equal(r.rejected, "");
    assert_string_equal(run_event(&r, "f=1", 0), "a b c");
    assert_string_equal(run_event(&r, "f=1;user=adm_x", 0), "c");
    assert_string_equal(run_event(&r, "f=1;g=1", 0), "");
    run_end(&r);
}

#define CORRELATION(type, rules, rest)                                                                       \
    "title: k\nid: k\ncorrelation:\n  type: " type "\n  rules: [" rules                                      \
    "]\n  group-by: [user]\n  timespan: 10s\n" rest

static void test_event_count(void **state)
{
    (void)state;
    struct sigma_run r = {0};
    run_start(&r, RULE("a", "f: 1") CORRELATION("event_count", "a", "  condition: {gte: 3}\n"));
    assert_string_equal(r.rejected, "");
    assert_string_equal(run_event(&r, "f=1;user=x", 0), ""); /* a is there for k only */
    assert_string_equal(run_event(&r, "f=1;user=x", 5000), "");
    assert_string_equal(run_event(&r, "f=1;user=y", 6000), "");
    assert_string_equal(run_event(&r, "f=2;user=x", 6000), "");
    assert_string_equal(run_event(&r, "f=1", 7000), ""); /* no group */
    assert_string_equal(run_event(&r, "f=1;user=x", 10000), "k");
    assert_string_equal(run_event(&r, "f=1;user=x", 10001), "k"); /* 0 is out, 5000..10001 are three */
    assert_string_equal(run_event(&r, "f=1;user=x", 30000), "");
    run_end(&r);
    run_start(&r, RULE("a", "f: 1")
                      CORRELATION("event_count", "na", "  generate: true\n  condition: {gt: 1, lt: 3}\n"));
    assert_string_equal(run_event(&r, "f=1;user=x", 0), "a");
    assert_string_equal(run_event(&r, "f=1;user=x", 1), "a k");
    assert_string_equal(run_event(&r, "f=1;user=x", 2), "a");
    run_end(&r);
}

static void test_value_count(void **state)
{
    (void)state;
    struct sigma_run r = {0};
    run_start(&r, RULE("a", "f: 1") CORRELATION("value_count", "a", "  condition: {field: dst, gte: 3}\n"));
    assert_string_equal(r.rejected, "");
    assert_string_equal(run_event(&r, "f=1;user=x;dst=1", 0), "");
    assert_string_equal(run_event(&r, "f=1;user=x;dst=2", 1), "");
    assert_string_equal(run_event(&r, "f=1;user=x;dst=2", 2), "");
    assert_string_equal(run_event(&r, "f=1;user=x", 3), "");
    assert_string_equal(run_event(&r, "f=1;user=x;dst=3", 4), "k");
    assert_string_equal(run_event(&r, "f=1;user=x;dst=1", 5), "k");
    assert_string_equal(run_event(&r, "f=1;user=x;dst=1", 10004),
                        ""); /* 3 at 4 is still within, 2 at 2 is not */
    run_end(&r);
}

static void test_temporal(void **state)
{
    (void)state;
    struct sigma_run r = {0};
    run_start(&r, RULE("a", "f: 1") RULE("b", "f: 2") CORRELATION("temporal", "a, b", ""));
    assert_string_equal(r.rejected, "");
    assert_string_equal(run_event(&r, "f=2;user=x", 0), "");
    assert_string_equal(run_event(&r, "f=2;user=x", 1), "");
    assert_string_equal(run_event(&r, "f=1;user=y", 2), "");
    assert_string_equal(run_event(&r, "f=1;user=x", 3), "k");
    assert_string_equal(run_event(&r, "f=1;user=x", 20000), "");
    run_end(&r);
    run_start(&r, RULE("a", "f: 1") RULE("b", "f: 2") RULE("c", "f: 3")
                      CORRELATION("temporal_ordered", "a, b, c", ""));
    assert_string_equal(run_event(&r, "f=2;user=x", 0), "");
    assert_string_equal(run_event(&r, "f=1;user=x", 1000), "");
    assert_string_equal(run_event(&r, "f=3;user=x", 2000), "");
    assert_string_equal(run_event(&r, "f=2;user=x", 3000), "");
    assert_string_equal(run_event(&r, "f=1;user=x", 4000), ""); /* a new chain does not undo the old one */
    assert_string_equal(run_event(&r, "f=3;user=x", 5000), "k");
    assert_string_equal(run_event(&r, "f=3;user=x", 11001), ""); /* it began at 1000 */
    run_end(&r);
}

static void test_chain_and_aliases(void **state)
{
    (void)state;
    struct sigma_run r = {0};
    run_start(
        &r,
        "title: k\nid: k\ncorrelation:\n  type: temporal_ordered\n  rules: [many, nb]\n  group-by: [ip]\n"
        "  timespan: 1m\n  aliases: {ip: {many: src, nb: dst}}\n---\n"
        "title: m\nid: m\nname: many\ncorrelation:\n  type: event_count\n  rules: [a]\n  group-by: [src]\n"
        "  timespan: 10s\n  condition: {gte: 2}\n---\n" RULE("a", "f: 1") RULE("b", "f: 2"));
    assert_string_equal(r.rejected, "");
    assert_string_equal(run_event(&r, "f=1;src=x", 0), "");
    assert_string_equal(run_event(&r, "f=2;dst=x", 1), "");
    assert_string_equal(run_event(&r, "f=1;src=x", 2), "");
    assert_string_equal(run_event(&r, "f=2;dst=y", 3), "");
    assert_string_equal(run_event(&r, "f=2;dst=x", 4), "k");
    run_end(&r);
}

static void test_bounded_groups(void **state)
{
    (void)state;
    struct sigma_run r = {0};
    char event[64];
    run_start(&r, RULE("a", "f: 1") CORRELATION("event_count", "a", "  condition: {gte: 2}\n"));
    for (int i = 0; i < CORRELATE_GROUPS_MAX + 10; i++) {
        snprintf(event, sizeof event, "f=1;user=%d", i);
        assert_string_equal(run_event(&r, event, 0), "");
    }
    assert_int_equal(correlate_evicted(r.correlate), 10);
    assert_string_equal(run_event(&r, "f=1;user=0", 0), ""); /* the quiet one had to go */
    snprintf(event, sizeof event, "f=1;user=%d", CORRELATE_GROUPS_MAX);
    assert_string_equal(run_event(&r, event, 0), "k");
    run_end(&r);
}

/* ---- three values ---- */

static enum truth truth_of(struct sigma_run *r)
{
    size_t count;
    enum truth t = match_rule(r->match, 0);
    match_run(r->match, &count);
    assert_int_equal(count, t == TRUTH_TRUE);
    return t;
}

static void test_unknown(void **state)
{
    (void)state;
    struct sigma_run r = {0};
    struct span one = span_str("1"), two = span_str("2");
    const struct match_value yes = {.state = FACT_KNOWN, .values = &one, .count = 1},
                             no = {.state = FACT_KNOWN, .values = &two, .count = 1},
                             absent = {.state = FACT_ABSENT}, never = {.state = FACT_UNOBSERVABLE};
    run_start(&r, HEAD "  s: {a: 1}\n  f: {b: 1}\n  condition: s and not f\n");
    match_begin(r.match, false);
    assert_int_equal(truth_of(&r), TRUTH_UNKNOWN);
    run_set(&r, "a", yes);
    assert_int_equal(truth_of(&r), TRUTH_UNKNOWN); /* b may still be 1 */
    run_set(&r, "b", no);
    assert_int_equal(truth_of(&r), TRUTH_TRUE);
    match_begin(r.match, false);
    run_set(&r, "a", yes);
    run_set(&r, "b", absent);
    assert_int_equal(truth_of(&r), TRUTH_TRUE);
    match_begin(r.match, false);
    run_set(&r, "a", yes);
    run_set(&r, "b", never);
    assert_int_equal(truth_of(&r), TRUTH_UNKNOWN);
    match_begin(r.match, false);
    run_set(&r, "a", no);
    assert_int_equal(truth_of(&r), TRUTH_FALSE); /* whatever b will be */
    match_begin(r.match, false);
    run_set(&r, "b", yes);
    assert_int_equal(truth_of(&r), TRUTH_FALSE);
    run_end(&r);
}

static void test_several_sources_and_rising(void **state)
{
    (void)state;
    struct sigma_run r = {0};
    struct span text = span_str("7");
    run_start(&r, HEAD "  s: {a: x}\n  condition: not s\n");
    match_begin(r.match, false);
    run_set(&r, "a", (struct match_value){.state = FACT_KNOWN, .values = &text, .count = 1, .more = true});
    assert_int_equal(truth_of(&r), TRUTH_UNKNOWN);
    match_begin(r.match, false);
    run_set(&r, "a", (struct match_value){.state = FACT_KNOWN, .values = &text, .count = 1});
    assert_int_equal(truth_of(&r), TRUTH_TRUE);
    run_end(&r);
    static const struct {
        const char *item;
        enum truth rising, final;
    } cases[] = {{"a|gt: 6", TRUTH_TRUE, TRUTH_TRUE},        {"a|gt: 7", TRUTH_UNKNOWN, TRUTH_FALSE},
                 {"a|gte: 7", TRUTH_TRUE, TRUTH_TRUE},       {"a|lt: 8", TRUTH_UNKNOWN, TRUTH_TRUE},
                 {"a|lte: 6", TRUTH_UNKNOWN, TRUTH_FALSE},   {"a: 7", TRUTH_UNKNOWN, TRUTH_TRUE},
                 {"a|exists: true", TRUTH_TRUE, TRUTH_TRUE}, {"a|neq: 7", TRUTH_UNKNOWN, TRUTH_FALSE}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char rules[512];
        snprintf(rules, sizeof rules, HEAD "  s: {'%.*s':%s}\n  condition: s\n",
                 (int)strcspn(cases[i].item, ":"), cases[i].item, strchr(cases[i].item, ':') + 1);
        run_start(&r, rules);
        assert_string_equal(r.rejected, "");
        for (int rising = 0; rising < 2; rising++) {
            match_begin(r.match, false);
            run_set(&r, "a",
                    (struct match_value){.state = FACT_KNOWN, .values = &text, .count = 1, .rising = rising});
            assert_int_equal(truth_of(&r), rising ? cases[i].rising : cases[i].final);
        }
        run_end(&r);
    }
}

static void test_bytes_that_are_not_utf8(void **state)
{
    (void)state;
    struct sigma_run r = {0};
    run_start(&r, HEAD "  s: {f|re: 'b.d$'}\n  t: {f|contains: bad}\n  condition: s and t\n");
    assert_string_equal(run_event(&r, "f=\xff\xfe bad", 0), "r");
    assert_string_equal(run_event(&r, "f=\xc3", 0), "");
    run_end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_encodings),
        cmocka_unit_test(test_other_questions),
        cmocka_unit_test(test_conditions),
        cmocka_unit_test(test_detections),
        cmocka_unit_test(test_expand),
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_event_count),
        cmocka_unit_test(test_value_count),
        cmocka_unit_test(test_temporal),
        cmocka_unit_test(test_chain_and_aliases),
        cmocka_unit_test(test_bounded_groups),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_several_sources_and_rising),
        cmocka_unit_test(test_bytes_that_are_not_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
