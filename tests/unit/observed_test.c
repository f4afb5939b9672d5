/* observed_test.c: which facts were observed of which host within a day; how many hosts there is room for. */
#include "flow/observed.h"

#include "base/must.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct count {
    unsigned hosts, ja4, sni, linux_hosts;
};

static void on_host(void *owner, const char *platform, const bool seen[FACT_COUNT])
{
    struct count *c = owner;
    c->hosts++;
    c->ja4 += seen[FACT_ja4];
    c->sni += seen[FACT_sni];
    c->linux_hosts += strcmp(platform, "linux") == 0;
}

static struct count count(struct observed *o, int64_t now_s)
{
    struct count c = {0};
    observed_each(o, now_s, on_host, &c);
    return c;
}

static void what_was_looked_for_is_observed(void **state)
{
    (void)state;
    enum { NOW = 1000000, DAY = OBSERVED_WINDOW_S };
    struct observed *o = observed_new();
    static struct facts facts;
    fact_set_text(&facts, FACT_ja4, "t13d");
    facts.values[FACT_sni].state = FACT_UNOBSERVABLE;
    observed_note(o, span_str("a"), "linux", &facts, NOW);
    facts.values[FACT_sni].state = FACT_ABSENT; /* looked for, not there */
    observed_note(o, span_str("b"), "", &facts, NOW + 10);
    struct count c = count(o, NOW + 20);
    assert_int_equal(c.hosts, 2);
    assert_int_equal(c.ja4, 2);
    assert_int_equal(c.sni, 1);
    assert_int_equal(c.linux_hosts, 1);
    assert_int_equal(count(o, NOW + DAY).hosts, 1);
    assert_int_equal(count(o, NOW + DAY + 10).hosts, 0);
    facts.values[FACT_sni].state =
        FACT_PENDING; /* seen again: what was not observed since is forgotten in its time */
    observed_note(o, span_str("b"), "linux", &facts, NOW + DAY);
    c = count(o, NOW + DAY + 10);
    assert_int_equal(c.hosts, 1);
    assert_int_equal(c.ja4, 1);
    assert_int_equal(c.sni, 0);
    assert_int_equal(c.linux_hosts, 1);
    observed_free(o);
}

static void there_is_an_end_to_it(void **state)
{
    (void)state;
    struct observed *o = observed_new();
    static struct facts facts;
    char name[16];
    for (int i = 0; i < OBSERVED_HOSTS_MAX + 10; i++) {
        snprintf(name, sizeof name, "host-%d", i);
        observed_note(o, span_str(name), "", &facts, 1000000);
    }
    struct count c = {0};
    assert_int_equal(observed_each(o, 1000000, on_host, &c), 10);
    assert_int_equal(c.hosts, OBSERVED_HOSTS_MAX);
    observed_note(o, span_str("new"), "", &facts,
                  1000000 + OBSERVED_WINDOW_S + 100); /* the old ones make room */
    assert_int_equal(count(o, 1000000 + OBSERVED_WINDOW_S + 100).hosts, 1);
    observed_free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_was_looked_for_is_observed),
                                       cmocka_unit_test(there_is_an_end_to_it)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
